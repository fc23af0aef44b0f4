/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * rma.c - put, get, atomics, persist: see rma.h.
 *
 * The usual case of put is mega__rma_address and memcpy: no lock, no call of
 * the system. A null or wild pointer, or one into the space's own metadata,
 * is refused.
 */
#include "rma.h"

#include <string.h>

#include "arena.h"
#include "chunk.h"
#include "degraded.h"
#include "directory.h"
#include "dirty.h"
#include "far.h"
#include "log.h"
#include "net.h"

/* Whether n bytes at p lie in the slot of a root. */
static bool in_root_slot(mega_gptr_t p, size_t n)
{
    const uint64_t roots =
        MEGA__HOME_BLOCK_OFF + offsetof(struct mega__home_block, roots);
    const uint64_t slot = offsetof(struct mega__root_record, slot);
    uint64_t in = mega_offset(p) - roots;
    uint64_t field = in % sizeof(struct mega__root_record);
    return mega__gptr_home(p) == 0 && mega__gptr_span(p) == 0 &&
           mega_offset(p) >= roots &&
           in < MEGA_ROOTS_MAX * sizeof(struct mega__root_record) &&
           field >= slot && field < slot + 8 && n <= slot + 8 - field;
}

char *mega__rma_special(struct mega__ctx *ctx, mega_gptr_t p, size_t n)
{
    if (!in_root_slot(p, n) || !ctx->homes[0].block)
        return NULL;
    return (char *)ctx->homes[0].block +
           (mega_offset(p) - MEGA__HOME_BLOCK_OFF);
}

bool mega__rma_is_remote(const struct mega__ctx *ctx, mega_gptr_t p)
{
    uint32_t home = mega__gptr_home(p);
    return home < ctx->nhomes && !ctx->homes[home].local && p.v != 0;
}

mega_status_t mega__rma_refuse(struct mega__ctx *ctx, mega_gptr_t p, size_t n)
{
    if (mega_is_null(p))
        return mega__fail(MEGA_ERR_ARG, "null pointer");
    mega_status_t st = mega__span_why_none(ctx, p);
    if (st)
        return st;
    return mega__fail(MEGA_ERR_ARG,
                      "%zu bytes at %#llx (home %d of %u, span %u, offset "
                      "%#llx) are not memory of this space, or not in one span",
                      n, (unsigned long long)p.v, mega_home(p), ctx->nhomes,
                      mega__gptr_span(p), (unsigned long long)mega_offset(p));
}

/* Not mapped here: whether it is memory of a far home that a program may
 * touch. */
static mega_status_t check_far(struct mega__ctx *ctx, mega_gptr_t p, size_t n)
{
    uint32_t no = mega__gptr_span(p);
    uint64_t size = 0, off = mega_offset(p);
    if (!mega__rma_is_remote(ctx, p))
        return mega__rma_refuse(ctx, p, n);
    mega_status_t st = mega__degraded_reach(ctx, mega__gptr_home(p));
    if (st)
        return st;
    st = mega__net_span(ctx->net, mega__gptr_home(p), no, &size);
    if (st == MEGA_ERR_ABSENT)
        return mega__rma_refuse(ctx, p, n);
    if (st || (off <= size && n <= size - off &&
               (off >= mega__span_data(no, size) || in_root_slot(p, n))))
        return st;
    return mega__rma_refuse(ctx, p, n);
}

/* The same for what is complete with a flush only. */
static mega_status_t check_far_put(struct mega__ctx *ctx, mega_gptr_t p,
                                   size_t n)
{
    struct mega__arena *a = mega__arena(ctx);
    if (!a)
        return MEGA_ERR_NOMEM;
    mega_status_t st = check_far(ctx, p, n);
    a->far_puts |= !st;
    return st;
}

/* ---- Put, get, copy ---- */

mega_status_t mega__rma_put(struct mega__ctx *ctx, mega_gptr_t p,
                            const void *src, size_t n)
{
    if (__builtin_expect(ctx->readonly, 0))
        return mega__degraded_refuse();
    char *to = mega__rma_address(ctx, p, n);
    if (__builtin_expect(to != NULL, 1)) {
        if (n == 8) /* one store: a pointer is never seen in halves */
            memcpy(to, src, 8);
        else
            memcpy(to, src, n);
        return MEGA_OK;
    }
    mega_status_t st = check_far_put(ctx, p, n);
    return st ? st : mega__net_put(ctx->net, p, src, n);
}

