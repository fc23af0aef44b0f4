/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pool_lossy.c - pool.h on the medium in use (medium.h). Stricter than any
 * real medium: what was not flushed and drained is lost or torn, in the worst
 * way; what libpmemobj does by itself (make a file, give it a root, allocate
 * the object of a span) is one step that a crash cannot split. Paths are
 * names only, in no directory. Locks: the medium's mutex. pool_lossy_files.c
 * has the files by name.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "count.h"
#include "crc.h"
#include "log.h"
#include "medium.h"
#include "turns.h"

struct mega__pool {
    struct medium *medium;
    struct medium_file *file;
    bool server, view;
};

/* ---- Flush and drain ---- */

static void note_line(struct medium *m, const struct mega__flusher *f,
                      struct medium_file *file, uint64_t off, bool late)
{
    if (m->npending == m->pending_room) {
        m->pending_room = m->pending_room ? 2 * m->pending_room : 64;
        m->pending = realloc(m->pending, m->pending_room * sizeof *m->pending);
    }
    struct medium_pending *p = &m->pending[m->npending++];
    p->owner = f;
    p->file = file;
    p->off = off;
    p->seq = m->next_seq++;
    p->late = late;
    medium_copy_line(p->bytes, file->cpu + off);
}

/* Says what the drain that is dropped was for. */
static void describe_pending(struct medium *m, const struct mega__flusher *f)
{
    size_t used = 0;
    m->dropped[0] = '\0';
    for (size_t i = 0; i < m->npending; i++) {
        char what[96];
        const struct medium_pending *p = &m->pending[i];
        if (p->owner != f || used + 1 >= sizeof m->dropped)
            continue;
        medium_describe(m, p->file->cpu + p->off, what, sizeof what);
        int n = snprintf(m->dropped + used, sizeof m->dropped - used, "%s%s",
                         used ? "; " : "", what);
        used += n > 0 ? (size_t)n : 0;
    }
}

static void forget_owner(struct medium *m, const struct mega__flusher *f)
{
    size_t kept = 0;
    for (size_t i = 0; i < m->npending; i++)
        if (m->pending[i].owner != f)
            m->pending[kept++] = m->pending[i];
    m->npending = kept;
}

/* Says what the flush that is dropped was for. */
static void describe_flush(struct medium *m, const struct medium_file *file,
                           const void *addr, uint64_t off, uint64_t end)
{
    medium_describe(m, addr, m->dropped, sizeof m->dropped);
    for (; off < end; off += MEGA__LINE)
        if (!medium_same_line(file->cpu + off, file->media + off))
            return;
    size_t used = strlen(m->dropped);
    snprintf(m->dropped + used, sizeof m->dropped - used, ", as on the medium");
}

/* Call number of all. Counts those of this thread's host. */
static bool is_dropped(const struct medium *m, uint64_t number,
                       uint64_t of[MEDIUM_HOSTS], uint64_t drop)
{
    const int host = medium_host();
    const uint64_t own = of[host % MEDIUM_HOSTS]++;
    if (m->drop_of < 0)
        return number == drop;
    return m->drop_of == host && own == drop;
}

/* A line as on the medium, of which no other value is under way: its flush
 * changes nothing. An open flushes thousands of them. Late ones may change yet;
 * with much under way it would take longer to look than to flush; and a drain
 * that is dropped is named by all its lines. */
static bool is_there(const struct medium *m, size_t waiting,
                     const struct medium_file *file, uint64_t off, bool late)
{
    if (late || waiting > 8 || m->drop_drain != MEDIUM_NEVER ||
        !medium_same_line(file->cpu + off, file->media + off))
        return false;
    for (size_t i = 0; i < waiting; i++)
        if (m->pending[i].file == file && m->pending[i].off == off)
            return false;
    return true;
}

static void flush_outside(const void *addr, size_t len)
{
    fprintf(stderr, "pool_lossy: flush of %zu bytes at %p, in no file\n", len,
            addr);
    abort();
}

