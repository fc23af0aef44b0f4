/* SPDX-License-Identifier: BSD-3-Clause */
/* far.c - ranks on several hosts use each other's homes, over the transport
 * that delivers late and out of order. */
#include "far.h"

#include <criterion/criterion.h>
#include <string.h>

#include "hot.h"
#include "intent.h"
#include "log.h"
#include "rma.h"
#include "roll.h"
#include "slab.h"
#include "stat.h"
#include "test/lib/invariants.h"
#include "test/lib/net_delay.h"
#include "test/lib/ops.h"
#include "test/lib/report.h"
#include "test/lib/world.h"

static struct medium *m;

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

TestSuite(far, .init = begin, .fini = end, .timeout = 300);

static const int two_hosts[] = {0, 1};
static const int three_hosts[] = {0, 1, 2, 0, 1, 2};

static mega_status_t run(int nranks, const int *hosts, world_fn fn, void *arg)
{
    struct world w = {.nranks = nranks, .hosts = hosts, .fn = fn, .arg = arg};
    mega_status_t st = world_run(&w);
    CHECK(st == MEGA_OK, "%d %s", st, w.message);
    return st;
}

static void run_and_lose_power(int nranks, const int *hosts, world_fn fn,
                               void *arg)
{
    struct world w = {.nranks = nranks,
                      .hosts = hosts,
                      .fn = fn,
                      .arg = arg,
                      .end = WORLD_KILL};
    mega_status_t st = world_run(&w);
    CHECK(st == MEGA_OK, "%d %s", st, w.message);
    medium_power_loss(m);
}

static void fill(struct mega__ctx *ctx, mega_gptr_t p, size_t n, uint64_t tag)
{
    unsigned char bytes[256];
    n = n < sizeof bytes ? n : sizeof bytes;
    for (size_t i = 0; i < n; i++)
        bytes[i] = (unsigned char)(tag * 31 + i);
    OK(mega__rma_put(ctx, p, bytes, n));
}

static bool filled(struct mega__ctx *ctx, mega_gptr_t p, size_t n, uint64_t tag)
{
    unsigned char bytes[256];
    n = n < sizeof bytes ? n : sizeof bytes;
    OK(mega__net_flush(ctx->net)); /* a get may overtake a put */
    OK(mega__rma_get(ctx, bytes, p, n));
    for (size_t i = 0; i < n; i++)
        if (bytes[i] != (unsigned char)(tag * 31 + i))
            return false;
    return true;
}

/* ---- What is durable ---- */

static mega_gptr_t kept[60];

static void persist_some(struct mega__ctx *ctx, int rank, void *arg)
{
    (void)arg;
    if (rank != 0)
        return;
    for (unsigned i = 0; i < 60; i++) {
        size_t size = i < 56 ? 40 + i : 100000;
        OK(ops_alloc(ctx, OPS_DEFAULT, 1, size, &kept[i]));
        fill(ctx, kept[i], size, i);
        if (i % 2 == 0) /* else its mark goes with another's message */
            OK(mega__rma_persist(ctx, kept[i], size));
    }
}

static void find_persisted(struct mega__ctx *ctx, int rank, void *arg)
{
    (void)arg;
    if (ctx->homes[0].local) /* where the records of regions are */
        invariants_of_format(ctx);
    if (rank != 0)
        return;
    for (unsigned i = 0; i < 60; i += 2) {
        size_t size = i < 56 ? 40 + i : 100000, usable = 0;
        OK(mega__chunk_usable(ctx, kept[i], &usable));
        CHECK(usable >= size, "chunk %u has %zu bytes", i, usable);
        CHECK(filled(ctx, kept[i], size, i), "chunk %u is not what was put", i);
    }
}

Test(far, a_persisted_chunk_survives_the_power_of_its_host)
{
    run_and_lose_power(2, two_hosts, persist_some, NULL);
    run(2, two_hosts, find_persisted, NULL);
}

static void put_persist_one(struct mega__ctx *ctx, int rank, void *arg)
{
    uint64_t value = 0x1234567890abcdef;
    (void)arg;
    if (rank != 0)
        return;
    OK(ops_alloc(ctx, OPS_DEFAULT, 1, 64, &kept[0]));
    uint64_t before = net_delay_counts(ctx->net).messages;
    OK(mega__rma_put_persist(ctx, kept[0], &value, 8));
    CHECK(net_delay_counts(ctx->net).messages == before + 1,
          "mark and data take one message");
}

static void find_one(struct mega__ctx *ctx, int rank, void *arg)
{
    uint64_t value = 0;
    size_t usable;
    if (rank != 1)
        return;
    OK(mega__chunk_usable(ctx, kept[0], &usable));
    OK(mega__rma_get(ctx, &value, kept[0], 8));
    CHECK(arg || value == 0x1234567890abcdef, "%lx", (unsigned long)value);
}

