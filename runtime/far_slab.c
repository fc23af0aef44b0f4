/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * far_slab.c - slabs on homes of other hosts, claimed by atomics on their
 * extent words. See slab.c for the same at home; far.h for what follows.
 *
 * A claim is one round trip, for up to MEGA__FAR_AHEAD_MAX slabs: their
 * compare-and-swaps. The words say SLAB_INIT until a mark is sent (far_send.c):
 * chunks are handed out here before, but none of them is there to anybody else.
 * Which extents to try comes from a view of the words, read 4 KiB at a time; it
 * may be old, for the word decides. What the home's server can do better,
 * freeing what is empty and making the home larger, it is asked for.
 */
#include <stdlib.h>
#include <string.h>

#include "agent.h"
#include "arena.h"
#include "count.h"
#include "crash_point.h"
#include "far.h"
#include "find.h"
#include "log.h"
#include "slab.h"

#define MARK_BYTES MEGA__EXTENT_GRANULES

struct mega__view {
    struct mega__span *span;
    uint32_t first, n; /* extents [first, first + n) of the span */
    uint32_t at;       /* to be looked at next */
    unsigned lost;     /* claims in a row: extents that may be FREE were passed
                        * over */
    unsigned wary;     /* claims before which it is to be read again */
    unsigned full;     /* slabs to be adopted before others are looked for */
    uint64_t words[MEGA__VIEW_WORDS];
};

/* ---- The structure ---- */

static struct mega__slab *new_slab(struct mega__arena *a,
                                   struct mega__span *span, uint32_t extent,
                                   unsigned class, uint32_t region)
{
    struct mega__far *far = aligned_alloc(MEGA__FAR_ALIGN, MEGA__FAR_ALIGN);
    if (!far)
        return NULL;
    memset(far, 0, sizeof *far);
    struct mega__slab *slab =
        mega__slab_new(a, span, extent, class, region, far);
    if (!slab)
        free(far);
    return slab;
}

/* ---- Claim, adopt ---- */

struct claim { /* extents of a view that were FREE */
    unsigned n;
    uint32_t extent[MEGA__FAR_AHEAD_MAX];
    uint64_t was[MEGA__FAR_AHEAD_MAX]; /* when we came */
};

/* One round trip for all of them. */
static mega_status_t try_words(struct mega__arena *a,
                               const struct mega__span *span, uint64_t init,
                               struct claim *c)
{
    struct mega__net *net = a->ctx->net;
    mega_status_t st = MEGA_OK;
    for (unsigned i = 0; !st && i < c->n; i++) {
        c->was[i] = init;
        st = mega__net_amo_nbi(net, MEGA_AMO_CSWAP, 8,
                               mega__far_word_at(span, c->extent[i]), init,
                               MEGA__FREE, &c->was[i]);
    }
    mega_status_t flushed =
        mega__net_flush_home(net, span->home->no); /* it writes to was */
    MEGA__CRASH(far_init);
    mega__count(&a->count.claim_cas, c->n);
    return st ? st : flushed;
}

/* A claim stays half-made, and the next open frees the extent: not after a
 * clean end (sweep.c). */
static void leave(struct mega__ctx *ctx)
{
    atomic_store_explicit(&ctx->unsettled, true, memory_order_relaxed);
}

/* Their marks and words go with the first mark that is sent (far_send.c). The
 * first is *slab_p, the bin keeps the others. */
static mega_status_t take_won(struct mega__arena *a, struct mega__heap *heap,
                              unsigned class, struct mega__span *span,
                              const struct claim *c, struct mega__slab **slab_p)
{
    struct mega__bin *bin = &heap->bins[class];
    mega_status_t st = MEGA_OK;
    for (unsigned i = 0; i < c->n; i++) {
        if (c->was[i] != MEGA__FREE)
            continue;
        struct mega__slab *slab =
            new_slab(a, span, c->extent[i], class, heap->region);
        if (!slab) {
            leave(a->ctx);
            st = mega__fail(MEGA_ERR_NOMEM, "no memory for a slab");
            continue;
        }
        atomic_store_explicit(&slab->unsaid, true, memory_order_relaxed);
        memcpy(slab->avail, a->ctx->classes.of[class].starts,
               sizeof slab->avail);
        mega__count(&a->count.claims, 1);
        if (!*slab_p) {
            *slab_p = slab;
            continue;
        }
        slab->bin = bin;
        bin->kept[bin->n++] = slab;
    }
    return *slab_p ? MEGA_OK : st;
}

/* How many: what is needed now, or what find.h says; the bin can keep all but
 * one. */
