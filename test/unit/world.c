/* SPDX-License-Identifier: BSD-3-Clause */
/* world.c - several ranks in one process open, use, close and reopen a space
 * on the medium that loses power. */
#include "test/lib/world.h"

#include <criterion/criterion.h>

#include "log.h"
#include "test/lib/ops.h"
#include "test/lib/oracle.h"
#include "test/lib/report.h"

static struct medium *m;
static struct oracle oracle;

static void begin(void)
{
    m = world_begin();
}

static void end(void)
{
    world_end(&m);
    report_settle();
}

TestSuite(world, .init = begin, .fini = end);

static void one_each(struct mega__ctx *ctx, int rank, void *arg)
{
    struct oracle *o = arg;
    mega_gptr_t p;
    mega_status_t st = ops_alloc(ctx, OPS_DEFAULT, rank, 100, &p);
    CHECK(st == MEGA_OK, "rank %d: %s", rank, mega__errmsg_buffer());
    if (st)
        return;
    ops_fill(ctx, p, 100, (uint64_t)rank + 1);
    unsigned i = oracle_add(o, p, 100, (uint64_t)rank + 1);
    CHECK(ops_persist(ctx, p, 100) == MEGA_OK, "persist");
    oracle_set(o, i, FATE_LIVE);
}

static void look(struct mega__ctx *ctx, int rank, void *arg)
{
    if (rank == 0) {
        oracle_verify(ctx, arg);
        oracle_exhaust(ctx, arg, 1);
    }
    world_barrier(ctx);
}

Test(world, chunks_are_found_again_by_any_number_of_ranks)
{
    cr_assert_eq(world_do(3, one_each, &oracle), MEGA_OK);
    for (int ranks = 1; ranks <= 5; ranks++)
        cr_assert_eq(world_do(ranks, look, &oracle), MEGA_OK);
}

Test(world, persisted_chunks_survive_a_power_loss)
{
    struct world w = {
        .nranks = 2, .fn = one_each, .arg = &oracle, .end = WORLD_KILL};
    cr_assert_eq(world_run(&w), MEGA_OK, "%s", w.message);
    medium_power_loss(m);
    cr_assert_eq(world_do(2, look, &oracle), MEGA_OK);
}
