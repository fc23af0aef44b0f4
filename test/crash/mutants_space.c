/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * mutants_space.c - the flushes and drains of the space itself, dropped: made,
 * grown, committed, ended, opened after a kill. The order of births between
 * homes: mutants_far.c.
 */
#include <stdlib.h>
#include <string.h>

#include "agent.h"
#include "arena.h"
#include "directory.h"
#include "hot.h"
#include "intent.h"
#include "log.h"
#include "region.h"
#include "roll.h"
#include "seg.h"
#include "space.h"
#include "span.h"
#include "test/crash/mutants.h"
#include "test/lib/ops.h"
#include "test/lib/steps.h"
#include "test/lib/world.h"

/* Most are tried on a DAX device: a sync of a file would hide the flushes
 * before it, and a device has none. */

/* What each open does on a device (recover.c). */
#define EXCUSES_OF_OPEN                                                        \
    {"flush", "pool: word 2",                                                  \
     "the flush of its whole block follows (recover.c)", 0},                   \
    {                                                                          \
        "drain", "sync", "a device has none", 0                                \
    }

/* ---- Made ---- */

static void keep_one(struct mega__ctx *ctx, int rank, struct scene *s)
{
    (void)rank;
    step_keep(ctx, s, step_take(ctx, s, 0, 64, 10));
}

Test(mutants, creation, .timeout = 7200)
{
    static const struct scenario sc = {.name = "creation",
                                       .nranks = 1,
                                       .device = true,
                                       .film = FILM_FIRST,
                                       .cut = true,
                                       .act = keep_one};
    static const struct scenario_excuse excuses[] = {
        {"flush", "pool: word 0 + 0",
         "born: the clean word, in its line, is flushed before the open ends",
         5 + 1},
        EXCUSES_OF_OPEN,
        {"flush", "pool: word 0 + 0, as on the medium",
         "nothing is only seen in it; recovery tells", 0},
        {"drain", "pool: word 0 + 0",
         "born: the fence of the clean word follows", 3 + 1},
        {"drain", "pool: word 0 + 0", "clean: the fence of the epoch follows",
         5 + 1},
        {"drain", "pool: word 0 + 0", "nothing is only seen; recovery tells",
         7 + 1},
        {"drain", "extent word", "the thread's first persist has a fence", 0},
        {NULL, NULL, NULL, 0}};
    mutate(&sc, excuses);
}

/* ---- Grown ---- */

/* The slab of the last chunk has room, the home has none. */
static void fill(struct mega__ctx *ctx, int rank, struct scene *s)
{
    mega_gptr_t p;
    (void)rank;
    while (ops_alloc(ctx, OPS_DEFAULT, 0, EXTENT, &p) == MEGA_OK) {
        step_keep(ctx, s, oracle_add(&s->o, p, EXTENT, 0));
        if (ctx->homes[0].seg->spans[0].free == 0)
            break;
    }
}

/* Growth is the agent's: the medium must not be locked meanwhile. */
static void grow(struct mega__ctx *ctx, int rank, struct scene *s)
{
    mega_gptr_t p = mega_null();
    (void)rank;
    OK(ops_alloc(ctx, OPS_DEFAULT, 0, EXTENT, &p));
    step_keep(ctx, s, oracle_add(&s->o, p, EXTENT, 0));
    CHECK(ctx->homes[0].npools == 2, "the home has not grown");
}

Test(mutants, growth, .timeout = 7200)
{
    static const struct scenario sc = {.name = "growth",
                                       .nranks = 1,
                                       .device = true,
                                       .home_max = "14M",
                                       .setup = fill,
                                       .act = grow};
    static const struct scenario_excuse excuses[] = {
        {"flush", "extent 16 + 0, as on the medium", "has no contents", 0},
        {"drain", "sync", "a device has none", 0},
        {"drain", "extent word",
         "the head of a run waits for its first persist (mutants.c)", 4 + 1},
        {NULL, NULL, NULL, 0}};
    mutate(&sc, excuses);
}