Test(far, put_persist_is_one_message_and_durable)
{
    run_and_lose_power(2, two_hosts, put_persist_one, NULL);
    run(2, two_hosts, find_one, NULL);
}

/* L3: after quiet the other rank may persist what it was given. */
static void hand_over(struct mega__ctx *ctx, int rank, void *arg)
{
    (void)arg;
    if (rank == 0) {
        OK(ops_alloc(ctx, OPS_DEFAULT, 1, 200, &kept[0]));
        fill(ctx, kept[0], 200, 7);
        OK(mega__rma_quiet(ctx));
    }
    world_barrier(ctx);
    if (rank == 1)
        OK(mega__rma_persist(ctx, mega_add(kept[0], 100), 100));
    world_barrier(ctx);
}

Test(far, l3_a_chunk_given_away_after_quiet_is_made_durable_by_the_other)
{
    run_and_lose_power(2, two_hosts, hand_over, NULL);
    run(2, two_hosts, find_one, kept); /* the mark alone */
}

/* ---- What is wrong ---- */

static void misuse(struct mega__ctx *ctx, int rank, void *arg)
{
    mega_gptr_t p, q;
    size_t usable;
    (void)arg;
    if (rank == 0) {
        OK(ops_alloc(ctx, OPS_DEFAULT, 1, 64, &p));
        CHECK(ops_free(ctx, mega_add(p, 16)) == MEGA_ERR_NOT_LIVE, "inside");
        OK(ops_free(ctx, p));
        CHECK(ops_free(ctx, p) == MEGA_ERR_NOT_LIVE, "twice, own slab");
        OK(ops_alloc(ctx, OPS_DEFAULT, 1, 64, &kept[0]));
        OK(ops_alloc(ctx, OPS_DEFAULT, 2, 64, &kept[1]));
        OK(ops_alloc(ctx, OPS_DEFAULT, 2, 300000, &kept[2]));
        OK(mega__rma_quiet(ctx));
        CHECK(ops_free(ctx, mega__gptr(1, 5, 4096)) == MEGA_ERR_NOT_LIVE,
              "no such span");
        CHECK(ops_free(ctx, mega__gptr(1, 0, 4096)) == MEGA_ERR_NOT_LIVE,
              "metadata");
        CHECK(mega__chunk_usable(ctx, mega__gptr(1, 0, 0), &usable) ==
                  MEGA_ERR_NOT_LIVE,
              "start of a span");
        CHECK(mega__hot_alloc(ctx, OPS_DEFAULT, 7, 64, &q) == MEGA_ERR_ARG,
              "no such home");
    }
    world_barrier(ctx);
    if (rank == 1) { /* in slabs that rank 0 owns: home 1 here, home 2 far */
        OK(ops_free(ctx, kept[0]));
        CHECK(ops_free(ctx, kept[0]) == MEGA_ERR_NOT_LIVE, "twice, local");
        OK(ops_free(ctx, kept[1]));
        CHECK(ops_free(ctx, kept[1]) == MEGA_ERR_NOT_LIVE, "twice, listed");
        OK(mega__rma_quiet(ctx));
        CHECK(ops_free(ctx, kept[1]) == MEGA_ERR_NOT_LIVE, "twice, sent");
        CHECK(ops_free(ctx, mega_add(kept[2], 65536)) == MEGA_ERR_NOT_LIVE,
              "inside a run");
        OK(ops_free(ctx, kept[2]));
        CHECK(ops_free(ctx, kept[2]) == MEGA_ERR_NOT_LIVE, "a run twice");
    }
    world_barrier(ctx);
}

Test(far, wrong_frees_are_refused)
{
    run(3, three_hosts, misuse, NULL);
}

static void reserve(struct mega__ctx *ctx, int rank, void *arg)
{
    mega_gptr_t p, q;
    size_t usable;
    (void)arg;
    if (rank != 0)
        return;
    OK(mega__hot_reserve(ctx, OPS_DEFAULT, 1, 64, &p));
    OK(mega__hot_reserve(ctx, OPS_DEFAULT, 1, 200000, &q));
    CHECK(mega__chunk_usable(ctx, p, &usable) == MEGA_ERR_NOT_LIVE, "reserved");
    CHECK(ops_free(ctx, p) == MEGA_ERR_NOT_LIVE, "free of a reserved chunk");
    OK(mega__chunk_cancel(ctx, p));
    CHECK(mega__chunk_cancel(ctx, p) == MEGA_ERR_NOT_LIVE, "cancelled twice");
    OK(mega__chunk_cancel(ctx, q));
    CHECK(mega__chunk_cancel(ctx, q) == MEGA_ERR_NOT_LIVE, "a run twice");
}

Test(far, reserved_chunks_are_cancelled)
{
    run(2, two_hosts, reserve, NULL);
}

