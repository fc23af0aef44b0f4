/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * races.c - several ranks at one home: claims, adoptions, releases, runs, and a
 * publish that frees, that meet, crashed at every flush and drain of any of
 * them. The ranks take turns (turns.h), which a seed chooses at each step, so a
 * film shows one way in which they meet, and can be made again; each scenario
 * has several.
 */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdlib.h>

#include "arena.h"
#include "intent.h"
#include "log.h"
#include "roll.h"
#include "test/lib/net_delay.h"
#include "test/lib/ops.h"
#include "test/lib/report.h"
#include "test/lib/scenario.h"
#include "test/lib/steps.h"
#include "test/lib/turns.h"
#include "test/lib/world.h"

#define FAR 1    /* over hosts: the home of rank 1, on which all work */
#define MOST 128 /* chunks of a scenario */
#define FREED 3u /* by publish, while others allocate */

static const int host_of[] = {0, 1, 2};

/* ---- What the ranks do by turns ---- */

/* How often they met: the last one says so. */
static void count(struct mega__ctx *ctx, struct scene *s)
{
    const mega_counters_t *c = &mega__arena(ctx)->count;
    medium_lock(medium_in_use());
    s->v[0] += c->claims;
    s->v[1] += c->adoptions;
    s->v[2] += c->claim_cas;
    if (++s->v[3] == (uint64_t)ctx->place.nranks)
        report_note("a film of seed %llu: %llu claims and %llu adoptions, by "
                    "%llu swaps",
                    (unsigned long long)s->seed, (unsigned long long)s->v[0],
                    (unsigned long long)s->v[1], (unsigned long long)s->v[2]);
    medium_unlock(medium_in_use());
}

typedef void race_fn(struct mega__ctx *ctx, int rank, struct scene *s,
                     int home);

static void by_turns(race_fn *fn, struct mega__ctx *ctx, int rank,
                     struct scene *s)
{
    if (rank == 0)
        turns_start((unsigned)ctx->place.nranks, s->seed);
    world_barrier(ctx);
    turns_enter((unsigned)rank);
    fn(ctx, rank, s, ctx->place.nhosts > 1 ? FAR : 0);
    turns_leave();
    count(ctx, s);
}

/* The number of a new chunk, MAYBE; or MOST, if the home is full. */
static unsigned take(struct mega__ctx *ctx, struct scene *s, int home,
                     size_t size, uint64_t tag)
{
    mega_gptr_t p = mega_null();
    if (s->o.n >= MOST)
        return MOST;
    mega_status_t st = ops_alloc(ctx, OPS_DEFAULT, home, size, &p);
    if (st == MEGA_ERR_HOME_FULL)
        return MOST;
    CHECK(st == MEGA_OK, "alloc of %zu: %d %s", size, st,
          mega__errmsg_buffer());
    if (st)
        abort(); /* nothing that follows would make sense */
    unsigned i = oracle_add(&s->o, p, size, tag);
    if (tag)
        ops_fill(ctx, p, size, tag);
    return i;
}

/* Chunk i is durably free, unless its place is another's by now. */
static void is_free(struct scene *s, unsigned i)
{
    bool newest = true;
    for (unsigned k = i + 1; k < s->o.n; k++)
        newest &= s->o.chunks[k].p.v != s->o.chunks[i].p.v;
    if (newest)
        oracle_set(&s->o, i, FATE_FREE);
}

/* ---- Claim and claim ---- */

static void claim_all(struct mega__ctx *ctx, int rank, struct scene *s,
                      int home)
{
    static const size_t sizes[] = {32, 1000, 32768, 20000};
    for (unsigned k = 0; k < 4; k++) {
        unsigned i = take(ctx, s, home, sizes[(k + (unsigned)rank) % 4],
                          100 + 10 * (uint64_t)rank + k);
        if (i < MOST) /* the last ones find no extent */
            step_keep(ctx, s, i);
    }
}

static void claims(struct mega__ctx *ctx, int rank, struct scene *s)
{
    by_turns(claim_all, ctx, rank, s);
}

/* ---- Claim and release ---- */

/* What waits of all ranks has few enough subsets to be looked at. */
static void drain_some(struct mega__ctx *ctx, unsigned n)
{
    if (n % 2 == 0)
        step_drain(ctx);
}

/* Until the home is full; all freed again, so each finds slabs of the others'
 * that are empty, and claims what others have just released. */