void mega__pool_flush(struct mega__flusher *f, enum mega__how how,
                      const void *addr, size_t len)
{
    struct medium *m = medium_in_use();
    if (how == MEGA__HOW_NONE || len == 0)
        return;
    turns_step();
    medium_lock(m);
    struct medium_file *file = medium_find_addr(m, addr);
    uint64_t off = file ? (uint64_t)((const char *)addr - file->cpu) : 0;
    if (!file || off + len > file->size)
        flush_outside(addr, len);
    uint64_t end = off + len;
    off &= ~(uint64_t)(MEGA__LINE - 1);
    medium_point(m, "flush", addr, len);
    if (!f->unfenced) /* a new flusher at the address of an old one */
        forget_owner(m, f);
    f->unfenced = true;
    bool dropped = is_dropped(m, m->flushes++, m->flushes_of, m->drop_flush);
    if (dropped)
        describe_flush(m, file, addr, off, end);
    const bool late = how == MEGA__HOW_MSYNC;
    const size_t waiting = m->npending;
    for (; off < end; off += MEGA__LINE) {
        mega__count(&f->flushes, 1);
        if (!dropped && !m->stale && !is_there(m, waiting, file, off, late))
            note_line(m, f, file, off, late);
    }
    medium_unlock(m);
}

static void settle(struct medium_pending *p)
{
    uint32_t *seq = &p->file->seq[p->off / MEGA__LINE];
    if (*seq > p->seq)
        return; /* a later flush of another thread is there already */
    *seq = p->seq;
    if (p->late)
        medium_copy_line(p->file->media + p->off, p->file->cpu + p->off);
    else
        memcpy(p->file->media + p->off, p->bytes, MEGA__LINE);
}

void mega__pool_write(struct mega__flusher *f, enum mega__how how, void *to,
                      const void *from, size_t len)
{
    memcpy(to, from, len);
    mega__pool_flush(f, how, to, len);
}

static mega_status_t failed_before(void)
{
    return mega__fail(MEGA_ERR_IO, "an earlier flush of the thread failed");
}

/* Where hosts work at once, whoever has dropped a drain comes late to its next:
 * so the others do what may not be done before, by any schedule. */
static void let_others_go_on(struct medium *m, const struct mega__flusher *f)
{
    if (m->dropper != f)
        return;
    m->dropper = NULL;
    medium_unlock(m);
    usleep(100 * 1000);
    medium_lock(m);
}

mega_status_t mega__pool_drain(struct mega__flusher *f)
{
    struct medium *m = medium_in_use();
    const bool failed = f->failed;
    f->failed = false;
    if (!f->unfenced)
        return failed ? failed_before() : MEGA_OK;
    turns_step();
    medium_lock(m);
    let_others_go_on(m, f);
    medium_point(m, "drain", NULL, 0);
    uint64_t number = m->drains++;
    mega__count(&f->fences, 1);
    f->unfenced = false;
    if (is_dropped(m, number, m->drains_of, m->drop_drain)) {
        f->unfenced = true; /* its lines wait for the next */
        m->dropper = m->drop_of < 0 ? NULL : f;
        describe_pending(m, f);
    } else {
        for (size_t i = 0; i < m->npending; i++)
            if (m->pending[i].owner == f)
                settle(&m->pending[i]);
        forget_owner(m, f);
    }
    medium_point(m, "drained", NULL, 0);
    medium_unlock(m);
    if (number == m->fail_drain)
        return mega__fail(MEGA_ERR_IO, "msync: the test says so");
    return failed ? failed_before() : MEGA_OK;
}

/* ---- Create, open, map, close ---- */

static struct mega__pool *new_pool(struct medium *m, struct medium_file *file,
                                   bool server)
{
    struct mega__pool *pool = calloc(1, sizeof *pool);
    pool->medium = m;
    pool->file = file;
    pool->server = server;
    file->opens++;
    file->served |= server;
    return pool;
}

