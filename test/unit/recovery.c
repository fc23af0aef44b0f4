/* SPDX-License-Identifier: BSD-3-Clause */
/* recovery.c - what an open finds, settles and tells (mega_recovery), by how
 * the job before has ended. */
#include <criterion/criterion.h>
#include <string.h>

#include "chunk.h"
#include "directory.h"
#include "home.h"
#include "hot.h"
#include "intent.h"
#include "log.h"
#include "region.h"
#include "rma.h"
#include "stat.h"
#include "test/lib/invariants.h"
#include "test/lib/ops.h"
#include "test/lib/report.h"
#include "test/lib/world.h"

static struct medium *m;
static mega_recovery_t told;
static uint64_t bytes_free, chunks_live; /* of home 0, as it is opened */
static mega_gptr_t root, chunk;

static void begin(void)
{
    m = world_begin();
}

static void end(void)
{
    world_end(&m);
    report_settle();
}

TestSuite(recovery, .init = begin, .fini = end, .timeout = 120);

static void look(struct mega__ctx *ctx, int rank, void *arg)
{
    mega_home_stat_t s;
    (void)arg;
    if (rank == 0) {
        told = ctx->recovery;
        invariants_of_format(ctx);
        invariants_of_recovery(ctx);
        OK(mega__stat_home(ctx, mega__home_at(ctx, 0), &s));
        bytes_free = s.free;
        chunks_live = s.live_chunks;
    }
    world_barrier(ctx);
}

static void run(int nranks, world_fn fn, enum world_end_how how)
{
    struct world w = {.nranks = nranks, .fn = fn, .end = how};
    cr_assert_eq(world_run(&w), MEGA_OK, "%s", w.message);
}

static void crash(int nranks, world_fn fn)
{
    run(nranks, fn, WORLD_KILL);
    medium_power_loss(m);
}

/* ---- How it ended ---- */

static void opened(uint64_t epoch, int created, int clean)
{
    CHECK(told.epoch == epoch && told.created == created && told.clean == clean,
          "epoch %llu, created %d, clean %d", (unsigned long long)told.epoch,
          told.created, told.clean);
    CHECK(told.intents + told.refused + told.regions_ended == 0,
          "there was nothing to settle");
}

Test(recovery, tells_a_clean_end_from_a_crash)
{
    run(2, look, WORLD_CLOSE);
    opened(1, 1, 1);
    run(3, look, WORLD_KILL);
    opened(2, 0, 1);
    run(1, look, WORLD_CLOSE);
    opened(3, 0, 0);
    crash(1, look);
    opened(4, 0, 1);
    run(2, look, WORLD_CLOSE);
    opened(5, 0, 0);
}

/* ---- Chunks that were never durable ---- */

static void allocate(struct mega__ctx *ctx, int rank, void *arg)
{
    mega_gptr_t p;
    (void)arg;
    for (int i = 0; i < 100; i++)
        OK(ops_alloc(ctx, OPS_DEFAULT, 0, 200, &p));
    (void)rank;
}

/* Slabs that are empty stay until their memory is needed: as much as was free
 * before must fit again. */
static void take_all(struct mega__ctx *ctx, int rank, void *arg)
{
    struct mega_region *r;
    look(ctx, rank, arg);
    OK(mega__region_create(ctx, "all", *(const uint64_t *)arg, &r));
}

Test(recovery, gives_back_what_was_never_durable)
{
    run(1, look, WORLD_CLOSE);
    uint64_t all = bytes_free;
    crash(2, allocate);
    run(1, look, WORLD_KILL);
    CHECK(chunks_live == 0, "%llu chunks", (unsigned long long)chunks_live);
    cr_assert_eq(world_do(1, take_all, &all), MEGA_OK);
}

/* The next job has the same bits of its epoch in words. */
static void allocate_and_come_round(struct mega__ctx *ctx, int rank, void *arg)
{
    struct mega__home *home = mega__home_at(ctx, 0);
    allocate(ctx, rank, arg);
    world_barrier(ctx);
    if (rank == 0) {
        mega__home_write(home, &ctx->flusher, &home->block->epoch,
                         ctx->epoch + MEGA__EPOCH14_MAX - 1);
        OK(mega__pool_drain(&ctx->flusher));
    }
    world_barrier(ctx);
}

