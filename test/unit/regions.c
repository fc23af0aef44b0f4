/* SPDX-License-Identifier: BSD-3-Clause */
/* regions.c - handles of regions, several of one region among them; raw bytes
 * that come and go. */
#include "region.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <string.h>

#include "check.h"
#include "directory.h"
#include "raw.h"
#include "rma.h"
#include "roll.h"
#include "stat.h"
#include "test/lib/ops.h"
#include "test/lib/world.h"

#define EXTENT (UINT64_C(1) << MEGA__EXTENT_SHIFT)

static struct medium *m;

static void begin(void)
{
    m = world_begin();
    world_set("HOME_SIZE", "12M");
    world_set("HOME_MAX", "12M");
}

static void end(void)
{
    world_end(&m);
    report_settle();
}

TestSuite(regions, .init = begin, .fini = end, .timeout = 300);

/* ---- Room at other places ---- */

#define HALF 70 /* extents; of the 160 or so of a home */

/* Home 0 has room at its begin, home 1 at its end. */
static void find_room(struct mega__ctx *ctx, int rank, void *arg)
{
    struct mega_region *r;
    mega_gptr_t half[2], other;
    (void)arg;
    for (int k = 0; k < 2; k++)
        OK(ops_alloc(ctx, OPS_DEFAULT, rank, HALF * EXTENT, &half[k]));
    CHECK(ops_alloc(ctx, OPS_DEFAULT, rank, HALF * EXTENT, &other) ==
              MEGA_ERR_HOME_FULL,
          "a third half");
    OK(ops_free(ctx, half[rank]));
    OK(ops_drain(ctx));
    world_barrier(ctx);
    OK(mega__region_create(ctx, "r", HALF * EXTENT, &r));
    CHECK(mega_offset(mega__region_at(r, 0, 0, NULL)) !=
              mega_offset(mega__region_at(r, 1, 0, NULL)),
          "at one offset");
    OK(mega__region_destroy(&r));
    OK(ops_free(ctx, half[1 - rank]));
}

Test(regions, F14_their_runs_lie_wherever_a_home_has_room)
{
    CHECK(world_do(2, find_room, NULL) == MEGA_OK, "open");
}

/* ---- Two handles ---- */

static const uint64_t value = 0x6d656761;

static void grow_by_two(struct mega__ctx *ctx, int rank, void *arg)
{
    struct mega_region *a, *b;
    uint64_t got = 0;
    (void)arg;
    OK(mega__region_create(ctx, "r", EXTENT, &a));
    OK(mega__region_open(ctx, "r", &b));
    OK(mega__region_grow(a, 10 * EXTENT));
    mega_gptr_t p = mega__region_at(a, 0, 5 * EXTENT, NULL);
    if (rank == 0) {
        OK(mega__rma_put(ctx, p, &value, 8));
        OK(ops_persist(ctx, p, 8));
    }
    OK(mega__region_grow(b, EXTENT));
    CHECK(mega__region_at(b, 0, 5 * EXTENT, NULL).v == p.v, "b: elsewhere");
    CHECK(mega__region_at(a, 0, 5 * EXTENT, NULL).v == p.v, "a: elsewhere");
    mega__region_close(&a);
    CHECK(!mega_is_null(mega__region_at(b, 1, 12 * EXTENT - 1, NULL)), "b");
    world_barrier(ctx);
    OK(mega__rma_get(ctx, &got, p, 8));
    CHECK(got == value, "%llx", (unsigned long long)got);
}

static void read_grown(struct mega__ctx *ctx, int rank, void *arg)
{
    struct mega_region *r;
    uint64_t got = 0;
    (void)rank, (void)arg;
    OK(mega__region_open(ctx, "r", &r));
    mega_gptr_t p = mega__region_at(r, 0, 5 * EXTENT, NULL);
    CHECK(!mega_is_null(p), "what was durable is out of range");
    if (!mega_is_null(p))
        OK(mega__rma_get(ctx, &got, p, 8));
    CHECK(got == value, "%llx", (unsigned long long)got);
    CHECK(!mega_is_null(mega__region_at(r, 1, 12 * EXTENT - 1, NULL)), "end");
    CHECK(mega_is_null(mega__region_at(r, 1, 12 * EXTENT, NULL)), "beyond");
}