static void write_both(struct medium_file *file, uint64_t off, const void *data,
                       size_t n)
{
    memcpy(file->cpu + off, data, n);
    memcpy(file->media + off, data, n);
    for (uint64_t line = off / MEGA__LINE; line * MEGA__LINE < off + n; line++)
        file->seq[line] = MEDIUM_BORN;
}

mega_status_t mega__pool_check_size(uint64_t size)
{
    (void)size;
    return MEGA_OK;
}

mega_status_t mega__pool_create(const char *path, uint64_t size,
                                const struct mega__pool_ident *ident,
                                struct mega__pool **pool_p)
{
    struct medium *m = medium_in_use();
    struct mega__pool_root root;
    mega_status_t st = MEGA_OK;
    medium_lock(m);
    medium_point(m, "create", NULL, 0);
    size &= ~(uint64_t)4095;
    if (size < MEDIUM_POOL_LEAST)
        st = mega__fail(MEGA_ERR_CONF, "a pool of %llu bytes is too small",
                        (unsigned long long)size);
    else if (medium_find(m, path))
        st = mega__fail(MEGA_ERR_EXISTS, "create %s: exists already", path);
    else if (size > m->capacity || medium_bytes(m) > m->capacity - size)
        st = mega__fail(MEGA_ERR_MEDIUM_FULL, "create %s: no space left", path);
    if (!st) {
        struct medium_file *file = medium_add(m, path, size);
        memset(&root, 0, sizeof root);
        write_both(file, MEDIUM_ROOT_OFF, &root, sizeof root);
        medium_point(m, "created", NULL, 0);
        root.ident = *ident;
        root.ident.self = MEDIUM_ROOT_OFF;
        root.ident.crc = mega__crc(&root.ident, sizeof root.ident - 4);
        write_both(file, MEDIUM_ROOT_OFF, &root, sizeof root);
        *pool_p = new_pool(m, file, true);
        medium_point(m, "identified", NULL, 0);
    }
    medium_unlock(m);
    return st;
}

mega_status_t mega__pool_open(const char *path, struct mega__pool **pool_p)
{
    struct medium *m = medium_in_use();
    mega_status_t st = MEGA_OK;
    medium_lock(m);
    struct medium_file *file = medium_find(m, path);
    if (!file)
        st = mega__fail(MEGA_ERR_ABSENT, "open %s: no such file", path);
    else if (file->served)
        st = mega__fail(MEGA_ERR_BUSY, "open %s: open already", path);
    else if (file->size != file->made)
        st = mega__fail(MEGA_ERR_DAMAGED, "open %s: it was cut short", path);
    else
        *pool_p = new_pool(m, file, true);
    medium_unlock(m);
    return st;
}

mega_status_t mega__pool_map(const char *path, struct mega__file which,
                             uint64_t root_off, struct mega__pool **pool_p)
{
    struct medium *m = medium_in_use();
    mega_status_t st = MEGA_OK;
    medium_lock(m);
    struct medium_file *file = medium_find(m, path);
    if (!file)
        st = mega__fail(MEGA_ERR_ABSENT, "map %s: no such file", path);
    else if (file->ino != which.inode || root_off != MEDIUM_ROOT_OFF)
        st = mega__fail(MEGA_ERR_MISMATCH, "map %s: another file", path);
    else if (m->fail_map)
        st = mega__fail(MEGA_ERR_IO, "map %s: too many open files", path);
    else
        *pool_p = new_pool(m, file, false);
    medium_unlock(m);
    return st;
}

mega_status_t mega__pool_view(const char *path, struct mega__pool **pool_p)
{
    struct medium *m = medium_in_use();
    mega_status_t st = MEGA_OK;
    medium_lock(m);
    struct medium_file *file = medium_find(m, path);
    if (!file)
        st = mega__fail(MEGA_ERR_ABSENT, "view %s: no such file", path);
    else {
        *pool_p = new_pool(m, file, false);
        (*pool_p)->view = true;
    }
    medium_unlock(m);
    return st;
}

