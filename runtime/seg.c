/* SPDX-License-Identifier: BSD-3-Clause */
/* seg.c - see seg.h. */
#include "seg.h"

#include "share.h"

static size_t homes_offset(uint32_t nranks)
{
    size_t end =
        sizeof(struct mega__seg) + nranks * sizeof(struct mega__seg_rank);
    return (end + MEGA__LINE - 1) & ~(size_t)(MEGA__LINE - 1);
}

mega_status_t mega__seg_open(struct mega__ctx *ctx, uint32_t nhomes,
                             struct mega__seg **seg_p)
{
    size_t homes_off = homes_offset((uint32_t)ctx->place.host_nranks);
    size_t bytes = homes_off + nhomes * sizeof(struct mega__seg_home);
    void *p;
    mega_status_t st = mega__share(ctx, bytes, &p);
    if (st)
        return st;
    struct mega__seg *seg = *seg_p = p;
    if (ctx->place.host_rank == 0) {
        seg->nhomes = nhomes;
        seg->nranks = (uint32_t)ctx->place.host_nranks;
        seg->homes_off = homes_off;
    }
    return MEGA_OK;
}

void mega__seg_close(struct mega__seg **seg_p)
{
    mega__unshare(*seg_p);
    *seg_p = NULL;
}

struct mega__seg_home *mega__seg_home(struct mega__seg *seg, uint32_t index)
{
    struct mega__seg_home *homes =
        (struct mega__seg_home *)(void *)((char *)seg + seg->homes_off);
    return &homes[index];
}