Test(recovery, F15_owners_of_an_epoch_that_comes_round_are_gone)
{
    run(1, look, WORLD_CLOSE);
    uint64_t all = bytes_free;
    crash(2, allocate_and_come_round);
    run(1, look, WORLD_KILL);
    CHECK(told.epoch == 2 + MEGA__EPOCH14_MAX, "epoch %llu",
          (unsigned long long)told.epoch);
    CHECK(chunks_live == 0, "%llu chunks", (unsigned long long)chunks_live);
    cr_assert_eq(world_do(1, take_all, &all), MEGA_OK);
}

/* All is visible to the next job, so the ranks had it. */
Test(recovery, keeps_what_a_killed_job_had_though_it_was_not_durable)
{
    run(1, look, WORLD_CLOSE);
    run(2, allocate, WORLD_KILL);
    crash(1, look);
    CHECK(chunks_live == 200, "%llu chunks", (unsigned long long)chunks_live);
    run(1, look, WORLD_CLOSE);
    CHECK(chunks_live == 200, "settled, and not durable");
}

/* ---- Publish ---- */

static void make_root(struct mega__ctx *ctx, int rank, void *arg)
{
    (void)arg;
    if (rank == 0)
        root = ops_root(ctx, "root");
    world_barrier(ctx);
}

/* The record as a crash behind its fence leaves it: from before the publish
 * has any effect (cut), or with a byte that is wrong. */
static struct mega__intent record;

static void on_point(struct medium *of, const char *what, const void *addr,
                     size_t len, void *arg)
{
    struct mega__ctx *ctx = arg;
    const struct mega__intent *in = ctx->homes[0].block->intents;
    (void)of, (void)what, (void)addr, (void)len;
    for (unsigned i = 0; i < MEGA__INTENTS_MAX; i++)
        if (in[i].seq && !record.seq)
            record = in[i];
}

static void publish(struct mega__ctx *ctx, int rank, void *arg)
{
    (void)arg;
    if (rank == 0) {
        OK(mega__hot_reserve(ctx, OPS_DEFAULT, 0, 64, &chunk));
        OK(ops_drain(ctx));
        memset(&record, 0, sizeof record);
        m->on_point_arg = ctx;
        m->on_point = on_point;
        OK(mega__intent_publish(
            ctx, &(mega_publish_item_t){MEGA_PUBLISH_ALLOC, chunk, root}, 1,
            0));
        m->on_point = NULL;
        CHECK(record.seq && record.n == 1, "no record was seen");
    }
    world_barrier(ctx);
}

/* Undoes what was published, but for the record. */
static void leave_record(struct mega__ctx *ctx, int rank, void *arg)
{
    const uint64_t none = 0;
    (void)arg;
    if (rank == 0) {
        struct mega__intent *in = &ctx->homes[0].block->intents[0];
        OK(ops_free(ctx, chunk));
        OK(mega__rma_put_persist(ctx, root, &none, 8));
        OK(ops_drain(ctx));
        *in = record;
        mega__pool_flush(&ctx->flusher, ctx->homes[0].how, in, sizeof *in);
        OK(mega__pool_drain(&ctx->flusher));
    }
    world_barrier(ctx);
}

static void is_published(struct mega__ctx *ctx, int rank, void *arg)
{
    size_t usable;
    mega_gptr_t p;
    look(ctx, rank, arg);
    if (rank == 0) {
        OK(mega__rma_get(ctx, &p, root, 8));
        CHECK(p.v == chunk.v, "the slot says %llx", (unsigned long long)p.v);
        OK(mega__chunk_usable(ctx, chunk, &usable));
    }
    world_barrier(ctx);
}

static void is_not_published(struct mega__ctx *ctx, int rank, void *arg)
{
    size_t usable;
    mega_gptr_t p;
    look(ctx, rank, arg);
    if (rank == 0) {
        OK(mega__rma_get(ctx, &p, root, 8));
        CHECK(mega_is_null(p), "the slot says %llx", (unsigned long long)p.v);
        CHECK(mega__chunk_usable(ctx, chunk, &usable) == MEGA_ERR_NOT_LIVE,
              "the chunk is live");
    }
    world_barrier(ctx);
}

