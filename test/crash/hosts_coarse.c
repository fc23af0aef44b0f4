/* SPDX-License-Identifier: BSD-3-Clause */
/* hosts_coarse.c - coarse memory over several hosts, crashed at every flush and
 * drain of any of them: regions that all ranks make, grow and end, with chunks
 * and a root; homes that grow because a claim of another host found them full.
 * In the middle of either the ranks lose each other. See hosts.c. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <string.h>

#include "agent.h"
#include "arena.h"
#include "directory.h"
#include "log.h"
#include "region.h"
#include "roll.h"
#include "seg.h"
#include "test/lib/boot_threads.h"
#include "test/lib/net_delay.h"
#include "test/lib/ops.h"
#include "test/lib/report.h"
#include "test/lib/scenario.h"
#include "test/lib/steps.h"
#include "test/lib/world.h"

#define EXTENT ((size_t)MEGA__EXTENT)
#define FAR 1 /* the home of rank 1 */

static const int host_of[] = {0, 1, 1}, apart[] = {0, 1, 2};

/* ---- What is known of a region ---- */

enum known { NEVER, MAYBE, EXISTS, ENDING, GONE };
enum {
    GRID,   /* v: known, of region "grid" */
    OTHER,  /* of region "other" */
    ROOT,   /* of the root "within" of grid */
    WAS,    /* bytes per home of grid */
    BECOMES /* or these */
};

static void know(struct scene *s, unsigned which, uint64_t is)
{
    struct medium *m = medium_in_use();
    medium_lock(m);
    s->v[which] = is;
    if (m->on_point)
        m->on_point(m, "promise", NULL, 0, m->on_point_arg);
    medium_unlock(m);
}

static bool may_be(uint64_t known, bool there)
{
    return there ? known != NEVER && known != GONE : known != EXISTS;
}

/* Its raw runs, on all homes or none: invariants.h. With a region goes what is
 * in it, the first two chunks, and not before. */
static void verify_regions(struct mega__ctx *ctx, const struct scene *s)
{
    uint64_t bytes = 0;
    uint32_t id = 0, other;
    bool grid = ops_region(ctx, "grid", &id, &bytes);
    CHECK(may_be(s->v[GRID], grid), "grid is %sthere", grid ? "" : "not ");
    CHECK(!grid || bytes == s->v[WAS] || bytes == s->v[BECOMES],
          "grid has %llu bytes per home", (unsigned long long)bytes);
    for (unsigned k = 0; s->v[GRID] == ENDING && k < 2; k++)
        CHECK(oracle_is_live(ctx, s->o.chunks[k].p) == grid,
              "grid is %sthere, its chunk %u is not so", grid ? "" : "not ", k);
    bool root =
        grid && mega__dir_root_find(mega__home_at(ctx, 0), id, "within");
    CHECK(may_be(s->v[ROOT], root) || (!grid && s->v[GRID] == ENDING),
          "root within is %sthere", root ? "" : "not ");
    bool there = ops_region(ctx, "other", &other, &bytes);
    CHECK(may_be(s->v[OTHER], there), "other is %sthere", there ? "" : "not ");
    CHECK(!there || bytes == EXTENT, "other has %llu bytes per home",
          (unsigned long long)bytes);
}

/* ---- Made, grown, ended ---- */

/* Made by all, the way to each byte of it known to all. */
static struct mega_region *make(struct mega__ctx *ctx, int rank,
                                struct scene *s, uint64_t bytes)
{
    struct mega_region *r = NULL;
    if (rank == 0) {
        know(s, WAS, bytes);
        know(s, GRID, MAYBE);
    }
    world_barrier(ctx);
    OK(mega__region_create(ctx, "grid", bytes, &r));
    if (rank == 0)
        know(s, GRID, EXISTS);
    world_barrier(ctx);
    for (uint32_t h = 0; h < ctx->nhomes; h++) {
        uint64_t len = 0;
        mega_gptr_t p = mega__region_at(r, h, bytes - 1, &len);
        CHECK(!mega_is_null(p) && mega__gptr_home(p) == h && len == 1,
              "the last byte on home %u is at %#llx", h,
              (unsigned long long)p.v);
    }
    return r;
}

/* A chunk of the region on another host's home, which rank 0's and rank 1's
 * are: numbers 0 and 1. */
static void use(struct mega__ctx *ctx, int rank, struct scene *s,
                const struct mega_region *r)
{
    static unsigned number[2];
    for (int turn = 0; turn < 2; turn++) {
        if (rank == turn) {
            mega_gptr_t p = mega_null();
            OK(ops_alloc(ctx, r->id, 1 - rank, 64, &p));
            number[rank] = oracle_add(&s->o, p, 64, 70 + (uint64_t)rank);
            ops_fill(ctx, p, 64, 70 + (uint64_t)rank);
            step_keep(ctx, s, number[rank]);
        }
        world_barrier(ctx);
    }
    CHECK(number[0] == 0 && number[1] == 1, "verify_regions takes these");
}

