/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * degraded.h - a space opened with MEGALLOC_OPEN=degraded: what is there of it,
 * to be read. Homes may be absent; nothing is recovered, nothing is written.
 */
#ifndef MEGA__DEGRADED_H
#define MEGA__DEGRADED_H

#include "roll.h"
#include "types.h"

/* UNSUPPORTED - says that the space is read-only. */
mega_status_t mega__degraded_refuse(void);

struct mega__missing {
    uint32_t n, of;   /* homes */
    uint32_t home;    /* one of them */
    const char *host; /* where that was served last; "": it is not known */
};

/* ABSENT - says which home, the host where it was, which file, what to do. */
mega_status_t mega__degraded_missing(struct mega__ctx *ctx,
                                     const struct mega__missing *missing);

/* The same of a home that a call needs. */
mega_status_t mega__degraded_absent(struct mega__ctx *ctx, uint32_t home);

/* By rank 0: what was opened. */
void mega__degraded_notice(struct mega__ctx *ctx);

/* Where a call begins that would change the space. */
static inline mega_status_t mega__degraded_write(const struct mega__ctx *ctx)
{
    return __builtin_expect(ctx->readonly, 0) ? mega__degraded_refuse()
                                              : MEGA_OK;
}

static inline bool mega__degraded_is_absent(const struct mega__ctx *ctx,
                                            uint32_t home)
{
    return mega__home_server(ctx, home) < 0;
}

/* Where a home that is not of this host is about to be reached.
 * ASSUMPTION: home < nhomes. */
static inline mega_status_t mega__degraded_reach(struct mega__ctx *ctx,
                                                 uint32_t home)
{
    return mega__degraded_is_absent(ctx, home)
               ? mega__degraded_absent(ctx, home)
               : MEGA_OK;
}

#endif
