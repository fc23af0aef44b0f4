/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * seg.c - what the ranks of a host share: made by its first rank in /dev/shm,
 * unlinked as soon as all have mapped it: only a crash in between leaves it
 * behind.
 */
#include "seg.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "log.h"

struct invitation {
    mega_status_t status;
    size_t bytes;
    char name[64];
    char text[MEGA__ERRMSG_MAX];
};

static size_t homes_offset(uint32_t nranks)
{
    size_t end =
        sizeof(struct mega__seg) + nranks * sizeof(struct mega__seg_rank);
    return (end + MEGA__LINE - 1) & ~(size_t)(MEGA__LINE - 1);
}

/* fallocate: with /dev/shm full a store would end the process. */
static mega_status_t map(const char *name, int flags, size_t bytes, void **p_p)
{
    int fd = shm_open(name, O_RDWR | flags, 0600);
    if (fd < 0)
        return mega__fail(MEGA_ERR_IO, "shm_open %s: %s", name,
                          strerror(errno));
    int err = flags & O_CREAT ? posix_fallocate(fd, 0, (off_t)bytes) : 0;
    void *p = MAP_FAILED;
    if (!err) {
        p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        err = errno;
    }
    close(fd);
    if (p == MAP_FAILED) {
        if (flags & O_CREAT)
            shm_unlink(name);
        return mega__fail(MEGA_ERR_IO,
                          "%zu bytes of shared memory: %s: make room in "
                          "/dev/shm, or the limit of it larger",
                          bytes, strerror(err));
    }
    *p_p = p;
    return MEGA_OK;
}

static void invite(const struct mega__ctx *ctx, struct invitation *inv,
                   void **p_p)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    snprintf(inv->name, sizeof inv->name, "/megalloc-%ld-%d-%lx-%lx",
             (long)getpid(), ctx->place.host, (unsigned long)now.tv_sec,
             (unsigned long)now.tv_nsec);
    inv->status = map(inv->name, O_CREAT | O_EXCL, inv->bytes, p_p);
    if (inv->status)
        memcpy(inv->text, mega__errmsg_buffer(), sizeof inv->text);
}

mega_status_t mega__seg_share(struct mega__ctx *ctx, size_t bytes, void **p_p)
{
    struct invitation inv;
    bool first = ctx->place.host_rank == 0;
    void *p = NULL;
    memset(&inv, 0, sizeof inv);
    inv.bytes = bytes;
    if (first)
        invite(ctx, &inv, &p);
    if (p)
        ((struct mega__shared *)p)->bytes = bytes;
    mega_status_t st = mega__boot_host_bcast(ctx->boot, &inv, sizeof inv);
    if (!st && inv.status)
        st = mega__fail(inv.status, "%s", inv.text);
    if (!st && !first)
        st = map(inv.name, 0, inv.bytes, &p);
    mega_status_t met = mega__boot_host_barrier(ctx->boot);
    if (first && !inv.status)
        shm_unlink(inv.name);
    if (st || met) {
        if (p)
            munmap(p, inv.bytes);
        return st ? st : met;
    }
    *p_p = p;
    return MEGA_OK;
}

void mega__seg_unshare(void *p)
{
    if (p)
        munmap(p, ((struct mega__shared *)p)->bytes);
}

mega_status_t mega__seg_open(struct mega__ctx *ctx, uint32_t nhomes,
                             struct mega__seg **seg_p)
{
    size_t homes_off = homes_offset((uint32_t)ctx->place.host_nranks);
    size_t bytes = homes_off + nhomes * sizeof(struct mega__seg_home);
    void *p;
    mega_status_t st = mega__seg_share(ctx, bytes, &p);
    if (st)
        return st;
    struct mega__seg *seg = *seg_p = p;
    if (ctx->place.host_rank == 0) {
        seg->nhomes = nhomes;
        seg->nranks = (uint32_t)ctx->place.host_nranks;
        seg->homes_off = homes_off;
    }
    return MEGA_OK;
}

void mega__seg_close(struct mega__seg **seg_p)
{
    mega__seg_unshare(*seg_p);
    *seg_p = NULL;
}

struct mega__seg_home *mega__seg_home(struct mega__seg *seg, uint32_t index)
{
    struct mega__seg_home *homes =
        (struct mega__seg_home *)(void *)((char *)seg + seg->homes_off);
    return &homes[index];
}
