/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * mutants.c - is the harness awake? Each flush and each drain of some work is
 * dropped in turn, and an image must tell; the notes are the table of what
 * told. What may be dropped without harm stands in a list here, with the
 * reason, and in the code at its place. Work is chosen so that no later flush
 * of the same line hides an earlier one.
 */
#include "test/crash/mutants.h"
#include "log.h"
#include "test/lib/ops.h"
#include "test/lib/steps.h"
#include "test/lib/world.h"

/* ---- Chunks and runs ---- */

static void use_a_root(struct mega__ctx *ctx, int rank, struct scene *s)
{
    if (rank == 0)
        s->p[0] = ops_root(ctx, "list");
}

static void chunks(struct mega__ctx *ctx, int rank, struct scene *s)
{
    (void)rank;
    unsigned i = step_take(ctx, s, 0, 100, 1);
    step_keep(ctx, s, i);
    step_link_in(ctx, s, i, s->p[0]);
    step_drop(ctx, s, i);
    step_drain(ctx);
    oracle_set(&s->o, i, FATE_FREE);
    /* nine extents: their words lie in two lines */
    unsigned r = step_take(ctx, s, 0, 9 * EXTENT, 2);
    step_keep(ctx, s, r);
    step_drop(ctx, s, r);
    oracle_set(&s->o, r, FATE_FREE);
}

Test(mutants, chunks_and_runs, .timeout = 7200)
{
    static const struct scenario sc = {.name = "chunks and runs",
                                       .nranks = 1,
                                       .home_size = "4M",
                                       .home_max = "4M",
                                       .setup = use_a_root,
                                       .act = chunks};
    static const struct scenario_excuse excuses[] = {
        {"drain", "extent word", "the same of a slab's word", 1 + 1},
        {"drain", "extent word",
         "the head of a run waits for its first persist, if that is by the "
         "thread itself; \"given away\" is by another",
         7 + 1},
        {NULL, NULL, NULL, 0}};
    mutate(&sc, excuses);
}

/* ---- Made by one rank, persisted by the other (L2) ---- */

static void give_away(struct mega__ctx *ctx, int rank, struct scene *s)
{
    for (unsigned k = 0; k < 2; k++) {
        if (rank == 0)
            step_take(ctx, s, 0, k ? 9 * EXTENT : 2000, 10 + k);
        world_barrier(ctx);
        if (rank == 1)
            step_keep(ctx, s, k);
        world_barrier(ctx);
    }
}

Test(mutants, made_by_one_and_persisted_by_another, .timeout = 7200)
{
    static const struct scenario sc = {.name = "given away",
                                       .nranks = 2,
                                       .home_size = "4M",
                                       .home_max = "4M",
                                       .act = give_away};
    mutate(&sc, NULL);
}
