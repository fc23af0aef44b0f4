/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * grow.c - new pool files of a home: its first, and those it grows by.
 *
 * A file is made under a temporary name, its spans formatted and made
 * durable, renamed, and listed last (layout.h, 3): killed anywhere, the next
 * open removes what is not listed. Only the server makes files; in a job one
 * thread at a time (agent.c).
 */
#include <string.h>

#include "age.h"
#include "crash_point.h"
#include "crc.h"
#include "home.h"
#include "log.h"
#include "net.h"
#include "seg.h"
#include "span.h"

#define POOL_MARGIN                                                            \
    (UINT64_C(8) << 20) /* what a pool loses to libpmemobj and                 \
                           alignment, at most */
#define POOL_MAX                                                               \
    ((UINT64_C(16) << 30) + POOL_MARGIN) /* more fits in no span               \
                                          */
#define SPAN_MIN (UINT64_C(1) << 20)

static uint32_t count_spans(const struct mega__home *home)
{
    uint32_t n = 0;
    while (n < MEGA__SPANS_MAX && atomic_load(&home->spans[n]))
        n++;
    return n;
}

/* Formats one span in a new pool and writes its record. */
static mega_status_t add_span(struct mega__ctx *ctx, struct mega__home *home,
                              struct mega__pool *pool, unsigned slot,
                              uint32_t no, struct mega__flusher *f)
{
    struct mega__span_header ident = {.home = home->no, .span = no};
    struct mega__span_record rec = {.span = no, .listed = 1};
    struct mega__pool_root *root = mega__pool_root(pool);
    mega_status_t st =
        mega__pool_add_span(pool, slot, SPAN_MIN, &rec.base, &rec.size);
    if (st)
        return st;
    if (!mega__span_fits(no, rec.size)) {
        mega__pool_drop_span(pool, slot);
        return mega__fail(MEGA_ERR_TOO_BIG,
                          "a pool of %llu bytes has no room for extents: "
                          "raise MEGALLOC_HOME_SIZE",
                          (unsigned long long)mega__pool_size(pool));
    }
    char *base = mega__pool_base(pool) + rec.base;
    ident.size = rec.size;
    memcpy(ident.uuid, ctx->uuid, sizeof ident.uuid);
    if (no == 0) {
        memset(base + MEGA__HOME_BLOCK_OFF, 0, sizeof(struct mega__home_block));
        mega__pool_flush(f, home->how, base + MEGA__HOME_BLOCK_OFF,
                         sizeof(struct mega__home_block));
    }
    mega__span_format(f, home->how, base, &ident);
    /* In no order: the file has its name, and is listed, after the drain (3).
     */
    rec.crc = mega__crc(&rec, sizeof rec - 4);
    root->spans[slot] = rec;
    mega__pool_flush(f, home->how, &root->spans[slot], sizeof rec);
    return mega__pool_drain(f);
}

/* Makes pool k with as many spans as fit, from number no on. */
static mega_status_t make_pool(struct mega__ctx *ctx, struct mega__home *home,
                               uint32_t k, uint32_t no, uint64_t size,
                               struct mega__flusher *f)
{
    char temp[MEGA__PATH], path[MEGA__PATH];
    struct mega__pool *pool = NULL;
    struct mega__pool_ident ident = {.magic = MEGA__POOL_MAGIC,
                                     .format = MEGA__FORMAT,
                                     .home = home->no,
                                     .nhomes = ctx->nhomes,
                                     .pool = k,
                                     .extent_shift = MEGA__EXTENT_SHIFT,
                                     .granule_shift = MEGA__GRANULE_SHIFT};
    memcpy(ident.uuid, ctx->uuid, sizeof ident.uuid);
    mega_status_t st = mega__home_path(ctx, home->no, k, ".new", temp);
    if (!st)
        st = mega__home_path(ctx, home->no, k, "", path);
    if (!st)
        st = mega__pool_unlink(temp);
    if (!st)
        st = mega__pool_create(temp, size, &ident, &pool);
    if (st)
        return st;
    if (k == 0) /* it is not open yet */
        mega__home_choose_how(ctx, home, pool);
    else
        mega__age_begin(home, pool, f);
    st = add_span(ctx, home, pool, 0, no, f);
    for (unsigned slot = 1;
         !st && slot < MEGA__POOL_SPANS && no + slot < MEGA__SPANS_MAX; slot++)
        if (add_span(ctx, home, pool, slot, no + slot, f) != MEGA_OK)
            break; /* the pool is full */
    if (!st)
        st = mega__pool_sync(pool);
    mega__pool_close(&pool);
    MEGA__CRASH(pool_made);
    if (!st)
        st = mega__pool_rename(temp, path);
    MEGA__CRASH(pool_renamed);
    if (st)
        mega__pool_unlink(temp);
    return st;
}