static void published_up_to_its_record(void)
{
    run(2, make_root, WORLD_CLOSE);
    run(2, publish, WORLD_CLOSE);
}

Test(recovery, completes_a_publish_that_was_decided)
{
    published_up_to_its_record();
    crash(2, leave_record);
    crash(2, is_published);
    CHECK(told.intents == 1 && told.refused == 0, "%d, %d refused",
          (int)told.intents, (int)told.refused);
    run(2, is_published, WORLD_CLOSE); /* durably, and once */
    CHECK(told.intents == 0, "completed twice");
}

Test(recovery, drops_a_record_that_is_not_whole)
{
    published_up_to_its_record();
    record.items[0].slot ^= 8;
    crash(2, leave_record);
    crash(2, is_not_published);
    CHECK(told.intents == 0 && told.refused == 0, "%d, %d refused",
          (int)told.intents, (int)told.refused);
}

/* ---- A publish whose medium does not sync ---- */

static uint64_t failing; /* which of its fences */
static size_t size = 64;
static mega_publish_op_t op;
static mega_status_t said;

/* A run is freed after the third. */
static uint64_t fences(void)
{
    return size > MEGA__CLASS_MAX && op == MEGA_PUBLISH_FREE ? 4 : 3;
}

/* Nobody else gets the chunk, whatever was said of it. */
static void allocate_others(struct mega__ctx *ctx)
{
    mega_gptr_t p;
    for (int i = 0; i < 3000; i++) {
        OK(ops_alloc(ctx, OPS_DEFAULT, 0, 64, &p));
        CHECK(p.v != chunk.v, "handed out, although publish said %d", said);
    }
}

static void publish_unsynced(struct mega__ctx *ctx, int rank, void *arg)
{
    (void)arg;
    if (rank == 0) {
        mega_publish_item_t item = {MEGA_PUBLISH_ALLOC, {0}, root};
        OK(mega__hot_reserve(ctx, OPS_DEFAULT, 0, size, &item.chunk));
        chunk = item.chunk;
        if (op == MEGA_PUBLISH_FREE) {
            OK(mega__intent_publish(ctx, &item, 1, 0));
            item.op = op;
        }
        OK(ops_drain(ctx));
        m->fail_drain = m->drop_drain = m->drains + failing;
        said = mega__intent_publish(ctx, &item, 1, 0);
        m->fail_drain = m->drop_drain = MEDIUM_NEVER;
        CHECK(said == (failing < fences() ? MEGA_ERR_PEER : MEGA_OK),
              "fence %llu: it said %d", (unsigned long long)failing, said);
        if (op == MEGA_PUBLISH_ALLOC || said)
            allocate_others(ctx);
    }
    world_barrier(ctx);
}

static void all_or_none(struct mega__ctx *ctx, int rank, void *arg)
{
    size_t usable;
    mega_gptr_t p;
    look(ctx, rank, arg);
    if (rank == 0) {
        OK(mega__rma_get(ctx, &p, root, 8));
        bool live = mega__chunk_usable(ctx, chunk, &usable) == MEGA_OK;
        CHECK(mega_is_null(p) || p.v == chunk.v, "the slot is torn");
        CHECK(live == (p.v == chunk.v), "slot %llx, live %d",
              (unsigned long long)p.v, live);
        CHECK(said || live == (op == MEGA_PUBLISH_ALLOC), "not done");
        OK(ops_drain(ctx));
    }
    world_barrier(ctx);
}

Test(recovery, a_publish_that_is_not_synced_is_all_or_none)
{
    for (int i = 0; i < 4; i++)
        for (failing = 0; failing < 5; failing++) {
            op = i % 2 ? MEGA_PUBLISH_FREE : MEGA_PUBLISH_ALLOC;
            size = i < 2 ? 64 : 300000;
            end();
            begin();
            run(2, make_root, WORLD_CLOSE);
            crash(2, publish_unsynced);
            crash(2, all_or_none);
            run(1, all_or_none, WORLD_CLOSE);
        }
}

