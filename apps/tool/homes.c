/* SPDX-License-Identifier: BSD-3-Clause */
/* homes.c - see homes.h. */
#include "homes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "block.h"
#include "collect.h"
#include "names.h"

/* ---- Words of the block ---- */

uint64_t block_load(const uint64_t *word)
{
    return __atomic_load_n(word, __ATOMIC_RELAXED);
}

bool intent_pending(const struct home *home, unsigned i,
                    struct mega__intent *copy)
{
    if (!home->block)
        return false;
    memcpy(copy, &home->block->intents[i], sizeof *copy);
    return mega__record_intent_decided(copy);
}

bool space_intents_wait(const struct space *space)
{
    struct mega__intent copy;
    for (size_t i = 0; i < space->nhomes; i++)
        for (unsigned k = 0; k < MEGA__INTENTS_MAX; k++)
            if (intent_pending(&space->homes[i], k, &copy))
                return true;
    return false;
}

/* ---- Looking up ---- */

const struct home *space_home(const struct space *space, uint32_t no)
{
    size_t low = 0, high = space->nhomes;
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (space->homes[mid].no < no)
            low = mid + 1;
        else
            high = mid;
    }
    return low < space->nhomes && space->homes[low].no == no
               ? &space->homes[low]
               : NULL;
}

uint64_t home_of_all(const struct home *home)
{
    return home->no == 0 ? home->epoch : home->reached;
}

const struct span *home_span(const struct home *home, uint32_t no)
{
    return no < home->nspans && home->spans[no].image ? &home->spans[no] : NULL;
}

bool space_region_lives(const struct space *space, uint32_t id)
{
    if (!space->have_live || id == MEGA__REGION_DEFAULT)
        return true;
    for (size_t i = 0; i < space->nlive; i++)
        if (space->live[i].id == id)
            return true;
    return false;
}

bool space_region_ended(const struct space *space, uint32_t id)
{
    for (size_t i = 0; i < space->nended; i++)
        if (space->ended[i] == id)
            return true;
    return false;
}

bool run_fits(const struct span *s, uint32_t e, uint64_t w)
{
    return mega__word_head_fits(w, s->extents - e);
}

bool run_covers(const struct span *s, uint32_t e, uint64_t w)
{
    uint32_t head = e - mega__word_len(w);
    return mega__word_tail_fits(w, e - s->first) &&
           mega__word_covers(span_word(s, head), w, s->extents - head);
}

bool run_head_damaged(const struct span *s, uint32_t e, uint64_t w)
{
    uint32_t head = e - mega__word_len(w);
    return !mega__word_tail_fits(w, e - s->first) ||
           mega__word_head_damaged(span_word(s, head), s->extents - head);
}

static bool find_in_slab(const struct space *space, struct chunk *c,
                         uint32_t at)
{
    unsigned k = mega__word_class(c->word);
    if (k >= MEGA__CLASSES || !mega__class_is_start(&space->classes.of[k], at))
        return false;
    c->granule = at >> MEGA__GRANULE_SHIFT;
    c->bytes = space->classes.of[k].size;
    return true;
}

static bool find_in_run(struct chunk *c, uint32_t at)
{
    uint32_t distance = 0;
    if (mega__word_kind(c->word) == MEGA__RUN_TAIL) {
        if (!run_covers(c->span, c->extent, c->word))
            return false;
        distance = mega__word_len(c->word);
        c->word = span_word(c->span, c->extent - distance);
    }
    if (mega__word_kind(c->word) != MEGA__RUN_HEAD ||
        !run_fits(c->span, c->extent - distance, c->word))
        return false;
    c->extent -= distance;
    c->granule = 0;
    c->off = (uint64_t)c->extent << MEGA__EXTENT_SHIFT;
    c->bytes = (uint64_t)mega__word_len(c->word) << MEGA__EXTENT_SHIFT;
    c->raw = mega__word_flags(c->word) & MEGA__RUN_RAW;
    return c->raw || (distance == 0 && at == 0);
}

bool space_find(const struct space *space, uint64_t p, struct chunk *c)
{
    mega_gptr_t g = mega_from_bits(p);
    memset(c, 0, sizeof *c);
    c->home = p ? space_home(space, mega__gptr_home(g)) : NULL;
    c->span = c->home ? home_span(c->home, mega__gptr_span(g)) : NULL;
    c->off = mega_offset(g);
    if (!c->span || c->off >= c->span->size)
        return false;
    c->extent = (uint32_t)(c->off >> MEGA__EXTENT_SHIFT);
    uint32_t at = (uint32_t)c->off & (MEGA__EXTENT - 1);
    if (c->extent < c->span->first)
        return false;
    c->word = span_word(c->span, c->extent);
    if (!space_region_lives(space, mega__word_region(c->word)))
        return false;
    return mega__word_is_slab(c->word) ? find_in_slab(space, c, at)
                                       : find_in_run(c, at);
}

