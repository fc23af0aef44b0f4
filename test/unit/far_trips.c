/* SPDX-License-Identifier: BSD-3-Clause */
/* far_trips.c - how often a thread waits for another host to get chunks there,
 * and that they are sound all the same. Rank 1 asks home 0. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <string.h>

#include "agent.h"
#include "arena.h"
#include "chunk.h"
#include "far.h"
#include "hot.h"
#include "intent.h"
#include "log.h"
#include "roll.h"
#include "slab.h"
#include "span.h"
#include "stat.h"
#include "test/lib/net_delay.h"
#include "test/lib/ops.h"
#include "test/lib/world.h"

#define RUN ((size_t)MEGA__EXTENT)
#define MANY 40 /* runs */

static struct medium *m;
static mega_gptr_t chunk[400];

static void begin(void)
{
    m = world_begin();
    world_set("HOME_SIZE", "6M");
    world_set("HOME_MAX", "6M");
}

static void end(void)
{
    world_end(&m);
    report_settle();
}

TestSuite(far_trips, .init = begin, .fini = end, .timeout = 120);

static unsigned trips(const struct mega__ctx *ctx)
{
    return (unsigned)net_delay_counts(ctx->net).trips;
}

static void are_live(struct mega__ctx *ctx, uint64_t n)
{
    mega_home_stat_t s;
    OK(mega__stat_home(ctx, mega__home_at(ctx, 0), &s));
    CHECK(s.live_chunks == n, "%llu are live",
          (unsigned long long)s.live_chunks);
}

/* ---- Runs ---- */

static void take_runs(struct mega__ctx *ctx, int rank, void *arg)
{
    (void)arg;
    if (rank == 1) {
        OK(ops_alloc_n(ctx, 0, RUN, 1, chunk));
        const unsigned before = trips(ctx);
        OK(ops_alloc_n(ctx, 0, RUN, 1, chunk + 1));
        CHECK(trips(ctx) == before + 1, "%u for one", trips(ctx) - before);
        OK(ops_alloc_n(ctx, 0, RUN, MEGA__RUNS_AT_ONCE, chunk + 2));
        CHECK(trips(ctx) == before + 2, "%u for one and some",
              trips(ctx) - before);
        OK(ops_drain(ctx));
        CHECK(trips(ctx) == before + 2, "they were not durable");
    }
    world_barrier(ctx);
}

static void free_them(struct mega__ctx *ctx, int rank, void *arg)
{
    const unsigned n = 2 + MEGA__RUNS_AT_ONCE;
    (void)arg;
    if (rank == 0) {
        are_live(ctx, n);
        for (unsigned i = 0; i < n; i++)
            OK(ops_free(ctx, chunk[i]));
        are_live(ctx, 0);
    }
    world_barrier(ctx);
}

Test(far_trips, runs_that_are_wanted_come_by_one_and_are_durable)
{
    world_on_hosts(m, 2, take_runs, WORLD_KILL);
    world_on_hosts(m, 2, free_them, WORLD_CLOSE);
}

static void take_large(struct mega__ctx *ctx, int rank, void *arg)
{
    (void)arg;
    if (rank == 1) {
        OK(ops_alloc_n(ctx, 0, RUN, 1, chunk));
        const unsigned before = trips(ctx);
        OK(ops_alloc_n(ctx, 0, MANY * RUN, 1, chunk + 1));
        OK(ops_free(ctx, chunk[1]));
        CHECK(trips(ctx) <= before + 2, "%u for one", trips(ctx) - before);
    }
    world_barrier(ctx);
}

Test(far_trips, F26_a_large_run_is_asked_for_and_freed_by_one)
{
    world_on_hosts(m, 2, take_large, WORLD_CLOSE);
}

