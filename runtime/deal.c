/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * deal.c - finds the homes of the space and deals them to ranks.
 *
 * Each host lists the pool files that it sees; a home is served by a rank of
 * a host that sees it, round robin. If there is none, or only what a creation
 * that was killed has left (no home born), the space is made: one home per
 * rank, born on homes 1..H-1 first and home 0 last (layout.h, 1).
 */
#include "deal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "home.h"
#include "log.h"
#include "span.h"

struct sighting { /* of a home, by a host */
    uint32_t home;
    int32_t host;
    char name[64]; /* of the host */
};

/* ---- Who sees what ---- */

static mega_status_t sight(struct mega__ctx *ctx, struct sighting **seen_p,
                           size_t *n_p)
{
    uint32_t *list = NULL;
    size_t n = 0, bytes = 0;
    struct sighting *mine = NULL;
    void *all = NULL;
    mega_status_t st = MEGA_OK;
    if (ctx->place.host_rank == 0)
        st = mega__home_find(ctx, &list, &n);
    mine = calloc(n + 1, sizeof *mine);
    if (!st && !mine)
        st = mega__fail(MEGA_ERR_NOMEM, "no memory for %zu homes", n);
    for (size_t i = 0; !st && i < n; i++) {
        mine[i] = (struct sighting){.home = list[i], .host = ctx->place.host};
        mega__conf_host(&ctx->conf, mine[i].name, sizeof mine[i].name);
    }
    st = mega__boot_agree(ctx->boot, st);
    if (!st)
        st = mega__boot_gather_all(ctx->boot, mine, n * sizeof *mine, &all,
                                   &bytes);
    free(list);
    free(mine);
    if (st)
        return st;
    *seen_p = all;
    *n_p = bytes / sizeof(struct sighting);
    return MEGA_OK;
}

/* ---- Homes ---- */

static mega_status_t make_homes(struct mega__ctx *ctx, uint32_t nhomes)
{
    ctx->homes = calloc(nhomes, sizeof *ctx->homes);
    if (!ctx->homes)
        return mega__fail(MEGA_ERR_NOMEM, "no memory for %u homes", nhomes);
    ctx->nhomes = nhomes;
    for (uint32_t h = 0; h < nhomes; h++) {
        ctx->homes[h].no = h;
        ctx->homes[h].server = -1;
        ctx->homes[h].lock_fd = -1;
        mega__span_no_table(&ctx->homes[h]);
    }
    return MEGA_OK;
}

static void drop_homes(struct mega__ctx *ctx)
{
    for (uint32_t h = 0; h < ctx->nhomes; h++) {
        mega__home_close(&ctx->homes[h]);
        mega__span_no_table(&ctx->homes[h]);
    }
    free(ctx->homes);
    ctx->homes = NULL;
    ctx->nhomes = 0;
}

static mega_status_t refuse_twin(const struct sighting *seen, size_t i)
{
    size_t first = 0;
    while (seen[first].home != seen[i].home)
        first++;
    return mega__fail(MEGA_ERR_MISMATCH,
                      "home %u lies on two hosts, %s and %s: remove the older "
                      "copy; megalloc info tells the epoch of each",
                      seen[i].home, seen[first].name, seen[i].name);
}

/* Ranks of each host, so that homes can be dealt round robin. */
static mega_status_t deal_seen(struct mega__ctx *ctx,
                               const struct sighting *seen, size_t n)
{
    size_t nranks = (size_t)ctx->place.nranks;
    int *host_of = calloc(nranks, sizeof *host_of);
    int *next = calloc((size_t)ctx->place.nhosts, sizeof *next);
    mega_status_t st = MEGA_OK;
    if (!host_of || !next)
        st = mega__fail(MEGA_ERR_NOMEM, "no memory for %zu ranks", nranks);
    st = mega__boot_agree(ctx->boot, st);
    if (!st)
        st = mega__boot_allgather(ctx->boot, &ctx->place.host, sizeof(int),
                                  host_of);
    for (size_t i = 0; !st && i < n; i++) {
        struct mega__home *home = &ctx->homes[seen[i].home];
        int host = seen[i].host, r;
        if (home->server >= 0) {
            st = refuse_twin(seen, i);
            break;
        }
        for (r = next[host]; host_of[r] != host; r = (r + 1) % (int)nranks)
            ;
        home->server = r;
        home->serving = r == ctx->place.rank;
        home->local = host == ctx->place.host;
        if (!home->local)
            home->how = MEGA__HOW_FAR;
        else
            st = mega__span_make_table(home);
        next[host] = (r + 1) % (int)nranks;
    }
    free(host_of);
    free(next);
    return mega__boot_agree(ctx->boot, st);
}

/* ---- Opening ---- */

