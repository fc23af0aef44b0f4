/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * chunk.c - the fine level of allocation.
 *
 * alloc: one bit from the bin's slab, one byte stored, the mark LIVE. No
 * lock, no atomic instruction, no flush, no fence: the mark becomes durable
 * with the data, by persist, or by drain. free: one byte stored, whoever's
 * slab it is: the owner's own thread takes the chunk back at once, from
 * others its next sweep does. Chunks above MEGA__CLASS_MAX
 * are runs (run.c).
 */
#include "chunk.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "arena.h"
#include "count.h"
#include "degraded.h"
#include "dirty.h"
#include "far.h"
#include "hot.h"
#include "log.h"
#include "roll.h"
#include "run.h"
#include "seg.h"
#include "slab.h"
#include "stat.h"

/* ---- Where to allocate ---- */

static bool is_full(mega_status_t st)
{
    return st == MEGA_ERR_HOME_FULL || st == MEGA_ERR_MEDIUM_FULL ||
           st == MEGA_ERR_TABLE_FULL;
}

/* The home is out of reach. Of what was lost there drains tell. */
static bool is_away(mega_status_t st)
{
    return st == MEGA_ERR_PEER || st == MEGA_ERR_TIMEOUT || st == MEGA_ERR_IO;
}

static mega_status_t full(struct mega__ctx *ctx, struct mega__home *home,
                          size_t size, mega_status_t why)
{
    char reason[MEGA__ERRMSG_MAX];
    uint64_t free, hole;
    snprintf(reason, sizeof reason, "%s", mega__errmsg_buffer());
    if (mega__stat_room(ctx, home, &free, &hole)) /* of another host, lost */
        return mega__fail(why, "%zu bytes on home %u: %.300s", size, home->no,
                          reason);
    return mega__fail(why,
                      "%zu bytes on home %u: %llu are free, the largest hole "
                      "has %llu; %.300s",
                      size, home->no, (unsigned long long)free,
                      (unsigned long long)hole, reason);
}

/* ---- Small chunks ---- */

#define LINE_WORTH 4 /* chunks */

/* The number of the slab after the current one. */
static uint16_t after_cur(const struct mega__bin *bin)
{
    uint32_t i = 0;
    while (i < bin->n && bin->kept[i] != bin->cur)
        i++;
    return (uint16_t)(i + 1 < bin->n ? i + 1 : 0);
}

/* Makes room for so many slabs: those after the current are given up. A slab
 * with reserved chunks cannot be; if all have, and none left to hand out, one
 * is parked. False: there is no room, for these have. */
static bool make_room(struct mega__arena *a, struct mega__heap *heap,
                      unsigned class, unsigned n)
{
    struct mega__bin *bin = &heap->bins[class];
    uint16_t from = after_cur(bin);
    for (uint16_t k = 0; bin->n + n > MEGA__BIN_KEEP && k < MEGA__BIN_KEEP;
         k++) {
        uint16_t i = (uint16_t)((from + k) % bin->n);
        if (mega__slab_reserved(bin->kept[i]))
            continue;
        if (bin->kept[i] == bin->cur)
            bin->cur = NULL;
        mega__slab_give_up(a, bin->kept[i]);
        bin->kept[i] = bin->kept[--bin->n];
    }
    for (uint16_t i = 0; bin->n == MEGA__BIN_KEEP && i < MEGA__BIN_KEEP; i++) {
        struct mega__slab *slab = bin->kept[i];
        if (mega__slab_available(slab) > 0)
            continue;
        if (bin->cur == slab)
            bin->cur = NULL;
        mega__arena_park(heap, class, slab);
        bin->kept[i] = bin->kept[--bin->n];
    }
    return bin->n < MEGA__BIN_KEEP;
}

#define PARKED_ALL UINT_MAX
#define PARKED_SOME 8 /* so many reservations must not make refills slow */

/* Looks at so many of the parked slabs, by turns: takes one with at least so
 * many chunks, and gives up those that need not stay. NULL: none. */
