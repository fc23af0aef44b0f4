/* SPDX-License-Identifier: BSD-3-Clause */
/* pool_files.c - pool files by name: found, renamed, removed. */
#include "pool.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "log.h"

static _Thread_local struct {
    bool any; /* of many directories: some may be others' */
    int err;
} listing;

/* A directory that is there and cannot be listed may hold pool files, and who
 * takes it for empty makes new ones over them. */
static int cannot_list(const char *dir, int err)
{
    if (err == ENOENT || err == ENOTDIR || err == ENAMETOOLONG ||
        (err == EACCES && listing.any &&
         faccessat(AT_FDCWD, dir, W_OK | X_OK, AT_EACCESS) != 0))
        return 0;
    listing.err = err;
    return 1;
}

mega_status_t mega__pool_find(const char *pattern,
                              void (*fn)(const char *path, void *arg),
                              void *arg)
{
    glob_t found;
    char text[8448]; /* quoted */
    if (strlen(pattern) >= sizeof text)
        return mega__fail(MEGA_ERR_ARG, "%.80s...: name too long", pattern);
    strcpy(text, pattern);
    listing.any = glob_pattern_p(dirname(text), 1);
    int rc = glob(pattern, 0, cannot_list, &found);
    if (rc == GLOB_NOMATCH)
        return MEGA_OK;
    if (rc == GLOB_NOSPACE)
        return mega__fail(MEGA_ERR_NOMEM, "no memory to list %s", pattern);
    if (rc != 0) {
        globfree(&found);
        return mega__fail(MEGA_ERR_IO, "cannot list %s: %s%s", pattern,
                          strerror(listing.err),
                          listing.err == EACCES
                              ? ": let this user read its directory (chmod, "
                                "chown), or set MEGALLOC_DIR"
                              : "");
    }
    for (size_t i = 0; i < found.gl_pathc; i++)
        fn(found.gl_pathv[i], arg);
    globfree(&found);
    return MEGA_OK;
}

mega_status_t mega__pool_sync_name(const char *file)
{
    char text[4096];
    if (strlen(file) >= sizeof text)
        return mega__fail(MEGA_ERR_ARG, "%.80s...: name too long", file);
    strcpy(text, file);
    const char *dir = dirname(text);
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = fd < 0 ? -1 : fsync(fd);
    int err = errno;
    if (fd >= 0)
        close(fd);
    if (rc != 0 && err != EINVAL)
        return mega__fail(MEGA_ERR_IO, "fsync %s: %s", dir, strerror(err));
    return MEGA_OK;
}

mega_status_t mega__pool_rename(const char *from, const char *to)
{
    if (rename(from, to) != 0)
        return mega__fail(MEGA_ERR_IO, "rename %s to %s: %s", from, to,
                          strerror(errno));
    return mega__pool_sync_name(to);
}

mega_status_t mega__pool_unlink(const char *path)
{
    if (unlink(path) != 0 && errno != ENOENT)
        return mega__fail(MEGA_ERR_IO, "remove %s: %s", path, strerror(errno));
    return MEGA_OK;
}

uint64_t mega__pool_number(const char *path, bool write)
{
    const uint64_t odd = UINT64_C(0x9e3779b97f4a7c15);
    struct stat sb;
    if (faccessat(AT_FDCWD, path, write ? R_OK | W_OK : R_OK, AT_EACCESS) ||
        stat(path, &sb) != 0)
        return 0;
    uint64_t number = (sb.st_ino * odd ^ sb.st_dev) * odd;
    return number ? number : 1;
}

uint64_t mega__pool_left(const char *path)
{
    struct statvfs fs;
    /* a tmpfs without a limit says that it has no blocks */
    if (statvfs(path, &fs) != 0 || fs.f_blocks == 0)
        return UINT64_MAX;
    return (uint64_t)fs.f_bavail * fs.f_frsize;
}