static unsigned how_many(const struct mega__arena *a, struct mega__bin *bin,
                         unsigned class)
{
    const uint32_t capacity = a->ctx->classes.of[class].capacity;
    const unsigned room = MEGA__BIN_KEEP - bin->n;
    size_t n = mega__find_ahead(bin->far_ahead, MEGA__FAR_AHEAD_MAX);
    if (n < (a->wanted + capacity - 1) / capacity)
        n = (a->wanted + capacity - 1) / capacity;
    n = n < MEGA__FAR_AHEAD_MAX ? n : MEGA__FAR_AHEAD_MAX;
    return (unsigned)(n < room ? n : room);
}

static mega_status_t read_marks(struct mega__slab *slab, uint8_t *to)
{
    return mega__net_get(slab->arena->ctx->net, to, mega__far_marks_at(slab),
                         MARK_BYTES);
}

static mega_status_t adopt(struct mega__arena *a, struct mega__span *span,
                           uint32_t extent, uint64_t w,
                           struct mega__slab **slab_p)
{
    struct mega__ctx *ctx = a->ctx;
    unsigned class = mega__word_class(w);
    uint32_t region = mega__word_region(w);
    bool won;
    mega__count(&a->count.claim_cas, 1);
    mega_status_t st = mega__far_cas(
        ctx, span, extent, w,
        mega__slab_owned_word(ctx, MEGA__SLAB, class, region), &won);
    if (st || !won)
        return st;
    MEGA__CRASH(far_adopted);
    struct mega__slab *slab = new_slab(a, span, extent, class, region);
    if (!slab)
        return mega__fail(MEGA_ERR_NOMEM, "no memory for a slab");
    /* What we build on must not hang on a cache there. */
    struct mega__part parts[2] = {
        {.p = mega__far_marks_at(slab), .n = MARK_BYTES},
        {.p = mega__far_word_at(span, extent), .n = 8}};
    st = mega__net_durable(ctx->net, parts, 2);
    MEGA__CRASH(far_adoption);
    if (!st)
        st = read_marks(slab, (uint8_t *)slab->far->now);
    memcpy((void *)slab->far->sent, (void *)slab->far->now, MARK_BYTES);
    if (st || !mega__slab_first_scan(ctx, slab)) {
        mega__slab_delete(a, slab); /* a damaged one stays owned, unused */
        return st;
    }
    mega__count(&a->count.adoptions, 1);
    if (mega__slab_available(slab) == 0)
        mega__far_give_up(a, slab);
    else
        *slab_p = slab;
    return MEGA_OK;
}

/* ---- Sweep, give up ---- */

mega_status_t mega__far_refresh(struct mega__slab *slab)
{
    struct mega__far *far = slab->far;
    uint64_t rsv[MEGA__EXTENT_LINES];
    uint8_t marks[MARK_BYTES];
    /* before the marks are read: what is published meanwhile stays as is */
    for (unsigned i = 0; i < MEGA__EXTENT_LINES; i++)
        rsv[i] = atomic_load_explicit(&slab->rsv[i], memory_order_acquire);
    mega_status_t st = mega__far_send_slab(slab);
    if (st ||
        mega__far_is_unsaid(slab)) /* nobody has freed what nobody knows */
        return st;
    st = read_marks(slab, marks);
    pthread_mutex_lock(&slab->arena->far_lock); /* who sends sees both stores */
    for (unsigned g = 0; !st && g < MARK_BYTES; g++) {
        if (rsv[g / 64] >> g % 64 & 1)
            continue;
        atomic_store_explicit(&far->sent[g], marks[g], memory_order_relaxed);
        atomic_store_explicit(&far->now[g], marks[g], memory_order_relaxed);
    }
    pthread_mutex_unlock(&slab->arena->far_lock);
    return st;
}

void mega__far_give_up(struct mega__arena *a, struct mega__slab *slab)
{
    struct mega__ctx *ctx = a->ctx;
    struct mega__span *span = slab->span;
    uint32_t extent = slab->extent;
    const struct mega__span_plan plan = mega__span_plan(span->no, span->size);
    /* Not swept first: what others have freed the server's reclaim finds. If
     * our marks did not get there it stays owned: nobody may build on what the
     * home shows. */
    if (mega__far_send_slab(slab)) {
        a->flusher.failed = true; /* the next drain tells */
        leave(ctx);
        mega__slab_delete(a, slab);
        return;
    }
    uint16_t available = (uint16_t)mega__slab_available(slab);
    bool empty = available == ctx->classes.of[slab->class].capacity;
    uint64_t next =
        empty ? MEGA__FREE
              : mega__word_slab(MEGA__SLAB, slab->class, slab->region, 0, 0);
    mega__slab_delete(a, slab); /* now no other thread sends its word */
    uint64_t owned = mega__slab_owned_word(
        ctx, mega__far_is_unsaid(slab) ? MEGA__SLAB_INIT : MEGA__SLAB,
        slab->class, slab->region);
    /* Nobody else changes what has an owner; the next flush tells if the host
     * is lost. */
    mega_status_t st =
        mega__net_amo_nbi(ctx->net, MEGA_AMO_CSWAP, 8,
                          mega__far_word_at(span, extent), next, owned, NULL);
    MEGA__CRASH(far_given_up);
    available |= MEGA__HINT_LOOK; /* of others' frees it knows nothing */
    if (!st && !empty)
        mega__net_put(
            ctx->net,
            mega__span_gptr(span, plan.hints_off + 2 * (uint64_t)extent),
            &available, sizeof available);
    mega__count(&a->count.disowned, !empty);
    mega__count(&a->count.extents_released, empty);
}

