/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * far_find.c - where the next slab of a far home comes from; find.c is the same
 * at home, far_slab.c does the rest.
 *
 * Which extents to try comes from a view of the words, read 4 KiB at a time; it
 * may be old, for the word decides. What the home's server can do better,
 * freeing what is empty and making the home larger, it is asked for.
 */
#include <stdlib.h>
#include <string.h>

#include "agent.h"
#include "arena.h"
#include "far.h"
#include "find.h"
#include "log.h"
#include "slab.h"

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

static bool lost_any(const struct mega__far_claim *c)
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
    mega_status_t st = MEGA_OK;
    while (!st && !*slab_p && v->at < v->first + v->n) {
        const unsigned most = how_many(a, bin, class);
        struct mega__far_claim c = {0};
        for (; c.n < most && v->at < v->first + v->n; v->at++)
            if (v->words[v->at - v->first] == MEGA__FREE)
                c.extent[c.n++] = v->at;
        if (c.n == 0)
            break;
        st = mega__far_claim(a, heap, class, v->span, &c, slab_p);
        bin->far_ahead = (uint8_t)most;
        if (!st && lost_any(&c)) {
            bin->far_ahead = 0;
            v->wary = MEGA__FIND_WARY;
        }
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

static mega_status_t not_served(uint32_t home, uint32_t no)
{
    return mega__fail(MEGA_ERR_PEER, "the server of home %u has no span %u",
                      home, no);
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
    return no == 0 && !st ? not_served(heap->home->no, 0) : st;
}

/* A slab that was named, and cannot be adopted for want of memory, is to be
 * named again: there is a hint of it as before. */
static void name_again(struct mega__ctx *ctx, mega_gptr_t p)
{
    static const uint16_t look = MEGA__HINT_LOOK;
    const uint32_t home = mega__gptr_home(p), no = mega__gptr_span(p);
    const uint64_t e = mega_offset(p) >> MEGA__EXTENT_SHIFT;
    char said[MEGA__ERRMSG_MAX];
    uint64_t size;
    memcpy(said, mega__errmsg_buffer(), sizeof said);
    mega_status_t st = mega__net_span(ctx->net, home, no, &size);
    if (!st)
        st = mega__net_put(
            ctx->net,
            mega__gptr(home, no, mega__span_plan(no, size).hints_off + 2 * e),
            &look, sizeof look);
    if (!st)
        st = mega__net_flush_home(ctx->net, home);
    (void)st; /* at the worst it is found by the next open */
    memcpy(mega__errmsg_buffer(), said, sizeof said);
}

static mega_status_t adopt(struct mega__arena *a, struct mega__heap *heap,
                           unsigned class, mega_gptr_t p,
                           struct mega__slab **slab_p)
{
    const uint32_t e = (uint32_t)(mega_offset(p) >> MEGA__EXTENT_SHIFT);
    struct mega__span *span;
    uint64_t w;
    mega_status_t st = mega__far_span(a->ctx, p, &span);
    if (st || !span)
        return st ? st : not_served(heap->home->no, mega__gptr_span(p));
    st = mega__net_get(a->ctx->net, &w, mega__far_word_at(span, e), 8);
    if (st || !mega__word_is_slab(w) || mega__slab_owned(a->ctx, w) ||
        mega__word_class(w) != class || mega__word_region(w) != heap->region)
        return st;
    return mega__far_adopt(a, span, e, w, slab_p);
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
        st = mega__agent_ask(a->ctx, heap->home, &named);
        const mega_gptr_t p = mega_from_bits(named.result);
        if (st || mega_is_null(p))
            return st;
        st = adopt(a, heap, class, p, slab_p);
        if (st == MEGA_ERR_NOMEM)
            name_again(a->ctx, p);
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
    mega__far_end(a); /* their room may be what is needed */
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
