/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * intent_check.c - may these items be published? Before: every chunk and slot
 * is what the item says, so that after the record nothing can be refused. At
 * replay: a record may be older than what a damaged medium shows, so nothing
 * in it is believed before it is looked up.
 */
#include "intent_check.h"

#include "log.h"
#include "slab.h"

#define ROOTS_OFF                                                              \
    (MEGA__HOME_BLOCK_OFF + offsetof(struct mega__home_block, roots))

static mega_status_t bad(size_t i, mega_status_t st, const char *why)
{
    return mega__fail(st, "publish item %zu: %s", i, why);
}

/* ---- Slots ---- */

/* The slot of a live root of home 0. */
static bool is_root_slot(struct mega__ctx *ctx, mega_gptr_t p)
{
    enum mega__record_state state;
    uint32_t id;
    uint64_t off = mega_offset(p) - ROOTS_OFF;
    if (mega__gptr_home(p) != 0 || mega__gptr_span(p) != 0 ||
        !ctx->homes[0].block || mega_offset(p) < ROOTS_OFF ||
        off >= sizeof ctx->homes[0].block->roots ||
        off % sizeof(struct mega__root_record) !=
            offsetof(struct mega__root_record, slot))
        return false;
    const struct mega__root_record *r =
        &ctx->homes[0].block->roots[off / sizeof(struct mega__root_record)];
    return mega__record_state(__atomic_load_n(&r->state, __ATOMIC_ACQUIRE),
                              &state, &id) &&
           state == MEGA__REC_LIVE;
}

/* Sets slot, how and mark of an item; *place_p: the chunk around it. */
static bool locate_slot(struct mega__ctx *ctx, mega_gptr_t p,
                        struct mega__check *c, struct mega__place *place_p)
{
    struct mega__span *span = mega__span_range(ctx, p, 8);
    place_p->span = NULL;
    if (!span || p.v % 8 != 0)
        return false;
    c->slot = (_Atomic uint64_t *)(void *)(span->base + mega_offset(p));
    c->slot_how = span->how;
    c->slot_mark = NULL;
    if (is_root_slot(ctx, p))
        return true;
    if (!mega__chunk_place(ctx, p, place_p))
        return false;
    c->slot_mark = place_p->mark;
    return true;
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

static mega_status_t check_slot(struct mega__ctx *ctx,
                                const mega_publish_item_t *items, size_t n,
                                size_t i, struct mega__check *c)
{
    struct mega__place around;
    c->slot = NULL;
    c->slot_mark = NULL;
    if (mega_is_null(items[i].slot) && items[i].op == MEGA_PUBLISH_ALLOC)
        return MEGA_OK;
    if (!locate_slot(ctx, items[i].slot, c, &around))
        return bad(i, MEGA_ERR_ARG,
                   "its slot is not 8 aligned bytes in a root, a raw run or a "
                   "chunk of this host");
    if (c->slot_mark &&
        atomic_load_explicit(c->slot_mark, memory_order_acquire) !=
            MEGA__MARK_LIVE &&
        !in_group(items, n, &around))
        return bad(i, MEGA_ERR_ARG, "its slot is in a chunk that is not live");
    return MEGA_OK;
}

/* ---- Chunks ---- */

static mega_status_t check_item(struct mega__ctx *ctx,
                                const mega_publish_item_t *item, size_t i,
                                struct mega__check *c)
{
    uint64_t now =
        c->slot ? atomic_load_explicit(c->slot, memory_order_acquire) : 0;
    if (item->op == MEGA_PUBLISH_SET)
        return MEGA_OK;
    if (!mega__chunk_place(ctx, item->chunk, &c->at) ||
        c->at.start != mega_offset(item->chunk) || !c->at.mark)
        return bad(i, MEGA_ERR_NOT_LIVE, "no chunk begins there");
    if (item->op == MEGA_PUBLISH_ALLOC) {
        if (!mega__chunk_is_reserved(
                ctx, &c->at,
                atomic_load_explicit(c->at.mark, memory_order_acquire)))
            return bad(i, MEGA_ERR_NOT_LIVE,
                       "the chunk is not reserved by this rank");
        if (now != 0)
            return bad(i, MEGA_ERR_EXISTS, "its slot is not null");
        return MEGA_OK;
    }
    if (now != item->chunk.v)
        return bad(i, MEGA_ERR_NOT_LIVE, "its slot does not hold the chunk");
    if (atomic_load_explicit(c->at.mark, memory_order_acquire) !=
        MEGA__MARK_LIVE)
        return bad(i, MEGA_ERR_NOT_LIVE, "the chunk is not live");
    return MEGA_OK;
}

/* Two items may not name one slot, nor allocate or free one chunk. A small
 * hash set: groups are small, but 64 * 64 comparisons are not. */
#define SEEN 256
struct seen {
    uint64_t key[SEEN];
};

static bool seen_before(struct seen *s, uint64_t key)
{
    uint64_t h = (key >> 3) * UINT64_C(0x9e3779b97f4a7c15) >> 56;
    for (; s->key[h]; h = (h + 1) % SEEN)
        if (s->key[h] == key)
            return true;
    s->key[h] = key;
    return false;
}

mega_status_t mega__intent_check(struct mega__ctx *ctx,
                                 const mega_publish_item_t *items, size_t n,
                                 struct mega__check *checks)
{
    struct seen seen;
    mega_status_t st = MEGA_OK;
    if (n > 1)
        seen = (struct seen){{0}};
    for (size_t i = 0; !st && i < n; i++) {
        if (items[i].op > MEGA_PUBLISH_SET || items[i].chunk.v & 15)
            return bad(i, MEGA_ERR_ARG, "op or chunk is not valid");
        st = check_slot(ctx, items, n, i, &checks[i]);
        if (!st)
            st = check_item(ctx, &items[i], i, &checks[i]);
        /* a slot's key is odd, a chunk's even: a chunk may hold a slot */
        if (!st && n > 1 &&
            ((checks[i].slot && seen_before(&seen, items[i].slot.v | 1)) ||
             (items[i].op != MEGA_PUBLISH_SET &&
              seen_before(&seen, items[i].chunk.v))))
            st = bad(i, MEGA_ERR_ARG, "its slot or chunk was named before");
    }
    return st;
}

/* ---- At open ---- */

mega_status_t mega__intent_replayable(struct mega__ctx *ctx,
                                      const struct mega__live *live,
                                      const mega_publish_item_t *item,
                                      struct mega__check *c)
{
    struct mega__place around;
    c->slot = NULL;
    if (item->op > MEGA_PUBLISH_SET)
        return mega__fail(MEGA_ERR_DAMAGED, "unknown operation");
    if (!mega_is_null(item->slot) || item->op != MEGA_PUBLISH_ALLOC) {
        if (!locate_slot(ctx, item->slot, c, &around) ||
            (around.span &&
             !mega__live_has(live, mega__word_region(around.word))))
            return mega__fail(MEGA_ERR_DAMAGED,
                              "slot %#llx is not in memory in use",
                              (unsigned long long)item->slot.v);
    }
    if (item->op == MEGA_PUBLISH_SET)
        return MEGA_OK;
    if (!mega__chunk_place(ctx, item->chunk, &c->at) || !c->at.mark ||
        c->at.start != mega_offset(item->chunk) ||
        !mega__live_has(live, mega__word_region(c->at.word)))
        return mega__fail(MEGA_ERR_DAMAGED, "no chunk begins at %#llx",
                          (unsigned long long)item->chunk.v);
    return MEGA_OK;
}
