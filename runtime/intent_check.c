/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * intent_check.c - may these items be published? Before: every chunk and slot
 * is what the item says, so that after the record nothing can be refused. At
 * replay: a record may be older than what a damaged medium shows, so nothing
 * in it is believed before it is looked up.
 */
#include "intent_check.h"

#include "far.h"
#include "log.h"
#include "rma.h"
#include "slab.h"

#define ROOTS_OFF                                                              \
    (MEGA__HOME_BLOCK_OFF + offsetof(struct mega__home_block, roots))

static mega_status_t bad(size_t i, mega_status_t st, const char *why)
{
    return mega__fail(st, "publish item %zu: %s", i, why);
}

/* The cell of the mark of a place. */
static struct mega__cell mark_of(const struct mega__place *at)
{
    struct mega__cell none = {{0}, NULL, MEGA__HOW_NONE};
    return at->mark_off
               ? (struct mega__cell){mega__span_gptr(at->span, at->mark_off),
                                     (void *)at->mark, at->span->how}
               : none;
}

/* ---- Slots ---- */

/* *is_p: p is the slot of a live root of home 0. */
static mega_status_t is_root_slot(struct mega__ctx *ctx, mega_gptr_t p,
                                  bool *is_p)
{
    enum mega__record_state state;
    uint32_t id;
    uint64_t word, off = mega_offset(p) - ROOTS_OFF;
    const uint64_t in = off % sizeof(struct mega__root_record);
    mega_status_t st = MEGA_OK;
    *is_p = false;
    if (mega__gptr_home(p) != 0 || mega__gptr_span(p) != 0 ||
        mega_offset(p) < ROOTS_OFF ||
        off >= sizeof(struct mega__root_record) * MEGA_ROOTS_MAX ||
        in != offsetof(struct mega__root_record, slot))
        return MEGA_OK;
    if (!ctx->homes[0].block) {
        st = mega__net_get(ctx->net, &word, mega_add(p, -(int64_t)in), 8);
    } else {
        const struct mega__root_record *r =
            &ctx->homes[0].block->roots[off / sizeof *r];
        word = __atomic_load_n(&r->state, __ATOMIC_ACQUIRE);
    }
    *is_p =
        !st && mega__record_state(word, &state, &id) && state == MEGA__REC_LIVE;
    return st;
}

/* Sets the slot of an item. *is_p: it is one; *place_p: the chunk around it,
 * its span NULL with a root; *mark_p: what its mark says. */
static mega_status_t locate_slot(struct mega__ctx *ctx, mega_gptr_t p,
                                 struct mega__check *c,
                                 struct mega__place *place_p, uint8_t *mark_p,
                                 bool *is_p)
{
    c->slot.p = p;
    c->slot.addr = NULL;
    place_p->span = NULL;
    *is_p = false;
    if (mega_is_null(p) || p.v % 8 != 0)
        return MEGA_OK;
    if (!mega__rma_is_remote(ctx, p)) {
        struct mega__span *span = mega__span_range(ctx, p, 8);
        if (!span)
            return mega__span_why_none(ctx, p);
        c->slot.addr = span->base + mega_offset(p);
        c->slot.how = span->how;
    }
    mega_status_t st = is_root_slot(ctx, p, is_p);
    if (st || *is_p)
        return st;
    st = mega__chunk_look(ctx, p, place_p, mark_p, is_p);
    if (!st && *is_p)
        c->slot_mark = mark_of(place_p);
    return st;
}

/* What a slot holds now. */
static mega_status_t read_slot(struct mega__ctx *ctx,
                               const struct mega__cell *slot, uint64_t *now_p)
{
    *now_p = 0;
    if (mega_is_null(slot->p))
        return MEGA_OK;
    if (!slot->addr)
        return mega__net_get(ctx->net, now_p, slot->p, 8);
    *now_p = __atomic_load_n((uint64_t *)slot->addr, __ATOMIC_ACQUIRE);
    return MEGA_OK;
}

static bool in_group(const mega_publish_item_t *items, size_t n,
                     const struct mega__place *around)
{
    mega_gptr_t start = mega__span_gptr(around->span, around->start);
    for (size_t i = 0; i < n; i++)
        if (items[i].op == MEGA_PUBLISH_ALLOC && items[i].chunk.v == start.v)
            return true;
    return false;
}

