/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * mutants_hosts.c - the flushes and drains that a home does for a rank of
 * another host, dropped: its server's, when it is told to persist. Rank 0
 * works far away, on the home of rank 1; a publish is of both homes.
 */
#include "intent.h"
#include "log.h"
#include "run.h"
#include "span.h"
#include "test/crash/mutants.h"
#include "test/lib/ops.h"
#include "test/lib/steps.h"
#include "test/lib/world.h"

#define FAR 1
#define RUN (9 * EXTENT)

static const int host_of[] = {0, 1};

/* ---- Chunks and runs ---- */

static void link_and_drop(struct mega__ctx *ctx, struct scene *s, unsigned i)
{
    step_keep(ctx, s, i);
    step_link_in(ctx, s, i, s->p[FAR]);
    step_drop(ctx, s, i);
    mutants_expect(s, FAR, mega_null());
    step_drain(ctx);
    oracle_set(&s->o, i, FATE_FREE);
}

static void chunk(struct mega__ctx *ctx, int rank, struct scene *s)
{
    if (rank == 0)
        link_and_drop(ctx, s, step_take(ctx, s, FAR, 100, 1));
}

Test(mutants, far_chunk, .timeout = 7200)
{
    static const struct scenario sc = {.name = "far chunk",
                                       .nranks = 2,
                                       .hosts = host_of,
                                       .setup = step_table,
                                       .act = chunk,
                                       .verify = mutants_verify_slots};
    static const struct scenario_excuse excuses[] = {
        {"flush", "as on the medium", "in use, and nothing was stored there",
         0},
        {"flush", "mark of extent",
         "a message that sends a mark and persists its chunk flushes the line "
         "twice (part.c)",
         2 + 1},
        {"flush", "mark of extent", "the same", 4 + 1},
        {"drain", "extent word",
         "the extent had no life before; hosts F9_change_hands tells", 1 + 1},
        {NULL, NULL, NULL, 0}};
    mutate(&sc, excuses);
}

/* A run is live before the call returns: where it comes, p[2], was tried
 * before. A former slab or run may have left its mark where a head will be. */
static void leave_marks(struct mega__ctx *ctx, int rank, struct scene *s)
{
    step_table(ctx, rank, s);
    world_barrier(ctx);
    if (rank == 0) {
        OK(ops_alloc(ctx, OPS_DEFAULT, FAR, RUN, &s->p[2]));
        OK(ops_free(ctx, s->p[2]));
    }
    world_barrier(ctx);
    if (rank != FAR)
        return;
    struct mega__span *span = mega__span_of(ctx, mega__gptr(FAR, 0, 0));
    for (uint32_t e = span->first; e < span->extents; e++) {
        _Atomic uint8_t *mark = mega__run_mark(span, e);
        if (mega__span_word(span, e) != MEGA__FREE)
            continue;
        atomic_store(mark, MEGA__MARK_LIVE);
        mega__pool_flush(&ctx->flusher, span->how, (const void *)mark, 1);
    }
    mega__pool_flush(&ctx->flusher, span->how, (const void *)span->words,
                     8 * (size_t)span->extents);
    OK(mega__pool_drain(&ctx->flusher));
}

/* Nine extents: their words lie in two lines. */
static void run(struct mega__ctx *ctx, int rank, struct scene *s)
{
    mega_gptr_t p = mega_null();
    if (rank != 0)
        return;
    unsigned r = oracle_add(&s->o, s->p[2], RUN, 2);
    OK(ops_alloc(ctx, OPS_DEFAULT, FAR, RUN, &p));
    CHECK(p.v == s->p[2].v, "the run came to %#llx", (unsigned long long)p.v);
    ops_fill(ctx, p, RUN, 2);
    link_and_drop(ctx, s, r);
}

