/* SPDX-License-Identifier: BSD-3-Clause */
/* heap.c - small and large chunks, by one thread and by many, against a
 * model: no overlap, contents intact, everything back in the end. */
#include <criterion/criterion.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "hot.h"
#include "intent.h"
#include "log.h"
#include "region.h"
#include "rma.h"
#include "roll.h"
#include "stat.h"
#include "test/lib/invariants.h"
#include "test/lib/ops.h"
#include "test/lib/oracle.h"
#include "test/lib/report.h"
#include "test/lib/scenario_work.h"
#include "test/lib/world.h"

static struct medium *m;
static struct oracle nothing;

static void begin(void)
{
    m = world_begin();
}

static void end(void)
{
    world_end(&m);
    report_settle();
}

TestSuite(heap, .init = begin, .fini = end, .timeout = 300);

/* ---- Random work ---- */

#define KEPT 400 /* by each worker */

struct held {
    mega_gptr_t p;
    size_t size;
    uint64_t tag;
};

struct worker {
    struct mega__ctx *ctx;
    uint64_t seed, steps;
    struct held held[KEPT];
    pthread_t thread;
};

static size_t some_size(uint64_t *seed)
{
    uint64_t r = medium_random(seed) >> 20;
    if (r % 200 == 0)
        return 32769 + r % 200000;
    return r % 8 == 0 ? 1 + r % 8000 : 1 + r % 300;
}

static void give_back(struct worker *w, struct held *h)
{
    size_t look = h->size < 256 ? h->size : 256;
    CHECK(ops_filled(w->ctx, h->p, look, h->tag), "%llx was overwritten",
          (unsigned long long)h->p.v);
    CHECK(ops_free(w->ctx, h->p) == MEGA_OK, "free: %s", mega__errmsg_buffer());
    h->size = 0;
}

static void get_one(struct worker *w, struct held *h, uint64_t tag)
{
    size_t size = some_size(&w->seed);
    int home = (int)((medium_random(&w->seed) >> 30) % w->ctx->nhomes);
    mega_status_t st = ops_alloc(w->ctx, OPS_DEFAULT, home, size, &h->p);
    CHECK(st == MEGA_OK || st == MEGA_ERR_HOME_FULL, "alloc: %d %s", st,
          mega__errmsg_buffer());
    if (st)
        return;
    h->size = size;
    h->tag = tag;
    ops_fill(w->ctx, h->p, size < 256 ? size : 256, tag);
}

static void *work(void *arg)
{
    struct worker *w = arg;
    for (uint64_t i = 0; i < w->steps; i++) {
        struct held *h = &w->held[(medium_random(&w->seed) >> 25) % KEPT];
        if (h->size)
            give_back(w, h);
        else
            get_one(w, h, w->seed ^ i);
    }
    for (unsigned k = 0; k < KEPT; k++)
        if (w->held[k].size)
            give_back(w, &w->held[k]);
    CHECK(ops_drain(w->ctx) == MEGA_OK, "drain");
    return NULL;
}

#define THREADS 2
static uint64_t steps_each;

static void by_threads(struct mega__ctx *ctx, int rank, void *arg)
{
    struct worker *w = calloc(THREADS, sizeof *w);
    (void)arg;
    for (int t = 0; t < THREADS; t++) {
        w[t].ctx = ctx;
        w[t].steps = steps_each;
        w[t].seed = (uint64_t)(rank * THREADS + t) * 7919 + 1;
        pthread_create(&w[t].thread, NULL, work, &w[t]);
    }
    for (int t = 0; t < THREADS; t++)
        pthread_join(w[t].thread, NULL);
    free(w);
    world_barrier(ctx);
}

static void all_is_back(struct mega__ctx *ctx, int rank, void *arg)
{
    (void)arg;
    for (uint32_t h = 0; rank == 0 && h < ctx->nhomes; h++) {
        mega_home_stat_t stat;
        CHECK(mega__stat_home(ctx, mega__home_at(ctx, h), &stat) == MEGA_OK,
              "stat");
        CHECK(stat.live_chunks == 0 && stat.live_bytes == 0,
              "home %u: %llu chunks are left", h,
              (unsigned long long)stat.live_chunks);
        CHECK(stat.free + stat.slabs == stat.size && stat.runs == 0,
              "home %u: bytes are lost", h);
    }
    if (rank == 0) {
        invariants_of_format(ctx);
        scenario_library_check(ctx);
        oracle_exhaust(ctx, &nothing, 1);
        oracle_exhaust(ctx, &nothing, 2);
    }
    world_barrier(ctx);
}

