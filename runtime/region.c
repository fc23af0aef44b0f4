/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * region.c - regions: made, opened, grown, destroyed; always by all ranks.
 *
 * Create: home 0's server writes a CREATING record with a fresh id; each
 * server reserves raw runs on its homes and records them; all agree; LIVE is
 * the one durable record that makes the region exist on all homes. Destroy:
 * DYING is the one that ends it; then the servers sweep, and the record goes.
 * The places of the raw runs are gathered, so mega_region_at asks nobody.
 */
#include "region.h"

#include <stdlib.h>
#include <string.h>

#include "agent.h"
#include "arena.h"
#include "crash_point.h"
#include "degraded.h"
#include "directory.h"
#include "home.h"
#include "log.h"
#include "net.h"
#include "run.h"
#include "slab.h"
#include "space.h"
#include "sweep.h"

struct decision { /* of home 0's server, for all */
    mega_status_t status;
    uint32_t line, id;
    uint64_t bytes;
    char text[MEGA__ERRMSG_MAX];
};

static struct mega__home *home0_if_served(struct mega__ctx *ctx)
{
    return ctx->homes[0].serving ? &ctx->homes[0] : NULL;
}

/* Tells all what home 0's server has decided. */
static mega_status_t spread(struct mega__ctx *ctx, struct decision *d)
{
    if (d->status)
        memcpy(d->text, mega__errmsg_buffer(), sizeof d->text);
    mega_status_t st =
        mega__boot_bcast(ctx->boot, d, sizeof *d, mega__home_server(ctx, 0));
    if (!st && d->status)
        st = mega__fail(d->status, "%s", d->text);
    return st;
}

/* ---- Raw runs ---- */

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
        at += len;
    }
    return st;
}

static mega_status_t reserve_all(struct mega__ctx *ctx, uint32_t id,
                                 uint64_t from, uint64_t to)
{
    mega_status_t st = MEGA_OK;
    uint32_t i = 0;
    for (struct mega__home *home;
         !st && (home = mega__home_next_served(ctx, &i));)
        st = reserve_on(ctx, home, id, from, to);
    return mega__boot_agree(ctx->boot, st);
}

/* ---- The table of runs ---- */

static int by_place(const void *a, const void *b)
{
    const struct mega__raw_run *x = a, *y = b;
    uint32_t hx = mega__gptr_home(x->base), hy = mega__gptr_home(y->base);
    if (hx != hy)
        return hx < hy ? -1 : 1;
    return (x->start > y->start) - (x->start < y->start);
}

static size_t collect_runs(struct mega__ctx *ctx, uint32_t id,
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
                state != MEGA__REC_LIVE || region != id)
                continue;
            if (out)
                out[n] = (struct mega__raw_run){
                    r->start, (uint64_t)r->extents << MEGA__EXTENT_SHIFT,
                    mega__gptr(home->no, 0, r->base)};
            n++;
        }
    return n;
}

