/* SPDX-License-Identifier: BSD-3-Clause */
/* chunks.c - small chunks crashed at every flush and drain. */
#include <criterion/criterion.h>
#include <pthread.h>

#include "arena.h"
#include "log.h"
#include "test/lib/ops.h"
#include "test/lib/report.h"
#include "test/lib/scenario.h"
#include "test/lib/steps.h"
#include "test/lib/world.h"

/* ---- Scenarios ---- */

static void use_a_root(struct mega__ctx *ctx, int rank, struct scene *s)
{
    if (rank == 0)
        s->p[0] = ops_root(ctx, "list");
}

static void alloc_persist_link(struct mega__ctx *ctx, int rank, struct scene *s)
{
    (void)rank;
    mega_gptr_t slot = s->p[0];
    for (unsigned k = 0; k < 4; k++) { /* each holds the link to the next */
        unsigned i = step_take(ctx, s, 0, 40 + 30 * k, 0);
        mega_gptr_t p = s->o.chunks[i].p;
        ops_store(ctx, p, mega_null());
        step_keep(ctx, s, i);
        step_link_in(ctx, s, i, slot);
        slot = p;
    }
}

static void some_live(struct mega__ctx *ctx, int rank, struct scene *s)
{
    use_a_root(ctx, rank, s);
    for (unsigned k = 0; rank == 0 && k < 6; k++)
        step_keep(ctx, s, step_take(ctx, s, 0, 64, 100 + k));
}

static void free_drain(struct mega__ctx *ctx, int rank, struct scene *s)
{
    (void)rank;
    for (unsigned k = 0; k < 3; k++)
        step_drop(ctx, s, k);
    step_drain(ctx);
    for (unsigned k = 0; k < 3; k++)
        oracle_set(&s->o, k, FATE_FREE);
    step_drop(ctx, s, 3);
    step_keep(ctx, s,
              step_take(ctx, s, 0, 64, 200)); /* the same place, or another */
    step_drop(ctx, s, 4);
    step_drain(ctx);
    oracle_set(&s->o, 3, FATE_FREE);
    oracle_set(&s->o, 4, FATE_FREE);
}

/* One chunk of each of several classes: a slab is claimed for each. */
static void claim_slabs(struct mega__ctx *ctx, int rank, struct scene *s)
{
    static const size_t sizes[] = {32, 48, 1000, 4096, 20000};
    (void)rank;
    for (unsigned k = 0; k < 5; k++)
        step_keep(ctx, s, step_take(ctx, s, 0, sizes[k], 300 + k));
    for (unsigned k = 0; k < 5; k++)
        step_take(ctx, s, 0, sizes[k], 0); /* never persisted */
    step_drain(ctx); /* they are live now, but not linked: leaks, if lost */
}

/* Two ranks claim on two homes at once, persisted by the other (L2). */
static void persist_for_another(struct mega__ctx *ctx, int rank,
                                struct scene *s)
{
    static mega_gptr_t given[2];
    static unsigned number[2];
    number[rank] = step_take(ctx, s, rank, 3000, 400 + (uint64_t)rank);
    given[rank] = s->o.chunks[number[rank]].p;
    world_barrier(ctx);
    const struct oracle_chunk *c = &s->o.chunks[number[1 - rank]];
    /* The other's chunk in two parts, neither of them at its start. */
    CHECK(ops_persist(ctx, mega_add(given[1 - rank], 2048), 952) == MEGA_OK,
          "persist the end");
    medium_lock(medium_in_use());
    s->o.chunks[number[1 - rank]].tag = 0; /* live; contents not whole yet */
    s->o.chunks[number[1 - rank]].fate = FATE_LIVE;
    medium_unlock(medium_in_use());
    CHECK(ops_persist(ctx, c->p, 2048) == MEGA_OK, "persist the begin");
    medium_lock(medium_in_use());
    s->o.chunks[number[1 - rank]].tag = 400 + (uint64_t)(1 - rank);
    medium_unlock(medium_in_use());
}

/* Fills slabs of one class, frees them all, and uses the room otherwise. */
#define SIZE 20000
#define TWO_SLABS 6 /* chunks of this size */
static void change_class(struct mega__ctx *ctx, int rank, struct scene *s)
{
    unsigned first = s->o.n;
    (void)rank;
    for (unsigned k = 0; k < TWO_SLABS; k++)
        step_keep(ctx, s, step_take(ctx, s, 0, SIZE, 500 + k));
    for (unsigned k = 0; k < TWO_SLABS; k++)
        step_drop(ctx, s, first + k);   /* visible, not durable */
    for (unsigned k = 0; k < 40; k++) { /* all that is left, and some of it */
        mega_gptr_t p;
        mega_status_t st = ops_alloc(ctx, OPS_DEFAULT, 0, 30000, &p);
        if (st == MEGA_ERR_HOME_FULL)
            break;
        CHECK(st == MEGA_OK, "alloc: %s", mega__errmsg_buffer());
        unsigned i = oracle_add(&s->o, p, 30000, 0);
        step_keep(ctx, s, i);
    }
    step_drain(ctx);
}