static struct mega__slab *take_parked(struct mega__arena *a,
                                      struct mega__heap *heap, unsigned class,
                                      unsigned looks, unsigned least)
{
    struct mega__slab *last = heap->parked[class], *slab = NULL;
    for (unsigned k = 0; k < looks && slab != last; k++) {
        slab = mega__arena_unpark(heap, class);
        bool reserved = mega__slab_reserved(slab);
        if (!slab->far || !reserved || looks == PARKED_ALL) /* else far away */
            mega__slab_sweep(a->ctx, slab);
        if (mega__slab_available(slab) >= least)
            return slab;
        if (reserved) {
            mega__arena_park(heap, class, slab);
            continue;
        }
        if (heap->bins[class].cur == slab)
            heap->bins[class].cur = NULL;
        mega__slab_give_up(a, slab);
    }
    return NULL;
}

#define FAR_PAUSE_MAX 15

/* A sweep of a far slab is a round trip: of the oldest only, and the less
 * often the less it has gained. */
static void sweep_in_refill(struct mega__arena *a, struct mega__bin *bin,
                            struct mega__slab *slab, bool oldest)
{
    if (slab->far && (!oldest || bin->far_skip > 0)) {
        if (oldest)
            bin->far_skip--;
        return;
    }
    mega__count(&a->count.sweeps, 1);
    if (mega__slab_sweep(a->ctx, slab) > 0)
        bin->far_pause = 0;
    else if (slab->far)
        bin->far_skip = bin->far_pause =
            (uint8_t)(bin->far_pause < FAR_PAUSE_MAX ? 2 * bin->far_pause + 1
                                                     : FAR_PAUSE_MAX);
}

/* Finds a slab of the bin with room: the oldest whose sweep pays, else one that
 * was parked or a new one, else whichever has a chunk at all. */
static mega_status_t refill(struct mega__arena *a, struct mega__heap *heap,
                            unsigned class)
{
    struct mega__bin *bin = &heap->bins[class];
    uint32_t capacity = a->ctx->classes.of[class].capacity;
    uint32_t worth = capacity < 16 ? 1 : capacity / 16;
    bool any = false;
    uint16_t from = after_cur(bin);
    for (uint16_t k = 0; k < bin->n; k++) {
        uint16_t i = (uint16_t)((from + k) % bin->n);
        sweep_in_refill(a, bin, bin->kept[i], k == 0);
        unsigned n = mega__slab_available(bin->kept[i]);
        if (n >= worth) {
            bin->cur = bin->kept[i];
            return MEGA_OK;
        }
        any |= n > 0;
    }
    struct mega__slab *slab = NULL;
    mega_status_t st = MEGA_ERR_HOME_FULL;
    if (make_room(a, heap, class,
                  heap->home->local ? 1 : MEGA__FAR_AHEAD_MAX)) {
        slab = take_parked(a, heap, class, PARKED_SOME, worth);
        st = slab ? MEGA_OK : mega__slab_get(a, heap, class, &slab);
        if (is_full(st)) {
            slab = take_parked(a, heap, class, PARKED_ALL, 1);
            st = slab ? MEGA_OK : st;
        }
    }
    mega__far_end(a);
    if (!st) {
        slab->bin = bin;
        bin->kept[bin->n++] = slab;
        bin->cur = slab;
        return MEGA_OK;
    }
    for (uint16_t i = 0; any && i < bin->n; i++) /* make_room has moved them */
        if (mega__slab_available(bin->kept[i]) > 0) {
            bin->cur = bin->kept[i];
            return MEGA_OK;
        }
    return st;
}

/* Moves cur's line to the next one that has a chunk, unless others have freed
 * enough in this one: few lines in use are few lines to make durable. False:
 * cur has none. */
static bool next_line(struct mega__ctx *ctx, struct mega__bin *bin)
{
    struct mega__slab *slab = bin->cur;
    if (!slab)
        return false;
    if (mega__slab_sweep_line(ctx, slab, slab->line) >= LINE_WORTH)
        return true;
    for (unsigned k = 0; k < MEGA__EXTENT_LINES; k++) {
        unsigned line = (slab->line + k) % MEGA__EXTENT_LINES;
        if (slab->avail[line]) {
            slab->line = (uint16_t)line;
            return true;
        }
    }
    return false;
}

