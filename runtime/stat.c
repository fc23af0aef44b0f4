/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * stat.c - see stat.h. Exact only while nobody allocates or frees; harmless
 * always: what is read is checked before it is used.
 */
#include "stat.h"

#include <stdio.h>
#include <string.h>

#include "agent.h"
#include "class.h"
#include "home.h"
#include "run.h"
#include "sight.h"
#include "slab.h"

/* ---- Room ---- */

/* Adds to the free extents, raises the largest hole. */
static void count_room(const struct mega__span *span, uint64_t *free_p,
                       uint64_t *hole_p)
{
    uint64_t here = 0;
    for (uint32_t e = span->first; e < span->extents; e++) {
        bool is_free = mega__span_word(span, e) == MEGA__FREE;
        here = is_free ? here + 1 : 0;
        *free_p += is_free;
        *hole_p = here > *hole_p ? here : *hole_p;
    }
}

mega_status_t mega__stat_room(struct mega__ctx *ctx, struct mega__home *home,
                              uint64_t *free_p, uint64_t *hole_p)
{
    uint64_t free = 0, hole = 0;
    struct mega__sight s;
    mega_status_t st = mega__sight_begin(&s, ctx, home);
    for (uint32_t no = 0; !st; no++) {
        st = mega__sight_span(&s, no);
        if (st || !s.span)
            break;
        count_room(s.span, &free, &hole);
    }
    mega__sight_end(&s);
    if (st)
        return st;
    *free_p = free << MEGA__EXTENT_SHIFT;
    *hole_p = hole << MEGA__EXTENT_SHIFT;
    return MEGA_OK;
}

mega_status_t mega__stat_region(struct mega__ctx *ctx, struct mega__home *home,
                                uint32_t region, uint64_t *bytes_p)
{
    struct mega__sight s;
    uint64_t extents = 0;
    mega_status_t st = mega__sight_begin(&s, ctx, home);
    for (uint32_t no = 0; !st; no++) {
        st = mega__sight_span(&s, no);
        if (st || !s.span)
            break;
        for (uint32_t e = s.span->first; e < s.span->extents; e++)
            extents += mega__word_region(mega__span_word(s.span, e)) == region;
    }
    mega__sight_end(&s);
    *bytes_p = extents << MEGA__EXTENT_SHIFT;
    return st;
}

/* ---- Chunks ---- */

struct walk {
    struct mega__sight s;
    uint32_t region; /* 0: all */
    mega_walk_fn fn;
    void *arg;
    int stop; /* what fn has returned */
};

/* Reserved and dead chunks are not live. */
static bool is_live(const _Atomic uint8_t *mark)
{
    return atomic_load_explicit(mark, memory_order_acquire) == MEGA__MARK_LIVE;
}

static void walk_slab(struct walk *w, uint32_t e, unsigned class,
                      const _Atomic uint8_t *marks)
{
    const struct mega__class *c = &w->s.ctx->classes.of[class];
    for (uint32_t i = 0; !w->stop && i < c->capacity; i++) {
        uint32_t in = i * c->size;
        if (is_live(&marks[in >> MEGA__GRANULE_SHIFT]))
            w->stop =
                w->fn(mega__span_gptr(w->s.span,
                                      ((uint64_t)e << MEGA__EXTENT_SHIFT) + in),
                      c->size, w->arg);
    }
}

static bool has_chunks(const struct mega__span *span, uint32_t e, uint64_t w)
{
    if (mega__word_is_slab(w))
        return mega__word_class(w) < MEGA__CLASSES;
    return mega__word_kind(w) == MEGA__RUN_HEAD && mega__run_fits(span, e, w) &&
           !(mega__word_flags(w) & MEGA__RUN_RAW);
}

static mega_status_t walk_extent(struct walk *w, uint32_t e)
{
    const _Atomic uint8_t *marks;
    uint64_t word = mega__span_word(w->s.span, e);
    if ((w->region && mega__word_region(word) != w->region) ||
        !has_chunks(w->s.span, e, word))
        return MEGA_OK;
    mega_status_t st = mega__sight_marks(&w->s, e, &marks);
    if (st)
        return st;
    if (mega__word_is_slab(word))
        walk_slab(w, e, mega__word_class(word), marks);
    else if (is_live(marks))
        w->stop =
            w->fn(mega__span_gptr(w->s.span, (uint64_t)e << MEGA__EXTENT_SHIFT),
                  (size_t)mega__word_len(word) << MEGA__EXTENT_SHIFT, w->arg);
    return MEGA_OK;
}

