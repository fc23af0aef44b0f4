/* SPDX-License-Identifier: BSD-3-Clause */
/* walk.c - see walk.h. */
#include "walk.h"

static void walk_slab(const struct space *space, struct chunk *c, walk_fn fn,
                      void *arg)
{
    const struct mega__class *k = &space->classes.of[mega__word_class(c->word)];
    c->bytes = k->size;
    for (uint32_t i = 0; i < k->capacity; i++) {
        uint32_t at = i * k->size;
        c->granule = at >> MEGA__GRANULE_SHIFT;
        c->off = ((uint64_t)c->extent << MEGA__EXTENT_SHIFT) + at;
        if (span_mark(c->span, c->extent, c->granule) == MEGA__MARK_LIVE)
            fn(c, arg);
    }
}

static void walk_extent(const struct space *space, struct chunk *c, walk_fn fn,
                        void *arg)
{
    c->word = span_word(c->span, c->extent);
    if (!space_region_lives(space, mega__word_region(c->word)))
        return;
    if (mega__word_is_slab(c->word)) {
        if (mega__word_class(c->word) < MEGA__CLASSES)
            walk_slab(space, c, fn, arg);
    } else if (mega__word_kind(c->word) == MEGA__RUN_HEAD &&
               run_fits(c->span, c->extent, c->word) &&
               !(mega__word_flags(c->word) & MEGA__RUN_RAW) &&
               span_mark(c->span, c->extent, 0) == MEGA__MARK_LIVE) {
        c->granule = 0;
        c->off = (uint64_t)c->extent << MEGA__EXTENT_SHIFT;
        c->bytes = (uint64_t)mega__word_len(c->word) << MEGA__EXTENT_SHIFT;
        fn(c, arg);
    }
}

void walk_home(const struct space *space, const struct home *home, walk_fn fn,
               void *arg)
{
    struct chunk c = {.home = home};
    for (uint32_t no = 0; no < home->nspans; no++) {
        c.span = home_span(home, no);
        for (c.extent = c.span ? c.span->first : 0;
             c.span && c.extent < c.span->extents; c.extent++)
            walk_extent(space, &c, fn, arg);
    }
}
