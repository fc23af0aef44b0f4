/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * run.c - claims and frees runs, by compare-and-swap on their words alone.
 *
 * Claim: from the top of a span downwards (slabs grow from the bottom), the
 * tails first, then the head; whoever loses one extent on the way gives the
 * others back and looks further. Free: RUN_HEAD -> FREEING, durable (that CAS
 * is also the test against a double free), then the tails, then the head: a
 * crash leaves a FREEING word that names all that is to be freed.
 */
#include "run.h"

#include "crash_point.h"
#include "log.h"
#include "seg.h"
#include "span.h"

static void count_free(struct mega__span *span, int64_t extents)
{
    atomic_fetch_add_explicit(&span->home->seg->spans[span->no].free, extents,
                              memory_order_relaxed);
}

static uint64_t tail_word(const struct mega__ctx *ctx, uint32_t region,
                          uint32_t distance)
{
    return mega__word_run(MEGA__RUN_TAIL, distance, region, ctx->epoch14, 0);
}

/* The highest hole of n extents that ends at or below end; false: none. */
static bool find_hole(const struct mega__span *span, uint32_t n, uint32_t end,
                      uint32_t *start_p)
{
    uint32_t have = 0;
    for (uint32_t e = end; e > span->first; e--) {
        have = mega__span_word(span, e - 1) == MEGA__FREE ? have + 1 : 0;
        if (have == n) {
            *start_p = e - 1;
            return true;
        }
    }
    return false;
}

/* Makes extents (start, start + n) tails. On failure those are free again and
 * *lost_p is the extent that somebody else took. */
static bool take_tails(struct mega__ctx *ctx, struct mega__span *span,
                       uint32_t region, uint32_t start, uint32_t n,
                       uint32_t *lost_p)
{
    uint32_t i = n;
    while (--i > 0)
        if (!mega__span_cas(span, start + i, MEGA__FREE,
                            tail_word(ctx, region, i)))
            break;
    if (i == 0)
        return true;
    *lost_p = start + i;
    while (++i < n)
        mega__span_cas(span, start + i, tail_word(ctx, region, i), MEGA__FREE);
    return false;
}

static bool take_hole(struct mega__ctx *ctx, struct mega__span *span,
                      uint32_t region, uint32_t start, uint32_t n,
                      unsigned flags, struct mega__flusher *f, uint32_t *lost_p)
{
    _Atomic uint8_t *mark = mega__run_mark(span, start);
    uint64_t head =
        mega__word_run(MEGA__RUN_HEAD, n, region, ctx->epoch14, flags);
    if (!take_tails(ctx, span, region, start, n, lost_p))
        return false;
    MEGA__CRASH(run_tails);
    /* The head's mark is cleared before the head counts (5). The extent must
     * be ours for that: a slab's claimer may be handing out its chunks. A raw
     * run has no mark and counts by its record, whose fence comes after both of
     * these: for it they are not needed, and not left out. */
    if (n > 1)
        mega__pool_flush(f, span->how, (const void *)&span->words[start + 1],
                         8 * (size_t)(n - 1));
    if (!mega__span_cas(span, start, MEGA__FREE,
                        mega__word_slab(MEGA__SLAB_INIT, 0, region,
                                        (uint32_t)ctx->place.rank,
                                        ctx->epoch14))) {
        for (uint32_t i = 1; i < n; i++)
            mega__span_cas(span, start + i, tail_word(ctx, region, i),
                           MEGA__FREE);
        *lost_p = start;
        return false;
    }
    MEGA__CRASH(run_init);
    atomic_store_explicit(mark, MEGA__MARK_FREE, memory_order_relaxed);
    mega__pool_flush(f, span->how, (const void *)mark, 1);
    mega_status_t st = mega__pool_drain(f);
    atomic_store_explicit(&span->words[start], head, memory_order_release);
    MEGA__CRASH(run_head);
    mega__pool_flush(f, span->how, (const void *)&span->words[start], 8);
    /* Its own thread could wait for its first persist; another's persist (L2)
     * and a record of publish that names the run do not flush the word. */
    if (mega__pool_drain(f) || st)
        f->failed = true; /* the caller's own drain tells */
    count_free(span, -(int64_t)n);
    return true;
}

