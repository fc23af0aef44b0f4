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
mega_status_t mega__rma_refuse(const struct mega__ctx *ctx, mega_gptr_t p,
                               size_t n);

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
/* Of a far home: in one message, if n is small. */
mega_status_t mega__rma_persistv(struct mega__ctx *ctx, const mega_iov_t *iov,
                                 size_t count);
mega_status_t mega__rma_put_persist(struct mega__ctx *ctx, mega_gptr_t p,
                                    const void *src, size_t n);
/* The mark of the chunk at p is durable; p may be no memory at all. */
mega_status_t mega__rma_persist_marks(struct mega__ctx *ctx, mega_gptr_t p);
mega_status_t mega__rma_drain(struct mega__ctx *ctx);

#endif
