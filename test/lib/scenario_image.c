/* SPDX-License-Identifier: BSD-3-Clause */
/* scenario_image.c - one image of a scenario: scenario.h, scenario_run.h. */
#include "scenario_run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "invariants.h"
#include "report.h"
#include "scenario_work.h"
#include "untouched.h"
#include "world.h"

struct inner { /* what is done to an image is filmed */
    struct run *run;
    struct crash_film film;
    const struct crash_point *outer; /* NULL: of a kill */
    const struct crash_pick *outer_pick;
    const char *after;
    bool closely;     /* what the open may not touch is compared */
    uint64_t decided; /* by the recovery, when it was through; 0: no matter */
};

struct verification {
    const struct scenario *sc;
    struct scene promised;
    uint64_t seed;
    uint64_t decided;    /* by a recovery that was cut off; 0: by none */
    struct inner *inner; /* films this one; NULL: nobody */
};

static void stop_film(struct inner *in)
{
    if (in)
        crash_film_stop(&in->film);
}

static void opened(void *arg)
{
    medium_stirred(medium_in_use());
    stop_film(((struct verification *)arg)->inner);
}

static void note_decided(struct mega__ctx *ctx, struct inner *in)
{
    struct run *r = in->run;
    if (ctx->recovery.created) /* else the next makes another */
        return;
    in->decided = invariants_decided(ctx);
    if (!in->closely)
        return;
    crash_image(&r->film, in->outer, in->outer_pick, r->then);
    untouched_check(ctx, r->image, r->then);
}

static void verify_job(struct mega__ctx *ctx, int rank, void *arg)
{
    struct verification *v = arg;
    if (rank == 0) {
        struct scene *s = &v->promised;
        if (v->inner)
            note_decided(ctx, v->inner);
        if (v->sc->learn)
            v->sc->learn(ctx, s);
        invariants_of_recovery(ctx);
        CHECK(!v->decided || v->decided == invariants_decided(ctx),
              "recovery done again has decided otherwise");
        invariants_of_format(ctx);
        if (v->sc->verify)
            v->sc->verify(ctx, s);
        oracle_verify(ctx, &s->o);
        scenario_library_check(ctx);
        medium_in_use()->stale = true;
        oracle_exhaust(ctx, &s->o, v->seed);
        invariants_of_format(ctx);
        scenario_library_check(ctx);
    }
    world_barrier(ctx);
}

void scenario_sizes(const char *size, const char *max)
{
    world_set("HOME_SIZE", size ? size : "3M");
    world_set("HOME_MAX", max ? max : "3M");
}

static bool verify(struct run *r, struct medium *image,
                   const struct scene *promised, uint64_t decided,
                   struct inner *in)
{
    struct verification v = {r->sc, *promised, r->count, decided, in};
    struct world w = {.nranks = 1 + (r->count % 8 == 7),
                      .fn = verify_job,
                      .together = true,
                      .opened = opened,
                      .arg = &v};
    uint64_t before = report_failures();
    r->count++;
    invariants_of_image(image, promised->epoch);
    medium_use(image);
    /* What the scenario grew counts as it is: the heap must be exhaustible. */
    scenario_sizes(NULL, NULL);
    if (r->sc->hosts)
        scenario_over_hosts(r->sc, image, r->carried ? 0 : r->count);
    if (in)
        crash_film_again(&in->film, &r->film, image, promised);
    if (!r->sc->hosts || r->carried)
        medium_still(image);
    mega_status_t st = world_run(&w);
    stop_film(in);
    scenario_sizes(r->sc->home_size, r->sc->home_max);
    CHECK(st == MEGA_OK, "open after the crash: %d %s", st, w.message);
    return report_failures() == before;
}

bool scenario_verify(struct run *r, struct medium *image,
                     const struct scene *promised, uint64_t decided)
{
    return verify(r, image, promised, decided, NULL);
}

void scenario_tell(struct run *r, const struct crash_film *film,
                   const struct crash_point *p, const struct crash_pick *pick,
                   const char *after)
{
    char text[2000];
    r->totals->failures++;
    if (r->stop_at_failure || r->totals->failures > 10)
        return;
    crash_describe(film, p, pick, text, sizeof text);
    fprintf(stderr, "  ^ %s%s, seed %llu, %s\n", r->sc->name, after,
            (unsigned long long)r->seed, text);
}

/* ---- Crashed once more, inside recovery ---- */

static bool verify_second(const struct crash_point *p,
                          const struct crash_pick *pick, void *arg)
{
    struct inner *in = arg;
    struct run *r = in->run;
    crash_image(&in->film, p, pick, r->second);
    if (!scenario_verify(r, r->second, p->oracle, in->decided)) {
        scenario_tell(r, &in->film, p, pick, in->after);
        if (in->outer)
            scenario_tell(r, &r->film, in->outer, in->outer_pick, " (first)");
        return !r->stop_at_failure;
    }
    return true;
}

/* All points of the inner film, or every so many. */
static uint64_t verify_inner(struct inner *in, size_t most)
{
    struct crash_limits limits = {4, 3, 1};
    uint64_t n = 0, failures = in->run->totals->failures;
    size_t step = in->film.npoints / most + 1;
    for (size_t i = in->run->count % step; i < in->film.npoints; i += step) {
        n +=
            crash_each_pick(&in->film.points[i], &limits, i, verify_second, in);
        if (in->run->stop_at_failure && in->run->totals->failures != failures)
            break;
    }
    return n;
}

