/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * mix.c - several ranks at one home do anything: chunks and runs, taken,
 * persisted, freed by whoever; groups that publish, move and free; reservations
 * that are held, cancelled or left. Crashed at every flush and drain; who goes
 * on a seed chooses at each (turns.h).
 */
#include <criterion/criterion.h>

#include "arena.h"
#include "chunk.h"
#include "hot.h"
#include "intent.h"
#include "log.h"
#include "test/lib/ops.h"
#include "test/lib/report.h"
#include "test/lib/scenario.h"
#include "test/lib/steps.h"
#include "test/lib/turns.h"
#include "test/lib/world.h"

#define FAR 1     /* over hosts: the home of rank 1, on which all work */
#define MOST 140u /* chunks of a scenario */
#define SLOTS 6u  /* of each rank */
#define RANKS 3
#define STEPS 6

static const int host_of[] = {0, 1, 2};

struct me {
    struct mega__ctx *ctx;
    struct scene *s;
    int home;
    uint64_t seed;
    mega_gptr_t slots;    /* the first */
    unsigned in[SLOTS];   /* the chunk there; MOST: none */
    mega_gptr_t reserved; /* and held; null: none */
};

static uint64_t any(struct me *me)
{
    return medium_random(&me->seed) >> 20;
}

static size_t any_size(struct me *me)
{
    static const size_t sizes[] = {48, 100, 20000, 32768, 33000, 140000};
    return sizes[any(me) % 6];
}

