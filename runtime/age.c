/* SPDX-License-Identifier: BSD-3-Clause */
/* age.c - see age.h. */
#include "age.h"

#include <string.h>

#include "log.h"

/* The last epoch of which this home knows that all homes had it. Its own may be
 * ahead, after opens that were cut off; home 0's is raised last. */
static uint64_t of_all(const struct mega__summary *s)
{
    return s->home == 0 ? s->epoch : s->reached;
}

/* Two jobs have had copies, each in the same epoch. */
static bool went_apart(uint64_t lot, uint64_t other)
{
    return lot != other && lot >> MEGA__LOT_BITS == other >> MEGA__LOT_BITS;
}

mega_status_t mega__age_homes(const struct mega__summary *all, size_t n)
{
    const struct mega__summary *last = all;
    for (size_t k = 0; k < n; k++)
        last = of_all(&all[k]) > of_all(last) ? &all[k] : last;
    for (size_t k = 0; k < n; k++)
        if (all[k].epoch < of_all(last))
            return mega__fail(
                MEGA_ERR_MISMATCH,
                "home %u is an older copy: it was last open in epoch %llu, "
                "home %u in %llu; use the current file",
                all[k].home, (unsigned long long)all[k].epoch, last->home,
                (unsigned long long)of_all(last));
    for (size_t k = 0; k < n; k++)
        if (went_apart(all[k].lot, last->lot))
            return mega__fail(MEGA_ERR_MISMATCH,
                              "home %u and home %u are of copies that went "
                              "apart: each was used without the other; take "
                              "all files from one copy",
                              all[k].home, last->home);
    return MEGA_OK;
}

/* ---- The later files of a home ---- */

static mega_status_t refuse(const char *older, uint64_t epoch,
                            const char *newer, uint64_t than)
{
    return mega__fail(MEGA_ERR_MISMATCH,
                      "%s is an older copy: it was last open in epoch %llu, %s "
                      "in %llu; use the current file",
                      older, (unsigned long long)epoch, newer,
                      (unsigned long long)than);
}

/* The file may be ahead of what the block says of all, after opens that were
 * cut off, but not of the block's own epoch. */
static mega_status_t judge(const struct mega__home *home,
                           const struct mega__pool_age *age, const char *first,
                           const char *path)
{
    uint64_t epoch, reached, lot, of_file, its_lot;
    const struct mega__home_block *b = home->block;
    mega_status_t st = mega__home_read(home, &b->epoch, "epoch", &epoch);
    if (!st)
        st = mega__home_read(home, &b->reached, "reached", &reached);
    if (!st)
        st = mega__home_read(home, &b->lot, "lot", &lot);
    if (st)
        return st;
    if (!mega__unseal_written(age->reached, &of_file) ||
        !mega__unseal_written(age->lot, &its_lot))
        return mega__fail(MEGA_ERR_DAMAGED,
                          "%s: the epoch in its root is damaged: restore the "
                          "file from a copy",
                          path);
    if (of_file < reached)
        return refuse(path, of_file, first, reached);
    if (of_file > epoch)
        return refuse(first, epoch, path, of_file);
    if (went_apart(lot, its_lot))
        return mega__fail(MEGA_ERR_MISMATCH,
                          "%s and %s are of copies that went apart: each was "
                          "used without the other; take all files from one "
                          "copy",
                          first, path);
    return MEGA_OK;
}

mega_status_t mega__age_pool(struct mega__ctx *ctx,
                             const struct mega__home *home, uint32_t k)
{
    char first[MEGA__PATH], path[MEGA__PATH];
    mega_status_t st = mega__home_path(ctx, home->no, 0, "", first);
    if (!st)
        st = mega__home_path(ctx, home->no, k, "", path);
    return st ? st
              : judge(home, &mega__pool_root(home->pools[k])->age, first, path);
}

mega_status_t mega__age_leftover(struct mega__ctx *ctx,
                                 const struct mega__home *home,
                                 const char *path, bool whole)
{
    char first[MEGA__PATH];
    uint64_t epoch, of_file;
    struct mega__pool *pool = NULL;
    mega_status_t st = mega__home_path(ctx, home->no, 0, "", first);
    if (!st)
        st = mega__home_read(home, &home->block->epoch, "epoch", &epoch);
    if (st || mega__pool_view(path, &pool) != MEGA_OK)
        return st; /* of no use to anybody */
    const struct mega__pool_root *root = mega__pool_root(pool);
    const bool ours =
        memcmp(root->ident.uuid, ctx->uuid, sizeof root->ident.uuid) == 0;
    if (!ours && whole)
        st = mega__fail(MEGA_ERR_MISMATCH,
                        "%s belongs to another space than %s: move it away",
                        path, first);
    else if (ours && mega__unseal(root->age.reached, &of_file) &&
             of_file > epoch)
        st = refuse(first, epoch, path, of_file);
    mega__pool_close(&pool);
    return st;
}

static void put(uint64_t *reached, uint64_t *lot, const struct mega__ctx *ctx)
{
    const uint64_t low = ctx->epoch & ((1u << MEGA__LOT_BITS) - 1);
    __atomic_store_n(reached, mega__seal(ctx->epoch), __ATOMIC_RELEASE);
    __atomic_store_n(lot, mega__seal(low << MEGA__LOT_BITS | ctx->draw),
                     __ATOMIC_RELEASE);
}

mega_status_t mega__age_note(struct mega__ctx *ctx, struct mega__home *home)
{
    mega_status_t st = MEGA_OK;
    for (uint32_t k = 1; k < home->npools; k++) {
        struct mega__pool_age *age = &mega__pool_root(home->pools[k])->age;
        put(&age->reached, &age->lot, ctx);
        mega__pool_flush(&ctx->flusher, home->how, age, sizeof *age);
    }
    if (home->npools > 1)
        st = mega__pool_drain(&ctx->flusher);
    if (!st)
        put(&home->block->reached, &home->block->lot, ctx);
    return st;
}

void mega__age_begin(const struct mega__home *home, struct mega__pool *pool,
                     struct mega__flusher *f)
{
    struct mega__pool_age *age = &mega__pool_root(pool)->age;
    age->reached = home->block->reached;
    age->lot = home->block->lot;
    mega__pool_flush(f, home->how, age, sizeof *age);
}
