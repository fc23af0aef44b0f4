/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * deal.c - finds the homes of the space and deals them to ranks.
 *
 * The first rank of each host lists the pool files that it sees and deals them
 * to the host's ranks, round robin. What all see and all that is read of homes
 * is gathered by the first of each host, which judges it for its ranks. If
 * there is none, or only what a creation that was killed has left (no home
 * born), the space is made: one home per rank, born on homes 1..H-1 first and
 * home 0 last (layout.h, 1).
 */
#include "deal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "age.h"
#include "deal_see.h"
#include "degraded.h"
#include "log.h"
#include "roll.h"

/* ---- Opening ---- */

static mega_status_t same_space(const struct mega__summary *one,
                                const struct mega__summary *s)
{
    uint32_t h = s->home, first = one->home;
    if (memcmp(s->uuid, one->uuid, 16) != 0 || s->nhomes != one->nhomes)
        return mega__fail(MEGA_ERR_MISMATCH,
                          "home %u belongs to another space than home %u", h,
                          first);
    if (!s->born)
        return mega__fail(MEGA_ERR_DAMAGED,
                          "home %u was never finished, home %u was: restore "
                          "its files from a copy",
                          h, first);
    return MEGA_OK;
}

static int by_home(const void *a, const void *b)
{
    uint32_t x = ((const struct mega__summary *)a)->home;
    uint32_t y = ((const struct mega__summary *)b)->home;
    return (x > y) - (x < y);
}

static mega_status_t draw(uint64_t *draw_p)
{
    uint64_t bits;
    if (getrandom(&bits, sizeof bits, 0) != sizeof bits)
        return mega__fail(MEGA_ERR_IO, "getrandom failed");
    *draw_p = bits & ((1u << MEGA__LOT_BITS) - 1);
    return MEGA_OK;
}

/* The first home alone at first: who has it gets the others, too, and of jobs
 * that start at once no two keep each other out. */
static mega_status_t lock_served(struct mega__ctx *ctx, bool make)
{
    mega_status_t st = MEGA_OK;
    uint32_t first = 0;
    while (mega__home_server(ctx, first) < 0)
        first++;
    for (int others = 0; !st && others < 2; others++) {
        uint32_t i = 0;
        for (struct mega__home *home;
             !st && (home = mega__home_next_served(ctx, &i));)
            if (others ? home->no != first : home->no == first)
                st = mega__home_lock(ctx, home, make);
        st = mega__boot_agree(ctx->boot, st);
    }
    return st;
}

/* Gathers the summaries of all homes, in the order of their numbers; for
 * host_rank 0. */
static mega_status_t summarise(struct mega__ctx *ctx,
                               struct mega__summary **all_p, size_t *n_p)
{
    struct mega__summary *mine = calloc(ctx->nhomes + 1, sizeof *mine);
    uint32_t i = 0;
    size_t n = 0, bytes = 0;
    void *all = NULL;
    mega_status_t st =
        mine ? MEGA_OK : mega__fail(MEGA_ERR_NOMEM, "no memory to open");
    for (struct mega__home *home;
         !st && (home = mega__home_next_served(ctx, &i));) {
        st = mega__home_open(ctx, home, &mine[n++]);
        if (!st)
            st = draw(&mine[n - 1].draw);
    }
    st = mega__boot_agree(ctx->boot, st);
    if (!st)
        st = mega__boot_gather(ctx->boot, mine, n * sizeof *mine, &all, &bytes);
    free(mine);
    *n_p = bytes / sizeof(struct mega__summary);
    *all_p = all;
    if (all)
        qsort(all, *n_p, sizeof(struct mega__summary), by_home);
    return st;
}

/* Homes that are missing: how many, and one of them that the home before it,
 * which is there, can tell of. No other is named then. */