Test(heap, a_million_random_steps_by_ranks_and_threads)
{
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
    steps_each = 25000;
#else
    steps_each = 250000;
#endif
    world_set("HOME_SIZE", "12M");
    world_set("HOME_MAX", "12M");
    cr_assert_eq(world_do(2, by_threads, NULL), MEGA_OK);
    cr_assert_eq(world_do(1, all_is_back, NULL), MEGA_OK);
}

/* ---- Single behaviours ---- */

static void free_twice(struct mega__ctx *ctx, int rank, void *arg)
{
    mega_gptr_t p, large;
    (void)rank, (void)arg;
    CHECK(ops_alloc(ctx, OPS_DEFAULT, 0, 64, &p) == MEGA_OK, "alloc");
    CHECK(ops_alloc(ctx, OPS_DEFAULT, 0, 100000, &large) == MEGA_OK, "alloc");
    CHECK(ops_free(ctx, mega_add(p, 32)) == MEGA_ERR_NOT_LIVE, "interior");
    CHECK(ops_free(ctx, mega_add(large, 65536)) == MEGA_ERR_NOT_LIVE, "tail");
    CHECK(ops_free(ctx, p) == MEGA_OK, "free");
    CHECK(ops_free(ctx, p) == MEGA_ERR_NOT_LIVE, "twice");
    CHECK(ops_free(ctx, large) == MEGA_OK, "free");
    CHECK(ops_free(ctx, large) == MEGA_ERR_NOT_LIVE, "twice");
    CHECK(ops_free(ctx, mega__gptr(0, 0, 64)) == MEGA_ERR_NOT_LIVE ||
              ops_free(ctx, mega__gptr(0, 0, 64)) == MEGA_ERR_ARG,
          "metadata");
    CHECK(ops_free(ctx, mega__gptr(77, 0, 64)) != MEGA_OK, "no such home");
}

Test(heap, what_is_not_a_live_chunk_is_not_freed)
{
    cr_assert_eq(world_do(1, free_twice, NULL), MEGA_OK);
}

static mega_gptr_t given[100];
static void freed_by_another(struct mega__ctx *ctx, int rank, void *arg)
{
    struct oracle_live *live;
    (void)arg;
    for (int k = 0; rank == 0 && k < 100; k++)
        CHECK(ops_alloc(ctx, OPS_DEFAULT, 0, 600, &given[k]) == MEGA_OK,
              "alloc");
    world_barrier(ctx);
    for (int k = 0; rank == 1 && k < 100; k++)
        CHECK(ops_free(ctx, given[k]) == MEGA_OK, "free");
    world_barrier(ctx);
    if (rank == 0) {
        CHECK(oracle_walk(ctx, &live) == 0, "chunks are left");
        free(live);
        oracle_exhaust(ctx, &nothing, 1);
    }
    world_barrier(ctx);
}

Test(heap, memory_that_another_rank_freed_comes_back)
{
    cr_assert_eq(world_do(2, freed_by_another, NULL), MEGA_OK);
}

/* What was freed last is handed out first; a sweep finds it as well. */
static void sweep_between(struct mega__ctx *ctx, int rank, void *arg)
{
    enum { N = 40 };
    mega_gptr_t p[N];
    (void)rank, (void)arg;
    for (int k = 0; k < N; k++)
        OK(mega__hot_alloc(ctx, OPS_DEFAULT, 0, 64, &p[k]));
    for (int k = N / 2; k < N; k++)
        OK(mega__hot_free(ctx, p[k]));
    mega__arena_trim(mega__arena(ctx), mega__home_at(ctx, 0));
    for (int k = N / 2; k < N; k++) {
        OK(mega__hot_alloc(ctx, OPS_DEFAULT, 0, 64, &p[k]));
        for (int i = 0; i < k; i++)
            CHECK(p[i].v != p[k].v, "%#llx twice", (unsigned long long)p[k].v);
    }
}