/* ---- Publish ---- */

static mega_gptr_t root;

static void publish_far(struct mega__ctx *ctx, int rank, void *arg)
{
    mega_publish_item_t items[4];
    (void)arg;
    if (rank == 0)
        root = ops_root(ctx, "far");
    world_barrier(ctx);
    if (rank == 1) { /* the root, home 0, is far; chunks here and there */
        for (int i = 0; i < 4; i++) {
            items[i].op = MEGA_PUBLISH_ALLOC;
            OK(mega__hot_reserve(ctx, OPS_DEFAULT, i % 2, i == 3 ? 200000 : 64,
                                 &items[i].chunk));
            fill(ctx, items[i].chunk, 64, 0);
            /* each links the next, the root links the first */
            items[i].slot = i == 0 ? root : items[i - 1].chunk;
            uint64_t null = 0;
            OK(mega__rma_put(ctx, items[i].chunk, &null, 8));
        }
        OK(mega__rma_quiet(ctx));
        OK(mega__intent_publish(ctx, items, 4, MEGA_PERSIST_CONTENTS));
        CHECK(mega__intent_publish(ctx, items, 1, 0) == MEGA_ERR_NOT_LIVE,
              "published twice");
        CHECK(ops_free(ctx, mega_add(items[0].chunk, 8)) == MEGA_ERR_NOT_LIVE,
              "inside");
    }
    world_barrier(ctx);
}

static unsigned chain(struct mega__ctx *ctx, mega_gptr_t chunks[8])
{
    unsigned n = 0;
    size_t usable;
    mega_gptr_t p;
    OK(mega__rma_get(ctx, &p, root, 8));
    while (!mega_is_null(p) && n < 8) {
        chunks[n++] = p;
        OK(mega__chunk_usable(ctx, p, &usable));
        OK(mega__rma_get(ctx, &p, p, 8));
    }
    return n;
}

static void find_chain(struct mega__ctx *ctx, int rank, void *arg)
{
    mega_gptr_t chunks[8];
    (void)arg;
    if (rank == 1)
        CHECK(chain(ctx, chunks) == 4, "the chain is broken");
    world_barrier(ctx);
}

/* All in one group. */
static void unpublish(struct mega__ctx *ctx, int rank, void *arg)
{
    mega_publish_item_t items[4];
    mega_gptr_t chunks[8];
    size_t usable;
    (void)arg;
    if (rank == 1) {
        unsigned n = chain(ctx, chunks);
        CHECK(n == 4, "%u chunks", n);
        for (unsigned i = 0; n == 4 && i < 4; i++)
            items[i] = (mega_publish_item_t){MEGA_PUBLISH_FREE, chunks[i],
                                             i ? chunks[i - 1] : root};
        OK(mega__intent_publish(ctx, items, 4, 0));
        OK(mega__rma_quiet(ctx));
        for (unsigned i = 0; i < 4; i++)
            CHECK(mega__chunk_usable(ctx, chunks[i], &usable) ==
                      MEGA_ERR_NOT_LIVE,
                  "chunk %u is live", i);
    }
    world_barrier(ctx);
}

static int count(mega_gptr_t p, size_t usable, void *arg)
{
    (void)p, (void)usable;
    ++*(_Atomic int *)arg;
    return 0;
}

static void none_live(struct mega__ctx *ctx, int rank, void *arg)
{
    _Atomic int n = 0;
    mega_gptr_t chunks[8];
    (void)arg;
    OK(mega__stat_walk(ctx, mega__home_at(ctx, (uint32_t)rank), 0, count,
                       (void *)&n, NULL));
    CHECK(n == 0, "%d chunks on home %d", n, rank);
    if (rank == 1)
        CHECK(chain(ctx, chunks) == 0, "the root is not null");
    world_barrier(ctx);
}

Test(far, publish_and_its_undoing_over_two_hosts_are_durable)
{
    run_and_lose_power(2, two_hosts, publish_far, NULL);
    run(2, two_hosts, find_chain, NULL);
    run_and_lose_power(2, two_hosts, unpublish, NULL);
    run(2, two_hosts, none_live, NULL);
}

/* The link breaks when the record is durable, and no effect yet. */
static void publish_into_a_cut(struct mega__ctx *ctx, int rank, void *arg)
{
    mega_publish_item_t item = {MEGA_PUBLISH_ALLOC, {0}, {0}};
    (void)arg;
    if (rank == 0)
        root = ops_root(ctx, "far");
    world_barrier(ctx);
    if (rank == 1) {
        uint64_t null = 0;
        item.slot = root;
        OK(ops_reserve_said(ctx, 0, 64, &item.chunk));
        OK(mega__rma_put_persist(ctx, item.chunk, &null, 8));
        net_delay_cut(ctx->net);
        CHECK(mega__intent_publish(ctx, &item, 1, 0) == MEGA_ERR_PEER,
              "publish over a cut link");
    }
    world_barrier(ctx);
}

