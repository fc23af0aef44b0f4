/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * home.c - one home: locking, opening, mapping, closing its pool files.
 * view.c finds them, home_files.c names and removes them, grow.c makes them.
 *
 * Happy path: the server locks the home, opens pool 0 by libpmemobj, reads
 * who it is, opens the pools that the block lists, and shares where the spans
 * lie; the other ranks of the host lock it shared and map. What can fail: any
 * file may be missing, foreign, cut short or damaged; then the message names
 * it, and nothing was written. Locks: ctx->map_lock for pools and spans.
 */
#include "home.h"

#include <stdlib.h>
#include <string.h>

#include "age.h"
#include "block.h"
#include "crc.h"
#include "far.h"
#include "lockfile.h"
#include "log.h"
#include "seg.h"
#include "span.h"
#include "view.h"

#define LOCK_PATIENCE 3 /* seconds */

/* ---- Locks ---- */

mega_status_t mega__home_lock(struct mega__ctx *ctx, struct mega__home *home,
                              bool make)
{
    char path[MEGA__PATH];
    mega_status_t st =
        make ? mega__view_make_dir(&ctx->conf, home->no) : MEGA_OK;
    if (!st)
        st = mega__home_lock_path(ctx, home->no, path);
    if (st)
        return st;
    return ctx->readonly
               ? mega__lockfile_reader(path, LOCK_PATIENCE, &home->lock_fd)
               : mega__lockfile_exclusive(path, LOCK_PATIENCE, &home->lock_fd);
}

/* ---- Words of the block ---- */

mega_status_t mega__home_read(const struct mega__home *home,
                              const uint64_t *word, const char *name,
                              uint64_t *value_p)
{
    uint64_t w = __atomic_load_n(word, __ATOMIC_ACQUIRE), value;
    if (!mega__unseal(w, &value))
        return mega__fail(MEGA_ERR_DAMAGED,
                          "home %u: its %s word, %#llx at offset %#llx of "
                          "span 0, is damaged: restore its files from a copy",
                          home->no, name, (unsigned long long)w,
                          (unsigned long long)((const char *)word -
                                               (const char *)home->block +
                                               MEGA__HOME_BLOCK_OFF));
    *value_p = value;
    return MEGA_OK;
}

void mega__home_write(const struct mega__home *home, struct mega__flusher *f,
                      uint64_t *word, uint64_t value)
{
    __atomic_store_n(word, mega__seal(value), __ATOMIC_RELEASE);
    mega__pool_flush(f, home->how, word, sizeof *word);
}

/* ---- Opening by the server ---- */

/* Room for pool k: before its spans are shown, for those are not taken back. */
static mega_status_t make_room(struct mega__home *home, uint32_t k)
{
    if (k < home->pools_room)
        return MEGA_OK;
    uint32_t room = k < 8 ? 8 : 2 * k;
    struct mega__pool **pools =
        realloc(home->pools, room * sizeof(struct mega__pool *));
    if (!pools)
        return mega__fail(MEGA_ERR_NOMEM, "no memory for %u pools", room);
    memset(pools + home->pools_room, 0,
           (room - home->pools_room) * sizeof(struct mega__pool *));
    home->pools = pools;
    home->pools_room = room;
    return MEGA_OK;
}

/* There is room. */
static void keep_pool(struct mega__home *home, uint32_t k,
                      struct mega__pool *pool)
{
    home->pools[k] = pool;
    if (k >= home->npools)
        home->npools = k + 1;
}