/* Slots are often neighbours, and so are the chunks of a group: where the last
 * one was found, this one may be. Only on this host. */
struct beside {
    struct mega__place around;      /* the last slot; its span NULL: in none */
    uint64_t begins;                /* the bits of where that begins */
    const struct mega__place *last; /* chunk of the group, or NULL */
    uint64_t chunk;                 /* its bits */
};

static bool locate_beside(const struct beside *b, mega_gptr_t p,
                          struct mega__check *c, uint8_t *mark_p)
{
    const struct mega__place *around = &b->around;
    if (!around->span || !around->span->base || p.v % 8 != 0 ||
        p.v - b->begins >= around->size)
        return false;
    c->slot.p = p;
    c->slot.addr = around->span->base + mega_offset(p);
    c->slot.how = around->span->how;
    if (around->mark)
        *mark_p = atomic_load_explicit(around->mark, memory_order_acquire);
    return true;
}

static mega_status_t check_slot(struct mega__ctx *ctx,
                                const mega_publish_item_t *items, size_t n,
                                size_t i, struct mega__check *c,
                                struct beside *b)
{
    const struct mega__place *around = &b->around;
    uint8_t mark = MEGA__MARK_LIVE;
    c->slot.p = c->slot_mark.p = mega_from_bits(0);
    if (mega_is_null(items[i].slot) && items[i].op != MEGA_PUBLISH_SET)
        return MEGA_OK;
    bool is_slot = locate_beside(b, items[i].slot, c, &mark);
    if (!is_slot) {
        mega_status_t st =
            locate_slot(ctx, items[i].slot, c, &b->around, &mark, &is_slot);
        if (st)
            return st;
        if (is_slot && around->span)
            b->begins = mega__span_gptr(around->span, around->start).v;
    }
    if (!is_slot)
        return bad(i, MEGA_ERR_ARG,
                   "its slot is not 8 aligned bytes in a root, a raw run or a "
                   "chunk");
    if (around->span && around->mark_off && mark != MEGA__MARK_LIVE &&
        !in_group(items, n, around))
        return bad(i, MEGA_ERR_ARG, "its slot is in a chunk that is not live");
    return MEGA_OK;
}

/* ---- Chunks ---- */

/* A slab's word stays as it is while one of its chunks is ours. */
static bool look_beside(struct mega__ctx *ctx, const struct beside *b,
                        mega_gptr_t p, struct mega__place *at, uint8_t *mark_p)
{
    const struct mega__place *last = b->last;
    if (!last || (p.v ^ b->chunk) >> MEGA__EXTENT_SHIFT || !last->mark ||
        !mega__word_is_slab(last->word))
        return false;
    at->span = last->span;
    at->extent = last->extent;
    at->word = last->word;
    if (!mega__chunk_place_in_slab(ctx, at, (uint32_t)p.v & (MEGA__EXTENT - 1)))
        return false;
    *mark_p = atomic_load_explicit(at->mark, memory_order_acquire);
    return true;
}

static mega_status_t check_item(struct mega__ctx *ctx,
                                const mega_publish_item_t *item, size_t i,
                                struct mega__check *c, struct beside *b)
{
    uint64_t now;
    uint8_t mark = MEGA__MARK_FREE;
    bool in = false;
    mega_status_t st = read_slot(ctx, &c->slot, &now);
    if (st || item->op == MEGA_PUBLISH_SET)
        return st;
    in = look_beside(ctx, b, item->chunk, &c->at, &mark);
    if (!in)
        st = mega__chunk_look(ctx, item->chunk, &c->at, &mark, &in);
    if (st)
        return st;
    if (!in || c->at.start != mega_offset(item->chunk) || !c->at.mark_off)
        return bad(i, MEGA_ERR_NOT_LIVE, "no chunk begins there");
    b->last = &c->at;
    b->chunk = item->chunk.v;
    if (item->op == MEGA_PUBLISH_ALLOC) {
        if (!mega__chunk_is_reserved(ctx, &c->at, mark))
            return bad(i, MEGA_ERR_NOT_LIVE,
                       "the chunk is not reserved by this rank");
        if (now != 0)
            return bad(i, MEGA_ERR_EXISTS, "its slot is not null");
        return MEGA_OK;
    }
    if (!mega_is_null(item->slot) && now != item->chunk.v)
        return bad(i, MEGA_ERR_NOT_LIVE, "its slot does not hold the chunk");
    if (mark != MEGA__MARK_LIVE)
        return bad(i, MEGA_ERR_NOT_LIVE, "the chunk is not live");
    return MEGA_OK;
}

