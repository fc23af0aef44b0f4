/* SPDX-License-Identifier: BSD-3-Clause */
/* chunk.h - chunks: taken, freed, looked up. The fine level of allocation. */
#ifndef MEGA__CHUNK_H
#define MEGA__CHUNK_H

#include "class.h"
#include "types.h"

/* What lies around a pointer. */
struct mega__place {
    struct mega__span *span;
    uint32_t extent;       /* of the chunk's slab, or the run's head */
    uint64_t word;         /* SLAB or RUN_HEAD */
    uint64_t start, size;  /* of the chunk or run, in the span */
    uint64_t mark_off;     /* of its mark in the span; 0: a raw run has none */
    _Atomic uint8_t *mark; /* the same; NULL also on a far home */
};

/* Finds the chunk or run that p lies in, whatever its mark says. False: p is
 * in none, or not on this host. */
bool mega__chunk_place(struct mega__ctx *ctx, mega_gptr_t p,
                       struct mega__place *place_p);

/* The same on any home, and its mark (FREE for raw memory); *in_p: p lies in
 * one. A far home is looked at after what this thread has changed there was
 * sent. ERRORS: PEER, TIMEOUT - it does not answer; NOMEM. */
mega_status_t mega__chunk_look(struct mega__ctx *ctx, mega_gptr_t p,
                               struct mega__place *place_p, uint8_t *mark_p,
                               bool *in_p);

static inline void mega__chunk_place_mark(struct mega__place *at)
{
    uint64_t granule = at->start >> MEGA__GRANULE_SHIFT;
    at->mark_off = at->span->marks_off + granule;
    at->mark = at->span->marks ? &at->span->marks[granule] : NULL;
}

/* The same in parts, where the word is known: in, the offset in the extent.
 * False: behind the last chunk. */
static inline bool mega__chunk_place_in_slab(const struct mega__ctx *ctx,
                                             struct mega__place *at,
                                             uint32_t in)
{
    unsigned class = mega__word_class(at->word);
    if (class >= MEGA__CLASSES)
        return false;
    const struct mega__class *c = &ctx->classes.of[class];
    uint32_t i = mega__class_index(c, in);
    if (i >= c->capacity)
        return false;
    uint32_t start = i * c->size;
    at->start = ((uint64_t)at->extent << MEGA__EXTENT_SHIFT) + start;
    at->size = c->size;
    mega__chunk_place_mark(at);
    return true;
}
void mega__chunk_place_run(struct mega__place *place);

/* NOT_LIVE, and why. */
mega_status_t mega__chunk_not_live(mega_gptr_t p, const char *why);

/* A chunk for this thread: marked LIVE, or else only reserved.
 * ASSUMPTION: size >= 1; region is live. Errors as mega_alloc. */
mega_status_t mega__chunk_alloc(struct mega__ctx *ctx, uint32_t region,
                                int home, size_t size, bool live,
                                mega_gptr_t *p_p);

/* ERRORS: NOT_LIVE, ARG. */
mega_status_t mega__chunk_free(struct mega__ctx *ctx, mega_gptr_t p);
mega_status_t mega__chunk_cancel(struct mega__ctx *ctx, mega_gptr_t p);
mega_status_t mega__chunk_usable(struct mega__ctx *ctx, mega_gptr_t p,
                                 size_t *size_p);

/* Granule g of the thread's own slab has just become free: puts it back into
 * the list. MEGA_OK. */
mega_status_t mega__chunk_list(struct mega__arena *a, struct mega__slab *slab,
                               uint32_t g);

/* Whether this process has reserved the chunk, whose mark is mark. */
bool mega__chunk_is_reserved(struct mega__ctx *ctx,
                             const struct mega__place *place, uint8_t mark);

/* Reservations to be ended together, as far as they are neighbours: a locked
 * instruction for each would cost a publish a fifth of its time. */
struct mega__unreserve {
    _Atomic uint64_t *word;
    uint64_t bits;
};

/* The chunk is LIVE: it is no reservation any more, after the end. */
void mega__chunk_unreserve(struct mega__unreserve *u,
                           const struct mega__place *place);
void mega__chunk_unreserve_end(struct mega__unreserve *u);

/* Begins the flush of the range's bytes and of the marks of all chunks that
 * meet it (L1). ERRORS: ARG - not in one span of this host. */
mega_status_t mega__chunk_flush(struct mega__ctx *ctx, struct mega__arena *a,
                                mega_gptr_t p, size_t n);

/* As chunk_flush, the marks only. */
void mega__chunk_flush_marks(struct mega__arena *a, struct mega__span *span,
                             uint64_t off, size_t n);

#endif