static mega_status_t compare(const struct mega__summary *zero,
                             const struct mega__summary *s)
{
    uint32_t h = s->home, first = zero->home;
    if (memcmp(s->uuid, zero->uuid, 16) != 0 || s->nhomes != zero->nhomes)
        return mega__fail(MEGA_ERR_MISMATCH,
                          "home %u belongs to another space than home %u", h,
                          first);
    if (!s->born)
        return mega__fail(MEGA_ERR_DAMAGED,
                          "home %u was never finished, home %u was: restore "
                          "its files from a copy",
                          h, first);
    if (first != 0) /* absent: nobody knows the last epoch */
        return MEGA_OK;
    if (s->epoch < zero->epoch) /* (2) */
        return mega__fail(MEGA_ERR_MISMATCH,
                          "home %u is an older copy: it was last open in "
                          "epoch %llu, home 0 in %llu; use the current file",
                          h, (unsigned long long)s->epoch,
                          (unsigned long long)zero->epoch);
    /* A home may be ahead after opens that were cut off, but a job that ended
     * cleanly had home 0 with it. */
    if (s->epoch > zero->epoch && s->clean == s->epoch)
        return mega__fail(MEGA_ERR_MISMATCH,
                          "home 0 is an older copy: it was last open in epoch "
                          "%llu, home %u in %llu; use the current file",
                          (unsigned long long)zero->epoch, h,
                          (unsigned long long)s->epoch);
    return MEGA_OK;
}

static int by_home(const void *a, const void *b)
{
    uint32_t x = ((const struct mega__summary *)a)->home;
    uint32_t y = ((const struct mega__summary *)b)->home;
    return (x > y) - (x < y);
}

/* Gathers the summaries of all homes, in the order of their numbers. */
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
        st = mega__home_lock(ctx, home, false);
        if (!st)
            st = mega__home_open(ctx, home, &mine[n++]);
    }
    st = mega__boot_agree(ctx->boot, st);
    if (!st)
        st = mega__boot_gather_all(ctx->boot, mine, n * sizeof *mine, &all,
                                   &bytes);
    free(mine);
    if (st)
        return st;
    *n_p = bytes / sizeof(struct mega__summary);
    qsort(all, *n_p, sizeof(struct mega__summary), by_home);
    *all_p = all;
    return MEGA_OK;
}

/* A home is missing; the one before it may know where it was. */
static mega_status_t refuse_missing(struct mega__ctx *ctx, uint32_t home,
                                    const struct mega__summary *all, size_t n)
{
    char path[MEGA__PATH] = "?";
    const char *host = "";
    const uint32_t nhomes = all[0].nhomes;
    mega_status_t st = mega__home_path(ctx, home, 0, "", path);
    for (size_t k = 0; k < n; k++)
        if (all[k].home == (home + nhomes - 1) % nhomes)
            host = all[k].next_host;
    return st ? st
              : mega__fail(
                    MEGA_ERR_ABSENT,
                    "home %u of %u is missing:%s%s%s no host of this job "
                    "has %s; put it back, or run on its host, or read "
                    "the rest with MEGALLOC_OPEN=degraded",
                    home, nhomes, *host ? " it was last on host " : "", host,
                    *host ? "," : "", path);
}