#define SEEN 256

static bool seen_before(uint64_t seen[SEEN], uint64_t key)
{
    uint64_t h = (key >> 3) * UINT64_C(0x9e3779b97f4a7c15) >> 56;
    for (; seen[h]; h = (h + 1) % SEEN)
        if (seen[h] == key)
            return true;
    seen[h] = key;
    return false;
}

/* Two items may not name one slot, nor allocate or free one chunk. A small
 * hash set: groups are small, but 64 * 64 comparisons are not. */
static mega_status_t none_twice(const mega_publish_item_t *items, size_t n)
{
    uint64_t seen[SEEN] = {0};
    for (size_t i = 0; i < n; i++) /* a chunk may hold a slot at its start */
        if ((!mega_is_null(items[i].slot) &&
             seen_before(seen, items[i].slot.v | 1)) ||
            (items[i].op != MEGA_PUBLISH_SET &&
             seen_before(seen, items[i].chunk.v)))
            return bad(i, MEGA_ERR_ARG, "its slot or chunk was named before");
    return MEGA_OK;
}

mega_status_t mega__intent_check(struct mega__ctx *ctx,
                                 const mega_publish_item_t *items, size_t n,
                                 struct mega__check *checks)
{
    struct beside b = {.last = NULL};
    uint64_t slot = 0, chunk = 0;
    bool rising = true; /* then nothing is named twice */
    for (size_t i = 0; i < n; i++) {
        const mega_publish_item_t *item = &items[i];
        if (item->op > MEGA_PUBLISH_SET)
            return bad(i, MEGA_ERR_ARG, "there is no such op");
        if (item->chunk.v & 15) /* the record has the op there */
            return bad(i, MEGA_ERR_ARG,
                       "its chunk is no multiple of 16, also of SET");
        mega_status_t st = check_slot(ctx, items, n, i, &checks[i], &b);
        if (!st)
            st = check_item(ctx, item, i, &checks[i], &b);
        if (st)
            return st;
        rising = rising && item->slot.v > slot &&
                 (item->op == MEGA_PUBLISH_SET || item->chunk.v > chunk);
        slot = item->slot.v;
        chunk = item->op == MEGA_PUBLISH_SET ? chunk : item->chunk.v;
    }
    return rising || n == 1 ? MEGA_OK : none_twice(items, n);
}

/* ---- At open ---- */

mega_status_t mega__intent_replayable(struct mega__ctx *ctx,
                                      const struct mega__live *live,
                                      const mega_publish_item_t *item,
                                      struct mega__check *c)
{
    struct mega__place around;
    uint8_t mark;
    bool in;
    mega_status_t st;
    c->slot.p = mega_from_bits(0);
    if (item->op > MEGA_PUBLISH_SET)
        return mega__fail(MEGA_ERR_DAMAGED, "unknown operation");
    if (!mega_is_null(item->slot) || item->op == MEGA_PUBLISH_SET) {
        st = locate_slot(ctx, item->slot, c, &around, &mark, &in);
        if (st)
            return st;
        if (!in || (around.span &&
                    !mega__live_has(live, mega__word_region(around.word))))
            return mega__fail(MEGA_ERR_DAMAGED,
                              "slot %#llx is not in memory in use",
                              (unsigned long long)item->slot.v);
    }
    if (item->op == MEGA_PUBLISH_SET)
        return MEGA_OK;
    st = mega__chunk_look(ctx, item->chunk, &c->at, &mark, &in);
    if (st)
        return st;
    if (!in || !c->at.mark_off || c->at.start != mega_offset(item->chunk) ||
        !mega__live_has(live, mega__word_region(c->at.word)))
        return mega__fail(MEGA_ERR_DAMAGED, "no chunk begins at %#llx",
                          (unsigned long long)item->chunk.v);
    return MEGA_OK;
}
