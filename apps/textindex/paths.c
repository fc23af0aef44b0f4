/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * paths.c - the regular files under the PATHs of the command line.
 */
#include "paths.h"

#include <errno.h>
#include <fts.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "job.h"

static void add(struct ti_paths *list, const FTSENT *f)
{
    list->v = ti_room(list->v, &list->cap, list->count + 1, sizeof *list->v);
    char *path = ti_realloc(NULL, f->fts_pathlen + 1u);
    memcpy(path, f->fts_path, f->fts_pathlen);
    path[f->fts_pathlen] = '\0';
    list->v[list->count++] = path;
    list->bytes += (uint64_t)f->fts_statp->st_size;
}

static void refuse(struct ti_paths *list, const char *path, const char *why)
{
    ti_say("%s: %s; skipped", path, why);
    list->unreadable++;
}

static void visit(struct ti_paths *list, const FTSENT *f)
{
    switch (f->fts_info) {
    case FTS_F:
        add(list, f);
        break;
    case FTS_DNR:
    case FTS_ERR:
    case FTS_NS:
        refuse(list, f->fts_path, strerror(f->fts_errno));
        break;
    case FTS_DEFAULT:
    case FTS_SLNONE:
        /* Devices and the like are no text; only a PATH that is one is told. */
        if (f->fts_level == FTS_ROOTLEVEL)
            refuse(list, f->fts_path, "not a regular file or directory");
        break;
    default: /* directories themselves, symbolic links */
        break;
    }
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* PATHs may overlap. */
static void drop_doubles(struct ti_paths *list)
{
    size_t left = 0;

    for (size_t i = 0; i < list->count; i++) {
        if (left > 0 && strcmp(list->v[left - 1], list->v[i]) == 0)
            free(list->v[i]);
        else
            list->v[left++] = list->v[i];
    }
    list->count = left;
}

static void walk(struct ti_paths *list, char *path)
{
    char *roots[] = {path, NULL};
    FTS *fts =
        fts_open(roots, FTS_PHYSICAL | FTS_COMFOLLOW | FTS_NOCHDIR, NULL);

    if (!fts) {
        refuse(list, path, strerror(errno));
        return;
    }
    errno = 0;
    for (FTSENT *f; (f = fts_read(fts)) != NULL; errno = 0)
        visit(list, f);
    if (errno)
        refuse(list, path, strerror(errno));
    fts_close(fts);
}

char *ti_path_trimmed(const char *path)
{
    size_t len = strlen(path);

    while (len > 1 && path[len - 1] == '/')
        len--;
    char *copy = ti_realloc(NULL, len + 1);
    memcpy(copy, path, len);
    copy[len] = '\0';
    return copy;
}

void ti_paths_find(struct ti_paths *list, char **arg, size_t nargs)
{
    *list = (struct ti_paths){0};
    for (size_t i = 0; i < nargs; i++) {
        char *path = ti_path_trimmed(arg[i]);
        walk(list, path);
        free(path);
    }
    if (list->count > 0)
        qsort(list->v, list->count, sizeof *list->v, by_bytes);
    drop_doubles(list);
}

void ti_paths_free(struct ti_paths *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->v[i]);
    free(list->v);
    *list = (struct ti_paths){0};
}
