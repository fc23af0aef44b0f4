/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * find.c - where the next slab comes from, in this order:
 *   1 an unowned slab that was offered, since chunks were freed in it;
 *   2 a FREE extent: one that this thread has freed, else looked for from
 *     where the last one was found;
 *   3 a search of the whole home: empty slabs are freed, others adopted;
 *   4 growth of the home by its server.
 * Everything is a hint but the word: whoever wins its CAS has the slab.
 */
#include "find.h"

#include "agent.h"
#include "arena.h"
#include "count.h"
#include "far.h"
#include "home.h"
#include "log.h"
#include "seg.h"

#define OFFERS_TRIED 8

/* ---- 1: offers ---- */

void mega__find_offer(struct mega__span *span, uint32_t extent, unsigned class)
{
    struct mega__seg_home *seg = span->home->seg;
    uint32_t i = atomic_fetch_add_explicit(&seg->ring_in[class], 1,
                                           memory_order_relaxed);
    uint64_t at =
        mega__span_gptr(span, (uint64_t)extent << MEGA__EXTENT_SHIFT).v;
    atomic_store_explicit(&seg->ring[class][i % MEGA__RING], at,
                          memory_order_release);
}

/* The slab at a place, if it is unowned, of the region and class, and has a
 * chunk to spare. */
static struct mega__slab *try_adopt(struct mega__arena *a, mega_gptr_t at,
                                    unsigned class, uint32_t region)
{
    struct mega__span *span = mega__span_of(a->ctx, at);
    uint32_t extent = (uint32_t)(mega_offset(at) >> MEGA__EXTENT_SHIFT);
    if (!span || extent >= span->extents)
        return NULL;
    uint64_t w = mega__span_word(span, extent);
    if (!mega__word_is_slab(w) || mega__slab_owned(a->ctx, w) ||
        mega__word_class(w) != class || mega__word_region(w) != region)
        return NULL;
    /* first the hint: a free that comes after the look sets it again */
    atomic_store_explicit(&span->hints[extent], 0, memory_order_relaxed);
    if (!mega__slab_has_room(a->ctx, span, extent, class))
        return NULL;
    struct mega__slab *slab = mega__slab_adopt(a, span, extent, w);
    if (!slab || mega__slab_available(slab) > 0)
        return slab;
    mega__slab_give_up(a, slab);
    return NULL;
}

static struct mega__slab *take_offer(struct mega__arena *a,
                                     struct mega__heap *heap, unsigned class)
{
    struct mega__seg_home *seg = heap->home->seg;
    for (int i = 0; i < OFFERS_TRIED; i++) {
        uint32_t out =
            atomic_load_explicit(&seg->ring_out[class], memory_order_relaxed);
        if (out ==
            atomic_load_explicit(&seg->ring_in[class], memory_order_relaxed))
            return NULL;
        if (!atomic_compare_exchange_weak_explicit(
                &seg->ring_out[class], &out, out + 1, memory_order_relaxed,
                memory_order_relaxed))
            continue;
        uint64_t at = atomic_exchange_explicit(
            &seg->ring[class][out % MEGA__RING], 0, memory_order_acquire);
        struct mega__slab *slab =
            at ? try_adopt(a, mega_from_bits(at), class, heap->region) : NULL;
        if (slab)
            return slab;
    }
    return NULL;
}

/* ---- 2: free extents ---- */

/* In one span from cursor on, around. A small spread of the start positions
 * keeps claimers apart without scattering slabs over the span. */
static struct mega__slab *claim_in(struct mega__arena *a,
                                   struct mega__heap *heap, unsigned class,
                                   struct mega__span *span)
{
    uint32_t n = span->extents - span->first, end = n;
    unsigned lost = 0;
    if (atomic_load_explicit(&heap->home->seg->spans[span->no].free,
                             memory_order_relaxed) <= 0)
        return NULL;
    uint32_t from = heap->cursor_span == span->no ? heap->cursor : a->seed % 64;
    for (uint32_t i = 0; i < end; i++) {
        uint32_t e = span->first + (from + i) % n;
        if (mega__span_word(span, e) != MEGA__FREE)
            continue;
        struct mega__slab *slab =
            mega__slab_claim(a, span, e, class, heap->region);
        if (slab) {
            heap->cursor_span = span->no;
            heap->cursor = e - span->first + 1;
            return slab;
        }
        end = 2 * n; /* all is looked at again, for what was leapt over */
        if (i < n) {
            i += mega__find_leap(&a->seed, lost++);
            i = i < n ? i : n - 1;
        }
    }
    return NULL;
}

/* What this arena has freed last: its pages are here, its lines warm. */
static struct mega__slab *
claim_released(struct mega__arena *a, struct mega__heap *heap, unsigned class)
{
    while (a->nreleased > 0) {
        uint64_t *slot = &a->released[--a->nreleased % MEGA__RELEASED];
        mega_gptr_t at = mega_from_bits(*slot);
        *slot = 0;
        if (mega_is_null(at)) { /* the ring has gone around */
            a->nreleased = 0;
            break;
        }
        if (mega__gptr_home(at) != heap->home->no)
            continue;
        struct mega__span *span = mega__span_of(a->ctx, at);
        uint32_t e = (uint32_t)(mega_offset(at) >> MEGA__EXTENT_SHIFT);
        struct mega__slab *slab =
            mega__span_word(span, e) == MEGA__FREE
                ? mega__slab_claim(a, span, e, class, heap->region)
                : NULL;
        if (slab)
            return slab;
    }
    return NULL;
}