static void take_too_many(struct mega__ctx *ctx, int rank, void *arg)
{
    (void)arg;
    if (rank == 1) {
        CHECK(ops_alloc_n(ctx, 0, RUN, 200, chunk) == MEGA_ERR_HOME_FULL,
              "a home of 6 MiB");
        are_live(ctx, 0);
        OK(ops_alloc_n(ctx, 0, RUN, MANY, chunk));
        are_live(ctx, MANY);
        for (unsigned i = 0; i < MANY; i++)
            for (unsigned k = 0; k < i; k++)
                CHECK(chunk[i].v != chunk[k].v, "%u is %u", i, k);
    }
    world_barrier(ctx);
}

Test(far_trips, of_more_runs_than_there_are_none_stays)
{
    world_on_hosts(m, 2, take_too_many, WORLD_CLOSE);
}

/* The server cannot make them durable: whoever asks is told, and has none. */
static void take_in_vain(struct mega__ctx *ctx, int rank, void *arg)
{
    mega_status_t st = MEGA_ERR_IO;
    (void)arg;
    for (unsigned k = 0; rank == 1 && st; k++) {
        m->fail_drain = m->drains + k;
        st = ops_alloc_n(ctx, 0, RUN, 3, chunk);
        m->fail_drain = MEDIUM_NEVER;
        CHECK(!st || st == MEGA_ERR_IO, "drain %u: %d", k, st);
        CHECK(st || k > 6, "only %u drains", k);
    }
    world_barrier(ctx);
}

static void three_are_live(struct mega__ctx *ctx, int rank, void *arg)
{
    (void)arg;
    if (rank == 0) {
        are_live(ctx, 3);
        for (unsigned i = 0; i < 3; i++)
            OK(ops_free(ctx, chunk[i]));
    }
    world_barrier(ctx);
}

Test(far_trips, runs_that_could_not_be_made_durable_are_no_leak)
{
    world_on_hosts(m, 2, take_in_vain, WORLD_CLOSE);
    world_on_hosts(m, 2, three_are_live, WORLD_CLOSE);
}

/* ---- Slabs ---- */

#define HALF (RUN / 2) /* a slab has two */

/* The claims, then a message with marks and words. */
static void take_halves(struct mega__ctx *ctx, int rank, void *arg)
{
    (void)arg;
    if (rank == 1) {
        OK(ops_alloc(ctx, OPS_DEFAULT, 0, 100, chunk)); /* has read the words */
        OK(ops_drain(ctx));
        const unsigned before = trips(ctx);
        OK(ops_alloc_n(ctx, 0, HALF, 2 * MEGA__FAR_AHEAD_MAX, chunk + 1));
        CHECK(trips(ctx) == before + 1, "%u for a claim of four",
              trips(ctx) - before);
        OK(ops_persist(ctx, chunk[1], HALF));
        CHECK(trips(ctx) == before + 2, "%u until they are durable",
              trips(ctx) - before);
        OK(ops_drain(ctx));
        CHECK(trips(ctx) == before + 2, "others were not");
    }
    world_barrier(ctx);
}

static void free_halves(struct mega__ctx *ctx, int rank, void *arg)
{
    (void)arg;
    if (rank == 0) {
        are_live(ctx, 1 + 2 * MEGA__FAR_AHEAD_MAX);
        for (unsigned i = 0; i <= 2 * MEGA__FAR_AHEAD_MAX; i++)
            OK(ops_free(ctx, chunk[i]));
    }
    world_barrier(ctx);
}

Test(far_trips, claims_of_slabs_go_with_their_first_marks)
{
    world_on_hosts(m, 2, take_halves, WORLD_KILL);
    world_on_hosts(m, 2, free_halves, WORLD_CLOSE);
}

/* What one thread reserves, in a slab that its home has not heard of, another
 * looks at: it cannot send the marks of the first. */
static void *reserve(void *ctx)
{
    OK(mega__hot_reserve(ctx, OPS_DEFAULT, 0, 100, &chunk[0]));
    OK(mega__hot_reserve(ctx, OPS_DEFAULT, 0, 3000, &chunk[1]));
    return NULL;
}