static void fill_and_free(struct mega__ctx *ctx, int rank, struct scene *s,
                          int home)
{
    static const size_t sizes[] = {32768, 20000, 26000};
    unsigned mine[16];
    for (unsigned turn = 0; turn < 2; turn++) {
        unsigned n = 0, i;
        size_t size = sizes[(turn + (unsigned)rank) % 3];
        while (n < 6 && (i = take(ctx, s, home, size, 0)) < MOST) {
            mine[n++] = i;
            drain_some(ctx, n);
        }
        if (n > 0)
            step_keep(ctx, s, mine[n - 1]);
        for (unsigned k = 0; k + turn < n; k++) {
            step_drop(ctx, s, mine[k]);
            drain_some(ctx, k);
        }
        step_drain(ctx);
        for (unsigned k = 0; k + turn < n; k++)
            is_free(s, mine[k]);
        mega__arena_trim(mega__arena(ctx), mega__home_at(ctx, (uint32_t)home));
    }
}

static void releases(struct mega__ctx *ctx, int rank, struct scene *s)
{
    by_turns(fill_and_free, ctx, rank, s);
}

/* ---- Adopt and adopt ---- */

static unsigned at_swap; /* of one slab, and past it; changed by turns */
static bool freed;       /* what names it to the second of them */

/* A thread fills the home and ends: slabs without an owner, one has room. */
static void *fill_and_end(void *arg)
{
    struct mega__ctx *ctx = ((void **)arg)[0];
    struct scene *s = ((void **)arg)[1];
    const int home = ctx->place.nhosts > 1 ? FAR : 0;
    unsigned n = 0, i;
    while ((i = take(ctx, s, home, 20000, 0)) < MOST)
        n++;
    step_drop(ctx, s, 0);
    for (unsigned k = 1; k < n; k++)
        s->o.chunks[k].fate = FATE_LIVE; /* when all is drained */
    step_drain(ctx);
    s->o.chunks[0].fate = FATE_FREE;
    return NULL;
}

static void unowned_slabs(struct mega__ctx *ctx, int rank, struct scene *s)
{
    pthread_t thread;
    s->hands_off = true;
    if (rank != (ctx->place.nhosts > 1 ? FAR : 0))
        return;
    at_swap = 0;
    freed = false;
    pthread_create(&thread, NULL, fill_and_end, (void *[]){ctx, s});
    pthread_join(thread, NULL);
}

static void wait_for_both(void *arg)
{
    (void)arg;
    at_swap++;
    while (at_swap < 2)
        turns_step();
}

/* A slab is named to one rank only, unless more is freed in it: rank 1 does so
 * when rank 0 is about to swap, so rank 2 is named it, too. */
static void adopt_the_same(struct mega__ctx *ctx, int rank, struct scene *s,
                           int home)
{
    unsigned i = MOST;
    while ((rank == 1 && at_swap == 0) || (rank == 2 && !freed))
        turns_step();
    if (rank == 1) {
        step_drop(ctx, s, 1);
        step_drop(ctx, s, 4); /* in another slab: who loses finds that */
        freed = true;
    } else {
        net_delay_before(ctx->net, wait_for_both, NULL);
        i = take(ctx, s, home, 20000, 400 + (uint64_t)rank);
        CHECK(i < MOST, "there was no room for both");
        at_swap++;
    }
    while (at_swap < 4) /* nobody else takes that */
        turns_step();
    if (i < MOST)
        step_keep(ctx, s, i);
}

/* Some of what was there is freed meanwhile, in slabs that change hands. */
static void adopt_all(struct mega__ctx *ctx, int rank, struct scene *s,
                      int home)
{
    adopt_the_same(ctx, rank, s, home);
    for (unsigned k = 0; k < 3; k++) {
        unsigned i = 1 + 4 * (3 * k + (unsigned)rank);
        if (i < s->o.n && s->o.chunks[i].tag == 0 &&
            s->o.chunks[i].fate == FATE_LIVE)
            step_drop(ctx, s, i);
        i = take(ctx, s, home, 20000, 300 + 10 * (uint64_t)rank + k);
        if (i < MOST)
            step_keep(ctx, s, i);
    }
    step_drain(ctx);
}

static void adoptions(struct mega__ctx *ctx, int rank, struct scene *s)
{
    by_turns(adopt_all, ctx, rank, s);
    world_barrier(ctx);
    CHECK(s->v[2] > s->v[0] + s->v[1], "no rank has lost a swap");
}

/* ---- Runs and slabs ---- */

static void runs_and_slabs(struct mega__ctx *ctx, int rank, struct scene *s,
                           int home)
{
    for (unsigned k = 0; k < 4; k++) {
        size_t size = (rank + (int)k) % 3 == 2
                          ? 32768
                          : (2 + k % 2) * (size_t)MEGA__EXTENT - 100;
        unsigned i = take(ctx, s, home, size, 0);
        if (i == MOST)
            continue;
        if (k > 0)
            step_keep(ctx, s, i);
        if (k == 3)
            continue;
        step_drop(ctx, s, i);
        step_drain(ctx);
        is_free(s, i);
    }
}

