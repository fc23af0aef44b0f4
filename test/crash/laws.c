/* SPDX-License-Identifier: BSD-3-Clause */
/* laws.c - the laws of durability of megalloc.h: a litmus test for each, named
 * after it. What a law promises is a promise to the oracle, no more. L3 is one
 * between hosts: api.c. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "hot.h"
#include "intent.h"
#include "log.h"
#include "space.h"
#include "sync.h"
#include "test/lib/ops.h"
#include "test/lib/report.h"
#include "test/lib/scenario.h"
#include "test/lib/steps.h"
#include "test/lib/world.h"

/* Two slots in chunk 0, a line each: p[0], p[1]. Not roots, which may not even
 * for a moment name what is not live. */
static void two_slots(struct mega__ctx *ctx, int rank, struct scene *s)
{
    s->hands_off = true;
    if (rank != 0)
        return;
    unsigned i = step_take(ctx, s, 0, 128, 0);
    s->p[0] = s->o.chunks[i].p;
    s->p[1] = mega_add(s->p[0], MEGA__LINE);
    memset(ops_at(ctx, s->p[0]), 0, 128);
    step_keep(ctx, s, i);
}

/* A chunk of the group, not of what a later job did, there or elsewhere. */
static bool of_group(const struct scene *s, unsigned i)
{
    for (unsigned k = i + 1; k < s->o.n; k++)
        if (s->o.chunks[k].p.v == s->o.chunks[i].p.v)
            return false;
    return s->o.chunks[i].tag < 9000; /* scenario_work.c's are above */
}

/* ---- L1: persist, drain, commit ---- */

static void persist(struct mega__ctx *ctx, int rank, struct scene *s)
{
    (void)rank;
    step_keep(ctx, s, step_take(ctx, s, 0, 300, 1));
    step_keep(ctx, s, step_take(ctx, s, 0, 70000, 2));
}

static void drain(struct mega__ctx *ctx, int rank, struct scene *s)
{
    (void)rank;
    unsigned a = step_take(ctx, s, 0, 64, 0), b = step_take(ctx, s, 0, 100, 0);
    step_drain(ctx); /* live, contents not */
    oracle_set(&s->o, a, FATE_LIVE);
    oracle_set(&s->o, b, FATE_LIVE);
    step_drop(ctx, s, a);
    step_drain(ctx);
    oracle_set(&s->o, a, FATE_FREE);
    unsigned c = step_take(ctx, s, 0, 64, 0);
    step_drop(ctx, s, c); /* this thread keeps it at hand, over a drain */
    step_drain(ctx);
    unsigned d = step_take(ctx, s, 0, 64, 0);
    step_drain(ctx);
    oracle_set(&s->o, d, FATE_LIVE);
}

/* A line of marks is persisted while this thread keeps a chunk of it at hand,
 * which it then hands out again. */
static void hand_out_again(struct mega__ctx *ctx, int rank, struct scene *s)
{
    (void)rank;
    unsigned a = step_take(ctx, s, 0, 64, 40), b = step_take(ctx, s, 0, 64, 0);
    step_drop(ctx, s, b);
    step_keep(ctx, s, a);
    unsigned c = step_take(ctx, s, 0, 64, 0);
    step_drain(ctx);
    oracle_set(&s->o, c, FATE_LIVE);
}

/* Each rank's stores, another's commit: none of them persists. */
static void commit(struct mega__ctx *ctx, int rank, struct scene *s)
{
    mega_gptr_t slot = s->p[rank];
    unsigned i = step_take(ctx, s, rank, 100, 10 + (uint64_t)rank);
    ops_store(ctx, slot, s->o.chunks[i].p);
    CHECK(mega__space_commit(ctx) == MEGA_OK, "commit: %s",
          mega__errmsg_buffer());
    oracle_set(&s->o, i, FATE_LIVE);
    oracle_link(&s->o, i, slot);
}

/* A thread that has stored, and calls no more while another commits. */
struct idle {
    struct mega__ctx *ctx;
    struct scene *s;
    unsigned i;
    pthread_barrier_t stored, over;
};

static void *store_and_idle(void *arg)
{
    struct idle *w = arg;
    w->i = step_take(w->ctx, w->s, 0, 100, 30);
    ops_store(w->ctx, w->s->p[0], w->s->o.chunks[w->i].p);
    pthread_barrier_wait(&w->stored);
    pthread_barrier_wait(&w->over);
    return NULL;
}

