/* SPDX-License-Identifier: BSD-3-Clause */
/* far_slab.c - slabs of a far home that is full of slabs which nobody owns:
 * those with room are found, the others are left alone; what a rank of another
 * host is told of a full home, and what it gives back there. */
#include <criterion/criterion.h>

#include <stdio.h>
#include <string.h>

#include "arena.h"
#include "far.h"
#include "find.h"
#include "hot.h"
#include "intent.h"
#include "log.h"
#include "rma.h"
#include "roll.h"
#include "span.h"
#include "stat.h"
#include "test/lib/net_delay.h"
#include "test/lib/ops.h"
#include "test/lib/world.h"

#define SIZE 600
#define CHUNKS_MAX 20000

static struct medium *m;
static mega_gptr_t chunk[CHUNKS_MAX];
static unsigned made, freed;

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

TestSuite(far_slab, .init = begin, .fini = end, .timeout = 120);

/* Rank 0 fills its home, and makes room in half of the slabs. */
static void fill_and_thin(struct mega__ctx *ctx, int rank, void *arg)
{
    (void)arg;
    while (rank == 0 && made < CHUNKS_MAX &&
           ops_alloc(ctx, OPS_DEFAULT, 0, SIZE, &chunk[made]) == MEGA_OK)
        made++;
    for (unsigned i = 0; rank == 0 && i < made / 2; i += 2, freed++)
        OK(ops_free(ctx, chunk[i]));
    CHECK(rank != 0 || (freed > 1000 && made < CHUNKS_MAX), "%u of %u", freed,
          made);
    world_barrier(ctx);
}

/* Rank 1, on another host, takes all that there is. */
static void take_all(struct mega__ctx *ctx, int rank, void *arg)
{
    mega_counters_t c;
    mega_gptr_t p;
    unsigned n = 0;
    (void)arg;
    while (rank == 1 && n <= CHUNKS_MAX &&
           ops_alloc(ctx, OPS_DEFAULT, 0, SIZE, &p) == MEGA_OK)
        n++;
    mega__arena_count_all(ctx, &c);
    if (rank == 1) {
        CHECK(n == freed, "%u chunks were free, %u were found", freed, n);
        CHECK(c.adoptions > 10, "%u slabs", (unsigned)c.adoptions);
        CHECK(c.claim_cas_max == 1, "%u CAS for a slab",
              (unsigned)c.claim_cas_max);
    }
    world_barrier(ctx);
}

Test(far_slab, with_room_are_adopted_and_no_others)
{
    world_on_hosts(m, 2, fill_and_thin, WORLD_CLOSE);
    world_on_hosts(m, 2, take_all, WORLD_CLOSE);
}

/* Publish has freed it there: its owner here must not free it once more. */
static void free_what_is_dead(struct mega__ctx *ctx, int rank, void *arg)
{
    mega_gptr_t slot, p[3];
    (void)arg;
    if (rank == 1) {
        OK(ops_alloc(ctx, OPS_DEFAULT, 1, 8, &slot));
        ops_store(ctx, slot, mega_null());
        mega_publish_item_t item = {MEGA_PUBLISH_ALLOC, {0}, slot};
        OK(mega__hot_reserve(ctx, OPS_DEFAULT, 0, SIZE, &item.chunk));
        OK(mega__intent_publish(ctx, &item, 1, 0));
        p[0] = item.chunk;
        item.op = MEGA_PUBLISH_FREE;
        OK(mega__intent_publish(ctx, &item, 1, 0));
        CHECK(ops_free(ctx, p[0]) == MEGA_ERR_NOT_LIVE, "freed twice");
        OK(ops_drain(ctx));
        CHECK(ops_free(ctx, p[0]) == MEGA_ERR_NOT_LIVE, "freed twice");
        OK(ops_alloc(ctx, OPS_DEFAULT, 0, SIZE, &p[1]));
        OK(ops_alloc(ctx, OPS_DEFAULT, 0, SIZE, &p[2]));
        CHECK(p[1].v != p[2].v, "handed out twice");
        OK(ops_drain(ctx));
    }
    world_barrier(ctx);
}