Test(regions, all_handles_of_one_see_that_it_has_grown)
{
    cr_assert_eq(world_do(2, grow_by_two, NULL), MEGA_OK);
    cr_assert_eq(world_do(2, read_grown, NULL), MEGA_OK);
}

/* ---- Looked at while it grows ---- */

#define GROWS 100

struct looker {
    struct mega_region *r;
    _Atomic bool done;
};

/* An offset that was there stays where it was; what comes has a place. */
static void *look(void *arg)
{
    struct looker *l = arg;
    mega_gptr_t first = mega__region_at(l->r, 0, 0, NULL);
    uint64_t top = 0, len = 0;
    while (!l->done) {
        mega_gptr_t p = mega__region_at(l->r, 0, 0, NULL);
        CHECK(p.v == first.v, "%llx", (unsigned long long)p.v);
        while (!mega_is_null(mega__region_at(l->r, 1, top, &len)))
            top += len;
        for (uint64_t off = 0; off < top; off += EXTENT / 2)
            CHECK(!mega_is_null(mega__region_at(l->r, 1, off, NULL)), "%llu",
                  (unsigned long long)off);
    }
    return NULL;
}

/* Steps that fill an extent now and then, and some of several. */
static uint64_t step_of(int i)
{
    return i % 10 == 0 ? 2 * EXTENT + 8 : EXTENT / 3;
}

static void grow_and_look(struct mega__ctx *ctx, int rank, void *arg)
{
    struct looker l = {0};
    pthread_t thread;
    uint64_t bytes = EXTENT, sum = 0, len = 0;
    (void)rank, (void)arg;
    OK(mega__region_create(ctx, "r", bytes, &l.r));
    pthread_create(&thread, NULL, look, &l);
    for (int i = 0; i < GROWS; i++) {
        OK(mega__region_grow(l.r, step_of(i)));
        bytes += step_of(i);
    }
    l.done = true;
    pthread_join(thread, NULL);
    for (uint32_t h = 0; h < ctx->nhomes; h++, sum = 0) {
        while (!mega_is_null(mega__region_at(l.r, h, sum, &len)))
            sum += len;
        CHECK(sum == bytes, "home %u: %llu", h, (unsigned long long)sum);
    }
    world_barrier(ctx);
}

Test(regions, may_be_looked_at_while_they_grow)
{
    cr_assert_eq(world_do(2, grow_and_look, NULL), MEGA_OK);
}

/* ---- What cannot fit ---- */

static uint64_t bytes_in_files(void)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < m->nfiles; i++)
        sum += m->files[i]->size;
    return sum;
}

struct ask {
    mega_status_t want;
    const char *told;
    uint64_t most, fits;
};

static void ask_too_much(struct mega__ctx *ctx, int rank, void *arg)
{
    const struct ask *ask = arg;
    struct mega_region *r, *small;
    uint64_t before = bytes_in_files();
    OK(mega__region_create(ctx, "small", EXTENT, &small));
    world_barrier(ctx);
    mega_status_t st = mega__region_create(ctx, "big", ask->most, &r);
    CHECK(st == ask->want, "create: %d", st);
    CHECK(strstr(mega__errmsg_buffer(), ask->told), "%s",
          mega__errmsg_buffer());
    st = mega__region_grow(small, ask->most);
    CHECK(st == ask->want, "grow: %d", st);
    world_barrier(ctx);
    CHECK(rank != 0 || bytes_in_files() == before, "the files grew");
    world_barrier(ctx);
    OK(mega__region_grow(small, ask->fits));
    CHECK(mega__region_open(ctx, "big", &r) == MEGA_ERR_NOT_FOUND, "it is");
}

