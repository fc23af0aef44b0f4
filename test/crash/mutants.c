/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * mutants.c - is the harness awake? Each flush and each drain of a piece of
 * work is dropped in turn; an image must tell. What none tells is named in
 * the notes: it is harmless there, or hidden by a later flush of the same
 * line. Dropped drains are the surer half: their lines stay pending.
 */
#include <criterion/criterion.h>

#include "test/lib/ops.h"
#include "test/lib/report.h"
#include "test/lib/scenario.h"
#include "test/lib/steps.h"

static void use_a_root(struct mega__ctx *ctx, int rank, struct scene *s)
{
    (void)rank;
    s->p[0] = ops_root(ctx, "list");
}

static void work(struct mega__ctx *ctx, int rank, struct scene *s)
{
    (void)rank;
    unsigned i = step_take(ctx, s, 0, 100, 1);
    step_keep(ctx, s, i);
    step_link_in(ctx, s, i, s->p[0]);
    step_drop(ctx, s, i);
    step_drain(ctx);
    oracle_set(&s->o, i, FATE_FREE);
    unsigned r = step_take(ctx, s, 0, 2 * MEGA__EXTENT, 0);
    step_keep(ctx, s, r);
    step_drop(ctx, s, r);
    oracle_set(&s->o, r, FATE_FREE);
}

static const struct scenario scenario = {
    .name = "mutants", .nranks = 1, .setup = use_a_root, .act = work};

Test(mutants, most_dropped_flushes_and_drains_are_told, .timeout = 600)
{
    unsigned survivors = scenario_mutate(&scenario);
    report_note("mutants: %u not told", survivors);
    /* Known: two flushes and a drain of a run's claim and persist. */
    cr_assert_leq(survivors, 3, "%u changes go unnoticed", survivors);
    cr_assert_eq(report_failures(), 0, "%s", report_first());
}
