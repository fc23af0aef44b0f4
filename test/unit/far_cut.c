/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * far_cut.c - a rank works on the home of another host and loses it before its
 * nth operation over the network, for each n: what had been called durable is
 * there after the power was lost, what was unlinked or freed is not in use
 * twice, and the next job works on.
 */
#include <criterion/criterion.h>
#include <string.h>

#include "hot.h"
#include "intent.h"
#include "log.h"
#include "rma.h"
#include "roll.h"
#include "stat.h"
#include "test/lib/invariants.h"
#include "test/lib/net_delay.h"
#include "test/lib/ops.h"
#include "test/lib/report.h"
#include "test/lib/world.h"

#define KEPT 24
#define FAR 0 /* the home that is lost to NEAR */
#define NEAR 1

static struct medium *m;
static mega_gptr_t slots; /* KEPT of them, on the far home */

/* What slot i holds: as promised, or either, while a call is under way. */
static struct {
    mega_gptr_t now, next;
    size_t size;
} held[KEPT];

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

TestSuite(far_cut, .init = begin, .fini = end, .timeout = 300);

static mega_gptr_t slot(unsigned i)
{
    return mega_add(slots, 8 * (int64_t)i);
}

static void make_slots(struct mega__ctx *ctx, int rank, void *arg)
{
    static const char zeros[8 * KEPT];
    (void)arg;
    if (rank == FAR) {
        OK(ops_alloc(ctx, OPS_DEFAULT, FAR, sizeof zeros, &slots));
        OK(mega__rma_put_persist(ctx, slots, zeros, sizeof zeros));
    }
    world_barrier(ctx);
}

/* ---- Work, until the host is lost ---- */

static mega_status_t link_one(struct mega__ctx *ctx, unsigned i, size_t size)
{
    mega_publish_item_t item = {MEGA_PUBLISH_ALLOC, {0}, slot(i)};
    char bytes[200];
    memset(bytes, (int)i + 1, sizeof bytes);
    mega_status_t st =
        mega__hot_reserve(ctx, OPS_DEFAULT, FAR, size, &item.chunk);
    if (!st)
        st = mega__rma_put(ctx, item.chunk, bytes,
                           size < sizeof bytes ? size : sizeof bytes);
    if (st)
        return st;
    held[i].next = item.chunk;
    held[i].size = size;
    st = mega__intent_publish(ctx, &item, 1, MEGA_PERSIST_CONTENTS);
    if (!st)
        held[i].now = item.chunk;
    return st;
}

static mega_status_t unlink_one(struct mega__ctx *ctx, unsigned i)
{
    mega_publish_item_t item = {MEGA_PUBLISH_FREE, held[i].now, slot(i)};
    held[i].next = mega_null();
    mega_status_t st = mega__intent_publish(ctx, &item, 1, 0);
    if (!st)
        held[i].now = mega_null();
    return st;
}

/* Allocated, persisted, linked by a store, each for itself; then undone. */
static mega_status_t by_hand(struct mega__ctx *ctx, unsigned i)
{
    char bytes[200];
    mega_gptr_t p;
    memset(bytes, (int)i + 1, sizeof bytes);
    mega_status_t st = ops_alloc(ctx, OPS_DEFAULT, FAR, sizeof bytes, &p);
    if (!st)
        st = mega__rma_put_persist(ctx, p, bytes, sizeof bytes);
    if (st)
        return st;
    held[i].next = p;
    held[i].size = sizeof bytes;
    st = mega__rma_put_persist(ctx, slot(i), &p, 8);
    if (st)
        return st;
    held[i].now = p;
    held[i].next = mega_null();
    st = mega__rma_put_persist(ctx, slot(i), &held[i].next, 8);
    if (st)
        return st;
    held[i].now = mega_null();
    st = ops_free(ctx, p);
    return st ? st : mega__rma_drain(ctx);
}

static mega_status_t step(struct mega__ctx *ctx, unsigned i)
{
    switch (i % 4) {
    case 0:
        return link_one(ctx, i, 48);
    case 1:
        return link_one(ctx, i, i % 8 == 1 ? 100000 : 20000);
    case 2:
        return unlink_one(ctx, i - 2);
    default:
        return by_hand(ctx, i);
    }
}

static unsigned lost_at, steps;

static void work(struct mega__ctx *ctx, int rank, void *arg)
{
    mega_status_t st = MEGA_OK;
    (void)arg;
    world_barrier(ctx);
    if (rank == NEAR) {
        memset(held, 0, sizeof held);
        net_delay_lose_at(ctx->net, lost_at);
        for (steps = 0; !st && steps < KEPT; steps++)
            st = step(ctx, steps);
        CHECK(!st || st == MEGA_ERR_PEER, "lost at %u: %d %s", lost_at, st,
              mega__errmsg_buffer());
        CHECK(!st || mega__rma_drain(ctx) != MEGA_OK,
              "lost at %u: a drain says that all is there", lost_at);
    }
    world_barrier(ctx);
}

/* ---- What is there ---- */

static void look(struct mega__ctx *ctx, int rank, void *arg)
{
    (void)arg;
    if (rank == FAR) /* where the records of regions are */
        invariants_of_format(ctx);
    for (unsigned i = 0; rank == FAR && i < KEPT; i++) {
        size_t usable;
        mega_gptr_t p = ops_load(ctx, slot(i));
        CHECK(p.v == held[i].now.v || p.v == held[i].next.v,
              "lost at %u: slot %u has %llx", lost_at, i,
              (unsigned long long)p.v);
        if (mega_is_null(p))
            continue;
        OK(mega__chunk_usable(ctx, p, &usable));
        const char *bytes = ops_at(ctx, p);
        for (size_t b = 0; b < held[i].size && b < 200; b++)
            CHECK(bytes[b] == (char)(i + 1), "lost at %u: chunk %u, byte %zu",
                  lost_at, i, b);
        for (unsigned k = 0; k < i; k++)
            CHECK(ops_load(ctx, slot(k)).v != p.v, "in two slots");
    }
    world_barrier(ctx);
}

/* The next job, far away: all that is linked goes. */
static void clear(struct mega__ctx *ctx, int rank, void *arg)
{
    (void)arg;
    for (unsigned i = 0; rank == NEAR && i < KEPT; i++) {
        mega_gptr_t p;
        OK(mega__rma_get(ctx, &p, slot(i), 8));
        mega_publish_item_t item = {MEGA_PUBLISH_FREE, p, slot(i)};
        if (!mega_is_null(p))
            OK(mega__intent_publish(ctx, &item, 1, 0));
    }
    world_barrier(ctx);
}

Test(far_cut, a_host_is_lost_before_each_operation)
{
    unsigned lost = 0;
    steps = 0;
    for (lost_at = 1; steps < KEPT; lost_at++, lost++) {
        cr_assert(lost_at < 2000, "it never gets through");
        world_on_hosts(m, 2, make_slots, WORLD_CLOSE);
        world_on_hosts(m, 2, work, WORLD_KILL);
        world_on_hosts(m, 2, look, WORLD_CLOSE);
        world_on_hosts(m, 2, clear, WORLD_CLOSE);
        end(); /* a chunk that is live and not linked yet has leaked */
        begin();
    }
    CHECK(lost > 100, "only %u operations", lost);
}
