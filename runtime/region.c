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
#include "raw.h"
#include "run.h"
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

/* ---- Handles ---- */

static void handle_free(struct mega_region *r)
{
    mega__arena_forget_usual(r->ctx); /* the next handle may lie here */
    mega__raw_forget(atomic_load(&r->places));
    free(r);
}

static void handle_drop(struct mega_region *r)
{
    for (struct mega_region **at = &r->ctx->regions; *at; at = &(*at)->next)
        if (*at == r) {
            *at = r->next;
            break;
        }
    handle_free(r);
}

void mega__region_close(struct mega_region **r_p)
{
    struct mega_region *r = *r_p;
    *r_p = NULL;
    if (r && --r->opens == 0)
        handle_drop(r);
}

void mega__region_close_all(struct mega__ctx *ctx)
{
    while (ctx->regions) {
        struct mega_region *r = ctx->regions;
        ctx->regions = r->next;
        handle_free(r);
    }
}

static struct mega_region *handle_find(struct mega__ctx *ctx, uint32_t id)
{
    struct mega_region *r = ctx->regions;
    while (r && r->id != id)
        r = r->next;
    return r;
}

static struct mega_region *handle_new(struct mega__ctx *ctx, const char *name,
                                      const struct decision *d)
{
    struct mega_region *r = calloc(1, sizeof *r);
    if (!r) {
        mega__fail(MEGA_ERR_NOMEM, "no memory for a region");
        return NULL;
    }
    r->ctx = ctx;
    r->id = d->id;
    r->line = d->line;
    strncpy(r->name, name, MEGA_NAME_MAX);
    r->next = ctx->regions;
    return ctx->regions = r;
}

/* Threads may be looking (mega__region_at): they find the layer before, which
 * stays until the handle goes. Each release pairs with an acquire there. */
static void handle_publish(struct mega_region *r, struct mega__raw_layer *layer,
                           uint64_t bytes)
{
    if (layer) {
        layer->older = atomic_load(&r->places);
        atomic_store_explicit(&r->places, layer, memory_order_release);
    }
    atomic_store_explicit(&r->bytes_per_home, bytes, memory_order_release);
}

/* Learns how many bytes there are, and where. */
static mega_status_t handle_fill(struct mega_region *r, uint64_t bytes)
{
    struct mega__raw_layer *layer = NULL;
    mega_status_t st =
        bytes > 0 ? mega__raw_gather(r->ctx, r->id, 0, NULL, &layer) : MEGA_OK;
    if (!st)
        handle_publish(r, layer, bytes);
    return st;
}

/* The handle of a region in this process: one, for a grow or an end by one is
 * one by all. It is filled if any rank, against the rules, has none. */
static mega_status_t handle_get(struct mega__ctx *ctx, const char *name,
                                const struct decision *d,
                                struct mega_region **r_p)
{
    struct mega_region *r = handle_find(ctx, d->id);
    int all_have = 0;
    mega_status_t st = mega__boot_least(ctx->boot, r != NULL, &all_have);
    if (st)
        return st;
    if (!r)
        r = handle_new(ctx, name, d);
    if (!all_have) {
        st = mega__boot_agree(ctx->boot, r ? MEGA_OK : MEGA_ERR_NOMEM);
        if (!st)
            st = handle_fill(r, d->bytes);
    }
    if (!st) {
        r->opens++;
        *r_p = r;
    } else if (r && r->opens == 0) {
        handle_drop(r);
    }
    return st;
}

mega_status_t mega__region_usable(const struct mega_region *r)
{
    if (!atomic_load(&r->ended))
        return MEGA_OK;
    return mega__fail(MEGA_ERR_ARG,
                      "region %s was destroyed: what is left of it is to be "
                      "closed",
                      r->name);
}

