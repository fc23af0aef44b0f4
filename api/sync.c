/* SPDX-License-Identifier: BSD-3-Clause */
/* sync.c - the public calls that synchronise. */
#include "sync.h"

#include "api.h"
#include "log.h"
#include "rma.h"

mega_status_t mega_barrier(void)
{
    mega_status_t st;
    struct mega__ctx *ctx = mega__api_begin(&st);
    if (!ctx)
        return st;
    st = mega__rma_quiet(ctx);
    mega_status_t met = mega__boot_barrier(ctx->boot);
    return mega__api_end(ctx, st ? st : met);
}

mega_status_t mega_bcast(void *buf, size_t n, int root)
{
    mega_status_t st;
    struct mega__ctx *ctx = mega__api_begin(&st);
    if (!ctx)
        return st;
    if (root < 0 || root >= ctx->place.nranks || (!buf && n > 0))
        st = mega__fail(MEGA_ERR_ARG, "%zu bytes from rank %d of %d", n, root,
                        ctx->place.nranks);
    st = mega__boot_agree(ctx->boot, st);
    if (!st && n > 0)
        st = mega__boot_bcast(ctx->boot, buf, n, root);
    return mega__api_end(ctx, st);
}

mega_status_t mega_wait_until(mega_gptr_t p, mega_cmp_t cmp, uint64_t value,
                              int timeout_ms)
{
    return mega__the ? mega__sync_wait(mega__the, p, cmp, value, timeout_ms)
                     : mega__api_closed();
}

static mega_status_t check_flags(unsigned flags)
{
    if (!mega__the)
        return mega__api_closed();
    return flags & ~MEGA_LOCK_SHARED
               ? mega__fail(MEGA_ERR_ARG, "flags %#x are not defined", flags)
               : MEGA_OK;
}

mega_status_t mega_lock(mega_gptr_t p, unsigned flags)
{
    mega_status_t st = check_flags(flags);
    return st ? st : mega__sync_lock(mega__the, p, flags);
}

mega_status_t mega_trylock(mega_gptr_t p, unsigned flags)
{
    mega_status_t st = check_flags(flags);
    return st ? st : mega__sync_trylock(mega__the, p, flags);
}

mega_status_t mega_unlock(mega_gptr_t p, unsigned flags)
{
    mega_status_t st = check_flags(flags);
    return st ? st : mega__sync_unlock(mega__the, p, flags);
}