static mega_status_t verify_ident(const struct mega__pool *pool,
                                  const uint8_t *uuid, uint32_t home,
                                  uint32_t k, const char *path)
{
    const struct mega__pool_ident *id = &mega__pool_root(pool)->ident;
    if (id->magic != MEGA__POOL_MAGIC ||
        id->crc != mega__crc(id, sizeof *id - 4))
        return mega__fail(MEGA_ERR_DAMAGED,
                          "%s: its root is damaged: restore the file from a "
                          "copy",
                          path);
    if (id->format != MEGA__FORMAT || id->extent_shift != MEGA__EXTENT_SHIFT ||
        id->granule_shift != MEGA__GRANULE_SHIFT)
        return mega__fail(MEGA_ERR_MISMATCH,
                          "%s has format %u, extents 2^%u; this library reads "
                          "format %u, extents 2^%u",
                          path, id->format, id->extent_shift, MEGA__FORMAT,
                          MEGA__EXTENT_SHIFT);
    if (id->home != home || id->pool != k)
        return mega__fail(MEGA_ERR_MISMATCH,
                          "%s is pool %u of home %u under another name", path,
                          id->pool, id->home);
    if (uuid && memcmp(id->uuid, uuid, 16) != 0)
        return mega__fail(MEGA_ERR_MISMATCH, "%s belongs to another space",
                          path);
    if (id->nhomes == 0 || id->nhomes > MEGA__HOMES_MAX || home >= id->nhomes)
        return mega__fail(MEGA_ERR_DAMAGED, "%s: home %u of %u", path, home,
                          id->nhomes);
    return MEGA_OK;
}

static mega_status_t there_twice(const char *path, uint32_t no)
{
    return mega__fail(MEGA_ERR_DAMAGED, "%s: span %u is there twice", path, no);
}

static mega_status_t open_span(struct mega__home *home,
                               const struct mega__pool *pool,
                               const struct mega__span_record *rec,
                               const char *path, struct mega__span **span_p)
{
    const uint8_t *uuid = mega__pool_root(pool)->ident.uuid;
    if (rec->listed != 1 || rec->crc != mega__crc(rec, sizeof *rec - 4) ||
        rec->span >= MEGA__SPANS_MAX || rec->base % MEGA__SPAN_ALIGN != 0 ||
        !mega__span_fits(rec->span, rec->size))
        return mega__fail(MEGA_ERR_DAMAGED,
                          "%s: a span record in its root is damaged: restore "
                          "the file from a copy",
                          path);
    if (rec->base > mega__pool_size(pool) ||
        rec->size > mega__pool_size(pool) - rec->base)
        return mega__fail(MEGA_ERR_DAMAGED,
                          "%s is cut short: it has %llu bytes, its span %u "
                          "ends at %llu: restore the file from a copy",
                          path, (unsigned long long)mega__pool_size(pool),
                          rec->span,
                          (unsigned long long)(rec->base + rec->size));
    char *base = mega__pool_base(pool) + rec->base;
    mega_status_t st =
        mega__span_verify(base, uuid, home->no, rec->span, rec->size, path);
    if (st)
        return st;
    if (atomic_load(&home->spans[rec->span]))
        return there_twice(path, rec->span);
    *span_p = mega__span_new(home, rec->span, base, rec->size, home->how);
    return *span_p ? MEGA_OK : MEGA_ERR_NOMEM;
}

void mega__home_choose_how(const struct mega__ctx *ctx, struct mega__home *home,
                           const struct mega__pool *pool)
{
    switch (ctx->readonly ? MEGA__DURABLE_AUTO
                          : ctx->conf.durability.v.number) {
    case MEGA__DURABLE_POWER:
        home->how = MEGA__HOW_FLUSH;
        home->domain = MEGA_DOMAIN_POWER;
        break;
    case MEGA__DURABLE_MSYNC:
        home->how = MEGA__HOW_MSYNC;
        home->domain = MEGA_DOMAIN_MSYNC;
        break;
    case MEGA__DURABLE_PROCESS:
        home->how = MEGA__HOW_NONE;
        home->domain = MEGA_DOMAIN_PROCESS;
        break;
    default:
        home->how = mega__pool_how(pool);
        home->domain = mega__pool_domain(pool);
    }
}

