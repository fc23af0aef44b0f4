/* SPDX-License-Identifier: BSD-3-Clause */
/* far_lost.c - a publish loses a host in the middle: its record is kept for
 * the next open, and what can be kept is bounded. */
#include <criterion/criterion.h>
#include <limits.h>
#include <pthread.h>
#include <string.h>

#include "api/api.h"
#include "arena.h"
#include "chunk.h"
#include "hot.h"
#include "intent.h"
#include "log.h"
#include "rma.h"
#include "roll.h"
#include "test/lib/net_delay.h"
#include "test/lib/ops.h"
#include "test/lib/report.h"
#include "test/lib/world.h"

#define NEAR 1 /* the rank that publishes; home 0 is far */
#define GUEST 2

static struct medium *m;
static mega_gptr_t root, slots, chunks[MEGA__INTENTS_MAX + 1];

static void begin(void)
{
    m = world_begin();
    world_set("HOME_SIZE", "6M");
    world_set("HOME_MAX", "6M");
    world_set("TIMEOUT", "1");
}

static void end(void)
{
    world_set("TIMEOUT", NULL);
    world_end(&m);
    report_settle();
}

TestSuite(far_lost, .init = begin, .fini = end, .timeout = 120);

static mega_gptr_t slot(unsigned i)
{
    return mega_add(slots, 8 * (int64_t)i);
}

static void make_root(struct mega__ctx *ctx, int rank, void *arg)
{
    (void)arg;
    if (rank == 0)
        root = ops_root(ctx, "lost");
    world_barrier(ctx);
}

/* ---- All records of a home ---- */

static mega_status_t publish_one(struct mega__ctx *ctx, unsigned i)
{
    mega_publish_item_t item = {MEGA_PUBLISH_ALLOC, chunks[i], slot(i)};
    return mega__intent_publish(ctx, &item, 1, 0);
}

static void lose_all_records(struct mega__ctx *ctx, int rank, void *arg)
{
    static const char zeros[8 * (MEGA__INTENTS_MAX + 1)];
    (void)arg;
    if (rank == NEAR) {
        OK(ops_alloc(ctx, OPS_DEFAULT, NEAR, sizeof zeros, &slots));
        OK(mega__rma_put_persist(ctx, slots, zeros, sizeof zeros));
        for (unsigned i = 0; i <= MEGA__INTENTS_MAX; i++)
            OK(ops_reserve_said(ctx, 0, 64, &chunks[i]));
        for (unsigned i = 0; i < MEGA__INTENTS_MAX; i++) {
            net_delay_cut(ctx->net); /* as many ranks, each for itself */
            CHECK(publish_one(ctx, i) == MEGA_ERR_PEER, "publish %u", i);
        }
        net_delay_cut(ctx->net);
        mega_status_t st = publish_one(ctx, MEGA__INTENTS_MAX);
        CHECK(st == MEGA_ERR_TABLE_FULL, "with no record left: %d", st);
        CHECK(strstr(mega__errmsg_buffer(), "all 128 records of home 1"), "%s",
              mega__errmsg_buffer());
    }
    world_barrier(ctx);
}

static void find_all_done(struct mega__ctx *ctx, int rank, void *arg)
{
    size_t usable;
    (void)arg;
    CHECK(ctx->recovery.intents == MEGA__INTENTS_MAX, "%d records",
          (int)ctx->recovery.intents);
    for (unsigned i = 0; rank == NEAR && i < MEGA__INTENTS_MAX; i++) {
        CHECK(ops_load(ctx, slot(i)).v == chunks[i].v, "slot %u", i);
        OK(mega__chunk_usable(ctx, chunks[i], &usable));
    }
    if (rank == NEAR)
        CHECK(mega_is_null(ops_load(ctx, slot(MEGA__INTENTS_MAX))),
              "the refused one was done");
    world_barrier(ctx);
}

