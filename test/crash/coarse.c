/* SPDX-License-Identifier: BSD-3-Clause */
/* coarse.c - runs, regions and roots crashed at every step. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "agent.h"
#include "chunk.h"
#include "directory.h"
#include "log.h"
#include "region.h"
#include "roll.h"
#include "test/lib/ops.h"
#include "test/lib/report.h"
#include "test/lib/scenario.h"
#include "test/lib/steps.h"
#include "test/lib/world.h"

#define EXTENT ((size_t)MEGA__EXTENT)

/* ---- Runs ---- */

static void runs(struct mega__ctx *ctx, int rank, struct scene *s)
{
    (void)rank;
    unsigned a = step_take(ctx, s, 0, 2 * EXTENT, 0);
    step_keep(ctx, s, a);
    unsigned b = step_take(ctx, s, 0, 3 * EXTENT - 100, 0);
    step_keep(ctx, s, b);
    step_drop(ctx, s, a); /* large chunks are durably free at once */
    oracle_set(&s->o, a, FATE_FREE);
    unsigned c = step_take(ctx, s, 0, EXTENT + 1, 0); /* over a's remains */
    step_keep(ctx, s, c);
    step_keep(ctx, s, step_take(ctx, s, 0, 64, 1));
    step_drop(ctx, s, b);
    oracle_set(&s->o, b, FATE_FREE);
    step_take(ctx, s, 0, 2 * EXTENT, 0); /* never persisted */
}

/* Slab, then run, then slab again in the same extents (F9). The first job
 * leaves empty slabs of which the medium may still say that they are full. */
static void fill_and_free(struct mega__ctx *ctx, int rank, struct scene *s)
{
    unsigned n = 0;
    (void)rank;
    for (mega_gptr_t p; n < 40; n++) {
        if (ops_alloc(ctx, OPS_DEFAULT, 0, 32768, &p) != MEGA_OK)
            break;
        oracle_add(&s->o, p, 32768, 0);
    }
    step_drain(ctx);
    for (unsigned k = 0; k < n; k++)
        step_drop(ctx, s, k);
}

static void run_over_slab(struct mega__ctx *ctx, int rank, struct scene *s)
{
    (void)rank;
    unsigned r =
        step_reserve(ctx, s, 0, 2 * EXTENT, 0); /* live by no old mark */
    OK(mega__chunk_cancel(ctx, s->o.chunks[r].p));
    r = step_take(ctx, s, 0, 3 * EXTENT, 0);
    step_keep(ctx, s, r);
    step_drop(ctx, s, r);
    oracle_set(&s->o, r, FATE_FREE);
    step_keep(ctx, s, step_take(ctx, s, 0, 20000, 0));
}

/* A run is being freed: that is seen, and not durable; on a device no sync
 * makes it so. */
static void cut_free(struct mega__ctx *ctx, int rank, struct scene *s)
{
    struct medium *m = medium_in_use();
    unsigned i = step_take(ctx, s, 0, 3 * EXTENT, 0);
    (void)rank;
    step_keep(ctx, s, i);
    oracle_set(&s->o, i, FATE_MAYBE);
    m->drop_flush = m->flushes; /* the word's, and its fence fails */
    m->fail_drain = m->drains;
    CHECK(ops_free(ctx, s->o.chunks[i].p) == MEGA_ERR_IO,
          "a fence was to fail");
    m->drop_flush = m->fail_drain = MEDIUM_NEVER;
}

/* The extents of that run, from the last one on. */
static void use_again(struct mega__ctx *ctx, int rank, struct scene *s)
{
    (void)rank;
    for (unsigned k = 0; k < 3; k++)
        step_keep(ctx, s, step_take(ctx, s, 0, EXTENT, 20 + k));
}

/* ---- Regions: v[0] what is known of it ---- */

enum known { NEVER, MAYBE, EXISTS, GROWING, ENDING, GONE };

static void know(struct scene *s, enum known k)
{
    medium_lock(medium_in_use());
    s->v[0] = k;
    medium_unlock(medium_in_use());
}

static void region_life(struct mega__ctx *ctx, int rank, struct scene *s)
{
    struct mega_region *r = NULL;
    unsigned i = 0;
    s->hands_off = true;
    if (rank == 0)
        know(s, MAYBE);
    world_barrier(ctx);
    CHECK(mega__region_create(ctx, "grid", 2 * EXTENT, &r) == MEGA_OK,
          "create: %s", mega__errmsg_buffer());
    if (rank == 0)
        know(s, EXISTS);
    world_barrier(ctx);
    if (rank == 0) { /* a chunk of the region */
        mega_gptr_t p = mega_null();
        OK(ops_alloc(ctx, r->id, 0, 64, &p));
        i = oracle_add(&s->o, p, 64, 70);
        ops_fill(ctx, p, 64, 70);
        step_keep(ctx, s, i);
        know(s, GROWING);
    }
    world_barrier(ctx);
    CHECK(mega__region_grow(r, EXTENT) == MEGA_OK, "grow: %s",
          mega__errmsg_buffer());
    if (rank == 0) {
        know(s, ENDING);
        oracle_set(&s->o, i, FATE_MAYBE);
    }
    world_barrier(ctx);
    CHECK(mega__region_destroy(&r) == MEGA_OK, "destroy: %s",
          mega__errmsg_buffer());
    if (rank == 0) {
        know(s, GONE);
        oracle_set(&s->o, i, FATE_FREE);
    }
    world_barrier(ctx);
}

