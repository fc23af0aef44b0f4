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
    m->next_seq = MEDIUM_BORN + 1;
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
    uint64_t end = i == 0 ? MEDIUM_HEAD : medium_end(file);
    end = end < file->size ? end : file->size;
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

/* Files that were removed, of a size that is wanted again and again: a crash
 * test makes some for each image, and fresh pages cost more than the copying.
 */
#define SPARES 64
static struct medium_file *spare[SPARES];
static pthread_mutex_t spare_mutex = PTHREAD_MUTEX_INITIALIZER;

#define SPARE_MOST (UINT64_C(16) << 20)

static struct medium_file *take_spare(uint64_t made)
{
    struct medium_file *file = NULL;
    pthread_mutex_lock(&spare_mutex);
    for (unsigned i = 0; i < SPARES && !file; i++)
        if (spare[i] && spare[i]->made == made) {
            file = spare[i];
            spare[i] = NULL;
        }
    pthread_mutex_unlock(&spare_mutex);
    return file;
}

static bool keep_spare(struct medium_file *file)
{
    bool kept = false;
    pthread_mutex_lock(&spare_mutex);
    for (unsigned i = 0; i < SPARES && !kept && file->made <= SPARE_MOST; i++)
        if (!spare[i]) {
            spare[i] = file;
            kept = true;
        }
    pthread_mutex_unlock(&spare_mutex);
    return kept;
}

static struct medium_file *new_file(uint64_t made)
{
    struct medium_file *file = take_spare(made);
    if (file)
        return file;
    file = calloc(1, sizeof *file);
    file->made = made;
    file->cpu = map_bytes(made);
    file->media = map_bytes(made);
    file->seq = (uint32_t *)(void *)map_bytes(made / MEGA__LINE * 4);
    return file;
}

struct medium_file *medium_place(struct medium *m, const char *name,
                                 uint64_t made)
{
    struct medium_file *file = medium_find(m, name);
    if (file && file->made != made) {
        medium_remove(m, file);
        file = NULL;
    }
    if (!file) {
        file = new_file(made);
        file->name = strdup(name);
        file->picture = 0;
        m->files = realloc(m->files, (m->nfiles + 1) * sizeof *m->files);
        m->files[m->nfiles++] = file;
    }
    file->size = made;
    file->tail = made > MEDIUM_LARGE ? m->tail : 0;
    file->still = MEDIUM_NEVER;
    file->served = false;
    file->opens = 0;
    return file;
}

static void forget_seq(struct medium_file *file)
{
    memset(file->seq, 0, file->made / MEGA__LINE * 4);
    file->picture = 0;
}

void medium_fill(const struct medium *m, struct medium_file *file)
{
    forget_seq(file);
    for (int i = 0; i < 2; i++) {
        uint64_t begin, end = medium_range(file, i, &begin);
        memset(file->cpu + begin, m->fill, end - begin);
        memset(file->media + begin, m->fill, end - begin);
    }
}

struct medium_file *medium_add(struct medium *m, const char *name,
                               uint64_t size)
{
    int host = host_of(m, name);
    struct medium_file *file = medium_place(m, name, size);
    file->ino = m->next_ino++;
    file->host = host;
    medium_fill(m, file);
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
    free(file->name);
    file->name = NULL;
    if (keep_spare(file))
        return;
    munmap(file->cpu, file->made);
    munmap(file->media, file->made);
    munmap(file->seq, file->made / MEGA__LINE * 4);
    free(file);
}

static void copy_bytes(const struct medium_file *file, char *to,
                       const char *from)
{
    for (int k = 0; k < 2; k++) {
        uint64_t begin, end = medium_range(file, k, &begin);
        memcpy(to + begin, from + begin, end - begin);
    }
}

void medium_copy_media(struct medium *to, const struct medium *from)
{
    forget_pending(to, NULL);
    to->tail = from->tail;
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
        struct medium_file *t = medium_place(to, f->name, f->made);
        t->size = f->size;
        t->ino = f->ino;
        t->host = f->host;
        forget_seq(t);
        copy_bytes(f, t->media, f->media);
    }
    to->next_ino = from->next_ino;
    to->how = from->how;
    to->fill = from->fill;
    to->capacity = from->capacity;
}

void medium_copy(struct medium *to, const struct medium *from)
{
    medium_copy_media(to, from);
    for (size_t i = 0; i < from->nfiles; i++)
        copy_bytes(from->files[i], medium_find(to, from->files[i]->name)->cpu,
                   from->files[i]->cpu);
}

/* Only what has come to the media of such a file, two lines at a time. */
static void restore(struct medium_file *file, const char *from, uint64_t begin,
                    uint64_t end)
{
    for (uint64_t off = begin; off < end; off += 2 * MEGA__LINE) {
        uint64_t both;
        memcpy(&both, &file->seq[off / MEGA__LINE], sizeof both);
        if (both == 0)
            continue;
        memcpy(file->media + off, from + off, 2 * MEGA__LINE);
        memset(&file->seq[off / MEGA__LINE], 0, sizeof both);
    }
}

void medium_load(struct medium_file *file, const struct medium_file *from,
                 uint64_t picture)
{
    const bool same = file->picture == picture;
    if (!same)
        forget_seq(file);
    file->picture = picture;
    for (int k = 0; k < 2; k++) {
        uint64_t begin, end = medium_range(file, k, &begin);
        memcpy(file->cpu + begin, from->media + begin, end - begin);
        if (same)
            restore(file, from->media, begin, end);
        else
            memcpy(file->media + begin, from->media + begin, end - begin);
    }
}

/* ---- Power and damage ---- */

#define PAGE 4096

/* Mostly all is the same: whole pages are compared first, where nobody minds
 * that others store to them meanwhile. */
static bool same_page(const char *a, const char *b)
{
#if defined(__SANITIZE_THREAD__)
    (void)a;
    (void)b;
    return false;
#else
    return memcmp(a, b, PAGE) == 0;
#endif
}

static void each_dirty(struct medium_file *file, uint64_t begin, uint64_t end,
                       medium_dirty_fn fn, void *arg)
{
    for (uint64_t page = begin; page < end; page += PAGE) {
        uint64_t n = end - page < PAGE ? end - page : PAGE;
        if (n == PAGE && same_page(file->cpu + page, file->media + page))
            continue;
        for (uint64_t off = page; off < page + n; off += MEGA__LINE)
            if (!medium_same_line(file->cpu + off, file->media + off))
                fn(file, off, arg);
    }
}

static void each_dirty_of(struct medium_file *file, uint64_t still,
                          medium_dirty_fn fn, void *arg)
{
    for (int k = 0; k < 2; k++) {
        uint64_t begin, end = medium_range(file, k, &begin);
        each_dirty(file, begin, end < still ? end : still, fn, arg);
    }
}

void medium_each_to_sync(struct medium_file *file, medium_dirty_fn fn,
                         void *arg)
{
    each_dirty_of(file, file->still, fn, arg);
}

void medium_stirred(struct medium *m)
{
    for (size_t i = 0; i < m->nfiles; i++)
        m->files[i]->still = MEDIUM_NEVER;
}

void medium_each_dirty(struct medium *m, medium_dirty_fn fn, void *arg)
{
    for (size_t i = 0; i < m->nfiles; i++)
        each_dirty_of(m->files[i], MEDIUM_NEVER, fn, arg);
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