/* All spans that the root of a pool lists, or none: *n_p of them. */
static mega_status_t open_spans(struct mega__home *home,
                                const struct mega__pool *pool, const char *path,
                                struct mega__span **spans, unsigned *n_p)
{
    static const struct mega__span_record never;
    const struct mega__pool_root *root = mega__pool_root(pool);
    mega_status_t st = MEGA_OK;
    unsigned n = 0;
    for (unsigned i = 0; !st && i < MEGA__POOL_SPANS; i++) {
        const struct mega__span_record *rec = &root->spans[i];
        if (memcmp(rec, &never, sizeof never) == 0)
            continue;
        st = open_span(home, pool, rec, path, &spans[n]);
        for (unsigned k = 0; !st && k < n; k++)
            if (spans[k]->no == rec->span)
                st = there_twice(path, rec->span);
        n += spans[n] != NULL;
    }
    while (st && n > 0)
        mega__span_delete(&spans[--n]);
    *n_p = n;
    return st;
}

/* Opens pool k and the spans that its root lists. They are shown when nothing
 * can fail any more: other threads meet them at once. */
mega_status_t mega__home_open_pool(struct mega__ctx *ctx,
                                   struct mega__home *home, uint32_t k)
{
    const uint8_t *uuid = k ? ctx->uuid : NULL; /* pool 0 tells it */
    char path[MEGA__PATH];
    struct mega__span *spans[MEGA__POOL_SPANS] = {NULL};
    struct mega__pool *pool = NULL;
    unsigned n = 0;
    mega_status_t st = mega__home_path(ctx, home->no, k, "", path);
    if (!st)
        st = ctx->readonly ? mega__pool_view(path, &pool)
                           : mega__pool_open(path, &pool);
    if (st)
        return st;
    st = verify_ident(pool, uuid, home->no, k, path);
    if (!st && k == 0)
        mega__home_choose_how(ctx, home, pool);
    if (!st)
        st = make_room(home, k);
    if (!st)
        st = open_spans(home, pool, path, spans, &n);
    if (st) {
        mega__pool_close(&pool);
        return st;
    }
    keep_pool(home, k, pool);
    for (unsigned i = 0; i < n; i++)
        atomic_store(&home->spans[spans[i]->no], spans[i]);
    return MEGA_OK;
}

mega_status_t mega__home_open(struct mega__ctx *ctx, struct mega__home *home,
                              struct mega__summary *s)
{
    mega_status_t st = mega__home_open_pool(ctx, home, 0);
    if (st)
        return st;
    struct mega__span *span = atomic_load(&home->spans[0]);
    const struct mega__pool_ident *id = &mega__pool_root(home->pools[0])->ident;
    memset(s, 0, sizeof *s);
    s->home = home->no;
    s->server = ctx->place.rank;
    s->nhomes = id->nhomes;
    s->domain = home->domain;
    memcpy(s->uuid, id->uuid, sizeof s->uuid);
    if (!span) { /* a file has its name after all in it (layout.h, 3) */
        char path[MEGA__PATH] = "?";
        st = mega__home_path(ctx, home->no, 0, "", path);
        return st ? st
                  : mega__fail(MEGA_ERR_DAMAGED,
                               "%s lists no span 0: restore the file from a "
                               "copy",
                               path);
    }
    home->block =
        (struct mega__home_block *)(void *)(span->base + MEGA__HOME_BLOCK_OFF);
    st = mega__home_read(home, &home->block->born, "born", &s->born);
    if (!st)
        st = mega__home_read(home, &home->block->epoch, "epoch", &s->epoch);
    if (!st)
        st = mega__home_read(home, &home->block->clean, "clean", &s->clean);
    if (!st)
        st = mega__home_read(home, &home->block->reached, "reached",
                             &s->reached);
    if (!st)
        st = mega__home_read(home, &home->block->lot, "lot", &s->lot);
    s->filled = mega__block_filled(home->block,
                                   (const uint64_t *)span->words + span->first,
                                   span->extents - span->first);
    mega__where_read(home->block, s->next_host);
    return st;
}

struct refusal {
    const struct mega__home *home;
    mega_status_t status;
};

static void refuse_word(const uint64_t *word, const char *what, void *arg)
{
    struct refusal *r = arg;
    if (!r->status)
        r->status =
            mega__fail(MEGA_ERR_DAMAGED,
                       "home %u: %s, at offset %#llx of span 0: restore its "
                       "files from a copy",
                       r->home->no, what,
                       (unsigned long long)((const char *)word -
                                            (const char *)r->home->block +
                                            MEGA__HOME_BLOCK_OFF));
}

