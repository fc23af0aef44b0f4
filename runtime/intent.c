/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * intent.c - publish: up to 64 changes, all or none at a crash.
 *
 *   record durable (= decided) | marks and slots durable | record cleared,
 *   durably | return
 *
 * Three fences for a group. A FREE item's chunk is DEAD(epoch) until the
 * record is cleared: busy for everyone now, free after a crash; FREE earlier
 * would let it be handed out again while a replay could still free it. The
 * slots belong to the caller till the return (L6), so a replay meets what the
 * call left. Where a host is lost in the middle the record is kept, for the
 * next open (intent_record.c).
 *
 * A host without a home borrows a record of a far one, that of the first item:
 * its server takes it and gives it back, and each change of it is a message
 * that makes it durable. Where the record lies is all the same to the replay.
 */
#include "intent.h"

#include <string.h>

#include "arena.h"
#include "chunk.h"
#include "crash_point.h"
#include "degraded.h"
#include "dirty.h"
#include "far.h"
#include "home.h"
#include "intent_check.h"
#include "intent_record.h"
#include "log.h"
#include "record.h"
#include "run.h"
#include "slab.h"

/* ---- Flushes of neighbours: a line once, after the last store to it ---- */

struct once {
    struct mega__arena *a;
    const void *last[2]; /* of marks, of slots: stored, not yet flushed */
    enum mega__how how[2];
    /* Of far homes: to be sent, a message for each home. */
    unsigned nfar;
    struct mega__part far[2 * MEGA_PUBLISH_MAX];
    uint64_t values[2 * MEGA_PUBLISH_MAX];
    bool sent[2 * MEGA_PUBLISH_MAX];
};

static void once_begin(struct once *o, struct mega__arena *a)
{
    o->a = a;
    o->last[0] = o->last[1] = NULL;
    o->nfar = 0; /* the rest is not read before it is set */
}

static void flush_last(struct once *o, unsigned which)
{
    if (o->last[which])
        mega__pool_flush(&o->a->flusher, o->how[which], o->last[which], 1);
    o->last[which] = NULL;
}

/* The parts of one home, in their order. */
static mega_status_t send_home(struct once *o, uint32_t home)
{
    struct mega__part parts[2 * MEGA_PUBLISH_MAX];
    unsigned n = 0;
    for (unsigned i = 0; i < o->nfar; i++)
        if (mega__gptr_home(o->far[i].p) == home && !o->sent[i]) {
            o->sent[i] = true;
            parts[n++] = o->far[i];
        }
    return mega__far_send(o->a, home, parts, n);
}

/* What is far is durable on return, what is here with the next fence. */
static mega_status_t flush_all(struct once *o)
{
    mega_status_t st = MEGA_OK;
    flush_last(o, 0);
    flush_last(o, 1);
    for (unsigned i = 0; !st && i < o->nfar; i++)
        if (!o->sent[i])
            st = send_home(o, mega__gptr_home(o->far[i].p));
    o->nfar = 0;
    return st;
}

/* value NULL: what is there already. */
static mega_status_t add_far(struct once *o, mega_gptr_t p,
                             const uint64_t *value, uint64_t n)
{
    mega_status_t st = MEGA_OK;
    if (o->nfar == 2 * MEGA_PUBLISH_MAX)
        st = flush_all(o);
    unsigned i = o->nfar++;
    o->values[i] = value ? *value : 0;
    o->sent[i] = false;
    o->far[i] = (struct mega__part){
        .p = p, .src = value ? &o->values[i] : NULL, .n = n};
    return st;
}

static void flush_once(struct once *o, unsigned which, enum mega__how how,
                       const void *addr)
{
    if (o->last[which] &&
        (uintptr_t)o->last[which] / MEGA__LINE == (uintptr_t)addr / MEGA__LINE)
        return;
    flush_last(o, which);
    o->last[which] = addr;
    o->how[which] = how;
}

/* ---- The record ---- */