static void commit_for_idle(struct mega__ctx *ctx, int rank, struct scene *s)
{
    struct idle w = {.ctx = ctx, .s = s};
    pthread_t thread;
    (void)rank;
    pthread_barrier_init(&w.stored, NULL, 2);
    pthread_barrier_init(&w.over, NULL, 2);
    pthread_create(&thread, NULL, store_and_idle, &w);
    pthread_barrier_wait(&w.stored);
    CHECK(mega__space_commit(ctx) == MEGA_OK, "commit: %s",
          mega__errmsg_buffer());
    oracle_set(&s->o, w.i, FATE_LIVE);
    oracle_link(&s->o, w.i, s->p[0]);
    pthread_barrier_wait(&w.over);
    pthread_join(thread, NULL);
}

/* ---- L2: given to another rank ---- */

/* Knows the pointer from memory alone. */
static mega_gptr_t receive(struct mega__ctx *ctx, struct scene *s)
{
    CHECK(mega__sync_wait(ctx, s->p[0], MEGA_CMP_NE, 0, 60000) == MEGA_OK,
          "wait: %s", mega__errmsg_buffer());
    return ops_load(ctx, s->p[0]);
}

static unsigned number_of(const struct scene *s, mega_gptr_t p)
{
    unsigned i = s->o.n;
    medium_lock(medium_in_use());
    while (i > 0 && s->o.chunks[i - 1].p.v != p.v)
        i--;
    medium_unlock(medium_in_use());
    if (i == 0)
        abort(); /* a pointer that nobody made */
    return i - 1;
}

/* Only the last bytes of it, by another: the whole chunk is allocated. */
static void persist_its_end(struct mega__ctx *ctx, int rank, struct scene *s)
{
    static const size_t sizes[] = {3000, 9 * (size_t)MEGA__EXTENT};
    for (unsigned turn = 0; turn < 2; turn++) {
        if (rank == 0)
            step_take(ctx, s, 0, sizes[turn], 0);
        world_barrier(ctx);
        if (rank == 1) {
            mega_gptr_t end =
                mega_add(s->o.chunks[turn].p, (int64_t)sizes[turn] - 8);
            CHECK(ops_persist(ctx, end, 8) == MEGA_OK, "persist: %s",
                  mega__errmsg_buffer());
            oracle_set(&s->o, turn, FATE_LIVE);
        }
        world_barrier(ctx);
    }
}

/* ---- L4: before what rests on it ---- */

static void link_that_was_read(struct mega__ctx *ctx, int rank, struct scene *s)
{
    if (rank == 0) {
        unsigned a = step_take(ctx, s, 0, 100, 30);
        step_keep(ctx, s, a);
        ops_store(ctx, s->p[0], s->o.chunks[a].p); /* seen, not durable */
    } else {
        mega_gptr_t p = receive(ctx, s);
        unsigned a = number_of(s, p);
        CHECK(ops_persist(ctx, s->p[0], 8) == MEGA_OK, "persist what was read");
        oracle_link(&s->o, a, s->p[0]);
        unsigned b = step_take(ctx, s, 0, 100, 31);
        step_keep(ctx, s, b);
        step_link_in(ctx, s, b, s->p[1]);
    }
    world_barrier(ctx);
    if (rank == 0) /* unlinked durably, then freed, then another's */
        step_drop(ctx, s, number_of(s, ops_load(ctx, s->p[1])));
    world_barrier(ctx);
    if (rank == 1)
        step_keep(ctx, s, step_take(ctx, s, 0, 100, 32));
    world_barrier(ctx);
}

/* ---- L5: no chunk twice, none lost ---- */

static void churn(struct mega__ctx *ctx, int rank, struct scene *s)
{
    static unsigned mine[2][3];
    for (unsigned turn = 0; turn < 3; turn++) {
        for (unsigned k = 0; k < 3; k++) {
            mine[rank][k] = step_take(ctx, s, 0, 20000,
                                      40 + turn * 8 + k * 2 + (unsigned)rank);
            step_keep(ctx, s, mine[rank][k]);
        }
        world_barrier(ctx);
        for (unsigned k = 0; k < 3 && turn < 2; k++) /* the other's */
            step_drop(ctx, s, mine[1 - rank][k]);
        step_drain(ctx);
        world_barrier(ctx);
    }
}

/* ---- L6: reserve, publish ---- */