static mega_status_t walk_span(struct walk *w)
{
    mega_status_t st = MEGA_OK;
    for (uint32_t e = w->s.span->first;
         !st && !w->stop && e < w->s.span->extents; e++)
        st = walk_extent(w, e);
    return st;
}

mega_status_t mega__stat_walk(struct mega__ctx *ctx, struct mega__home *home,
                              uint32_t region, mega_walk_fn fn, void *arg,
                              int *stop_p)
{
    struct walk w = {.region = region, .fn = fn, .arg = arg};
    mega_status_t st = mega__sight_begin(&w.s, ctx, home);
    for (uint32_t no = 0; !st && !w.stop; no++) {
        st = mega__sight_span(&w.s, no);
        if (st || !w.s.span)
            break;
        st = walk_span(&w);
    }
    mega__sight_end(&w.s);
    if (!st && stop_p)
        *stop_p = w.stop;
    return st;
}

/* ---- A home ---- */

static int count_chunk(mega_gptr_t p, size_t usable, void *arg)
{
    mega_home_stat_t *s = arg;
    (void)p;
    s->live_chunks++;
    s->live_bytes += usable;
    return 0;
}

static void count_words(const struct mega__span *span, mega_home_stat_t *s)
{
    s->size += (uint64_t)(span->extents - span->first) << MEGA__EXTENT_SHIFT;
    for (uint32_t e = span->first; e < span->extents; e++) {
        uint64_t w = mega__span_word(span, e);
        uint64_t bytes = (uint64_t)mega__word_len(w) << MEGA__EXTENT_SHIFT;
        if (mega__word_is_slab(w) || mega__word_kind(w) == MEGA__SLAB_INIT)
            s->slabs += MEGA__EXTENT; /* of a far rank it may long be INIT */
        else if (mega__word_kind(w) != MEGA__RUN_HEAD)
            continue;
        else if (mega__word_flags(w) & MEGA__RUN_RAW)
            s->raw += bytes;
        else
            s->runs += bytes;
    }
}

/* What words and marks do not tell. */
static mega_status_t describe(struct mega__ctx *ctx, struct mega__home *home,
                              mega_home_stat_t *s)
{
    char path[MEGA__PATH];
    struct mega__request req = {.op = MEGA__ASK_HOME, .home = home->no};
    mega_status_t st;
    s->home = (int)home->no;
    s->server = mega__home_server(ctx, home->no);
    s->local = home->local;
    if (!home->local) {
        st = mega__agent_ask(ctx, home, &req);
        s->domain = (mega_domain_t)req.arg[0];
        s->max = req.arg[1];
        snprintf(s->path, sizeof s->path, "%.255s", req.text);
        return st;
    }
    s->domain = home->domain;
    s->max = ctx->conf.home_max.v.number;
    st = mega__home_path(ctx, home->no, 0, "", path);
    if (!st)
        snprintf(s->path, sizeof s->path, "%.255s", path);
    return st;
}

mega_status_t mega__stat_home(struct mega__ctx *ctx, struct mega__home *home,
                              mega_home_stat_t *stat_p)
{
    mega_home_stat_t s = {0};
    struct walk w = {.fn = count_chunk, .arg = &s};
    mega_status_t st = describe(ctx, home, &s);
    if (st)
        return st;
    st = mega__sight_begin(&w.s, ctx, home);
    for (uint32_t no = 0; !st; no++) {
        st = mega__sight_span(&w.s, no);
        if (st || !w.s.span)
            break;
        s.spans++;
        count_words(w.s.span, &s);
        count_room(w.s.span, &s.free, &s.largest_hole);
        st = walk_span(&w);
    }
    mega__sight_end(&w.s);
    s.free <<= MEGA__EXTENT_SHIFT;
    s.largest_hole <<= MEGA__EXTENT_SHIFT;
    if (!st)
        *stat_p = s;
    return st;
}