static mega_status_t write_record(struct mega__ctx *ctx, struct mega__arena *a,
                                  const struct mega__record *r,
                                  const mega_publish_item_t *items, size_t n)
{
    struct mega__intent record;
    size_t len = offsetof(struct mega__intent, items) +
                 n * sizeof(struct mega__intent_item);
    len = (len + MEGA__LINE - 1) & ~(size_t)(MEGA__LINE - 1);
    memset(&record, 0, len);
    uint64_t seq =
        atomic_fetch_add_explicit(&ctx->intent_seq, 1, memory_order_relaxed);
    record.seq = (seq + 1) << 20 | (uint32_t)ctx->place.rank;
    record.epoch = ctx->epoch;
    record.n = (uint32_t)n;
    for (size_t i = 0; i < n; i++) {
        record.items[i].chunk = items[i].chunk.v | (uint64_t)items[i].op;
        record.items[i].slot = items[i].slot.v;
    }
    record.crc = mega__record_intent_crc(&record);
    return mega__record_store(ctx, a, r, &record, len);
}

/* Void from the next fence on. A whole line: to stream a part of one is slower.
 * Torn, it is a record whose crc is wrong. */
static mega_status_t clear_record(struct mega__ctx *ctx, struct mega__arena *a,
                                  const struct mega__record *r)
{
    static const uint64_t none[MEGA__LINE / 8];
    return mega__record_store(ctx, a, r, none, sizeof none);
}

/* ---- The effects ---- */

static mega_status_t store_slot(struct once *o, const struct mega__check *c,
                                uint64_t v)
{
    const struct mega__cell *slot = &c->slot;
    if (mega_is_null(slot->p))
        return MEGA_OK;
    if (!slot->addr)
        return add_far(o, slot->p, &v, 8);
    __atomic_store_n((uint64_t *)slot->addr, v, __ATOMIC_RELEASE);
    flush_once(o, 1, slot->how, slot->addr);
    return MEGA_OK;
}

static mega_status_t store_mark(struct once *o, const struct mega__check *c,
                                uint8_t v)
{
    const uint64_t value = v; /* its first byte */
    const struct mega__place *at = &c->at;
    if (!at->mark)
        return add_far(o, mega__span_gptr(at->span, at->mark_off), &value, 1);
    atomic_store_explicit(at->mark, v, memory_order_release);
    flush_once(o, 0, at->span->how, (const void *)at->mark);
    return MEGA_OK;
}

/* freed: the mark of a chunk that is freed. */
static mega_status_t store_item(struct once *o, const mega_publish_item_t *item,
                                const struct mega__check *c, uint8_t freed)
{
    mega_status_t st;
    switch (item->op) {
    case MEGA_PUBLISH_ALLOC:
        st = store_mark(o, c, MEGA__MARK_LIVE);
        return st ? st : store_slot(o, c, item->chunk.v);
    case MEGA_PUBLISH_FREE:
        st = store_slot(o, c, 0);
        return st ? st : store_mark(o, c, freed);
    case MEGA_PUBLISH_SET:
        return store_slot(o, c, item->chunk.v);
    }
    return MEGA_OK;
}

static mega_status_t apply(struct mega__ctx *ctx, struct once *o,
                           const mega_publish_item_t *items,
                           const struct mega__check *c, size_t n)
{
    mega_status_t st = MEGA_OK;
    for (size_t i = 0; !st && i < n; i++)
        st = store_item(o, &items[i], &c[i], ctx->dead_mark);
    mega_status_t sent = flush_all(o);
    return st ? st : sent;
}

static mega_status_t free_dead(struct mega__ctx *ctx, struct mega__arena *a,
                               const struct mega__place *at)
{
    if (!mega__word_is_slab(at->word))
        return at->mark
                   ? mega__run_free(ctx, at->span, at->extent, at->word,
                                    &a->flusher)
                   : mega__far_run_free(ctx,
                                        mega__span_gptr(at->span, at->start),
                                        MEGA__RUN_DEAD);
    if (!at->mark) {
        mega__far_has(at, ctx->dead_mark);
        return mega__far_free_mark(a, mega__span_gptr(at->span, at->mark_off));
    }
    atomic_store_explicit(at->mark, MEGA__MARK_FREE, memory_order_release);
    uint64_t w = mega__span_word(at->span, at->extent);
    if (mega__word_is_slab(w) && !mega__slab_owned(ctx, w))
        mega__slab_hint(a, at->span, at->extent, w);
    return MEGA_OK;
}