mega_status_t mega__home_create(struct mega__ctx *ctx, struct mega__home *home)
{
    struct mega__summary summary;
    struct mega__flusher *f = &ctx->flusher;
    mega_status_t st =
        make_pool(ctx, home, 0, 0, ctx->conf.home_size.v.number, f);
    if (!st)
        st = mega__home_open(ctx, home, &summary);
    if (st)
        return st;
    _Static_assert(offsetof(struct mega__home_block, npools) / MEGA__LINE ==
                       offsetof(struct mega__home_block, next_region) /
                           MEGA__LINE,
                   "one flush for both");
    /* Born lies in the line, too, and of the other homes is durable before home
     * 0's is stored (deal.c): only home 0 hangs on this one. */
    home->block->npools = mega__seal(1);
    mega__home_write(home, f, &home->block->next_region,
                     MEGA__REGION_DEFAULT + 1);
    return mega__pool_drain(f);
}

/* ---- Growth ---- */

static void share_span(struct mega__home *home, struct mega__pool *pool,
                       uint32_t k, uint32_t no)
{
    struct mega__seg_span *to = &home->seg->spans[no];
    struct mega__span *span = atomic_load(&home->spans[no]);
    to->pool = k;
    to->base = (uint64_t)(span->base - mega__pool_base(pool));
    to->size = span->size;
    to->file = mega__pool_file(pool);
    to->root_off = mega__pool_root_off(pool);
    atomic_store_explicit(&to->free, span->extents - span->first,
                          memory_order_relaxed);
}

void mega__home_share(struct mega__ctx *ctx, struct mega__home *home)
{
    struct mega__seg_home *seg = home->seg;
    uint32_t n = count_spans(home);
    uint32_t known = atomic_load_explicit(&seg->nspans, memory_order_relaxed);
    if (known == 0) { /* others read it, when the home grows */
        seg->home = home->no;
        seg->server = ctx->place.rank;
        seg->server_host_rank = ctx->place.host_rank;
        seg->how = home->how;
        seg->domain = home->domain;
    }
    for (uint32_t k = 0; k < home->npools; k++) {
        const struct mega__pool_root *root = mega__pool_root(home->pools[k]);
        for (unsigned i = 0; i < MEGA__POOL_SPANS; i++)
            if (root->spans[i].listed && root->spans[i].span >= known)
                share_span(home, home->pools[k], k, root->spans[i].span);
    }
    /* release pairs with the acquire in mega__span_meet */
    atomic_store_explicit(&seg->nspans, n, memory_order_release);
}

static uint64_t bytes_on_medium(const struct mega__home *home)
{
    uint64_t sum = 0;
    for (uint32_t k = 0; k < home->npools; k++)
        sum += mega__pool_size(home->pools[k]);
    return sum;
}

static mega_status_t all_spans(const struct mega__home *home)
{
    return mega__fail(MEGA_ERR_TABLE_FULL, "home %u has %u spans already",
                      home->no, MEGA__SPANS_MAX);
}

static mega_status_t beyond_max(const struct mega__home *home, uint64_t used,
                                uint64_t max)
{
    return mega__fail(MEGA_ERR_HOME_FULL,
                      "home %u has %llu bytes in its files and may have %llu: "
                      "raise MEGALLOC_HOME_MAX",
                      home->no, (unsigned long long)used,
                      (unsigned long long)max);
}

mega_status_t mega__home_may_grow(const struct mega__ctx *ctx,
                                  const struct mega__home *home,
                                  uint32_t seen_spans)
{
    /* acquire pairs with the release in plan: nspans is the last there is */
    uint64_t used =
        atomic_load_explicit(&home->seg->full_at, memory_order_acquire);
    if (!used || atomic_load(&home->seg->nspans) > seen_spans)
        return MEGA_OK;
    return beyond_max(home, used, ctx->conf.home_max.v.number);
}