Test(heap, what_was_freed_last_is_handed_out_once)
{
    cr_assert_eq(world_do(1, sweep_between, NULL), MEGA_OK);
}

static void fill_up(struct mega__ctx *ctx, int rank, void *arg)
{
    mega_gptr_t p;
    (void)rank, (void)arg;
    mega_status_t st = ops_alloc(ctx, OPS_DEFAULT, 0, 10 << 20, &p);
    CHECK(st == MEGA_ERR_HOME_FULL || st == MEGA_ERR_MEDIUM_FULL, "%d", st);
    CHECK(strstr(mega__errmsg_buffer(), "home 0"), "%s", mega__errmsg_buffer());
    oracle_exhaust(ctx, &nothing, 1);
}

Test(heap, a_full_home_says_so_and_goes_on)
{
    cr_assert_eq(world_do(1, fill_up, NULL), MEGA_OK);
}

Test(heap, a_full_medium_says_so_and_goes_on)
{
    world_set("HOME_MAX", "0");
    m->capacity = UINT64_C(4) << 20;
    cr_assert_eq(world_do(1, fill_up, NULL), MEGA_OK);
}

/* ---- A span that cannot be mapped ---- */

/* Rank 0 fills home 0, which it serves, beyond its first span. */
static mega_gptr_t fill_a_span(struct mega__ctx *ctx, size_t size)
{
    mega_gptr_t p;
    do
        OK(ops_alloc(ctx, OPS_DEFAULT, 0, size, &p));
    while (mega__gptr_span(p) == 0 && report_failures() == 0);
    return p;
}

static void expect_io(const char *what, mega_status_t st)
{
    CHECK(st == MEGA_ERR_IO && strstr(mega__errmsg_buffer(), "too many"),
          "%s: %d %s", what, st, mega__errmsg_buffer());
}

static void use_unmapped(struct mega__ctx *ctx, int rank, void *arg)
{
    static mega_gptr_t there;
    const uint64_t word = 7;
    mega_gptr_t p;
    size_t size;
    (void)arg;
    if (rank == 0)
        there = fill_a_span(ctx, 70000);
    world_barrier(ctx);
    if (rank == 1) {
        m->fail_map = true;
        const size_t files = m->nfiles;
        mega_status_t st = MEGA_OK;
        while (!st) /* what is left in span 0 */
            st = ops_alloc(ctx, OPS_DEFAULT, 0, 32768, &p);
        expect_io("small", st);
        expect_io("large", ops_alloc(ctx, OPS_DEFAULT, 0, 70000, &p));
        expect_io("put", mega__rma_put(ctx, there, &word, 8));
        expect_io("persist", ops_persist(ctx, there, 8));
        expect_io("free", ops_free(ctx, there));
        expect_io("usable", mega__chunk_usable(ctx, there, &size));
        m->fail_map = false;
        OK(ops_alloc(ctx, OPS_DEFAULT, 0, 32768, &p));
        OK(mega__rma_put(ctx, there, &word, 8));
        OK(ops_free(ctx, there));
        CHECK(m->nfiles == files, "the home has grown");
    }
    world_barrier(ctx);
}

Test(heap, a_span_that_cannot_be_mapped_is_not_taken_for_a_full_home)
{
    world_set("HOME_MAX", "0");
    m->capacity = UINT64_C(100) << 20;
    cr_assert_eq(world_do(2, use_unmapped, NULL), MEGA_OK);
    world_set("HOME_MAX", "3M");
}

static void take_one(struct mega__ctx *ctx, int rank, void *arg)
{
    mega_gptr_t p;
    (void)rank, (void)arg;
    CHECK(ops_alloc(ctx, OPS_DEFAULT, 0, 64, &p) == MEGA_OK, "alloc");
    CHECK(ops_persist(ctx, p, 64) == MEGA_OK, "persist");
}

