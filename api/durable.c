/* SPDX-License-Identifier: BSD-3-Clause */
/* durable.c - the public calls that make things durable. */
#include "api.h"
#include "log.h"
#include "rma.h"
#include "space.h"

mega_status_t mega_persist(mega_gptr_t p, size_t n)
{
    struct mega__ctx *ctx = mega__the;
    if (__builtin_expect(!ctx, 0))
        return mega__api_closed();
    return mega__rma_persist(ctx, p, n);
}

mega_status_t mega_persistv(const mega_iov_t *iov, size_t count)
{
    struct mega__ctx *ctx = mega__the;
    if (!ctx)
        return mega__api_closed();
    if (!iov && count > 0)
        return mega__fail(MEGA_ERR_ARG, "no ranges");
    return mega__rma_persistv(ctx, iov, count);
}

mega_status_t mega_put_persist(mega_gptr_t p, const void *src, size_t n)
{
    struct mega__ctx *ctx = mega__the;
    if (!ctx)
        return mega__api_closed();
    if (!src)
        return mega__fail(MEGA_ERR_ARG, "the local buffer is NULL");
    return mega__rma_put_persist(ctx, p, src, n);
}

mega_status_t mega_drain(void)
{
    return mega__the ? mega__rma_drain(mega__the) : mega__api_closed();
}

mega_status_t mega_commit(void)
{
    mega_status_t st;
    struct mega__ctx *ctx = mega__api_begin(&st);
    if (!ctx)
        return st;
    return mega__api_end(ctx, mega__space_commit(ctx));
}