static void recovered(void *arg)
{
    stop_film(arg);
}

static void note(struct mega__ctx *ctx, int rank, void *arg)
{
    if (rank == 0)
        note_decided(ctx, arg);
}

/* The image is opened, over the hosts if there are some, and that is filmed. */
static void film_recovery(struct inner *in, const struct crash_point *p,
                          const struct crash_pick *pick, struct scene *promised)
{
    struct run *r = in->run;
    const struct scenario *sc = r->sc;
    struct world w = {.nranks =
                          sc->hosts ? sc->nranks : 1 + (r->count % 8 == 7),
                      .hosts = sc->hosts,
                      .fn = sc->hosts ? NULL : note,
                      .end = WORLD_KILL,
                      .together = true,
                      .opened = recovered,
                      .arg = in};
    memcpy(promised, p->oracle, sizeof *promised);
    crash_image(&r->film, p, pick, r->image);
    medium_use(r->image);
    crash_film_start(&in->film, r->image, promised, sizeof *promised);
    CHECK(world_run(&w) == MEGA_OK, "open: %s", w.message);
    crash_film_stop(&in->film);
}

static struct inner inner_of(struct run *r, const struct crash_point *p,
                             const struct crash_pick *pick)
{
    return (struct inner){.run = r,
                          .outer = p,
                          .outer_pick = pick,
                          .after = ", again inside recovery"};
}

/* Which point: any of those that the last recovery had. */
static void choose_point(struct inner *in, unsigned last)
{
    const unsigned most = last > 2 ? last - 2 : 1;
    in->film.only = 1 + (unsigned)(scenario_lot(in->run) % most);
}

/* As one of the scenario's own film, or of another recovery. */
static bool looked_at(const struct inner *in, const struct crash_point *p,
                      const struct crash_pick *pick)
{
    struct run *r = in->run;
    if (!in->film.borrowed || pick->kind != CRASH_SUBSET || /* else no print */
        seen_add(&r->seen, crash_fingerprint(&in->film, p, pick)))
        return false;
    r->totals->inside_same++;
    return true;
}

/* The point that was filmed, and one image of it. */
static void verify_inside(struct inner *in, unsigned *last_p)
{
    struct run *r = in->run;
    struct crash_pick second = {.choice = NULL};
    *last_p = in->film.seen;
    r->totals->inside++;
    const struct crash_point *at = &in->film.points[0];
    r->totals->inside_at[at->number / 64 % 8] |= UINT64_C(1) << at->number % 64;
    if (in->film.seen > r->totals->inside_most)
        r->totals->inside_most = in->film.seen;
    second.choice = calloc(at->ndirty + 1, 1);
    crash_any_pick(at, scenario_lot(r), &second);
    if (!looked_at(in, at, &second))
        verify_second(at, &second, in);
    free(second.choice);
}

bool scenario_verify_twice(struct run *r, const struct crash_point *p,
                           const struct crash_pick *pick, bool closely)
{
    struct inner in = inner_of(r, p, pick);
    in.closely = closely;
    choose_point(&in, r->inside);
    bool holds = verify(r, r->image, p->oracle, 0, &in);
    if (holds)
        verify_inside(&in, &r->inside);
    crash_film_free(&in.film);
    return holds;
}

void scenario_crash_inside(struct run *r, const struct crash_point *p,
                           const struct crash_pick *pick)
{
    struct inner in = inner_of(r, p, pick);
    struct scene promised;
    choose_point(&in, r->inside_hosts);
    film_recovery(&in, p, pick, &promised);
    verify_inside(&in, &r->inside_hosts);
    crash_film_free(&in.film);
}

void scenario_crash_recovery(struct run *r, const struct crash_point *p,
                             const struct crash_pick *pick)
{
    struct inner in = inner_of(r, p, pick);
    struct scene promised;
    in.closely = true;
    film_recovery(&in, p, pick, &promised);
    r->totals->again +=
        verify_inner(&in, r->budget->second * scenario_effort());
    crash_film_free(&in.film);
}

/* ---- Killed, reopened, worked on, then the power fails ---- */

void scenario_kill_and_work(struct run *r, const struct crash_point *p)
{
    struct crash_pick pick = {.kind = CRASH_KILL};
    struct inner in = {.run = r, .after = ", kill, work, power loss"};
    struct scene *promised = malloc(sizeof *promised);
    struct world w = {.nranks = r->sc->hosts ? r->sc->nranks : 1,
                      .hosts = r->sc->hosts,
                      .fn = scenario_work,
                      .end = WORLD_KILL,
                      .together = true,
                      .arg = promised};
    memcpy(promised, p->oracle, sizeof *promised);
    crash_image(&r->film, p, &pick, r->image);
    medium_use(r->image);
    crash_film_start(&in.film, r->image, promised, sizeof *promised);
    CHECK(world_run(&w) == MEGA_OK, "open after the kill: %s", w.message);
    crash_film_stop(&in.film);
    r->totals->kills +=
        verify_inner(&in, r->budget->second * scenario_effort());
    crash_film_free(&in.film);
    free(promised);
}
