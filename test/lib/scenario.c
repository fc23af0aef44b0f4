/* SPDX-License-Identifier: BSD-3-Clause */
/* scenario.c - see scenario.h. MEGA_CRASH_EFFORT=N looks at N times as many
 * images at points that have more than can be tried. */
#include "scenario_run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net_delay.h"
#include "report.h"
#include "scenario_work.h"
#include "world.h"

/* How much is looked at, chosen here alone. AddressSanitizer takes thrice the
 * time for an image: it sees fewer, and each scenario. Over hosts an image
 * takes thrice the time, too. */
#if defined(__SANITIZE_ADDRESS__)
static const struct budget one_host = {32, UINT64_MAX, 4, 4, 2, 1, 2, 3, 2, 0};
static const struct budget more_hosts = {4, UINT64_MAX, 2, 1, 1, 1, 1, 2, 1, 1};
#else
static const struct budget one_host = {4096, 3000, 64, 24, 4, 4, 8, 6, 4, 0};
static const struct budget more_hosts = {4096, 2000, 4, 2, 2, 1, 2, 2, 4, 1};
#endif
/* By hosts: a torn line of one home decides, where the others are not born. */
static const struct budget births = {16, UINT64_MAX, 4, 2, 2, 4, 1, 2, 4, 8};

/* Times as many, where one must tell what is dropped: the first ends it. */
#define MUTANT 4

static struct run run_of(const struct scenario *sc,
                         struct scenario_totals *totals)
{
    struct run r = {.sc = sc, .totals = totals, .drop_of = -1, .carried = true};
    r.budget = sc->by_host ? &births : sc->hosts ? &more_hosts : &one_host;
    r.scene = calloc(1, sizeof *r.scene);
    return r;
}

/* ---- All images of a film ---- */

uint64_t scenario_lot(struct run *r)
{
    return medium_random(&r->lot) >> 16;
}

/* So many of the images of this point, by lot. */
static bool lot(struct run *r, uint64_t of)
{
    return scenario_lot(r) % r->picks < of;
}

/* Is what must hold so of the image? */
static bool look(struct run *r, const struct crash_point *p,
                 const struct crash_pick *pick)
{
    const bool over_hosts = lot(r, r->budget->by_hosts);
    if (!r->kind && !over_hosts)
        return scenario_verify_twice(
            r, p, pick, lot(r, r->budget->closely * scenario_effort()));
    r->carried = !over_hosts;
    bool holds = scenario_verify(r, r->image, p->oracle, 0);
    if (holds && !r->kind)
        scenario_crash_inside(r, p, pick);
    r->carried = true;
    return holds;
}

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
    if (look(r, p, pick))
        return true;
    scenario_tell(r, &r->film, p, pick, "");
    return !r->stop_at_failure;
}

