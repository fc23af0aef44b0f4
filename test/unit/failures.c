/* SPDX-License-Identifier: BSD-3-Clause */
/* failures.c - a flush that the medium refuses is told, by the call that made
 * it or by the thread's next drain. */
#include <criterion/criterion.h>

#include "log.h"
#include "test/lib/ops.h"
#include "test/lib/world.h"

static struct medium *m;

static void begin(void)
{
    m = world_begin();
}

static void end(void)
{
    world_end(&m);
    report_settle();
}

TestSuite(failures, .init = begin, .fini = end, .timeout = 120);

static bool told; /* of the failure */

static void take(mega_status_t st)
{
    CHECK(st == MEGA_OK || st == MEGA_ERR_IO, "%d %s", st,
          mega__errmsg_buffer());
    told |= st == MEGA_ERR_IO;
}

/* Claims of slabs and a run, and their end. */
static void work(struct mega__ctx *ctx)
{
    static const size_t sizes[] = {64, 4096, 32768, 200000};
    mega_gptr_t p[4][40];
    for (int s = 0; s < 4; s++)
        for (int i = 0; i < (s < 3 ? 40 : 1); i++) {
            p[s][i] = mega_null();
            take(ops_alloc(ctx, OPS_DEFAULT, 0, sizes[s], &p[s][i]));
        }
    for (int s = 0; s < 4; s++)
        for (int i = 0; i < (s < 3 ? 40 : 1); i++)
            if (!mega_is_null(p[s][i]))
                take(ops_free(ctx, p[s][i]));
    take(ops_drain(ctx));
}

static void fail_one(struct mega__ctx *ctx, int rank, void *arg)
{
    unsigned *which = arg;
    (void)rank;
    OK(ops_drain(ctx));
    const uint64_t it = m->drains + *which;
    told = false;
    m->fail_drain = it;
    work(ctx);
    m->fail_drain = MEDIUM_NEVER;
    const bool came = m->drains > it;
    CHECK(told == came, "drain %u of the work: %s", *which,
          came ? "nobody was told" : "told of none");
    *which = came ? *which + 1 : 0;
}

Test(failures, of_each_drain_of_an_allocation_are_told)
{
    struct world w = {.nranks = 1, .fn = fail_one, .end = WORLD_KILL};
    unsigned which = 0, most = 0;
    w.arg = &which;
    world_set("HOME_SIZE", "8M");
    world_set("HOME_MAX", "8M");
    do {
        cr_assert_eq(world_run(&w), MEGA_OK, "%s", w.message);
        most = which > most ? which : most;
        cr_assert(which < 1000, "never");
    } while (which > 0);
    cr_assert(most > 20, "only %u drains", most);
}
