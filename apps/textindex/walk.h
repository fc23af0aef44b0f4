/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * walk.h - reading a whole index, one-sidedly. Nobody may build meanwhile.
 */
#ifndef TEXTINDEX_WALK_H
#define TEXTINDEX_WALK_H

#include "index.h"

/* Called for each word, then for each of its postings, also for those that do
 * not count (ti_counts). Views are valid until the callback returns. */
struct ti_visitor {
    void (*word)(void *arg, mega_gptr_t at, const struct ti_word *w);
    void (*posting)(void *arg, mega_gptr_t at, const struct ti_posting *p);
    void *arg;
};

mega_status_t ti_walk(const struct ti_index *ix, const struct ti_visitor *v)
    MEGA_MUST_CHECK;

/* The postings of one node. */
mega_status_t ti_walk_postings(mega_gptr_t node, const struct ti_visitor *v,
                               struct ti_buf *buf) MEGA_MUST_CHECK;

#endif
