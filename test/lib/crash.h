/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * crash.h - a film of a medium, and the images that a crash could leave.
 *
 * While a film runs, each point of the medium (medium.h) is recorded: what
 * the media hold, which lines are dirty, and what the program under test had
 * promised (an oracle: bytes that the test changes under medium_lock).
 * Afterwards each point gives images: the media, plus any choice of the dirty
 * lines, whole or torn; or, for kill -9, all that the CPU saw, while the
 * media lag behind.
 */
#ifndef TEST_CRASH_H
#define TEST_CRASH_H

#include "medium.h"

#define CRASH_VALUES                                                           \
    3 /* of a dirty line: on media, flushed, seen by the CPU                   \
       */

struct crash_line {
    uint32_t file; /* index in the point's files */
    uint64_t off;
    unsigned char bytes[MEGA__LINE];
};

struct crash_dirty {
    uint32_t file;
    uint64_t off;
    unsigned nvalues; /* 2..CRASH_VALUES; value 0 is what is on media */
    bool marks;       /* torn by bytes, not by words */
    unsigned char values[CRASH_VALUES][MEGA__LINE];
};

struct crash_file {
    char *name;
    uint64_t size, made, ino;
    int host, base; /* base: index in the film's first picture, or -1 */
};

struct crash_point {
    unsigned number;
    char what[128];
    struct crash_file *files;
    size_t nfiles;
    struct crash_line *delta; /* where media differ from the first picture */
    size_t ndelta;
    struct crash_dirty *dirty;
    size_t ndirty;
    void *oracle;
};

struct crash_film {
    struct medium *medium, *base; /* base: media only */
    uint64_t picture;             /* the number of base */
    bool borrowed;                /* base is another film's */
    const void *oracle;
    size_t oracle_size;
    struct crash_point *points;
    size_t npoints, room;
    bool of_drop;  /* only what follows when the medium has dropped something */
    unsigned seen; /* points met, also those equal to the last */
    unsigned only; /* not 0: record the point of this number alone; where there
                    * are not so many, the last */
    uint64_t evict_seed; /* not 0: dirty lines arrive by themselves, too */
};

enum crash_kind { CRASH_SUBSET, CRASH_TORN, CRASH_KILL };

/* Which value of each dirty line; for TORN, the seed of the mixture. */
struct crash_pick {
    enum crash_kind kind;
    uint64_t seed;
    unsigned char *choice; /* [ndirty] */
};

/* How many images of a point. */
struct crash_limits {
    uint64_t exhaustive; /* all subsets, while there are no more than these */
    uint64_t sampled;    /* else so many at random, with none and all */
    uint64_t torn;
};

/* The film is zero but for evict_seed, of_drop and only. */
void crash_film_start(struct crash_film *film, struct medium *m,
                      const void *oracle, size_t oracle_size);
/* Of what is done to an image of the first film, which m holds. */
void crash_film_again(struct crash_film *film, const struct crash_film *first,
                      struct medium *m, const void *oracle);
void crash_film_stop(struct crash_film *film);
void crash_film_free(struct crash_film *film);

/* Makes to the image of a point; nothing of it is open. */
void crash_image(const struct crash_film *film, const struct crash_point *p,
                 const struct crash_pick *pick, struct medium *to);

/* Of the image of a SUBSET and of what is promised: equal ones need to be
 * looked at once. */
uint64_t crash_fingerprint(const struct crash_film *film,
                           const struct crash_point *p,
                           const struct crash_pick *pick);

/* How many subsets a point has; above limit: a number above limit. */
uint64_t crash_subsets(const struct crash_point *p, uint64_t limit);

/* Calls fn for each pick of a point within the limits, until it returns
 * false; returns how many there were. */
typedef bool (*crash_pick_fn)(const struct crash_point *p,
                              const struct crash_pick *pick, void *arg);
uint64_t crash_each_pick(const struct crash_point *p,
                         const struct crash_limits *limits, uint64_t seed,
                         crash_pick_fn fn, void *arg);

/* A pick by lot: all lost, all kept, any subset, torn lines, each as likely.
 * Fills choice, which has room for ndirty. */
void crash_any_pick(const struct crash_point *p, uint64_t seed,
                    struct crash_pick *pick);

/* The lines of a pick, in words. */
void crash_describe(const struct crash_film *film, const struct crash_point *p,
                    const struct crash_pick *pick, char *text, size_t size);

#endif