static void verify_film(struct run *r, size_t most_points)
{
    uint64_t more = r->kind && !r->why ? MUTANT : 1;
    uint64_t times = (r->sc->films > 1 ? 1 : scenario_effort()) * more;
    const bool films = r->sc->films > 1;
    struct crash_limits limits = {
        r->exhaustive * more,
        (films ? r->budget->of_films : r->budget->sampled) * times,
        (films ? 1 : r->budget->torn) * times};
    if (r->briefly)
        limits = (struct crash_limits){4, 3, 1};
    size_t step = r->film.npoints / most_points + 1;
    for (size_t i = 0; i < r->film.npoints; i++) {
        const struct crash_point *p = &r->film.points[i];
        struct crash_pick all_lost = {.choice = calloc(p->ndirty + 1, 1)};
        r->totals->points++;
        r->picks = crash_subsets(p, limits.exhaustive);
        if (r->picks > limits.exhaustive) {
            r->totals->sampled++;
            r->picks = limits.sampled;
        }
        crash_each_pick(p, &limits, i, verify_first, r);
        if (!r->stop_at_failure || (r->totals->failures == 0 && !r->briefly))
            if (i % step == 0) {
                r->carried = false;
                scenario_crash_recovery(r, p, &all_lost);
                scenario_kill_and_work(r, p);
                r->carried = true;
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
    int drop_of;                     /* of this host's; -1: of all */
};

/* What came after, of numbers that count up. */
static void subtract(uint64_t *from, const uint64_t *now)
{
    for (unsigned h = 0; h < MEDIUM_HOSTS; h++)
        from[h] = now[h] - from[h];
}

static void start_film(struct filming *f)
{
    struct medium *m = medium_in_use();
    struct scene *s = f->run->scene;
    m->dropped[0] = '\0';
    struct scenario_totals *t = f->run->totals;
    const int of = f->drop_of;
    m->drop_of = of;
    if (f->drop_flush != MEDIUM_NEVER)
        m->drop_flush =
            f->drop_flush + (of < 0 ? m->flushes : m->flushes_of[of]);
    if (f->drop_drain != MEDIUM_NEVER)
        m->drop_drain = f->drop_drain + (of < 0 ? m->drains : m->drains_of[of]);
    t->flushes = m->flushes;
    t->drains = m->drains;
    memcpy(t->flushes_of, m->flushes_of, sizeof t->flushes_of);
    memcpy(t->drains_of, m->drains_of, sizeof t->drains_of);
    crash_film_start(&f->run->film, m, s, sizeof *s);
}

static void end_film(struct filming *f)
{
    struct medium *m = medium_in_use();
    crash_film_stop(&f->run->film);
    f->run->totals->flushes = m->flushes - f->run->totals->flushes;
    f->run->totals->drains = m->drains - f->run->totals->drains;
    subtract(f->run->totals->flushes_of, m->flushes_of);
    subtract(f->run->totals->drains_of, m->drains_of);
    m->drop_flush = m->drop_drain = MEDIUM_NEVER;
}

static void setup_job(struct mega__ctx *ctx, int rank, void *arg)
{
    struct run *r = ((struct filming *)arg)->run;
    scenario_opened(ctx, r->scene);
    if (r->sc->setup)
        r->sc->setup(ctx, rank, r->scene);
}

static void act_job(struct mega__ctx *ctx, int rank, void *arg)
{
    struct run *r = ((struct filming *)arg)->run;
    scenario_opened(ctx, r->scene);
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
    struct world w = {.nranks = sc->nranks, .hosts = sc->hosts, .arg = f};
    scenario_sizes(sc->home_size, sc->home_max);
    net_delay_seed(f->run->seed);
    m->how = sc->how ? sc->how : MEGA__HOW_FLUSH;
    m->device = sc->device;
    m->tail = MEDIUM_TAIL;
    m->capacity = sc->capacity ? sc->capacity : MEDIUM_NEVER;
    if (sc->film == FILM_ACT) {
        w.fn = filmed_job;
        w.end = WORLD_KILL;
        CHECK(world_run(&w) == MEGA_OK, "%s: %s", sc->name, w.message);
        return;
    }
    if (sc->film == FILM_JOB) {
        w.fn = setup_job;
        w.nranks = sc->founders ? sc->founders : sc->nranks;
        w.end = sc->unclean ? WORLD_KILL : WORLD_CLOSE;
        CHECK(world_run(&w) == MEGA_OK, "%s: %s", sc->name, w.message);
    }
    start_film(f);
    w.nranks = sc->nranks;
    w.fn = act_job;
    w.end = sc->cut ? WORLD_KILL : WORLD_CLOSE;
    CHECK(world_run(&w) == MEGA_OK, "%s: %s", sc->name, w.message);
    if (sc->closed)
        sc->closed(f->run->scene);
    end_film(f);
}

/* Why what was dropped may be, or NULL. */
static const char *excuse(const struct run *r)
{
    for (const struct scenario_excuse *e = r->excuses; e && e->kind; e++)
        if (strcmp(e->kind, r->kind) == 0 && strstr(r->dropped, e->what) &&
            (e->only == 0 || e->only == r->number + 1))
            return e->why;
    return NULL;
}

/* The work, on a new medium, as a film of r. */
static struct medium *film(struct run *r, uint64_t drop_flush,
                           uint64_t drop_drain, uint64_t evict_seed)
{
    struct filming f = {r, drop_flush, drop_drain, r->drop_of};
    struct medium *m = world_begin();
    memset(r->scene, 0, sizeof *r->scene);
    r->scene->seed = r->seed;
    r->lot = 2 * r->seed + 1;
    memset(&r->film, 0, sizeof r->film);
    r->film.evict_seed = evict_seed;
    r->film.of_drop = r->kind != NULL; /* the rest was looked at without it */
    world_set("ATOMICS", r->sc->atomics);
    make_film(&f, m);
    world_set("ATOMICS", NULL);
    memcpy(r->dropped, m->dropped, sizeof r->dropped);
    return m;
}

/* Images of points that are not too many for all. */
static uint64_t all_images(const struct run *r)
{
    uint64_t images = 0;
    for (size_t i = 0; i < r->film.npoints; i++) {
        const uint64_t n = crash_subsets(&r->film.points[i], r->exhaustive);
        images += n > r->exhaustive ? 0 : n;
    }
    return images;
}

/* All its images; of what is excused, only with an effort. */
static void verify(struct run *r, size_t inner_points)
{
    r->image = medium_new();
    r->second = medium_new();
    r->then = medium_new();
    r->why = excuse(r);
    if (!r->why || scenario_effort() > 1) {
        if (r->kind) { /* most are told by the first images */
            r->briefly = true;
            verify_film(r, inner_points);
            r->briefly = false;
        }
        if (!r->kind || r->totals->failures == 0)
            verify_film(r, inner_points);
    }
    seen_free(&r->seen);
    medium_free(&r->image);
    medium_free(&r->second);
    medium_free(&r->then);
}

static void film_and_verify(struct run *r, uint64_t drop_flush,
                            uint64_t drop_drain, uint64_t evict_seed,
                            size_t inner_points)
{
    struct medium *m = film(r, drop_flush, drop_drain, evict_seed);
    verify(r, inner_points);
    crash_film_free(&r->film);
    world_end(&m);
}

/* A seed of work by lot that is not too long: of forty films the largest had
 * 7 to 30 times the images of the middle one, and all are looked at. */
#define DRAWS 20
static void draw(struct run *r)
{
    if (r->sc->films < 2 || getenv("MEGA_CRASH_SEED") || scenario_effort() > 1)
        return;
    for (unsigned i = 0; i < DRAWS; i++) {
        struct medium *m = film(r, MEDIUM_NEVER, MEDIUM_NEVER, 0);
        const bool fits = all_images(r) <= r->budget->drawn;
        crash_film_free(&r->film);
        world_end(&m);
        if (fits)
            break;
        r->seed++;
    }
    r->totals->seed = r->seed;
}

void scenario_run(const struct scenario *sc, struct scenario_totals *totals)
{
    memset(totals, 0, sizeof *totals);
    struct run r = run_of(sc, totals);
    r.seed = totals->seed = scenario_seed();
    const uint64_t few =
        r.budget->few * (sc->films > 1 ? 1 : scenario_effort());
    r.exhaustive = r.budget->exhaustive;
    draw(&r);
    film_and_verify(&r, MEDIUM_NEVER, MEDIUM_NEVER, 0, r.budget->inside);
    r.exhaustive = few;
    struct scenario_totals first = *totals;
    for (uint64_t i = 1; i < sc->films; i++) {
        r.seed++;
        film_and_verify(&r, MEDIUM_NEVER, MEDIUM_NEVER, 0, 1);
    }
    const uint64_t evictions = sc->films > 1 ? 1 : scenario_effort();
    for (uint64_t e = 0; e < evictions; e++) {
        r.seed++;
        film_and_verify(&r, MEDIUM_NEVER, MEDIUM_NEVER, 77 + 2 * e,
                        sc->hosts ? 1 : 2);
    }
    totals->flushes = first.flushes;
    totals->drains = first.drains;
    free(r.scene);
}

/* ---- Is the harness awake? ---- */

/* 1: no image tells, and nothing explains it; or an image tells what is called
 * harmless. */
static unsigned mutate_one(const struct scenario *sc, int of, uint64_t number,
                           const char *kind, const struct scenario_excuse *e)
{
    char whose[24] = "";
    bool flush = strcmp(kind, "flush") == 0;
    struct scenario_totals totals = {0};
    struct run r = run_of(sc, &totals);
    r.excuses = e;
    r.kind = kind;
    r.drop_of = of;
    r.number = number;
    r.stop_at_failure = true;
    r.exhaustive = r.budget->few;
    film_and_verify(&r, flush ? number : MEDIUM_NEVER,
                    flush ? MEDIUM_NEVER : number, 0, 4);
    free(r.scene);
    bool told = totals.failures > 0;
    if (of >= 0)
        snprintf(whose, sizeof whose, " of host %d", of);
    report_note("%s: without %s %llu%s (%s): %s%s%.160s", sc->name, kind,
                (unsigned long long)number, whose, r.dropped,
                r.why  ? "harmless: "
                : told ? ""
                       : "NOT TOLD",
                r.why ? r.why : "", told ? report_first() : "");
    report_reset();
    return told == (r.why != NULL);
}

unsigned scenario_mutate(const struct scenario *sc,
                         const struct scenario_excuse *excuses)
{
    struct scenario_totals totals = {0};
    struct run r = run_of(sc, &totals);
    r.briefly = true;
    unsigned unexplained = 0;
    r.exhaustive = r.budget->few;
    film_and_verify(&r, MEDIUM_NEVER, MEDIUM_NEVER, 0, 1);
    free(r.scene);
    CHECK(totals.failures == 0, "%s fails as it is", sc->name);
    report_note("%s: %llu flushes, %llu drains to drop", sc->name,
                (unsigned long long)totals.flushes,
                (unsigned long long)totals.drains);
    if (totals.failures)
        return 0;
    report_quiet(1);
    const int first = sc->by_host ? 0 : -1,
              end = sc->by_host ? MEDIUM_HOSTS : 0;
    for (int of = first; of < end; of++) {
        uint64_t n = of < 0 ? totals.flushes : totals.flushes_of[of];
        for (uint64_t k = 0; k < n; k++)
            unexplained += mutate_one(sc, of, k, "flush", excuses);
        n = of < 0 ? totals.drains : totals.drains_of[of];
        for (uint64_t k = 0; k < n; k++)
            unexplained += mutate_one(sc, of, k, "drain", excuses);
    }
    report_quiet(0);
    return unexplained;
}