/* ---- Committed, ended ---- */

/* 0: freed, not drained; 2: its data are not persisted; 1 warms its slab up. */
static void one_to_free(struct mega__ctx *ctx, int rank, struct scene *s)
{
    if (rank == 0)
        for (unsigned k = 0; k < 2; k++)
            step_keep(ctx, s, step_take(ctx, s, 0, k ? 2000 : 64, 30 + k));
}

static void leave_undone(struct mega__ctx *ctx, int rank, struct scene *s)
{
    (void)rank;
    step_take(ctx, s, 0, 2000, 32);
    step_drop(ctx, s, 0);
}

static void all_done(struct scene *s)
{
    oracle_set(&s->o, 0, FATE_FREE);
    oracle_set(&s->o, 2, FATE_LIVE);
}

static void commit(struct mega__ctx *ctx, int rank, struct scene *s)
{
    leave_undone(ctx, rank, s);
    OK(mega__space_commit(ctx));
    all_done(s);
}

Test(mutants, commit, .timeout = 7200)
{
    static const struct scenario sc = {
        .name = "commit", .nranks = 1, .setup = one_to_free, .act = commit};
    static const struct scenario_excuse excuses[] = {
        {"flush", "as on the medium", "in use, and nothing was stored there",
         0},
        {"flush", "mark of extent",
         "written with all that is in use; a drain alone has only this "
         "(space.c)",
         0},
        {"drain", "mark of extent", "as for its flush", 0},
        {NULL, NULL, NULL, 0}};
    mutate(&sc, excuses);
}

Test(mutants, end, .timeout = 7200)
{
    static const struct scenario sc = {.name = "end",
                                       .nranks = 1,
                                       .setup = one_to_free,
                                       .film = FILM_JOB,
                                       .act = leave_undone,
                                       .closed = all_done};
    static const struct scenario_excuse excuses[] = {
        {"flush", "as on the medium", "in use, and nothing was stored there",
         0},
        {"flush", "mark of extent",
         "written with all that is in use; a drain alone has only this "
         "(space.c)",
         0},
        {"drain", "mark of extent", "as for its flush", 0},
        {"flush", "extent word", "adopted after a clean end: durable already",
         0},
        {"drain", "extent word", "as for its flush", 0},
        {"flush", "pool: word 2",
         "only says whether the next open needs a sync", 15 + 1},
        {"drain", "pool: word 0", "nothing is only seen; recovery tells",
         2 + 1},
        {"drain", "pool: word 0", "as for the flush of the clean word", 6 + 1},
        {"flush", "intent",
         "words of slabs given up: their owner is of an old epoch", 13 + 1},
        {"drain", "span header",
         "the fence of the clean word follows; between them a kill would leave "
         "a clean word over what only a cache holds (space.c)",
         0},
        {NULL, NULL, NULL, 0}};
    mutate(&sc, excuses);
}

/* ---- Opened after a kill ---- */

/* A publish is decided and not done, and that is seen and not durable: on a
 * device no sync makes it so. */
static void cut_publish(struct mega__ctx *ctx, int rank, struct scene *s)
{
    struct medium *m = medium_in_use();
    mega_gptr_t p = mega_null();
    (void)rank;
    s->hands_off = true;
    for (unsigned k = 0; k < 2; k++)
        step_keep(ctx, s, step_take(ctx, s, 0, 100, 40 + k));
    s->p[0] = ops_root(ctx, "published");
    OK(mega__hot_reserve(ctx, OPS_DEFAULT, 0, 100, &p));
    mega_publish_item_t item = {MEGA_PUBLISH_ALLOC, p, s->p[0]};
    oracle_add(&s->o, p, 100, 0);
    m->drop_flush = m->flushes; /* the record's, and its fence fails */
    m->fail_drain = m->drains;
    CHECK(mega__intent_publish(ctx, &item, 1, 0) == MEGA_ERR_PEER,
          "a fence was to fail");
    m->drop_flush = m->fail_drain = MEDIUM_NEVER;
}

