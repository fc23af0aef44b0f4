/* SPDX-License-Identifier: BSD-3-Clause */
/* census.c - see census.h. */
#include "census.h"

#include <string.h>

static enum use use_of_run(const struct space *space, const struct span *s,
                           uint32_t e, uint64_t w)
{
    if (mega__word_kind(w) == MEGA__RUN_TAIL) {
        if (!run_covers(s, e, w))
            return run_head_damaged(s, e, w) ? USE_BAD : USE_PENDING;
        e -= mega__word_len(w);
        w = span_word(s, e);
    }
    if (!run_fits(s, e, w))
        return USE_BAD;
    if (mega__word_kind(w) == MEGA__FREEING ||
        !space_region_lives(space, mega__word_region(w)))
        return USE_PENDING;
    if (mega__word_flags(w) & MEGA__RUN_RAW)
        return USE_RAW;
    return span_mark(s, e, 0) == MEGA__MARK_LIVE ? USE_RUN : USE_PENDING;
}

enum use census_use(const struct space *space, const struct span *s, uint32_t e)
{
    uint64_t w = span_word(s, e);
    if (e < s->first)
        return mega__word_kind(w) == MEGA__UNUSABLE ? USE_META : USE_BAD;
    switch (mega__word_kind(w)) {
    case MEGA__FREE:
        return w ? USE_BAD : USE_FREE;
    case MEGA__SLAB_INIT:
        return USE_PENDING;
    case MEGA__SLAB:
        if (mega__word_class(w) >= MEGA__CLASSES)
            return USE_BAD;
        return space_region_lives(space, mega__word_region(w)) ? USE_SLAB
                                                               : USE_PENDING;
    case MEGA__RUN_HEAD:
    case MEGA__RUN_TAIL:
    case MEGA__FREEING:
        return use_of_run(space, s, e, w);
    default:
        return USE_BAD;
    }
}

uint32_t census_fill(const struct space *space, const struct span *s,
                     uint32_t e, uint64_t w)
{
    const struct mega__class *k = &space->classes.of[mega__word_class(w)];
    uint32_t live = 0;
    for (uint32_t i = 0; i < k->capacity; i++)
        live += span_mark(s, e, i * k->size >> MEGA__GRANULE_SHIFT) ==
                MEGA__MARK_LIVE;
    return live;
}

static void count_slab(const struct space *space, const struct span *s,
                       uint32_t e, struct census *c)
{
    uint64_t w = span_word(s, e);
    unsigned k = mega__word_class(w);
    if (k >= MEGA__CLASSES) /* a job has changed it meanwhile */
        return;
    uint32_t live = census_fill(space, s, e, w);
    c->classes[k].slabs++;
    c->classes[k].live += live;
    c->classes[k].room += space->classes.of[k].capacity;
    c->live_chunks += live;
    c->live_bytes += (uint64_t)live * space->classes.of[k].size;
}

static void count_run(const struct span *s, uint32_t e, struct census *c)
{
    uint64_t w = span_word(s, e);
    if (mega__word_kind(w) != MEGA__RUN_HEAD)
        return;
    c->runs++;
    if (span_mark(s, e, 0) != MEGA__MARK_LIVE)
        return;
    c->live_chunks++;
    c->live_bytes += (uint64_t)mega__word_len(w) << MEGA__EXTENT_SHIFT;
}

void census_take(const struct space *space, const struct home *home,
                 struct census *c)
{
    memset(c, 0, sizeof *c);
    for (uint32_t no = 0; no < home->nspans; no++) {
        const struct span *s = home_span(home, no);
        uint64_t hole = 0;
        for (uint32_t e = 0; s && e < s->extents; e++) {
            enum use use = census_use(space, s, e);
            c->extents[use]++;
            hole = use == USE_FREE ? hole + 1 : 0;
            if (hole > c->largest_hole)
                c->largest_hole = hole;
            if (use == USE_SLAB)
                count_slab(space, s, e, c);
            else if (use == USE_RUN)
                count_run(s, e, c);
        }
    }
}
