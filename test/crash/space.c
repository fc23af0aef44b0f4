/* SPDX-License-Identifier: BSD-3-Clause */
/* space.c - the space itself made, opened, grown and closed, crashed at every
 * step. */
#include <criterion/criterion.h>

#include "log.h"
#include "test/lib/ops.h"
#include "test/lib/report.h"
#include "test/lib/scenario.h"
#include "test/lib/steps.h"
#include "test/lib/world.h"

static void some_chunks(struct mega__ctx *ctx, int rank, struct scene *s)
{
    if (rank == 0)
        for (unsigned k = 0; k < 3; k++)
            step_keep(ctx, s,
                      step_take(ctx, s, (int)(k % ctx->nhomes), 64 + 1000 * k,
                                10 + k));
    world_barrier(ctx);
}

/* All but a little of the home. */
static void fill(struct mega__ctx *ctx, int rank, struct scene *s)
{
    (void)rank;
    for (unsigned k = 0; k < 6; k++)
        step_keep(ctx, s, step_take(ctx, s, 0, MEGA__EXTENT, 0));
}

/* Growth is the agent's: the medium must not be locked meanwhile. */
static void grow(struct mega__ctx *ctx, int rank, struct scene *s)
{
    (void)rank;
    for (unsigned k = 0; k < 9 && ctx->homes[0].npools < 2; k++) {
        mega_gptr_t p;
        mega_status_t st = ops_alloc(ctx, OPS_DEFAULT, 0, 3 * MEGA__EXTENT, &p);
        CHECK(st == MEGA_OK, "alloc: %s", mega__errmsg_buffer());
        if (st)
            return;
        step_keep(ctx, s, oracle_add(&s->o, p, 3 * MEGA__EXTENT, 0));
    }
    CHECK(ctx->homes[0].npools == 2, "the home has not grown");
}

SCENARIO_TEST(crash, F19_creation, .nranks = 2, .film = FILM_FIRST,
              .act = some_chunks)
SCENARIO_TEST(crash, F19_open_after_a_clean_end, .nranks = 2,
              .setup = some_chunks, .film = FILM_JOB)
SCENARIO_TEST(crash, open_after_a_kill, .nranks = 2, .setup = some_chunks,
              .film = FILM_JOB, .unclean = true)
SCENARIO_TEST(crash, F18_growth, .nranks = 1, .setup = fill, .act = grow,
              .home_max = "14M")