static void link_another(struct mega__ctx *ctx, int rank, struct scene *s)
{
    (void)rank;
    s->v[0] = 1;
    oracle_link(&s->o, 2, s->p[0]);
    oracle_set(&s->o, 2, FATE_LIVE);
    oracle_link(&s->o, 2, mega_null());
    step_link_in(ctx, s, 0, s->p[0]); /* a replay would undo it */
}

static void verify_publish(struct mega__ctx *ctx, const struct scene *s)
{
    struct oracle_live *live;
    size_t n = oracle_walk(ctx, &live);
    bool is_live = false;
    for (size_t k = 0; k < n; k++)
        is_live |= live[k].p.v == s->o.chunks[2].p.v;
    CHECK(s->v[0] ||
              is_live == (ops_load(ctx, s->p[0]).v == s->o.chunks[2].p.v),
          "half of a publish was done");
    free(live);
}

Test(mutants, recovery, .timeout = 7200)
{
    static const struct scenario sc = {.name = "recovery",
                                       .nranks = 1,
                                       .device = true,
                                       .setup = cut_publish,
                                       .film = FILM_JOB,
                                       .unclean = true,
                                       .cut = true,
                                       .act = link_another,
                                       .verify = verify_publish};
    static const struct scenario_excuse excuses[] = {
        EXCUSES_OF_OPEN,
        {"drain", "pool: word 0 + 0", "as for its flush", 1},
        {"drain", "intent", "the fence of the pruned runs follows (intent.c)",
         0},
        {NULL, NULL, NULL, 0}};
    mutate(&sc, excuses);
}

/* Homes of two ranks, opened by one: home 0's epoch is raised last, and then
 * all know it. */
static void keep_two(struct mega__ctx *ctx, int rank, struct scene *s)
{
    if (rank == 0)
        for (int home = 0; home < 2; home++)
            step_keep(ctx, s, step_take(ctx, s, home, 64, 50));
    world_barrier(ctx);
}

static void keep_again(struct mega__ctx *ctx, int rank, struct scene *s)
{
    (void)rank;
    OK(ops_persist(ctx, s->o.chunks[0].p, 64));
}

Test(mutants, epochs_of_two_homes, .timeout = 7200)
{
    static const struct scenario sc = {.name = "epochs of two homes",
                                       .founders = 2,
                                       .nranks = 1,
                                       .device = true,
                                       .setup = keep_two,
                                       .film = FILM_JOB,
                                       .unclean = true,
                                       .cut = true,
                                       .act = keep_again};
    static const struct scenario_excuse excuses[] = {
        {"flush", "as on the medium", "nothing was stored there", 0},
        {"drain", "pool: word 0 + 0", "clean: nothing was stored there", 1},
        {"drain", "pool: word 0 + 0", "clean: nothing was stored there", 2},
        {"drain", "pool: word 0 + 0",
         "the fence of the pruned runs follows (recover.c)", 4 + 1},
        {"drain", "pool: word 0 + 0",
         "the fence of the pruned runs follows (recover.c)", 6 + 1},
        {"drain", "sync", "a device has none", 0},
        {"drain", "extent", "nothing was stored there", 0},
        {NULL, NULL, NULL, 0}};
    mutate(&sc, excuses);
}

/* ---- Adopted after a kill ---- */

/* The claim is seen, and is not durable. */
static void cut_claim(struct mega__ctx *ctx, int rank, struct scene *s)
{
    struct medium *m = medium_in_use();
    (void)rank;
    m->drop_flush = m->flushes + 1; /* the word's */
    step_take(ctx, s, 0, 64, 0);
    m->drop_flush = MEDIUM_NEVER;
}