static void find_missing(const struct mega__summary *all, size_t n,
                         struct mega__missing *m)
{
    const uint32_t nhomes = all[0].nhomes;
    const struct mega__summary *before =
        all[n - 1].home == nhomes - 1 ? &all[n - 1] : NULL;
    size_t k = 0;
    for (uint32_t h = 0; h < nhomes; h++) {
        if (k < n && all[k].home == h) {
            before = &all[k++];
            continue;
        }
        if (m->n++ == 0 || (before && !*m->host)) {
            m->home = h;
            m->host = before ? before->next_host : "";
        }
        before = NULL;
    }
}

static mega_status_t check_complete(struct mega__ctx *ctx,
                                    const struct mega__summary *all, size_t n,
                                    uint32_t *nabsent_p)
{
    struct mega__missing missing = {.of = all[0].nhomes, .host = ""};
    mega_status_t st = MEGA_OK;
    find_missing(all, n, &missing);
    *nabsent_p = missing.n;
    if (missing.n > 0 && !ctx->readonly)
        st = mega__degraded_missing(ctx, &missing);
    for (size_t k = 0; !st && k < n; k++)
        st = same_space(all, &all[k]);
    return st ? st : mega__age_homes(all, n);
}

/* Only what a creation left that was killed: home 0 is born last. */
static bool none_born(const struct mega__summary *all, size_t n)
{
    if (all[0].home == 0)
        return !all[0].born;
    for (size_t i = 0; i < n; i++)
        if (all[i].born)
            return false;
    return true;
}

static mega_status_t remove_served(struct mega__ctx *ctx, bool home0)
{
    mega_status_t st = MEGA_OK;
    uint32_t i = 0;
    for (struct mega__home *home;
         !st && (home = mega__home_next_served(ctx, &i));)
        if ((home->no == 0) == home0)
            st = mega__home_remove(ctx, home);
    return mega__boot_agree(ctx->boot, st);
}

/* Files that no creation has left. */
static mega_status_t find_former(struct mega__ctx *ctx, uint64_t listed)
{
    mega_status_t st = MEGA_OK;
    uint32_t i = 0;
    for (struct mega__home *home;
         !st && (home = mega__home_next_served(ctx, &i));)
        st = mega__home_find_none(ctx, home, listed);
    return mega__boot_agree(ctx->boot, st);
}

/* Home 0 last: without it the others, which may be born, were a space of which
 * it is missing. */
static mega_status_t remove_unborn(struct mega__ctx *ctx)
{
    mega_status_t st = find_former(ctx, 1);
    if (!st && ctx->place.rank == 0)
        mega__log(MEGA__LOG_WARN, "removing the files of a creation that was "
                                  "never finished");
    if (!st)
        st = remove_served(ctx, false);
    if (!st)
        st = remove_served(ctx, true);
    mega__roll_drop(ctx);
    return st;
}

/* What the first rank of each host finds in the summaries, for all. */
struct finding {
    uint8_t uuid[16];
    uint64_t epoch, draw;
    uint32_t nhomes, nabsent;
    bool unborn, clean;
    bool filled; /* a home is (block.h) */
};

/* No killed creation has left what a job stores. */
static mega_status_t refuse_unborn(const struct mega__summary *all, size_t n)
{
    for (size_t k = 0; k < n; k++)
        if (all[k].epoch || all[k].clean || all[k].reached || all[k].lot ||
            all[k].filled)
            return mega__fail(MEGA_ERR_DAMAGED,
                              "home %u: its born word, at offset %#x of span "
                              "0, says that it was never finished, but home "
                              "%u was used: restore its files from a copy",
                              all[0].home, MEGA__HOME_BLOCK_OFF, all[k].home);
    return MEGA_OK;
}