/* ---- Where ---- */

/* Reads the words from extent e of a span on. */
static mega_status_t read_view(struct mega__ctx *ctx, struct mega__view *v,
                               struct mega__span *span, uint32_t e)
{
    v->span = span;
    v->first = v->at = e;
    v->n = span->extents - e < MEGA__VIEW_WORDS ? span->extents - e
                                                : MEGA__VIEW_WORDS;
    return mega__net_get(ctx->net, v->words, mega__far_word_at(span, e),
                         8 * (size_t)v->n);
}

/* What this view shows from here on is old. */
static mega_status_t read_again(struct mega__ctx *ctx, struct mega__view *v)
{
    const uint32_t end = v->first + v->n;
    if (v->at >= end)
        return MEGA_OK;
    return mega__net_get(ctx->net, &v->words[v->at - v->first],
                         mega__far_word_at(v->span, v->at),
                         8 * (size_t)(end - v->at));
}

/* Another was faster, and others look at the same. */
static mega_status_t leap(struct mega__arena *a, struct mega__view *v)
{
    v->at += mega__find_leap(&a->seed, v->lost++);
    return read_again(a->ctx, v);
}

static bool lost_any(const struct claim *c)
{
    for (unsigned i = 0; i < c->n; i++)
        if (c->was[i] != MEGA__FREE)
            return true;
    return false;
}

/* The next FREE words of the view, so many at once. */
static mega_status_t try_view(struct mega__arena *a, struct mega__heap *heap,
                              unsigned class, struct mega__slab **slab_p)
{
    struct mega__view *v = heap->view;
    struct mega__bin *bin = &heap->bins[class];
    const uint64_t init =
        mega__slab_owned_word(a->ctx, MEGA__SLAB_INIT, class, heap->region);
    mega_status_t st = MEGA_OK;
    while (!st && !*slab_p && v->at < v->first + v->n) {
        const unsigned most = how_many(a, bin, class);
        struct claim c = {0};
        for (; c.n < most && v->at < v->first + v->n; v->at++)
            if (v->words[v->at - v->first] == MEGA__FREE)
                c.extent[c.n++] = v->at;
        if (c.n == 0)
            break;
        st = try_words(a, v->span, init, &c);
        bin->far_ahead = (uint8_t)most;
        if (!st && lost_any(&c)) {
            bin->far_ahead = 0;
            v->wary = MEGA__FIND_WARY;
        }
        if (!st)
            st = take_won(a, heap, class, v->span, &c, slab_p);
        if (st)
            leave(a->ctx); /* won, or who knows */
        if (!st && !*slab_p)
            st = leap(a, v);
    }
    return st;
}

/* The view that was kept, which is older than one just read. */
static mega_status_t try_kept(struct mega__arena *a, struct mega__heap *heap,
                              unsigned class, struct mega__slab **slab_p)
{
    struct mega__view *v = heap->view;
    mega_status_t st = MEGA_OK;
    if (v->wary > 0) {
        v->wary--;
        st = read_again(a->ctx, v);
    }
    return st ? st : try_view(a, heap, class, slab_p);
}

static bool shows_free(const struct mega__view *v)
{
    for (uint32_t i = 0; i < v->n; i++)
        if (v->words[i] == MEGA__FREE)
            return true;
    return false;
}

/* Some views of a span, from extent e on. */
static mega_status_t try_some(struct mega__arena *a, struct mega__heap *heap,
                              unsigned class, struct mega__span *span,
                              uint32_t e, struct mega__slab **slab_p)
{
    const uint32_t n = span->extents - span->first;
    const uint32_t probes = mega__find_probes(n / MEGA__VIEW_WORDS);
    struct mega__view *v = heap->view;
    mega_status_t st = MEGA_OK;
    unsigned missed = 0;
    for (uint32_t i = 0; !st && !*slab_p && i < probes; i++) {
        st = read_view(a->ctx, v, span, e);
        missed = st || shows_free(v) ? 0 : missed + 1;
        if (!st)
            st = try_view(a, heap, class, slab_p);
        e = span->first + mega__find_probe(&a->seed, n,
                                           v->first + v->n - span->first,
                                           missed);
    }
    return st;
}