static void records_are_free(struct mega__ctx *ctx, int rank, void *arg)
{
    (void)arg;
    if (rank == NEAR) {
        mega_publish_item_t item = {MEGA_PUBLISH_FREE, chunks[0], slot(0)};
        CHECK(ctx->recovery.intents == 0, "records were left");
        OK(mega__intent_publish(ctx, &item, 1, 0));
    }
    world_barrier(ctx);
}

Test(far_lost, records_kept_for_a_lost_host_run_out_and_the_open_does_them)
{
    world_on_hosts(m, 2, lose_all_records, WORLD_KILL);
    world_on_hosts(m, 2, find_all_done, WORLD_CLOSE);
    world_on_hosts(m, 2, records_are_free, WORLD_CLOSE);
}

/* ---- Records that a far home lends ---- */

static mega_status_t guest_publish(struct mega__ctx *ctx, unsigned messages,
                                   mega_status_t why)
{
    mega_publish_item_t item = {MEGA_PUBLISH_ALLOC, {0}, root};
    OK(mega__hot_reserve(ctx, OPS_DEFAULT, 1, 64, &item.chunk));
    net_delay_fail_after(ctx->net, messages, why);
    mega_status_t st = mega__intent_publish(ctx, &item, 1, 0);
    net_delay_fail_after(ctx->net, UINT_MAX, why);
    if (st != MEGA_ERR_PEER)
        OK(mega__chunk_cancel(ctx, item.chunk));
    return st;
}

static void lose_lent_records(struct mega__ctx *ctx, int rank, void *arg)
{
    (void)arg;
    if (rank == GUEST) {
        /* no doubt: it was not written, and comes back */
        for (unsigned i = 0; i < 2 * MEGA__INTENTS_MAX; i++)
            CHECK(guest_publish(ctx, 0, MEGA_ERR_NOMEM) == MEGA_ERR_NOMEM,
                  "unsent record %u", i);
        for (unsigned i = 0; i < MEGA__INTENTS_MAX; i++)
            CHECK(guest_publish(ctx, 0, MEGA_ERR_PEER) == MEGA_ERR_PEER,
                  "lost record %u", i);
        mega_status_t st = guest_publish(ctx, UINT_MAX, MEGA_ERR_PEER);
        CHECK(st == MEGA_ERR_TABLE_FULL, "with all records lent: %d", st);
    }
    world_barrier(ctx);
    if (rank == NEAR) { /* whose records they were */
        mega_publish_item_t item = {MEGA_PUBLISH_ALLOC, {0}, {0}};
        OK(mega__hot_reserve(ctx, OPS_DEFAULT, NEAR, 64, &item.chunk));
        CHECK(mega__intent_publish(ctx, &item, 1, 0) == MEGA_ERR_TABLE_FULL,
              "the lender has no record either");
    }
    world_barrier(ctx);
}

Test(far_lost, lent_records_come_back_but_those_in_doubt)
{
    world_on_hosts(m, 2, make_root, WORLD_CLOSE);
    world_on_hosts(m, 3, lose_lent_records, WORLD_CLOSE);
}

/* ---- A host that is gone ---- */

/* Nothing was known of home 0 before, or all: a call says what the matter is,
 * and does not find fault with its arguments. */
