/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * scenario.c - see scenario.h. MEGA_CRASH_EFFORT=N looks at N times as many
 * images at points that have more than can be tried.
 */
#include "scenario.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "invariants.h"
#include "log.h"
#include "ops.h"
#include "report.h"
#include "scenario_work.h"
#include "seen.h"
#include "world.h"

/* How much is looked at, chosen here alone. AddressSanitizer takes thrice the
 * time for an image: it sees fewer, and each scenario. */
struct budget {
    uint64_t exhaustive;    /* all images of a point, if no more than these */
    uint64_t few;           /* the same, where all was looked at already */
    uint64_t sampled, torn; /* of a point that has more; times the effort */
    size_t inside;          /* points with a crash in recovery, and a kill */
    uint64_t second;        /* points of each of these; times the effort */
};
#if defined(__SANITIZE_ADDRESS__)
static const struct budget budget = {32, 4, 4, 1, 2, 3};
#else
static const struct budget budget = {4096, 64, 24, 4, 8, 8};
#endif

struct run { /* of one scenario */
    const struct scenario *sc;
    struct scenario_totals *totals;
    struct scene *scene;
    struct crash_film film;
    struct medium *image, *second; /* scratch */
    struct seen seen;
    char dropped[128];
    uint64_t exhaustive; /* all subsets of a point, up to so many */
    bool stop_at_failure;
    uint64_t count;
};

struct verification {
    const struct scenario *sc;
    const struct scene *promised;
    uint64_t seed;
};

uint64_t scenario_effort(void)
{
    const char *text = getenv("MEGA_CRASH_EFFORT");
    uint64_t n = text ? strtoull(text, NULL, 10) : 1;
    return n ? n : 1;
}

/* ---- One image ---- */

static void verify_job(struct mega__ctx *ctx, int rank, void *arg)
{
    struct verification *v = arg;
    if (rank == 0) {
        invariants_of_recovery(ctx);
        invariants_of_format(ctx);
        if (v->sc->verify)
            v->sc->verify(ctx, v->promised);
        if (!v->sc->foreign_chunks)
            oracle_verify(ctx, &v->promised->o);
        scenario_library_check(ctx);
        oracle_exhaust(ctx, &v->promised->o, v->seed);
        invariants_of_format(ctx);
        scenario_library_check(ctx);
    }
    world_barrier(ctx);
}

static void set_up_world(const struct scenario *sc)
{
    world_set("HOME_SIZE", sc->home_size ? sc->home_size : "3M");
    world_set("HOME_MAX", sc->home_max ? sc->home_max : "3M");
}

/* Opens the image, by one rank or two; false: something was not so. */
static bool verify(struct run *r, struct medium *image,
                   const struct scene *promised)
{
    struct verification v = {r->sc, promised, r->count};
    struct world w = {
        .nranks = 1 + (r->count % 8 == 7), .fn = verify_job, .arg = &v};
    uint64_t before = report_failures();
    r->count++;
    medium_use(image);
    /* What the scenario grew counts as it is: the heap must be exhaustible. */
    world_set("HOME_SIZE", "3M");
    world_set("HOME_MAX", "3M");
    mega_status_t st = world_run(&w);
    set_up_world(r->sc);
    CHECK(st == MEGA_OK, "open after the crash: %d %s", st, w.message);
    return report_failures() == before;
}

static void tell_image(struct run *r, const struct crash_film *film,
                       const struct crash_point *p,
                       const struct crash_pick *pick, const char *after)
{
    char text[2000];
    r->totals->failures++;
    if (r->stop_at_failure || r->totals->failures > 10)
        return;
    crash_describe(film, p, pick, text, sizeof text);
    fprintf(stderr, "  ^ %s%s, %s\n", r->sc->name, after, text);
}

/* ---- Crashed once more, inside recovery ---- */

struct inner {
    struct run *run;
    struct crash_film film;
    const struct crash_point *outer; /* NULL: of a kill */
    const struct crash_pick *outer_pick;
    const char *after;
};

