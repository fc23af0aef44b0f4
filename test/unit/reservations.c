/* SPDX-License-Identifier: BSD-3-Clause */
/* reservations.c - many reserved chunks at once, of one thread: each slab that
 * has one stays, and allocation goes on. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <string.h>

#include "chunk.h"
#include "hot.h"
#include "intent.h"
#include "rma.h"
#include "test/lib/ops.h"
#include "test/lib/oracle.h"
#include "test/lib/world.h"

static struct medium *m;
static struct oracle nothing;

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

TestSuite(reservations, .init = begin, .fini = end, .timeout = 120);

static mega_gptr_t reserve(struct mega__ctx *ctx, int home, size_t size)
{
    mega_gptr_t p = mega_null();
    OK(mega__hot_reserve(ctx, OPS_DEFAULT, home, size, &p));
    return p;
}

/* As many as a publish can take, of each size. */
static void publish_all(struct mega__ctx *ctx, int home)
{
    const uint64_t zero[MEGA_PUBLISH_MAX] = {0};
    mega_publish_item_t items[MEGA_PUBLISH_MAX];
    mega_gptr_t slots;
    OK(ops_alloc(ctx, OPS_DEFAULT, home, sizeof zero, &slots));
    for (size_t size = 64; size <= MEGA__CLASS_MAX; size *= 2) {
        OK(mega__rma_put(ctx, slots, zero, sizeof zero));
        for (int i = 0; i < MEGA_PUBLISH_MAX; i++)
            items[i] = (mega_publish_item_t){.op = MEGA_PUBLISH_ALLOC,
                                             .chunk = reserve(ctx, home, size),
                                             .slot = mega_add(slots, 8 * i)};
        OK(mega__intent_publish(ctx, items, MEGA_PUBLISH_MAX, 0));
        for (int i = 0; i < MEGA_PUBLISH_MAX; i++)
            OK(ops_free(ctx, items[i].chunk));
    }
    OK(ops_free(ctx, slots));
}

static void publish_near(struct mega__ctx *ctx, int rank, void *arg)
{
    (void)rank, (void)arg;
    publish_all(ctx, 0);
    oracle_exhaust(ctx, &nothing, 1);
}

Test(reservations, a_publish_of_the_most_items_may_be_of_any_class)
{
    cr_assert_eq(world_do(1, publish_near, NULL), MEGA_OK);
}

static void publish_far(struct mega__ctx *ctx, int rank, void *arg)
{
    (void)arg;
    if (rank == 1)
        publish_all(ctx, 0);
    world_barrier(ctx);
}

Test(reservations, so_may_one_on_a_home_of_another_host)
{
    world_on_hosts(m, 2, publish_far, WORLD_CLOSE);
}

/* Slabs of two chunks: one of each is reserved, the other comes and goes. */
static void go_on(struct mega__ctx *ctx, int rank, void *arg)
{
    enum { N = 40 };
    mega_gptr_t held[N], other[N], p;
    (void)rank, (void)arg;
    for (int i = 0; i < N; i++) {
        held[i] = reserve(ctx, 0, 32768);
        OK(ops_alloc(ctx, OPS_DEFAULT, 0, 32768, &other[i]));
    }
    for (int i = 0; i < N; i++)
        OK(ops_free(ctx, other[i]));
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < N; i++)
            OK(ops_alloc(ctx, OPS_DEFAULT, 0, 32768, &other[i]));
        for (int i = 0; i < N; i++)
            OK(ops_free(ctx, other[i]));
    }
    for (int i = 0; i < N; i++)
        for (int k = 0; k < N; k++)
            CHECK(held[i].v != other[k].v, "handed out although reserved");
    for (int i = 0; i < N; i++)
        OK(mega__chunk_cancel(ctx, held[i]));
    for (int i = 0; i < N; i++)
        OK(ops_alloc(ctx, OPS_DEFAULT, 0, 32768, &other[i]));
    for (int i = 0; i < N; i++)
        OK(ops_free(ctx, other[i]));
    OK(ops_alloc(ctx, OPS_DEFAULT, 0, 9 << 20, &p)); /* nothing is kept */
    OK(ops_free(ctx, p));
    oracle_exhaust(ctx, &nothing, 1);
}

Test(reservations, allocation_goes_on_beside_them)
{
    cr_assert_eq(world_do(1, go_on, NULL), MEGA_OK);
}

/* All there is, also what others free in slabs that are kept for one chunk. */
static void use_up(struct mega__ctx *ctx, int rank, void *arg)
{
    enum { MOST = 1000 };
    static mega_gptr_t live[MOST];
    static int n;
    mega_gptr_t p;
    (void)arg;
    mega_status_t st = MEGA_OK;
    if (rank == 0)
        n = 0;
    for (; rank == 0 && n < MOST && !st; n++) {
        st = mega__hot_reserve(ctx, OPS_DEFAULT, 0, 32768, &p);
        if (!st)
            st = ops_alloc(ctx, OPS_DEFAULT, 0, 32768, &live[n]);
    }
    CHECK(rank != 0 || st == MEGA_ERR_HOME_FULL, "%d %s", st,
          mega__errmsg_buffer());
    world_barrier(ctx);
    for (int i = 0; rank == 1 && i < n - 1; i++)
        OK(ops_free(ctx, live[i]));
    world_barrier(ctx);
    for (int i = 0; rank == 0 && i < n - 1; i++)
        OK(ops_alloc(ctx, OPS_DEFAULT, 0, 32768, &live[i]));
    world_barrier(ctx);
}