/* What it keeps is the next open's: no home has ended cleanly. */
Test(recovery, a_publish_that_is_not_synced_leaves_no_home_clean)
{
    for (failing = 0; failing < 3; failing++) {
        op = MEGA_PUBLISH_FREE;
        run(2, make_root, WORLD_CLOSE);
        run(2, publish_unsynced, WORLD_CLOSE);
        invariants_of_image(m, 0);
        run(2, all_or_none, WORLD_CLOSE);
        CHECK(!told.clean, "fence %llu: clean", (unsigned long long)failing);
        run(2, look, WORLD_CLOSE);
        CHECK(told.clean, "and then it is");
        end();
        begin();
    }
}

/* The medium may say that it lives, so nobody else gets a part of it. */
static void free_unsynced(struct mega__ctx *ctx, int rank, void *arg)
{
    enum { LARGE = 300000 };
    mega_gptr_t p, q;
    (void)arg;
    if (rank == 0) {
        OK(ops_alloc(ctx, OPS_DEFAULT, 0, LARGE, &p));
        OK(ops_drain(ctx));
        m->fail_drain = m->drop_drain = m->drains;
        mega_status_t st = ops_free(ctx, p);
        m->fail_drain = m->drop_drain = MEDIUM_NEVER;
        CHECK(st == MEGA_ERR_IO, "it said %d", st);
        for (int i = 0; i < 10; i++) {
            OK(ops_alloc(ctx, OPS_DEFAULT, 0, 70000, &q));
            CHECK(q.v + 70000 <= p.v || q.v >= p.v + LARGE, "handed out");
            OK(ops_free(ctx, q));
        }
    }
    world_barrier(ctx);
}

Test(recovery, a_free_that_is_not_synced_waits_for_the_next_open)
{
    run(2, look, WORLD_CLOSE);
    run(2, look, WORLD_CLOSE);
    const uint64_t all = bytes_free;
    run(2, free_unsynced, WORLD_CLOSE);
    invariants_of_image(m, 0);
    run(2, look, WORLD_CLOSE);
    CHECK(!told.clean && bytes_free == all, "clean %d, %llu bytes", told.clean,
          (unsigned long long)bytes_free);
}

/* ---- Regions ---- */

static void half_make_a_region(struct mega__ctx *ctx, int rank, void *arg)
{
    uint32_t line, id;
    (void)arg;
    if (rank == 0)
        OK(mega__dir_region_add(mega__home_at(ctx, 0), &ctx->flusher, "half",
                                &line, &id));
    world_barrier(ctx);
}

static void half_end_a_region(struct mega__ctx *ctx, int rank, void *arg)
{
    struct mega_region *r;
    uint32_t line;
    (void)arg;
    OK(mega__region_create(ctx, "half", 200000, &r));
    if (rank == 0) {
        OK(mega__dir_region_find(mega__home_at(ctx, 0), "half", &line));
        OK(mega__dir_region_set(mega__home_at(ctx, 0), &ctx->flusher, line,
                                MEGA__REC_DYING));
    }
    world_barrier(ctx);
}

static void name_is_free(struct mega__ctx *ctx, int rank, void *arg)
{
    struct mega_region *r;
    look(ctx, rank, arg);
    CHECK(mega__region_open(ctx, "half", &r) == MEGA_ERR_NOT_FOUND, "there");
    OK(mega__region_create(ctx, "half", 1000, &r));
    OK(mega__region_destroy(&r));
}

static void ends_what_was_half(world_fn half)
{
    run(2, look, WORLD_CLOSE);
    const uint64_t all = bytes_free;
    crash(2, half);
    run(2, name_is_free, WORLD_CLOSE);
    CHECK(told.regions_ended == 1, "%d ended", (int)told.regions_ended);
    CHECK(bytes_free == all, "%llu bytes were free, now %llu",
          (unsigned long long)all, (unsigned long long)bytes_free);
    run(1, look, WORLD_CLOSE);
    CHECK(told.regions_ended == 0, "ended twice");
}

Test(recovery, ends_a_region_that_was_half_made)
{
    ends_what_was_half(half_make_a_region);
}

Test(recovery, ends_a_region_that_was_half_destroyed)
{
    ends_what_was_half(half_end_a_region);
}