/* Takes a chunk out of the list: its slab and granule in the extent. */
static inline mega_status_t take_small(struct mega__arena *a,
                                       struct mega__heap *heap, unsigned class,
                                       struct mega__slab **slab_p,
                                       uint32_t *g_p)
{
    struct mega__bin *bin = &heap->bins[class];
    struct mega__slab *slab = bin->cur;
    if (__builtin_expect(!slab || !slab->avail[slab->line], 0)) {
        while (!next_line(a->ctx, bin)) {
            mega_status_t st = refill(a, heap, class);
            if (st)
                return st;
        }
        slab = bin->cur;
    }
    uint64_t bits = slab->avail[slab->line];
    slab->avail[slab->line] = bits & (bits - 1);
    *g_p = slab->line * 64u + (unsigned)__builtin_ctzll(bits);
    *slab_p = slab;
    return MEGA_OK;
}

/* ---- Large chunks ---- */

static mega_status_t take_large(struct mega__ctx *ctx, struct mega__arena *a,
                                uint32_t region, struct mega__home *home,
                                size_t size, mega_gptr_t *p_p)
{
    uint64_t extents = mega__run_extents(size);
    if (extents >= MEGA__SPAN_EXTENTS_MAX)
        return mega__fail(MEGA_ERR_TOO_BIG,
                          "%zu bytes fit in no span: a chunk has less than "
                          "15.9 GiB",
                          size);
    for (;;) {
        uint32_t seen =
            atomic_load_explicit(&home->seg->nspans, memory_order_acquire);
        mega_status_t st = mega__run_claim(ctx, home, region, (uint32_t)extents,
                                           0, &a->flusher, p_p);
        if (st == MEGA_ERR_HOME_FULL &&
            mega__arena_trim(a, home) + mega__slab_reclaim(a, home) > 0)
            st = mega__run_claim(ctx, home, region, (uint32_t)extents, 0,
                                 &a->flusher, p_p);
        if (st != MEGA_ERR_HOME_FULL)
            return st;
        st = mega__slab_grow(ctx, home, seen, extents << MEGA__EXTENT_SHIFT);
        if (st)
            return st;
    }
}

/* ---- Allocation ---- */

static mega_status_t alloc_on(struct mega__ctx *ctx, struct mega__arena *a,
                              uint32_t region, struct mega__home *home,
                              size_t size, bool live, mega_gptr_t *p_p)
{
    _Atomic uint8_t *mark;
    struct mega__slab *slab;
    uint32_t g;
    mega_gptr_t p;
    if (__builtin_expect(size <= MEGA__CLASS_MAX, 1)) {
        struct mega__heap *heap = mega__arena_heap(a, region, home);
        if (!heap)
            return MEGA_ERR_NOMEM;
        mega_status_t st =
            take_small(a, heap, mega__class_of(&ctx->classes, size), &slab, &g);
        if (__builtin_expect(st != MEGA_OK, 0))
            return st;
        mark = slab->marks + g;
        p = mega__hot_gptr(slab, g);
        if (!live)
            mega__hot_set_rsv(slab, g);
    } else if (!home->local) {
        return mega__far_run_claim(a, region, home, size, live, p_p);
    } else {
        mega_status_t st = take_large(ctx, a, region, home, size, &p);
        if (st)
            return st;
        struct mega__span *span = mega__span_of(ctx, p);
        mark = mega__run_mark(span,
                              (uint32_t)(mega_offset(p) >> MEGA__EXTENT_SHIFT));
    }
    *p_p = p;
    if (!live)
        return MEGA_OK;
    atomic_store_explicit(mark, MEGA__MARK_LIVE, memory_order_release);
    return mega__dirty_note(a, home->how, mark);
}

/* ---- On any home ---- */

/* A full home is searched through before it says so, for each chunk. */
#define SHUN_FIRST 16
#define SHUN_MAX 1024

