/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * mutants_region.c - the flushes and drains of the directory, dropped: a region
 * is made, grown and ended, with a root in it; then its lines of the directory
 * are another's. And of recovery, where a grow was cut off.
 */
#include <stdlib.h>
#include <string.h>

#include "agent.h"
#include "directory.h"
#include "log.h"
#include "raw.h"
#include "region.h"
#include "roll.h"
#include "span.h"
#include "test/crash/mutants.h"
#include "test/lib/ops.h"
#include "test/lib/steps.h"
#include "test/lib/world.h"

static void know(struct scene *s, unsigned which, enum known k)
{
    struct medium *m = medium_in_use();
    medium_lock(m);
    s->v[which] = k;
    if (m->on_point)
        m->on_point(m, "promise", NULL, 0, m->on_point_arg);
    medium_unlock(m);
}

void mutants_verify_region(struct mega__ctx *ctx, const struct scene *s)
{
    enum known k = (enum known)s->v[0];
    uint64_t bytes = 0;
    uint32_t id;
    bool there = ops_region(ctx, "one", &id, &bytes);
    CHECK(!there || (k != NEVER && k != GONE), "the region is back");
    CHECK(there || k == NEVER || k == MAYBE || k == ENDING || k == GONE,
          "the region is lost");
    CHECK(!there || (bytes == 2 * EXTENT ? k >= GROWING
                                         : bytes == EXTENT && k <= GROWING),
          "it has %llu bytes per home", (unsigned long long)bytes);
}

/* What another home's server, with a fence of its own, may do now. */
static void claim_elsewhere(struct mega__ctx *ctx, struct scene *s, uint32_t id)
{
    struct mega__span *span = mega__span_of(ctx, mega__gptr(0, 0, 0));
    CHECK(mega__span_cas(span, span->extents - 1, MEGA__FREE,
                         mega__word_run(MEGA__RUN_HEAD, 1, id, ctx->epoch14,
                                        MEGA__RUN_RAW)),
          "the last extent is not free");
    know(s, 1, CLAIMING);
}

static void live_and_end(struct mega__ctx *ctx, int rank, struct scene *s)
{
    struct mega_region *r = NULL;
    uint32_t line, id = 0;
    (void)rank;
    know(s, 0, MAYBE);
    OK(mega__region_create(ctx, "one", EXTENT, &r));
    know(s, 0, EXISTS);
    know(s, 0, GROWING);
    OK(mega__region_grow(r, EXTENT));
    know(s, 0, GROWN);
    know(s, 0, ENDING);
    OK(mega__region_destroy(&r));
    know(s, 0, GONE);
    /* another in the same line */
    OK(mega__dir_region_add(mega__home_at(ctx, 0), &ctx->flusher, "two", &line,
                            &id));
    claim_elsewhere(ctx, s, id);
}

Test(mutants, regions, .timeout = 7200)
{
    static const struct scenario sc = {.name = "regions",
                                       .nranks = 1,
                                       .act = live_and_end,
                                       .verify = mutants_verify_region};
    static const struct scenario_excuse excuses[] = {
        {"flush", "mark of extent", "a raw run has no mark (run.c)", 0},
        {"drain", "mark of extent", "as for its flush", 0},
        {"drain", "extent word 8",
         "the head of a raw run waits for the fence of its record (run.c)",
         3 + 1},
        {"drain", "extent word 8", "the same, of the grow", 9 + 1},
        {"drain", "run record",
         "on home 0 the fence of the size comes before LIVE; the agreement "
         "waits for the fence of another home",
         5 + 1},
        {"drain", "region record 0",
         "on home 0 the fence of its first run comes before a head; "
         "claim_elsewhere shows the other homes",
         1 + 1},
        {"flush", "run record", "pruned by the next open (region.c)", 17 + 1},
        {"flush", "run record", "pruned by the next open (region.c)", 18 + 1},
        {"drain", "run record", "as for their flushes", 14 + 1},
        {NULL, NULL, NULL, 0}};
    mutate(&sc, excuses);
}

/* ---- A grow that was cut off ---- */

#define PIECE 14 /* extents 14 and 16 are free, then 15: words of two lines */