static void publish_two(struct mega__ctx *ctx, int rank, struct scene *s)
{
    mega_publish_item_t items[2];
    unsigned i[2];
    (void)rank;
    for (unsigned k = 0; k < 2; k++) {
        mega_gptr_t p = mega_null();
        CHECK(mega__hot_reserve(ctx, OPS_DEFAULT, 0, 100 + 900 * k, &p) ==
                  MEGA_OK,
              "reserve: %s", mega__errmsg_buffer());
        i[k] = oracle_add(&s->o, p, 100 + 900 * k, 60 + k);
        ops_fill(ctx, p, 100 + 900 * k, 60 + k);
        oracle_set(&s->o, i[k], FATE_FREE); /* a crash gives it back */
        items[k] = (mega_publish_item_t){MEGA_PUBLISH_ALLOC, p, s->p[k]};
    }
    for (unsigned k = 0; k < 2; k++)
        oracle_set(&s->o, i[k], FATE_MAYBE);
    CHECK(mega__intent_publish(ctx, items, 2, MEGA_PERSIST_CONTENTS) == MEGA_OK,
          "publish: %s", mega__errmsg_buffer());
    for (unsigned k = 0; k < 2; k++) {
        oracle_link(&s->o, i[k], s->p[k]);
        oracle_set(&s->o, i[k], FATE_LIVE);
    }
}

static void both_or_none(struct mega__ctx *ctx, const struct scene *s)
{
    struct oracle_live *live;
    size_t n = oracle_walk(ctx, &live);
    bool set = !mega_is_null(ops_load(ctx, s->p[0]));
    CHECK(set == !mega_is_null(ops_load(ctx, s->p[1])), "one slot is set");
    for (unsigned k = 1; k < 3 && k < s->o.n; k++) {
        bool is_live = false;
        if (!of_group(s, k))
            continue;
        for (size_t j = 0; j < n; j++)
            is_live |= live[j].p.v == s->o.chunks[k].p.v;
        CHECK(is_live == set, "a chunk is %slive, the slots are %sset",
              is_live ? "" : "not ", set ? "" : "not ");
    }
    free(live);
}

/* ---- L7: what an open has seen is durable ---- */

static void leave_unpersisted(struct mega__ctx *ctx, int rank, struct scene *s)
{
    two_slots(ctx, rank, s);
    if (rank == 0) {
        unsigned i = step_take(ctx, s, 0, 200, 70);
        ops_store(ctx, s->p[0], s->o.chunks[i].p);
    }
    world_barrier(ctx);
}

/* The next job finds the link, and nothing of it is persisted by itself. */
static void build_on_it(struct mega__ctx *ctx, int rank, struct scene *s)
{
    if (rank != 0)
        return;
    unsigned i = number_of(s, ops_load(ctx, s->p[0]));
    CHECK(ops_filled(ctx, s->o.chunks[i].p, 200, 70), "a kill lost contents");
    oracle_link(&s->o, i, s->p[0]);
    oracle_set(&s->o, i, FATE_LIVE);
    step_keep(ctx, s, step_take(ctx, s, 0, 200, 71));
}

SCENARIO_TEST(laws, L1_persist, .nranks = 1, .act = persist)
SCENARIO_TEST(laws, L1_drain, .nranks = 1, .act = drain)
SCENARIO_TEST(laws, L1_handed_out_again, .nranks = 1, .act = hand_out_again)
SCENARIO_TEST(laws, L1_commit, .nranks = 2, .setup = two_slots, .act = commit)
SCENARIO_TEST(laws, F17_commit_for_idle_threads, .nranks = 1,
              .setup = two_slots, .act = commit_for_idle)
SCENARIO_TEST(laws, L2_durable_data_is_allocated, .nranks = 2,
              .home_size = "4M", .home_max = "4M", .act = persist_its_end)
SCENARIO_TEST(laws, L4_before_what_rests_on_it, .nranks = 2, .setup = two_slots,
              .act = link_that_was_read)
SCENARIO_TEST(laws, L5_nothing_twice_nothing_lost, .nranks = 2, .act = churn)
SCENARIO_TEST(laws, L6_publish_all_or_none, .nranks = 1, .setup = two_slots,
              .act = publish_two, .verify = both_or_none)
SCENARIO_TEST(laws, L7_open_makes_durable, .nranks = 2,
              .setup = leave_unpersisted, .act = build_on_it, .film = FILM_JOB,
              .unclean = true)
