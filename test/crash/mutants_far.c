/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * mutants_far.c - what is done for a rank of another host besides claims
 * (mutants_hosts.c), dropped: a slab of a far home is adopted, a far home
 * grows; and the births of two homes, and the life of a region on both, whose
 * servers work at once, so each host's flushes and drains have numbers of their
 * own.
 */
#include <pthread.h>

#include "arena.h"
#include "log.h"
#include "region.h"
#include "roll.h"
#include "seg.h"
#include "test/crash/mutants.h"
#include "test/lib/ops.h"
#include "test/lib/steps.h"
#include "test/lib/world.h"

#define FAR 1

static const int host_of[] = {0, 1};

static const struct scenario_excuse twice[] = {
    {"flush", "granule",
     "a message that sends a mark and persists its chunk flushes the line "
     "twice "
     "(part.c)",
     2 + 1},
    {"flush", "granule", "the same", 4 + 1},
    {"flush", "granule", "the same", 7 + 1},
    {"flush", "granule", "the same", 9 + 1},
    {"drain", "extent word", "the extent had no life before (mutants_hosts.c)",
     4 + 1},
    {"drain", "sync", "a device has none", 0},
    {NULL, NULL, NULL, 0}};

/* All extents of a home but so many, by its server. */
static void fill(struct mega__ctx *ctx, struct scene *s, int but)
{
    mega_gptr_t p;
    while (ctx->homes[FAR].seg->spans[0].free > but &&
           ops_alloc(ctx, OPS_DEFAULT, FAR, EXTENT, &p) == MEGA_OK)
        step_keep(ctx, s, oracle_add(&s->o, p, EXTENT, 0));
}

/* ---- Adopted ---- */

/* The claim is seen, and is not durable; nor is the mark of its chunk, although
 * who made it ends. As after a kill; what is flushed after the word is not in
 * its line. */
static void *claim_and_end(void *arg)
{
    struct mega__ctx *ctx = ((void **)arg)[0];
    struct scene *s = ((void **)arg)[1];
    struct medium *m = medium_in_use();
    m->drop_flush = m->flushes + 1; /* the word's */
    step_take(ctx, s, FAR, 64, 0);
    m->drop_flush = m->flushes; /* the mark's, at the end */
    return NULL;
}

static void cut_claim(struct mega__ctx *ctx, int rank, struct scene *s)
{
    pthread_t thread;
    if (rank != FAR)
        return;
    fill(ctx, s, 1);
    pthread_create(&thread, NULL, claim_and_end, (void *[]){ctx, s});
    pthread_join(thread, NULL);
    medium_in_use()->drop_flush = MEDIUM_NEVER;
    s->v[0] = s->o.n - 1;
}

static void adopt(struct mega__ctx *ctx, int rank, struct scene *s)
{
    if (rank != 0)
        return;
    unsigned i = step_take(ctx, s, FAR, 64, 60);
    oracle_set(&s->o, (unsigned)s->v[0],
               FATE_LIVE); /* seen live by who adopts: so it stays */
    step_keep(ctx, s, i);
    CHECK(mega__arena(ctx)->count.adoptions == 1, "it was not adopted");
}

Test(mutants, far_adoption, .timeout = 7200)
{
    static const struct scenario sc = {.name = "far adoption",
                                       .nranks = 2,
                                       .hosts = host_of,
                                       .setup = cut_claim,
                                       .act = adopt};
    mutate(&sc, twice);
}

/* ---- Grown ---- */

static void fill_far(struct mega__ctx *ctx, int rank, struct scene *s)
{
    if (rank == FAR)
        fill(ctx, s, 0);
}

static void grow(struct mega__ctx *ctx, int rank, struct scene *s)
{
    if (rank == 0)
        step_keep(ctx, s, step_take(ctx, s, FAR, 64, 70));
    world_barrier(ctx);
    CHECK(rank != FAR || ctx->homes[FAR].npools == 2, "it has not grown");
}

Test(mutants, far_growth, .timeout = 7200)
{
    static const struct scenario sc = {.name = "far growth",
                                       .nranks = 2,
                                       .hosts = host_of,
                                       .device = true,
                                       .home_max = "14M",
                                       .setup = fill_far,
                                       .act = grow};
    mutate(&sc, twice);
}

/* ---- Born ---- */

static void keep_one(struct mega__ctx *ctx, int rank, struct scene *s)
{
    step_keep(ctx, s, step_take(ctx, s, rank, 64, 10 + (uint64_t)rank));
    world_barrier(ctx);
}

