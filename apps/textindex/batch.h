/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * batch.h - some files' words on their way into the index.
 *
 * Files are counted in volatile memory and enter the index in batches: one
 * fence then serves many words, and the postings of a word that occurs in
 * several files of the batch are one chunk, linked once. A crash loses at most
 * the batch, which resume counts again.
 */
#ifndef TEXTINDEX_BATCH_H
#define TEXTINDEX_BATCH_H

#include "index.h"
#include "ranges.h"
#include "tally.h"

struct ti_record {  /* a word of a file */
    uint32_t touch; /* its place in touched */
    uint64_t posting;
};

struct ti_touched {  /* a word of the batch */
    uint32_t ref;    /* its entry in the dict */
    uint32_t len;    /* how many postings */
    size_t image;    /* where in the batch's image its new ti_postings are */
    uint64_t hash;   /* of the word, when there is no node yet */
    uint64_t node;   /* bits of its ti_word, when it is linked already */
    uint64_t fresh;  /* bits of a new one that is not linked yet, or 0 */
    uint64_t chunk;  /* bits of the new ti_postings */
    uint64_t expect; /* the head that will be swapped, as found */
};

struct ti_ahead {   /* the same word, for ahead.h */
    uint64_t old;   /* what a swap found */
    uint32_t round; /* in which it is swapped */
    bool looked, linked;
};

struct ti_batch {
    struct ti_index *ix;
    struct ti_tally *tally;
    uint64_t gap; /* for ti_ranges_persist */
    bool far;     /* some homes are of other hosts */
    struct ti_record *record;
    size_t nrecords, record_cap;
    struct ti_touched *touched;
    size_t ntouched, touched_cap;
    struct ti_settled { /* files whose state becomes final with the batch */
        uint32_t file;
        enum ti_state state;
    } * settled;
    size_t nsettled, settled_cap;
    uint64_t *image; /* the new ti_postings, one after another */
    size_t image_cap;
    uint64_t bytes; /* of text */
    struct ti_ranges fresh, links;
    struct ti_buf buf;
    /* Of ahead.h, if some homes are far: */
    struct ti_ahead *ahead; /* by place in touched */
    size_t ahead_cap;
    uint32_t *last; /* by bucket, place in touched + 1; 0: none */
    size_t last_slots, last_room;
    uint32_t rounds;
};

void ti_batch_open(struct ti_batch *b, struct ti_index *ix,
                   struct ti_tally *tally, uint64_t gap);
void ti_batch_close(struct ti_batch *b);

/* Takes the words of the file that the tally has just counted. */
void ti_batch_add(struct ti_batch *b, uint32_t file);

/* Takes a file that cannot be read. */
void ti_batch_skip(struct ti_batch *b, uint32_t file);

/* Full enough to be committed. */
bool ti_batch_full(const struct ti_batch *b);

/* Links everything and makes it durable, then the files' states. On an error
 * before the first link all chunks have been given back. */
mega_status_t ti_batch_commit(struct ti_batch *b) MEGA_MUST_CHECK;

#endif