/* Rank 1 asks home 0, and links the chunk that is far for it. */
static void name(struct mega__ctx *ctx, int rank, struct scene *s,
                 const struct mega_region *r)
{
    struct mega__request req = {.op = MEGA__ASK_ROOT_MAKE, .arg = {r->id, 0}};
    strcpy(req.text, "within");
    if (rank == 1) {
        know(s, ROOT, MAYBE);
        OK(mega__agent_ask(ctx, mega__home_at(ctx, 0), &req));
        know(s, ROOT, EXISTS);
        step_link_in(ctx, s, 1, mega__dir_root_slot((uint32_t)req.result));
    }
    world_barrier(ctx);
}

static void grow(struct mega__ctx *ctx, int rank, struct scene *s,
                 struct mega_region *r, uint64_t more)
{
    if (rank == 0)
        know(s, BECOMES, s->v[WAS] + more);
    world_barrier(ctx);
    OK(mega__region_grow(r, more));
    if (rank == 0)
        know(s, WAS, s->v[BECOMES]);
    world_barrier(ctx);
}

static void is_ending(struct scene *s)
{
    for (unsigned k = 0; k < 2; k++) {
        oracle_link(&s->o, k, mega_null());
        oracle_set(&s->o, k, FATE_MAYBE);
    }
    know(s, GRID, ENDING);
}

static void is_gone(struct scene *s)
{
    for (unsigned k = 0; k < 2; k++)
        oracle_set(&s->o, k, FATE_FREE);
    know(s, ROOT, GONE);
    know(s, GRID, GONE);
}

static void end(struct mega__ctx *ctx, int rank, struct scene *s,
                struct mega_region *r)
{
    if (rank == 0)
        is_ending(s);
    world_barrier(ctx);
    OK(mega__region_destroy(&r));
    if (rank == 0)
        is_gone(s);
    world_barrier(ctx);
}

static void life(struct mega__ctx *ctx, int rank, struct scene *s)
{
    s->hands_off = true;
    struct mega_region *r = make(ctx, rank, s, 2 * EXTENT - 100);
    use(ctx, rank, s, r);
    name(ctx, rank, s, r);
    grow(ctx, rank, s, r, 50); /* in the extent that it has */
    grow(ctx, rank, s, r, EXTENT);
    end(ctx, rank, s, r);
}

/* More than the homes have: each server makes its own larger. An image of these
 * files takes long, so what does not regard them is left to life. */
static void life_in_more_files(struct mega__ctx *ctx, int rank, struct scene *s)
{
    s->hands_off = true;
    struct mega_region *r = make(ctx, rank, s, 12 * EXTENT - 100);
    use(ctx, rank, s, r);
    end(ctx, rank, s, r);
    CHECK(!ctx->homes[rank].serving || ctx->homes[rank].npools == 2,
          "home %d has not grown", rank);
}

/* ---- Lost in the middle ---- */

enum call { GROW, CREATE, DESTROY };

static pthread_barrier_t lost;
static unsigned collectives[3]; /* of each call, on rank 1 */

static unsigned so_far(const struct mega__ctx *ctx)
{
    return boot_team_collectives(boot_team_of(ctx->boot), 1);
}

static void make_grid(struct mega__ctx *ctx, int rank, struct scene *s)
{
    struct mega_region *other = NULL;
    s->hands_off = true;
    if (rank == 0)
        pthread_barrier_init(&lost, NULL, 2);
    struct mega_region *r = make(ctx, rank, s, EXTENT);
    use(ctx, rank, s, r);
    name(ctx, rank, s, r);
    unsigned n[4] = {so_far(ctx)};
    OK(mega__region_grow(r, EXTENT));
    n[1] = so_far(ctx);
    OK(mega__region_create(ctx, "other", EXTENT, &other));
    n[2] = so_far(ctx);
    OK(mega__region_destroy(&other));
    n[3] = so_far(ctx);
    for (unsigned k = 0; rank == 1 && k < 3; k++)
        collectives[k] = n[k + 1] - n[k];
    if (rank == 0)
        know(s, WAS, 2 * EXTENT);
}

/* Rank 1 is lost, for both, when it comes to a collective of the call: in each
 * other film to the last one, after which all is decided. */
static void part(struct mega__ctx *ctx, int rank, const struct scene *s,
                 enum call call)
{
    uint64_t lot = s->seed * 6 + 2 * (uint64_t)call + 1;
    unsigned n = collectives[call];
    for (unsigned k = 0; k < 8; k++) /* small seeds begin alike */
        medium_random(&lot);
    if (s->seed % 2)
        n = 1 + (unsigned)((lot >> 32) % n);
    if (rank == 1)
        boot_team_break_at(boot_team_of(ctx->boot), 1, n);
}