Test(regions, a_medium_is_not_filled_by_what_it_cannot_hold)
{
    struct ask ask = {MEGA_ERR_MEDIUM_FULL, "medium", 300 << 20, 40 << 20};
    world_set("HOME_MAX", "0");
    m->capacity = UINT64_C(250) << 20;
    cr_assert_eq(world_do(2, ask_too_much, &ask), MEGA_OK);
}

/* Each home alone would have room. */
Test(regions, what_homes_want_of_one_medium_is_summed)
{
    struct ask ask = {MEGA_ERR_MEDIUM_FULL, "medium", 150 << 20, 40 << 20};
    world_set("HOME_MAX", "0");
    m->capacity = UINT64_C(250) << 20;
    cr_assert_eq(world_do(2, ask_too_much, &ask), MEGA_OK);
}

Test(regions, a_home_does_not_grow_for_what_goes_beyond_its_limit)
{
    struct ask ask = {MEGA_ERR_HOME_FULL, "MEGALLOC_HOME_MAX", 100 << 20,
                      30 << 20};
    world_set("HOME_MAX", "64M");
    cr_assert_eq(world_do(2, ask_too_much, &ask), MEGA_OK);
}

/* ---- Undone ---- */

#define NOBODY MEGA__REGION_ID_MAX

static bool not_nobodys(uint32_t region, uint64_t start, void *arg)
{
    (void)start, (void)arg;
    return region != NOBODY;
}

static void grow_without_records(struct mega__ctx *ctx, int rank, void *arg)
{
    struct mega_region *r;
    struct mega__home *home0 = &ctx->homes[0];
    uint64_t held = 0;
    (void)arg;
    OK(mega__region_create(ctx, "r", EXTENT, &r));
    if (rank == 0)
        while (!mega__dir_run_add(home0, &ctx->flusher, NOBODY, 0, 0, 1))
            ;
    world_barrier(ctx);
    mega_status_t st = mega__region_grow(r, 4 * EXTENT);
    CHECK(st == MEGA_ERR_TABLE_FULL, "grow: %d", st);
    CHECK(strstr(mega__errmsg_buffer(), "raw runs"), "%s",
          mega__errmsg_buffer());
    world_barrier(ctx);
    for (uint32_t h = 0; h < ctx->nhomes; h++) {
        OK(mega__stat_region(ctx, mega__home_at(ctx, h), r->id, &held));
        CHECK(held == EXTENT, "home %u: %llu", h, (unsigned long long)held);
    }
    world_barrier(ctx);
    if (rank == 0)
        OK(mega__dir_run_prune(home0, &ctx->flusher, not_nobodys, NULL));
    world_barrier(ctx);
    OK(mega__region_grow(r, 4 * EXTENT));
}

Test(regions, a_run_that_cannot_be_recorded_is_given_back)
{
    cr_assert_eq(world_do(2, grow_without_records, NULL), MEGA_OK);
}

static void give_back_damaged(struct mega__ctx *ctx, int rank, void *arg)
{
    struct mega_region *r;
    struct mega__span *span = mega__span_of(ctx, mega__gptr(0, 0, 0));
    uint32_t e = span->extents;
    (void)rank, (void)arg;
    OK(mega__region_create(ctx, "r", EXTENT, &r));
    OK(mega__raw_reserve(ctx, r->id, EXTENT, 3 * EXTENT));
    const uint64_t good =
        mega__word_run(MEGA__RUN_HEAD, 2, r->id, ctx->epoch14, MEGA__RUN_RAW);
    while (mega__span_word(span, --e) != good)
        ;
    const uint64_t longer = mega__word_run(MEGA__RUN_HEAD, span->extents, r->id,
                                           ctx->epoch14, MEGA__RUN_RAW);
    span->words[e] = longer;
    mega__raw_give_back(ctx, r->id, EXTENT);
    CHECK(mega__span_word(span, e) == longer, "it is freed beyond its span");
    span->words[e] = good;
}

