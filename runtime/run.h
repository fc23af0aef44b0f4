/* SPDX-License-Identifier: BSD-3-Clause */
/* run.h - adjacent extents owned as one: large chunks, raw memory. */
#ifndef MEGA__RUN_H
#define MEGA__RUN_H

#include "types.h"

/* Claims a run of so many free extents of one span, its words and cleared
 * mark durable. ERRORS: HOME_FULL - there is no such hole now (no message:
 * the caller may make room and try again). */
mega_status_t mega__run_claim(struct mega__ctx *ctx, struct mega__home *home,
                              uint32_t region, uint32_t extents, unsigned flags,
                              struct mega__flusher *f, mega_gptr_t *p_p);

/* Gives back the run at extent whose word is w (RUN_HEAD). ERRORS: NOT_LIVE -
 * somebody else does. */
mega_status_t mega__run_free(struct mega__ctx *ctx, struct mega__span *span,
                             uint32_t extent, uint64_t w,
                             struct mega__flusher *f);

/* Completes what a FREEING word, w, began: made durable before an extent is
 * anyone's. ERRORS: IO - it was not, and they are nobody's. */
mega_status_t mega__run_finish_free(struct mega__ctx *ctx,
                                    struct mega__span *span, uint32_t extent,
                                    uint64_t w, struct mega__flusher *f);

/* Whether a RUN_HEAD or FREEING word is sound and its length fits its span. */
static inline bool mega__run_fits(const struct mega__span *span,
                                  uint32_t extent, uint64_t w)
{
    return mega__word_head_fits(w, span->extents - extent);
}

/* Whether the RUN_TAIL word at extent belongs to a run. */
bool mega__run_covers(const struct mega__span *span, uint32_t extent,
                      uint64_t tail);

/* The extents that a chunk or raw run of size bytes takes. */
static inline uint64_t mega__run_extents(uint64_t size)
{
    return (size >> MEGA__EXTENT_SHIFT) + ((size & (MEGA__EXTENT - 1)) != 0);
}

/* The mark of a run. */
static inline _Atomic uint8_t *mega__run_mark(struct mega__span *span,
                                              uint32_t extent)
{
    return &span->marks[(uint64_t)extent * MEGA__EXTENT_GRANULES];
}

#endif