/* The slots of a group are looked up together: not beyond the chunk. */
static void link_beside(struct mega__ctx *ctx, int rank, void *arg)
{
    mega_publish_item_t items[3];
    mega_gptr_t first, next, held;
    uint64_t zero[8] = {0}, now;
    (void)rank, (void)arg;
    CHECK(ops_alloc(ctx, OPS_DEFAULT, 0, 64, &first) == MEGA_OK, "alloc");
    CHECK(ops_alloc(ctx, OPS_DEFAULT, 0, 64, &next) == MEGA_OK, "alloc");
    CHECK(next.v == first.v + 64, "not neighbours");
    CHECK(mega__rma_put(ctx, first, zero, 64) == MEGA_OK, "put");
    for (int i = 0; i < 3; i++) {
        items[i].op = MEGA_PUBLISH_ALLOC;
        items[i].slot = mega_add(first, 48 + 8 * i);
        CHECK(mega__hot_reserve(ctx, OPS_DEFAULT, 0, 64, &items[i].chunk) ==
                  MEGA_OK,
              "reserve");
    }
    CHECK(ops_free(ctx, next) == MEGA_OK, "free");
    CHECK(mega__intent_publish(ctx, items, 3, 0) == MEGA_ERR_ARG,
          "a slot in a free chunk");
    items[1].slot = mega_add(first, 49);
    CHECK(mega__intent_publish(ctx, items, 2, 0) == MEGA_ERR_ARG, "crooked");
    items[1].slot = items[0].slot;
    CHECK(mega__intent_publish(ctx, items, 2, 0) == MEGA_ERR_ARG, "twice");
    items[1].slot = mega_add(first, 56);
    CHECK(mega__intent_publish(ctx, items, 2, 0) == MEGA_OK, "%s",
          mega__errmsg_buffer());
    held = mega_add(first, 56);
    CHECK(mega__rma_get(ctx, &now, held, 8) == MEGA_OK &&
              now == items[1].chunk.v,
          "the second link");
}

Test(heap, a_slot_beside_another_is_checked_too)
{
    cr_assert_eq(world_do(1, link_beside, NULL), MEGA_OK);
}

/* Whatever stands between, and in whatever order. */
static void name_twice(struct mega__ctx *ctx, int rank, void *arg)
{
    mega_publish_item_t items[3];
    mega_gptr_t slot[3], first;
    uint64_t zero[8] = {0};
    (void)rank, (void)arg;
    CHECK(ops_alloc(ctx, OPS_DEFAULT, 0, 64, &first) == MEGA_OK, "alloc");
    CHECK(mega__rma_put(ctx, first, zero, 64) == MEGA_OK, "put");
    for (int i = 0; i < 3; i++) {
        items[i].op = MEGA_PUBLISH_ALLOC;
        items[i].slot = slot[i] = mega_add(first, 8 * i);
        CHECK(mega__hot_reserve(ctx, OPS_DEFAULT, 0, 64, &items[i].chunk) ==
                  MEGA_OK,
              "reserve");
    }
    const mega_gptr_t other[3] = {items[0].chunk, items[1].chunk,
                                  items[2].chunk};
    items[2].slot = slot[0];
    CHECK(mega__intent_publish(ctx, items, 3, 0) == MEGA_ERR_ARG, "a slot");
    items[2].slot = slot[2];
    items[2].chunk = other[0];
    CHECK(mega__intent_publish(ctx, items, 3, 0) == MEGA_ERR_ARG, "a chunk");
    items[2].chunk = other[1];
    CHECK(mega__intent_publish(ctx, items, 3, 0) == MEGA_ERR_ARG, "the last");
    items[0].slot = slot[2];
    items[2].slot = slot[0];
    items[2].chunk = other[2];
    CHECK(mega__intent_publish(ctx, items, 3, 0) == MEGA_OK, "%s",
          mega__errmsg_buffer());
}

Test(heap, nothing_is_named_twice_in_a_group)
{
    cr_assert_eq(world_do(1, name_twice, NULL), MEGA_OK);
}

/* ---- Regions that end while another thread is at work elsewhere ---- */

enum { ENDS = 5000, CHURNED = 64 };

