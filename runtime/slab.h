/* SPDX-License-Identifier: BSD-3-Clause */
/* slab.h - an extent cut into chunks of one class, owned by an arena. */
#ifndef MEGA__SLAB_H
#define MEGA__SLAB_H

#include "class.h"
#include "span.h"

static inline _Atomic uint8_t *mega__slab_marks(const struct mega__span *span,
                                                uint32_t extent)
{
    return &span->marks[(uint64_t)extent * MEGA__EXTENT_GRANULES];
}

/* Whether a slab has an owner in this epoch. */
static inline bool mega__slab_owned(const struct mega__ctx *ctx, uint64_t w)
{
    return mega__word_slab_epoch(w) == ctx->epoch14;
}

/* Whether an unowned slab of this class has a chunk that nobody uses, now. */
bool mega__slab_has_room(const struct mega__ctx *ctx,
                         const struct mega__span *span, uint32_t extent,
                         unsigned class);

/* Gets a slab for a bin of the heap: one that others have freed chunks in, a
 * free extent, or the home made larger; durable.
 * ERRORS: HOME_FULL, MEDIUM_FULL, TABLE_FULL, TIMEOUT. */
mega_status_t mega__slab_get(struct mega__arena *a, struct mega__heap *heap,
                             unsigned class, struct mega__slab **slab_p);

/* ---- For slab.c and far_slab.c ---- */

/* far: of a far home, else NULL. NULL: no memory (mega__span_error). */
struct mega__slab *mega__slab_new(struct mega__arena *a,
                                  struct mega__span *span, uint32_t extent,
                                  unsigned class, uint32_t region,
                                  struct mega__far *far);
void mega__slab_delete(struct mega__arena *a, struct mega__slab *slab);

/* The same in two parts, for a region that ends: any thread takes the slab out
 * of its span's table and will have no mark of it sent, while the owner does
 * not use it; the owner keeps the structure for the next. */
void mega__slab_detach(struct mega__slab *slab);
void mega__slab_recycle(struct mega__arena *a, struct mega__slab *slab);

/* Fills the list from the marks, of which those DEAD by an older epoch become
 * FREE. False: a mark where no chunk begins, so the word's class is damaged. */
bool mega__slab_first_scan(struct mega__ctx *ctx, struct mega__slab *slab);

uint64_t mega__slab_owned_word(const struct mega__ctx *ctx,
                               enum mega__kind kind, unsigned class,
                               uint32_t region);

/* ---- */

/* The lines of marks of these bits are to be noted when they change again. */
void mega__slab_unnote(struct mega__slab *slab, uint32_t lines);

/* Puts back in the list what was freed; returns how many chunks. */
unsigned mega__slab_sweep(struct mega__ctx *ctx, struct mega__slab *slab);

/* The same for one line of marks. */
unsigned mega__slab_sweep_line(struct mega__ctx *ctx, struct mega__slab *slab,
                               unsigned line);

/* How many chunks are in the list; whether any is reserved. */
static inline unsigned mega__slab_available(const struct mega__slab *slab)
{
    unsigned n = 0;
    for (unsigned i = 0; i < MEGA__EXTENT_LINES; i++)
        n += (unsigned)__builtin_popcountll(slab->avail[i]);
    return n;
}

static inline bool mega__slab_reserved(const struct mega__slab *slab)
{
    uint64_t any = 0;
    for (unsigned i = 0; i < MEGA__EXTENT_LINES; i++)
        any |= atomic_load_explicit(&slab->rsv[i], memory_order_acquire);
    return any != 0;
}

/* Gives the slab up: its extent becomes FREE if no chunk of it is in use, else
 * anyone of the region may adopt it. slab is no more.
 * ASSUMPTION: it has no reserved chunk that a publish may have named. */
void mega__slab_give_up(struct mega__arena *a, struct mega__slab *slab);

/* Frees the extents of all unowned empty slabs of a home; how many. */
unsigned mega__slab_reclaim(struct mega__arena *a, struct mega__home *home);

/* A chunk of an unowned slab has been freed: tells those who look for one. */
void mega__slab_hint(struct mega__arena *a, struct mega__span *span,
                     uint32_t extent, uint64_t w);

/* Adds room for need adjacent bytes to a home that had seen_spans spans when
 * it was found full. Errors as slab_get. */
mega_status_t mega__slab_grow(struct mega__ctx *ctx, struct mega__home *home,
                              uint32_t seen_spans, uint64_t need);

#endif