static mega_status_t find_out(struct mega__ctx *ctx,
                              const struct mega__summary *all, size_t n,
                              struct finding *f)
{
    f->nhomes = all[0].nhomes;
    f->unborn = none_born(all, n);
    if (f->unborn)
        return refuse_unborn(all, n);
    memcpy(f->uuid, all[0].uuid, sizeof f->uuid);
    f->draw = all[0].draw; /* all hosts know the same */
    f->clean = true;
    for (size_t k = 0; k < n; k++) {
        if (all[k].clean != all[k].epoch || all[k].epoch != all[0].epoch)
            f->clean = false;
        if (all[k].epoch > f->epoch)
            f->epoch = all[k].epoch;
        f->filled = f->filled || all[k].filled;
    }
    if (ctx->readonly && f->nhomes > ctx->nhomes)
        return MEGA_OK; /* the last ones are absent: to be met again */
    return check_complete(ctx, all, n, &f->nabsent);
}

/* Makes the homes that were seen, and locks them. *again_p: then there are
 * others, and nothing is made. */
static mega_status_t take(struct mega__ctx *ctx, uint32_t nhomes,
                          const struct mega__seeing *seen, bool make,
                          bool *again_p)
{
    mega_status_t st = mega__roll_make(ctx, nhomes, seen->list, seen->n);
    if (!st)
        st = lock_served(ctx, make);
    if (!st)
        st = mega__see_again(ctx, seen, again_p);
    if (!st && *again_p)
        mega__roll_drop(ctx);
    return st;
}

/* Reads who the homes are that were seen. */
static mega_status_t meet(struct mega__ctx *ctx, uint32_t nhomes,
                          const struct mega__seeing *seen, struct finding *f,
                          bool *again_p)
{
    struct mega__summary *all = NULL;
    size_t nall = 0;
    memset(f, 0, sizeof *f);
    mega_status_t st = take(ctx, nhomes, seen, false, again_p);
    if (st || *again_p)
        return st;
    st = summarise(ctx, &all, &nall);
    if (!st && all)
        st = find_out(ctx, all, nall, f);
    free(all);
    st = mega__boot_agree(ctx->boot, st);
    return st ? st : mega__boot_host_bcast(ctx->boot, f, sizeof *f);
}

static mega_status_t highest(const struct mega__seeing *seen,
                             uint32_t *nhomes_p)
{
    uint32_t most = 0;
    for (size_t k = 0; k < seen->n; k++)
        most = seen->list[k].home > most ? seen->list[k].home : most;
    *nhomes_p = most + 1;
    return most < MEGA__HOMES_MAX
               ? MEGA_OK
               : mega__fail(MEGA_ERR_ARG, "home-%u.0.pool: no such home number",
                            most);
}

/* Opens what was seen. *unborn_p: there was only an unfinished creation. */
static mega_status_t open_seen(struct mega__ctx *ctx,
                               const struct mega__seeing *seen, bool *unborn_p,
                               bool *again_p)
{
    struct finding f;
    uint32_t nhomes, i = 0;
    mega_status_t st = mega__boot_agree(ctx->boot, highest(seen, &nhomes));
    if (!st)
        st = meet(ctx, nhomes, seen, &f, again_p);
    if (!st && !*again_p && ctx->readonly && f.nhomes > ctx->nhomes) {
        nhomes = f.nhomes;
        mega__roll_drop(ctx);
        st = meet(ctx, nhomes, seen, &f, again_p);
    }
    if (st || *again_p)
        return st;
    *unborn_p = f.unborn;
    if (f.unborn)
        return ctx->readonly ? MEGA_OK : remove_unborn(ctx);
    memcpy(ctx->uuid, f.uuid, sizeof ctx->uuid);
    ctx->epoch = f.epoch;
    ctx->draw = f.draw;
    ctx->nabsent = f.nabsent;
    ctx->recovery.clean = f.clean;
    for (struct mega__home *home;
         !st && (home = mega__home_next_served(ctx, &i));)
        st = mega__home_open_rest(ctx, home, f.filled);
    return mega__boot_agree(ctx->boot, st);
}

/* ---- Creating ---- */