/* After the clear: reservations end, the dead become free. */
static mega_status_t settle(struct mega__ctx *ctx, struct mega__arena *a,
                            const mega_publish_item_t *items,
                            const struct mega__check *c, size_t n)
{
    mega_status_t st = MEGA_OK;
    struct mega__unreserve u = {0};
    for (size_t i = 0; i < n; i++) {
        const struct mega__place *at = &c[i].at;
        if (items[i].op == MEGA_PUBLISH_ALLOC) {
            if (!at->mark)
                mega__far_has(at, MEGA__MARK_LIVE);
            mega__chunk_unreserve(&u, at);
        } else if (items[i].op == MEGA_PUBLISH_FREE) {
            mega_status_t freed = free_dead(ctx, a, at);
            st = st ? st : freed;
        }
    }
    mega__chunk_unreserve_end(&u);
    return st;
}

/* Begins to make the contents of a new chunk durable. */
static mega_status_t flush_contents(struct once *o, const struct mega__check *c)
{
    const struct mega__place *at = &c->at;
    if (!at->mark)
        return add_far(o, mega__span_gptr(at->span, at->start), NULL, at->size);
    mega__pool_flush(&o->a->flusher, at->span->how, at->span->base + at->start,
                     at->size);
    return MEGA_OK;
}

/* What must be durable before or with the record: contents, if asked; and
 * (L2) that the chunks which hold the slots are allocated. */
static mega_status_t prepare(struct once *o, const mega_publish_item_t *items,
                             const struct mega__check *c, size_t n,
                             unsigned flags)
{
    mega_status_t st = MEGA_OK;
    if (flags & MEGA_PERSIST_CONTENTS) {
        for (size_t i = 0; !st && i < n; i++)
            if (items[i].op == MEGA_PUBLISH_ALLOC)
                st = flush_contents(o, &c[i]);
        if (!st)
            st = flush_all(o);
        mega_status_t fenced = mega__dirty_fence(o->a);
        st = st ? st : fenced;
    }
    for (size_t i = 0; !st && i < n; i++) {
        const struct mega__cell *mark = &c[i].slot_mark;
        if (mega_is_null(mark->p))
            continue;
        if (mark->addr)
            flush_once(o, 0, mark->how, mark->addr);
        else
            st = add_far(o, mark->p, NULL, 1);
    }
    mega_status_t sent = flush_all(o);
    return st ? st : sent;
}

static bool is_doubt(mega_status_t st)
{
    return st == MEGA_ERR_PEER || st == MEGA_ERR_TIMEOUT;
}

/* Whatever it was, only these two say that something may have changed. */
static mega_status_t as_doubt(mega_status_t st)
{
    return !st || is_doubt(st) ? st : MEGA_ERR_PEER;
}

/* A far record was not written, or perhaps was. */
static mega_status_t leave_unwritten(struct mega__ctx *ctx,
                                     const struct mega__record *record,
                                     mega_status_t st)
{
    if (is_doubt(st) || st == MEGA_ERR_IO) { /* IO: written, not synced */
        mega__record_keep(ctx, record);
        return as_doubt(st);
    }
    mega_status_t given = mega__record_give(ctx, record);
    (void)given; /* the write has said what matters */
    return st;
}

/* Something may not be durable, the record among it: the next open completes
 * what it finds. */
static mega_status_t leave_decided(struct mega__ctx *ctx,
                                   const struct mega__record *record,
                                   mega_status_t st)
{
    mega__record_keep(ctx, record);
    return as_doubt(st);
}

