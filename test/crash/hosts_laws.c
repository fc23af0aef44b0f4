/* SPDX-License-Identifier: BSD-3-Clause */
/* hosts_laws.c - what a law of megalloc.h says of chunks on homes of other
 * hosts, crashed as in hosts.c. Rank r serves home r. */
#include <criterion/criterion.h>

#include "log.h"
#include "rma.h"
#include "space.h"
#include "test/lib/ops.h"
#include "test/lib/report.h"
#include "test/lib/scenario.h"
#include "test/lib/steps.h"
#include "test/lib/world.h"

#define FAR 1 /* the home of rank 1 */

static const int host_of[] = {0, 1};

/* ---- Laws L2 and L3 ---- */

/* Made on this home, quiet, persisted by the other rank in two parts. */
static void persist_what_another_made(struct mega__ctx *ctx, int rank,
                                      struct scene *s, int home)
{
    static unsigned number[2];
    const uint64_t tag = 400 + (uint64_t)rank;
    number[rank] = step_take(ctx, s, home, 200, tag);
    OK(mega__rma_quiet(ctx));
    world_barrier(ctx);
    unsigned its = number[1 - rank];
    OK(ops_persist(ctx, mega_add(s->o.chunks[its].p, 128), 72));
    OK(ops_persist(ctx, s->o.chunks[its].p, 128));
    oracle_set(&s->o, its, FATE_LIVE);
}

/* What has come from afar is persisted at home. */
static void persist_for_another(struct mega__ctx *ctx, int rank,
                                struct scene *s)
{
    persist_what_another_made(ctx, rank, s, 1 - rank);
}

/* What was made at home is persisted from afar: its mark waits in a set of the
 * home's own rank. */
static void persist_from_afar(struct mega__ctx *ctx, int rank, struct scene *s)
{
    persist_what_another_made(ctx, rank, s, rank);
}

/* ---- Laws L1 and L4 ---- */

/* Each rank's chunk and link on the other's home: put, and not persisted. */
static void commit(struct mega__ctx *ctx, int rank, struct scene *s)
{
    const mega_gptr_t slot = s->p[1 - rank];
    unsigned i = step_take(ctx, s, 1 - rank, 100, 600 + (uint64_t)rank);
    ops_store(ctx, slot, s->o.chunks[i].p);
    OK(mega__space_commit(ctx));
    oracle_set(&s->o, i, FATE_LIVE);
    oracle_link(&s->o, i, slot);
}

/* Rank 1 persists the link that it has read, before what rests on that. */
static void link_that_was_read(struct mega__ctx *ctx, int rank, struct scene *s)
{
    static unsigned a, b;
    if (rank == 0) {
        a = step_take(ctx, s, FAR, 100, 610);
        step_keep(ctx, s, a);
        ops_store(ctx, s->p[1], s->o.chunks[a].p); /* seen, not durable */
        OK(mega__rma_quiet(ctx));
    }
    world_barrier(ctx);
    if (rank == 1) {
        CHECK(ops_load(ctx, s->p[1]).v == s->o.chunks[a].p.v, "not seen");
        OK(ops_persist(ctx, s->p[1], 8));
        oracle_link(&s->o, a, s->p[1]);
        b = step_take(ctx, s, 0, 100, 611); /* far for this one */
        step_keep(ctx, s, b);
        step_link_in(ctx, s, b, s->p[0]);
    }
    world_barrier(ctx);
    if (rank == 0) {
        step_drop(ctx, s, b); /* unlinked durably, then freed */
        step_keep(ctx, s, step_take(ctx, s, 0, 100, 612));
    }
    world_barrier(ctx);
}

SCENARIO_TEST(hosts, F6_persist_for_another, .nranks = 2, .hosts = host_of,
              .act = persist_for_another)
SCENARIO_TEST(hosts, L2_persist_from_afar, .nranks = 2, .hosts = host_of,
              .act = persist_from_afar)
SCENARIO_TEST(hosts, L1_commit, .nranks = 2, .hosts = host_of,
              .setup = step_table, .act = commit)
SCENARIO_TEST(hosts, L4_before_what_rests_on_it, .nranks = 2, .hosts = host_of,
              .setup = step_table, .act = link_that_was_read)