mega_status_t mega__run_claim(struct mega__ctx *ctx, struct mega__home *home,
                              uint32_t region, uint32_t extents, unsigned flags,
                              struct mega__flusher *f, mega_gptr_t *p_p)
{
    /* Not those that the home is being given: by the net they are not there. */
    uint32_t nspans =
        atomic_load_explicit(&home->seg->nspans, memory_order_acquire);
    mega__span_error = MEGA_OK;
    for (uint32_t no = 0; no < nspans; no++) {
        struct mega__span *span =
            mega__span_of(ctx, mega__gptr(home->no, no, 0));
        if (!span) /* it cannot be mapped */
            continue;
        uint32_t end = span->extents, start, lost;
        while (find_hole(span, extents, end, &start)) {
            if (take_hole(ctx, span, region, start, extents, flags, f, &lost)) {
                (void)mega__span_left(ctx); /* holes before */
                *p_p = mega__span_gptr(span,
                                       (uint64_t)start << MEGA__EXTENT_SHIFT);
                return MEGA_OK;
            }
            end = lost;
        }
    }
    return mega__span_left(ctx) ? mega__span_error : MEGA_ERR_HOME_FULL;
}

/* ---- Free ---- */

mega_status_t mega__run_finish_free(struct mega__ctx *ctx,
                                    struct mega__span *span, uint32_t extent,
                                    uint64_t w, struct mega__flusher *f)
{
    const uint32_t n = mega__word_len(w);
    /* Needed where the mark says LIVE. Where it says, durably, what is free
     * after a crash (publish, cancel, the sweep), or a raw run has no record
     * (undo), the next open frees a head that is left, and takes only tails
     * that lead to it; but then what is on the medium says so at once. */
    mega__pool_flush(f, span->how, (const void *)&span->words[extent], 8);
    mega_status_t st = mega__pool_drain(f);
    if (st) { /* the medium may say LIVE: nobody else may have its extents */
        atomic_store_explicit(&ctx->unsettled, true, memory_order_relaxed);
        return st;
    }
    MEGA__CRASH(run_freeing);
    for (uint32_t i = 1; i < n; i++) {
        uint64_t tail = mega__span_word(span, extent + i);
        if (mega__word_kind(tail) == MEGA__RUN_TAIL &&
            mega__word_len(tail) == i)
            mega__span_cas(span, extent + i, tail, MEGA__FREE);
    }
    mega__span_cas(span, extent, w, MEGA__FREE);
    count_free(span, n);
    return MEGA_OK;
}

mega_status_t mega__run_free(struct mega__ctx *ctx, struct mega__span *span,
                             uint32_t extent, uint64_t w,
                             struct mega__flusher *f)
{
    uint64_t freeing =
        mega__word_run(MEGA__FREEING, mega__word_len(w), mega__word_region(w),
                       ctx->epoch14, mega__word_flags(w));
    mega__span_error = MEGA_OK;
    if (mega__span_cas(span, extent, w, freeing))
        return mega__run_finish_free(ctx, span, extent, freeing, f);
    return mega__span_left(ctx)
               ? mega__span_error
               : mega__fail(MEGA_ERR_NOT_LIVE,
                            "the chunk is being freed by another thread");
}

bool mega__run_covers(const struct mega__span *span, uint32_t extent,
                      uint64_t tail)
{
    uint32_t head = extent - mega__word_len(tail);
    return mega__word_tail_fits(tail, extent - span->first) &&
           mega__word_covers(mega__span_word(span, head), tail,
                             span->extents - head);
}