/* The number of the run at an extent. */
static unsigned run_at(const struct scene *s, unsigned extent)
{
    for (unsigned k = 0; k < s->o.n; k++)
        if (mega_offset(s->o.chunks[k].p) == extent * EXTENT)
            return k;
    abort();
}

static void free_run(struct mega__ctx *ctx, struct scene *s, unsigned extent)
{
    unsigned k = run_at(s, extent);
    step_drop(ctx, s, k);
    oracle_set(&s->o, k, FATE_FREE);
}

/* Of "one" only the runs are there, two, for the room is in two pieces, and in
 * two lines of records. "two" has grown; its size is seen, and not durable. */
static void cut_grow(struct mega__ctx *ctx, int rank, struct scene *s)
{
    struct medium *m = medium_in_use();
    struct mega_region *one = NULL, *two = NULL;
    mega_gptr_t p;
    (void)rank;
    s->hands_off = true;
    OK(mega__region_create(ctx, "one", EXTENT, &one));
    OK(mega__region_create(ctx, "two", EXTENT, &two));
    m->drop_flush = m->flushes + 5;
    OK(mega__region_grow(two, EXTENT));
    m->drop_flush = MEDIUM_NEVER;
    CHECK(strstr(m->dropped, "region record 1"), "dropped: %s", m->dropped);
    while (ops_alloc(ctx, OPS_DEFAULT, 0, EXTENT, &p) == MEGA_OK)
        step_keep(ctx, s, oracle_add(&s->o, p, EXTENT, 0));
    free_run(ctx, s, PIECE);
    free_run(ctx, s, PIECE + 2);
    OK(mega__raw_reserve(ctx, one->id, EXTENT, 3 * EXTENT));
    know(s, 0, EXISTS);
    know(s, 1, GROWING);
}

/* In one piece now: its second record stays as recovery has left it. */
static void grow_again(struct mega__ctx *ctx, int rank, struct scene *s)
{
    struct mega_region *one = NULL;
    (void)rank;
    know(s, 1, GROWN);
    free_run(ctx, s, PIECE + 1);
    OK(mega__region_open(ctx, "one", &one));
    know(s, 0, GROWING);
    OK(mega__region_grow(one, 2 * EXTENT));
    know(s, 0, GROWN);
}

static void verify_grown(struct mega__ctx *ctx, const struct scene *s)
{
    static const char *const names[] = {"one", "two"};
    for (unsigned k = 0; k < 2; k++) {
        uint64_t bytes = 0, grown = k ? 2 * EXTENT : 3 * EXTENT;
        uint32_t id;
        CHECK(ops_region(ctx, names[k], &id, &bytes), "region %s is lost",
              names[k]);
        CHECK((bytes == EXTENT && s->v[k] <= GROWING) ||
                  (bytes == grown && s->v[k] >= GROWING),
              "region %s has %llu bytes per home", names[k],
              (unsigned long long)bytes);
    }
}

Test(mutants, recovery_of_a_grow, .timeout = 7200)
{
    static const struct scenario sc = {.name = "recovery of a grow",
                                       .nranks = 1,
                                       .device = true,
                                       .home_size = "4M",
                                       .home_max = "4M",
                                       .setup = cut_grow,
                                       .film = FILM_JOB,
                                       .unclean = true,
                                       .cut = true,
                                       .act = grow_again,
                                       .verify = verify_grown};
    static const struct scenario_excuse excuses[] = {
        {"flush", "pool: word 2",
         "the flush of its whole block follows (recover.c)", 0},
        {"drain", "pool: word 0 + 0", "as for its flush", 1},
        {"drain", "pool: word 0 + 0",
         "the fence of the pruned runs follows (recover.c)", 2 + 1},
        {"drain", "sync", "a device has none", 0},
        {"drain", "run record", "the fence of FREEING follows (run.c)", 4 + 1},
        {"flush", "extent word", "a head that is dead stays dead (run.c)",
         5 + 1},
        {"flush", "extent word", "a head that is dead stays dead (run.c)",
         6 + 1},
        {"drain", "extent word", "as for its flush", 5 + 1},
        {"drain", "extent word", "as for its flush", 6 + 1},
        {"flush", "mark of extent", "a raw run has no mark (run.c)", 0},
        {"drain", "mark of extent", "as for its flush", 0},
        {"drain", "extent word",
         "the head of a raw run waits for the fence of its record (run.c)",
         9 + 1},
        {NULL, NULL, NULL, 0}};
    mutate(&sc, excuses);
}