static bool verify_second(const struct crash_point *p,
                          const struct crash_pick *pick, void *arg)
{
    struct inner *in = arg;
    struct run *r = in->run;
    crash_image(&in->film, p, pick, r->second);
    if (!verify(r, r->second, p->oracle)) {
        tell_image(r, &in->film, p, pick, in->after);
        if (in->outer)
            tell_image(r, &r->film, in->outer, in->outer_pick, " (first)");
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

static void stop_film(void *arg)
{
    crash_film_stop(arg);
}

static void crash_recovery(struct run *r, const struct crash_point *p,
                           const struct crash_pick *pick)
{
    struct inner in = {.run = r,
                       .outer = p,
                       .outer_pick = pick,
                       .after = ", again inside recovery"};
    struct world w = {.nranks = 1 + (r->count % 8 == 7),
                      .end = WORLD_KILL,
                      .opened = stop_film,
                      .arg = &in.film};
    struct scene promised;
    memcpy(&promised, p->oracle, sizeof promised);
    crash_image(&r->film, p, pick, r->image);
    medium_use(r->image);
    crash_film_start(&in.film, r->image, &promised, sizeof promised);
    CHECK(world_run(&w) == MEGA_OK, "open: %s", w.message);
    crash_film_stop(&in.film);
    r->totals->again += verify_inner(&in, budget.second * scenario_effort());
    crash_film_free(&in.film);
}

/* ---- Killed, reopened, worked on, then the power fails ---- */

static void kill_and_work(struct run *r, const struct crash_point *p)
{
    struct crash_pick pick = {.kind = CRASH_KILL};
    struct inner in = {.run = r, .after = ", kill, work, power loss"};
    struct scene *promised = malloc(sizeof *promised);
    struct world w = {
        .nranks = 1, .fn = scenario_work, .end = WORLD_KILL, .arg = promised};
    memcpy(promised, p->oracle, sizeof *promised);
    crash_image(&r->film, p, &pick, r->image);
    medium_use(r->image);
    crash_film_start(&in.film, r->image, promised, sizeof *promised);
    CHECK(world_run(&w) == MEGA_OK, "open after the kill: %s", w.message);
    crash_film_stop(&in.film);
    r->totals->kills += verify_inner(&in, budget.second * scenario_effort());
    crash_film_free(&in.film);
    free(promised);
}

/* ---- All images of a film ---- */

static bool verify_first(const struct crash_point *p,
                         const struct crash_pick *pick, void *arg)
{
    struct run *r = arg;
    if (pick->kind == CRASH_SUBSET &&
        !seen_add(&r->seen, crash_fingerprint(&r->film, p, pick))) {
        r->totals->repeated++;
        return true;
    }
    r->totals->images++;
    crash_image(&r->film, p, pick, r->image);
    if (!verify(r, r->image, p->oracle)) {
        tell_image(r, &r->film, p, pick, "");
        return !r->stop_at_failure;
    }
    return true;
}

static void verify_film(struct run *r, size_t most_points)
{
    uint64_t effort = scenario_effort();
    struct crash_limits limits = {r->exhaustive, budget.sampled * effort,
                                  budget.torn * effort};
    size_t step = r->film.npoints / most_points + 1;
    size_t stride = r->sc->thin ? r->sc->thin : 1;
    for (size_t i = 0; i < r->film.npoints; i += stride) {
        const struct crash_point *p = &r->film.points[i];
        struct crash_pick all_lost = {.choice = calloc(p->ndirty + 1, 1)};
        r->totals->points++;
        r->totals->sampled +=
            crash_subsets(p, limits.exhaustive) > limits.exhaustive;
        crash_each_pick(p, &limits, i, verify_first, r);
        if (!r->stop_at_failure || r->totals->failures == 0)
            if (i / stride % step == 0) {
                crash_recovery(r, p, &all_lost);
                kill_and_work(r, p);
            }
        free(all_lost.choice);
        if (r->stop_at_failure && r->totals->failures > 0)
            break;
    }
}

/* ---- Filming ---- */

struct filming {
    struct run *run;
    uint64_t drop_flush, drop_drain; /* within the film; or MEDIUM_NEVER */
};

static void start_film(struct filming *f)
{
    struct medium *m = medium_in_use();
    struct scene *s = f->run->scene;
    if (f->drop_flush != MEDIUM_NEVER)
        m->drop_flush = m->flushes + f->drop_flush;
    if (f->drop_drain != MEDIUM_NEVER)
        m->drop_drain = m->drains + f->drop_drain;
    f->run->totals->flushes = m->flushes;
    f->run->totals->drains = m->drains;
    crash_film_start(&f->run->film, m, s, sizeof *s);
}

static void end_film(struct filming *f)
{
    struct medium *m = medium_in_use();
    crash_film_stop(&f->run->film);
    f->run->totals->flushes = m->flushes - f->run->totals->flushes;
    f->run->totals->drains = m->drains - f->run->totals->drains;
    m->drop_flush = m->drop_drain = MEDIUM_NEVER;
}

static void setup_job(struct mega__ctx *ctx, int rank, void *arg)
{
    struct run *r = ((struct filming *)arg)->run;
    if (r->sc->setup)
        r->sc->setup(ctx, rank, r->scene);
}

static void act_job(struct mega__ctx *ctx, int rank, void *arg)
{
    struct run *r = ((struct filming *)arg)->run;
    if (r->sc->act)
        r->sc->act(ctx, rank, r->scene);
}

static void filmed_job(struct mega__ctx *ctx, int rank, void *arg)
{
    setup_job(ctx, rank, arg);
    world_barrier(ctx);
    if (rank == 0)
        start_film(arg);
    world_barrier(ctx);
    act_job(ctx, rank, arg);
    world_barrier(ctx);
    if (rank == 0)
        end_film(arg);
    world_barrier(ctx);
}

static void make_film(struct filming *f, struct medium *m)
{
    const struct scenario *sc = f->run->sc;
    struct world w = {.nranks = sc->nranks, .arg = f};
    set_up_world(sc);
    m->how = sc->how ? sc->how : MEGA__HOW_FLUSH;
    m->capacity = sc->capacity ? sc->capacity : MEDIUM_NEVER;
    if (sc->film == FILM_ACT) {
        w.fn = filmed_job;
        w.end = WORLD_KILL;
        CHECK(world_run(&w) == MEGA_OK, "%s: %s", sc->name, w.message);
        return;
    }
    if (sc->film == FILM_JOB) {
        w.fn = setup_job;
        w.end = sc->unclean ? WORLD_KILL : WORLD_CLOSE;
        CHECK(world_run(&w) == MEGA_OK, "%s: %s", sc->name, w.message);
    }
    start_film(f);
    w.fn = act_job;
    w.end = WORLD_CLOSE;
    CHECK(world_run(&w) == MEGA_OK, "%s: %s", sc->name, w.message);
    end_film(f);
}

/* One film and all its images. */
static void film_and_verify(struct run *r, uint64_t drop_flush,
                            uint64_t drop_drain, uint64_t evict_seed,
                            size_t inner_points)
{
    struct filming f = {r, drop_flush, drop_drain};
    struct medium *m = world_begin();
    memset(r->scene, 0, sizeof *r->scene);
    memset(&r->film, 0, sizeof r->film);
    r->film.evict_seed = evict_seed;
    r->image = medium_new();
    r->second = medium_new();
    make_film(&f, m);
    memcpy(r->dropped, m->dropped, sizeof r->dropped);
    verify_film(r, inner_points);
    crash_film_free(&r->film);
    seen_free(&r->seen);
    medium_free(&r->image);
    medium_free(&r->second);
    world_end(&m);
}

void scenario_run(const struct scenario *sc, struct scenario_totals *totals)
{
    struct run r = {.sc = sc, .totals = totals};
    memset(totals, 0, sizeof *totals);
    r.scene = calloc(1, sizeof *r.scene);
    r.exhaustive = budget.exhaustive;
    film_and_verify(&r, MEDIUM_NEVER, MEDIUM_NEVER, 0, budget.inside);
    r.exhaustive = budget.few * scenario_effort();
    struct scenario_totals first = *totals;
    for (uint64_t e = 0; e < scenario_effort(); e++)
        film_and_verify(&r, MEDIUM_NEVER, MEDIUM_NEVER, 77 + 2 * e, 2);
    totals->flushes = first.flushes;
    totals->drains = first.drains;
    free(r.scene);
}

/* ---- Is the harness awake? ---- */

static bool mutant_survives(const struct scenario *sc, uint64_t drop_flush,
                            uint64_t drop_drain, char *what, size_t size)
{
    struct scenario_totals totals = {0};
    struct run r = {.sc = sc,
                    .totals = &totals,
                    .stop_at_failure = true,
                    .exhaustive = budget.few};
    r.scene = calloc(1, sizeof *r.scene);
    film_and_verify(&r, drop_flush, drop_drain, 0, 4);
    snprintf(what, size, "%s", r.dropped);
    free(r.scene);
    return totals.failures == 0;
}

static const char *excuse(const struct scenario_excuse *e, const char *kind,
                          const char *what)
{
    for (; e && e->kind; e++)
        if (strcmp(e->kind, kind) == 0 && strstr(what, e->what))
            return e->why;
    return NULL;
}

/* 1: no image tells, and nothing explains it. */
static unsigned mutate_one(const struct scenario *sc, uint64_t number,
                           const char *kind, const struct scenario_excuse *e)
{
    bool flush = strcmp(kind, "flush") == 0;
    char what[128];
    bool survives =
        mutant_survives(sc, flush ? number : MEDIUM_NEVER,
                        flush ? MEDIUM_NEVER : number, what, sizeof what);
    const char *why = excuse(e, kind, what);
    report_note("%s: without %s %llu (%s): %s%.160s", sc->name, kind,
                (unsigned long long)number, what,
                !survives ? ""
                : why     ? "harmless: "
                          : "NOT TOLD",
                !survives ? report_first()
                : why     ? why
                          : "");
    report_reset();
    return survives && !why;
}

unsigned scenario_mutate(const struct scenario *sc,
                         const struct scenario_excuse *excuses)
{
    struct scenario_totals totals = {0};
    struct run r = {.sc = sc, .totals = &totals, .exhaustive = budget.few};
    unsigned unexplained = 0;
    r.scene = calloc(1, sizeof *r.scene);
    film_and_verify(&r, MEDIUM_NEVER, MEDIUM_NEVER, 0, 1);
    free(r.scene);
    CHECK(totals.failures == 0, "%s fails as it is", sc->name);
    report_note("%s: %llu flushes, %llu drains to drop", sc->name,
                (unsigned long long)totals.flushes,
                (unsigned long long)totals.drains);
    if (totals.failures)
        return 0;
    report_quiet(1);
    for (uint64_t k = 0; k < totals.flushes; k++)
        unexplained += mutate_one(sc, k, "flush", excuses);
    for (uint64_t k = 0; k < totals.drains; k++)
        unexplained += mutate_one(sc, k, "drain", excuses);
    report_quiet(0);
    return unexplained;
}

void scenario_test(const struct scenario *sc)
{
    struct scenario_totals t;
    scenario_run(sc, &t);
    report_note("%s: %llu points (%llu with too many images for all), %llu "
                "images (%llu more equal to one of them), %llu of a second "
                "crash, %llu of kill and power loss, %llu failures",
                sc->name, (unsigned long long)t.points,
                (unsigned long long)t.sampled, (unsigned long long)t.images,
                (unsigned long long)t.repeated, (unsigned long long)t.again,
                (unsigned long long)t.kills, (unsigned long long)t.failures);
}