static mega_status_t check_complete(struct mega__ctx *ctx,
                                    const struct mega__summary *all, size_t n)
{
    mega_status_t st = MEGA_OK;
    size_t k = 0;
    for (uint32_t h = 0; !st && h < all[0].nhomes; h++) {
        if (k < n && all[k].home == h) {
            k++;
            continue;
        }
        ctx->nabsent++;
        if (!ctx->readonly)
            st = refuse_missing(ctx, h, all, n);
    }
    for (k = 0; !st && k < n; k++)
        st = compare(&all[0], &all[k]);
    return st;
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

static mega_status_t remove_unborn(struct mega__ctx *ctx)
{
    mega_status_t st = MEGA_OK;
    uint32_t i = 0;
    if (ctx->place.rank == 0)
        mega__log(MEGA__LOG_WARN, "removing the files of a creation that was "
                                  "never finished");
    for (struct mega__home *home;
         !st && (home = mega__home_next_served(ctx, &i));)
        st = mega__home_remove(ctx, home);
    st = mega__boot_agree(ctx->boot, st);
    drop_homes(ctx);
    return st;
}

/* Makes the homes, deals those that were seen, reads who they are. */
static mega_status_t meet(struct mega__ctx *ctx, uint32_t nhomes,
                          const struct sighting *seen, size_t n,
                          struct mega__summary **all_p, size_t *n_p)
{
    mega_status_t st = make_homes(ctx, nhomes);
    st = mega__boot_agree(ctx->boot, st);
    if (!st)
        st = deal_seen(ctx, seen, n);
    return st ? st : summarise(ctx, all_p, n_p);
}

/* Opens what was seen. *unborn_p: there was only an unfinished creation. */
static mega_status_t open_seen(struct mega__ctx *ctx,
                               const struct sighting *seen, size_t n,
                               bool *unborn_p)
{
    struct mega__summary *all = NULL;
    size_t nall = 0;
    uint32_t most = 0, i = 0;
    for (size_t k = 0; k < n; k++)
        most = seen[k].home > most ? seen[k].home : most;
    mega_status_t st =
        most >= MEGA__HOMES_MAX
            ? mega__fail(MEGA_ERR_ARG, "home-%u.0.pool: no such home number",
                         most)
            : meet(ctx, most + 1, seen, n, &all, &nall);
    if (!st && ctx->readonly && all[0].nhomes > ctx->nhomes) {
        const uint32_t nhomes = all[0].nhomes; /* the last ones are absent */
        free(all);
        drop_homes(ctx);
        st = meet(ctx, nhomes, seen, n, &all, &nall);
    }
    if (st)
        return st;
    *unborn_p = none_born(all, nall);
    if (!*unborn_p) {
        st = check_complete(ctx, all, nall);
        memcpy(ctx->uuid, all[0].uuid, sizeof ctx->uuid);
        ctx->recovery.clean = 1;
        for (size_t k = 0; k < nall; k++) {
            if (all[k].clean != all[k].epoch || all[k].epoch != all[0].epoch)
                ctx->recovery.clean = 0;
            if (all[k].epoch > ctx->epoch)
                ctx->epoch = all[k].epoch;
        }
    }
    free(all);
    if (*unborn_p)
        return ctx->readonly ? MEGA_OK : remove_unborn(ctx);
    for (struct mega__home *home;
         !st && (home = mega__home_next_served(ctx, &i));)
        st = mega__home_open_rest(ctx, home);
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

static mega_status_t create(struct mega__ctx *ctx)
{
    uint32_t i = 0;
    mega_status_t st = make_homes(ctx, (uint32_t)ctx->place.nranks);
    if (!st && ctx->place.rank == 0 &&
        getrandom(ctx->uuid, sizeof ctx->uuid, 0) != sizeof ctx->uuid)
        st = mega__fail(MEGA_ERR_IO, "getrandom failed");
    st = mega__boot_agree(ctx->boot, st);
    if (!st)
        st = mega__boot_bcast(ctx->boot, ctx->uuid, sizeof ctx->uuid, 0);
    if (st)
        return st;
    struct sighting *seen = calloc(ctx->nhomes, sizeof *seen);
    int *hosts = calloc(ctx->nhomes, sizeof *hosts);
    if (!seen || !hosts)
        st = mega__fail(MEGA_ERR_NOMEM, "no memory for %u homes", ctx->nhomes);
    st = mega__boot_agree(ctx->boot, st);
    if (!st)
        st = mega__boot_allgather(ctx->boot, &ctx->place.host, sizeof(int),
                                  hosts);
    for (uint32_t h = 0; !st && h < ctx->nhomes; h++)
        seen[h] = (struct sighting){.home = h, .host = hosts[h]};
    if (!st)
        st = deal_seen(ctx, seen, ctx->nhomes);
    free(seen);
    free(hosts);
    if (st)
        return st;
    for (struct mega__home *home;
         !st && (home = mega__home_next_served(ctx, &i));) {
        st = mega__home_lock(ctx, home, true);
        if (!st)
            st = mega__home_create(ctx, home);
    }
    st = mega__boot_agree(ctx->boot, st);
    if (st) { /* what was made is of no use, and was never born */
        i = 0;
        for (struct mega__home *home; (home = mega__home_next_served(ctx, &i));)
            if (home->lock_fd >= 0 && home->npools > 0 &&
                mega__home_remove(ctx, home) != MEGA_OK)
                mega__log(MEGA__LOG_WARN, "%s", mega__errmsg_buffer());
        return st;
    }
    st = bear(ctx, false);
    if (!st)
        st = bear(ctx, true);
    ctx->fresh = true;
    ctx->recovery.created = 1;
    ctx->recovery.clean = 1;
    return st;
}

mega_status_t mega__deal(struct mega__ctx *ctx)
{
    struct sighting *seen = NULL;
    size_t n = 0;
    bool unborn = false;
    mega_status_t st = sight(ctx, &seen, &n);
    if (!st && n > 0)
        st = open_seen(ctx, seen, n, &unborn);
    free(seen);
    if (st)
        return st;
    bool exists = n > 0 && !unborn;
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
        st = create(ctx);
    return st;
}