mega_status_t mega__rma_put_nbi(struct mega__ctx *ctx, mega_gptr_t p,
                                const void *src, size_t n)
{
    if (!mega__rma_is_remote(ctx, p) || ctx->readonly)
        return mega__rma_put(ctx, p, src, n);
    mega_status_t st = check_far_put(ctx, p, n);
    return st ? st : mega__net_put_nbi(ctx->net, p, src, n);
}

mega_status_t mega__rma_get(struct mega__ctx *ctx, void *dst, mega_gptr_t p,
                            size_t n)
{
    const char *from = mega__rma_address(ctx, p, n);
    if (__builtin_expect(from != NULL, 1)) {
        if (n == 8)
            memcpy(dst, from, 8);
        else
            memcpy(dst, from, n);
        return MEGA_OK;
    }
    mega_status_t st = check_far(ctx, p, n);
    return st ? st : mega__net_get(ctx->net, dst, p, n);
}

mega_status_t mega__rma_get_nbi(struct mega__ctx *ctx, void *dst, mega_gptr_t p,
                                size_t n)
{
    if (!mega__rma_is_remote(ctx, p))
        return mega__rma_get(ctx, dst, p, n);
    mega_status_t st = check_far(ctx, p, n);
    return st ? st : mega__net_get_nbi(ctx->net, dst, p, n);
}

mega_status_t mega__rma_copy(struct mega__ctx *ctx, mega_gptr_t dst,
                             mega_gptr_t src, size_t n)
{
    if (__builtin_expect(ctx->readonly, 0))
        return mega__degraded_refuse();
    const char *from = mega__rma_address(ctx, src, n);
    char *to = mega__rma_address(ctx, dst, n);
    if (from)
        return mega__rma_put(ctx, dst, from, n);
    if (to)
        return mega__rma_get(ctx, to, src, n);
    char piece[16384];
    mega_status_t st = check_far(ctx, src, n); /* all, before a part is there */
    if (!st)
        st = check_far_put(ctx, dst, n);
    for (size_t at = 0; !st && at < n; at += sizeof piece) {
        size_t len = n - at < sizeof piece ? n - at : sizeof piece;
        st = mega__net_get(ctx->net, piece, mega_add(src, (int64_t)at), len);
        if (!st)
            st =
                mega__net_put(ctx->net, mega_add(dst, (int64_t)at), piece, len);
        if (!st)
            st = mega__net_flush(ctx->net);
    }
    return st;
}

/* ---- Atomics ---- */

/* A transport may fetch by adding 0, which is a store. */
static mega_status_t amo_readonly(struct mega__ctx *ctx, mega_amo_op_t op,
                                  size_t size, mega_gptr_t p, uint64_t *old_p)
{
    uint64_t old = 0; /* little end first: 4 bytes are the lower ones */
    if (op != MEGA_AMO_FETCH)
        return mega__degraded_refuse();
    mega_status_t st = mega__rma_get(ctx, &old, p, size);
    if (!st && old_p)
        *old_p = old;
    return st;
}

/* nbi: a constant. */
static inline __attribute__((always_inline)) mega_status_t
amo(struct mega__ctx *ctx, mega_amo_op_t op, size_t size, mega_gptr_t p,
    uint64_t value, uint64_t compare, uint64_t *old_p, bool nbi)
{
    uint64_t old;
    if ((size != 8 && size != 4) || p.v % size != 0 || op > MEGA_AMO_CSWAP)
        return mega__fail(MEGA_ERR_ARG,
                          "operation %d on %zu bytes at %#llx: atomics take 4 "
                          "or 8 aligned bytes",
                          (int)op, size, (unsigned long long)p.v);
    if (__builtin_expect(ctx->readonly, 0))
        return amo_readonly(ctx, op, size, p, old_p);
    char *at = mega__rma_address(ctx, p, size);
    /* A card would fetch by storing what it has read, over a store between. */
    if (__builtin_expect(at && (!ctx->nic || op == MEGA_AMO_FETCH), 1)) {
        old = mega__rma_amo_at(op, size, at, value, compare);
    } else {
        mega_status_t st = at ? MEGA_OK : check_far_put(ctx, p, size);
        if (nbi)
            return st ? st
                      : mega__net_amo_nbi(ctx->net, op, size, p, value, compare,
                                          old_p);
        if (!st)
            st = mega__net_amo(ctx->net, op, size, p, value, compare, &old);
        if (st)
            return st;
    }
    if (old_p)
        *old_p = old;
    return MEGA_OK;
}

