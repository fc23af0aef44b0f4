/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * scan.h - some buckets, read into this rank's memory: the round trips are as
 * many as the longest chain has links, not as there are chunks. Nobody may
 * build meanwhile.
 */
#ifndef TEXTINDEX_SCAN_H
#define TEXTINDEX_SCAN_H

#include "index.h"

#define TI_STRIDE 512u /* buckets of a scan, at most */

/* A word, or a chunk of its postings. To find a chain that is damaged and leads
 * back to itself, each knows one before it: that with the largest number which
 * is a power of two (Brent). */
struct ti_item {
    struct ti_part part;
    uint64_t number;      /* in its chain, from 0 */
    uint64_t behind;      /* bits of the pointer to the one before it */
    struct ti_item *next; /* of the chain */
    struct ti_item *list; /* of a word: its postings */
};

struct ti_scan {
    struct ti_item *first[TI_STRIDE]; /* of each bucket; NULL: it is empty */
    struct ti_item **item;            /* all, those of later rounds behind */
    size_t count, cap;
};

/* Reads n buckets, from the number from on. s is all zero before the first;
 * what was in it is gone. An error has been told. DAMAGED: a chain leads back
 * to itself. */
mega_status_t ti_scan(const struct ti_index *ix, uint64_t from, size_t n,
                      struct ti_scan *s) MEGA_MUST_CHECK;

void ti_scan_close(struct ti_scan *s);

static inline const struct ti_word *ti_word_of(const struct ti_item *it)
{
    return it->part.view;
}

static inline const struct ti_postings *ti_postings_of(const struct ti_item *it)
{
    return it->part.view;
}

/* Bits of the pointer to an item, 0 for none. */
static inline uint64_t ti_item_at(const struct ti_item *it)
{
    return it ? it->part.at : 0;
}

#endif