Test(reservations, what_is_freed_beside_them_is_found_when_the_home_is_full)
{
    cr_assert_eq(world_do(2, use_up, NULL), MEGA_OK);
}

/* ---- Of a thread that has ended ---- */

enum { HELD = 100 };
static mega_gptr_t held[HELD];

static void *reserve_and_end(void *ctx)
{
    for (int i = 0; i < HELD; i++)
        held[i] = reserve(ctx, 0, 32768);
    return NULL;
}

static void take_over(struct mega__ctx *ctx, int rank, void *arg)
{
    pthread_t thread;
    mega_gptr_t p, q;
    (void)rank, (void)arg;
    pthread_create(&thread, NULL, reserve_and_end, ctx);
    pthread_join(thread, NULL);
    for (int i = 0; i < HELD; i++)
        OK(mega__chunk_cancel(ctx, held[i]));
    OK(ops_alloc(ctx, OPS_DEFAULT, 0, 9 << 20, &p));
    while (ops_alloc(ctx, OPS_DEFAULT, 0, 32768, &q) == MEGA_OK)
        ;
    OK(ops_free(ctx, p));
    OK(ops_alloc(ctx, OPS_DEFAULT, 0, 32768, &q));
}

Test(reservations, are_given_back_though_their_thread_has_ended)
{
    cr_assert_eq(world_do(1, take_over, NULL), MEGA_OK);
}

/* ---- Of chunks that a publish has freed ---- */

enum { FREED = 12 };
static mega_gptr_t beside; /* them, in their slab: live */

static void publish(struct mega__ctx *ctx, mega_publish_op_t op,
                    mega_gptr_t slots, mega_gptr_t p[FREED])
{
    mega_publish_item_t items[FREED];
    for (int i = 0; i < FREED; i++)
        items[i] = (mega_publish_item_t){op, p[i], mega_add(slots, 8 * i)};
    OK(mega__intent_publish(ctx, items, FREED, 0));
}

static mega_gptr_t null_slots(struct mega__ctx *ctx, int home)
{
    const uint64_t zero[FREED] = {0};
    mega_gptr_t slots = mega_null();
    OK(ops_alloc(ctx, OPS_DEFAULT, home, sizeof zero, &slots));
    OK(mega__rma_put(ctx, slots, zero, sizeof zero));
    return slots;
}

/* Their marks are DEAD on the medium, and FREE only for who looks now. */
static void free_by_publish(struct mega__ctx *ctx, int rank, void *arg)
{
    mega_gptr_t p[FREED];
    (void)rank, (void)arg;
    mega_gptr_t slots = null_slots(ctx, 0);
    OK(ops_alloc(ctx, OPS_DEFAULT, 0, 4096, &beside));
    OK(ops_persist(ctx, beside, 1));
    for (int i = 0; i < FREED; i++)
        p[i] = reserve(ctx, 0, 4096);
    publish(ctx, MEGA_PUBLISH_ALLOC, slots, p);
    publish(ctx, MEGA_PUBLISH_FREE, slots, p);
}

static void crash_after_frees(void)
{
    struct world w = {.nranks = 1, .fn = free_by_publish, .end = WORLD_KILL};
    cr_assert_eq(world_run(&w), MEGA_OK, "%s", w.message);
    medium_power_loss(m);
}

static void reserve_again(struct mega__ctx *ctx, int home)
{
    mega_gptr_t p[FREED], slots = null_slots(ctx, home);
    while (ops_alloc(ctx, OPS_DEFAULT, home, 1 << 16, &p[0]) == MEGA_OK)
        ; /* no extent is FREE: what is reserved lies beside */
    for (int i = 0; i < FREED; i++)
        p[i] = reserve(ctx, home, 4096);
    for (int i = 0; i < FREED; i++)
        OK(mega__chunk_cancel(ctx, p[i]));
    for (int i = 0; i < FREED; i++)
        p[i] = reserve(ctx, home, 4096);
    publish(ctx, MEGA_PUBLISH_ALLOC, slots, p);
    publish(ctx, MEGA_PUBLISH_FREE, slots, p);
    CHECK((p[0].v ^ beside.v) >> MEGA__EXTENT_SHIFT == 0, "of another slab");
}

static void reserve_near(struct mega__ctx *ctx, int rank, void *arg)
{
    (void)rank, (void)arg;
    reserve_again(ctx, 0);
}

Test(reservations, may_be_of_what_a_publish_freed_before_a_crash)
{
    crash_after_frees();
    cr_assert_eq(world_do(1, reserve_near, NULL), MEGA_OK);
}

static void reserve_far(struct mega__ctx *ctx, int rank, void *arg)
{
    (void)arg;
    if (rank == 1)
        reserve_again(ctx, 0);
    world_barrier(ctx);
}

Test(reservations, may_be_so_on_a_home_of_another_host)
{
    crash_after_frees();
    world_on_hosts(m, 2, reserve_far, WORLD_CLOSE);
}