mega_status_t mega__home_open_rest(struct mega__ctx *ctx,
                                   struct mega__home *home, bool filled)
{
    struct refusal r = {home, MEGA_OK};
    uint64_t npools;
    mega__block_judge(home->block, filled, refuse_word, &r);
    mega_status_t st = r.status ? r.status
                                : mega__home_read(home, &home->block->npools,
                                                  "npools", &npools);
    for (uint32_t k = 1; !st && k < npools; k++)
        if (!(st = mega__home_open_pool(ctx, home, k)))
            st = mega__age_pool(ctx, home, k);
    return st || ctx->readonly ? st
                               : mega__home_remove_unlisted(ctx, home, npools);
}

/* ---- Sharing and joining ---- */

mega_status_t mega__home_join(struct mega__ctx *ctx, struct mega__home *home)
{
    char path[MEGA__PATH];
    mega_status_t st = mega__home_lock_path(ctx, home->no, path);
    if (!st)
        st = ctx->readonly ? mega__lockfile_reader(path, 0, &home->lock_fd)
                           : mega__lockfile_shared(path, &home->lock_fd);
    if (st)
        return st;
    home->how = (enum mega__how)home->seg->how;
    home->domain = (mega_domain_t)home->seg->domain;
    mega__span_error = MEGA_OK;
    struct mega__span *span = mega__span_meet(ctx, home->no, 0);
    if (!span)
        return mega__fail(mega__span_error ? mega__span_error : MEGA_ERR_IO,
                          "home %u: %s", home->no, mega__errmsg_buffer());
    home->block =
        (struct mega__home_block *)(void *)(span->base + MEGA__HOME_BLOCK_OFF);
    return MEGA_OK;
}

static mega_status_t map_pool(struct mega__ctx *ctx, struct mega__home *home,
                              const struct mega__seg_span *at,
                              struct mega__pool **pool_p)
{
    char path[MEGA__PATH];
    mega_status_t st = mega__home_path(ctx, home->no, at->pool, "", path);
    if (!st)
        st = ctx->readonly
                 ? mega__pool_view(path, pool_p)
                 : mega__pool_map(path, at->file, at->root_off, pool_p);
    if (!st)
        st = verify_ident(*pool_p, ctx->uuid, home->no, at->pool, path);
    if (!st)
        st = make_room(home, at->pool);
    if (st)
        mega__pool_close(pool_p);
    else
        keep_pool(home, at->pool, *pool_p);
    return st;
}

mega_status_t mega__home_map_span(struct mega__ctx *ctx,
                                  struct mega__home *home, uint32_t no,
                                  struct mega__span **span_p)
{
    const struct mega__seg_span *at = &home->seg->spans[no];
    struct mega__pool *pool =
        at->pool < home->pools_room ? home->pools[at->pool] : NULL;
    mega_status_t st = pool ? MEGA_OK : map_pool(ctx, home, at, &pool);
    if (st)
        return st;
    *span_p = mega__span_new(home, no, mega__pool_base(pool) + at->base,
                             at->size, (enum mega__how)home->seg->how);
    /* release pairs with the acquire in mega__span_of */
    atomic_store_explicit(&home->spans[no], *span_p, memory_order_release);
    return *span_p ? MEGA_OK : MEGA_ERR_NOMEM;
}

void mega__home_close(struct mega__home *home)
{
    mega__far_close(home);
    for (uint32_t i = 0; home->local && i < MEGA__SPANS_MAX; i++) {
        struct mega__span *span = atomic_exchange(&home->spans[i], NULL);
        mega__span_delete(&span);
    }
    for (uint32_t k = 0; k < home->npools; k++)
        mega__pool_close(&home->pools[k]);
    free(home->pools);
    home->pools = NULL;
    home->npools = home->pools_room = 0;
    home->block = NULL;
    mega__lockfile_release(&home->lock_fd);
}