static void make_grid(struct mega__ctx *ctx, int rank, struct scene *s)
{
    struct mega_region *r = NULL;
    (void)rank;
    OK(mega__region_create(ctx, "grid", 2 * EXTENT, &r));
    s->v[0] = EXISTS;
}

/* At the fence of its run's record, of the record's state, of the size: it is
 * undone, and the region grows the next time. */
static void grow_that_fails(struct mega__ctx *ctx, int rank, struct scene *s)
{
    struct medium *m = medium_in_use();
    (void)rank;
    for (unsigned k = 2; k < 5; k++) {
        know(s, GROWING);
        m->fail_drain = m->drains + k;
        CHECK(mega__region_grow(ctx->regions, EXTENT) == MEGA_ERR_IO,
              "fence %u was to fail", k);
        know(s, EXISTS);
    }
    m->fail_drain = MEDIUM_NEVER;
    know(s, GROWING);
    OK(mega__region_grow(ctx->regions, EXTENT));
}

/* The region is there, or it is not. */
static void verify_region(struct mega__ctx *ctx, const struct scene *s)
{
    uint64_t known = s->v[0], bytes = 0;
    uint32_t id;
    bool there = ops_region(ctx, "grid", &id, &bytes);
    CHECK(!there || (known != NEVER && known != GONE), "the region is back");
    CHECK(there || known == NEVER || known == MAYBE || known == ENDING ||
              known == GONE,
          "the region is lost");
    /* With the region goes what is in it, and not before. */
    CHECK(known != ENDING || s->o.n > 1 ||
              oracle_is_live(ctx, s->o.chunks[0].p) == there,
          "the region is %sthere, its chunk is not so", there ? "" : "not ");
    CHECK(!there || bytes == 2 * EXTENT ||
              (known >= GROWING && bytes == 3 * EXTENT),
          "%llu bytes per home", (unsigned long long)bytes);
}

/* ---- Roots ---- */

static void roots(struct mega__ctx *ctx, int rank, struct scene *s)
{
    (void)rank;
    s->hands_off = true; /* a chunk that a root still names is not freed */
    for (unsigned k = 0; k < 3; k++) {
        char name[16];
        snprintf(name, sizeof name, "root-%u", k);
        mega_gptr_t slot = ops_root(ctx, name);
        unsigned i = step_take(ctx, s, 0, 100, 50 + k);
        step_keep(ctx, s, i);
        step_link_in(ctx, s, i, slot);
        if (k == 0)
            s->p[0] = slot;
    }
    unsigned other = step_take(ctx, s, 0, 100, 60);
    step_keep(ctx, s, other);
    oracle_link(&s->o, 0, mega_null()); /* while it is replaced: either */
    ops_store(ctx, s->p[0], s->o.chunks[other].p);
    CHECK(ops_persist(ctx, s->p[0], 8) == MEGA_OK, "persist a root");
    oracle_link(&s->o, other, s->p[0]);
    struct mega__request req = {.op = MEGA__ASK_ROOT_REMOVE,
                                .arg = {OPS_DEFAULT, 0}};
    strcpy(req.text, "root-1");
    oracle_link(&s->o, 1, mega_null());
    CHECK(mega__agent_ask(ctx, mega__home_at(ctx, 0), &req) == MEGA_OK,
          "remove: %s", mega__errmsg_buffer());
}

SCENARIO_TEST(crash, F11_runs, .nranks = 1, .act = runs)
SCENARIO_TEST(crash, F11_run_that_was_being_freed, .nranks = 1, .device = true,
              .setup = cut_free, .act = use_again, .film = FILM_JOB,
              .unclean = true)
SCENARIO_TEST(crash, F9_run_over_slab, .nranks = 1, .device = true,
              .setup = fill_and_free, .act = run_over_slab, .film = FILM_JOB,
              .unclean = true)
SCENARIO_TEST(crash, F8_region_create_grow_destroy, .nranks = 2,
              .act = region_life, .verify = verify_region)
SCENARIO_TEST(crash, F8_region_grow_that_fails, .nranks = 1, .setup = make_grid,
              .act = grow_that_fails, .verify = verify_region)
SCENARIO_TEST(crash, roots_set_replace_remove, .nranks = 1, .act = roots)
