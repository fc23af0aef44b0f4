/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * batch.h - some files' words on their way into the index.
 *
 * Files are counted in volatile memory and enter the index in batches: one
 * fence then serves many words, and a word that occurs in several files of
 * the batch is linked once. A crash loses at most the batch, which resume
 * counts again.
 */
#ifndef TEXTINDEX_BATCH_H
#define TEXTINDEX_BATCH_H

#include "index.h"
#include "ranges.h"
#include "tally.h"

struct ti_record { /* a word of a file */
    uint32_t ref;  /* its entry in the dict */
    uint32_t file;
    uint64_t count;
};

struct ti_touched { /* a word of the batch */
    uint32_t ref;
    uint32_t pad;
    uint64_t first;  /* bits: its new postings, a chain from first ... */
    uint64_t last;   /* ... to last, whose next is the list as found */
    uint64_t expect; /* the head that will be swapped, as found */
    uint64_t node;   /* a new ti_word that is not linked yet, or 0 */
};

struct ti_batch {
    struct ti_index *ix;
    struct ti_tally *tally;
    uint64_t gap; /* for ti_ranges_persist */
    struct ti_record *record;
    size_t nrecords, record_cap;
    struct ti_touched *touched;
    size_t ntouched, touched_cap;
    struct ti_settled { /* files whose state becomes final with the batch */
        uint32_t file;
        enum ti_state state;
    } * settled;
    size_t nsettled, settled_cap;
    mega_gptr_t *posting; /* one per record */
    size_t posting_cap;
    uint64_t bytes; /* of text */
    struct ti_ranges fresh, links;
    struct ti_buf buf;
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
