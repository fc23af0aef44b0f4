/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * sweep.c - see sweep.h. A word that does not decode, or names a region that
 * neither lives nor is being ended, is damaged: it is left as it is, neither
 * used nor freed, mega_check names it, and the rest goes on. So is what looks
 * half-made after a clean end, which leaves nothing so.
 */
#include "sweep.h"

#include "find.h"
#include "log.h"
#include "run.h"
#include "seg.h"
#include "slab.h"

struct sweep {
    struct mega__ctx *ctx;
    struct mega__span *span;
    const struct mega__live *live;
    uint64_t freed;
    mega_status_t status;
};

static void set_free(struct sweep *s, uint32_t e, uint64_t w)
{
    if (mega__span_cas(s->span, e, w, MEGA__FREE))
        s->freed++;
}

/* A run, whose head was w, has been freed, or could not be. */
static void end_run(struct sweep *s, uint64_t w, mega_status_t st)
{
    if (st)
        s->status = st;
    s->freed += mega__word_len(w);
}

/* Its free chunks are anyone's to look for. How many there are is not known
 * without reading the marks; what the job before has noted may be right. */
static void offer_slab(struct sweep *s, uint32_t e, uint64_t w, unsigned class)
{
    uint16_t noted =
        atomic_load_explicit(&s->span->hints[e], memory_order_relaxed);
    bool was_owned = mega__word_slab_epoch(w) != 0;
    if (was_owned ||
        noted >= mega__find_worth(s->ctx->classes.of[class].capacity))
        mega__find_offer(s->span, e, class);
    if (noted == 0)
        atomic_store_explicit(&s->span->hints[e], 1, memory_order_relaxed);
}

static void sweep_slab(struct sweep *s, uint32_t e, uint64_t w)
{
    unsigned class = mega__word_class(w);
    if (mega__live_ended(s->live, mega__word_region(w)))
        set_free(s, e, w);
    if (!mega__live_has(s->live, mega__word_region(w)))
        return;
    if (mega__slab_owned(s->ctx, w)) /* a ghost: the epoch wrapped */
        mega__span_cas(
            s->span, e, w,
            mega__word_slab(MEGA__SLAB, class, mega__word_region(w), 0, 0));
    if (class < MEGA__CLASSES)
        offer_slab(s, e, w, class);
}

static void sweep_head(struct sweep *s, uint32_t e, uint64_t w)
{
    uint32_t region = mega__word_region(w);
    bool keep = mega__live_has(s->live, region);
    if (!mega__run_fits(s->span, e, w) ||
        (!keep && !mega__live_ended(s->live, region)))
        return;
    if (keep && mega__word_flags(w) & MEGA__RUN_RAW)
        keep = mega__dir_run_known(
            s->span->home, region,
            mega__span_gptr(s->span, (uint64_t)e << MEGA__EXTENT_SHIFT).v &
                ((UINT64_C(1) << (MEGA_OFFSET_BITS + MEGA_SPAN_BITS)) - 1));
    else if (keep)
        keep = atomic_load_explicit(mega__run_mark(s->span, e),
                                    memory_order_relaxed) == MEGA__MARK_LIVE;
    if (keep)
        return;
    end_run(s, w, mega__run_free(s->ctx, s->span, e, w, &s->ctx->flusher));
}

/* The tail is damaged, or the word where its head should be. */
static bool head_is_damaged(const struct sweep *s, uint32_t e, uint64_t tail)
{
    uint32_t head = e - mega__word_len(tail);
    return !mega__word_tail_fits(tail, e - s->span->first) ||
           mega__word_head_damaged(mega__span_word(s->span, head),
                                   s->span->extents - head);
}

