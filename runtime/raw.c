/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * raw.c - the raw runs of regions: reserved, given back, and where they lie.
 *
 * Each server claims runs on its homes, as few as the holes allow, zeroes them
 * and records them; a record that is durable makes its run count. The places
 * of all are gathered once per host. Homes and media may be full: then what
 * has been claimed and recorded is the caller's to give back.
 */
#include "raw.h"

#include <stdlib.h>
#include <string.h>

#include "arena.h"
#include "directory.h"
#include "home.h"
#include "log.h"
#include "room.h"
#include "run.h"
#include "seg.h"
#include "share.h"
#include "slab.h"

/* ---- Reserve ---- */

/* One run, as large as fits but no larger than want. */
static mega_status_t reserve_run(struct mega__ctx *ctx, struct mega__home *home,
                                 uint32_t id, uint64_t want, mega_gptr_t *p_p,
                                 uint64_t *got_p)
{
    const uint64_t most = (UINT64_C(1) << 18) - 4096; /* extents of a span */
    struct mega__arena *a = mega__arena(ctx);
    uint64_t n = want < most ? want : most;
    mega_status_t st;
    if (!a)
        return MEGA_ERR_NOMEM;
    for (;;) {
        uint32_t seen =
            atomic_load_explicit(&home->seg->nspans, memory_order_acquire);
        st = mega__run_claim(ctx, home, id, (uint32_t)n, MEGA__RUN_RAW,
                             &ctx->flusher, p_p);
        if (st == MEGA_ERR_HOME_FULL &&
            mega__arena_trim(a, home) + mega__slab_reclaim(a, home) > 0)
            st = mega__run_claim(ctx, home, id, (uint32_t)n, MEGA__RUN_RAW,
                                 &ctx->flusher, p_p);
        if (st != MEGA_ERR_HOME_FULL)
            break;
        st = mega__slab_grow(ctx, home, seen, n << MEGA__EXTENT_SHIFT);
        if (!st)
            continue; /* again, in the larger home */
        if (n == 1 || st == MEGA_ERR_TIMEOUT)
            break;
        n = (n + 1) / 2; /* what is left may be in pieces */
    }
    *got_p = n;
    return st;
}

/* Frees the run at p. A word that is damaged meanwhile is left: it would free
 * what is not the run's, and mega_check names it. */
static void free_run(struct mega__ctx *ctx, mega_gptr_t p, uint32_t extents)
{
    struct mega__span *span = mega__span_of(ctx, p);
    uint32_t e = (uint32_t)(mega_offset(p) >> MEGA__EXTENT_SHIFT);
    uint64_t w = span ? mega__span_word(span, e) : MEGA__FREE;
    if (mega__word_kind(w) != MEGA__RUN_HEAD || mega__word_len(w) != extents ||
        !mega__run_fits(span, e, w))
        return;
    mega_status_t st = mega__run_free(ctx, span, e, w, &ctx->flusher);
    (void)st; /* a leak until the next open, which frees it */
}

/* Frees a run that could not be recorded: no record would name it to whoever
 * undoes the rest. The sentence stays that of the failure. */
static void take_back(struct mega__ctx *ctx, const struct mega__home *home,
                      uint32_t id, uint64_t in_home, mega_gptr_t p,
                      uint32_t extents)
{
    char text[MEGA__ERRMSG_MAX];
    if (mega__dir_run_known(home, id, in_home))
        return; /* visible, if not durable */
    memcpy(text, mega__errmsg_buffer(), sizeof text);
    free_run(ctx, p, extents);
    memcpy(mega__errmsg_buffer(), text, sizeof text);
}