static void call_the_lost(struct mega__ctx *ctx, mega_gptr_t far)
{
    mega_gptr_t own, p;
    size_t usable;
    uint64_t old;
    OK(mega__hot_reserve(ctx, OPS_DEFAULT, NEAR, 64, &own));
    mega_publish_item_t items[] = {{MEGA_PUBLISH_SET, own, root},
                                   {MEGA_PUBLISH_ALLOC, own, root},
                                   {MEGA_PUBLISH_ALLOC, own, far},
                                   {MEGA_PUBLISH_SET, own, far},
                                   {MEGA_PUBLISH_FREE, far, root}};
    for (unsigned i = 0; i < sizeof items / sizeof items[0]; i++) {
        mega_status_t st = mega__intent_publish(ctx, &items[i], 1, 0);
        CHECK(st == MEGA_ERR_PEER, "publish %u: %d %s", i, st,
              mega__errmsg_buffer());
    }
    mega_status_t st[] = {
        mega__chunk_usable(ctx, far, &usable),
        mega__chunk_cancel(ctx, far),
        mega__hot_alloc(ctx, OPS_DEFAULT, 0, 1000, &p),
        mega__hot_alloc(ctx, OPS_DEFAULT, 0, 1000000, &p),
        mega__rma_get(ctx, &old, far, 8),
        mega__rma_put_persist(ctx, far, &far, 8),
        mega__rma_persist(ctx, far, 8),
        mega__rma_amo(ctx, MEGA_AMO_ADD, 8, far, 1, 0, &old),
    };
    for (unsigned i = 0; i < sizeof st / sizeof st[0]; i++)
        CHECK(st[i] == MEGA_ERR_PEER, "call %u: %d", i, st[i]);
    OK(mega__chunk_cancel(ctx, own));
}

static void lose_what_was_met(struct mega__ctx *ctx, int rank, void *arg)
{
    (void)arg;
    if (rank == NEAR) {
        OK(mega__hot_alloc(ctx, OPS_DEFAULT, 0, 64, &chunks[0]));
        OK(mega__rma_persist(ctx, chunks[0], 64));
        net_delay_lose(ctx->net);
        call_the_lost(ctx, chunks[0]);
    }
    world_barrier(ctx);
}

static void lose_the_unknown(struct mega__ctx *ctx, int rank, void *arg)
{
    (void)arg;
    CHECK(ctx->recovery.intents == 0, "a refused publish left its record");
    if (rank == NEAR) {
        net_delay_lose(ctx->net);
        call_the_lost(ctx, chunks[0]);
        mega_status_t st = mega__chunk_free(ctx, chunks[0]);
        CHECK(st == MEGA_ERR_PEER, "free: %d", st);
    }
    world_barrier(ctx);
}

Test(far_lost, a_host_that_is_gone_is_no_bad_argument)
{
    world_on_hosts(m, 2, make_root, WORLD_CLOSE);
    world_on_hosts(m, 2, lose_what_was_met, WORLD_KILL);
    world_on_hosts(m, 2, lose_the_unknown, WORLD_KILL);
}

/* Home 2, which would be next after this rank's own, is lost. */
static void fill_any(struct mega__ctx *ctx, int rank, void *arg)
{
    const size_t size = *(size_t *)arg;
    mega_status_t st = MEGA_OK;
    mega_gptr_t p;
    unsigned on[3] = {0};
    if (rank == NEAR) {
        OK(ops_alloc(ctx, OPS_DEFAULT, 2, 200000, &p));
        net_delay_late(ctx->net, MEGA_ERR_TIMEOUT);
        st = mega__rma_persist(ctx, p, 8);
        CHECK(st == MEGA_ERR_TIMEOUT, "%d", st);
        while (!(st = ops_alloc(ctx, OPS_DEFAULT, MEGA_ANY_HOME, size, &p)))
            on[mega__gptr_home(p)]++;
        CHECK(st == MEGA_ERR_TIMEOUT &&
                  strstr(mega__errmsg_buffer(), "rank 2 was lost"),
              "%d: %s", st, mega__errmsg_buffer());
        CHECK(on[0] && on[1] && !on[2], "%u, %u, %u chunks of %zu bytes", on[0],
              on[1], on[2], size);
    }
    world_barrier(ctx);
}

Test(far_lost, any_home_is_one_of_those_that_are_left)
{
    static const int hosts[] = {0, 1, 2};
    size_t size = 4000;
    struct world w = {.nranks = 3,
                      .hosts = hosts,
                      .fn = fill_any,
                      .arg = &size,
                      .end = WORLD_KILL};
    OK(world_run(&w));
    medium_power_loss(m);
    world_end(&m);
    begin();
    size = 200000;
    OK(world_run(&w));
}