Test(far_slab, a_chunk_that_publish_has_freed_is_not_freed_again)
{
    world_on_hosts(m, 2, free_what_is_dead, WORLD_CLOSE);
}

/* ---- Several at once ---- */

/* Slabs for count more chunks, by how many messages. */
static unsigned slabs_for(struct mega__ctx *ctx, unsigned count,
                          unsigned long long *messages_p)
{
    const unsigned long long before = net_delay_counts(ctx->net).messages;
    mega_counters_t c[2];
    mega_gptr_t p;
    mega__arena_count_all(ctx, &c[0]);
    while (count-- > 0)
        OK(ops_alloc(ctx, OPS_DEFAULT, 0, SIZE, &p));
    mega__arena_count_all(ctx, &c[1]);
    *messages_p = net_delay_counts(ctx->net).messages - before;
    return (unsigned)(c[1].claims - c[0].claims);
}

static void go_on(struct mega__ctx *ctx, int rank, void *arg)
{
    const unsigned capacity = MEGA__EXTENT / SIZE - 4; /* about */
    unsigned long long messages;
    (void)arg;
    if (rank == 1) {
        CHECK(slabs_for(ctx, 1, &messages) == 1, "one chunk needs one slab");
        unsigned n = slabs_for(ctx, 30 * capacity, &messages);
        CHECK(n >= 25 && n <= 36, "%u slabs", n);
        CHECK(messages < n, "%llu messages for %u slabs", messages, n);
    }
    world_barrier(ctx);
}

/* What was claimed and never used is free for others at the end. */
static void all_is_there(struct mega__ctx *ctx, int rank, void *arg)
{
    mega_home_stat_t s;
    (void)arg;
    if (rank == 0) {
        OK(mega__stat_home(ctx, mega__home_at(ctx, 0), &s));
        CHECK(s.live_chunks > 3000 &&
                  s.slabs < (s.live_chunks / 100 + 2) * MEGA__EXTENT,
              "%llu chunks, %llu bytes of slabs",
              (unsigned long long)s.live_chunks, (unsigned long long)s.slabs);
    }
    world_barrier(ctx);
}

Test(far_slab, a_thread_that_goes_on_gets_several_by_one_message)
{
    world_on_hosts(m, 2, go_on, WORLD_CLOSE);
    world_on_hosts(m, 2, all_is_there, WORLD_CLOSE);
}

/* ---- A home that is full ---- */

#define BIG 3000

/* Says what it has, as a home of this host does. */
static void tells(uint64_t bytes)
{
    char text[80];
    snprintf(text, sizeof text, "bytes on home 0: %llu are free",
             (unsigned long long)bytes);
    CHECK(strstr(mega__errmsg_buffer(), text), "%s", mega__errmsg_buffer());
    CHECK(strstr(mega__errmsg_buffer(), "MEGALLOC_HOME_MAX"), "%s",
          mega__errmsg_buffer());
}

/* Of what rank 1 has freed all waits to be sent: fewer chunks than it keeps.
 * They are a slab's; so there is room for a run. */
static void fill_and_free_one(struct mega__ctx *ctx, int rank, void *arg)
{
    unsigned n = 0;
    mega_gptr_t run;
    (void)arg;
    while (rank == 1 && n < CHUNKS_MAX &&
           ops_alloc(ctx, OPS_DEFAULT, 0, BIG, &chunk[n]) == MEGA_OK)
        n++;
    if (rank == 1) {
        tells(0);
        for (unsigned i = 0; i < n; i++)
            if (chunk[i].v >> MEGA__EXTENT_SHIFT ==
                chunk[0].v >> MEGA__EXTENT_SHIFT)
                OK(ops_free(ctx, chunk[i]));
        OK(ops_alloc(ctx, OPS_DEFAULT, 0, MEGA__EXTENT, &run));
        CHECK(ops_alloc(ctx, OPS_DEFAULT, 0, MEGA__EXTENT, &run) ==
                  MEGA_ERR_HOME_FULL,
              "more than was freed");
        tells(0);
    }
    world_barrier(ctx);
}