static void sweep_half_made(struct sweep *s, uint32_t e, uint64_t w)
{
    switch (mega__word_kind(w)) {
    case MEGA__SLAB_INIT:
        set_free(s, e, w);
        break;
    case MEGA__RUN_TAIL: /* heads come first, so this is settled */
        if (!mega__run_covers(s->span, e, w) && !head_is_damaged(s, e, w))
            set_free(s, e, w);
        break;
    case MEGA__FREEING:
        if (mega__run_fits(s->span, e, w)) /* perhaps only seen so (L7) */
            end_run(
                s, w,
                mega__run_finish_free(s->ctx, s->span, e, w, &s->ctx->flusher));
        break;
    default:
        break;
    }
}

static void sweep_extent(struct sweep *s, uint32_t e)
{
    uint64_t w = mega__span_word(s->span, e);
    if (mega__word_is_slab(w))
        sweep_slab(s, e, w);
    else if (mega__word_kind(w) == MEGA__RUN_HEAD)
        sweep_head(s, e, w);
    else if (!s->ctx->recovery.clean ||
             mega__live_ended(s->live, mega__word_region(w)))
        sweep_half_made(s, e, w);
}

mega_status_t mega__sweep_open(struct mega__ctx *ctx, struct mega__home *home,
                               const struct mega__live *live, uint64_t *freed_p)
{
    struct sweep s = {.ctx = ctx, .live = live};
    for (uint32_t no = 0; no < MEGA__SPANS_MAX; no++) {
        s.span = mega__span_of(ctx, mega__gptr(home->no, no, 0));
        if (!s.span)
            break;
        int64_t free = 0;
        for (uint32_t e = s.span->first; e < s.span->extents; e++)
            sweep_extent(&s, e);
        for (uint32_t e = s.span->first; e < s.span->extents; e++)
            free += mega__span_word(s.span, e) == MEGA__FREE;
        atomic_store(&home->seg->spans[no].free, free);
    }
    *freed_p = s.freed;
    return s.status;
}

mega_status_t mega__sweep_flush(struct mega__ctx *ctx, struct mega__home *home)
{
    for (uint32_t no = 0; no < MEGA__SPANS_MAX; no++) {
        struct mega__span *span =
            mega__span_of(ctx, mega__gptr(home->no, no, 0));
        if (!span)
            break;
        mega__pool_flush(&ctx->flusher, span->how, (const void *)span->words,
                         8 * (size_t)span->extents);
    }
    return mega__pool_drain(&ctx->flusher);
}

mega_status_t mega__sweep_flush_data(struct mega__ctx *ctx,
                                     struct mega__home *home,
                                     struct mega__flusher *f)
{
    for (uint32_t no = 0; no < MEGA__SPANS_MAX; no++) {
        struct mega__span *span =
            mega__span_of(ctx, mega__gptr(home->no, no, 0));
        if (!span)
            break;
        for (uint32_t e = 0; e < span->extents; e++) /* with its metadata */
            if (mega__span_word(span, e) != MEGA__FREE)
                mega__pool_flush(f, span->how,
                                 span->base +
                                     ((uint64_t)e << MEGA__EXTENT_SHIFT),
                                 MEGA__EXTENT);
    }
    return mega__pool_drain(f);
}

mega_status_t mega__sweep_region(struct mega__ctx *ctx, struct mega__home *home,
                                 uint32_t region)
{
    for (uint32_t no = 0; no < MEGA__SPANS_MAX; no++) {
        struct mega__span *span =
            mega__span_of(ctx, mega__gptr(home->no, no, 0));
        if (!span)
            break;
        int64_t freed = 0;
        mega__span_error = MEGA_OK;
        for (uint32_t e = span->first; e < span->extents; e++) {
            uint64_t w = mega__span_word(span, e);
            while (!mega__span_error && w != MEGA__FREE &&
                   mega__word_region(w) == region) {
                if (mega__span_cas(span, e, w, MEGA__FREE)) {
                    freed++;
                    break;
                }
                w = mega__span_word(span, e);
            }
        }
        atomic_fetch_add(&home->seg->spans[no].free, freed);
        if (mega__span_error) /* the next open ends the region */
            return mega__span_error;
    }
    return mega__sweep_flush(ctx, home);
}