static void runs(struct mega__ctx *ctx, int rank, struct scene *s)
{
    by_turns(runs_and_slabs, ctx, rank, s);
}

/* ---- Anything ---- */

static unsigned any_live(const struct scene *s, uint64_t r)
{
    for (unsigned k = 0; k < s->o.n; k++)
        if (s->o.chunks[(r + k) % s->o.n].fate == FATE_LIVE)
            return (unsigned)((r + k) % s->o.n);
    return MOST;
}

static void anything(struct mega__ctx *ctx, int rank, struct scene *s, int home)
{
    static const size_t sizes[] = {48, 100, 20000, 32768};
    uint64_t seed = s->seed * 7919 + 2 * (uint64_t)rank + 1;
    for (unsigned k = 0; k < 7; k++) {
        uint64_t r = medium_random(&seed) >> 20;
        bool more = r % 8 < 5, keep = r % 8 < 4;
        unsigned i = more ? take(ctx, s, home, sizes[r >> 12 & 3],
                                 keep ? r | OPS_BRIEF : 0)
                          : any_live(s, r >> 8); /* whoever made it */
        if (i == MOST)
            continue;
        if (!more)
            step_drop(ctx, s, i);
        else if (keep)
            step_keep(ctx, s, i);
        if (r % 8 >= 6) {
            step_drain(ctx);
            is_free(s, i);
        }
    }
}

static void random_work(struct mega__ctx *ctx, int rank, struct scene *s)
{
    by_turns(anything, ctx, rank, s);
}

/* ---- Freed by publish, and swept ---- */

/* Rank 1 owns slabs that are full, their chunks in slots of rank 0's table. */
static void fill_slots(struct mega__ctx *ctx, int rank, struct scene *s)
{
    step_table(ctx, rank, s);
    world_barrier(ctx);
    for (unsigned k = 0; rank == 1 && k < FREED; k++) {
        s->v[4 + k] = step_take(ctx, s, 0, 32768, 300 + k);
        step_keep(ctx, s, (unsigned)s->v[4 + k]);
        step_link_in(ctx, s, (unsigned)s->v[4 + k],
                     mega_add(s->p[0], 8 * (int64_t)k));
    }
}

static void free_from(struct mega__ctx *ctx, struct scene *s, unsigned k)
{
    unsigned i = (unsigned)s->v[4 + k];
    mega_publish_item_t item = {MEGA_PUBLISH_FREE, s->o.chunks[i].p,
                                mega_add(s->p[0], 8 * (int64_t)k)};
    oracle_link(&s->o, i, mega_null());
    oracle_set(&s->o, i, FATE_MAYBE);
    OK(mega__intent_publish(ctx, &item, 1, 0));
    is_free(s, i);
}

/* What rank 0 frees rank 1 hands out again, and not before no replay can. */
static void free_and_sweep(struct mega__ctx *ctx, int rank, struct scene *s,
                           int home)
{
    for (unsigned k = 0; rank == 0 && k < FREED; k++)
        free_from(ctx, s, k);
    for (unsigned k = 0; rank == 1 && k < 30; k++) {
        unsigned i = take(ctx, s, home, 32768, 400 + k);
        if (i < MOST)
            step_keep(ctx, s, i);
    }
}

static void publishes(struct mega__ctx *ctx, int rank, struct scene *s)
{
    by_turns(free_and_sweep, ctx, rank, s);
}

#define FILMS .nranks = 3, .films = 3
#define CARD(work) FILMS, .act = work, .atomics = "nic"
/* With one home, of an earlier job: there is less to be exhausted. */
#define ONE_HOME .film = FILM_JOB, .founders = 1, .cut = true
#define HOSTS(work) .nranks = 3, .films = 2, .act = work, .hosts = host_of

SCENARIO_TEST(races, claims, CARD(claims), ONE_HOME)
SCENARIO_TEST(races, claims_over_hosts, HOSTS(claims))
SCENARIO_TEST(races, releases, CARD(releases), ONE_HOME)
SCENARIO_TEST(races, releases_over_hosts, HOSTS(releases))
SCENARIO_TEST(races, adoptions, CARD(adoptions), .setup = unowned_slabs)
SCENARIO_TEST(races, adoptions_over_hosts, HOSTS(adoptions),
              .setup = unowned_slabs)
SCENARIO_TEST(races, runs_and_slabs, CARD(runs), ONE_HOME)
SCENARIO_TEST(races, F1_publishes, .nranks = 2, .films = 3, .act = publishes,
              .setup = fill_slots)
SCENARIO_TEST(races, random_work, CARD(random_work), ONE_HOME)
SCENARIO_TEST(races, random_work_by_the_processor, FILMS, .act = random_work,
              ONE_HOME)
SCENARIO_TEST(races, random_work_over_hosts, HOSTS(random_work))
