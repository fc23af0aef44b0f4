/* SPDX-License-Identifier: BSD-3-Clause */
/* reservations.c - many reserved chunks at once, of one thread: each slab that
 * has one stays, and allocation goes on. */
#include <criterion/criterion.h>
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
