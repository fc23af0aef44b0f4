/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pool_pmem.c - pool files by libpmemobj: it makes, opens and recovers them
 * and holds the spans as objects; its heap and its transactions are on no path
 * of ours. With pool_flush.c the only file that includes PMDK.
 */
#include "pool.h"

#include <errno.h>
#include <fcntl.h>
#include <libpmemobj.h>
#include <linux/magic.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <time.h>
#include <unistd.h>

#include "crc.h"
#include "log.h"

#define POOL_MODE 0600
#define CHUNK_STEP                                                             \
    (UINT64_C(256) << 10) /* libpmemobj's unit of large objects */
#define POOL_OVERHEAD (UINT64_C(3) << 20) /* a little less than it takes */
#define ADD_SPAN_TRIES 64
#define ROOT_WITHIN (UINT64_C(16) << 20) /* of a file */
#define ROOT_STEP 16
#define PIECE (UINT64_C(8) << 20) /* a signal cuts off what takes long */

struct mega__pool {
    PMEMobjpool *pop; /* NULL: only mapped */
    char *base;
    uint64_t size, root_off;
    struct mega__file file;
    enum mega__how how;
    mega_domain_t domain;
    char path[];
};

_Static_assert(sizeof(PMEMoid) == sizeof(struct mega__oid), "same bytes");

/* ---- What the medium needs ---- */

static bool is_dax(int fd)
{
    void *p =
        mmap(NULL, 4096, PROT_READ, MAP_SHARED_VALIDATE | MAP_SYNC, fd, 0);
    if (p == MAP_FAILED)
        return false;
    munmap(p, 4096);
    return true;
}

static mega_status_t find_domain(struct mega__pool *pool, int fd)
{
    struct statfs fs;
    struct stat sb;
    if (fstat(fd, &sb) != 0 || fstatfs(fd, &fs) != 0)
        return mega__fail(MEGA_ERR_IO, "stat of %s: %s", pool->path,
                          strerror(errno));
    pool->file = (struct mega__file){sb.st_dev, sb.st_ino};
    if (S_ISCHR(sb.st_mode) || is_dax(fd)) {
        pool->domain = MEGA_DOMAIN_POWER;
        pool->how = MEGA__HOW_FLUSH;
    } else if (fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC) {
        pool->domain = MEGA_DOMAIN_PROCESS;
        pool->how = MEGA__HOW_NONE;
    } else {
        pool->domain = MEGA_DOMAIN_MSYNC;
        pool->how = MEGA__HOW_MSYNC;
    }
    return MEGA_OK;
}

/* ---- Create, open, map, close ---- */

static struct mega__pool *new_pool(const char *path)
{
    struct mega__pool *pool = calloc(1, sizeof *pool + strlen(path) + 1);
    if (pool)
        strcpy(pool->path, path);
    else
        mega__fail(MEGA_ERR_NOMEM, "no memory to open %s", path);
    return pool;
}

static mega_status_t refuse(const char *verb, const char *path)
{
    int err = errno;
    const char *why = pmemobj_errormsg();
    switch (err) {
    case EFBIG:
        return mega__fail(MEGA_ERR_MEDIUM_FULL,
                          "%s %s: %s: raise the limit on files (ulimit -f), or "
                          "lower MEGALLOC_HOME_SIZE",
                          verb, path, strerror(err));
    case ENOSPC:
    case EDQUOT:
        return mega__fail(MEGA_ERR_MEDIUM_FULL,
                          "%s %s: %s: free space there, or lower "
                          "MEGALLOC_HOME_SIZE",
                          verb, path, strerror(err));
    case EEXIST:
        return mega__fail(MEGA_ERR_EXISTS, "%s %s: exists already", verb, path);
    case ENOENT:
        return mega__fail(MEGA_ERR_ABSENT, "%s %s: no such file or directory",
                          verb, path);
    case EAGAIN:
        return mega__fail(MEGA_ERR_BUSY, "%s %s: open in another process", verb,
                          path);
    case EACCES:
        return mega__fail(
            MEGA_ERR_IO, "%s %s: %s: let this user %s it (chmod, chown)", verb,
            path, strerror(err), strcmp(verb, "view") == 0 ? "read" : "write");
    case EPERM:
    case EROFS:
    case EMFILE:
    case ENOMEM:
        return mega__fail(MEGA_ERR_IO, "%s %s: %s", verb, path, strerror(err));
    default:
        return mega__fail(
            MEGA_ERR_DAMAGED, "%s %s: libpmemobj refuses it: %.200s%s", verb,
            path, why,
            strcmp(verb, "open") == 0 ? "; restore the file from a copy" : "");
    }
}

