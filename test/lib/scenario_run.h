/* SPDX-License-Identifier: BSD-3-Clause */
/* scenario_run.h - a run of a scenario, shared by scenario.c, which films it
 * and chooses images, and scenario_image.c, which looks at one. */
#ifndef TEST_SCENARIO_RUN_H
#define TEST_SCENARIO_RUN_H

#include "scenario.h"
#include "seen.h"

/* How much is looked at (scenario.c). */
struct budget {
    uint64_t exhaustive; /* all images of a point, if no more than these */
    uint64_t drawn;    /* of a first film by lot, of all its points together */
    uint64_t few;      /* the same, where all was looked at already */
    uint64_t sampled;  /* of a point that has more; times the effort */
    uint64_t of_films; /* the same, where there are several films */
    uint64_t torn;     /* of each point; times the effort */
    size_t inside;     /* points with a crash in recovery, and a kill */
    uint64_t second;   /* points of each of these; times the effort */
    uint64_t closely;  /* images of a point, compared; times the effort */
    uint64_t by_hosts; /* so many are opened over the hosts, too */
};

struct run { /* of one scenario */
    const struct scenario *sc;
    const struct budget *budget;
    struct scenario_totals *totals;
    struct scene *scene;
    uint64_t count, seed;  /* seed: other in each film of the scenario */
    uint64_t lot;          /* of what is done inside recovery */
    uint64_t picks;        /* of this point, at most */
    bool carried;          /* this image is not opened over the hosts */
    unsigned inside;       /* points of the last recovery that was crashed */
    unsigned inside_hosts; /* the same, over hosts */
    struct crash_film film;
    struct medium *image, *second, *then; /* scratch */
    struct seen seen;
    const struct scenario_excuse *excuses; /* of what is dropped */
    const char *kind, *why;                /* its kind; why it is harmless */
    uint64_t number;
    int drop_of; /* of this host's calls; -1: of all */
    char dropped[128];
    uint64_t exhaustive;           /* all subsets of a point, up to so many */
    bool stop_at_failure, briefly; /* a few images of each point */
};

/* A number by lot. */
uint64_t scenario_lot(struct run *r);

/* The sizes of homes; NULL: those of world.h. */
void scenario_sizes(const char *size, const char *max);

/* Opens the image, by one rank or two; false: something was not so. decided:
 * by a recovery that was cut off; 0: by none. */
bool scenario_verify(struct run *r, struct medium *image,
                     const struct scene *promised, uint64_t decided);

/* What was not so was so of this image. */
void scenario_tell(struct run *r, const struct crash_film *film,
                   const struct crash_point *p, const struct crash_pick *pick,
                   const char *after);

/* As scenario_verify, of the image that r has made of this; and the recovery is
 * crashed once more, at one point of it, to one image. */
bool scenario_verify_twice(struct run *r, const struct crash_point *p,
                           const struct crash_pick *pick, bool closely);

/* A recovery over the hosts is crashed so. */
void scenario_crash_inside(struct run *r, const struct crash_point *p,
                           const struct crash_pick *pick);

/* The same, at many points. */
void scenario_crash_recovery(struct run *r, const struct crash_point *p,
                             const struct crash_pick *pick);

/* Killed, reopened, worked on, then the power fails. */
void scenario_kill_and_work(struct run *r, const struct crash_point *p);

#endif