static bool is_full(mega_status_t st)
{
    CHECK(st == MEGA_OK || st == MEGA_ERR_HOME_FULL, "%d %s", st,
          mega__errmsg_buffer());
    return st != MEGA_OK;
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

/* ---- Chunks ---- */

static void take(struct me *me)
{
    const uint64_t r = any(me), tag = OPS_BRIEF | r | 1;
    const size_t size = any_size(me);
    mega_gptr_t p = mega_null();
    if (me->home == FAR && size > MEGA__CLASS_MAX)
        return; /* live before this rank knows where */
    if (is_full(ops_alloc(me->ctx, OPS_DEFAULT, me->home, size, &p)))
        return;
    unsigned i = oracle_add(&me->s->o, p, size, tag);
    if (r % 8 >= 6) /* nobody is promised what is in it */
        return;
    ops_fill(me->ctx, p, size, tag);
    step_keep(me->ctx, me->s, i);
}

/* Whoever made it; not what was published: that has an even tag. */
static void drop(struct me *me)
{
    const struct oracle *o = &me->s->o;
    const unsigned from = (unsigned)(any(me) % (o->n + 1));
    for (unsigned k = 0; k < o->n; k++) {
        const unsigned i = (from + k) % o->n;
        const struct oracle_chunk *c = &o->chunks[i];
        if (c->fate != FATE_LIVE || c->tag % 2 == 0)
            continue;
        step_drop(me->ctx, me->s, i);
        if (any(me) % 2) {
            step_drain(me->ctx);
            is_free(me->s, i);
        }
        return;
    }
}

/* ---- Groups ---- */

static mega_gptr_t slot_of(const struct me *me, unsigned k)
{
    return mega_add(me->slots, 8 * (int64_t)k);
}

/* False: there is no room. */
static bool add_new(struct me *me, unsigned k, mega_publish_item_t *item)
{
    const uint64_t tag = OPS_BRIEF | (any(me) | 1) << 1;
    const size_t size = any_size(me);
    mega_gptr_t p = mega_null();
    if (me->home == FAR && size > MEGA__CLASS_MAX)
        return false;
    if (is_full(mega__hot_reserve(me->ctx, OPS_DEFAULT, me->home, size, &p)))
        return false;
    me->in[k] = oracle_add(&me->s->o, p, size, tag);
    ops_fill(me->ctx, p, size, tag);
    *item = (mega_publish_item_t){MEGA_PUBLISH_ALLOC, p, slot_of(me, k)};
    return true;
}

/* Slots are filled, if empty, else emptied. */
static void publish(struct me *me)
{
    mega_publish_item_t items[SLOTS];
    struct oracle *o = &me->s->o;
    unsigned n = 0, slots[SLOTS], was[SLOTS];
    const unsigned from = (unsigned)(any(me) % SLOTS);
    const unsigned end = from + 1 + (unsigned)(any(me) % 4);
    for (unsigned k = from; k < end && k < SLOTS && o->n < MOST; k++) {
        was[n] = me->in[k];
        if (was[n] < MOST) {
            oracle_link(o, was[n], mega_null());
            oracle_set(o, was[n], FATE_MAYBE);
            items[n] = (mega_publish_item_t){
                MEGA_PUBLISH_FREE, o->chunks[was[n]].p, slot_of(me, k)};
            me->in[k] = MOST;
        } else if (!add_new(me, k, &items[n])) {
            continue;
        }
        slots[n++] = k;
    }
    if (n > 0)
        OK(mega__intent_publish(me->ctx, items, n, MEGA_PERSIST_CONTENTS));
    for (unsigned j = 0; j < n; j++) {
        const unsigned i = me->in[slots[j]];
        if (items[j].op == MEGA_PUBLISH_FREE) {
            is_free(me->s, was[j]);
            continue;
        }
        oracle_link(o, i, items[j].slot);
        oracle_set(o, i, FATE_LIVE);
    }
}

/* What is in one slot is in another. */
static void move(struct me *me)
{
    struct oracle *o = &me->s->o;
    unsigned a = 0, b = 0;
    while (a < SLOTS && me->in[a] == MOST)
        a++;
    while (b < SLOTS && me->in[b] < MOST)
        b++;
    if (a == SLOTS || b == SLOTS)
        return;
    const unsigned i = me->in[a];
    mega_publish_item_t items[2] = {
        {MEGA_PUBLISH_SET, o->chunks[i].p, slot_of(me, b)},
        {MEGA_PUBLISH_SET, mega_null(), slot_of(me, a)}};
    oracle_link(o, i, mega_null());
    OK(mega__intent_publish(me->ctx, items, 2, 0));
    oracle_link(o, i, items[0].slot);
    me->in[b] = i;
    me->in[a] = MOST;
}

static void hold(struct me *me)
{
    if (!mega_is_null(me->reserved))
        OK(mega__chunk_cancel(me->ctx, me->reserved));
    me->reserved = mega_null();
    mega_gptr_t p = mega_null();
    if (any(me) % 3 == 0 ||
        is_full(mega__hot_reserve(me->ctx, OPS_DEFAULT, me->home, any_size(me),
                                  &p)))
        return;
    me->reserved = p;
}

/* ---- All of them ---- */

static void anything(struct me *me)
{
    for (unsigned k = 0; k < STEPS && me->s->o.n < MOST - SLOTS; k++)
        switch (any(me) % 10) {
        case 0:
        case 1:
        case 2:
            take(me);
            break;
        case 3:
        case 4:
            drop(me);
            break;
        case 5:
        case 6:
            publish(me);
            break;
        case 7:
            move(me);
            break;
        case 8:
            hold(me);
            break;
        default:
            mega__arena_trim(mega__arena(me->ctx), &me->ctx->homes[me->home]);
        }
}

static void mix(struct mega__ctx *ctx, int rank, struct scene *s)
{
    struct me me = {.ctx = ctx,
                    .s = s,
                    .home = ctx->place.nhosts > 1 ? FAR : 0,
                    .seed = s->seed * 7919 + 2 * (uint64_t)rank + 1,
                    .slots = s->p[rank]};
    for (unsigned k = 0; k < SLOTS; k++)
        me.in[k] = MOST;
    if (rank == 0)
        turns_start((unsigned)ctx->place.nranks, s->seed);
    world_barrier(ctx);
    turns_enter((unsigned)rank);
    anything(&me);
    turns_leave();
}

/* What a slot names is live. */
static void verify(struct mega__ctx *ctx, const struct scene *s)
{
    for (int r = 0; r < RANKS; r++)
        for (unsigned k = 0; k < SLOTS; k++) {
            mega_gptr_t p = ops_load(ctx, mega_add(s->p[r], 8 * (int64_t)k));
            CHECK(mega_is_null(p) || oracle_is_live(ctx, p),
                  "slot %u of rank %d names %llx, which is not live", k, r,
                  (unsigned long long)p.v);
        }
}

#define MIX                                                                    \
    .nranks = RANKS, .films = 2, .setup = step_table, .act = mix,              \
    .verify = verify

SCENARIO_TEST(mix, anything, MIX, .atomics = "nic")
SCENARIO_TEST(mix, anything_over_hosts, MIX, .hosts = host_of)