mega_status_t mega__intent_publish(struct mega__ctx *ctx,
                                   const mega_publish_item_t *items, size_t n,
                                   unsigned flags)
{
    struct mega__check checks[MEGA_PUBLISH_MAX];
    struct mega__arena *a = mega__arena(ctx);
    struct mega__record record;
    struct once o;
    if (!a)
        return MEGA_ERR_NOMEM;
    if (ctx->readonly)
        return mega__degraded_refuse();
    mega_status_t st = mega__intent_check(ctx, items, n, checks);
    once_begin(&o, a);
    if (!st)
        st = prepare(&o, items, checks, n, flags);
    if (!st)
        st = mega__record_take(ctx, a, items[0].chunk, &record);
    if (st)
        return st;
    st = write_record(ctx, a, &record, items, n);
    if (st)
        return leave_unwritten(ctx, &record, st);
    st = mega__dirty_fence(a); /* (8) decided */
    MEGA__CRASH(record_durable);
    if (!st)
        st = apply(ctx, &o, items, checks, n);
    MEGA__CRASH(effects_stored);
    if (!st)
        st = mega__dirty_fence(a);
    MEGA__CRASH(effects_durable);
    if (!st)
        st = clear_record(ctx, a, &record);
    MEGA__CRASH(record_cleared);
    if (!st)
        st = mega__dirty_fence(a);
    MEGA__CRASH(record_gone);
    if (st)
        return leave_decided(ctx, &record, st);
    mega_status_t given = mega__record_give(ctx, &record);
    mega_status_t settled = settle(ctx, a, items, checks, n);
    return as_doubt(settled ? settled : given);
}

/* ---- Replay ---- */

static mega_status_t replay_item(struct mega__ctx *ctx,
                                 const struct mega__live *live,
                                 const mega_publish_item_t *item,
                                 struct once *o)
{
    struct mega__check c;
    mega_status_t st = mega__intent_replayable(ctx, live, item, &c);
    if (st == MEGA_ERR_DAMAGED) {
        ctx->recovery.refused++;
        mega__log(MEGA__LOG_WARN, "an unfinished publish is not completed: %s",
                  mega__errmsg_buffer());
        return MEGA_OK;
    }
    if (st) /* a host is lost: the record stays for the next open */
        return st;
    return store_item(o, item, &c, MEGA__MARK_FREE);
}

static mega_status_t replay(struct mega__ctx *ctx,
                            const struct mega__live *live,
                            const struct mega__intent *in, struct once *o)
{
    mega_status_t st = MEGA_OK;
    for (uint32_t j = 0; !st && j < in->n; j++) {
        mega_publish_item_t item = {
            (mega_publish_op_t)(in->items[j].chunk & 15),
            mega_from_bits(in->items[j].chunk & ~UINT64_C(15)),
            mega_from_bits(in->items[j].slot)};
        st = replay_item(ctx, live, &item, o);
    }
    return st;
}

mega_status_t mega__intent_replay(struct mega__ctx *ctx,
                                  const struct mega__live *live)
{
    struct mega__arena *a = mega__arena(ctx);
    if (!a)
        return MEGA_ERR_NOMEM;
    struct once o;
    uint32_t k = 0;
    mega_status_t st = MEGA_OK;
    once_begin(&o, a);
    for (struct mega__home *home;
         !st && (home = mega__home_next_served(ctx, &k));)
        for (uint32_t i = 0; !st && i < MEGA__INTENTS_MAX; i++) {
            const struct mega__intent *in = &home->block->intents[i];
            if (!mega__record_intent_decided(in))
                continue;
            st = replay(ctx, live, in, &o);
            ctx->recovery.intents++;
        }
    mega_status_t sent = flush_all(&o);
    mega_status_t fenced = mega__dirty_fence(a);
    return st ? st : sent ? sent : fenced;
}

mega_status_t mega__intent_clear(struct mega__ctx *ctx)
{
    mega_status_t st = MEGA_OK;
    uint32_t k = 0;
    for (struct mega__home *home;
         !st && (home = mega__home_next_served(ctx, &k));) {
        for (uint32_t i = 0; i < MEGA__INTENTS_MAX; i++) {
            struct mega__intent *in = &home->block->intents[i];
            if (in->seq == 0)
                continue;
            __atomic_store_n(&in->seq, 0, __ATOMIC_RELEASE);
            mega__pool_flush(&ctx->flusher, home->how, &in->seq, 8);
        }
        /* The sweep's first fence would do, as long as it has one. */
        st = mega__pool_drain(&ctx->flusher);
    }
    return st;
}