/* A copy may have left out what was empty. A store there that finds no room
 * would end the process. */
static mega_status_t fill_holes(const struct mega__pool *pool, int fd)
{
    struct stat sb;
    uint64_t at = 0;
    int err = 0;
    if (fstat(fd, &sb) != 0 || (uint64_t)sb.st_blocks * 512 >= pool->size)
        return MEGA_OK;
    while (at < pool->size && (err == 0 || err == EINTR)) {
        uint64_t left = pool->size - at, n = left < PIECE ? left : PIECE;
        err = fallocate(fd, 0, (off_t)at, (off_t)n) == 0 ? 0 : errno;
        at += err ? 0 : n;
    }
    if (err != ENOSPC && err != EDQUOT) /* or this file system cannot */
        return MEGA_OK;
    return mega__fail(MEGA_ERR_MEDIUM_FULL,
                      "%s has holes, perhaps as a copy, and there is no room "
                      "for what belongs there: %s: free space, or read it with "
                      "MEGALLOC_OPEN=degraded",
                      pool->path, strerror(err));
}

/* Finds out the rest about a pool that libpmemobj has open. */
static mega_status_t complete(struct mega__pool *pool)
{
    int fd = open(pool->path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return refuse("open", pool->path);
    off_t end = lseek(fd, 0, SEEK_END);
    pool->base = (char *)pool->pop;
    pool->size = end > 0 ? (uint64_t)end : 0;
    mega_status_t st = find_domain(pool, fd);
    if (!st)
        st = fill_holes(pool, fd);
    close(fd);
    if (st)
        return st;
    PMEMoid root = pmemobj_root(pool->pop, sizeof(struct mega__pool_root));
    if (OID_IS_NULL(root))
        return refuse("root of", pool->path);
    pool->root_off = root.off;
    return MEGA_OK;
}

mega_status_t mega__pool_check_size(uint64_t size)
{
    if (size >= PMEMOBJ_MIN_POOL)
        return MEGA_OK;
    return mega__fail(MEGA_ERR_CONF,
                      "a pool of %llu bytes is too small: set "
                      "MEGALLOC_HOME_SIZE to 8M or more",
                      (unsigned long long)size);
}

/* Beyond ulimit -f the system sends a signal that ends the process. */
static PMEMobjpool *make_file(const char *path, uint64_t size)
{
    const struct timespec now = {0};
    sigset_t beyond, before;
    sigemptyset(&beyond);
    sigaddset(&beyond, SIGXFSZ);
    pthread_sigmask(SIG_BLOCK, &beyond, &before);
    PMEMobjpool *pop = pmemobj_create(path, MEGA__LAYOUT_NAME, size, POOL_MODE);
    int err = errno;
    if (!pop && err == EFBIG)
        (void)sigtimedwait(&beyond, NULL, &now);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = err;
    return pop;
}

mega_status_t mega__pool_create(const char *path, uint64_t size,
                                const struct mega__pool_ident *ident,
                                struct mega__pool **pool_p)
{
    mega_status_t st = mega__pool_check_size(size);
    if (st)
        return st;
    struct mega__pool *pool = new_pool(path);
    if (!pool)
        return MEGA_ERR_NOMEM;
    pool->pop = make_file(path, size);
    st = pool->pop ? complete(pool) : refuse("create", path);
    if (st) {
        int made = pool->pop != NULL;
        mega__pool_close(&pool);
        if (made)
            unlink(path);
        return st;
    }
    struct mega__pool_root *root = mega__pool_root(pool);
    memset(root, 0, sizeof *root);
    root->ident = *ident;
    root->ident.self = pool->root_off;
    root->ident.crc = mega__crc(&root->ident, sizeof root->ident - 4);
    pmemobj_persist(pool->pop, root, sizeof *root);
    *pool_p = pool;
    return MEGA_OK;
}

/* libpmemobj reads beyond the end of a file that was cut below its least. */
static mega_status_t refuse_stump(const char *path)
{
    struct stat sb;
    if (stat(path, &sb) != 0 || !S_ISREG(sb.st_mode) ||
        sb.st_size >= (off_t)PMEMOBJ_MIN_POOL)
        return MEGA_OK; /* libpmemobj says the rest */
    return mega__fail(MEGA_ERR_DAMAGED,
                      "%s is cut short: it has %lld bytes, no pool has less "
                      "than %lld: restore the file from a copy",
                      path, (long long)sb.st_size, (long long)PMEMOBJ_MIN_POOL);
}

mega_status_t mega__pool_open(const char *path, struct mega__pool **pool_p)
{
    mega_status_t cut = refuse_stump(path);
    if (cut)
        return cut;
    struct mega__pool *pool = new_pool(path);
    if (!pool)
        return MEGA_ERR_NOMEM;
    pool->pop = pmemobj_open(path, MEGA__LAYOUT_NAME);
    mega_status_t st = pool->pop ? complete(pool) : refuse("open", path);
    if (st) {
        mega__pool_close(&pool);
        return st;
    }
    *pool_p = pool;
    return MEGA_OK;
}

mega_status_t mega__pool_map(const char *path, struct mega__file file,
                             uint64_t root_off, struct mega__pool **pool_p)
{
    struct mega__pool *pool = new_pool(path);
    if (!pool)
        return MEGA_ERR_NOMEM;
    int fd = open(path, O_RDWR | O_CLOEXEC);
    mega_status_t st = fd < 0 ? refuse("map", path) : find_domain(pool, fd);
    if (st)
        goto err_close;
    if (pool->file.inode != file.inode || pool->file.device != file.device) {
        st = mega__fail(MEGA_ERR_MISMATCH,
                        "%s is not the file that its server has open: is "
                        "another file mounted over it here?",
                        path);
        goto err_close;
    }
    off_t end = lseek(fd, 0, SEEK_END);
    pool->size = end > 0 ? (uint64_t)end : 0;
    int flags = pool->domain == MEGA_DOMAIN_POWER
                    ? MAP_SHARED_VALIDATE | MAP_SYNC
                    : MAP_SHARED;
    void *base = mmap(NULL, pool->size, PROT_READ | PROT_WRITE, flags, fd, 0);
    if (base == MAP_FAILED) {
        st = mega__fail(MEGA_ERR_IO, "map %s: %s", path, strerror(errno));
        goto err_close;
    }
    close(fd);
    pool->base = base;
    pool->root_off = root_off;
    *pool_p = pool;
    return MEGA_OK;

err_close:
    if (fd >= 0)
        close(fd);
    free(pool);
    return st;
}

/* The root's first record tells its own place. libpmemobj puts the root before
 * any span. */
static bool find_root(struct mega__pool *pool)
{
    struct mega__pool_ident id;
    uint64_t end = pool->size < ROOT_WITHIN ? pool->size : ROOT_WITHIN;
    for (uint64_t at = 0; at + sizeof(struct mega__pool_root) <= end;
         at += ROOT_STEP) {
        memcpy(&id, pool->base + at, sizeof id);
        if (id.magic == MEGA__POOL_MAGIC && id.self == at &&
            id.crc == mega__crc(&id, sizeof id - 4)) {
            pool->root_off = at;
            return true;
        }
    }
    return false;
}

mega_status_t mega__pool_view(const char *path, struct mega__pool **pool_p)
{
    struct mega__pool *pool = new_pool(path);
    if (!pool)
        return MEGA_ERR_NOMEM;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe */
    mega_status_t st = fd < 0 ? refuse("view", path) : find_domain(pool, fd);
    off_t end = st ? 0 : lseek(fd, 0, SEEK_END);
    pool->how = MEGA__HOW_NONE;
    pool->size = end > 0 ? (uint64_t)end : 0;
    if (!st && pool->size > 0) {
        void *base = mmap(NULL, pool->size, PROT_READ, MAP_SHARED, fd, 0);
        pool->base = base == MAP_FAILED ? NULL : base;
        if (!pool->base)
            st = mega__fail(MEGA_ERR_IO, "map %s: %s", path, strerror(errno));
    }
    if (fd >= 0)
        close(fd);
    if (!st && !find_root(pool))
        st = mega__fail(MEGA_ERR_DAMAGED,
                        "%s has no root of Megalloc: restore the file from a "
                        "copy, or move it away",
                        path);
    if (st)
        mega__pool_close(&pool);
    else
        *pool_p = pool;
    return st;
}

void mega__pool_close(struct mega__pool **pool_p)
{
    struct mega__pool *pool = *pool_p;
    *pool_p = NULL;
    if (!pool)
        return;
    if (pool->pop)
        pmemobj_close(pool->pop);
    else if (pool->base)
        munmap(pool->base, pool->size);
    free(pool);
}

struct mega__pool_root *mega__pool_root(const struct mega__pool *pool)
{
    return (struct mega__pool_root *)(void *)(pool->base + pool->root_off);
}

uint64_t mega__pool_root_off(const struct mega__pool *pool)
{
    return pool->root_off;
}

char *mega__pool_base(const struct mega__pool *pool)
{
    return pool->base;
}

uint64_t mega__pool_size(const struct mega__pool *pool)
{
    return pool->size;
}

struct mega__file mega__pool_file(const struct mega__pool *pool)
{
    return pool->file;
}

enum mega__how mega__pool_how(const struct mega__pool *pool)
{
    return pool->how;
}

mega_domain_t mega__pool_domain(const struct mega__pool *pool)
{
    return pool->domain;
}

/* ---- Spans as objects ---- */

static PMEMoid *oid_of(struct mega__pool *pool, unsigned slot)
{
    return (PMEMoid *)(void *)&mega__pool_root(pool)->oids[slot];
}

/* What the pool's other spans leave, an upper bound. */
static uint64_t room_in(struct mega__pool *pool)
{
    const struct mega__pool_root *root = mega__pool_root(pool);
    uint64_t used = POOL_OVERHEAD;
    for (unsigned i = 0; i < MEGA__POOL_SPANS; i++)
        if (root->oids[i].off)
            used += pmemobj_alloc_usable_size(*oid_of(pool, i));
    return used < pool->size ? pool->size - used : 0;
}

mega_status_t mega__pool_add_span(struct mega__pool *pool, unsigned slot,
                                  uint64_t min, uint64_t *base_p,
                                  uint64_t *size_p)
{
    PMEMoid *oid = oid_of(pool, slot);
    uint64_t want = room_in(pool);
    if (want > PMEMOBJ_MAX_ALLOC_SIZE)
        want = PMEMOBJ_MAX_ALLOC_SIZE;
    int rc = -1;
    for (int i = 0; rc && i < ADD_SPAN_TRIES && want >= min; i++) {
        rc = pmemobj_alloc(pool->pop, oid, want, 0, NULL, NULL);
        want = want > CHUNK_STEP ? want - CHUNK_STEP : 0;
    }
    if (rc)
        return mega__fail(MEGA_ERR_MEDIUM_FULL,
                          "%s has no room for a span of %llu bytes", pool->path,
                          (unsigned long long)min);
    uint64_t base = (oid->off + MEGA__SPAN_ALIGN - 1) & ~(MEGA__SPAN_ALIGN - 1);
    uint64_t end = oid->off + pmemobj_alloc_usable_size(*oid);
    uint64_t size =
        end > base ? (end - base) & ~(uint64_t)(MEGA__EXTENT - 1) : 0;
    if (size < min) {
        pmemobj_free(oid);
        return mega__fail(MEGA_ERR_MEDIUM_FULL,
                          "%s has no room for a span of %llu bytes", pool->path,
                          (unsigned long long)min);
    }
    *base_p = base;
    *size_p = size;
    return MEGA_OK;
}

void mega__pool_drop_span(struct mega__pool *pool, unsigned slot)
{
    pmemobj_free(oid_of(pool, slot));
}

mega_status_t mega__pool_sync(struct mega__pool *pool)
{
    int fd = open(pool->path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return refuse("sync", pool->path);
    int rc = fsync(fd);
    int err = errno;
    close(fd);
    if (rc == 0 || err == EINVAL) /* a DAX device has no such call */
        return MEGA_OK;
    mega__pool_distrust();
    return mega__fail(MEGA_ERR_IO,
                      "fsync %s: %s; end the job, look after the medium, and "
                      "start it again",
                      pool->path, strerror(err));
}