static void find_completed(struct mega__ctx *ctx, int rank, void *arg)
{
    mega_gptr_t chunks[8];
    (void)arg;
    CHECK(ctx->recovery.intents == 1, "%d records", (int)ctx->recovery.intents);
    if (rank == 1)
        CHECK(chain(ctx, chunks) == 1, "the open has not completed it");
    world_barrier(ctx);
}

Test(far, open_completes_a_publish_whose_link_broke)
{
    run_and_lose_power(2, two_hosts, publish_into_a_cut, NULL);
    run(2, two_hosts, find_completed, NULL);
}

/* ---- Random work: no overlap, contents intact, all back ---- */

#define RANKS 6
#define HELD 150
#define STEPS 2500

struct held {
    mega_gptr_t p;
    size_t size;
    uint64_t tag;
};

static struct mailbox { /* from a rank to the next */
    _Atomic bool full;
    struct held h;
} mail[RANKS];

static uint64_t free_before[RANKS];

static void drop(struct mega__ctx *ctx, struct held *h)
{
    CHECK(filled(ctx, h->p, h->size, h->tag), "%llx was overwritten",
          (unsigned long long)h->p.v);
    OK(ops_free(ctx, h->p));
    h->size = 0;
}

static void get_one(struct mega__ctx *ctx, struct held *h, uint64_t *seed)
{
    uint64_t r = medium_random(seed) >> 20;
    int home = (int)(medium_random(seed) >> 30) % RANKS;
    h->size = r % 100 == 0 ? 40000 + r % 100000 : 1 + r % 400;
    mega_status_t st =
        ops_alloc(ctx, OPS_DEFAULT, home < 0 ? -home : home, h->size, &h->p);
    CHECK(st == MEGA_OK || st == MEGA_ERR_HOME_FULL, "alloc: %d %s", st,
          mega__errmsg_buffer());
    if (st) {
        h->size = 0;
        return;
    }
    h->tag = r;
    fill(ctx, h->p, h->size, h->tag);
}

/* Gives a chunk to the next rank, takes that of the one before. */
static void exchange(struct mega__ctx *ctx, int rank, struct held *h)
{
    struct mailbox *out = &mail[rank];
    struct mailbox *in = &mail[(rank + RANKS - 1) % RANKS];
    if (h->size && !atomic_load(&out->full)) {
        OK(mega__rma_quiet(ctx)); /* L3 */
        out->h = *h;
        h->size = 0;
        atomic_store(&out->full, true);
    }
    if (!h->size && atomic_load(&in->full)) {
        *h = in->h;
        atomic_store(&in->full, false);
    }
}

static void work(struct mega__ctx *ctx, int rank, void *arg)
{
    struct held held[HELD] = {{{0}, 0, 0}};
    uint64_t seed = (uint64_t)rank + 1, hole;
    (void)arg;
    OK(mega__stat_room(ctx, mega__home_at(ctx, (uint32_t)rank),
                       &free_before[rank], &hole));
    world_barrier(ctx);
    for (unsigned i = 0; i < STEPS; i++) {
        struct held *h = &held[(medium_random(&seed) >> 25) % HELD];
        if (i % 8 == 0)
            exchange(ctx, rank, h);
        else if (h->size)
            drop(ctx, h);
        else
            get_one(ctx, h, &seed);
        if (i % 64 == 0)
            OK(mega__rma_drain(ctx));
    }
    world_barrier(ctx);
    for (unsigned i = 0; i < HELD; i++)
        if (held[i].size)
            drop(ctx, &held[i]);
    struct mailbox *in = &mail[(rank + RANKS - 1) % RANKS];
    if (atomic_load(&in->full))
        drop(ctx, &in->h);
    atomic_store(&in->full, false);
}

static void nothing_left(struct mega__ctx *ctx, int rank, void *arg)
{
    uint64_t free, hole;
    (void)arg;
    if (ctx->homes[0].local) /* where the records of regions are */
        invariants_of_format(ctx);
    mega__slab_reclaim(mega__arena(ctx), mega__home_at(ctx, (uint32_t)rank));
    OK(mega__stat_room(ctx, mega__home_at(ctx, (uint32_t)rank), &free, &hole));
    CHECK(free == free_before[rank], "home %d: %llu bytes free, %llu before",
          rank, (unsigned long long)free,
          (unsigned long long)free_before[rank]);
}

Test(far, random_work_over_three_hosts)
{
    for (uint64_t seed = 1; seed <= 3; seed++) {
        net_delay_seed(seed);
        run(RANKS, three_hosts, work, NULL);
        run(RANKS, three_hosts, nothing_left, NULL);
    }
}
