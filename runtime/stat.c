/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * stat.c - see stat.h. Exact only while nobody allocates or frees; harmless
 * always: what is read is checked before it is used.
 */
#include "stat.h"

#include <stdio.h>
#include <string.h>

#include "class.h"
#include "home.h"
#include "log.h"
#include "run.h"
#include "slab.h"

/* ---- Room ---- */

void mega__stat_room(struct mega__ctx *ctx, struct mega__home *home,
                     uint64_t *free_p, uint64_t *hole_p)
{
    uint64_t free = 0, hole = 0;
    for (uint32_t no = 0; no < MEGA__SPANS_MAX; no++) {
        struct mega__span *span =
            mega__span_of(ctx, mega__gptr(home->no, no, 0));
        uint64_t here = 0;
        if (!span)
            break;
        for (uint32_t e = span->first; e < span->extents; e++) {
            bool is_free = mega__span_word(span, e) == MEGA__FREE;
            here = is_free ? here + 1 : 0;
            free += is_free;
            hole = here > hole ? here : hole;
        }
    }
    *free_p = free << MEGA__EXTENT_SHIFT;
    *hole_p = hole << MEGA__EXTENT_SHIFT;
}

uint64_t mega__stat_region(struct mega__ctx *ctx, struct mega__home *home,
                           uint32_t region)
{
    uint64_t extents = 0;
    for (uint32_t no = 0; no < MEGA__SPANS_MAX; no++) {
        struct mega__span *span =
            mega__span_of(ctx, mega__gptr(home->no, no, 0));
        if (!span)
            break;
        for (uint32_t e = span->first; e < span->extents; e++)
            extents += mega__word_region(mega__span_word(span, e)) == region;
    }
    return extents << MEGA__EXTENT_SHIFT;
}

/* ---- Chunks ---- */

/* Reserved and dead chunks are not live. */
static bool is_live(const _Atomic uint8_t *mark)
{
    return atomic_load_explicit(mark, memory_order_acquire) == MEGA__MARK_LIVE;
}

static int walk_slab(struct mega__ctx *ctx, struct mega__span *span, uint32_t e,
                     unsigned class, mega_walk_fn fn, void *arg)
{
    const struct mega__class *c = &ctx->classes.of[class];
    const _Atomic uint8_t *marks = mega__slab_marks(span, e);
    int stop = 0;
    for (uint32_t i = 0; !stop && i < c->capacity; i++) {
        uint32_t in = i * c->size;
        if (is_live(&marks[in >> MEGA__GRANULE_SHIFT]))
            stop = fn(
                mega__span_gptr(span, ((uint64_t)e << MEGA__EXTENT_SHIFT) + in),
                c->size, arg);
    }
    return stop;
}

static int walk_extent(struct mega__ctx *ctx, struct mega__span *span,
                       uint32_t e, uint32_t region, mega_walk_fn fn, void *arg)
{
    uint64_t w = mega__span_word(span, e);
    if (region && mega__word_region(w) != region)
        return 0;
    if (mega__word_is_slab(w) && mega__word_class(w) < MEGA__CLASSES)
        return walk_slab(ctx, span, e, mega__word_class(w), fn, arg);
    if (mega__word_kind(w) == MEGA__RUN_HEAD && mega__run_fits(span, e, w) &&
        !(mega__word_flags(w) & MEGA__RUN_RAW) &&
        is_live(mega__run_mark(span, e)))
        return fn(mega__span_gptr(span, (uint64_t)e << MEGA__EXTENT_SHIFT),
                  (size_t)mega__word_len(w) << MEGA__EXTENT_SHIFT, arg);
    return 0;
}

int mega__stat_walk(struct mega__ctx *ctx, struct mega__home *home,
                    uint32_t region, mega_walk_fn fn, void *arg)
{
    int stop = 0;
    for (uint32_t no = 0; !stop && no < MEGA__SPANS_MAX; no++) {
        struct mega__span *span =
            mega__span_of(ctx, mega__gptr(home->no, no, 0));
        if (!span)
            break;
        for (uint32_t e = span->first; !stop && e < span->extents; e++)
            stop = walk_extent(ctx, span, e, region, fn, arg);
    }
    return stop;
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

static void count_words(struct mega__span *span, mega_home_stat_t *s)
{
    s->size += (uint64_t)(span->extents - span->first) << MEGA__EXTENT_SHIFT;
    for (uint32_t e = span->first; e < span->extents; e++) {
        uint64_t w = mega__span_word(span, e);
        uint64_t bytes = (uint64_t)mega__word_len(w) << MEGA__EXTENT_SHIFT;
        if (mega__word_is_slab(w))
            s->slabs += MEGA__EXTENT;
        else if (mega__word_kind(w) != MEGA__RUN_HEAD)
            continue;
        else if (mega__word_flags(w) & MEGA__RUN_RAW)
            s->raw += bytes;
        else
            s->runs += bytes;
    }
}

mega_status_t mega__stat_home(struct mega__ctx *ctx, struct mega__home *home,
                              mega_home_stat_t *s)
{
    char path[MEGA__PATH];
    memset(s, 0, sizeof *s);
    s->home = (int)home->no;
    s->server = home->server;
    s->local = home->local;
    s->max = ctx->conf.home_max.v.number;
    if (!home->local)
        return MEGA_OK;
    s->domain = home->domain;
    for (uint32_t no = 0; no < MEGA__SPANS_MAX; no++) {
        struct mega__span *span =
            mega__span_of(ctx, mega__gptr(home->no, no, 0));
        if (!span)
            break;
        s->spans++;
        count_words(span, s);
    }
    mega__stat_room(ctx, home, &s->free, &s->largest_hole);
    mega__stat_walk(ctx, home, 0, count_chunk, s);
    mega_status_t st = mega__home_path(ctx, home->no, 0, "", path);
    if (!st)
        snprintf(s->path, sizeof s->path, "%.255s", path);
    return st;
}