struct elsewhere {
    struct mega__ctx *ctx;
    struct mega_region *r;
    pthread_barrier_t turn; /* the region was made; it is used no more */
    _Atomic int ended;
};

/* Two chunks a slab, more than a bin keeps: slabs come and go. */
static void churn(struct mega__ctx *ctx, struct held *held, uint64_t *seed)
{
    for (int i = 0; i < CHURNED; i++) {
        held[i].tag = medium_random(seed);
        OK(ops_alloc(ctx, OPS_DEFAULT, 0, 32768, &held[i].p));
        ops_fill(ctx, held[i].p, 64, held[i].tag);
    }
    for (int i = 0; i < CHURNED; i++) {
        CHECK(ops_filled(ctx, held[i].p, 64, held[i].tag), "overwritten");
        OK(ops_free(ctx, held[i].p));
    }
}

/* Slabs of two classes, as many as their bins keep. */
static void use(struct mega__ctx *ctx, const struct mega_region *r)
{
    mega_gptr_t p;
    for (size_t size = 32768; size >= 16384; size /= 2)
        for (size_t i = 0; i < (1 << 19) / size; i++)
            OK(ops_alloc(ctx, r->id, 0, size, &p));
}

static void *work_elsewhere(void *arg)
{
    struct elsewhere *e = arg;
    struct held held[CHURNED];
    uint64_t seed = 4711;
    for (int i = 0; i < ENDS; i++) {
        pthread_barrier_wait(&e->turn);
        use(e->ctx, e->r);
        pthread_barrier_wait(&e->turn);
        do
            churn(e->ctx, held, &seed);
        while (e->ended == i);
    }
    return NULL;
}

static void end_regions(struct mega__ctx *ctx, int rank, void *arg)
{
    static struct elsewhere e;
    pthread_t thread;
    (void)rank, (void)arg;
    e.ctx = ctx;
    pthread_barrier_init(&e.turn, NULL, 2);
    pthread_create(&thread, NULL, work_elsewhere, &e);
    for (int i = 0; i < ENDS; i++) {
        OK(mega__region_create(ctx, "short", 0, &e.r));
        pthread_barrier_wait(&e.turn);
        pthread_barrier_wait(&e.turn);
        OK(mega__region_destroy(&e.r));
        e.ended = i + 1;
    }
    pthread_join(thread, NULL);
    pthread_barrier_destroy(&e.turn);
}

Test(heap, a_region_ends_while_another_thread_works_elsewhere)
{
    m->how = MEGA__HOW_NONE;
    world_set("HOME_SIZE", "24M");
    world_set("HOME_MAX", "24M");
    cr_assert_eq(world_do(1, end_regions, NULL), MEGA_OK);
    cr_assert_eq(world_do(1, all_is_back, NULL), MEGA_OK);
}

/* More opens than an epoch of a word has values for would take long: the
 * epoch is set forward instead. */
Test(heap, an_epoch_that_wraps_voids_owners_all_the_same)
{
    struct world w = {.nranks = 1, .fn = take_one, .end = WORLD_KILL};
    cr_assert_eq(world_run(&w), MEGA_OK, "%s", w.message);
    struct medium_file *f = world_file(m, 0, 0);
    uint64_t *epoch =
        (uint64_t *)(void *)(f->cpu + MEDIUM_DATA + MEGA__HOME_BLOCK_OFF + 8);
    *epoch = mega__seal(MEGA__EPOCH14_MAX - 2);
    for (int k = 0; k < 5; k++)
        cr_assert_eq(world_run(&w), MEGA_OK, "%s", w.message);
    cr_assert_eq(world_do(1, take_one, NULL), MEGA_OK);
}

/* Key 0 is another library's. */
Test(heap, without_a_key_for_threads_nothing_opens)
{
    pthread_key_t keys[PTHREAD_KEYS_MAX];
    int n = 0;
    while (n < PTHREAD_KEYS_MAX && !pthread_key_create(&keys[n], NULL))
        n++;
    mega_status_t st = world_do(1, NULL, NULL);
    while (n > 0)
        pthread_key_delete(keys[--n]);
    CHECK(st == MEGA_ERR_NOMEM, "it says %d", st);
}