/* Empty slabs of rank 1 are all the room that there is, and giving them up is
 * on its way like everything. */
static void want_another_size(struct mega__ctx *ctx, int rank, void *arg)
{
    unsigned n = 0;
    mega_gptr_t p;
    (void)arg;
    while (rank == 1 && n < CHUNKS_MAX &&
           ops_alloc(ctx, OPS_DEFAULT, 0, BIG, &chunk[n]) == MEGA_OK)
        n++;
    if (rank == 1) {
        const uint64_t last = chunk[n - 1].v >> MEGA__EXTENT_SHIFT;
        while (n-- > 0)
            if (chunk[n].v >> MEGA__EXTENT_SHIFT == last)
                OK(ops_free(ctx, chunk[n]));
        OK(ops_drain(ctx));
        OK(ops_alloc(ctx, OPS_DEFAULT, 0, 100, &p));
    }
    world_barrier(ctx);
}

Test(far_slab, given_up_are_there_before_the_home_is_called_full)
{
    for (uint64_t seed = 1; seed <= 8; seed++) {
        end();
        begin();
        net_delay_seed(seed);
        world_on_hosts(m, 2, want_another_size, WORLD_CLOSE);
    }
}

Test(far_slab, frees_that_wait_give_a_full_home_room)
{
    world_on_hosts(m, 2, fill_and_free_one, WORLD_CLOSE);
}

/* ---- A home of many views ---- */

#define LARGE "300M"
#define RUN ((size_t)240 << 20)

/* Rank 0 takes a run where rank 1, another, begins to look. */
static void look_behind_a_run(struct mega__ctx *ctx, int rank, void *arg)
{
    const struct mega__span *span;
    mega_counters_t c;
    mega_gptr_t p;
    (void)arg;
    if (rank == 0) {
        span = mega__span_of(ctx, mega__gptr(0, 0, 0));
        CHECK(mega__find_probes(span->extents / MEGA__VIEW_WORDS) > 0,
              "no home to probe");
        OK(ops_alloc(ctx, OPS_DEFAULT, 0, RUN, &p));
    }
    world_barrier(ctx);
    for (int i = 0; rank == 1 && i < 2000; i++)
        OK(ops_alloc(ctx, OPS_DEFAULT, 0, BIG, &p));
    mega__arena_count_all(ctx, &c);
    CHECK(rank != 1 || (c.claims > 90 && c.claim_cas == c.claims),
          "%llu claims, %llu CAS", (unsigned long long)c.claims,
          (unsigned long long)c.claim_cas);
    world_barrier(ctx);
}

Test(far_slab, of_a_large_home_are_found_behind_what_is_taken)
{
    world_set("HOME_SIZE", LARGE);
    world_set("HOME_MAX", LARGE);
    world_on_hosts(m, 2, look_behind_a_run, WORLD_CLOSE);
}

/* ---- What is counted ---- */

static bool in_extent_of(mega_gptr_t p, unsigned first)
{
    return p.v >> MEGA__EXTENT_SHIFT == chunk[first].v >> MEGA__EXTENT_SHIFT;
}

/* Rank 0 fills its home and thins one slab, which rank 1 adopts, empties and
 * gives up: the home's host has not seen that, and finds it yet. */
