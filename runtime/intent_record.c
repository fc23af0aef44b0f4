/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * intent_record.c - records of publish: taken by compare-and-swap in the
 * host's segment, given back when they are clear. With none free the caller
 * waits, holding nothing.
 *
 * A record whose publish lost a host is kept till the next open: its effects
 * may be done there or not, and a link that broke stays broken, so this job
 * cannot know. Each thread can lose one for each rank that it loses, for the
 * check of its next publish there fails before a record is taken. Should all
 * of a home be kept, publish says so instead of waiting.
 */
#include "intent_record.h"

#include "agent.h"
#include "log.h"
#include "net.h"
#include "rest.h"
#include "roll.h"

#define KEPT UINT32_MAX /* in intent_taken; else as agent_ask.c has it */

/* Waiting for a record, no longer than MEGALLOC_TIMEOUT. */
static bool is_over(uint64_t *began_p, const struct mega__ctx *ctx)
{
    const uint64_t now = mega__rest_now();
    *began_p = *began_p ? *began_p : now;
    mega__rest(now - *began_p);
    return now - *began_p > 1000000000 * ctx->conf.timeout.v.number;
}

static mega_status_t none_left(const struct mega__home *home)
{
    return mega__fail(MEGA_ERR_TABLE_FULL,
                      "all %d records of home %u are taken, by publishes that "
                      "wait for a host, or have lost it: the next open "
                      "completes those",
                      MEGA__INTENTS_MAX, home->no);
}

static mega_status_t borrow_record(struct mega__ctx *ctx,
                                   struct mega__record *r)
{
    struct mega__request req = {.op = MEGA__ASK_RECORD_TAKE,
                                .home = r->home->no};
    uint64_t began = 0; /* 0: has not */
    mega_status_t st;
    while ((st = mega__agent_ask(ctx, r->home, &req)) == MEGA_ERR_BUSY)
        if (is_over(&began, ctx))
            return none_left(r->home);
    if (st)
        return st;
    if (req.result >= MEGA__INTENTS_MAX)
        return mega__fail(MEGA_ERR_PEER, "home %u has no record %llu",
                          r->home->no, (unsigned long long)req.result);
    r->i = (uint32_t)req.result;
    r->p = mega__gptr(r->home->no, 0,
                      MEGA__HOME_BLOCK_OFF +
                          offsetof(struct mega__home_block, intents) +
                          r->i * sizeof(struct mega__intent));
    return MEGA_OK;
}

/* Each arena begins at a place of its own, to meet no other. */
static mega_status_t take_local(struct mega__ctx *ctx, struct mega__arena *a,
                                struct mega__record *r)
{
    struct mega__seg_home *seg = r->home->seg;
    uint64_t began = 0; /* 0: has not */
    for (;;) {
        uint32_t kept = 0;
        for (uint32_t k = 0; k < MEGA__INTENTS_MAX; k++) {
            uint32_t i = (a->record + k) % MEGA__INTENTS_MAX, no = 0;
            /* acquire: the former user's clear is over */
            if (atomic_compare_exchange_strong_explicit(
                    &seg->intent_taken[i], &no, 1, memory_order_acquire,
                    memory_order_relaxed)) {
                r->i = a->record = i;
                r->in = &r->home->block->intents[i];
                return MEGA_OK;
            }
            kept += no == KEPT;
        }
        if (kept == MEGA__INTENTS_MAX || is_over(&began, ctx))
            return none_left(r->home);
    }
}

mega_status_t mega__record_take(struct mega__ctx *ctx, struct mega__arena *a,
                                mega_gptr_t first, struct mega__record *r)
{
    *r = (struct mega__record){0};
    if (ctx->my_home >= 0) {
        r->home = &ctx->homes[ctx->my_home];
        return take_local(ctx, a, r);
    }
    uint32_t no = mega__gptr_home(first); /* of a SET it may be anything */
    r->home = mega__home_at(ctx, no < ctx->nhomes ? no : 0);
    return borrow_record(ctx, r);
}

mega_status_t mega__record_give(struct mega__ctx *ctx,
                                const struct mega__record *r)
{
    struct mega__request req = {
        .op = MEGA__ASK_RECORD_GIVE, .home = r->home->no, .arg = {r->i, 0}};
    if (!r->in)
        return mega__agent_ask(ctx, r->home, &req);
    atomic_store_explicit(&r->home->seg->intent_taken[r->i], 0,
                          memory_order_release);
    return MEGA_OK;
}

/* One that is lent stays so: its server sees no difference. */
void mega__record_keep(struct mega__ctx *ctx, const struct mega__record *r)
{
    atomic_store_explicit(&ctx->unsettled, true, memory_order_relaxed);
    if (r->in)
        atomic_store_explicit(&r->home->seg->intent_taken[r->i], KEPT,
                              memory_order_relaxed);
}

mega_status_t mega__record_store(struct mega__ctx *ctx, struct mega__arena *a,
                                 const struct mega__record *r, const void *src,
                                 size_t len)
{
    struct mega__part part = {.p = r->p, .src = src, .n = len};
    if (!r->in)
        return mega__net_durable(ctx->net, &part, 1);
    mega__pool_write(&a->flusher, r->home->how, r->in, src, len);
    return MEGA_OK;
}
