/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * share.c - see share.h: a memory file without a name, made by the host's first
 * rank, so no crash leaves it behind. The others open it where /proc shows the
 * first one's files.
 */
#include "share.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "boot.h"
#include "log.h"

struct invitation {
    mega_status_t status;
    int fd; /* of the first rank, open until all have come; -1 */
    pid_t pid;
    dev_t dev;
    ino_t ino;
    size_t mapped;
    char text[MEGA__ERRMSG_MAX];
};

static mega_status_t map(int fd, size_t bytes, void **p_p)
{
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED)
        return mega__fail(MEGA_ERR_IO, "mmap of %zu bytes of shared memory: %s",
                          bytes, strerror(errno));
    *p_p = p;
    return MEGA_OK;
}

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8u /* Linux 6.3; it may be asked for by a sysctl */
#endif

static int new_file(void)
{
    int fd = memfd_create("megalloc", MFD_CLOEXEC | MFD_NOEXEC_SEAL);
    return fd < 0 && errno == EINVAL ? memfd_create("megalloc", MFD_CLOEXEC)
                                     : fd;
}

/* fallocate: without room a store would end the process. */
static mega_status_t make(struct invitation *inv, size_t bytes, void **p_p)
{
    struct stat sb;
    inv->fd = new_file();
    if (inv->fd < 0 || fstat(inv->fd, &sb) != 0)
        return mega__fail(MEGA_ERR_IO, "memfd_create: %s", strerror(errno));
    inv->pid = getpid();
    inv->dev = sb.st_dev;
    inv->ino = sb.st_ino;
    int err;
    do /* a signal of the program may cut it off, before Linux 6.18 */
        err = posix_fallocate(inv->fd, 0, (off_t)bytes);
    while (err == EINTR);
    if (err)
        return mega__fail(MEGA_ERR_IO, "%zu bytes of shared memory: %s", bytes,
                          strerror(err));
    return map(inv->fd, inv->mapped, p_p);
}

static mega_status_t join(const struct invitation *inv, void **p_p, int *fd_p)
{
    char path[64];
    struct stat sb;
    snprintf(path, sizeof path, "/proc/%ld/fd/%d", (long)inv->pid, inv->fd);
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &sb) != 0 || sb.st_dev != inv->dev ||
        sb.st_ino != inv->ino) {
        mega_status_t st = mega__fail(
            MEGA_ERR_IO,
            "%s, memory of another rank of this host: %s: ranks that do not "
            "see each other's processes need a MEGALLOC_HOST of their own",
            path, fd < 0 ? strerror(errno) : "it is another file");
        if (fd >= 0)
            close(fd);
        return st;
    }
    *fd_p = fd;
    return map(fd, inv->mapped, p_p);
}

mega_status_t mega__share_file(struct mega__ctx *ctx, size_t bytes,
                               size_t mapped, void **p_p, int *fd_p)
{
    struct invitation inv;
    bool first = ctx->place.host_rank == 0;
    void *p = NULL;
    int fd = -1;
    memset(&inv, 0, sizeof inv);
    inv.mapped = mapped;
    inv.fd = -1;
    if (first) {
        inv.status = make(&inv, bytes, &p);
        fd = inv.fd;
        if (inv.status)
            memcpy(inv.text, mega__errmsg_buffer(), sizeof inv.text);
        else
            ((struct mega__shared *)p)->bytes = mapped;
    }
    mega_status_t st = mega__boot_host_bcast(ctx->boot, &inv, sizeof inv);
    if (!st && inv.status)
        st = mega__fail(inv.status, "%s", inv.text);
    if (!st && !first)
        st = join(&inv, &p, &fd);
    mega_status_t met = mega__boot_host_barrier(ctx->boot);
    if (st || met) {
        if (fd >= 0)
            close(fd);
        if (p)
            munmap(p, inv.mapped);
        return st ? st : met;
    }
    *p_p = p;
    *fd_p = fd;
    return MEGA_OK;
}

mega_status_t mega__share(struct mega__ctx *ctx, size_t bytes, void **p_p)
{
    int fd;
    mega_status_t st = mega__share_file(ctx, bytes, bytes, p_p, &fd);
    if (!st)
        close(fd);
    return st;
}

void mega__unshare(void *p)
{
    if (p)
        munmap(p, ((struct mega__shared *)p)->bytes);
}
