/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * mutants_publish.c - the flushes and drains of publish, dropped. Two ranks
 * take turns on one slot, so that no later fence of the same thread makes good
 * what was left out before the other has built on it.
 */
#include <stdlib.h>
#include <string.h>

#include "hot.h"
#include "intent.h"
#include "log.h"
#include "test/crash/mutants.h"
#include "test/lib/ops.h"
#include "test/lib/steps.h"
#include "test/lib/world.h"

void mutants_expect(struct scene *s, unsigned k, mega_gptr_t p)
{
    struct medium *m = medium_in_use();
    medium_lock(m);
    s->p[8 + k] = p;
    s->v[k] = 1;
    if (m->on_point)
        m->on_point(m, "promise", NULL, 0, m->on_point_arg);
    medium_unlock(m);
}

void mutants_expect_nothing(struct scene *s, unsigned k)
{
    medium_lock(medium_in_use());
    s->v[k] = 0;
    medium_unlock(medium_in_use());
}

void mutants_verify_slots(struct mega__ctx *ctx, const struct scene *s)
{
    for (unsigned k = 0; k < 3; k++)
        CHECK(!s->v[k] || ops_load(ctx, s->p[k]).v == s->p[8 + k].v,
              "slot %u holds %llx", k,
              (unsigned long long)ops_load(ctx, s->p[k]).v);
}

void mutants_verify_group(struct mega__ctx *ctx, const struct scene *s)
{
    struct oracle_live *live;
    size_t n = oracle_walk(ctx, &live);
    mutants_verify_slots(ctx, s);
    for (unsigned i = 0; i < s->o.n; i++) {
        const struct oracle_chunk *c = &s->o.chunks[i];
        bool is_live = false;
        if (c->fate != FATE_MAYBE || c->tag < 800 || c->tag >= 1000)
            continue;
        bool linked = ops_load(ctx, s->p[c->tag % 100]).v == c->p.v;
        for (size_t k = 0; k < n; k++)
            is_live |= live[k].p.v == c->p.v && live[k].size >= c->size;
        CHECK(is_live == linked, "chunk %llu: live %d, linked %d",
              (unsigned long long)c->tag, is_live, linked);
        CHECK(!linked || c->tag >= 900 ||
                  ops_filled(ctx, c->p, c->size, c->tag),
              "chunk %llu is linked without its contents",
              (unsigned long long)c->tag);
    }
    free(live);
}

static unsigned reserve(struct mega__ctx *ctx, struct scene *s, size_t size,
                        uint64_t tag)
{
    mega_gptr_t p = mega_null();
    OK(mega__hot_reserve(ctx, OPS_DEFAULT, 0, size, &p));
    unsigned i = oracle_add(&s->o, p, size, tag);
    ops_fill(ctx, p, size, tag);
    return i;
}

/* A run in slot 2, and slabs for what comes: claims are dropped elsewhere. */
static void warm_up(struct mega__ctx *ctx, int rank, struct scene *s)
{
    static const size_t sizes[] = {64, 100, 4096};
    if (rank != 0)
        return;
    s->hands_off = true;
    s->p[0] = ops_root(ctx, "one");
    s->p[2] = ops_root(ctx, "run");
    for (unsigned k = 0; k < 3; k++)
        step_keep(ctx, s, step_take(ctx, s, 0, sizes[k], 0));
    unsigned r = reserve(ctx, s, EXTENT + 1, 902);
    mega_publish_item_t item = {MEGA_PUBLISH_ALLOC, s->o.chunks[r].p, s->p[2]};
    OK(mega__intent_publish(ctx, &item, 1, 0));
    s->v[10] = r;
}

/* One in a slot that is durable, one in a chunk that is not. */
static void publish_two(struct mega__ctx *ctx, struct scene *s)
{
    unsigned holds = step_take(ctx, s, 0, 64, 0);
    s->p[1] = s->o.chunks[holds].p;
    memset(ops_at(ctx, s->p[1]), 0, 64);
    unsigned a = reserve(ctx, s, 100, 800), b = reserve(ctx, s, 4096, 801);
    mega_publish_item_t items[] = {
        {MEGA_PUBLISH_ALLOC, s->o.chunks[a].p, s->p[0]},
        {MEGA_PUBLISH_ALLOC, s->o.chunks[b].p, s->p[1]}};
    OK(mega__intent_publish(ctx, items, 2, MEGA_PERSIST_CONTENTS));
    oracle_set(&s->o, holds, FATE_LIVE);
    oracle_link(&s->o, b, s->p[1]);
    oracle_set(&s->o, b, FATE_LIVE);
    oracle_set(&s->o, a, FATE_LIVE);
    mutants_expect(s, 0, s->o.chunks[a].p);
    s->v[8] = a;
}

static void free_it(struct mega__ctx *ctx, struct scene *s, unsigned k)
{
    unsigned i = (unsigned)s->v[8 + k];
    mega_publish_item_t item = {MEGA_PUBLISH_FREE, s->o.chunks[i].p, s->p[k]};
    mutants_expect_nothing(s, k);
    oracle_set(&s->o, i, FATE_MAYBE);
    OK(mega__intent_publish(ctx, &item, 1, 0));
    oracle_set(&s->o, i, FATE_FREE);
    mutants_expect(s, k, mega_null());
}

/* What a replay of the FREE would undo. */
static void link_again(struct mega__ctx *ctx, struct scene *s, unsigned k)
{
    mutants_expect_nothing(s, k);
    ops_store(ctx, s->p[k], s->p[1]);
    OK(ops_persist(ctx, s->p[k], 8));
    mutants_expect(s, k, s->p[1]);
}

static void by_turns(struct mega__ctx *ctx, int rank, struct scene *s)
{
    if (rank == 0)
        publish_two(ctx, s);
    world_barrier(ctx);
    if (rank == 1)
        free_it(ctx, s, 0);
    world_barrier(ctx);
    if (rank == 0)
        link_again(ctx, s, 0);
    world_barrier(ctx);
    if (rank == 1)
        free_it(ctx, s, 2);
    world_barrier(ctx);
    if (rank == 0)
        link_again(ctx, s, 2);
}

Test(mutants, publish, .timeout = 7200)
{
    static const struct scenario sc = {.name = "publish",
                                       .nranks = 2,
                                       .setup = warm_up,
                                       .act = by_turns,
                                       .verify = mutants_verify_group};
    static const struct scenario_excuse excuses[] = {
        {"flush", "extent word",
         "a run whose mark is DEAD, durably, is free: FREEING is for one that "
         "is LIVE (run.c)",
         0},
        {"drain", "extent word", "as for its flush", 0},
        {"flush", "intent",
         "a replay refuses the run, which is free; of a small chunk it is told",
         18},
        {"drain", "intent",
         "the clear waits for the fence of FREEING, before the return; "
         "of a small chunk it is told",
         11},
        {NULL, NULL, NULL, 0}};
    mutate(&sc, excuses);
}