Test(regions, a_run_whose_word_is_damaged_is_not_given_back)
{
    cr_assert_eq(world_do(1, give_back_damaged, NULL), MEGA_OK);
}

/* One cannot be ended; another that ends does not take its record along, by
 * which the next open ends it. */
static void end_two(struct mega__ctx *ctx, int rank, void *arg)
{
    struct mega_region *a, *b;
    mega_gptr_t p;
    (void)rank;
    OK(mega__region_create(ctx, "a", EXTENT, &a));
    OK(mega__region_create(ctx, "b", EXTENT, &b));
    OK(ops_alloc(ctx, a->id, 0, 64, &p));
    OK(ops_persist(ctx, p, 64));
    m->fail_drain = m->drains + *(unsigned *)arg;
    mega_status_t st = mega__region_destroy(&a);
    *(unsigned *)arg = st ? *(unsigned *)arg + 1 : 0;
    m->fail_drain = MEDIUM_NEVER;
    OK(mega__region_destroy(&b));
    ctx->unsettled = true; /* as after a failed msync */
}

static void none_is_there(struct mega__ctx *ctx, int rank, void *arg)
{
    uint64_t bad = 1;
    (void)rank, (void)arg;
    OK(mega__check_home(ctx, mega__home_at(ctx, 0), NULL, NULL, &bad));
    CHECK(bad == 0, "%d violations", (int)bad);
}

Test(regions, one_that_could_not_be_ended_is_ended_by_the_open)
{
    unsigned drain = 0;
    do {
        cr_assert_eq(world_do(1, end_two, &drain), MEGA_OK);
        cr_assert_eq(world_do(1, none_is_there, NULL), MEGA_OK);
        cr_assert(drain < 100, "never");
    } while (drain > 0);
}

/* Its end may be on the medium or not; then so is what it has reserved. */
static void fail_to_grow(struct mega__ctx *ctx, int rank, void *arg)
{
    struct mega_region *r;
    (void)rank;
    OK(mega__region_create(ctx, "r", EXTENT, &r));
    const uint64_t end = m->drains + *(unsigned *)arg;
    m->fail_drain = end;
    mega_status_t st = mega__region_grow(r, 4 * EXTENT);
    m->fail_drain = MEDIUM_NEVER;
    *(unsigned *)arg = m->drains > end ? *(unsigned *)arg + 1 : 0;
    CHECK(!st || r->bytes_per_home == EXTENT, "it has grown, and says %d", st);
}

static void look_at_all(struct mega__ctx *ctx, int rank, void *arg)
{
    struct mega_region *r;
    none_is_there(ctx, rank, arg);
    OK(mega__region_open(ctx, "r", &r));
    for (uint64_t off = 0; off < r->bytes_per_home; off += EXTENT)
        CHECK(!mega_is_null(mega__region_at(r, 0, off, NULL)),
              "%llu of %llu bytes are nowhere", (unsigned long long)off,
              (unsigned long long)r->bytes_per_home);
    OK(mega__region_destroy(&r));
}

static void fail_each_drain(bool power_loss)
{
    struct world w = {.nranks = 1, .fn = fail_to_grow, .end = WORLD_KILL};
    unsigned drain = 0;
    w.arg = &drain;
    do {
        cr_assert_eq(world_run(&w), MEGA_OK);
        if (power_loss)
            medium_power_loss(m);
        cr_assert_eq(world_do(1, look_at_all, NULL), MEGA_OK);
        cr_assert(drain < 100, "never");
    } while (drain > 0);
}

Test(regions, a_grow_that_fails_leaves_no_bytes_without_a_place)
{
    fail_each_drain(false);
    fail_each_drain(true);
}