mega_gptr_t mega__region_at(const struct mega_region *r, uint32_t home,
                            uint64_t off, uint64_t *len_p)
{
    /* This order: whoever sees a size finds the places of all of it. */
    uint64_t len = 0, bytes = atomic_load_explicit(&r->bytes_per_home,
                                                   memory_order_acquire);
    const struct mega__raw_layer *layer =
        atomic_load_explicit(&r->places, memory_order_acquire);
    if (home >= r->ctx->nhomes || off >= bytes || !layer ||
        atomic_load(&r->ended))
        return mega_null();
    mega_gptr_t p = mega__raw_at(layer, home, off, &len);
    if (!mega_is_null(p) && len_p)
        *len_p = len < bytes - off ? len : bytes - off;
    return p;
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
        st = mega__dir_bury(&ctx->homes[0], &ctx->flusher, id);
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
    st = mega__raw_reserve(ctx, d.id, 0, bytes);
    MEGA__CRASH(region_reserved);
    if (!st && home0)
        st = mega__dir_region_bytes(home0, &ctx->flusher, d.line, bytes);
    st = mega__boot_agree(ctx->boot, st);
    if (!st)
        st = handle_get(ctx, name, &d, &r);
    if (st)
        return undo_create(ctx, &d, st);
    st = set_state(ctx, d.line, MEGA__REC_LIVE);
    MEGA__CRASH(region_live);
    if (st)
        mega__region_close(&r);
    else
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
    return st ? st : handle_get(ctx, name, &d, r_p);
}

/* A size that is durable may not outlive its memory: this goes when all know
 * that the former one is on the medium again. Else the next open decides, by
 * what it finds there. */
static void undo_grow(const struct mega_region *r, uint64_t have)
{
    struct mega__ctx *ctx = r->ctx;
    struct mega__home *home0 = home0_if_served(ctx);
    mega_status_t st =
        home0 ? mega__dir_region_bytes(home0, &ctx->flusher, r->line, have)
              : MEGA_OK;
    if (mega__boot_agree(ctx->boot, st)) {
        atomic_store_explicit(&ctx->unsettled, true, memory_order_relaxed);
        return;
    }
    mega__raw_give_back(ctx, r->id, have);
    mega__boot_barrier(ctx->boot);
}

mega_status_t mega__region_grow(struct mega_region *r, uint64_t more)
{
    struct mega__ctx *ctx = r->ctx;
    struct mega__home *home0 = home0_if_served(ctx);
    /* a run ends with its extent: what is left there is used first */
    uint64_t have = r->bytes_per_home, want = have + more;
    struct mega__raw_layer *layer = NULL;
    uint64_t reserved = mega__run_extents(have) << MEGA__EXTENT_SHIFT;
    if (ctx->readonly)
        return mega__degraded_refuse();
    mega_status_t st =
        want < have ? mega__fail(MEGA_ERR_TOO_BIG,
                                 "region %s cannot have more bytes", r->name)
                    : mega__raw_none_from(ctx, r->id, reserved);
    st = mega__boot_agree(ctx->boot, st);
    if (!st && want > reserved)
        st = mega__raw_reserve(ctx, r->id, reserved, want);
    if (!st && want > reserved)
        st = mega__raw_gather(ctx, r->id, reserved, atomic_load(&r->places),
                              &layer);
    if (!st && home0)
        st = mega__dir_region_bytes(home0, &ctx->flusher, r->line, want);
    st = mega__boot_agree(ctx->boot, st);
    if (st) {
        char text[MEGA__ERRMSG_MAX];
        memcpy(text, mega__errmsg_buffer(), sizeof text);
        mega__raw_forget(layer);
        undo_grow(r, have);
        return mega__fail(st, "%s", text);
    }
    handle_publish(r, layer, want);
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
    if (st)
        return st;
    /* Even if the rest fails: the record may say so, and then be another's. */
    atomic_store(&r->ended, true);
    mega__arena_forget_usual(ctx);
    st = set_state(ctx, line, MEGA__REC_DYING);
    MEGA__CRASH(region_dying);
    if (!st)
        st = end_region(ctx, id);
    if (!st)
        mega__region_close(r_p);
    return st;
}
