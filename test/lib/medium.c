/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * medium.c - see medium.h. Files are found by a linear search: there are a
 * handful.
 */
#include "medium.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#if defined(__SANITIZE_THREAD__)
#define UNWATCHED __attribute__((no_sanitize("thread"), noinline))
#else
#define UNWATCHED
#endif

static struct medium *in_use;
static _Thread_local int this_host;

uint64_t medium_random(uint64_t *seed)
{
    uint64_t x = *seed;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return *seed = x;
}

/* ---- Lines: read while the program under test may be storing ---- */

UNWATCHED void medium_copy_line(void *to, const void *from)
{
    const volatile uint64_t *a = from;
    volatile uint64_t *b = to;
    for (int i = 0; i < MEGA__LINE / 8; i++)
        b[i] = a[i];
}

/* Half of a crash test's time is spent here: by pairs of words. */
typedef uint64_t pair __attribute__((vector_size(16), aligned(8), may_alias));

UNWATCHED bool medium_same_line(const void *a, const void *b)
{
    const pair *x = a, *y = b;
    pair differ = x[0] ^ y[0];
    for (int i = 1; i < MEGA__LINE / 16; i++)
        differ |= x[i] ^ y[i];
    return (differ[0] | differ[1]) == 0;
}

/* ---- The medium ---- */

struct medium *medium_new(void)
{
    struct medium *m = calloc(1, sizeof *m);
    pthread_mutexattr_t attr;
    pthread_mutexattr_init(&attr);
    pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&m->mutex, &attr);
    pthread_mutexattr_destroy(&attr);
    m->next_seq = 1;
    m->next_ino = 1000;
    m->capacity = MEDIUM_NEVER;
    m->how = MEGA__HOW_FLUSH;
    m->fill = MEGA__MARK_LIVE; /* the worst: every mark says LIVE */
    m->drop_flush = m->drop_drain = m->fail_drain = MEDIUM_NEVER;
    m->drop_of = -1;
    return m;
}

void medium_free(struct medium **m_p)
{
    struct medium *m = *m_p;
    *m_p = NULL;
    if (!m)
        return;
    while (m->nfiles > 0)
        medium_remove(m, m->files[0]);
    free(m->files);
    free(m->pending);
    pthread_mutex_destroy(&m->mutex);
    free(m);
}

void medium_use(struct medium *m)
{
    in_use = m;
}

struct medium *medium_in_use(void)
{
    return in_use;
}

void medium_set_host(int host)
{
    this_host = host;
}

int medium_host(void)
{
    return this_host;
}

void medium_lock(struct medium *m)
{
    pthread_mutex_lock(&m->mutex);
}

void medium_unlock(struct medium *m)
{
    pthread_mutex_unlock(&m->mutex);
}

/* ---- Files ---- */

struct medium_file *medium_find(struct medium *m, const char *name)
{
    for (size_t i = 0; i < m->nfiles; i++)
        if (strcmp(m->files[i]->name, name) == 0)
            return m->files[i];
    return NULL;
}

struct medium_file *medium_find_addr(struct medium *m, const void *addr)
{
    uintptr_t a = (uintptr_t)addr;
    for (size_t i = 0; i < m->nfiles; i++) {
        uintptr_t base = (uintptr_t)m->files[i]->cpu;
        if (a >= base && a - base < m->files[i]->size)
            return m->files[i];
    }
    return NULL;
}

static char *map_bytes(uint64_t size)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) {
        perror("medium: mmap");
        abort();
    }
    return p;
}

uint64_t medium_range(const struct medium_file *file, int i, uint64_t *begin_p)
{
    *begin_p = i == 0 ? 0 : MEDIUM_DATA;
    uint64_t end = i == 0 ? MEDIUM_HEAD : file->size;
    return end > *begin_p ? end : *begin_p;
}

/* A growth is the work of a thread that is not told on which host it is. */
static int host_of(const struct medium *m, const char *name)
{
    const char *base = strrchr(name, '/');
    const char *dot = strchr(base ? base : name, '.');
    for (size_t i = 0; dot && i < m->nfiles; i++)
        if (strncmp(m->files[i]->name, name, (size_t)(dot - name) + 1) == 0)
            return m->files[i]->host;
    return this_host;
}

void medium_point(struct medium *m, const char *what, const void *addr,
                  size_t len)
{
    if (m->on_point)
        m->on_point(m, what, addr, len, m->on_point_arg);
}

uint64_t medium_bytes(const struct medium *m)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < m->nfiles; i++)
        sum += m->files[i]->size;
    return sum;
}

