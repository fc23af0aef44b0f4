/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * walk.h - reading a whole index, one-sidedly. Nobody may build meanwhile.
 */
#ifndef TEXTINDEX_WALK_H
#define TEXTINDEX_WALK_H

#include "scan.h"

/* Called for each word, for each chunk with postings of it, for each posting
 * there; counts: ti_counts. Who does not care leaves a function NULL, but not
 * posting. The view of a word is valid until its last posting. */
struct ti_visitor {
    void (*word)(void *arg, mega_gptr_t at, const struct ti_word *w);
    void (*chunk)(void *arg, mega_gptr_t at);
    void (*posting)(void *arg, uint32_t file, uint64_t count, bool counts);
    void *arg;
};

mega_status_t ti_walk(const struct ti_index *ix, const struct ti_visitor *v)
    MEGA_MUST_CHECK;

/* The postings of one word. */
void ti_walk_postings(const struct ti_index *ix, const struct ti_item *word,
                      const struct ti_visitor *v);

#endif