/* The size to try first, and the least that serves. */
static mega_status_t plan(const struct mega__ctx *ctx,
                          const struct mega__home *home, uint64_t need,
                          uint64_t *size_p, uint64_t *least_p)
{
    uint64_t used = bytes_on_medium(home), max = ctx->conf.home_max.v.number;
    uint64_t size = 2 * mega__pool_size(home->pools[home->npools - 1]);
    uint64_t least = need > POOL_MAX ? POOL_MAX + 1 /* or it would wrap */
                                     : need + need / 16 + POOL_MARGIN;
    size = size < least ? least : size;
    size = size > POOL_MAX ? POOL_MAX : size;
    if (max && used + size > max)
        size = max > used ? max - used : 0;
    if (count_spans(home) == MEGA__SPANS_MAX)
        return all_spans(home);
    if (least > POOL_MAX)
        return mega__fail(MEGA_ERR_TOO_BIG,
                          "%llu bytes fit in no span: ask for less than 15 GiB",
                          (unsigned long long)need);
    if (size < least) {
        if (need <= MEGA__EXTENT)
            atomic_store_explicit(&home->seg->full_at, used,
                                  memory_order_release);
        return beyond_max(home, used, max);
    }
    *size_p = size;
    *least_p = least;
    return MEGA_OK;
}

/* A growth that failed at its end has left spans that only this rank has. */
static bool has_more(const struct mega__home *home)
{
    return count_spans(home) > atomic_load(&home->seg->nspans);
}

mega_status_t mega__home_growable(struct mega__ctx *ctx,
                                  struct mega__home *home, uint64_t need)
{
    uint64_t size, least;
    return has_more(home) ? MEGA_OK : plan(ctx, home, need, &size, &least);
}

mega_status_t mega__home_takes(struct mega__ctx *ctx,
                               const struct mega__home *home, uint64_t need,
                               uint64_t *bytes_p, uint64_t *device_p,
                               uint64_t *left_p)
{
    char path[MEGA__PATH];
    const uint64_t max = ctx->conf.home_max.v.number;
    const uint64_t takes = need + need / MEGA__GRANULE; /* with its marks */
    mega_status_t st = mega__home_path(ctx, home->no, 0, "", path);
    if (st)
        return st;
    pthread_mutex_lock(&ctx->map_lock); /* the agent may grow it just now */
    uint64_t used = bytes_on_medium(home);
    bool spans = count_spans(home) < MEGA__SPANS_MAX;
    *device_p = mega__pool_file(home->pools[0]).device;
    pthread_mutex_unlock(&ctx->map_lock);
    if (!spans)
        return all_spans(home);
    if (max && (used > max || takes > max - used))
        return beyond_max(home, used, max);
    *left_p = mega__pool_left(path);
    *bytes_p = takes;
    return MEGA_OK;
}

static mega_status_t add_pool(struct mega__ctx *ctx, struct mega__home *home,
                              struct mega__flusher *f, uint64_t need)
{
    uint64_t size = 0, least = 0;
    uint32_t k = home->npools, no = count_spans(home);
    mega_status_t st = plan(ctx, home, need, &size, &least);
    if (st)
        return st;
    do { /* a medium that has no room for twice the last may have for less */
        st = make_pool(ctx, home, k, no, size, f);
        size = size / 2 > least || size == least ? size / 2 : least;
    } while (st == MEGA_ERR_MEDIUM_FULL && size >= least);
    if (st)
        return st;
    pthread_mutex_lock(&ctx->map_lock);
    st = mega__home_open_pool(ctx, home, k);
    pthread_mutex_unlock(&ctx->map_lock);
    return st;
}

mega_status_t mega__home_grow(struct mega__ctx *ctx, struct mega__home *home,
                              struct mega__flusher *f, uint64_t need)
{
    mega_status_t st = has_more(home) ? MEGA_OK : add_pool(ctx, home, f, need);
    if (st)
        return st;
    mega__home_write(home, f, &home->block->npools, home->npools);
    st = mega__pool_drain(f);
    MEGA__CRASH(pool_listed);
    for (uint32_t no = atomic_load(&home->seg->nspans);
         !st && no < MEGA__SPANS_MAX && atomic_load(&home->spans[no]); no++)
        st = mega__net_expose(ctx->net, atomic_load(&home->spans[no]));
    if (!st)
        mega__home_share(ctx, home);
    return st;
}