/* ---- mega_alloc_to ---- */

static mega_status_t why;

/* Of the one record that stands there. */
static mega_gptr_t kept_chunk(const struct mega__home *home)
{
    uint64_t found = 0;
    for (unsigned i = 0; i < MEGA__INTENTS_MAX; i++)
        if (home->block->intents[i].seq) {
            CHECK(!found, "two records");
            found = home->block->intents[i].items[0].chunk & ~UINT64_C(15);
        }
    CHECK(found, "no record is kept");
    return mega_from_bits(found);
}

/* The record is durable here; the message with the effects is lost. */
static void alloc_to_a_lost_host(struct mega__ctx *ctx, int rank, void *arg)
{
    mega_gptr_t p;
    (void)arg;
    if (rank == NEAR) {
        OK(mega__hot_alloc(ctx, OPS_DEFAULT, 0, 64, &p)); /* claims a slab */
        OK(mega__rma_quiet(ctx));
        OK(mega__hot_free(ctx, p));
        OK(mega__rma_quiet(ctx));
        net_delay_fail_after(ctx->net, 0, why);
        mega__the = ctx;
        mega_status_t st = mega_alloc_to(MEGA_DEFAULT, 0, 64, root);
        mega__the = NULL;
        CHECK(st == (why == MEGA_ERR_TIMEOUT ? why : MEGA_ERR_PEER), "%d", st);
        /* it stays reserved: nobody gets it, or the open would link it twice */
        chunks[0] = kept_chunk(mega__home_at(ctx, NEAR));
        for (unsigned i = 0; i < 100; i++) {
            OK(mega__hot_reserve(ctx, OPS_DEFAULT, 0, 64, &p));
            CHECK(p.v != chunks[0].v, "handed out again");
        }
        if (why == MEGA_ERR_NOMEM) /* nobody is lost */
            net_delay_fail_after(ctx->net, UINT_MAX, why);
    }
    world_barrier(ctx);
}

static void find_allocated(struct mega__ctx *ctx, int rank, void *arg)
{
    size_t usable;
    mega_gptr_t p;
    (void)arg;
    CHECK(ctx->recovery.intents == 1, "%d records", (int)ctx->recovery.intents);
    if (rank == NEAR) {
        OK(mega__rma_get(ctx, &p, root, 8));
        CHECK(p.v == chunks[0].v, "the open has not linked it");
        OK(mega__chunk_usable(ctx, p, &usable));
    }
    world_barrier(ctx);
}

static void alloc_to_and_lose(mega_status_t lost_by, enum world_end_how how)
{
    why = lost_by;
    world_on_hosts(m, 2, make_root, WORLD_CLOSE);
    world_on_hosts(m, 2, alloc_to_a_lost_host, how);
    world_on_hosts(m, 2, find_allocated, WORLD_CLOSE);
}

Test(far_lost, alloc_to_keeps_its_chunk_for_the_open)
{
    alloc_to_and_lose(MEGA_ERR_PEER, WORLD_KILL);
}

Test(far_lost, alloc_to_that_is_late_keeps_its_chunk)
{
    alloc_to_and_lose(MEGA_ERR_TIMEOUT, WORLD_KILL);
}

/* NOMEM would say that nothing has changed. */
Test(far_lost, alloc_to_that_cannot_send_keeps_its_chunk)
{
    alloc_to_and_lose(MEGA_ERR_NOMEM, WORLD_KILL);
}

/* The job ends as it should, and gives up what nobody may need. */
Test(far_lost, alloc_to_that_cannot_send_keeps_its_chunk_for_good)
{
    alloc_to_and_lose(MEGA_ERR_NOMEM, WORLD_CLOSE);
}