/* A full home in the middle: the last allocation fails and harms nothing. */
static void run_full(struct mega__ctx *ctx, int rank, struct scene *s)
{
    (void)rank;
    mega_gptr_t p;
    for (unsigned k = 0; k < 100; k++) {
        mega_status_t st = ops_alloc(ctx, OPS_DEFAULT, 0, 32768, &p);
        if (st == MEGA_ERR_HOME_FULL)
            break;
        CHECK(st == MEGA_OK, "alloc: %s", mega__errmsg_buffer());
        step_keep(ctx, s, oracle_add(&s->o, p, 32768, 0));
    }
    CHECK(s->o.n > 8, "the home was full at once");
    step_drop(ctx, s, 6);
    step_drain(ctx);
    oracle_set(&s->o, 6, FATE_FREE);
}

/* Adopts what another job has left: its marks are on the medium, or not. */
static void adopt(struct mega__ctx *ctx, int rank, struct scene *s)
{
    if (rank != 0)
        return;
    for (unsigned k = 0; k < 3; k++)
        step_keep(ctx, s, step_take(ctx, s, 0, 64, 600 + k));
    step_drop(ctx, s, 0);
    step_drain(ctx);
    oracle_set(&s->o, 0, FATE_FREE);
}

/* Its slab is seen, and the slab's word is not durable: killed in the claim. */
static void seen_only(struct mega__ctx *ctx, int rank, struct scene *s)
{
    struct medium *m = medium_in_use();
    (void)rank;
    m->drop_flush = m->flushes + 1; /* after that of the marks */
    step_take(ctx, s, 0, 64, 0);
    m->drop_flush = MEDIUM_NEVER;
}

static void build_on_seen(struct mega__ctx *ctx, int rank, struct scene *s)
{
    (void)rank;
    for (unsigned k = 0; k < 3; k++)
        step_keep(ctx, s, step_take(ctx, s, 0, 64, 600 + k));
    CHECK(mega__arena(ctx)->count.adoptions > 0, "it was not adopted");
}

/* Nothing of what it has claimed is durable when its end gives it up. */
static void *claim_and_end(void *arg)
{
    struct scene *s = ((void **)arg)[1];
    step_take(((void **)arg)[0], s, 0, 64, 700);
    return NULL;
}

static void adopt_within(struct mega__ctx *ctx, int rank, struct scene *s)
{
    pthread_t thread;
    (void)rank;
    pthread_create(&thread, NULL, claim_and_end, (void *[]){ctx, s});
    pthread_join(thread, NULL);
    for (unsigned k = 0; k < 3; k++)
        step_keep(ctx, s, step_take(ctx, s, 0, 64, 701 + k));
    CHECK(mega__arena(ctx)->count.adoptions > 0, "it was not adopted");
}

/* A tree from the leaves up: a node links durable children only. */
static mega_gptr_t plant(struct mega__ctx *ctx, struct scene *s, unsigned depth)
{
    mega_gptr_t left = mega_null(), right = mega_null();
    if (depth > 0) {
        left = plant(ctx, s, depth - 1);
        right = plant(ctx, s, depth - 1);
    }
    unsigned i = step_take(ctx, s, 0, 48, 0);
    mega_gptr_t p = s->o.chunks[i].p;
    ops_store(ctx, p, left);
    ops_store(ctx, mega_add(p, 8), right);
    step_keep(ctx, s, i);
    return p;
}

static void tree(struct mega__ctx *ctx, int rank, struct scene *s)
{
    (void)rank;
    mega_gptr_t top = plant(ctx, s, 2);
    step_link_in(ctx, s, s->o.n - 1, s->p[0]);
    (void)top;
}

SCENARIO_TEST(crash, alloc_persist_link, .nranks = 1, .setup = use_a_root,
              .act = alloc_persist_link)
SCENARIO_TEST(crash, free_drain, .nranks = 1, .setup = some_live,
              .act = free_drain)
SCENARIO_TEST(crash, claim_slabs, .nranks = 1, .act = claim_slabs)
SCENARIO_TEST(crash, claim_slabs_by_msync, .nranks = 1, .act = claim_slabs,
              .how = MEGA__HOW_MSYNC)
SCENARIO_TEST(crash, F6_persist_for_another, .nranks = 2,
              .act = persist_for_another)
SCENARIO_TEST(crash, F9_change_class, .nranks = 1, .act = change_class)
SCENARIO_TEST(crash, full_home, .nranks = 1, .setup = some_live,
              .act = run_full)
SCENARIO_TEST(crash, F10_adopt_after_a_clean_end, .nranks = 1,
              .setup = some_live, .act = adopt, .film = FILM_JOB)
SCENARIO_TEST(crash, F10_adopt_within_a_job, .nranks = 1, .act = adopt_within)
SCENARIO_TEST(crash, adopt_after_a_kill, .nranks = 2, .setup = some_live,
              .act = adopt, .film = FILM_JOB, .unclean = true)
SCENARIO_TEST(crash, F3_adopt_what_is_seen, .nranks = 1, .setup = seen_only,
              .act = build_on_seen, .film = FILM_JOB, .unclean = true)
SCENARIO_TEST(crash, F3_adopt_what_is_seen_on_a_device, .nranks = 1,
              .device = true, .setup = seen_only, .act = build_on_seen,
              .film = FILM_JOB, .unclean = true)
SCENARIO_TEST(crash, tree_from_the_leaves, .nranks = 1, .setup = use_a_root,
              .act = tree)
