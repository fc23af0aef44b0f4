/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * sight.c - see sight.h. Of a far span all words come in one get, and the
 * marks of adjacent slabs together; what this thread has yet to send there is
 * sent first, so it sees its own chunks.
 */
#include "sight.h"

#include <stdlib.h>
#include <string.h>

#include "arena.h"
#include "degraded.h"
#include "far.h"
#include "log.h"

#define WINDOW 64u /* extents whose marks are read together */

mega_status_t mega__sight_begin(struct mega__sight *s, struct mega__ctx *ctx,
                                struct mega__home *home)
{
    memset(s, 0, sizeof *s);
    s->ctx = ctx;
    s->home = home;
    if (home->local)
        return MEGA_OK;
    mega_status_t st = mega__degraded_reach(ctx, home->no);
    if (st)
        return st;
    struct mega__arena *a = mega__arena(ctx);
    s->marks = malloc((size_t)WINDOW * MEGA__EXTENT_GRANULES);
    if (!a || !s->marks)
        return mega__fail(MEGA_ERR_NOMEM, "no memory to look at home %u",
                          home->no);
    return mega__far_complete(a, home->no);
}

void mega__sight_end(struct mega__sight *s)
{
    free((void *)s->words);
    free((void *)s->marks);
    memset(s, 0, sizeof *s);
}

/* ---- Spans ---- */

/* NULL: there is none. One that is there and cannot be mapped is an error. */
static mega_status_t find_span(struct mega__sight *s, mega_gptr_t p,
                               struct mega__span **span_p)
{
    *span_p = NULL;
    if (!s->home->local)
        return mega__far_span(s->ctx, p, span_p);
    mega__span_error = MEGA_OK;
    *span_p = mega__span_of(s->ctx, p);
    return *span_p ? MEGA_OK : mega__span_error;
}

static mega_status_t copy_span(struct mega__sight *s,
                               const struct mega__span *span)
{
    size_t bytes = 8 * (size_t)span->extents;
    free((void *)s->words);
    s->words = malloc(bytes);
    if (!s->words)
        return mega__fail(MEGA_ERR_NOMEM, "no memory for %u words",
                          span->extents);
    s->copy = *span;
    s->copy.words = s->words;
    s->span = &s->copy;
    s->n = 0;
    return mega__net_get(s->ctx->net, (void *)s->words,
                         mega__far_word_at(span, 0), bytes);
}

mega_status_t mega__sight_span(struct mega__sight *s, uint32_t no)
{
    struct mega__span *span;
    s->span = NULL;
    if (no >= MEGA__SPANS_MAX)
        return MEGA_OK;
    mega_status_t st = find_span(s, mega__gptr(s->home->no, no, 0), &span);
    if (span && !s->home->local)
        return copy_span(s, span);
    s->span = span;
    return st;
}

/* ---- Marks ---- */

/* Of the slabs from extent on, as far as they are adjacent. */
static mega_status_t read_window(struct mega__sight *s, uint32_t extent)
{
    uint32_t n = 1;
    while (n < WINDOW && extent + n < s->span->extents &&
           mega__word_is_slab(mega__span_word(s->span, extent + n)))
        n++;
    uint64_t off =
        s->span->marks_off + (uint64_t)extent * MEGA__EXTENT_GRANULES;
    s->n = 0;
    mega_status_t st = mega__net_get(s->ctx->net, (void *)s->marks,
                                     mega__span_gptr(s->span, off),
                                     (size_t)n * MEGA__EXTENT_GRANULES);
    if (!st) {
        s->first = extent;
        s->n = n;
    }
    return st;
}

mega_status_t mega__sight_marks(struct mega__sight *s, uint32_t extent,
                                const _Atomic uint8_t **marks_p)
{
    mega_status_t st = MEGA_OK;
    if (s->home->local) {
        *marks_p = &s->span->marks[(uint64_t)extent * MEGA__EXTENT_GRANULES];
        return MEGA_OK;
    }
    if (extent < s->first || extent - s->first >= s->n)
        st = read_window(s, extent);
    if (!st)
        *marks_p =
            s->marks + (size_t)(extent - s->first) * MEGA__EXTENT_GRANULES;
    return st;
}

/* ---- Words, block ---- */

mega_status_t mega__sight_word(struct mega__sight *s, mega_gptr_t p,
                               uint64_t *w_p)
{
    struct mega__span *span;
    uint64_t e = mega_offset(p) >> MEGA__EXTENT_SHIFT;
    mega_status_t st = find_span(s, p, &span);
    *w_p = MEGA__FREE;
    if (!span || e < span->first || e >= span->extents)
        return st;
    if (!s->home->local)
        return mega__net_get(s->ctx->net, w_p,
                             mega__far_word_at(span, (uint32_t)e), 8);
    *w_p = mega__span_word(span, (uint32_t)e);
    return MEGA_OK;
}

mega_status_t mega__sight_block(struct mega__ctx *ctx, struct mega__home *home,
                                const struct mega__home_block **block_p)
{
    *block_p = home->block;
    if (home->local)
        return MEGA_OK;
    struct mega__home_block *copy = malloc(sizeof *copy);
    if (!copy)
        return mega__fail(MEGA_ERR_NOMEM, "no memory for the block of home %u",
                          home->no);
    mega_status_t st = mega__net_get(
        ctx->net, copy, mega__gptr(home->no, 0, MEGA__HOME_BLOCK_OFF),
        sizeof *copy);
    if (st)
        free(copy);
    else
        *block_p = copy;
    return st;
}

void mega__sight_drop(const struct mega__home *home,
                      const struct mega__home_block **block_p)
{
    if (!home->local)
        free((void *)*(struct mega__home_block **)(void *)block_p);
    *block_p = NULL;
}