mega_status_t mega__rma_amo(struct mega__ctx *ctx, mega_amo_op_t op,
                            size_t size, mega_gptr_t p, uint64_t value,
                            uint64_t compare, uint64_t *old_p)
{
    return amo(ctx, op, size, p, value, compare, old_p, false);
}

mega_status_t mega__rma_amo_nbi(struct mega__ctx *ctx, mega_amo_op_t op,
                                size_t size, mega_gptr_t p, uint64_t value,
                                uint64_t compare, uint64_t *old_p)
{
    return amo(ctx, op, size, p, value, compare, old_p, true);
}

/* ---- Completion, durability ---- */

mega_status_t mega__rma_quiet(struct mega__ctx *ctx)
{
    atomic_thread_fence(memory_order_seq_cst);
    if (!ctx->net)
        return MEGA_OK;
    struct mega__arena *a = mega__arena(ctx);
    mega_status_t sent = a ? mega__far_send_all(a) : MEGA_ERR_NOMEM; /* L3 */
    mega_status_t st = mega__net_flush(ctx->net);
    return st ? st : sent;
}

static mega_status_t persist_far(struct mega__ctx *ctx,
                                 const struct mega__part *part)
{
    struct mega__arena *a = mega__arena(ctx);
    if (!a)
        return MEGA_ERR_NOMEM;
    mega_status_t st = check_far(ctx, part->p, part->n);
    return st ? st : mega__far_send(a, mega__gptr_home(part->p), part, 1);
}

/* Begins with one range of this host, if it is data of a span. */
static inline bool flush_data(struct mega__arena *a, struct mega__span *span,
                              mega_gptr_t p, size_t n)
{
    uint64_t off = mega_offset(p);
    if (__builtin_expect(!span || n == 0 || off < span->data ||
                             off > span->size || n > span->size - off,
                         0))
        return false;
    if (span->how == MEGA__HOW_NONE)
        return true;
    mega__pool_flush(&a->flusher, span->how, span->base + off, n);
    mega__chunk_flush_marks(a, span, off, n);
    return true;
}

/* Or whatever is of this host. */
static mega_status_t flush_near(struct mega__ctx *ctx, struct mega__arena *a,
                                mega_gptr_t p, size_t n)
{
    if (mega_is_null(p) || !mega__rma_address(ctx, p, n))
        return mega__rma_refuse(ctx, p, n);
    return n > 0 ? mega__chunk_flush(ctx, a, p, n) : MEGA_OK;
}

static __attribute__((noinline)) mega_status_t
persist_other(struct mega__ctx *ctx, mega_gptr_t p, size_t n)
{
    struct mega__arena *a = mega__arena(ctx);
    if (!a)
        return MEGA_ERR_NOMEM;
    if (mega__rma_is_remote(ctx, p))
        return persist_far(ctx,
                           &(struct mega__part){.p = p, .n = n, .marks = true});
    mega_status_t st = flush_near(ctx, a, p, n);
    return st ? st : mega__dirty_fence(a);
}

mega_status_t mega__rma_persist(struct mega__ctx *ctx, mega_gptr_t p, size_t n)
{
    if (__builtin_expect(ctx->readonly, 0))
        return mega__degraded_refuse();
    struct mega__span *span = mega__span_of(ctx, p);
    struct mega__arena *a = mega__arena(ctx);
    if (__builtin_expect(!a || !flush_data(a, span, p, n), 0))
        return persist_other(ctx, p, n);
    return span->how == MEGA__HOW_NONE ? MEGA_OK : mega__dirty_fence(a);
}

