/* SPDX-License-Identifier: BSD-3-Clause */
/* home_files.c - the pool files of homes, by name: found, removed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "age.h"
#include "log.h"
#include "pool_name.h"

/* ---- Names ---- */

mega_status_t mega__home_path(struct mega__ctx *ctx, uint32_t home,
                              uint32_t pool, const char *suffix,
                              char path[MEGA__PATH])
{
    mega_status_t st = mega__conf_dir(&ctx->conf, home, path, MEGA__PATH - 64);
    if (!st) {
        size_t n = strlen(path);
        snprintf(path + n, MEGA__PATH - n, "/home-%u.%u.pool%s", home, pool,
                 suffix);
    }
    return st;
}

struct found {
    uint32_t *list;
    size_t n, room;
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
        uint32_t *list = realloc(f->list, room * sizeof *list);
        if (!list) {
            f->status = mega__fail(MEGA_ERR_NOMEM, "no memory to list homes");
            return;
        }
        f->list = list;
        f->room = room;
    }
    f->list[f->n++] = home;
}

/* The directory as a glob pattern: what was %n becomes a star. */
static mega_status_t dir_pattern(struct mega__ctx *ctx, char *out, size_t size)
{
    char low[MEGA__PATH], high[MEGA__PATH];
    mega_status_t st = mega__conf_dir(&ctx->conf, 7, low, sizeof low - 64);
    if (!st)
        st = mega__conf_dir(&ctx->conf, 8, high, sizeof high - 64);
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

static int by_number(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

mega_status_t mega__home_find(struct mega__ctx *ctx, uint32_t **list_p,
                              size_t *n_p)
{
    char pattern[2 * MEGA__PATH];
    struct found f = {0};
    mega_status_t st = dir_pattern(ctx, pattern, sizeof pattern - 32);
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

/* ---- Leftovers ---- */

struct leftovers {
    struct mega__ctx *ctx;
    struct mega__home *home;
    uint64_t listed;
    mega_status_t status;
};

/* A growth that was killed leaves a file that is half-made (.new), or whole
 * and not listed. The lock is ours, so nobody is making it now. */
static void remove_leftover(const char *path, void *arg)
{
    struct leftovers *l = arg;
    uint32_t home, k;
    const char *rest;
    if (!mega__pool_name(path, &home, &k, &rest) || home != l->home->no ||
        (*rest == '\0' && k < l->listed) ||
        (*rest != '\0' && strcmp(rest, ".new") != 0))
        return;
    mega_status_t st =
        l->home->block ? mega__age_leftover(l->ctx, l->home, path) : MEGA_OK;
    if (!st) {
        mega__log(MEGA__LOG_INFO, "removing %s, which was never finished",
                  path);
        st = mega__pool_unlink(path);
    }
    if (st)
        l->status = st;
}

mega_status_t mega__home_remove_unlisted(struct mega__ctx *ctx,
                                         struct mega__home *home,
                                         uint64_t listed)
{
    char pattern[2 * MEGA__PATH];
    struct leftovers l = {ctx, home, listed, MEGA_OK};
    mega_status_t st = dir_pattern(ctx, pattern, sizeof pattern - 64);
    if (st)
        return st;
    size_t n = strlen(pattern);
    snprintf(pattern + n, sizeof pattern - n, "/home-%u.*.pool*", home->no);
    st = mega__pool_find(pattern, remove_leftover, &l);
    return st ? st : l.status;
}

mega_status_t mega__home_remove(struct mega__ctx *ctx, struct mega__home *home)
{
    int fd = home->lock_fd;
    home->lock_fd = -1; /* keep it over the close */
    mega__home_close(home);
    home->lock_fd = fd;
    return mega__home_remove_unlisted(ctx, home, 0);
}
