/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * homes.h - the homes that the arguments name, put together: which files,
 * which spans, which regions live. Parts that are damaged are left out and
 * are among the problems, so that what is here can be read without a check.
 */
#ifndef TOOL_HOMES_H
#define TOOL_HOMES_H

#include "class.h"
#include "image.h"
#include "record.h"

struct home {
    uint32_t no;
    struct span *spans; /* by number, [0, nspans); image NULL: left out */
    uint32_t nspans;
    const struct mega__home_block *block; /* NULL: left out */
    const struct span *span0;             /* it holds the block */
    uint64_t epoch, clean, reached, lot;  /* 0 too if damaged */
};

struct region {
    uint32_t id;
    uint64_t bytes_per_home;
    char name[MEGA__NAME_BYTES]; /* cleaned */
};

struct space {
    struct image *images;
    size_t nimages;
    struct home *homes; /* those given, by number */
    size_t nhomes;
    const struct home *latest; /* of them: home_of_all is the highest */
    const struct home *used;   /* one that a job has had open, or NULL */
    bool filled;               /* one of them is (block.h) */
    uint32_t of;               /* homes of the space */
    uint8_t uuid[16];
    bool whole; /* a directory was given: what lacks is missing */
    const struct image *twice[2]; /* pool files of one number, the first met */
    bool have_live;               /* home 0 is here, so live is known */
    struct region *live;
    size_t nlive;
    uint32_t ended[MEGA_REGIONS_MAX]; /* CREATING or DYING */
    size_t nended;
    struct mega__classes classes;
};

/* args: directories, pool files. False: nothing can be read; said on stderr.
 * The space is to be closed in any case. */
bool space_open(char **args, bool writable, struct problems *problems,
                struct space *space);

/* Of two copies nobody can say which one is meant: for who changes something.
 * True: there are none; else said on stderr. */
bool space_once(const struct space *space);

/* The same for who only looks at what is there: at a home at least. Says once
 * if something is damaged and left out. */
bool space_look(char **args, struct space *space);
void space_tell_damage(const struct problems *problems);
void space_close(struct space *space);

/* NULL: not given. */
const struct home *space_home(const struct space *space, uint32_t no);
/* The last epoch of which a home knows that all had it (layout.h, 2). */
uint64_t home_of_all(const struct home *home);
/* NULL: not given, or damaged. */
const struct span *home_span(const struct home *home, uint32_t no);

/* Known to be dead, or never made: false. */
bool space_region_lives(const struct space *space, uint32_t id);
/* Half made or half destroyed: the next open ends it. */
bool space_region_ended(const struct space *space, uint32_t id);

uint64_t block_load(const uint64_t *word);

/* What a global pointer names. */
struct chunk {
    const struct home *home;
    const struct span *span;
    uint32_t extent;
    unsigned granule; /* of the mark, in the extent */
    uint64_t word;
    uint64_t off; /* from the start of the span */
    uint64_t bytes;
    bool raw; /* p is anywhere in a raw run; bytes, off: the run's */
};

/* False: p is neither the start of a chunk, live or not, nor in a raw run. */
bool space_find(const struct space *space, uint64_t p, struct chunk *c);
/* Of a live chunk. */
bool space_find_live(const struct space *space, uint64_t p, struct chunk *c);
/* The same, or p is inside of a live chunk. */
bool space_find_around(const struct space *space, uint64_t p, struct chunk *c);

/* Whether a run head's length stays in its span, and is not 0. */
bool run_fits(const struct span *s, uint32_t e, uint64_t w);
/* Whether a head before this tail covers it. */
bool run_covers(const struct span *s, uint32_t e, uint64_t w);
/* Of a tail that none covers: it is damaged, or the word where its head should
 * be, so it may hold live data. */
bool run_head_damaged(const struct span *s, uint32_t e, uint64_t w);
/* Whether the intent would be replayed by the next open. */
bool intent_pending(const struct home *home, unsigned i,
                    struct mega__intent *copy);
bool space_intents_wait(const struct space *space);

#endif
