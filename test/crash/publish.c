/* SPDX-License-Identifier: BSD-3-Clause */
/* publish.c - publish, alloc_to and free_from crashed at every step. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "hot.h"
#include "intent.h"
#include "log.h"
#include "test/lib/ops.h"
#include "test/lib/report.h"
#include "test/lib/scenario.h"
#include "test/lib/steps.h"
#include "test/lib/world.h"

#define GROUP 5
#define TAGS 700

/* One table of slots, linked from a root. p[0]: the table; v[0]: its size. */
static void make_table(struct mega__ctx *ctx, int rank, struct scene *s)
{
    if (rank != 0)
        return;
    mega_gptr_t root = ops_root(ctx, "table");
    unsigned i = step_take(ctx, s, 0, 512, 0);
    memset(ops_at(ctx, s->o.chunks[i].p), 0, 512);
    step_keep(ctx, s, i);
    step_link_in(ctx, s, i, root);
    s->p[0] = s->o.chunks[i].p;
    s->hands_off = true;
}

static mega_gptr_t slot_of(const struct scene *s, unsigned k)
{
    return mega_add(s->p[0], 8 * (int64_t)k);
}

static void publish(struct mega__ctx *ctx, const mega_publish_item_t *items,
                    size_t n, unsigned flags)
{
    CHECK(mega__intent_publish(ctx, items, n, flags) == MEGA_OK, "publish: %s",
          mega__errmsg_buffer());
}

/* Slots 0..n-1 of the table hold chunks that are live, or none does: all or
 * none of a group (invariant 12). */
static void verify_group(struct mega__ctx *ctx, const struct scene *s)
{
    unsigned set = 0;
    for (unsigned k = 0; k < s->v[0]; k++)
        set += !mega_is_null(ops_load(ctx, slot_of(s, k)));
    CHECK(set == 0 || set == s->v[0], "%u of %u slots are set", set,
          (unsigned)s->v[0]);
    struct oracle_live *live;
    size_t n = oracle_walk(ctx, &live), found = 0;
    for (size_t i = 0; i < n; i++) {
        bool in_slot = false, of_group = false;
        for (unsigned k = 0; k < s->v[0]; k++)
            in_slot |= ops_load(ctx, slot_of(s, k)).v == live[i].p.v;
        for (unsigned k = 0; k < s->o.n; k++)
            of_group |= s->o.chunks[k].p.v == live[i].p.v &&
                        s->o.chunks[k].fate != FATE_FREE &&
                        s->o.chunks[k].tag >= TAGS &&
                        s->o.chunks[k].tag < TAGS + GROUP;
        found += in_slot;
        CHECK(in_slot || !of_group, "%llx is live and in no slot: a leak",
              (unsigned long long)live[i].p.v);
    }
    CHECK(found == set, "%zu of %u chunks in slots are live", found, set);
    free(live);
}

static void publish_group(struct mega__ctx *ctx, int rank, struct scene *s)
{
    mega_publish_item_t items[GROUP];
    unsigned first = s->o.n;
    (void)rank;
    s->v[0] = GROUP;
    for (unsigned k = 0; k < GROUP; k++) {
        unsigned i = step_reserve(ctx, s, 0, 40 + 100 * k, TAGS + k);
        items[k] = (mega_publish_item_t){MEGA_PUBLISH_ALLOC, s->o.chunks[i].p,
                                         slot_of(s, k)};
    }
    for (unsigned k = 0; k < GROUP; k++)
        oracle_set(&s->o, first + k, FATE_MAYBE);
    publish(ctx, items, GROUP, MEGA_PERSIST_CONTENTS);
    for (unsigned k = 0; k < GROUP; k++) {
        oracle_link(&s->o, first + k, slot_of(s, k));
        oracle_set(&s->o, first + k, FATE_LIVE);
    }
    for (unsigned k = 0; k < GROUP; k++) { /* and back */
        oracle_set(&s->o, first + k, FATE_MAYBE);
        items[k].op = MEGA_PUBLISH_FREE;
    }
    publish(ctx, items, GROUP, 0);
    for (unsigned k = 0; k < GROUP; k++)
        oracle_set(&s->o, first + k, FATE_FREE);
}

/* The slots are in chunks that nobody has persisted; the first is met again
 * behind the other. */