void mega__pool_close(struct mega__pool **pool_p)
{
    struct mega__pool *pool = *pool_p;
    *pool_p = NULL;
    if (!pool)
        return;
    medium_lock(pool->medium);
    if (pool->server)
        pool->file->served = false;
    pool->file->opens--;
    medium_unlock(pool->medium);
    free(pool);
}

struct mega__pool_root *mega__pool_root(const struct mega__pool *pool)
{
    return (struct mega__pool_root *)(void *)(pool->file->cpu +
                                              MEDIUM_ROOT_OFF);
}

uint64_t mega__pool_root_off(const struct mega__pool *pool)
{
    (void)pool;
    return MEDIUM_ROOT_OFF;
}

char *mega__pool_base(const struct mega__pool *pool)
{
    return pool->file->cpu;
}

uint64_t mega__pool_size(const struct mega__pool *pool)
{
    return pool->file->size;
}

struct mega__file mega__pool_file(const struct mega__pool *pool)
{
    return (struct mega__file){0, pool->file->ino};
}

enum mega__how mega__pool_how(const struct mega__pool *pool)
{
    return pool->view ? MEGA__HOW_NONE : pool->medium->how;
}

mega_domain_t mega__pool_domain(const struct mega__pool *pool)
{
    static const mega_domain_t domains[] = {
        [MEGA__HOW_NONE] = MEGA_DOMAIN_PROCESS,
        [MEGA__HOW_FLUSH] = MEGA_DOMAIN_POWER,
        [MEGA__HOW_MSYNC] = MEGA_DOMAIN_MSYNC};
    return domains[pool->medium->how];
}

/* ---- Spans as objects: one of them takes all there is ---- */

static void set_oid(struct mega__pool *pool, unsigned slot, uint64_t off)
{
    struct mega__oid oid = {off ? pool->file->ino : 0, off};
    write_both(pool->file,
               MEDIUM_ROOT_OFF + offsetof(struct mega__pool_root, oids) +
                   slot * sizeof oid,
               &oid, sizeof oid);
}

mega_status_t mega__pool_add_span(struct mega__pool *pool, unsigned slot,
                                  uint64_t min, uint64_t *base_p,
                                  uint64_t *size_p)
{
    const struct mega__pool_root *root = mega__pool_root(pool);
    uint64_t room = medium_end(pool->file) - MEDIUM_DATA;
    for (unsigned i = 0; i < MEGA__POOL_SPANS; i++)
        if (root->oids[i].off)
            room = 0;
    room &= ~(uint64_t)(MEGA__EXTENT - 1);
    if (room < min)
        return mega__fail(MEGA_ERR_MEDIUM_FULL, "%s has no room for a span",
                          pool->file->name);
    medium_lock(pool->medium);
    medium_point(pool->medium, "add span", NULL, 0);
    set_oid(pool, slot, MEDIUM_DATA);
    medium_point(pool->medium, "added span", NULL, 0);
    medium_unlock(pool->medium);
    *base_p = MEDIUM_DATA;
    *size_p = room;
    return MEGA_OK;
}

void mega__pool_drop_span(struct mega__pool *pool, unsigned slot)
{
    medium_lock(pool->medium);
    set_oid(pool, slot, 0);
    medium_unlock(pool->medium);
}

static void sync_line(struct medium_file *file, uint64_t off, void *arg)
{
    medium_write_back(arg, file, off);
}

mega_status_t mega__pool_sync(struct mega__pool *pool)
{
    struct medium *m = pool->medium;
    medium_lock(m);
    medium_point(m, "sync", NULL, 0);
    if (is_dropped(m, m->drains++, m->drains_of, m->drop_drain))
        snprintf(m->dropped, sizeof m->dropped, "sync of %.100s",
                 strrchr(pool->file->name, '/'));
    else if (!m->device)
        medium_each_to_sync(pool->file, sync_line, m);
    medium_point(m, "synced", NULL, 0);
    medium_unlock(m);
    return MEGA_OK;
}
