/* SPDX-License-Identifier: BSD-3-Clause */
/* rma.c - the public calls that move data, and addresses. */
#include "rma.h"

#include "api.h"
#include "log.h"
#include "roll.h"
#include "seg.h"

static mega_status_t no_buffer(void)
{
    return mega__fail(MEGA_ERR_ARG, "the local buffer is NULL");
}

mega_status_t mega_put(mega_gptr_t p, const void *src, size_t n)
{
    struct mega__ctx *ctx = mega__the;
    if (__builtin_expect(!ctx, 0))
        return mega__api_closed();
    if (__builtin_expect(!src, 0))
        return no_buffer();
    return mega__rma_put(ctx, p, src, n);
}

mega_status_t mega_get(void *dst, mega_gptr_t p, size_t n)
{
    struct mega__ctx *ctx = mega__the;
    if (__builtin_expect(!ctx, 0))
        return mega__api_closed();
    if (__builtin_expect(!dst, 0))
        return no_buffer();
    return mega__rma_get(ctx, dst, p, n);
}

mega_status_t mega_put_nbi(mega_gptr_t p, const void *src, size_t n)
{
    struct mega__ctx *ctx = mega__the;
    if (__builtin_expect(!ctx, 0))
        return mega__api_closed();
    if (__builtin_expect(!src, 0))
        return no_buffer();
    return mega__rma_put_nbi(ctx, p, src, n);
}

mega_status_t mega_get_nbi(void *dst, mega_gptr_t p, size_t n)
{
    struct mega__ctx *ctx = mega__the;
    if (__builtin_expect(!ctx, 0))
        return mega__api_closed();
    if (__builtin_expect(!dst, 0))
        return no_buffer();
    return mega__rma_get_nbi(ctx, dst, p, n);
}

mega_status_t mega_putv(const mega_iov_t *iov, size_t count)
{
    mega_status_t st = MEGA_OK;
    if (!mega__the)
        return mega__api_closed();
    if (!iov && count > 0)
        return no_buffer();
    for (size_t i = 0; !st && i < count; i++)
        st = mega_put(iov[i].p, iov[i].buf, iov[i].len);
    return st;
}

mega_status_t mega_getv(const mega_iov_t *iov, size_t count)
{
    mega_status_t st = MEGA_OK;
    if (!mega__the)
        return mega__api_closed();
    if (!iov && count > 0)
        return no_buffer();
    for (size_t i = 0; !st && i < count; i++) /* far ones in one round trip */
        st = mega_get_nbi(iov[i].buf, iov[i].p, iov[i].len);
    mega_status_t got = mega_quiet(); /* of a failure too: into iov's buffers */
    return st ? st : got;
}

mega_status_t mega_copy(mega_gptr_t dst, mega_gptr_t src, size_t n)
{
    if (!mega__the)
        return mega__api_closed();
    return mega__rma_copy(mega__the, dst, src, n);
}

mega_status_t mega_put_signal(mega_gptr_t p, const void *src, size_t n,
                              mega_gptr_t sig, uint64_t signal)
{
    mega_status_t st = mega_put(p, src, n);
    if (!st)
        st = mega_quiet();
    if (!st)
        st = mega_set64(sig, signal);
    return st;
}

mega_status_t mega_fence(void)
{
    return mega_quiet();
}

mega_status_t mega_quiet(void)
{
    struct mega__ctx *ctx = mega__the;
    if (__builtin_expect(!ctx, 0))
        return mega__api_closed();
    return mega__rma_quiet(ctx);
}

static mega_status_t ill_formed(unsigned flags)
{
    if (flags & ~MEGA_AMO_RELEASE)
        return mega__fail(MEGA_ERR_ARG, "flags %#x are not defined", flags);
    return mega__fail(MEGA_ERR_ARG, "no place for what is read");
}

/* What must be true before an atomic operation. On one host the operation is
 * itself a fence; over several, what is under way may go anywhere (L3). */
static inline mega_status_t before_amo(struct mega__ctx *ctx, mega_amo_op_t op,
                                       unsigned flags, const uint64_t *old_p)
{
    if (__builtin_expect(!ctx, 0))
        return mega__api_closed();
    if (__builtin_expect(
            (flags & ~MEGA_AMO_RELEASE) || (op == MEGA_AMO_FETCH && !old_p), 0))
        return ill_formed(flags);
    return flags & MEGA_AMO_RELEASE && ctx->net ? mega__rma_quiet(ctx)
                                                : MEGA_OK;
}

mega_status_t mega_amo(mega_amo_op_t op, unsigned flags, size_t size,
                       mega_gptr_t p, uint64_t value, uint64_t compare,
                       uint64_t *old_p)
{
    struct mega__ctx *ctx = mega__the;
    mega_status_t st = before_amo(ctx, op, flags, old_p);
    return st ? st : mega__rma_amo(ctx, op, size, p, value, compare, old_p);
}

mega_status_t mega_amo_nbi(mega_amo_op_t op, unsigned flags, size_t size,
                           mega_gptr_t p, uint64_t value, uint64_t compare,
                           uint64_t *old_p)
{
    struct mega__ctx *ctx = mega__the;
    mega_status_t st = before_amo(ctx, op, flags, old_p);
    return st ? st : mega__rma_amo_nbi(ctx, op, size, p, value, compare, old_p);
}

/* ---- Addresses ---- */

void *mega_ptr(mega_gptr_t p)
{
    struct mega__ctx *ctx = mega__the;
    return ctx && p.v ? mega__rma_address(ctx, p, 1) : NULL;
}

mega_gptr_t mega_gptr_of(const void *addr)
{
    struct mega__ctx *ctx = mega__the;
    const char *a = addr;
    uint32_t i = 0;
    if (!ctx)
        return mega_null();
    for (struct mega__home *home; (home = mega__home_next_here(ctx, &i));)
        for (uint32_t no = 0; no < MEGA__SPANS_MAX; no++) {
            const struct mega__span *span =
                atomic_load_explicit(&home->spans[no], memory_order_acquire);
            if (!span) /* spans are met in any order: look on while there are */
                if (!home->seg || no >= atomic_load(&home->seg->nspans))
                    break;
            if (!span || a < span->base || a >= span->base + span->size)
                continue;
            mega_gptr_t p = mega__span_gptr(span, (uint64_t)(a - span->base));
            return mega__rma_address(ctx, p, 1) ? p : mega_null();
        }
    return mega_null();
}