Test(mutants, far_run, .timeout = 7200)
{
    static const struct scenario sc = {.name = "far run",
                                       .nranks = 2,
                                       .hosts = host_of,
                                       .home_size = "4M",
                                       .home_max = "4M",
                                       .setup = leave_marks,
                                       .act = run,
                                       .verify = mutants_verify_slots};
    static const struct scenario_excuse excuses[] = {
        {"flush", "as on the medium", "in use, and nothing was stored there",
         0},
        {"flush", "mark of extent",
         "the run is live when the call returns; of a local one it is told",
         1 + 1},
        {"flush", "mark of extent",
         "its first persist flushes the mark again (far.c)", 3 + 1},
        {"drain", "extent word", "the mark's comes at once (agent_ask.c)",
         1 + 1},
        {"drain", "mark of extent", "as for its flush", 2 + 1},
        {NULL, NULL, NULL, 0}};
    mutate(&sc, excuses);
}

/* ---- Publish ---- */

/* Slot and chunk k on homes k and 1 - k. After each publish rank 1 stores to a
 * slot what a replay of it would undo. */
static void publish_two(struct mega__ctx *ctx, struct scene *s,
                        mega_publish_item_t items[2])
{
    unsigned i[2];
    for (unsigned k = 0; k < 2; k++) {
        i[k] = step_reserve(ctx, s, (int)(1 - k), 100 + 1000 * k, 800 + k);
        items[k] = (mega_publish_item_t){MEGA_PUBLISH_ALLOC,
                                         s->o.chunks[i[k]].p, s->p[k]};
    }
    for (unsigned k = 0; k < 2; k++)
        oracle_set(&s->o, i[k], FATE_MAYBE);
    OK(mega__intent_publish(ctx, items, 2, MEGA_PERSIST_CONTENTS));
    for (unsigned k = 0; k < 2; k++) {
        oracle_set(&s->o, i[k], FATE_LIVE);
        mutants_expect(s, k, items[k].chunk);
    }
    s->v[8] = i[0];
}

static void free_one(struct mega__ctx *ctx, struct scene *s,
                     mega_publish_item_t *item)
{
    unsigned i = (unsigned)s->v[8];
    item->op = MEGA_PUBLISH_FREE;
    mutants_expect_nothing(s, 0);
    oracle_set(&s->o, i, FATE_MAYBE);
    OK(mega__intent_publish(ctx, item, 1, 0));
    oracle_set(&s->o, i, FATE_FREE);
    mutants_expect(s, 0, mega_null());
}

static void store(struct mega__ctx *ctx, struct scene *s, unsigned k,
                  mega_gptr_t p)
{
    mutants_expect_nothing(s, k);
    ops_store(ctx, s->p[k], p);
    OK(ops_persist(ctx, s->p[k], 8));
    mutants_expect(s, k, p);
}

static void by_turns(struct mega__ctx *ctx, int rank, struct scene *s)
{
    mega_publish_item_t items[2];
    if (rank == 0)
        publish_two(ctx, s, items);
    world_barrier(ctx);
    if (rank == 1)
        store(ctx, s, 1, s->p[0]);
    world_barrier(ctx);
    if (rank == 0)
        free_one(ctx, s, items);
    world_barrier(ctx);
    if (rank == 1)
        store(ctx, s, 0, s->p[1]);
}

Test(mutants, far_publish, .timeout = 7200)
{
    static const struct scenario sc = {.name = "far publish",
                                       .nranks = 2,
                                       .hosts = host_of,
                                       .setup = step_table,
                                       .act = by_turns,
                                       .verify = mutants_verify_group};
    static const struct scenario_excuse excuses[] = {
        {"flush", "as on the medium", "in use, and nothing was stored there",
         0},
        {"drain", "mark of extent", "as for its flush", 6 + 1},
        {"drain", "extent word", "the extent had no life before", 3 + 1},
        {"drain", "extent word", "the thread's first persist has a fence",
         1 + 1},
        {NULL, NULL, NULL, 0}};
    mutate(&sc, excuses);
}