static void adopt(struct mega__ctx *ctx, int rank, struct scene *s)
{
    (void)rank;
    unsigned i = step_take(ctx, s, 0, 64, 60);
    oracle_set(&s->o, 0, FATE_LIVE); /* seen live by who adopts: so it stays */
    step_keep(ctx, s, i);
    CHECK(mega__arena(ctx)->count.adoptions == 1, "it was not adopted");
}

Test(mutants, adoption, .timeout = 7200)
{
    static const struct scenario sc = {.name = "adoption",
                                       .nranks = 1,
                                       .device = true,
                                       .setup = cut_claim,
                                       .film = FILM_JOB,
                                       .unclean = true,
                                       .cut = true,
                                       .act = adopt};
    static const struct scenario_excuse excuses[] = {
        EXCUSES_OF_OPEN,
        {"drain", "pool: word 0 + 0", "clean: nothing is only seen", 1},
        {"drain", "pool: word 0 + 0",
         "the fence of the pruned runs follows (recover.c)", 2 + 1},
        {NULL, NULL, NULL, 0}};
    mutate(&sc, excuses);
}

/* A region is dying, with a root, slabs and a raw run; a run is reserved. There
 * are more slabs than words in the line of the runs' words, whose flush would
 * hide that of theirs. */
static void cut_region(struct mega__ctx *ctx, int rank, struct scene *s)
{
    struct medium *m = medium_in_use();
    struct mega_region *r = NULL;
    mega_gptr_t p = mega_null();
    (void)rank;
    OK(mega__region_create(ctx, "dying", EXTENT, &r));
    struct mega__request req = {.op = MEGA__ASK_ROOT_MAKE, .arg = {r->id, 0}};
    strcpy(req.text, "within");
    OK(mega__agent_ask(ctx, mega__home_at(ctx, 0), &req));
    for (size_t bytes = 64; bytes < 64 << 7; bytes *= 2) {
        OK(ops_alloc(ctx, r->id, 0, bytes, &p));
        OK(ops_persist(ctx, p, bytes));
    }
    OK(mega__hot_reserve(ctx, OPS_DEFAULT, 0, EXTENT, &p));
    (void)s;
    m->fail_drain = m->drains + 1; /* after that of DYING */
    CHECK(mega__region_destroy(&r) == MEGA_ERR_IO, "a fence was to fail");
    m->fail_drain = MEDIUM_NEVER;
}

static void new_root(struct mega__ctx *ctx, int rank, struct scene *s)
{
    (void)rank;
    (void)s;
    ops_root(ctx, "new");
    s->v[0] = 1;
}

static void verify_new_root(struct mega__ctx *ctx, const struct scene *s)
{
    CHECK(!s->v[0] ||
              mega__dir_root_find(mega__home_at(ctx, 0), OPS_DEFAULT, "new"),
          "the root is lost");
}

Test(mutants, recovery_of_regions, .timeout = 7200)
{
    static const struct scenario sc = {.name = "recovery of regions",
                                       .nranks = 1,
                                       .device = true,
                                       .home_size = "4M",
                                       .home_max = "4M",
                                       .setup = cut_region,
                                       .film = FILM_JOB,
                                       .unclean = true,
                                       .cut = true,
                                       .act = new_root,
                                       .verify = verify_new_root};
    static const struct scenario_excuse excuses[] = {
        EXCUSES_OF_OPEN,
        {"drain", "pool: word 0 + 0", "as for its flush", 1},
        {"flush", "as on the medium", "nothing is only seen; recovery tells",
         0},
        {"drain", "pool: word 0 + 0", "as for its flush", 3},
        {"flush", "extent word", "a head that is dead stays dead (run.c)", 4},
        {"flush", "extent word", "a head that is dead stays dead (run.c)", 5},
        {"drain", "extent word", "as for its flush", 5},
        {"drain", "extent word", "as for its flush", 6},
        {"flush", "region record",
         "its line is not used again here; \"regions\" tells", 0},
        {NULL, NULL, NULL, 0}};
    mutate(&sc, excuses);
}