static void empty_one_there(struct mega__ctx *ctx, int rank, void *arg)
{
    struct mega__home *home = mega__home_at(ctx, 0);
    mega_gptr_t p, q;
    (void)arg;
    while (rank == 0 && made < CHUNKS_MAX &&
           ops_alloc(ctx, OPS_DEFAULT, 0, BIG, &chunk[made]) == MEGA_OK)
        made++;
    if (rank == 0)
        OK(ops_free(ctx, chunk[0]));
    world_barrier(ctx);
    if (rank == 1) {
        OK(ops_alloc(ctx, OPS_DEFAULT, 0, BIG, &p));
        CHECK(in_extent_of(p, 0), "there was another");
        for (unsigned i = 1; i < made; i++)
            if (in_extent_of(chunk[i], 0))
                OK(ops_free(ctx, chunk[i]));
        OK(ops_free(ctx, p));
        OK(ops_drain(ctx));
        CHECK(mega__arena_trim(mega__arena(ctx), home) == 1, "still used");
        OK(mega__far_complete(mega__arena(ctx), 0));
    }
    world_barrier(ctx);
    if (rank == 0)
        OK(ops_alloc(ctx, OPS_DEFAULT, 0, 100, &q));
    world_barrier(ctx);
}

Test(far_slab, what_another_host_has_freed_is_found_at_home)
{
    world_on_hosts(m, 2, empty_one_there, WORLD_CLOSE);
}

/* Rank 1 fills the home of rank 0, which frees a chunk of a slab that rank 1
 * still has, and that gives up full as it is. */
static void free_of_one_owned(struct mega__ctx *ctx, int rank, void *arg)
{
    mega_gptr_t q;
    (void)arg;
    while (rank == 1 && made < CHUNKS_MAX &&
           ops_alloc(ctx, OPS_DEFAULT, 0, BIG, &chunk[made]) == MEGA_OK)
        made++;
    if (rank == 1)
        OK(ops_drain(ctx));
    world_barrier(ctx);
    if (rank == 0)
        OK(ops_free(ctx, chunk[made - 1]));
    world_barrier(ctx);
    if (rank == 1) {
        mega__arena_give_up_all(ctx);
        OK(mega__far_complete(mega__arena(ctx), 0));
    }
    world_barrier(ctx);
    if (rank == 0)
        OK(ops_alloc(ctx, OPS_DEFAULT, 0, BIG, &q));
    world_barrier(ctx);
}

Test(far_slab, what_was_freed_while_another_had_it_is_found)
{
    made = 0;
    world_on_hosts(m, 2, free_of_one_owned, WORLD_CLOSE);
}

/* ---- A place that is used again ---- */

static void reuse(struct mega__ctx *ctx, int rank, bool cancelled)
{
    static const char first[64] = "the one before", second[64] = "the next";
    mega_gptr_t p, q = {0};
    char seen[64];
    if (rank != 0)
        return;
    for (unsigned i = 0, met = 0; met < 200; i++) {
        CHECK(i < 10000, "no place comes again");
        OK(cancelled ? mega__hot_reserve(ctx, OPS_DEFAULT, 1, 64, &p)
                     : ops_alloc(ctx, OPS_DEFAULT, 1, 64, &p));
        OK(mega__rma_put_nbi(ctx, p, first, sizeof first));
        OK(cancelled ? mega__chunk_cancel(ctx, p) : ops_free(ctx, p));
        OK(ops_alloc(ctx, OPS_DEFAULT, 1, 64, &q));
        OK(mega__rma_put(ctx, q, second, sizeof second));
        OK(mega__rma_persist(ctx, q, sizeof second));
        OK(mega__rma_get(ctx, seen, q, sizeof seen));
        CHECK(memcmp(seen, second, sizeof seen) == 0, "the first put won: %s",
              seen);
        met += p.v == q.v || cancelled;
        OK(ops_free(ctx, q));
    }
}

static void reuse_freed(struct mega__ctx *ctx, int rank, void *arg)
{
    (void)arg;
    reuse(ctx, rank, false);
}

static void reuse_cancelled(struct mega__ctx *ctx, int rank, void *arg)
{
    (void)arg;
    reuse(ctx, rank, true);
}

Test(far_slab, f5_a_place_used_again_holds_the_last_put)
{
    world_on_hosts(m, 2, reuse_freed, WORLD_CLOSE);
    world_on_hosts(m, 2, reuse_cancelled, WORLD_CLOSE);
}