static mega_status_t reserve_on(struct mega__ctx *ctx, struct mega__home *home,
                                uint32_t id, uint64_t from, uint64_t to)
{
    const uint64_t in_home =
        (UINT64_C(1) << (MEGA_OFFSET_BITS + MEGA_SPAN_BITS)) - 1;
    mega_status_t st = MEGA_OK;
    for (uint64_t at = from; !st && at < to;) {
        uint64_t want = mega__run_extents(to - at), got = 0;
        mega_gptr_t p;
        st = reserve_run(ctx, home, id, want, &p, &got);
        if (st)
            return mega__fail(st, "%llu raw bytes on home %u: %.400s",
                              (unsigned long long)(to - from), home->no,
                              mega__errmsg_buffer());
        struct mega__span *span = mega__span_of(ctx, p);
        char *raw = span->base + mega_offset(p);
        size_t len = (size_t)got << MEGA__EXTENT_SHIFT;
        memset(raw, 0, len);
        mega__pool_flush(&ctx->flusher, span->how, raw, len);
        /* its fence before the record counts is also that of the zeros */
        st = mega__dir_run_add(home, &ctx->flusher, id, p.v & in_home, at,
                               (uint32_t)got);
        if (st)
            take_back(ctx, home, id, p.v & in_home, p, (uint32_t)got);
        at += len;
    }
    return st;
}

mega_status_t mega__raw_reserve(struct mega__ctx *ctx, uint32_t id,
                                uint64_t from, uint64_t to)
{
    mega_status_t st = mega__room_check(ctx, mega__run_extents(to - from)
                                                 << MEGA__EXTENT_SHIFT);
    uint32_t i = 0;
    for (struct mega__home *home;
         !st && (home = mega__home_next_served(ctx, &i));)
        st = reserve_on(ctx, home, id, from, to);
    return mega__boot_agree(ctx->boot, st);
}

/* ---- Give back ---- */

struct part { /* of a region: from here on */
    uint32_t id;
    uint64_t from;
};

static bool outside(uint32_t region, uint64_t start, void *arg)
{
    const struct part *part = arg;
    return region != part->id || start < part->from;
}

void mega__raw_give_back(struct mega__ctx *ctx, uint32_t id, uint64_t from)
{
    struct part part = {id, from};
    uint32_t i = 0;
    for (struct mega__home *home; (home = mega__home_next_served(ctx, &i));) {
        for (unsigned k = 0; k < MEGA__RUNS_MAX; k++) {
            const struct mega__run_record *rec = &home->block->runs[k];
            enum mega__record_state state;
            uint32_t of;
            if (!mega__record_state(rec->state, &state, &of) ||
                state != MEGA__REC_LIVE || outside(of, rec->start, &part))
                continue;
            free_run(ctx, mega__gptr(home->no, 0, rec->base), rec->extents);
        }
        mega_status_t st =
            mega__dir_run_prune(home, &ctx->flusher, outside, &part);
        (void)st;
    }
}

/* ---- Where they lie ---- */

static int by_place(const void *a, const void *b)
{
    const struct mega__raw_run *x = a, *y = b;
    uint32_t hx = mega__gptr_home(x->base), hy = mega__gptr_home(y->base);
    if (hx != hy)
        return hx < hy ? -1 : 1;
    return (x->start > y->start) - (x->start < y->start);
}

static size_t collect_runs(struct mega__ctx *ctx, struct part *part,
                           struct mega__raw_run *out)
{
    uint32_t i = 0;
    size_t n = 0;
    for (struct mega__home *home; (home = mega__home_next_served(ctx, &i));)
        for (unsigned k = 0; k < MEGA__RUNS_MAX; k++) {
            const struct mega__run_record *r = &home->block->runs[k];
            enum mega__record_state state;
            uint32_t region;
            if (!mega__record_state(r->state, &state, &region) ||
                state != MEGA__REC_LIVE || outside(region, r->start, part))
                continue;
            if (out)
                out[n] = (struct mega__raw_run){
                    r->start, (uint64_t)r->extents << MEGA__EXTENT_SHIFT,
                    mega__gptr(home->no, 0, r->base)};
            n++;
        }
    return n;
}

