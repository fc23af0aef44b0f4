/* SPDX-License-Identifier: BSD-3-Clause */
/* roll.c - see roll.h. */
#include "roll.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "home.h"
#include "log.h"
#include "share.h"
#include "span.h"

/* ---- The list, by the first rank of a host ---- */

static mega_status_t refuse_twin(const struct mega__sighting *a,
                                 const struct mega__sighting *b)
{
    return mega__fail(MEGA_ERR_MISMATCH,
                      "home %u lies on two hosts, %s and %s: remove one copy, "
                      "the older one if megalloc info tells two epochs",
                      a->home, a->name, b->name);
}

/* by_home: room for the sighting of each. */
static mega_status_t fill(struct mega__ctx *ctx, struct mega__roll *roll,
                          const struct mega__sighting *seen, size_t n,
                          const struct mega__sighting **by_home)
{
    struct mega__here *here = mega__roll_here(roll);
    for (size_t i = 0; i < n; i++) {
        const struct mega__sighting *s = &seen[i];
        if (by_home[s->home])
            return refuse_twin(by_home[s->home], s);
        by_home[s->home] = s;
    }
    for (uint32_t h = 0; h < roll->nhomes; h++) {
        const struct mega__sighting *s = by_home[h];
        const struct mega__sighting *next = by_home[(h + 1) % roll->nhomes];
        roll->servers[h] = s ? s->server : -1;
        if (!s || s->host != ctx->place.host)
            continue;
        here->home = h;
        if (next)
            memcpy(here->next_host, next->name, sizeof here->next_host);
        here++;
    }
    return MEGA_OK;
}

static mega_status_t write_roll(struct mega__ctx *ctx, uint32_t nhomes,
                                const struct mega__sighting *seen, size_t n,
                                uint32_t nhere)
{
    const struct mega__sighting **by_home = calloc(nhomes, sizeof(void *));
    if (!by_home)
        return mega__fail(MEGA_ERR_NOMEM, "no memory for %u homes", nhomes);
    ctx->roll->nhomes = nhomes;
    ctx->roll->nhere = nhere;
    mega_status_t st = fill(ctx, ctx->roll, seen, n, by_home);
    free(by_home);
    return st;
}

/* ---- What a rank makes of it ---- */

/* mmap: the places of homes that are never met are never touched; calloc may
 * clear what it has had before. */
static mega_status_t make_homes(struct mega__ctx *ctx)
{
    struct mega__roll *roll = ctx->roll;
    mega_status_t st = MEGA_OK;
    void *places =
        mmap(NULL, roll->nhomes * sizeof *ctx->homes, PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (places == MAP_FAILED)
        return mega__fail(MEGA_ERR_NOMEM, "no memory for %u homes",
                          roll->nhomes);
    ctx->homes = places;
    ctx->nhomes = roll->nhomes;
    for (uint32_t i = 0; !st && i < roll->nhere; i++) {
        uint32_t h = mega__roll_here(roll)[i].home;
        struct mega__home *home = mega__home_at(ctx, h);
        home->how = MEGA__HOW_NONE; /* until its medium is known */
        st = mega__span_make_table(home);
        home->local = !st;
        home->serving = !st && roll->servers[h] == ctx->place.rank;
    }
    return st;
}

mega_status_t mega__roll_make(struct mega__ctx *ctx, uint32_t nhomes,
                              const struct mega__sighting *seen, size_t n)
{
    uint32_t nhere = 0;
    void *p = NULL;
    for (size_t i = 0; i < n; i++)
        nhere += seen[i].host == ctx->place.host;
    mega_status_t st = mega__share(
        ctx,
        sizeof *ctx->roll + (size_t)nhomes * sizeof ctx->roll->servers[0] +
            nhere * sizeof(struct mega__here),
        &p);
    ctx->roll = p;
    if (!st && ctx->place.host_rank == 0)
        st = write_roll(ctx, nhomes, seen, n, nhere);
    st = mega__boot_agree(ctx->boot, st);
    return st ? st : mega__boot_agree(ctx->boot, make_homes(ctx));
}

void mega__roll_drop(struct mega__ctx *ctx)
{
    for (uint32_t h = 0; h < ctx->nhomes; h++) {
        struct mega__home *home = &ctx->homes[h];
        if (!atomic_load_explicit(&home->met, memory_order_relaxed))
            continue;
        mega__home_close(home);
        mega__span_drop_table(home);
    }
    if (ctx->homes)
        munmap(ctx->homes, ctx->nhomes * sizeof *ctx->homes);
    ctx->homes = NULL;
    ctx->nhomes = 0;
    mega__unshare(ctx->roll);
    ctx->roll = NULL;
}

/* ---- Homes ---- */

void mega__home_meet(struct mega__ctx *ctx, uint32_t no)
{
    struct mega__home *home = &ctx->homes[no];
    pthread_mutex_lock(&ctx->map_lock);
    if (!atomic_load_explicit(&home->met, memory_order_relaxed)) {
        home->no = no;
        home->how = MEGA__HOW_FAR;
        home->lock_fd = -1;
        atomic_store_explicit(&home->met, true, memory_order_release);
    }
    pthread_mutex_unlock(&ctx->map_lock);
}

struct mega__home *mega__home_next_here(struct mega__ctx *ctx, uint32_t *i_p)
{
    if (*i_p >= ctx->roll->nhere)
        return NULL;
    return &ctx->homes[mega__roll_here(ctx->roll)[(*i_p)++].home];
}

struct mega__home *mega__home_next_served(struct mega__ctx *ctx, uint32_t *i_p)
{
    struct mega__home *home;
    while ((home = mega__home_next_here(ctx, i_p)) && !home->serving)
        ;
    return home;
}
