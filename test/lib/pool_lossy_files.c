/* SPDX-License-Identifier: BSD-3-Clause */
/* pool_lossy_files.c - see pool_lossy.c: pool files by name. */
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "medium.h"

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

mega_status_t mega__pool_find(const char *pattern,
                              void (*fn)(const char *path, void *arg),
                              void *arg)
{
    struct medium *m = medium_in_use();
    size_t n = 0;
    medium_lock(m);
    char **names = calloc(m->nfiles + 1, sizeof *names);
    for (size_t i = 0; i < m->nfiles; i++)
        if (m->files[i]->host == medium_host() &&
            fnmatch(pattern, m->files[i]->name, FNM_PATHNAME | FNM_PERIOD) == 0)
            names[n++] = strdup(m->files[i]->name);
    medium_unlock(m);
    qsort(names, n, sizeof *names, by_name);
    for (size_t i = 0; i < n; i++) {
        fn(names[i], arg);
        free(names[i]);
    }
    free(names);
    return MEGA_OK;
}

/* Names are durable here, and directories are real. */
mega_status_t mega__pool_sync_name(const char *path)
{
    (void)path;
    return MEGA_OK;
}

mega_status_t mega__pool_rename(const char *from, const char *to)
{
    struct medium *m = medium_in_use();
    mega_status_t st = MEGA_OK;
    medium_lock(m);
    medium_point(m, "rename", NULL, 0);
    struct medium_file *file = medium_find(m, from);
    struct medium_file *old = medium_find(m, to);
    if (!file) {
        st = mega__fail(MEGA_ERR_IO, "rename %s: no such file", from);
    } else {
        if (old)
            medium_remove(m, old);
        free(file->name);
        file->name = strdup(to);
        medium_point(m, "renamed", NULL, 0);
    }
    medium_unlock(m);
    return st;
}

mega_status_t mega__pool_unlink(const char *path)
{
    struct medium *m = medium_in_use();
    medium_lock(m);
    struct medium_file *file = medium_find(m, path);
    if (file) {
        medium_point(m, "unlink", NULL, 0);
        medium_remove(m, file);
        medium_point(m, "unlinked", NULL, 0);
    }
    medium_unlock(m);
    return MEGA_OK;
}

/* Each is seen by one host. */
uint64_t mega__pool_number(const char *path, bool write)
{
    (void)path, (void)write;
    return 1;
}

uint64_t mega__pool_left(const char *path)
{
    struct medium *m = medium_in_use();
    (void)path;
    medium_lock(m);
    uint64_t used = medium_bytes(m);
    uint64_t left = used < m->capacity ? m->capacity - used : 0;
    medium_unlock(m);
    return left;
}