/* All extents of a span: some here and there, then from this rank's start on,
 * around. */
static mega_status_t try_span(struct mega__arena *a, struct mega__heap *heap,
                              unsigned class, struct mega__span *span,
                              struct mega__slab **slab_p)
{
    const struct mega__boot_place *place = &a->ctx->place;
    uint32_t start = span->first + mega__find_start(span->extents - span->first,
                                                    (uint32_t)place->rank,
                                                    (uint32_t)place->nranks);
    mega_status_t st = try_some(a, heap, class, span, start, slab_p);
    for (uint32_t e = start; !st && !*slab_p && e < span->extents;
         e += MEGA__VIEW_WORDS) {
        st = read_view(a->ctx, heap->view, span, e);
        if (!st)
            st = try_view(a, heap, class, slab_p);
    }
    for (uint32_t e = span->first; !st && !*slab_p && e < start;
         e += MEGA__VIEW_WORDS) {
        st = read_view(a->ctx, heap->view, span, e);
        if (!st)
            st = try_view(a, heap, class, slab_p);
    }
    return st;
}

/* *nspans_p: how many there are. */
static mega_status_t try_home(struct mega__arena *a, struct mega__heap *heap,
                              unsigned class, uint32_t *nspans_p,
                              struct mega__slab **slab_p)
{
    mega_status_t st = MEGA_OK;
    uint32_t no = 0;
    for (; !st && !*slab_p && no < MEGA__SPANS_MAX; no++) {
        struct mega__span *span;
        st = mega__far_span(a->ctx, mega__gptr(heap->home->no, no, 0), &span);
        if (st || !span)
            break;
        st = try_span(a, heap, class, span, slab_p);
    }
    *nspans_p = no;
    return no == 0 && !st ? MEGA_ERR_PEER : st;
}

/* Adopts slabs that the server names, each once, until one has room. */
static mega_status_t adopt_named(struct mega__arena *a, struct mega__heap *heap,
                                 unsigned class, struct mega__slab **slab_p)
{
    mega_status_t st = MEGA_OK;
    while (!st && !*slab_p) {
        struct mega__request named = {.op = MEGA__ASK_SLAB,
                                      .home = heap->home->no,
                                      .arg = {heap->region, class}};
        uint64_t w;
        st = mega__agent_ask(a->ctx, heap->home, &named);
        mega_gptr_t p = mega_from_bits(named.result);
        if (st || mega_is_null(p))
            return st;
        struct mega__span *span;
        uint32_t e = (uint32_t)(mega_offset(p) >> MEGA__EXTENT_SHIFT);
        st = mega__far_span(a->ctx, p, &span);
        if (st || !span)
            return st ? st : MEGA_ERR_PEER;
        st = mega__net_get(a->ctx->net, &w, mega__far_word_at(span, e), 8);
        if (!st && mega__word_is_slab(w) && !mega__slab_owned(a->ctx, w) &&
            mega__word_class(w) == class &&
            mega__word_region(w) == heap->region)
            st = adopt(a, span, e, w, slab_p);
    }
    return st;
}

mega_status_t mega__far_slab_get(struct mega__arena *a, struct mega__heap *heap,
                                 unsigned class, struct mega__slab **slab_p)
{
    struct mega__slab *slab = NULL;
    mega_status_t st = MEGA_OK;
    uint32_t nspans = 0;
    if (!heap->view) {
        heap->view = calloc(1, sizeof *heap->view);
        if (!heap->view)
            return mega__fail(MEGA_ERR_NOMEM, "no memory for a far heap");
    }
    while (!st && !slab) {
        struct mega__request room = {.op = MEGA__ASK_RECLAIM,
                                     .home = heap->home->no};
        st = try_kept(a, heap, class, &slab);
        if (!st && !slab && heap->view->full > 0) {
            st = adopt_named(a, heap, class, &slab);
            heap->view->full = slab ? heap->view->full - 1 : 0;
        }
        if (!st && !slab)
            st = try_home(a, heap, class, &nspans, &slab);
        if (st || slab)
            break;
        if (heap->view->lost) { /* once more, over what is left */
            heap->view->lost = 0;
            continue;
        }
        bool trimmed = mega__arena_trim(a, heap->home) > 0;
        st = mega__far_complete(a, heap->home->no);
        if (!st)
            st = mega__agent_ask(a->ctx, heap->home, &room);
        if (st || trimmed || room.result > 0)
            continue;
        st = adopt_named(a, heap, class, &slab);
        heap->view->full = slab ? MEGA__FIND_FULL : 0;
        if (!st && !slab)
            st = mega__slab_grow(a->ctx, heap->home, nspans, MEGA__EXTENT);
    }
    heap->view->lost = 0;
    *slab_p = slab;
    return st;
}
