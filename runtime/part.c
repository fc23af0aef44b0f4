/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * part.c - see part.h. Others may look at the bytes meanwhile: a mark, a word
 * or a slot is one store; more than that is copied.
 */
#include "part.h"

#include <string.h>

#include "chunk.h"
#include "degraded.h"
#include "dirty.h"
#include "log.h"
#include "slab.h"

static void store(char *to, const void *src, uint64_t n)
{
    uint64_t eight;
    if (n == 1) {
        __atomic_store_n(to, *(const char *)src, __ATOMIC_RELEASE);
    } else if (n == 8 && (uintptr_t)to % 8 == 0) {
        memcpy(&eight, src, 8);
        __atomic_store_n((uint64_t *)(void *)to, eight, __ATOMIC_RELEASE);
    } else {
        memcpy(to, src, n);
    }
}

static bool is_word(const struct mega__span *span, uint64_t off)
{
    return off - span->words_off < 8 * (uint64_t)span->extents;
}

static bool is_mark(const struct mega__span *span, uint64_t off)
{
    return off - span->marks_off <
           (uint64_t)span->extents * MEGA__EXTENT_GRANULES;
}

/* Marks are bytes to all who look at them. */
static void store_marks(char *to, const char *src, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++)
        __atomic_store_n(to + i, src[i], __ATOMIC_RELEASE);
}

/* A chunk was freed: if nobody owns its slab, those who look for one hear of
 * it. The mark itself may be another's by now. */
static void tell_freed(struct mega__ctx *ctx, struct mega__arena *a,
                       struct mega__span *span, uint64_t off)
{
    uint64_t granule = off - span->marks_off;
    uint32_t extent = (uint32_t)(granule / MEGA__EXTENT_GRANULES);
    uint64_t w = mega__span_word(span, extent);
    if (mega__word_is_slab(w) && !mega__slab_owned(ctx, w) &&
        mega__word_class(w) < MEGA__CLASSES)
        mega__slab_hint(a, span, extent, w);
}

/* The span that a part lies in, of a home served here that may be changed. */
static mega_status_t find_span(struct mega__ctx *ctx,
                               const struct mega__part *part,
                               struct mega__span **span_p)
{
    uint32_t home = mega__gptr_home(part->p);
    mega_status_t st = mega__degraded_write(ctx);
    if (st)
        return st;
    *span_p = NULL;
    if (home < ctx->nhomes && ctx->homes[home].serving)
        *span_p = mega__span_range(ctx, part->p, part->n);
    if (*span_p)
        return MEGA_OK;
    return mega__fail(MEGA_ERR_ARG,
                      "%llu bytes at %#llx: rank %d serves no such memory",
                      (unsigned long long)part->n,
                      (unsigned long long)part->p.v, ctx->place.rank);
}

static mega_status_t store_in(struct mega__ctx *ctx, struct mega__arena *a,
                              struct mega__span *span,
                              const struct mega__part *part)
{
    uint64_t off = mega_offset(part->p);
    mega_status_t st = MEGA_OK;
    if (is_word(span, off)) /* durable first: what it vouches for (layout.h) */
        st = mega__dirty_fence(a);
    if (st)
        return st;
    if (is_mark(span, off))
        store_marks(span->base + off, part->src, part->n);
    else
        store(span->base + off, part->src, part->n);
    if (part->n == 1 && is_mark(span, off) &&
        *(const uint8_t *)part->src == MEGA__MARK_FREE)
        tell_freed(ctx, a, span, off);
    return MEGA_OK;
}

mega_status_t mega__part_store(struct mega__ctx *ctx, struct mega__arena *a,
                               const struct mega__part *part)
{
    struct mega__span *span;
    mega_status_t st =
        part->src ? find_span(ctx, part, &span)
                  : mega__fail(MEGA_ERR_ARG, "a put of %llu bytes has none",
                               (unsigned long long)part->n);
    return st ? st : store_in(ctx, a, span, part);
}

mega_status_t mega__part_apply(struct mega__ctx *ctx, struct mega__arena *a,
                               const struct mega__part *part)
{
    struct mega__span *span;
    mega_status_t st = find_span(ctx, part, &span);
    if (!st && part->src)
        st = store_in(ctx, a, span, part);
    if (st || span->how == MEGA__HOW_NONE || part->n == 0)
        return st;
    /* Perhaps a mark that this message has brought and flushed: to know that
     * would cost more than the second flush. */
    if (part->marks)
        return mega__chunk_flush(ctx, a, part->p, part->n);
    mega__pool_flush(&a->flusher, span->how, span->base + mega_offset(part->p),
                     part->n);
    return part->src && is_word(span, mega_offset(part->p))
               ? mega__dirty_fence(a) /* and before what comes under it */
               : MEGA_OK;
}