/* ---- Roots ---- */

/* v[0]: of the root "old"; v[1]: of a root of a region; v[2]: of "new". */
static void verify_root(struct mega__ctx *ctx, const struct scene *s)
{
    static const char *const names[] = {"old", "within", "new"};
    const struct mega__root_record *r = NULL;
    for (unsigned k = 3; k-- > 0;) {
        r = mega__dir_root_find(mega__home_at(ctx, 0),
                                k == 1 ? (uint32_t)s->v[3] : OPS_DEFAULT,
                                names[k]);
        CHECK(r || s->v[k] != EXISTS, "root %s is lost", names[k]);
        CHECK(!r || s->v[k] != GONE, "root %s is back", names[k]);
        CHECK(r || k != 1 || s->v[k] != ENDING ||
                  !mega__dir_region_lives(mega__home_at(ctx, 0),
                                          (uint32_t)s->v[3]),
              "its region lives, and has lost root %s", names[k]);
    }
    CHECK(!r || mega_is_null(mega_from_bits(r->slot)) ||
              r->slot == s->o.chunks[0].p.v || r->slot == s->o.chunks[1].p.v,
          "the root holds %llx", (unsigned long long)r->slot);
}

static void two_chunks(struct mega__ctx *ctx, int rank, struct scene *s)
{
    (void)rank;
    s->hands_off = true;
    for (unsigned k = 0; k < 2; k++)
        step_keep(ctx, s, step_take(ctx, s, 0, 64, 50 + k));
}

static mega_gptr_t make_root(struct mega__ctx *ctx, struct scene *s,
                             unsigned which, uint32_t region, const char *name)
{
    struct mega__request req = {.op = MEGA__ASK_ROOT_MAKE, .arg = {region, 0}};
    strcpy(req.text, name);
    know(s, which, MAYBE);
    OK(mega__agent_ask(ctx, mega__home_at(ctx, 0), &req));
    know(s, which, EXISTS);
    return mega__dir_root_slot((uint32_t)req.result);
}

/* Set, replaced, removed; a region's in the same line, gone with the region;
 * and one more. */
static void root_life(struct mega__ctx *ctx, int rank, struct scene *s)
{
    struct mega_region *r = (struct mega_region *)(uintptr_t)s->v[4];
    (void)rank;
    mega_gptr_t slot = make_root(ctx, s, 0, OPS_DEFAULT, "old");
    step_link_in(ctx, s, 0, slot);
    oracle_link(&s->o, 0, mega_null());
    step_link_in(ctx, s, 1, slot);
    oracle_link(&s->o, 1, mega_null());
    know(s, 0, ENDING);
    struct mega__request req = {.op = MEGA__ASK_ROOT_REMOVE,
                                .arg = {OPS_DEFAULT, 0}};
    strcpy(req.text, "old");
    OK(mega__agent_ask(ctx, mega__home_at(ctx, 0), &req));
    know(s, 0, GONE);
    make_root(ctx, s, 1, r->id, "within");
    know(s, 1, ENDING);
    OK(mega__region_destroy(&r));
    know(s, 1, GONE);
    make_root(ctx, s, 2, OPS_DEFAULT, "new");
}

static void region_and_chunks(struct mega__ctx *ctx, int rank, struct scene *s)
{
    struct mega_region *r = NULL;
    two_chunks(ctx, rank, s);
    OK(mega__region_create(ctx, "one", 0, &r));
    s->v[3] = r->id;
    s->v[4] = (uintptr_t)r;
}

Test(mutants, roots, .timeout = 7200)
{
    static const struct scenario sc = {.name = "roots",
                                       .nranks = 1,
                                       .setup = region_and_chunks,
                                       .act = root_life,
                                       .verify = verify_root};
    static const struct scenario_excuse excuses[] = {
        {"flush", "extent word 0, as on the medium",
         "the region has no memory; \"regions\" tells", 0},
        {"drain", "extent word 0", "as for its flush", 0},
        {"drain", "region record", "the same: no memory is given back", 7 + 1},
        {"flush", "region record",
         "its line is not used again here; \"regions\" tells", 10 + 1},
        {NULL, NULL, NULL, 0}};
    mutate(&sc, excuses);
}