Test(mutants, births_of_two_homes, .timeout = 7200)
{
    static const struct scenario sc = {.name = "births of two homes",
                                       .nranks = 2,
                                       .hosts = host_of,
                                       .by_host = true,
                                       .device = true,
                                       .film = FILM_FIRST,
                                       .cut = true,
                                       .act = keep_one};
    static const struct scenario_excuse excuses[] = {
        {"flush", "home-1.0.pool: word 4",
         "its pools, in the line of born, are durable with that, before home 0 "
         "is born",
         0},
        {"drain", "home-1.0.pool: word 0 + 0", "as for its flush", 2 + 1},
        {"flush", "home-0.0.pool: word 0 + 0",
         "born: the clean word, in its line, is flushed before the open ends",
         5 + 1},
        {"drain", "home-0.0.pool: word 0 + 0",
         "born: the fence of the clean word follows", 3 + 1},
        {"flush", "pool: word 2",
         "the flush of its whole block follows (recover.c)", 0},
        {"drain", "pool: word 0 + 0", "clean: the fence of the epoch follows",
         5 + 1},
        {"drain", "pool: word 0 + 0",
         "the fence of the words on the next host follows (whereabouts.c)",
         7 + 1},
        {"flush", "pool: word 8", "words on the next host decide nothing",
         9 + 1},
        {"flush", "pool: word 9", "the same", 10 + 1},
        {"flush", "pool: word 10", "the same", 11 + 1},
        {"drain", "pool: word 8", "as for their flushes", 8 + 1},
        {"drain", "sync", "a device has none", 0},
        {"drain", "extent word", "the thread's first persist has a fence", 0},
        {NULL, NULL, NULL, 0}};
    mutate(&sc, excuses);
}

/* ---- The life of a region ---- */

/* Of region "one", once all ranks have done what was before. */
static void know(struct mega__ctx *ctx, int rank, struct scene *s, enum known k)
{
    struct medium *m = medium_in_use();
    world_barrier(ctx);
    if (rank == 0) {
        medium_lock(m);
        s->v[0] = k;
        if (m->on_point)
            m->on_point(m, "promise", NULL, 0, m->on_point_arg);
        medium_unlock(m);
    }
    world_barrier(ctx);
}

static void live_and_end(struct mega__ctx *ctx, int rank, struct scene *s)
{
    struct mega_region *r = NULL;
    know(ctx, rank, s, MAYBE);
    OK(mega__region_create(ctx, "one", EXTENT, &r));
    know(ctx, rank, s, EXISTS);
    know(ctx, rank, s, GROWING);
    OK(mega__region_grow(r, EXTENT));
    know(ctx, rank, s, GROWN);
    know(ctx, rank, s, ENDING);
    OK(mega__region_destroy(&r));
    know(ctx, rank, s, GONE);
}

Test(mutants, far_regions, .timeout = 7200)
{
    static const struct scenario sc = {
        .name = "far regions",
        .nranks = 2,
        .hosts = host_of,
        .by_host = true,
        .act = live_and_end,
        .verify = mutants_verify_region /* runs: invariants.h */};
    static const char head[] =
        "the head of a raw run waits for the fence of its record (run.c)";
    static const char pruned[] = "pruned by the next open (region.c)";
    static const struct scenario_excuse excuses[] = {
        {"flush", "mark of extent", "a raw run has no mark (run.c)", 0},
        {"drain", "mark of extent", "as for its flush", 0},
        {"drain", "home-0.0.pool: extent word 8", head, 3 + 1},
        {"drain", "home-0.0.pool: extent word 8", head, 9 + 1},
        {"drain", "home-1.0.pool: extent word 8", head, 1 + 1},
        {"drain", "home-1.0.pool: extent word 8", head, 5 + 1},
        {"drain", "home-0.0.pool: run record",
         "on home 0 the fence of the size comes before LIVE; not on home 1",
         5 + 1},
        {"flush", "home-0.0.pool: run record", pruned, 17 + 1},
        {"flush", "home-0.0.pool: run record", pruned, 18 + 1},
        {"flush", "home-1.0.pool: run record", pruned, 10 + 1},
        {"flush", "home-1.0.pool: run record", pruned, 11 + 1},
        {"drain", "home-0.0.pool: run record", pruned, 14 + 1},
        {"drain", "home-1.0.pool: run record", pruned, 8 + 1},
        {"flush", "region record", "the next open ends what is dying", 20 + 1},
        {"drain", "region record", "as for its flush", 16 + 1},
        {NULL, NULL, NULL, 0}};
    mutate(&sc, excuses);
}
