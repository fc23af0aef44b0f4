/* SPDX-License-Identifier: BSD-3-Clause */
/* span.h - a span: from media to addresses. */
#ifndef MEGA__SPAN_H
#define MEGA__SPAN_H

#include "types.h"

/* Where the parts of a span of size bytes lie, from its start. */
struct mega__span_plan {
    uint64_t words_off, hints_off, marks_off;
    uint32_t extents, first;
};
struct mega__span_plan mega__span_plan(uint32_t no, uint64_t size);

/* The offset of the first extent that can hold data. */
static inline uint64_t mega__span_data(uint32_t no, uint64_t size)
{
    return (uint64_t)mega__span_plan(no, size).first << MEGA__EXTENT_SHIFT;
}

/* Whether a span of this size has room for its metadata and an extent. */
bool mega__span_fits(uint32_t no, uint64_t size);

/* Writes header and words of a new span, durably but for the last drain. */
void mega__span_format(struct mega__flusher *f, enum mega__how how, char *base,
                       const struct mega__span_header *ident);

/* Is this the span that it should be? ERRORS: DAMAGED, MISMATCH; where names
 * the file in the message. */
mega_status_t mega__span_verify(const char *base, const uint8_t uuid[16],
                                uint32_t home, uint32_t no, uint64_t size,
                                const char *where);

/* The span at base (NULL: of a far home) for this process. NULL: no memory. */
struct mega__span *mega__span_new(struct mega__home *home, uint32_t no,
                                  char *base, uint64_t size,
                                  enum mega__how how);
void mega__span_delete(struct mega__span **span_p);

/* Homes of this host have a table. ASSUMPTION: drop: its spans are deleted. */
mega_status_t mega__span_make_table(struct mega__home *home); /* NOMEM */
void mega__span_drop_table(struct mega__home *home);

/* Why something of this thread's failed that looks like "not there" or "not
 * won": a span could not be mapped, a slab had no memory, a swap by the net
 * failed. As errno, it stays until it is set to MEGA_OK: who would call a home
 * full looks at it. */
extern _Thread_local mega_status_t mega__span_error;

/* That; what it has left half-made is the next open's, which looks for it only
 * where no clean end says that there is none. */
static inline mega_status_t mega__span_left(struct mega__ctx *ctx)
{
    if (mega__span_error)
        atomic_store_explicit(&ctx->unsettled, true, memory_order_relaxed);
    return mega__span_error;
}

/* Maps a span that is met for the first time; NULL: there is none, or its
 * home is not on this host, or it cannot be mapped (mega__span_error). */
struct mega__span *mega__span_meet(struct mega__ctx *ctx, uint32_t home,
                                   uint32_t no);

/* Why there was no span at p: it cannot be mapped; MEGA_OK: p lies in none, or
 * now there is one. */
mega_status_t mega__span_why_none(struct mega__ctx *ctx, mega_gptr_t p);

/* The mapped span of a pointer, or NULL. */
static inline struct mega__span *mega__span_of(struct mega__ctx *ctx,
                                               mega_gptr_t p)
{
    uint32_t home = mega__gptr_home(p), no = mega__gptr_span(p);
    if (__builtin_expect(home >= ctx->nhomes, 0))
        return NULL;
    _Atomic(struct mega__span *) *spans = ctx->homes[home].spans;
    if (__builtin_expect(!spans, 0))
        return NULL;
    /* acquire pairs with the release in mega__span_meet */
    struct mega__span *span =
        atomic_load_explicit(&spans[no], memory_order_acquire);
    return __builtin_expect(span != NULL, 1) ? span
                                             : mega__span_meet(ctx, home, no);
}

/* The same, if all n bytes at p lie in it. */
static inline struct mega__span *mega__span_range(struct mega__ctx *ctx,
                                                  mega_gptr_t p, size_t n)
{
    struct mega__span *span = mega__span_of(ctx, p);
    uint64_t off = mega_offset(p);
    if (span && (off > span->size || n > span->size - off))
        return NULL;
    return span;
}

static inline mega_gptr_t mega__span_gptr(const struct mega__span *span,
                                          uint64_t off)
{
    return mega__gptr(span->home->no, span->no, off);
}

static inline uint64_t mega__span_word(const struct mega__span *span,
                                       uint32_t extent)
{
    return atomic_load_explicit(&span->words[extent], memory_order_acquire);
}

/* The same by the net, which may fail: then false, and mega__span_error is set.
 * A server that is lost once is not tried again. */
bool mega__span_cas_nic(struct mega__span *span, uint32_t extent,
                        uint64_t expected, uint64_t desired);

/* desired != expected, always: a word never goes A -> A. */
static inline bool mega__span_cas(struct mega__span *span, uint32_t extent,
                                  uint64_t expected, uint64_t desired)
{
    if (__builtin_expect(atomic_load_explicit(&span->home->nic,
                                              memory_order_relaxed) != NULL,
                         0))
        return mega__span_cas_nic(span, extent, expected, desired);
    return atomic_compare_exchange_strong_explicit(
        &span->words[extent], &expected, desired, memory_order_acq_rel,
        memory_order_acquire);
}

#endif