static struct mega__slab *take_free(struct mega__arena *a,
                                    struct mega__heap *heap, unsigned class)
{
    struct mega__slab *released = claim_released(a, heap, class);
    if (released)
        return released;
    uint32_t nspans =
        atomic_load_explicit(&heap->home->seg->nspans, memory_order_acquire);
    for (uint32_t i = 0; i < nspans; i++) {
        uint32_t no = (heap->cursor_span + i) % nspans;
        struct mega__span *span =
            mega__span_of(a->ctx, mega__gptr(heap->home->no, no, 0));
        struct mega__slab *slab = span ? claim_in(a, heap, class, span) : NULL;
        if (slab)
            return slab;
    }
    return NULL;
}

/* ---- 3: search ---- */

/* Among extents [from, end) of a span. */
static mega_gptr_t named_in(struct mega__ctx *ctx, struct mega__span *span,
                            uint32_t from, uint32_t end, uint32_t region,
                            unsigned class)
{
    for (uint32_t e = from; e < end; e++) {
        if (atomic_load_explicit(&span->hints[e], memory_order_relaxed) == 0)
            continue;
        uint64_t w = mega__span_word(span, e);
        if (!mega__word_is_slab(w) || mega__slab_owned(ctx, w) ||
            mega__word_class(w) != class || mega__word_region(w) != region)
            continue;
        atomic_store_explicit(&span->hints[e], 0, memory_order_relaxed);
        if (mega__slab_has_room(ctx, span, e, class))
            return mega__span_gptr(span, (uint64_t)e << MEGA__EXTENT_SHIFT);
    }
    return mega_from_bits(0);
}

/* From where the last was found on, around: what lies before has been named to
 * others, and many ask at once when a home is full. */
mega_gptr_t mega__find_named(struct mega__ctx *ctx, struct mega__home *home,
                             uint32_t region, uint64_t class)
{
    struct mega__seg_home *seg = home->seg;
    if (class >= MEGA__CLASSES)
        return mega_from_bits(0);
    const uint32_t nspans =
        atomic_load_explicit(&seg->nspans, memory_order_acquire);
    const mega_gptr_t last =
        mega_from_bits(atomic_load_explicit(&seg->named, memory_order_relaxed));
    const uint32_t begin = (uint32_t)(mega_offset(last) >> MEGA__EXTENT_SHIFT);
    for (uint32_t i = 0; nspans > 0 && i <= nspans; i++) {
        struct mega__span *span = mega__span_of(
            ctx, mega__gptr(home->no, (mega__gptr_span(last) + i) % nspans, 0));
        if (!span)
            continue;
        uint32_t from = i == 0 && begin > span->first ? begin : span->first;
        uint32_t end =
            i == nspans && begin < span->extents ? begin : span->extents;
        mega_gptr_t p = named_in(ctx, span, from, end, region, (unsigned)class);
        if (mega_is_null(p))
            continue;
        atomic_store_explicit(&seg->named, p.v, memory_order_relaxed);
        return p;
    }
    return mega_from_bits(0);
}

static struct mega__slab *adopt_any(struct mega__arena *a,
                                    struct mega__heap *heap, unsigned class)
{
    struct mega__slab *slab = NULL;
    mega_gptr_t at = mega_from_bits(0);
    do {
        at = mega__find_named(a->ctx, heap->home, heap->region, class);
        if (!mega_is_null(at))
            slab = try_adopt(a, at, class, heap->region);
    } while (!slab && !mega_is_null(at));
    return slab;
}

/* ---- 4: growth ---- */

mega_status_t mega__slab_grow(struct mega__ctx *ctx, struct mega__home *home,
                              uint32_t seen_spans, uint64_t need)
{
    struct mega__request req = {
        .op = MEGA__ASK_GROW, .home = home->no, .arg = {seen_spans, need}};
    mega_status_t st = MEGA_OK;
    if (home->local)
        st = mega__home_may_grow(ctx, home, seen_spans);
    return st ? st : mega__agent_ask(ctx, home, &req);
}

static mega_status_t get_slab(struct mega__arena *a, struct mega__heap *heap,
                              unsigned class, struct mega__slab **slab_p)
{
    if (!heap->home->local)
        return mega__far_slab_get(a, heap, class, slab_p);
    for (;;) {
        uint32_t seen = atomic_load_explicit(&heap->home->seg->nspans,
                                             memory_order_acquire);
        mega__span_error = MEGA_OK;
        struct mega__slab *slab = take_offer(a, heap, class);
        if (!slab)
            slab = take_free(a, heap, class);
        if (!slab && mega__arena_trim(a, heap->home) +
                             mega__slab_reclaim(a, heap->home) >
                         0)
            slab = take_free(a, heap, class);
        if (!slab)
            slab = adopt_any(a, heap, class);
        mega_status_t st = mega__span_left(a->ctx);
        if (slab) {
            *slab_p = slab;
            return MEGA_OK;
        }
        if (st) /* not full: out of reach */
            return st;
        st = mega__slab_grow(a->ctx, heap->home, seen, MEGA__EXTENT);
        if (st)
            return st;
    }
}

mega_status_t mega__slab_get(struct mega__arena *a, struct mega__heap *heap,
                             unsigned class, struct mega__slab **slab_p)
{
    const mega_counters_t before = a->count;
    mega_status_t st = get_slab(a, heap, class, slab_p);
    uint64_t cas = a->count.claim_cas - before.claim_cas;
    uint64_t claims = a->count.claims - before.claims; /* far ones: some */
    if (claims > 1)
        cas = (cas + claims - 1) / claims;
    if (a->count.claim_cas_max < cas)
        mega__count(&a->count.claim_cas_max, cas - a->count.claim_cas_max);
    return st;
}