static void link_in_undurable(struct mega__ctx *ctx, int rank, struct scene *s)
{
    mega_publish_item_t items[3];
    unsigned holds[2], i[3];
    (void)rank;
    s->hands_off = true;
    for (unsigned k = 0; k < 2; k++) {
        holds[k] = step_take(ctx, s, 0, 64 + 100 * k, 0);
        memset(ops_at(ctx, s->o.chunks[holds[k]].p), 0, 16);
    }
    for (unsigned k = 0; k < 3; k++) {
        i[k] = step_reserve(ctx, s, 0, 64, TAGS + k);
        oracle_set(&s->o, i[k], FATE_MAYBE);
        items[k] = (mega_publish_item_t){
            MEGA_PUBLISH_ALLOC, s->o.chunks[i[k]].p,
            mega_add(s->o.chunks[holds[k % 2]].p, 4 * (k & 2))};
    }
    publish(ctx, items, 3, MEGA_PERSIST_CONTENTS);
    for (unsigned k = 0; k < 2; k++)
        oracle_set(&s->o, holds[k], FATE_LIVE);
    for (unsigned k = 0; k < 3; k++) {
        oracle_link(&s->o, i[k], items[k].slot);
        oracle_set(&s->o, i[k], FATE_LIVE);
    }
}

static void alloc_to(struct mega__ctx *ctx, struct scene *s, unsigned k,
                     uint64_t tag)
{
    unsigned i = step_reserve(ctx, s, 0, 64, tag);
    mega_publish_item_t item = {MEGA_PUBLISH_ALLOC, s->o.chunks[i].p,
                                slot_of(s, k)};
    oracle_set(&s->o, i, FATE_MAYBE);
    publish(ctx, &item, 1, MEGA_PERSIST_CONTENTS);
    oracle_link(&s->o, i, slot_of(s, k));
    oracle_set(&s->o, i, FATE_LIVE);
    s->v[8 + k] = i;
}

static void free_from(struct mega__ctx *ctx, struct scene *s, unsigned k)
{
    unsigned i = (unsigned)s->v[8 + k];
    mega_publish_item_t item = {MEGA_PUBLISH_FREE, s->o.chunks[i].p,
                                slot_of(s, k)};
    oracle_set(&s->o, i, FATE_MAYBE);
    publish(ctx, &item, 1, 0);
    oracle_link(&s->o, i, mega_null());
    oracle_set(&s->o, i, FATE_FREE);
}

/* The chunk freed is handed out again at once, by the usual way. */
static void publish_free_reuse(struct mega__ctx *ctx, int rank, struct scene *s)
{
    (void)rank;
    alloc_to(ctx, s, 0, 800);
    alloc_to(ctx, s, 1, 801);
    free_from(ctx, s, 0);
    step_keep(ctx, s, step_take(ctx, s, 0, 64, 802));
    alloc_to(ctx, s, 0, 803);
    free_from(ctx, s, 1);
    free_from(ctx, s, 0);
}

/* One chunk moves from slot to slot; never in both, never in none. */
static void move(struct mega__ctx *ctx, int rank, struct scene *s)
{
    (void)rank;
    for (unsigned k = 0; k < 2; k++) {
        mega_gptr_t p = s->o.chunks[1].p;
        mega_publish_item_t items[2] = {
            {MEGA_PUBLISH_SET, mega_null(), slot_of(s, k)},
            {MEGA_PUBLISH_SET, p, slot_of(s, k + 1)}};
        publish(ctx, items, 2, 0);
    }
}

static void table_and_one(struct mega__ctx *ctx, int rank, struct scene *s)
{
    make_table(ctx, rank, s);
    alloc_to(ctx, s, 0, 900);
    oracle_link(&s->o, 1, mega_null()); /* where it is, verify_moved says */
}

static void verify_moved(struct mega__ctx *ctx, const struct scene *s)
{
    unsigned n = 0;
    for (unsigned k = 0; k < 3; k++)
        n += ops_load(ctx, slot_of(s, k)).v == s->o.chunks[1].p.v;
    CHECK(n == 1, "the chunk is in %u slots", n);
}

/* Of a list the first goes; the next takes its place. */
static void table_and_two(struct mega__ctx *ctx, int rank, struct scene *s)
{
    table_and_one(ctx, rank, s);
    alloc_to(ctx, s, 1, 901);
    oracle_link(&s->o, 2, mega_null());
}

static void unlink_first(struct mega__ctx *ctx, int rank, struct scene *s)
{
    mega_publish_item_t items[3] = {
        {MEGA_PUBLISH_FREE, s->o.chunks[1].p, mega_null()},
        {MEGA_PUBLISH_SET, s->o.chunks[2].p, slot_of(s, 0)},
        {MEGA_PUBLISH_SET, mega_null(), slot_of(s, 1)}};
    (void)rank;
    oracle_set(&s->o, 1, FATE_MAYBE);
    publish(ctx, items, 3, 0);
    oracle_set(&s->o, 1, FATE_FREE);
}

