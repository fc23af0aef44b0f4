/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * scenario.h - a piece of work, crashed at each of its points. Every image is
 * opened, checked against the invariants of the format and of recovery, the
 * library's own check and what was promised; then the heap is exhausted.
 * Besides, this recovery is crashed once more, at a point and to an image of
 * that chosen by lot, which is looked at in the same way. At some points
 * the recovery is crashed at many of its own; and the job is killed, reopened,
 * worked on, and only then without power.
 *
 * A scenario over hosts is filmed, crashed again inside recovery, and worked on
 * after a kill by ranks on these hosts, over net_delay. An image is verified by
 * a job on one host to which all files were carried, "restarted elsewhere", so
 * that one rank maps all homes; but some of a point are first opened over the
 * hosts, where each rank checks its own homes, and killed, in turn with a loss
 * of power: that open's replay and sweep are what is verified then, and it is
 * a recovery over the hosts that is crashed.
 */
#ifndef TEST_SCENARIO_H
#define TEST_SCENARIO_H

#include "crash.h"
#include "oracle.h"

struct scene { /* what the film copies at each point */
    struct oracle o;
    uint64_t v[16]; /* the scenario's own; change under medium_lock */
    mega_gptr_t p[64];
    uint64_t epoch; /* of the last open that has returned */
    uint64_t seed;  /* of this film */
    bool hands_off; /* scenario_work frees nothing: verify needs it all */
};

struct scenario {
    const char *name;
    int nranks;
    const int *hosts; /* [nranks], as in world.h; NULL: all on one */
    int founders;     /* with FILM_JOB: the ranks of job 1, 0: all; the others
                       * come without a home */
    const char *home_size, *home_max; /* NULL: those of world.h */
    uint64_t capacity;                /* of the medium; 0: endless */
    enum mega__how how;               /* 0: HOW_FLUSH */
    const char *atomics;              /* "nic": see turns.h; NULL: cpu */
    /* So many, each of another seed; 0: one. Of several none is looked at as
     * closely as of one, whatever the effort. */
    unsigned films;
    /* When they are dropped, the calls of each host have numbers of their own:
     * its ranks' at an open, where those of several come in any order. */
    bool by_host;
    bool device; /* the medium is one: medium.h */
    void (*setup)(struct mega__ctx *ctx, int rank, struct scene *s);
    void (*act)(struct mega__ctx *ctx, int rank, struct scene *s);
    /* Adds to the oracle, as MAYBE, what the image says of a chunk that no call
     * had told of yet; by rank 0, first of all. NULL: nothing. */
    void (*learn)(struct mega__ctx *ctx, struct scene *s);
    /* Beyond the oracle; by rank 0, before the heap is exhausted. NULL: none */
    void (*verify)(struct mega__ctx *ctx, const struct scene *s);
    enum {
        FILM_ACT,  /* one job: setup, then act is filmed */
        FILM_JOB,  /* job 1: setup; job 2 is filmed from open to close */
        FILM_FIRST /* the film begins without a space: no setup */
    } film;
    bool unclean; /* with FILM_JOB: job 1 is killed */
    bool cut;     /* not FILM_ACT: the film ends with act, killed */
    /* Not FILM_ACT: promises what the end of the job does. NULL: nothing. */
    void (*closed)(struct scene *s);
};

struct scenario_totals {
    uint64_t points, sampled; /* sampled: too many images for all */
    uint64_t images, repeated, again, kills, failures;
    uint64_t inside;          /* images whose recovery was crashed once more */
    uint64_t inside_at[8];    /* at these points of it, a bit each */
    unsigned inside_most;     /* points that a recovery had */
    uint64_t inside_same;     /* images of these that were looked at before */
    uint64_t flushes, drains; /* calls that the film saw */
    uint64_t flushes_of[MEDIUM_HOSTS], drains_of[MEDIUM_HOSTS]; /* by hosts */
    uint64_t seed;
};

/* Runs it; what fails is reported with the image. */
void scenario_run(const struct scenario *sc, struct scenario_totals *totals);

/* A flush or drain that may be dropped, and why: the code says it too. */
struct scenario_excuse {
    const char *kind, *what; /* "flush" or "drain"; part of its description */
    const char *why;
    unsigned only; /* this one, counted from 1; 0: each that is so described */
};

/* Drops each flush and each drain of the film in turn; each is named in a note
 * with what told. Returns how many no image tells and none of excuses (ended
 * by a kind NULL; may be NULL) explains. What is excused is not looked at but
 * with MEGA_CRASH_EFFORT above 1: then it counts if an image tells it. */
unsigned scenario_mutate(const struct scenario *sc,
                         const struct scenario_excuse *excuses);

/* Runs it and notes the numbers. */
void scenario_test(const struct scenario *sc);

/* A Criterion test of one scenario. */
#define SCENARIO_TEST(suite, test, ...)                                        \
    static const struct scenario suite##_##test##_scenario = {.name = #test,   \
                                                              __VA_ARGS__};    \
    Test(suite, test)                                                          \
    {                                                                          \
        scenario_test(&suite##_##test##_scenario);                             \
        cr_assert_eq(report_failures(), 0, "%s", report_first());              \
    }

/* MEGA_CRASH_EFFORT: how many times the usual number of images. */
uint64_t scenario_effort(void);

/* MEGA_CRASH_SEED: what is chosen by lot, who has turns, in which order the
 * delaying transport delivers. Else by the clock; the notes say it. */
uint64_t scenario_seed(void);

#endif