static mega_status_t bear(struct mega__ctx *ctx, bool home0)
{
    mega_status_t st = MEGA_OK;
    uint32_t i = 0;
    for (struct mega__home *home;
         !st && (home = mega__home_next_served(ctx, &i));) {
        if ((home->no == 0) != home0)
            continue;
        mega__home_write(home, &ctx->flusher, &home->block->born, 1);
        st = mega__pool_drain(&ctx->flusher);
        if (!st)
            st = mega__pool_sync(home->pools[0]);
    }
    return mega__boot_agree(ctx->boot, st);
}

static mega_status_t make_homes(struct mega__ctx *ctx)
{
    uint32_t i = 0;
    mega__home_remove_stumps(ctx);
    mega_status_t st = find_former(ctx, 0);
    if (st)
        return st;
    for (struct mega__home *home;
         !st && (home = mega__home_next_served(ctx, &i));)
        st = mega__home_create(ctx, home);
    st = mega__boot_agree(ctx->boot, st);
    if (st) { /* what was made is of no use, and was never born */
        i = 0;
        for (struct mega__home *home; (home = mega__home_next_served(ctx, &i));)
            if (home->npools > 0 && mega__home_remove(ctx, home) != MEGA_OK)
                mega__log(MEGA__LOG_WARN, "%s", mega__errmsg_buffer());
    }
    return st;
}

static mega_status_t create(struct mega__ctx *ctx, bool *again_p)
{
    struct mega__seeing none = {0};
    mega_status_t st = MEGA_OK;
    if (ctx->place.rank == 0 &&
        getrandom(ctx->uuid, sizeof ctx->uuid, 0) != sizeof ctx->uuid)
        st = mega__fail(MEGA_ERR_IO, "getrandom failed");
    st = mega__boot_agree(ctx->boot, st);
    if (!st)
        st = mega__boot_bcast(ctx->boot, ctx->uuid, sizeof ctx->uuid, 0);
    if (!st)
        st = mega__see(ctx, true, &none);
    if (!st)
        st = take(ctx, (uint32_t)none.n, &none, true, again_p);
    free(none.list);
    if (st || *again_p)
        return st;
    st = make_homes(ctx);
    if (!st)
        st = bear(ctx, false);
    if (!st)
        st = bear(ctx, true);
    ctx->fresh = true;
    ctx->recovery.created = 1;
    ctx->recovery.clean = 1;
    return st;
}

/* *again_p: another job was faster. */
static mega_status_t find_or_create(struct mega__ctx *ctx, bool *again_p)
{
    struct mega__seeing seen;
    bool unborn = false;
    mega_status_t st = mega__see(ctx, false, &seen);
    bool exists = seen.n > 0;
    if (!st)
        st = mega__boot_host_bcast(ctx->boot, &exists, sizeof exists);
    if (!st && exists)
        st = open_seen(ctx, &seen, &unborn, again_p);
    free(seen.list);
    if (st || *again_p)
        return st;
    exists = exists && !unborn;
    uint64_t open = ctx->conf.open.v.number;
    char dir[MEGA__PATH] = "?";
    st = mega__conf_dir(&ctx->conf, 0, dir, sizeof dir);
    if (!st && exists && open == MEGA__OPEN_CREATE)
        st = mega__fail(MEGA_ERR_EXISTS,
                        "there is a space in %s and MEGALLOC_OPEN=create: "
                        "choose another MEGALLOC_DIR, or remove it",
                        dir);
    if (!st && !exists && (open == MEGA__OPEN_OPEN || ctx->readonly))
        st = mega__fail(MEGA_ERR_NOT_FOUND,
                        "there is no space in %s and MEGALLOC_OPEN=%s: set "
                        "MEGALLOC_DIR to where it is",
                        dir, ctx->readonly ? "degraded" : "open");
    st = mega__boot_agree(ctx->boot, st);
    if (!st && !exists)
        st = create(ctx, again_p);
    return st;
}

mega_status_t mega__deal(struct mega__ctx *ctx)
{
    bool again;
    mega_status_t st;
    do {
        again = false;
        st = find_or_create(ctx, &again);
    } while (!st && again);
    return st;
}