struct medium_file *medium_add(struct medium *m, const char *name,
                               uint64_t size)
{
    struct medium_file *file = calloc(1, sizeof *file);
    file->name = strdup(name);
    file->size = file->made = size;
    file->ino = m->next_ino++;
    file->host = host_of(m, name);
    file->cpu = map_bytes(size);
    file->media = map_bytes(size);
    file->seq = (uint32_t *)(void *)map_bytes(size / MEGA__LINE * 4);
    for (int i = 0; i < 2; i++) {
        uint64_t begin, end = medium_range(file, i, &begin);
        memset(file->cpu + begin, m->fill, end - begin);
        memset(file->media + begin, m->fill, end - begin);
    }
    m->files = realloc(m->files, (m->nfiles + 1) * sizeof *m->files);
    m->files[m->nfiles++] = file;
    return file;
}

static void forget_pending(struct medium *m, const struct medium_file *file)
{
    size_t kept = 0;
    for (size_t i = 0; i < m->npending; i++)
        if (file && m->pending[i].file != file)
            m->pending[kept++] = m->pending[i];
    m->npending = kept;
}

void medium_remove(struct medium *m, struct medium_file *file)
{
    for (size_t i = 0; i < m->nfiles; i++)
        if (m->files[i] == file)
            m->files[i--] = m->files[--m->nfiles];
    forget_pending(m, file);
    munmap(file->cpu, file->made);
    munmap(file->media, file->made);
    munmap(file->seq, file->made / MEGA__LINE * 4);
    free(file->name);
    free(file);
}

/* A file of to, to receive from; one of the same name and size serves. */
static struct medium_file *landing(struct medium *to,
                                   const struct medium_file *from)
{
    struct medium_file *file = medium_find(to, from->name);
    if (file && file->made != from->made) {
        medium_remove(to, file);
        file = NULL;
    }
    if (!file)
        file = medium_add(to, from->name, from->made);
    file->size = from->size;
    file->ino = from->ino;
    file->host = from->host;
    file->served = false;
    file->opens = 0;
    memset(file->seq, 0, file->made / MEGA__LINE * 4);
    return file;
}

void medium_copy(struct medium *to, const struct medium *from)
{
    forget_pending(to, NULL);
    for (size_t i = 0; i < to->nfiles; i++) {
        struct medium_file *old = to->files[i];
        bool wanted = false;
        for (size_t k = 0; k < from->nfiles; k++)
            wanted |= strcmp(from->files[k]->name, old->name) == 0;
        if (!wanted) {
            medium_remove(to, old);
            i--;
        }
    }
    for (size_t i = 0; i < from->nfiles; i++) {
        const struct medium_file *f = from->files[i];
        struct medium_file *t = landing(to, f);
        for (int k = 0; k < 2; k++) {
            uint64_t begin, end = medium_range(f, k, &begin);
            memcpy(t->cpu + begin, f->cpu + begin, end - begin);
            memcpy(t->media + begin, f->media + begin, end - begin);
        }
    }
    to->next_ino = from->next_ino;
    to->how = from->how;
    to->fill = from->fill;
    to->capacity = from->capacity;
}

/* ---- Power and damage ---- */

void medium_each_dirty(struct medium *m,
                       void (*fn)(struct medium_file *file, uint64_t off,
                                  void *arg),
                       void *arg)
{
    for (size_t i = 0; i < m->nfiles; i++) {
        struct medium_file *file = m->files[i];
        for (int k = 0; k < 2; k++) {
            uint64_t begin, end = medium_range(file, k, &begin);
            for (uint64_t off = begin; off < end; off += MEGA__LINE)
                if (!medium_same_line(file->cpu + off, file->media + off))
                    fn(file, off, arg);
        }
    }
}

static void lose_line(struct medium_file *file, uint64_t off, void *arg)
{
    (void)arg;
    memcpy(file->cpu + off, file->media + off, MEGA__LINE);
}

void medium_power_loss(struct medium *m)
{
    medium_each_dirty(m, lose_line, NULL);
    forget_pending(m, NULL);
    for (size_t i = 0; i < m->nfiles; i++) {
        m->files[i]->served = false;
        m->files[i]->opens = 0;
    }
}

void medium_write_back(struct medium *m, struct medium_file *file, uint64_t off)
{
    file->seq[off / MEGA__LINE] = m->next_seq++; /* older flushes are void */
    medium_copy_line(file->media + off, file->cpu + off);
}

struct eviction {
    struct medium *medium;
    uint64_t *seed;
};

static void evict_line(struct medium_file *file, uint64_t off, void *arg)
{
    struct eviction *e = arg;
    if (medium_random(e->seed) & 1)
        medium_write_back(e->medium, file, off);
}