static void meet_again(struct mega__ctx *ctx, int rank, mega_status_t st)
{
    CHECK(st == MEGA_ERR_PEER, "%d %s", st, mega__errmsg_buffer());
    pthread_barrier_wait(&lost);
    if (rank == 0)
        boot_team_mend(boot_team_of(ctx->boot));
    pthread_barrier_wait(&lost);
}

/* What comes of a call nobody is told. */
static void lose(struct mega__ctx *ctx, int rank, struct scene *s)
{
    struct mega_region *grid = ctx->regions, *other = NULL;
    if (rank == 0) {
        know(s, OTHER, MAYBE);
        know(s, BECOMES, 4 * EXTENT);
    }
    world_barrier(ctx);
    part(ctx, rank, s, GROW);
    meet_again(ctx, rank, mega__region_grow(grid, 2 * EXTENT));
    part(ctx, rank, s, CREATE);
    meet_again(ctx, rank, mega__region_create(ctx, "other", EXTENT, &other));
    step_keep(ctx, s, step_take(ctx, s, rank, 500, 80 + (uint64_t)rank));
    world_barrier(ctx);
    if (rank == 0)
        is_ending(s);
    world_barrier(ctx);
    part(ctx, rank, s, DESTROY);
    meet_again(ctx, rank, mega__region_destroy(&grid));
}

/* ---- Homes that grow for another host ---- */

static void fill_far(struct mega__ctx *ctx, int rank, struct scene *s)
{
    mega_gptr_t p;
    while (rank == FAR && ctx->homes[FAR].seg->spans[0].free > 0 &&
           ops_alloc(ctx, OPS_DEFAULT, FAR, EXTENT, &p) == MEGA_OK)
        step_keep(ctx, s, oracle_add(&s->o, p, EXTENT, 0));
}

/* Two of other hosts find it full; it grows once. */
static void grow_far(struct mega__ctx *ctx, int rank, struct scene *s)
{
    static const size_t sizes[] = {64, 20000};
    for (unsigned k = 0; rank != FAR && k < 2; k++)
        step_keep(ctx, s,
                  step_take(ctx, s, FAR, sizes[k], 90 + (uint64_t)rank + k));
    world_barrier(ctx);
    CHECK(rank != FAR || ctx->homes[FAR].npools == 2, "it has %u pools",
          ctx->homes[FAR].npools);
    if (rank == FAR)
        step_keep(ctx, s, step_take(ctx, s, FAR, 500, 95));
}

/* Whom it grows for is lost meanwhile, or before: then it grows for its own
 * host, which must not have locked the medium, as step_take does. */
static void lose_in_growth(struct mega__ctx *ctx, int rank, struct scene *s)
{
    mega_gptr_t p = mega_null();
    if (rank == 0) {
        net_delay_lose_at(ctx->net, 1 + (unsigned)(s->seed % 16));
        mega_status_t st = ops_alloc(ctx, OPS_DEFAULT, FAR, 64, &p);
        CHECK(st == MEGA_OK || st == MEGA_ERR_PEER, "%d %s", st,
              mega__errmsg_buffer());
        if (!st)
            oracle_add(&s->o, p, 64, 0);
        net_delay_lose(ctx->net);
        CHECK(ops_alloc(ctx, OPS_DEFAULT, FAR, 20000, &p) == MEGA_ERR_PEER,
              "alloc on a lost host");
    }
    world_barrier(ctx);
    if (rank != FAR)
        return;
    OK(ops_alloc(ctx, OPS_DEFAULT, FAR, 20000, &p));
    step_keep(ctx, s, oracle_add(&s->o, p, 20000, 0));
    CHECK(ctx->homes[FAR].npools == 2, "it has %u pools",
          ctx->homes[FAR].npools);
}

#define GROWS .hosts = apart, .home_max = "14M"

SCENARIO_TEST(hosts, F8_region_create_grow_destroy, .nranks = 3,
              .hosts = host_of, .act = life, .verify = verify_regions)
SCENARIO_TEST(hosts, F8_region_in_more_files, GROWS, .nranks = 2,
              .act = life_in_more_files, .verify = verify_regions)
SCENARIO_TEST(hosts, lose_a_rank_in_calls_of_a_region, .nranks = 2,
              .hosts = host_of, .setup = make_grid, .act = lose,
              .verify = verify_regions, .films = 2)
SCENARIO_TEST(hosts, F18_growth_for_another_host, GROWS, .nranks = 3,
              .setup = fill_far, .act = grow_far)
SCENARIO_TEST(hosts, lose_a_rank_in_growth, GROWS, .nranks = 2,
              .setup = fill_far, .act = lose_in_growth, .films = 2)