/* The ranges on one far home, which is the least of those above after; *home_p
 * is it, or UINT32_MAX. */
static mega_status_t persist_home(struct mega__ctx *ctx, struct mega__arena *a,
                                  const mega_iov_t *iov, size_t count,
                                  int64_t after, int64_t *home_p)
{
    struct mega__part parts[MEGA__PARTS_MAX];
    int64_t home = UINT32_MAX;
    mega_status_t st = MEGA_OK;
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        int64_t its = mega__gptr_home(iov[i].p);
        if (its > after && its < home && mega__rma_is_remote(ctx, iov[i].p))
            home = its;
    }
    for (size_t i = 0; !st && i < count; i++) {
        if (mega__gptr_home(iov[i].p) != home || iov[i].len == 0)
            continue;
        parts[n++] =
            (struct mega__part){.p = iov[i].p, .n = iov[i].len, .marks = true};
        if (n < MEGA__PARTS_MAX)
            continue;
        st = mega__far_send(a, (uint32_t)home, parts, n);
        n = 0;
    }
    if (!st && n > 0)
        st = mega__far_send(a, (uint32_t)home, parts, n);
    *home_p = home;
    return st;
}

mega_status_t mega__rma_persistv(struct mega__ctx *ctx, const mega_iov_t *iov,
                                 size_t count)
{
    struct mega__arena *a = mega__arena(ctx);
    mega_status_t st = MEGA_OK;
    bool far = false;
    if (ctx->readonly)
        return mega__degraded_refuse();
    if (!a)
        return MEGA_ERR_NOMEM;
    for (size_t i = 0; !st && i < count; i++) {
        const mega_gptr_t p = iov[i].p;
        const size_t n = iov[i].len;
        if (flush_data(a, mega__span_of(ctx, p), p, n))
            continue;
        bool remote = mega__rma_is_remote(ctx, p);
        st = remote ? check_far(ctx, p, n) : flush_near(ctx, a, p, n);
        far |= remote;
    }
    mega_status_t fenced = mega__dirty_fence(a);
    st = st ? st : fenced;
    for (int64_t home = -1; far && !st && home < UINT32_MAX;)
        st = persist_home(ctx, a, iov, count, home, &home);
    return st;
}

mega_status_t mega__rma_put_persist(struct mega__ctx *ctx, mega_gptr_t p,
                                    const void *src, size_t n)
{
    if (__builtin_expect(ctx->readonly, 0))
        return mega__degraded_refuse();
    if (mega__rma_is_remote(ctx, p))
        return persist_far(ctx, &(struct mega__part){
                                    .p = p, .src = src, .n = n, .marks = true});
    mega_status_t st = mega__rma_put(ctx, p, src, n);
    return st ? st : mega__rma_persist(ctx, p, n);
}

mega_status_t mega__rma_persist_marks(struct mega__ctx *ctx, mega_gptr_t p)
{
    struct mega__place at;
    if (__builtin_expect(ctx->readonly, 0))
        return mega__degraded_refuse();
    if (mega__rma_is_remote(ctx, p)) {
        mega_status_t st = persist_far(
            ctx, &(struct mega__part){.p = p, .n = 1, .marks = true});
        return st == MEGA_ERR_ARG ? MEGA_OK : st;
    }
    if (!mega__chunk_place(ctx, p, &at) || !at.mark)
        return mega__span_why_none(ctx, p);
    struct mega__arena *a = mega__arena(ctx);
    if (!a)
        return MEGA_ERR_NOMEM;
    mega__chunk_flush_marks(a, at.span, mega_offset(p), 1);
    return mega__dirty_fence(a);
}

mega_status_t mega__rma_drain(struct mega__ctx *ctx)
{
    struct mega__arena *a = mega__arena(ctx);
    if (!a)
        return MEGA_ERR_NOMEM;
    mega_status_t st = mega__net_flush(ctx->net);
    mega_status_t sent = mega__far_send_all(a);
    mega_status_t drained = mega__dirty_drain(a);
    return st ? st : sent ? sent : drained;
}