bool space_find_live(const struct space *space, uint64_t p, struct chunk *c)
{
    return space_find(space, p, c) &&
           (c->raw ||
            span_mark(c->span, c->extent, c->granule) == MEGA__MARK_LIVE);
}

bool space_find_around(const struct space *space, uint64_t p, struct chunk *c)
{
    if (space_find_live(space, p, c))
        return true;
    uint64_t start = c->off; /* in a run: the run's */
    unsigned k = mega__word_class(c->word);
    if (mega__word_is_slab(c->word) && k < MEGA__CLASSES)
        start -= start % MEGA__EXTENT % space->classes.of[k].size;
    return c->span &&
           space_find_live(space, mega__gptr(c->home->no, c->span->no, start).v,
                           c);
}

/* ---- Putting together ---- */

static int by_home(const void *a, const void *b)
{
    const struct image *x = a, *y = b;
    if (x->ident.home != y->ident.home)
        return x->ident.home < y->ident.home ? -1 : 1;
    return (x->ident.pool > y->ident.pool) - (x->ident.pool < y->ident.pool);
}

static void keep_span(struct home *home, const struct span *s,
                      struct problems *problems)
{
    if (home->spans[s->no].image) {
        problem(problems, FAULT, s->image->path, s->off,
                "home %u has span %u twice", home->no, s->no);
        return;
    }
    home->spans[s->no] = *s;
    if (s->no >= home->nspans)
        home->nspans = s->no + 1;
    if (s->no != 0)
        return;
    home->span0 = &home->spans[0];
    home->block = (const void *)span_at(s, MEGA__HOME_BLOCK_OFF);
    if (!mega__unseal(block_load(&home->block->epoch), &home->epoch))
        home->epoch = 0;
    if (!mega__unseal(block_load(&home->block->clean), &home->clean))
        home->clean = 0;
    if (!mega__unseal(block_load(&home->block->reached), &home->reached))
        home->reached = 0;
    if (!mega__unseal(block_load(&home->block->lot), &home->lot))
        home->lot = 0;
}

static bool overlaps(const struct home *home, const struct span *s)
{
    for (uint32_t k = 0; k < home->nspans; k++) {
        const struct span *t = &home->spans[k];
        if (t->image == s->image && s->off < t->off + t->size &&
            t->off < s->off + s->size)
            return true;
    }
    return false;
}

static void add_spans(struct home *home, struct image *image,
                      struct problems *problems)
{
    struct span s;
    for (unsigned i = 0; i < MEGA__POOL_SPANS; i++) {
        if (!image_span(image, i, problems, &s))
            continue;
        if (overlaps(home, &s))
            problem(problems, FAULT, image->path, s.off,
                    "home %u: span %u overlaps another", home->no, s.no);
        else
            keep_span(home, &s, problems);
    }
}

static void find_latest(struct space *space)
{
    space->latest = space->homes;
    for (size_t i = 1; i < space->nhomes; i++)
        if (home_of_all(&space->homes[i]) > home_of_all(space->latest))
            space->latest = &space->homes[i];
}

/* What says that a job has had the space. */
static void find_used(struct space *space)
{
    for (size_t i = 0; i < space->nhomes; i++) {
        const struct home *home = &space->homes[i];
        const struct span *s = home->span0;
        if (!s)
            continue;
        bool filled = mega__block_filled(
            home->block,
            (const uint64_t *)(const void *)span_at(s, s->words_off) + s->first,
            s->extents - s->first);
        space->filled = space->filled || filled;
        if (!space->used && (filled || mega__block_opened(home->block)))
            space->used = home;
    }
}

/* The regions of home 0. */
static bool list_live(struct space *space)
{
    const struct home *home0 = space_home(space, 0);
    if (!home0 || !home0->block)
        return true;
    space->live = calloc(MEGA_REGIONS_MAX, sizeof *space->live);
    if (!space->live)
        return false;
    space->have_live = true;
    for (unsigned i = 0; i < MEGA_REGIONS_MAX; i++) {
        const struct mega__region_record *r = &home0->block->regions[i];
        struct region *live = &space->live[space->nlive];
        enum mega__record_state state;
        if (!mega__record_state(block_load(&r->state), &state, &live->id) ||
            state < MEGA__REC_CREATING)
            continue;
        if (state != MEGA__REC_LIVE) {
            space->ended[space->nended++] = live->id;
            continue;
        }
        mega__unseal(block_load(&r->bytes_per_home), &live->bytes_per_home);
        name_clean(r->name, sizeof r->name, live->name, sizeof live->name);
        space->nlive++;
    }
    return true;
}

