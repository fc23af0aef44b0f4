/* SPDX-License-Identifier: BSD-3-Clause */
/* far_guest.c - a rank whose host has no home: it publishes by a record that
 * a far home lends. */
#include <criterion/criterion.h>

#include "hot.h"
#include "intent.h"
#include "log.h"
#include "rma.h"
#include "test/lib/net_delay.h"
#include "test/lib/ops.h"
#include "test/lib/report.h"
#include "test/lib/world.h"

#define GUEST 2

static struct medium *m;
static mega_gptr_t root;

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

TestSuite(far_guest, .init = begin, .fini = end, .timeout = 120);

/* By two ranks: there are two homes. */
static void make_root(struct mega__ctx *ctx, int rank, void *arg)
{
    (void)arg;
    if (rank == 0)
        root = ops_root(ctx, "guest");
    world_barrier(ctx);
}

/* A chunk on home 1 that links one on home 0. */
static void reserve_two(struct mega__ctx *ctx, mega_publish_item_t items[2])
{
    const uint64_t null = 0;
    for (int i = 0; i < 2; i++) {
        items[i].op = MEGA_PUBLISH_ALLOC;
        OK(mega__hot_reserve(ctx, OPS_DEFAULT, 1 - i, 64, &items[i].chunk));
        OK(mega__rma_put_persist(ctx, items[i].chunk, &null, 8));
    }
    items[0].slot = root;
    items[1].slot = items[0].chunk;
}

static void publish(struct mega__ctx *ctx, int rank, void *arg)
{
    mega_publish_item_t items[2];
    (void)arg;
    CHECK((ctx->my_home < 0) == (rank == GUEST), "rank %d has home %d", rank,
          ctx->my_home);
    if (rank == GUEST) {
        reserve_two(ctx, items);
        OK(mega__intent_publish(ctx, items, 2, MEGA_PERSIST_CONTENTS));
    }
    world_barrier(ctx);
}

/* What the root leads to. */
static unsigned chain(struct mega__ctx *ctx, mega_gptr_t chunks[2])
{
    unsigned n = 0;
    size_t usable;
    mega_gptr_t p;
    OK(mega__rma_get(ctx, &p, root, 8));
    while (!mega_is_null(p) && n < 2) {
        chunks[n++] = p;
        OK(mega__chunk_usable(ctx, p, &usable));
        OK(mega__rma_get(ctx, &p, p, 8));
    }
    return n;
}

static void find_and_free(struct mega__ctx *ctx, int rank, void *arg)
{
    mega_gptr_t chunks[2];
    size_t usable;
    (void)arg;
    CHECK(ctx->recovery.intents == 0, "a record was left");
    if (rank == GUEST) {
        CHECK(chain(ctx, chunks) == 2, "the chain is broken");
        mega_publish_item_t items[2] = {
            {MEGA_PUBLISH_FREE, chunks[1], chunks[0]},
            {MEGA_PUBLISH_FREE, chunks[0], root}};
        OK(mega__intent_publish(ctx, items, 2, 0));
        CHECK(mega__chunk_usable(ctx, chunks[0], &usable) == MEGA_ERR_NOT_LIVE,
              "freed");
    }
    world_barrier(ctx);
}

static void find_nothing(struct mega__ctx *ctx, int rank, void *arg)
{
    mega_gptr_t chunks[2];
    (void)arg;
    if (rank == GUEST)
        CHECK(chain(ctx, chunks) == 0, "the root is not null");
    world_barrier(ctx);
}

Test(far_guest, publish_without_a_home_is_durable)
{
    world_on_hosts(m, 2, make_root, WORLD_CLOSE);
    world_on_hosts(m, 3, publish, WORLD_KILL);
    world_on_hosts(m, 3, find_and_free, WORLD_KILL);
    world_on_hosts(m, 3, find_nothing, WORLD_CLOSE);
}

/* Records come back: there are fewer than this. */
static void publish_often(struct mega__ctx *ctx, int rank, void *arg)
{
    mega_publish_item_t item = {MEGA_PUBLISH_ALLOC, {0}, {0}};
    (void)arg;
    item.slot = root;
    for (unsigned i = 0; rank == GUEST && i < 2 * MEGA__INTENTS_MAX; i++) {
        item.op = MEGA_PUBLISH_ALLOC;
        OK(mega__hot_reserve(ctx, OPS_DEFAULT, 1, 64, &item.chunk));
        OK(mega__intent_publish(ctx, &item, 1, 0));
        item.op = MEGA_PUBLISH_FREE;
        OK(mega__intent_publish(ctx, &item, 1, 0));
    }
    world_barrier(ctx);
}

Test(far_guest, records_are_given_back)
{
    world_on_hosts(m, 2, make_root, WORLD_CLOSE);
    world_on_hosts(m, 3, publish_often, WORLD_CLOSE);
}

/* The link breaks when so many messages got through: before the record, at
 * it, at an effect, at the clear. */
static unsigned cut_after;

static void publish_into_a_cut(struct mega__ctx *ctx, int rank, void *arg)
{
    mega_publish_item_t items[2];
    (void)arg;
    if (rank == GUEST) {
        reserve_two(ctx, items);
        net_delay_cut_after(ctx->net, cut_after);
        mega_status_t st = mega__intent_publish(ctx, items, 2, 0);
        CHECK(st == MEGA_OK || st == MEGA_ERR_PEER, "%d", st);
    }
    world_barrier(ctx);
}

static void all_or_none(struct mega__ctx *ctx, int rank, void *arg)
{
    mega_gptr_t chunks[2];
    (void)arg;
    if (rank == GUEST) {
        unsigned n = chain(ctx, chunks);
        CHECK(n == 0 || n == 2, "%u after %u messages", n, cut_after);
        CHECK(n == 2 || ctx->recovery.intents == 0, "a record without effect");
        CHECK(cut_after < 8 || n == 2, "uncut, and not done");
    }
    world_barrier(ctx);
}

Test(far_guest, publish_into_a_cut_is_all_or_none)
{
    for (cut_after = 0; cut_after <= 8; cut_after++) {
        world_on_hosts(m, 2, make_root, WORLD_CLOSE);
        world_on_hosts(m, 3, publish_into_a_cut, WORLD_KILL);
        world_on_hosts(m, 3, all_or_none, WORLD_CLOSE);
        world_end(&m);
        begin();
    }
}