static void verify_unlinked(struct mega__ctx *ctx, const struct scene *s)
{
    struct oracle_live *live;
    uint64_t first = s->o.chunks[1].p.v, next = s->o.chunks[2].p.v;
    uint64_t at = ops_load(ctx, slot_of(s, 0)).v;
    size_t n = oracle_walk(ctx, &live), found = 0;
    for (size_t i = 0; i < n; i++)
        found += live[i].p.v == first;
    free(live);
    for (unsigned i = 3; i < s->o.n; i++) /* a later job took what was free */
        if (s->o.chunks[i].p.v == first)
            found = 0;
    CHECK(at == (found ? first : next) &&
              ops_load(ctx, slot_of(s, 1)).v == (found ? next : 0),
          "the first is %s, the slot holds %llx", found ? "live" : "free",
          (unsigned long long)at);
}

static unsigned reserve(struct mega__ctx *ctx, struct scene *s, mega_gptr_t *p)
{
    struct medium *m = medium_in_use();
    medium_lock(m); /* what is known of it and what it is change together */
    CHECK(mega__hot_reserve(ctx, OPS_DEFAULT, 0, 64, p) == MEGA_OK,
          "reserve: %s", mega__errmsg_buffer());
    unsigned i = oracle_add(&s->o, *p, 64, 0);
    medium_unlock(m);
    return i;
}

/* Chunk i, which somebody has reserved, into a slot and out again. */
static void in_and_out(struct mega__ctx *ctx, struct scene *s, unsigned i,
                       mega_gptr_t p, mega_gptr_t slot)
{
    struct medium *m = medium_in_use();
    mega_publish_item_t item = {MEGA_PUBLISH_ALLOC, p, slot};
    publish(ctx, &item, 1, 0);
    oracle_set(&s->o, i, FATE_LIVE);
    CHECK(ops_load(ctx, slot).v == p.v, "the slot holds another");
    oracle_set(&s->o, i, FATE_MAYBE);
    item.op = MEGA_PUBLISH_FREE;
    publish(ctx, &item, 1, 0);
    medium_lock(m); /* another may have taken it again already */
    bool newest = true;
    for (unsigned j = i + 1; j < s->o.n; j++)
        newest &= s->o.chunks[j].p.v != p.v;
    if (newest)
        s->o.chunks[i].fate = FATE_FREE;
    medium_unlock(m);
}

/* Two ranks publish into their own slots at once; each frees its own. */
static void two_publishers(struct mega__ctx *ctx, int rank, struct scene *s)
{
    for (unsigned k = 0; k < 3; k++) {
        mega_gptr_t p = mega_null();
        unsigned i = reserve(ctx, s, &p);
        in_and_out(ctx, s, i, p, slot_of(s, (unsigned)rank));
    }
}

/* Two threads of a rank do so, of one home's records; the second begins with
 * what the first has reserved, beside what that does with its neighbours. */
struct second {
    struct mega__ctx *ctx;
    struct scene *s;
    mega_gptr_t p[2];
    unsigned i[2];
};

static void *second(void *arg)
{
    struct second *w = arg;
    for (unsigned k = 0; k < 2; k++)
        in_and_out(w->ctx, w->s, w->i[k], w->p[k], slot_of(w->s, 1));
    two_publishers(w->ctx, 1, w->s);
    return NULL;
}

static void two_threads(struct mega__ctx *ctx, int rank, struct scene *s)
{
    struct second w = {.ctx = ctx, .s = s};
    pthread_t thread;
    (void)rank;
    for (unsigned k = 0; k < 2; k++)
        w.i[k] = reserve(ctx, s, &w.p[k]);
    CHECK(pthread_create(&thread, NULL, second, &w) == 0, "no thread");
    two_publishers(ctx, 0, s);
    pthread_join(thread, NULL);
}

SCENARIO_TEST(crash, F13_publish_group, .nranks = 1, .setup = make_table,
              .act = publish_group, .verify = verify_group)
SCENARIO_TEST(crash, F21_link_in_undurable_chunks, .nranks = 1,
              .act = link_in_undurable)
SCENARIO_TEST(crash, publish_free_reuse, .nranks = 1, .setup = make_table,
              .act = publish_free_reuse)
SCENARIO_TEST(crash, move_a_chunk, .nranks = 1, .setup = table_and_one,
              .act = move, .verify = verify_moved)
SCENARIO_TEST(crash, unlink_and_free, .nranks = 1, .setup = table_and_two,
              .act = unlink_first, .verify = verify_unlinked)
SCENARIO_TEST(crash, two_publishers, .nranks = 2, .setup = make_table,
              .act = two_publishers)
SCENARIO_TEST(crash, two_publishing_threads, .nranks = 1, .setup = make_table,
              .act = two_threads)