/* Of former lives, where extents are FREE. */
static void leave_marks(struct mega__ctx *ctx)
{
    struct mega__span *span = mega__span_of(ctx, mega__gptr(0, 0, 0));
    for (uint32_t e = span->first; e < span->extents; e++)
        if (mega__span_word(span, e) == MEGA__FREE)
            memset((void *)mega__slab_marks(span, e), MEGA__MARK_LIVE,
                   MEGA__EXTENT_GRANULES);
}

static void publish(struct mega__ctx *ctx, int rank, void *arg)
{
    pthread_t thread;
    (void)arg;
    if (rank == 0)
        leave_marks(ctx);
    world_barrier(ctx);
    if (rank == 1) {
        mega_publish_item_t item = {MEGA_PUBLISH_ALLOC, {0}, {0}};
        pthread_create(&thread, NULL, reserve, ctx);
        pthread_join(thread, NULL);
        OK(mega__chunk_cancel(ctx, chunk[1]));
        item.chunk = chunk[0];
        OK(mega__intent_publish(ctx, &item, 1, 0));
        mega__arena_give_up_all(ctx);
        OK(ops_drain(ctx));
    }
    world_barrier(ctx);
}

static void one_is_live(struct mega__ctx *ctx, int rank, void *arg)
{
    (void)arg;
    if (rank == 0) {
        are_live(ctx, 1);
        OK(ops_free(ctx, chunk[0]));
    }
    world_barrier(ctx);
}

Test(far_trips, another_thread_publishes_from_a_slab_that_was_just_claimed)
{
    world_on_hosts(m, 2, publish, WORLD_KILL);
    world_on_hosts(m, 2, one_is_live, WORLD_CLOSE);
}

/* Reserved, and neither published nor cancelled. */
static void leave_reserved(struct mega__ctx *ctx, int rank, void *arg)
{
    (void)arg;
    if (rank == 1)
        OK(mega__hot_reserve(ctx, OPS_DEFAULT, 0, HALF, chunk));
    world_barrier(ctx);
}

static void all_is_free(struct mega__ctx *ctx, int rank, void *arg)
{
    mega_home_stat_t s;
    (void)arg;
    OK(mega__stat_home(ctx, mega__home_at(ctx, 0), &s));
    CHECK(rank != 0 || s.slabs == 0, "%llu bytes are of slabs",
          (unsigned long long)s.slabs);
    world_barrier(ctx);
}

Test(far_trips, a_clean_end_leaves_no_claim_half_made)
{
    world_on_hosts(m, 2, leave_reserved, WORLD_CLOSE);
    world_on_hosts(m, 2, all_is_free, WORLD_CLOSE);
}

#define SWEEPS 2 /* of the oldest slab; each sends first */

/* Of four slabs: one for the swaps, one for the marks, claims and last words of
 * those before. */
static void use_up(struct mega__ctx *ctx, int rank, void *arg)
{
    const unsigned n = 64, fours = n / 2 / MEGA__FAR_AHEAD_MAX;
    mega_counters_t c;
    (void)arg;
    if (rank == 1) {
        OK(ops_alloc(ctx, OPS_DEFAULT, 0, 100, chunk)); /* has read the words */
        const struct net_delay_counts before = net_delay_counts(ctx->net);
        OK(ops_alloc_n(ctx, 0, HALF, n, chunk));
        const struct net_delay_counts after = net_delay_counts(ctx->net);
        CHECK(after.trips - before.trips <= 2 * (fours + SWEEPS), "%u trips",
              (unsigned)(after.trips - before.trips));
        CHECK(after.messages - before.messages <= fours + SWEEPS, "%u messages",
              (unsigned)(after.messages - before.messages));
        CHECK(after.puts - before.puts == after.atomics - before.atomics,
              "something but swaps was put");
        mega__arena_count_all(ctx, &c);
        CHECK(c.disowned > 16, "%u were given up", (unsigned)c.disowned);
    }
    world_barrier(ctx);
}

Test(far_trips, slabs_that_are_used_up_go_by_one_message)
{
    world_on_hosts(m, 2, use_up, WORLD_CLOSE);
}
