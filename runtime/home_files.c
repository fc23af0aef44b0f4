/* SPDX-License-Identifier: BSD-3-Clause */
/* home_files.c - the pool files of a home: named, and removed if they are left
 * over. */
#include <stdio.h>
#include <string.h>

#include "age.h"
#include "lockfile.h"
#include "log.h"
#include "pool_name.h"

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

mega_status_t mega__home_lock_path(struct mega__ctx *ctx, uint32_t home,
                                   char path[MEGA__PATH])
{
    mega_status_t st = mega__conf_dir(&ctx->conf, home, path, MEGA__PATH - 64);
    if (!st) {
        size_t n = strlen(path);
        snprintf(path + n, MEGA__PATH - n, "/home-%u.lock", home);
    }
    return st;
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
    mega_status_t st = l->home->block ? mega__age_leftover(l->ctx, l->home,
                                                           path, *rest == '\0')
                                      : MEGA_OK;
    if (!st) {
        mega__log(MEGA__LOG_INFO, "removing %s, which was never finished",
                  path);
        st = mega__pool_unlink(path);
    }
    if (st)
        l->status = st;
}

static mega_status_t for_each(struct leftovers *l,
                              void (*fn)(const char *path, void *arg))
{
    char pattern[2 * MEGA__PATH];
    mega_status_t st =
        mega__view_pattern(&l->ctx->conf, pattern, sizeof pattern - 64);
    if (st)
        return st;
    size_t n = strlen(pattern);
    snprintf(pattern + n, sizeof pattern - n, "/home-%u.*.pool*", l->home->no);
    st = mega__pool_find(pattern, fn, l);
    return st ? st : l->status;
}

mega_status_t mega__home_remove_unlisted(struct mega__ctx *ctx,
                                         struct mega__home *home,
                                         uint64_t listed)
{
    struct leftovers l = {ctx, home, listed, MEGA_OK};
    return for_each(&l, remove_leftover);
}

/* A file that has its name was finished: no creation has left it. */
static void refuse_former(const char *path, void *arg)
{
    struct leftovers *l = arg;
    struct mega__pool *pool = NULL;
    uint32_t home, k;
    const char *rest;
    if (!mega__pool_name(path, &home, &k, &rest) || home != l->home->no ||
        *rest != '\0' || k < l->listed ||
        mega__pool_view(path, &pool) != MEGA_OK)
        return;
    mega__pool_close(&pool);
    l->status = mega__fail(MEGA_ERR_MISMATCH,
                           "%s is there, but %s home-%u.0.pool: put that "
                           "back, or, to make a new space, move it away",
                           path, l->listed ? "no finished" : "not", home);
}

mega_status_t mega__home_find_none(struct mega__ctx *ctx,
                                   struct mega__home *home, uint64_t listed)
{
    struct leftovers l = {ctx, home, listed, MEGA_OK};
    return for_each(&l, refuse_former);
}

/* Who makes it now has its lock. */
static void remove_stump(const char *path, void *arg)
{
    struct mega__ctx *ctx = arg;
    char lock[MEGA__PATH];
    uint32_t home, k;
    const char *rest;
    int fd = -1;
    if (!mega__pool_name(path, &home, &k, &rest) || strcmp(rest, ".new") != 0 ||
        (home < ctx->nhomes && mega__home_at(ctx, home)->local))
        return;
    if (mega__home_lock_path(ctx, home, lock) == MEGA_OK &&
        mega__lockfile_exclusive(lock, 0, &fd) == MEGA_OK) {
        mega__log(MEGA__LOG_INFO, "removing %s, which was never finished",
                  path);
        if (mega__pool_unlink(path) != MEGA_OK)
            mega__log(MEGA__LOG_WARN, "%s", mega__errmsg_buffer());
    }
    mega__lockfile_release(&fd);
}

void mega__home_remove_stumps(struct mega__ctx *ctx)
{
    char pattern[2 * MEGA__PATH];
    if (ctx->place.host_rank != 0 ||
        mega__view_pattern(&ctx->conf, pattern, sizeof pattern - 64))
        return;
    strcat(pattern, "/home-*.0.pool.new");
    (void)mega__pool_find(pattern, remove_stump, ctx); /* they only take room */
}

mega_status_t mega__home_remove(struct mega__ctx *ctx, struct mega__home *home)
{
    int fd = home->lock_fd;
    home->lock_fd = -1; /* keep it over the close */
    mega__home_close(home);
    home->lock_fd = fd;
    char path[MEGA__PATH];
    mega_status_t st = mega__home_path(ctx, home->no, 0, "", path);
    if (!st)
        st = mega__home_remove_unlisted(ctx, home, 0);
    return st ? st : mega__pool_sync_name(path);
}