/* Where the raw runs of all homes lie, bytes of each; one copy per host. */
static mega_status_t gather_runs(struct mega_region *r, uint64_t of_each)
{
    struct mega__ctx *ctx = r->ctx;
    if (of_each == 0)
        return MEGA_OK;
    size_t n = collect_runs(ctx, r->id, NULL), bytes = 0;
    struct mega__raw_run *mine = calloc(n + 1, sizeof *mine);
    void *all = NULL, *p = NULL;
    mega_status_t st =
        mine ? MEGA_OK : mega__fail(MEGA_ERR_NOMEM, "no memory for a region");
    st = mega__boot_agree(ctx->boot, st);
    if (!st) {
        collect_runs(ctx, r->id, mine);
        st = mega__boot_gather(ctx->boot, mine, n * sizeof *mine, &all, &bytes);
    }
    free(mine);
    if (!st)
        st = mega__seg_share(ctx, sizeof *r->map + bytes, &p);
    struct mega__run_map *map = p;
    if (!st && all) {
        qsort(all, bytes / sizeof *mine, sizeof *mine, by_place);
        map->nruns = bytes / sizeof *mine;
        memcpy(map->runs, all, bytes);
    }
    free(all);
    st = mega__boot_agree(ctx->boot, st);
    mega__seg_unshare(st ? map : r->map);
    if (!st)
        r->map = map;
    return st;
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

mega_gptr_t mega__region_at(const struct mega_region *r, uint32_t home,
                            uint64_t off, uint64_t *len_p)
{
    if (home >= r->ctx->nhomes || off >= r->bytes_per_home || !r->map)
        return mega_null();
    uint64_t i = run_behind(r->map, home, off);
    if (i == 0)
        return mega_null();
    const struct mega__raw_run *run = &r->map->runs[i - 1];
    uint64_t in = off - run->start;
    if (mega__gptr_home(run->base) != home || in >= run->bytes)
        return mega_null();
    if (len_p) {
        uint64_t left = r->bytes_per_home - off;
        *len_p = run->bytes - in < left ? run->bytes - in : left;
    }
    return mega_add(run->base, (int64_t)in);
}

/* ---- Handles ---- */

static void handle_free(struct mega_region *r)
{
    mega__arena_forget_usual(r->ctx); /* the next handle may lie here */
    mega__seg_unshare(r->map);
    free(r);
}

void mega__region_close(struct mega_region **r_p)
{
    struct mega_region *r = *r_p;
    *r_p = NULL;
    if (!r)
        return;
    for (struct mega_region **at = &r->ctx->regions; *at; at = &(*at)->next)
        if (*at == r) {
            *at = r->next;
            break;
        }
    handle_free(r);
}

void mega__region_close_all(struct mega__ctx *ctx)
{
    while (ctx->regions) {
        struct mega_region *r = ctx->regions;
        ctx->regions = r->next;
        handle_free(r);
    }
}

static mega_status_t handle_new(struct mega__ctx *ctx, const char *name,
                                const struct decision *d,
                                struct mega_region **r_p)
{
    struct mega_region *r = calloc(1, sizeof *r);
    mega_status_t st =
        r ? MEGA_OK : mega__fail(MEGA_ERR_NOMEM, "no memory for a region");
    st = mega__boot_agree(ctx->boot, st);
    if (r)
        r->ctx = ctx;
    if (!st) {
        r->id = d->id;
        r->line = d->line;
        r->bytes_per_home = d->bytes;
        strncpy(r->name, name, MEGA_NAME_MAX);
        st = gather_runs(r, d->bytes);
    }
    if (st) {
        if (r)
            handle_free(r);
        return st;
    }
    r->next = ctx->regions;
    ctx->regions = r;
    *r_p = r;
    return MEGA_OK;
}

/* ---- Create, open, grow, destroy ---- */

/* Sets the state of a region's record, by home 0's server, durably. */
static mega_status_t set_state(struct mega__ctx *ctx, uint32_t line,
                               enum mega__record_state state)
{
    struct mega__home *home0 = home0_if_served(ctx);
    mega_status_t st =
        home0 ? mega__dir_region_set(home0, &ctx->flusher, line, state)
              : MEGA_OK;
    return mega__boot_agree(ctx->boot, st);
}

static bool not_of(uint32_t region, uint64_t start, void *arg)
{
    (void)start;
    return region != *(uint32_t *)arg;
}

/* Gives all memory of a region back and buries its record. It is not LIVE any
 * more, durably. */
static mega_status_t end_region(struct mega__ctx *ctx, uint32_t id)
{
    mega_status_t st = MEGA_OK;
    uint32_t i = 0;
    mega__arena_drop_region(ctx, id);
    st = mega__boot_agree(ctx->boot, st); /* all have dropped it */
    for (struct mega__home *home;
         !st && (home = mega__home_next_served(ctx, &i));) {
        /* Need not be durable here: the next open would prune them again. */
        st = mega__dir_run_prune(home, &ctx->flusher, not_of, &id);
        if (!st)
            st = mega__sweep_region(ctx, home, id);
    }
    st = mega__boot_agree(ctx->boot, st);
    MEGA__CRASH(region_swept);
    if (!st && home0_if_served(ctx))
        st = mega__dir_bury(&ctx->homes[0], &ctx->flusher);
    return mega__boot_agree(ctx->boot, st);
}

/* The first failure's status and sentence, over what undoing it says. */
static mega_status_t undo_create(struct mega__ctx *ctx,
                                 const struct decision *d, mega_status_t why)
{
    char text[MEGA__ERRMSG_MAX];
    memcpy(text, mega__errmsg_buffer(), sizeof text);
    mega_status_t st = set_state(ctx, d->line, MEGA__REC_DYING);
    if (!st)
        st = end_region(ctx, d->id);
    return mega__fail(why, "%s", text);
}

mega_status_t mega__region_create(struct mega__ctx *ctx, const char *name,
                                  uint64_t bytes, struct mega_region **r_p)
{
    struct decision d = {.bytes = bytes};
    struct mega_region *r = NULL;
    if (ctx->readonly)
        return mega__degraded_refuse();
    struct mega__home *home0 = home0_if_served(ctx);
    if (home0)
        d.status =
            mega__dir_region_add(home0, &ctx->flusher, name, &d.line, &d.id);
    mega_status_t st = spread(ctx, &d);
    if (st)
        return st;
    MEGA__CRASH(region_creating);
    st = reserve_all(ctx, d.id, 0, bytes);
    MEGA__CRASH(region_reserved);
    if (!st && home0)
        st = mega__dir_region_bytes(home0, &ctx->flusher, d.line, bytes);
    st = mega__boot_agree(ctx->boot, st);
    if (!st)
        st = handle_new(ctx, name, &d, &r);
    if (st)
        return undo_create(ctx, &d, st);
    st = set_state(ctx, d.line, MEGA__REC_LIVE);
    MEGA__CRASH(region_live);
    if (st)
        mega__region_close(&r);
    *r_p = r;
    return st;
}

mega_status_t mega__region_open(struct mega__ctx *ctx, const char *name,
                                struct mega_region **r_p)
{
    struct decision d = {0};
    struct mega__home *home0 = home0_if_served(ctx);
    if (mega__degraded_is_absent(ctx, 0))
        return mega__degraded_absent(ctx, 0);
    if (home0) {
        d.status = mega__dir_region_find(home0, name, &d.line);
        if (!d.status) {
            const struct mega__region_record *r =
                &home0->block->regions[d.line];
            enum mega__record_state state;
            mega__record_state(r->state, &state, &d.id);
            d.status = mega__home_read(home0, &r->bytes_per_home, "region size",
                                       &d.bytes);
        }
    }
    mega_status_t st = spread(ctx, &d);
    return st ? st : handle_new(ctx, name, &d, r_p);
}

static bool below(uint32_t region, uint64_t start, void *arg)
{
    const struct mega_region *r = arg;
    return region != r->id || start < r->bytes_per_home;
}

/* Gives back what a grow that failed has reserved. */
static void undo_grow(struct mega_region *r)
{
    struct mega__ctx *ctx = r->ctx;
    uint32_t i = 0;
    for (struct mega__home *home; (home = mega__home_next_served(ctx, &i));) {
        for (unsigned k = 0; k < MEGA__RUNS_MAX; k++) {
            const struct mega__run_record *rec = &home->block->runs[k];
            enum mega__record_state state;
            uint32_t id;
            mega_gptr_t p = mega__gptr(home->no, 0, rec->base);
            if (!mega__record_state(rec->state, &state, &id) ||
                state != MEGA__REC_LIVE || below(id, rec->start, r))
                continue;
            struct mega__span *span = mega__span_of(ctx, p);
            uint32_t e = (uint32_t)(mega_offset(p) >> MEGA__EXTENT_SHIFT);
            mega_status_t st = mega__run_free(
                ctx, span, e, mega__span_word(span, e), &ctx->flusher);
            (void)st; /* a leak until the next open, which frees it */
        }
        mega_status_t st = mega__dir_run_prune(home, &ctx->flusher, below, r);
        (void)st;
    }
}

mega_status_t mega__region_grow(struct mega_region *r, uint64_t more)
{
    struct mega__ctx *ctx = r->ctx;
    struct mega__home *home0 = home0_if_served(ctx);
    /* a run ends with its extent: what is left there is used first */
    uint64_t have = r->bytes_per_home, want = have + more;
    uint64_t reserved = mega__run_extents(have) << MEGA__EXTENT_SHIFT;
    if (ctx->readonly)
        return mega__degraded_refuse();
    mega_status_t st =
        want < have ? mega__fail(MEGA_ERR_TOO_BIG,
                                 "region %s cannot have more bytes", r->name)
                    : MEGA_OK;
    st = mega__boot_agree(ctx->boot, st);
    if (!st && want > reserved)
        st = reserve_all(ctx, r->id, reserved, want);
    if (!st) /* may tell of more than there will be, if this fails */
        st = gather_runs(r, want);
    if (!st && home0)
        st = mega__dir_region_bytes(home0, &ctx->flusher, r->line, want);
    st = mega__boot_agree(ctx->boot, st);
    if (st) {
        char text[MEGA__ERRMSG_MAX];
        memcpy(text, mega__errmsg_buffer(), sizeof text);
        undo_grow(r);
        mega__boot_barrier(ctx->boot);
        return mega__fail(st, "%s", text);
    }
    r->bytes_per_home = want;
    return MEGA_OK;
}

mega_status_t mega__region_destroy(struct mega_region **r_p)
{
    struct mega_region *r = *r_p;
    struct mega__ctx *ctx = r->ctx;
    uint32_t id = r->id, line = r->line;
    if (ctx->readonly)
        return mega__degraded_refuse();
    mega_status_t st = mega__net_flush_all(ctx->net);
    mega_status_t drained = mega__arena_drain_all(ctx, &ctx->flusher);
    /* no byte of ours may land after the region's memory is another's */
    st = mega__boot_agree(ctx->boot, st ? st : drained);
    if (!st)
        st = set_state(ctx, line, MEGA__REC_DYING);
    MEGA__CRASH(region_dying);
    if (!st)
        st = end_region(ctx, id);
    if (!st)
        mega__region_close(r_p);
    return st;
}