mega_status_t mega__raw_none_from(struct mega__ctx *ctx, uint32_t id,
                                  uint64_t from)
{
    struct part part = {id, from};
    if (collect_runs(ctx, &part, NULL) == 0)
        return MEGA_OK;
    return mega__fail(MEGA_ERR_STATE,
                      "the region's last grow failed, and what it has taken is "
                      "kept or given back when the space is opened again");
}

static mega_status_t gather(struct mega__ctx *ctx, struct part *part,
                            struct mega__run_map **map_p)
{
    size_t n = collect_runs(ctx, part, NULL), bytes = 0;
    struct mega__raw_run *mine = calloc(n + 1, sizeof *mine);
    struct mega__run_map *map = NULL;
    void *all = NULL, *p = NULL;
    mega_status_t st =
        mine ? MEGA_OK : mega__fail(MEGA_ERR_NOMEM, "no memory for a region");
    st = mega__boot_agree(ctx->boot, st);
    if (!st) {
        collect_runs(ctx, part, mine);
        st = mega__boot_gather(ctx->boot, mine, n * sizeof *mine, &all, &bytes);
    }
    free(mine);
    if (!st)
        st = mega__share(ctx, sizeof *map + bytes, &p);
    map = p;
    if (!st && all) {
        qsort(all, bytes / sizeof *mine, sizeof *mine, by_place);
        map->nruns = bytes / sizeof *mine;
        memcpy(map->runs, all, bytes);
    }
    free(all);
    st = mega__boot_agree(ctx->boot, st);
    if (st)
        mega__unshare(map);
    else
        *map_p = map;
    return st;
}

/* What a thread may look at is neither changed nor freed, and one layer a grow
 * would make looking slow: a new one takes in those below that hold no more
 * grows than it has. So n grows make log n layers, and a run is in as many. */
mega_status_t mega__raw_gather(struct mega__ctx *ctx, uint32_t id,
                               uint64_t from, struct mega__raw_layer *over,
                               struct mega__raw_layer **layer_p)
{
    struct part part = {id, from};
    uint32_t grows = 1;
    for (; over && over->grows <= grows; over = over->below) {
        grows += over->grows;
        part.from = over->from;
    }
    struct mega__raw_layer *layer = calloc(1, sizeof *layer);
    mega_status_t st =
        layer ? MEGA_OK : mega__fail(MEGA_ERR_NOMEM, "no memory for a region");
    st = mega__boot_agree(ctx->boot, st);
    if (!st)
        st = gather(ctx, &part, &layer->map);
    if (st) {
        free(layer);
        return st;
    }
    layer->below = over;
    layer->from = part.from;
    layer->grows = grows;
    *layer_p = layer;
    return MEGA_OK;
}

void mega__raw_forget(struct mega__raw_layer *layer)
{
    while (layer) {
        struct mega__raw_layer *older = layer->older;
        mega__unshare(layer->map);
        free(layer);
        layer = older;
    }
}

/* The first run of a home that begins behind off; nruns: none. */
static uint64_t run_behind(const struct mega__run_map *map, uint32_t home,
                           uint64_t off)
{
    uint64_t low = 0, high = map->nruns;
    while (low < high) {
        uint64_t mid = low + (high - low) / 2;
        const struct mega__raw_run *run = &map->runs[mid];
        uint32_t h = mega__gptr_home(run->base);
        if (h < home || (h == home && run->start <= off))
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

mega_gptr_t mega__raw_at(const struct mega__raw_layer *layer, uint32_t home,
                         uint64_t off, uint64_t *len_p)
{
    while (off < layer->from)
        layer = layer->below;
    const struct mega__run_map *map = layer->map;
    uint64_t i = run_behind(map, home, off);
    if (i == 0)
        return mega_null();
    const struct mega__raw_run *run = &map->runs[i - 1];
    uint64_t in = off - run->start;
    if (mega__gptr_home(run->base) != home || in >= run->bytes)
        return mega_null();
    *len_p = run->bytes - in;
    return mega_add(run->base, (int64_t)in);
}
