/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lockfile.c - locks on open file descriptions (fcntl(2), F_OFD_SETLK): they
 * convert from exclusive to shared without a gap, end with the process, and
 * hold between threads of one process too. /proc/locks does not know the
 * owners of such locks, so the holders are found by their open descriptors.
 */
#include "lockfile.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <time.h>
#include <unistd.h>

#include "log.h"
#include "rest.h"

#ifndef CIFS_SUPER_MAGIC
#define CIFS_SUPER_MAGIC 0xFF534D42
#endif
#define LUSTRE_SUPER_MAGIC 0x0BD00BD0

enum role { CHANGE, READ };

static mega_status_t not_opened(const char *path, enum role role, int err)
{
    const char *remedy = "";
    const bool full = err == ENOSPC || err == EDQUOT;
    if (full)
        remedy = ": free space, or files, there";
    else if (err == ENOTDIR)
        remedy = ": set MEGALLOC_DIR to a directory";
    else if (err == EROFS)
        remedy = ": mount it to be written; a job with MEGALLOC_OPEN=degraded "
                 "only reads";
    else if (err == EACCES && role == READ)
        remedy = ": let this user read it (chmod, chown)";
    else if (err == EACCES)
        remedy = ": let this user write it (chmod, chown); a job with "
                 "MEGALLOC_OPEN=degraded only reads";
    return mega__fail(full ? MEGA_ERR_MEDIUM_FULL : MEGA_ERR_IO,
                      "open %s: %s%s", path, strerror(err), remedy);
}

/* *fd_p is -1: there is none, and this reader may not make one. */
static mega_status_t open_file(const char *path, enum role role, int *fd_p)
{
    struct statfs fs;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 && role == READ && (errno == EACCES || errno == EROFS)) {
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        *fd_p = -1;
        if (fd < 0 && errno == ENOENT)
            return MEGA_OK;
    }
    if (fd < 0)
        return not_opened(path, role, errno);
    if (fstatfs(fd, &fs) == 0 &&
        (fs.f_type == NFS_SUPER_MAGIC || fs.f_type == (long)CIFS_SUPER_MAGIC ||
         fs.f_type == LUSTRE_SUPER_MAGIC)) {
        close(fd);
        return mega__fail(MEGA_ERR_UNSUPPORTED,
                          "%s lies on a network file system, where another "
                          "host could open the home too: set MEGALLOC_DIR to "
                          "local memory or a local disk",
                          path);
    }
    *fd_p = fd;
    return MEGA_OK;
}

/* Of the whole file, or, len, so many bytes from its first. */
static int set_lock(int fd, short type, off_t len)
{
    struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_len = len};
    return fcntl(fd, F_OFD_SETLK, &lock);
}

/* A reader's byte keeps who would change the home out. Who does so already has
 * the bytes behind it, too, by now perhaps only shared. */
static int try_lock(int fd, enum role role)
{
    struct flock behind = {
        .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 1};
    if (role == CHANGE)
        return set_lock(fd, F_WRLCK, 0);
    if (set_lock(fd, F_RDLCK, 1) != 0 || fcntl(fd, F_OFD_GETLK, &behind) != 0)
        return -1;
    if (behind.l_type == F_UNLCK)
        return 0;
    set_lock(fd, F_UNLCK, 1);
    errno = EAGAIN;
    return -1;
}

/* ---- Naming the holders ---- */

static int holds(const char *pid, const struct stat *file)
{
    char name[300];
    int found = 0;
    snprintf(name, sizeof name, "/proc/%.20s/fd", pid);
    DIR *fds = opendir(name);
    if (!fds)
        return 0;
    for (struct dirent *e; !found && (e = readdir(fds)) != NULL;) {
        struct stat sb;
        snprintf(name, sizeof name, "/proc/%.20s/fd/%.20s", pid, e->d_name);
        found = e->d_name[0] != '.' && stat(name, &sb) == 0 &&
                sb.st_ino == file->st_ino && sb.st_dev == file->st_dev;
    }
    closedir(fds);
    return found;
}

static void name_holders(int fd, char *text, size_t size)
{
    struct stat file;
    size_t used = 0;
    DIR *proc = opendir("/proc");
    text[0] = '\0';
    if (!proc || fstat(fd, &file) != 0)
        goto done;
    for (struct dirent *e; (e = readdir(proc)) != NULL;) {
        long pid = strtol(e->d_name, NULL, 10);
        if (pid <= 0 || pid == (long)getpid() || !holds(e->d_name, &file))
            continue;
        int n =
            snprintf(text + used, size - used, "%s%ld", used ? ", " : "", pid);
        if (n < 0 || used + (size_t)n >= size)
            break;
        used += (size_t)n;
    }
done:
    if (proc)
        closedir(proc);
    if (used == 0)
        snprintf(text, size, "unknown (another user's)");
}

static mega_status_t take(const char *path, enum role role, unsigned patience,
                          int *fd_p)
{
    int fd = -1;
    mega_status_t st = open_file(path, role, &fd);
    if (st)
        return st;
    /* Ranks of a job that was killed take a moment to die. */
    const uint64_t until = mega__rest_now() + patience * UINT64_C(1000000000);
    while (fd >= 0 && try_lock(fd, role) != 0) {
        if (errno != EAGAIN && errno != EACCES) {
            st = mega__fail(MEGA_ERR_IO, "lock %s: %s", path, strerror(errno));
        } else if (mega__rest_now() >= until) {
            char pids[200];
            name_holders(fd, pids, sizeof pids);
            st = mega__fail(MEGA_ERR_BUSY,
                            "the space is in use: %s is held by process %s; "
                            "wait for that job, or end it",
                            path, pids);
        }
        if (st) {
            close(fd);
            return st;
        }
        nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
    }
    *fd_p = fd;
    return MEGA_OK;
}

/* ---- For siblings ---- */

mega_status_t mega__lockfile_exclusive(const char *path, unsigned patience,
                                       int *fd_p)
{
    return take(path, CHANGE, patience, fd_p);
}

mega_status_t mega__lockfile_reader(const char *path, unsigned patience,
                                    int *fd_p)
{
    return take(path, READ, patience, fd_p);
}

mega_status_t mega__lockfile_share(int fd)
{
    if (set_lock(fd, F_RDLCK, 0) != 0)
        return mega__fail(MEGA_ERR_IO, "share a lock: %s", strerror(errno));
    return MEGA_OK;
}

mega_status_t mega__lockfile_shared(const char *path, int *fd_p)
{
    int fd = -1;
    mega_status_t st = open_file(path, CHANGE, &fd);
    if (st)
        return st;
    if (set_lock(fd, F_RDLCK, 0) != 0) {
        close(fd);
        return mega__fail(MEGA_ERR_BUSY, "lock %s: %s", path, strerror(errno));
    }
    *fd_p = fd;
    return MEGA_OK;
}

void mega__lockfile_release(int *fd_p)
{
    if (*fd_p >= 0)
        close(*fd_p);
    *fd_p = -1;
}
