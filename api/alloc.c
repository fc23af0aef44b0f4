/* SPDX-License-Identifier: BSD-3-Clause */
/* alloc.c - the public calls on chunks. */
#include "api.h"
#include "chunk.h"
#include "hot.h"
#include "intent.h"
#include "log.h"
#include "rma.h"

static mega_status_t bad_size(size_t size)
{
    return mega__fail(MEGA_ERR_ARG,
                      "a chunk of %zu bytes, or no place for its "
                      "pointer",
                      size);
}

/* What is not the usual case, and what is wrong. */
static __attribute__((noinline)) mega_status_t
other_alloc(uint64_t region, int home, size_t size, mega_gptr_t *p_p, bool live,
            struct mega__ctx *none)
{
    struct mega__ctx *ctx = mega__the;
    (void)none;
    if (!ctx)
        return mega__api_closed();
    if (size == 0 || !p_p)
        return bad_size(size);
    uint32_t id;
    mega_status_t st = mega__api_region((mega_region_t)(uintptr_t)region, &id);
    if (!st)
        st = mega__chunk_alloc(ctx, id, home, size, live, p_p);
    if (!st)
        mega__arena_usual(ctx, region, id, home);
    return st;
}

static __attribute__((noinline)) mega_status_t
other_free(mega_gptr_t p, struct mega__ctx *none)
{
    (void)none;
    return mega__the ? mega__chunk_free(mega__the, p) : mega__api_closed();
}

/* Of the open job: the process has no other where public calls are used. */
static inline struct mega__arena *mine(void)
{
    return atomic_load_explicit(&mega__arena_mine, memory_order_relaxed);
}

static inline __attribute__((always_inline)) mega_status_t
take(mega_region_t r, int home, size_t size, bool live, mega_gptr_t *p_p)
{
    return mega__hot_take(mine(), NULL, (uintptr_t)r, home, size, live, p_p,
                          other_alloc);
}

mega_status_t mega_alloc(mega_region_t r, int home, size_t size,
                         mega_gptr_t *p_p)
{
    return take(r, home, size, true, p_p);
}

mega_status_t mega_alloc_n(mega_region_t r, int home, size_t size, size_t count,
                           mega_gptr_t *p_p)
{
    struct mega__ctx *ctx = mega__the;
    mega_status_t st = MEGA_OK;
    if (!ctx)
        return mega__api_closed();
    if (size == 0 || (!p_p && count > 0))
        return bad_size(size);
    struct mega__arena *a = mega__arena(ctx);
    if (!a)
        return MEGA_ERR_NOMEM;
    for (a->wanted = count; a->wanted > 0; a->wanted--) {
        st = take(r, home, size, true, &p_p[count - a->wanted]);
        if (st)
            break;
    }
    size_t n = count - a->wanted;
    a->wanted = 0;
    while (st && n-- > 0) { /* frees do not fail: we have just got them */
        mega_status_t freed = mega__chunk_free(ctx, p_p[n]);
        (void)freed;
    }
    return st;
}

mega_status_t mega_free(mega_gptr_t p)
{
    return mega__hot_put(mine(), NULL, p, other_free);
}

static mega_status_t null_chunk(void)
{
    return mega__fail(MEGA_ERR_ARG, "the pointer is null");
}

mega_status_t mega_usable_size(mega_gptr_t p, size_t *size_p)
{
    if (!mega__the)
        return mega__api_closed();
    if (!size_p)
        return mega__api_no_place();
    if (mega_is_null(p))
        return null_chunk();
    return mega__chunk_usable(mega__the, p, size_p);
}

/* ---- Reserve and publish ---- */

mega_status_t mega_reserve(mega_region_t r, int home, size_t size,
                           mega_gptr_t *p_p)
{
    return take(r, home, size, false, p_p);
}

mega_status_t mega_cancel(mega_gptr_t p)
{
    if (!mega__the)
        return mega__api_closed();
    return mega_is_null(p) ? null_chunk() : mega__chunk_cancel(mega__the, p);
}

mega_status_t mega_publish(const mega_publish_item_t *items, size_t n,
                           unsigned flags)
{
    if (!mega__the)
        return mega__api_closed();
    if (n > MEGA_PUBLISH_MAX)
        return mega__fail(MEGA_ERR_TOO_BIG, "%zu items: a group has at most %d",
                          n, MEGA_PUBLISH_MAX);
    if (flags & ~MEGA_PERSIST_CONTENTS)
        return mega__fail(MEGA_ERR_ARG, "flags %#x are not defined", flags);
    if (n == 0)
        return MEGA_OK;
    if (!items)
        return mega__fail(MEGA_ERR_ARG, "no items");
    return mega__intent_publish(mega__the, items, n, flags);
}

mega_status_t mega_alloc_to(mega_region_t r, int home, size_t size,
                            mega_gptr_t slot)
{
    struct mega__ctx *ctx = mega__the;
    mega_publish_item_t item = {MEGA_PUBLISH_ALLOC, {0}, slot};
    if (!ctx)
        return mega__api_closed();
    if (size == 0 || mega_is_null(slot))
        return mega__fail(MEGA_ERR_ARG, "%zu bytes for slot %#llx", size,
                          (unsigned long long)slot.v);
    mega_status_t st = take(r, home, size, false, &item.chunk);
    if (st)
        return st;
    st = mega__intent_publish(ctx, &item, 1, 0);
    /* After those two it may be decided: the chunk stays reserved. */
    if (st && st != MEGA_ERR_PEER && st != MEGA_ERR_TIMEOUT) {
        mega_status_t cancelled = mega__chunk_cancel(ctx, item.chunk);
        (void)cancelled; /* publish has said what matters */
    }
    return st;
}

mega_status_t mega_free_from(mega_gptr_t slot)
{
    struct mega__ctx *ctx = mega__the;
    mega_publish_item_t item = {MEGA_PUBLISH_FREE, {0}, slot};
    if (!ctx)
        return mega__api_closed();
    mega_status_t st =
        mega__rma_amo(ctx, MEGA_AMO_FETCH, 8, slot, 0, 0, &item.chunk.v);
    if (st || mega_is_null(item.chunk))
        return st;
    return mega__intent_publish(ctx, &item, 1, 0);
}
