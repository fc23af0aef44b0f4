/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * rma.h - reading, writing and updating memory of the space. On homes of this
 * host these are CPU instructions; what is not mapped goes to net.h.
 */
#ifndef MEGA__RMA_H
#define MEGA__RMA_H

#include "span.h"

/* The address of n bytes that a program may touch: data, or the slot of a
 * root; never the space's own metadata. NULL: see mega__rma_refuse. */
char *mega__rma_special(struct mega__ctx *ctx, mega_gptr_t p, size_t n);

static inline char *mega__rma_address(struct mega__ctx *ctx, mega_gptr_t p,
                                      size_t n)
{
    struct mega__span *span = mega__span_of(ctx, p);
    uint64_t off = mega_offset(p);
    if (__builtin_expect(span && off >= span->data && off <= span->size &&
                             n <= span->size - off,
                         1))
        return span->base + off;
    return mega__rma_special(ctx, p, n);
}

/* Whether p is on a home of another host: net.h's. */
bool mega__rma_is_remote(const struct mega__ctx *ctx, mega_gptr_t p);

/* Says what is wrong with n bytes at p. */
mega_status_t mega__rma_refuse(struct mega__ctx *ctx, mega_gptr_t p, size_t n);

mega_status_t mega__rma_put(struct mega__ctx *ctx, mega_gptr_t p,
                            const void *src, size_t n);
mega_status_t mega__rma_get(struct mega__ctx *ctx, void *dst, mega_gptr_t p,
                            size_t n);
/* As put and get; of far homes the buffer is in use until a flush. */
mega_status_t mega__rma_put_nbi(struct mega__ctx *ctx, mega_gptr_t p,
                                const void *src, size_t n);
mega_status_t mega__rma_get_nbi(struct mega__ctx *ctx, void *dst, mega_gptr_t p,
                                size_t n);
mega_status_t mega__rma_copy(struct mega__ctx *ctx, mega_gptr_t dst,
                             mega_gptr_t src, size_t n);
mega_status_t mega__rma_amo(struct mega__ctx *ctx, mega_amo_op_t op,
                            size_t size, mega_gptr_t p, uint64_t value,
                            uint64_t compare, uint64_t *old_p);
mega_status_t mega__rma_amo_nbi(struct mega__ctx *ctx, mega_amo_op_t op,
                                size_t size, mega_gptr_t p, uint64_t value,
                                uint64_t compare, uint64_t *old_p);
mega_status_t mega__rma_quiet(struct mega__ctx *ctx);

/* L1. */
mega_status_t mega__rma_persist(struct mega__ctx *ctx, mega_gptr_t p, size_t n);
mega_status_t mega__rma_persistv(struct mega__ctx *ctx, const mega_iov_t *iov,
                                 size_t count);
/* Of a far home: in one message, if n is small. */
mega_status_t mega__rma_put_persist(struct mega__ctx *ctx, mega_gptr_t p,
                                    const void *src, size_t n);
/* The mark of the chunk at p is durable; p may be no memory at all. */
mega_status_t mega__rma_persist_marks(struct mega__ctx *ctx, mega_gptr_t p);
mega_status_t mega__rma_drain(struct mega__ctx *ctx);

/* ---- The processor's own atomics ---- */

#define MEGA__AMO(type)                                                        \
    static inline type mega__amo_##type(mega_amo_op_t op, type *at,            \
                                        type value, type compare)              \
    {                                                                          \
        switch (op) {                                                          \
        case MEGA_AMO_FETCH:                                                   \
            return __atomic_load_n(at, __ATOMIC_SEQ_CST);                      \
        case MEGA_AMO_SET:                                                     \
        case MEGA_AMO_SWAP:                                                    \
            return __atomic_exchange_n(at, value, __ATOMIC_SEQ_CST);           \
        case MEGA_AMO_ADD:                                                     \
            return __atomic_fetch_add(at, value, __ATOMIC_SEQ_CST);            \
        case MEGA_AMO_AND:                                                     \
            return __atomic_fetch_and(at, value, __ATOMIC_SEQ_CST);            \
        case MEGA_AMO_OR:                                                      \
            return __atomic_fetch_or(at, value, __ATOMIC_SEQ_CST);             \
        case MEGA_AMO_XOR:                                                     \
            return __atomic_fetch_xor(at, value, __ATOMIC_SEQ_CST);            \
        case MEGA_AMO_CSWAP:                                                   \
            __atomic_compare_exchange_n(at, &compare, value, 0,                \
                                        __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);   \
            return compare;                                                    \
        }                                                                      \
        return 0;                                                              \
    }
MEGA__AMO(uint64_t)
MEGA__AMO(uint32_t)
#undef MEGA__AMO

/* The operation on the size (4 or 8, aligned) bytes at an address; what was
 * there before. */
static inline uint64_t mega__rma_amo_at(mega_amo_op_t op, size_t size, void *at,
                                        uint64_t value, uint64_t compare)
{
    return size == 8
               ? mega__amo_uint64_t(op, at, value, compare)
               : mega__amo_uint32_t(op, at, (uint32_t)value, (uint32_t)compare);
}

#endif
