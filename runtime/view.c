/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * view.c - what a rank sees of the files of a space, by their names: which
 * homes there are, and whether another rank sees the same. A rank may be in a
 * container that hides a file or shows another, or may not read it.
 */
#include "view.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log.h"
#include "pool.h"
#include "pool_name.h"

/* ---- The directory ---- */

/* The directory as a glob pattern: what was %n becomes a star. */
mega_status_t mega__view_pattern(const struct mega__conf *conf, char *out,
                                 size_t size)
{
    char low[MEGA__PATH], high[MEGA__PATH];
    mega_status_t st = mega__conf_dir(conf, 7, low, sizeof low - 64);
    if (!st)
        st = mega__conf_dir(conf, 8, high, sizeof high - 64);
    size_t used = 0;
    for (size_t i = 0; !st && low[i]; i++) {
        if (used + 4 > size)
            return mega__fail(MEGA_ERR_CONF, "MEGALLOC_DIR is too long");
        if (low[i] == high[i] && strchr("*?[]\\", low[i]))
            out[used++] = '\\';
        out[used++] = low[i] == high[i] ? low[i] : '*';
    }
    out[used] = '\0';
    return st;
}

static mega_status_t make(char *dir)
{
    for (char *slash = dir + 1;; slash++) { /* mkdir -p */
        slash += strcspn(slash, "/");
        char kept = *slash;
        *slash = '\0';
        mega_status_t st = MEGA_OK;
        if (mkdir(dir, 0700) == 0)
            st = mega__pool_sync_name(dir);
        else if (errno == ENOSPC || errno == EDQUOT)
            st = mega__fail(MEGA_ERR_MEDIUM_FULL,
                            "make directory %s: %s: free space, or files, "
                            "there",
                            dir, strerror(errno));
        else if (errno != EEXIST)
            st = mega__fail(MEGA_ERR_IO,
                            "make directory %s: %s: set MEGALLOC_DIR to a "
                            "place that you may write",
                            dir, strerror(errno));
        if (st)
            return st;
        *slash = kept;
        if (!kept)
            return MEGA_OK;
    }
}

/* Anybody may make a directory where the usual one lies; whose it is could
 * change the files under us. */
static mega_status_t check_owner(const struct mega__conf *conf)
{
    char dir[MEGA__PATH];
    struct stat sb;
    mega_status_t st = mega__conf_dir(conf, 0, dir, sizeof dir);
    if (st || conf->dir.v.text[0] || lstat(dir, &sb) != 0 ||
        sb.st_uid == geteuid())
        return st;
    return mega__fail(MEGA_ERR_IO,
                      "%s belongs to another user, %u: have it removed, or set "
                      "MEGALLOC_DIR",
                      dir, (unsigned)sb.st_uid);
}

mega_status_t mega__view_make_dir(const struct mega__conf *conf, uint32_t home)
{
    char dir[MEGA__PATH];
    mega_status_t st = mega__conf_dir(conf, home, dir, sizeof dir);
    if (!st)
        st = make(dir);
    return st ? st : check_owner(conf);
}

/* ---- The homes ---- */

struct found {
    struct mega__seen *list;
    size_t n, room;
    bool write;
    mega_status_t status;
};

static void note_found(const char *path, void *arg)
{
    struct found *f = arg;
    uint32_t home, k;
    const char *rest;
    if (f->status || !mega__pool_name(path, &home, &k, &rest) || k != 0 ||
        *rest != '\0') /* it may be a copy */
        return;
    if (f->n == f->room) {
        size_t room = f->room ? 2 * f->room : 64;
        struct mega__seen *list = realloc(f->list, room * sizeof *list);
        if (!list) {
            f->status = mega__fail(MEGA_ERR_NOMEM, "no memory to list homes");
            return;
        }
        f->list = list;
        f->room = room;
    }
    f->list[f->n++] =
        (struct mega__seen){home, mega__pool_number(path, f->write)};
}

static int by_number(const void *a, const void *b)
{
    uint32_t x = ((const struct mega__seen *)a)->home;
    uint32_t y = ((const struct mega__seen *)b)->home;
    return (x > y) - (x < y);
}

mega_status_t mega__view_find(const struct mega__conf *conf,
                              struct mega__seen **list_p, size_t *n_p)
{
    char pattern[2 * MEGA__PATH];
    struct found f = {.write = conf->open.v.number != MEGA__OPEN_DEGRADED};
    mega_status_t st = check_owner(conf);
    if (!st)
        st = mega__view_pattern(conf, pattern, sizeof pattern - 32);
    if (!st) {
        strcat(pattern, "/home-*.0.pool");
        st = mega__pool_find(pattern, note_found, &f);
    }
    if (!st)
        st = f.status;
    if (st) {
        free(f.list);
        return st;
    }
    if (f.n)
        qsort(f.list, f.n, sizeof *f.list, by_number);
    *list_p = f.list;
    *n_p = f.n;
    return MEGA_OK;
}

/* ---- Whether it is the same ---- */

/* Up to where the directories of homes part. */
static uint64_t directory(const struct mega__conf *conf)
{
    char low[MEGA__PATH], high[MEGA__PATH];
    const uint64_t open = conf->open.v.number;
    size_t same = 0;
    if (mega__conf_dir(conf, 7, low, sizeof low - 64) ||
        mega__conf_dir(conf, 8, high, sizeof high - 64))
        return 0;
    while (low[same] && low[same] == high[same])
        same++;
    while (low[same] && same > 0 && low[same - 1] != '/')
        same--;
    low[same] = '\0';
    if (same > 1 && (open == MEGA__OPEN_AUTO || open == MEGA__OPEN_CREATE) &&
        make(low))
        return 0; /* who has to make a home there says so */
    return mega__pool_number(low, open != MEGA__OPEN_DEGRADED);
}

uint64_t mega__view_number(const struct mega__conf *conf)
{
    struct mega__seen *list = NULL;
    size_t n = 0;
    uint64_t number = directory(conf);
    if (mega__view_find(conf, &list, &n)) /* who lists them says so */
        return number;
    for (size_t i = 0; i < n; i++)
        number = (number ^ list[i].home ^ list[i].file) *
                 UINT64_C(0x9e3779b97f4a7c15);
    free(list);
    return number;
}
