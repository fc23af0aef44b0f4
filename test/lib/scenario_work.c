/* SPDX-License-Identifier: BSD-3-Clause */
/* scenario_work.c - see scenario_work.h; what the environment sets. */
#include "scenario_work.h"

#include <stdlib.h>
#include <time.h>

#include "check.h"
#include "invariants.h"
#include "log.h"
#include "ops.h"
#include "report.h"
#include "roll.h"
#include "world.h"

#define NEW_CHUNKS 4

uint64_t scenario_effort(void)
{
    const char *text = getenv("MEGA_CRASH_EFFORT");
    uint64_t n = text ? strtoull(text, NULL, 10) : 1;
    return n ? n : 1;
}

uint64_t scenario_seed(void)
{
    const char *text = getenv("MEGA_CRASH_SEED");
    struct timespec now;
    if (text)
        return strtoull(text, NULL, 10);
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_nsec / 1000 % 32768;
}

void scenario_opened(const struct mega__ctx *ctx, struct scene *s)
{
    medium_lock(medium_in_use());
    s->epoch = ctx->epoch;
    medium_unlock(medium_in_use());
}

/* Over hosts: here and there. */
static int home_for(const struct mega__ctx *ctx, uint64_t tag)
{
    return ctx->place.nhosts > 1 ? (int)(tag % ctx->nhomes) : MEGA_ANY_HOME;
}

static void make_one(struct mega__ctx *ctx, struct oracle *o, size_t size,
                     uint64_t tag)
{
    mega_gptr_t p;
    mega_status_t st =
        ops_alloc(ctx, OPS_DEFAULT, home_for(ctx, tag), size, &p);
    if (st == MEGA_ERR_HOME_FULL)
        return;
    CHECK(st == MEGA_OK, "alloc after the kill: %s", mega__errmsg_buffer());
    unsigned i = oracle_add(o, p, size, tag);
    ops_fill(ctx, p, size, tag);
    CHECK(ops_persist(ctx, p, size) == MEGA_OK, "persist after the kill");
    oracle_set(o, i, FATE_LIVE);
}

static void free_one(struct mega__ctx *ctx, struct oracle *o, unsigned i)
{
    struct oracle_chunk *c = &o->chunks[i];
    oracle_set(o, i, FATE_MAYBE);
    if (!mega_is_null(c->slot)) {
        ops_store(ctx, c->slot, mega_null());
        CHECK(ops_persist(ctx, c->slot, 8) == MEGA_OK, "persist the unlink");
    }
    CHECK(ops_free(ctx, c->p) == MEGA_OK, "free after the kill: %s",
          mega__errmsg_buffer());
    CHECK(ops_drain(ctx) == MEGA_OK, "drain after the kill");
    oracle_set(o, i, FATE_FREE);
}

void scenario_work(struct mega__ctx *ctx, int rank, void *arg)
{
    struct scene *s = arg;
    if (rank != 0)
        return;
    scenario_opened(ctx, s);
    for (unsigned i = 0; i < NEW_CHUNKS; i++)
        make_one(ctx, &s->o, 64, 9000 + i);
    for (unsigned i = 0; !s->hands_off && i < s->o.n; i++)
        if (s->o.chunks[i].fate == FATE_LIVE && s->o.chunks[i].tag < 9000) {
            free_one(ctx, &s->o, i);
            break;
        }
    make_one(ctx, &s->o, 200, 9100);
}

static void check_own(struct mega__ctx *ctx, int rank, void *arg)
{
    (void)rank, (void)arg;
    invariants_of_recovery(ctx);
}

void scenario_over_hosts(const struct scenario *sc, struct medium *image,
                         uint64_t count)
{
    struct world w = {.nranks = sc->nranks,
                      .hosts = sc->hosts,
                      .fn = check_own,
                      .end = WORLD_KILL};
    if (count % 2) {
        mega_status_t st = world_run(&w);
        CHECK(st == MEGA_OK, "open over hosts: %d %s", st, w.message);
    }
    if (count % 4 == 3)
        medium_power_loss(image);
    for (size_t i = 0; i < image->nfiles; i++)
        image->files[i]->host = 0;
}

static void tell(const char *what, void *arg)
{
    (void)arg;
    report_fail(__FILE__, __LINE__, "check: %s", what);
}

void scenario_library_check(struct mega__ctx *ctx)
{
    uint64_t bad;
    for (uint32_t h = 0; h < ctx->nhomes; h++)
        if (mega__check_home(ctx, mega__home_at(ctx, h), tell, NULL, &bad) !=
            MEGA_OK)
            tell(mega__errmsg_buffer(), NULL);
}

void scenario_test(const struct scenario *sc)
{
    struct scenario_totals t;
    unsigned at = 0;
    scenario_run(sc, &t);
    for (unsigned i = 0; i < 8; i++)
        at += (unsigned)__builtin_popcountll(t.inside_at[i]);
    report_note(
        "%s, seed %llu: %llu points (%llu with too many images for "
        "all), %llu images (%llu more equal to one of them), %llu of "
        "them crashed inside recovery at %u of up to %u points (%llu to "
        "an image that was looked at), %llu "
        "more of a second crash, %llu of kill and power loss, %llu "
        "failures",
        sc->name, (unsigned long long)t.seed, (unsigned long long)t.points,
        (unsigned long long)t.sampled, (unsigned long long)t.images,
        (unsigned long long)t.repeated, (unsigned long long)t.inside, at,
        t.inside_most, (unsigned long long)t.inside_same,
        (unsigned long long)t.again, (unsigned long long)t.kills,
        (unsigned long long)t.failures);
}
