/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * recover.c - settles what the job before left behind; the same work after a
 * clean end and after a crash, but for syncs that only a crash needs.
 *
 *   verify the directory | clear the clean marks | raise the epochs, home 0
 *   last, then let all homes know (layout.h, 2) | make durable what we decide
 *   on (L7) | complete the intents | end half-made and half-destroyed regions |
 *   sweep
 *
 * A job that was killed leaves values that are visible and not on the medium:
 * hence the flush of whole blocks, and one sync per file after a crash, before
 * anything is decided. Every step may itself be cut off and done again.
 */
#include "recover.h"

#include <stdlib.h>
#include <string.h>

#include "age.h"
#include "crash_point.h"
#include "directory.h"
#include "home.h"
#include "intent.h"
#include "log.h"
#include "sweep.h"

static bool serves_home0(const struct mega__ctx *ctx)
{
    return ctx->homes[0].serving;
}

/* Writes one word on the served homes that are, or are not, home 0. */
static mega_status_t write_all(struct mega__ctx *ctx, size_t word_off,
                               uint64_t value, bool home0, bool others)
{
    mega_status_t st = MEGA_OK;
    uint32_t i = 0;
    for (struct mega__home *home;
         !st && (home = mega__home_next_served(ctx, &i));) {
        if (home->no == 0 ? !home0 : !others)
            continue;
        mega__home_write(home, &ctx->flusher,
                         (uint64_t *)(void *)((char *)home->block + word_off),
                         value);
        st = mega__pool_drain(&ctx->flusher);
    }
    return mega__boot_agree(ctx->boot, st);
}

static mega_status_t raise_epoch(struct mega__ctx *ctx)
{
    const size_t clean = offsetof(struct mega__home_block, clean);
    const size_t epoch = offsetof(struct mega__home_block, epoch);
    ctx->epoch++;
    ctx->epoch14 = mega__epoch14(ctx->epoch);
    ctx->dead_mark = mega__dead_mark(ctx->epoch);
    /* On each home the flush of its block follows (make_durable); these are for
     * the order: clean before epoch, since a clean word of another epoch is a
     * fault, the other homes before home 0, and that before what says that all
     * have it. */
    mega_status_t st = write_all(ctx, clean, 0, true, true);
    if (!st)
        st = write_all(ctx, epoch, ctx->epoch, false, true);
    MEGA__CRASH(epoch_some);
    if (!st)
        st = write_all(ctx, epoch, ctx->epoch, true, false);
    MEGA__CRASH(epoch_all);
    return st;
}

static mega_status_t make_durable(struct mega__ctx *ctx)
{
    mega_status_t st = MEGA_OK;
    uint32_t i = 0;
    for (struct mega__home *home;
         !st && (home = mega__home_next_served(ctx, &i));) {
        st = mega__age_note(ctx, home);
        mega__pool_flush(&ctx->flusher, home->how, home->block,
                         sizeof *home->block);
        st = st ? st : mega__pool_drain(&ctx->flusher);
        for (uint32_t k = 0; !st && k < home->npools; k++)
            if (!ctx->recovery.clean && home->how != MEGA__HOW_NONE)
                st = mega__pool_sync(home->pools[k]);
    }
    return mega__boot_agree(ctx->boot, st);
}

/* Before anything is written. */
static mega_status_t verify_served(struct mega__ctx *ctx)
{
    mega_status_t st = MEGA_OK;
    uint32_t i = 0;
    if (serves_home0(ctx))
        st = mega__dir_verify(&ctx->homes[0]);
    for (struct mega__home *home;
         !st && (home = mega__home_next_served(ctx, &i));)
        st = mega__dir_run_verify(home);
    return mega__boot_agree(ctx->boot, st);
}

static mega_status_t sweep_served(struct mega__ctx *ctx,
                                  struct mega__live *live)
{
    mega_status_t st = MEGA_OK;
    uint32_t i = 0;
    for (struct mega__home *home;
         !st && (home = mega__home_next_served(ctx, &i));) {
        uint64_t freed = 0;
        st = mega__dir_run_prune(home, &ctx->flusher, mega__live_keeps_run,
                                 live);
        if (!st)
            st = mega__sweep_open(ctx, home, live, &freed);
        if (!st && live->nended) /* before their records go */
            st = mega__sweep_flush(ctx, home);
        ctx->recovery.extents_freed += freed;
    }
    return mega__boot_agree(ctx->boot, st);
}

static mega_status_t sum_up(struct mega__ctx *ctx)
{
    void *all = NULL;
    size_t bytes = 0;
    mega_recovery_t sum = ctx->recovery;
    mega_status_t st = mega__boot_gather(ctx->boot, &ctx->recovery,
                                         sizeof ctx->recovery, &all, &bytes);
    sum.intents = sum.refused = sum.extents_freed = 0;
    const mega_recovery_t *r = all;
    for (size_t i = 0; i < bytes / sizeof *r; i++) {
        sum.intents += r[i].intents;
        sum.refused += r[i].refused;
        sum.extents_freed += r[i].extents_freed;
    }
    free(all);
    if (!st)
        st = mega__boot_host_bcast(ctx->boot, &sum, sizeof sum);
    if (!st)
        ctx->recovery = sum;
    return st;
}

/* Nothing is settled, so all stays as in the epoch of the job before. */
static mega_status_t look_only(struct mega__ctx *ctx)
{
    ctx->epoch14 = mega__epoch14(ctx->epoch);
    ctx->dead_mark = mega__dead_mark(ctx->epoch);
    ctx->recovery.epoch = ctx->epoch;
    return verify_served(ctx);
}

mega_status_t mega__recover(struct mega__ctx *ctx)
{
    if (ctx->readonly)
        return look_only(ctx);
    struct mega__live *live = calloc(1, sizeof *live);
    mega_status_t st =
        live ? MEGA_OK : mega__fail(MEGA_ERR_NOMEM, "no memory to recover");
    st = mega__boot_agree(ctx->boot, st);
    if (!st)
        st = verify_served(ctx);
    if (!st)
        st = raise_epoch(ctx);
    if (!st)
        st = make_durable(ctx);
    if (!st && serves_home0(ctx))
        mega__dir_live(ctx->homes[0].block, live);
    if (!st)
        st = mega__boot_bcast(ctx->boot, live, sizeof *live,
                              mega__home_server(ctx, 0));
    if (!st)
        st = mega__boot_agree(ctx->boot, mega__intent_replay(ctx, live));
    MEGA__CRASH(replayed);
    if (!st)
        st = mega__boot_agree(ctx->boot, mega__intent_clear(ctx));
    if (!st)
        st = sweep_served(ctx, live);
    MEGA__CRASH(swept);
    if (!st && serves_home0(ctx))
        st = mega__dir_bury(&ctx->homes[0], &ctx->flusher, 0);
    if (!st)
        st = sum_up(ctx);
    if (!st) {
        ctx->recovery.epoch = ctx->epoch;
        ctx->recovery.regions_ended = live->nended;
    }
    free(live);
    return mega__boot_agree(ctx->boot, st);
}