void medium_evict(struct medium *m, uint64_t *seed)
{
    struct eviction e = {m, seed};
    medium_each_dirty(m, evict_line, &e);
}

void medium_flip(struct medium_file *file, uint64_t off, unsigned char mask)
{
    file->cpu[off] = (char)(file->cpu[off] ^ mask);
    file->media[off] = (char)(file->media[off] ^ mask);
}

void medium_cut(struct medium_file *file, uint64_t size)
{
    file->size = size;
}

/* ---- What lies where ---- */

static const struct mega__span_header *span_at(const struct medium_file *file,
                                               uint64_t off, uint64_t *base_p)
{
    const struct mega__pool_root *root =
        (const void *)(file->cpu + MEDIUM_ROOT_OFF);
    for (unsigned i = 0; i < MEGA__POOL_SPANS; i++) {
        uint64_t base = root->spans[i].base, size = root->spans[i].size;
        if (root->spans[i].listed != 1 || base < MEDIUM_DATA ||
            base >= file->size || size > file->size - base || off < base ||
            off >= base + size)
            continue;
        *base_p = base;
        return (const void *)(file->cpu + base);
    }
    return NULL;
}

bool medium_is_mark(const struct medium_file *file, uint64_t off)
{
    uint64_t base;
    const struct mega__span_header *h = span_at(file, off, &base);
    if (!h || h->magic != MEGA__SPAN_MAGIC)
        return false;
    return off - base >= h->marks_off &&
           off - base < h->marks_off + (h->size >> MEGA__GRANULE_SHIFT);
}

/* The part of the home block at offset at of it. */
static void describe_block(uint64_t at, char *text, size_t size)
{
    static const struct part {
        const char *name;
        uint64_t off, each;
    } parts[] = {
        {"intent", offsetof(struct mega__home_block, intents),
         sizeof(struct mega__intent)},
        {"run record", offsetof(struct mega__home_block, runs),
         sizeof(struct mega__run_record)},
        {"root record", offsetof(struct mega__home_block, roots),
         sizeof(struct mega__root_record)},
        {"region record", offsetof(struct mega__home_block, regions),
         sizeof(struct mega__region_record)},
        {"word", 0, 8},
    };
    const struct part *p = parts;
    while (at < p->off)
        p++;
    snprintf(text, size, "%s %llu + %llu", p->name,
             (unsigned long long)((at - p->off) / p->each),
             (unsigned long long)((at - p->off) % p->each));
}

static void describe_span(const struct mega__span_header *h, uint64_t at,
                          char *text, size_t size)
{
    uint64_t block = MEGA__HOME_BLOCK_OFF;
    uint64_t hints = h->words_off + 8 * (h->size >> MEGA__EXTENT_SHIFT);
    if (h->span == 0 && at >= block &&
        at < block + sizeof(struct mega__home_block))
        describe_block(at - block, text, size);
    else if (at < h->words_off)
        snprintf(text, size, "span header + %llu", (unsigned long long)at);
    else if (at < hints)
        snprintf(text, size, "extent word %llu",
                 (unsigned long long)(at - h->words_off) / 8);
    else if (at < h->marks_off)
        snprintf(text, size, "hints");
    else if (at < (uint64_t)h->first << MEGA__EXTENT_SHIFT)
        snprintf(
            text, size, "mark of extent %llu granule %llu",
            (unsigned long long)(at - h->marks_off) / MEGA__EXTENT_GRANULES,
            (unsigned long long)(at - h->marks_off) % MEGA__EXTENT_GRANULES);
    else
        snprintf(text, size, "extent %llu + %llu",
                 (unsigned long long)at >> MEGA__EXTENT_SHIFT,
                 (unsigned long long)at % MEGA__EXTENT);
}

void medium_describe(struct medium *m, const void *addr, char *text,
                     size_t size)
{
    struct medium_file *file = medium_find_addr(m, addr);
    if (!file) {
        snprintf(text, size, "outside all files");
        return;
    }
    const char *slash = strrchr(file->name, '/');
    uint64_t base, off = (uint64_t)((const char *)addr - file->cpu);
    const struct mega__span_header *h = span_at(file, off, &base);
    int n = snprintf(text, size, "%s: ", slash ? slash + 1 : file->name);
    size_t used = n > 0 && (size_t)n < size ? (size_t)n : size - 1;
    if (h && h->magic == MEGA__SPAN_MAGIC)
        describe_span(h, off - base, text + used, size - used);
    else
        snprintf(text + used, size - used, "byte %llu",
                 (unsigned long long)off);
}