/* NULL: it is asked each time. */
static struct mega__shun *shun_of(struct mega__ctx *ctx, struct mega__arena *a,
                                  uint32_t region, struct mega__home *home,
                                  size_t size)
{
    struct mega__heap *heap =
        size <= MEGA__CLASS_MAX ? mega__arena_heap(a, region, home) : NULL;
    return heap ? &heap->shun[mega__class_of(&ctx->classes, size)] : NULL;
}

static void shun_more(struct mega__shun *shun)
{
    unsigned next = shun->last ? 2u * shun->last : SHUN_FIRST;
    shun->last = shun->left = (uint16_t)(next < SHUN_MAX ? next : SHUN_MAX);
}

/* NULL for left_out_p: leaves none out. If there is no room, and a home was out
 * of reach, it is told why the first one was. */
static mega_status_t alloc_among(struct mega__ctx *ctx, struct mega__arena *a,
                                 uint32_t region, size_t size, bool live,
                                 bool *left_out_p, mega_gptr_t *p_p)
{
    mega_status_t st = MEGA_ERR_HOME_FULL, away = MEGA_OK;
    char said[MEGA__ERRMSG_MAX];
    uint32_t from = ctx->my_home < 0 ? 0 : (uint32_t)ctx->my_home;
    for (uint32_t i = 0; i < 2 * ctx->nhomes; i++) {
        uint32_t h = (from + i) % ctx->nhomes;
        /* those of this host first */
        if (ctx->homes[h].local != (i < ctx->nhomes))
            continue;
        struct mega__home *home = mega__home_at(ctx, h);
        struct mega__shun *shun = shun_of(ctx, a, region, home, size);
        if (left_out_p && shun && shun->left > 0) {
            shun->left--;
            *left_out_p = true;
            continue;
        }
        st = alloc_on(ctx, a, region, home, size, live, p_p);
        if (!is_full(st) && !is_away(st)) {
            if (shun)
                shun->last = shun->left = 0;
            return st;
        }
        if (shun)
            shun_more(shun);
        if (is_away(st) && !away) {
            away = st;
            memcpy(said, mega__errmsg_buffer(), sizeof said);
        }
    }
    if (away)
        memcpy(mega__errmsg_buffer(), said, sizeof said);
    return away ? away : st;
}

static mega_status_t alloc_any(struct mega__ctx *ctx, struct mega__arena *a,
                               uint32_t region, size_t size, bool live,
                               mega_gptr_t *p_p)
{
    bool left_out = false;
    mega_status_t st = alloc_among(ctx, a, region, size, live, &left_out, p_p);
    return (is_full(st) || is_away(st)) && left_out
               ? alloc_among(ctx, a, region, size, live, NULL, p_p)
               : st;
}

/* ---- The call ---- */

mega_status_t mega__chunk_alloc(struct mega__ctx *ctx, uint32_t region,
                                int home, size_t size, bool live,
                                mega_gptr_t *p_p)
{
    mega_status_t st = mega__degraded_write(ctx);
    if (st)
        return st;
    struct mega__arena *a = mega__arena(ctx);
    if (!a)
        return MEGA_ERR_NOMEM;
    const uint32_t mine = ctx->my_home < 0 ? 0 : (uint32_t)ctx->my_home;
    struct mega__home *on = mega__home_at(
        ctx, home < 0 || (uint32_t)home >= ctx->nhomes ? mine : (uint32_t)home);
    if (home == MEGA_ANY_HOME) {
        st = alloc_any(ctx, a, region, size, live, p_p);
    } else if (home < 0 || (uint32_t)home >= ctx->nhomes) {
        return mega__fail(MEGA_ERR_ARG, "home %d: the space has homes 0 to %u",
                          home, ctx->nhomes - 1);
    } else {
        st = alloc_on(ctx, a, region, on, size, live, p_p);
    }
    if (__builtin_expect(st == MEGA_ERR_HOME_FULL || st == MEGA_ERR_MEDIUM_FULL,
                         0))
        return full(ctx, on, size, st);
    return st;
}
