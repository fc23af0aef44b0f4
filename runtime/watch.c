/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * watch.c - see watch.h. Each agent raises a number in memory of its host, its
 * one writer, so nothing is locked.
 */
#include "watch.h"

#include <stdlib.h>

#include "log.h"
#include "seg.h"

struct host_watch { /* once per host */
    struct mega__shared shared;
    _Atomic uint32_t beats[]; /* by host_rank; 0: no agent is at work */
};

struct mega__watch {
    struct host_watch *host;
};

mega_status_t mega__watch_open(struct mega__ctx *ctx)
{
    struct mega__watch *w = calloc(1, sizeof *w);
    void *p = NULL;
    mega_status_t st =
        w ? MEGA_OK : mega__fail(MEGA_ERR_NOMEM, "no memory for a watch");
    st = mega__boot_agree(ctx->boot, st);
    if (!st)
        st = mega__boot_agree(
            ctx->boot,
            mega__seg_share(ctx,
                            sizeof *w->host + (size_t)ctx->place.host_nranks *
                                                  sizeof *w->host->beats,
                            &p));
    if (st) {
        mega__seg_unshare(p);
        free(w);
        return st;
    }
    w->host = p;
    ctx->watch = w;
    return MEGA_OK;
}

void mega__watch_close(struct mega__ctx *ctx)
{
    struct mega__watch *w = ctx->watch;
    if (!w)
        return;
    ctx->watch = NULL;
    mega__seg_unshare(w->host);
    free(w);
}

void mega__watch_beat(struct mega__ctx *ctx)
{
    struct mega__watch *w = ctx->watch;
    _Atomic uint32_t *mine = &w->host->beats[ctx->place.host_rank];
    uint32_t next = *mine + 1;
    *mine = next ? next : 1;
}

void mega__watch_rest(struct mega__ctx *ctx)
{
    struct mega__watch *w = ctx->watch;
    w->host->beats[ctx->place.host_rank] = 0;
}

uint32_t mega__watch_pulse(const struct mega__ctx *ctx, uint32_t host_rank)
{
    const struct mega__watch *w = ctx->watch;
    return w->host->beats[host_rank];
}