/* A pool file that its home does not list holds nothing: the next open removes
 * it (layout.h, 3). Pools come in their order. */
static bool is_listed(const struct home *home, const struct image *image)
{
    uint64_t npools;
    return image->ident.pool == 0 || !home->block ||
           !mega__unseal(block_load(&home->block->npools), &npools) ||
           npools == 0 || image->ident.pool < npools;
}

/* It is the same pool as the one before it. */
static void note_twice(struct space *space, const struct image *image,
                       struct problems *problems)
{
    problem(problems, FAULT, image->path, image->root_off,
            "it is pool %u of home %u, as %s is: look at one copy only",
            image->ident.pool, image->ident.home, image[-1].path);
    if (!space->twice[0]) {
        space->twice[0] = image - 1;
        space->twice[1] = image;
    }
}

static bool add_home(struct space *space, size_t first, size_t end,
                     struct problems *problems)
{
    struct home *home = &space->homes[space->nhomes++];
    memset(home, 0, sizeof *home);
    home->no = space->images[first].ident.home;
    home->spans = calloc(MEGA__SPANS_MAX, sizeof *home->spans);
    if (!home->spans)
        return false;
    for (size_t i = first; i < end; i++) {
        struct image *image = &space->images[i];
        if (i > first && image->ident.pool == image[-1].ident.pool)
            note_twice(space, image, problems);
        else if (is_listed(home, image))
            add_spans(home, image, problems);
    }
    return true;
}

/* Images without a root, or of another space than most, come last. */
static size_t part(struct space *space, struct problems *problems)
{
    size_t n = 0;
    for (size_t i = 0; i < space->nimages; i++) {
        struct image *image = &space->images[i], kept = *image;
        if (!image->root)
            continue;
        if (n == 0) {
            memcpy(space->uuid, image->ident.uuid, 16);
            space->of = image->ident.nhomes;
        } else if (memcmp(space->uuid, image->ident.uuid, 16) != 0) {
            problem(problems, FAULT, image->path, image->root_off,
                    "it belongs to another space than %s",
                    space->images[0].path);
            continue;
        }
        *image = space->images[n];
        space->images[n++] = kept;
    }
    return n;
}

bool space_open(char **args, bool writable, struct problems *problems,
                struct space *space)
{
    memset(space, 0, sizeof *space);
    mega__class_init(&space->classes);
    if (!collect(args, writable, problems, space))
        return false;
    size_t n = part(space, problems);
    space->homes = calloc(n + 1, sizeof *space->homes);
    if (!space->homes)
        return false;
    qsort(space->images, n, sizeof *space->images, by_home);
    for (size_t first = 0, end; first < n; first = end) {
        for (end = first + 1; end < n && space->images[end].ident.home ==
                                             space->images[first].ident.home;)
            end++;
        if (!add_home(space, first, end, problems))
            return false;
    }
    find_latest(space);
    find_used(space);
    return list_live(space);
}

bool space_once(const struct space *space)
{
    if (!space->twice[0])
        return true;
    fprintf(stderr,
            "megalloc: %s and %s are both pool %u of home %u, so nothing is "
            "changed: give one copy only\n",
            space->twice[0]->path, space->twice[1]->path,
            space->twice[0]->ident.pool, space->twice[0]->ident.home);
    return false;
}

bool space_look(char **args, struct space *space)
{
    struct problems problems = {0};
    if (!space_open(args, false, &problems, space))
        return false;
    if (space->nhomes == 0) {
        fprintf(stderr, "megalloc: no file holds a home that can be read\n");
        return false;
    }
    space_tell_damage(&problems);
    return true;
}

void space_tell_damage(const struct problems *problems)
{
    if (problems->count[FAULT])
        fprintf(stderr, "megalloc: parts of the space are damaged, or there "
                        "twice, and left out: see megalloc check\n");
}

void space_close(struct space *space)
{
    for (size_t i = 0; i < space->nimages; i++)
        image_close(&space->images[i]);
    for (size_t i = 0; i < space->nhomes; i++)
        free(space->homes[i].spans);
    free(space->images);
    free(space->homes);
    free(space->live);
    memset(space, 0, sizeof *space);
}
