/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * sight.h - the spans of any home, to be looked at: one of this host as it is
 * mapped, one of another host as copies of its words and of some marks, which
 * may be older than each other. Reads only.
 */
#ifndef MEGA__SIGHT_H
#define MEGA__SIGHT_H

#include "span.h"

struct mega__sight {
    struct mega__ctx *ctx;
    struct mega__home *home;
    /* What is looked at; its words can be read, its marks by sight_marks.
     * NULL: no span of this number. */
    struct mega__span *span;
    /* Of a far home: */
    struct mega__span copy;
    _Atomic uint64_t *words;
    _Atomic uint8_t *marks; /* of extents [first, first + n) */
    uint32_t first, n;
};

/* Begins to look at a home; to be ended in any case. ERRORS: NOMEM; of a far
 * home PEER, TIMEOUT. */
mega_status_t mega__sight_begin(struct mega__sight *s, struct mega__ctx *ctx,
                                struct mega__home *home);
void mega__sight_end(struct mega__sight *s);

/* Looks at span no. Spans are numbered without a gap. Errors as begin; of a
 * home of this host why it cannot be mapped. */
mega_status_t mega__sight_span(struct mega__sight *s, uint32_t no);

/* The marks of an extent of the span, until the next call. Errors as begin. */
mega_status_t mega__sight_marks(struct mega__sight *s, uint32_t extent,
                                const _Atomic uint8_t **marks_p);

/* One word of the home, at p; *w_p is FREE if no extent is there. Leaves the
 * span that is looked at. Errors as sight_span. */
mega_status_t mega__sight_word(struct mega__sight *s, mega_gptr_t p,
                               uint64_t *w_p);

/* The first block of a home, to be freed with mega__sight_drop if it was
 * copied. Errors as begin. */
mega_status_t mega__sight_block(struct mega__ctx *ctx, struct mega__home *home,
                                const struct mega__home_block **block_p);
void mega__sight_drop(const struct mega__home *home,
                      const struct mega__home_block **block_p);

#endif
