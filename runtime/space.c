/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * space.c - opens and closes the space of a job: the collective steps in
 * their order. deal.c finds the homes and their servers, recover.c settles
 * what the job before left behind.
 *
 * Happy path: settings, start-up, deal, lock and open the homes, compare,
 * share and map, raise the epochs, recover, go. Every step ends in an
 * agreement, so all ranks leave at the same step with the same status.
 */
#include "space.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent.h"
#include "arena.h"
#include "check.h"
#include "class.h"
#include "crash_point.h"
#include "deal.h"
#include "degraded.h"
#include "home.h"
#include "host.h"
#include "lockfile.h"
#include "log.h"
#include "net.h"
#include "recover.h"
#include "region.h"
#include "roll.h"
#include "seg.h"
#include "span.h"
#include "sweep.h"
#include "watch.h"

/* ---- Steps ---- */

/* Each host's ranks share a segment; servers fill in their homes, the others
 * map them. */
static mega_status_t share_and_join(struct mega__ctx *ctx)
{
    uint32_t here = 0, i = 0;
    mega_status_t st = mega__seg_open(ctx, ctx->roll->nhere, &ctx->seg);
    st = mega__boot_agree(ctx->boot, st);
    if (st)
        return st;
    for (struct mega__home *home; (home = mega__home_next_here(ctx, &here));)
        home->seg = mega__seg_home(ctx->seg, here - 1);
    for (struct mega__home *home; (home = mega__home_next_served(ctx, &i));) {
        mega__home_share(ctx, home);
        if (!st && !ctx->readonly)
            st = mega__lockfile_share(home->lock_fd);
    }
    st = mega__boot_agree(ctx->boot, st);
    here = 0;
    for (struct mega__home *home;
         !st && (home = mega__home_next_here(ctx, &here));)
        if (!home->serving)
            st = mega__home_join(ctx, home);
    return mega__boot_agree(ctx->boot, st);
}

/* The spans that this rank serves may be reached by other hosts. */
static mega_status_t expose(struct mega__ctx *ctx)
{
    mega_status_t st = MEGA_OK;
    uint32_t i = 0;
    for (struct mega__home *home;
         !st && (home = mega__home_next_served(ctx, &i));)
        for (uint32_t no = 0; !st && no < MEGA__SPANS_MAX; no++) {
            struct mega__span *span = atomic_load(&home->spans[no]);
            if (!span)
                break;
            st = mega__net_expose(ctx->net, span);
        }
    return mega__boot_agree(ctx->boot, st);
}

static void choose_my_home(struct mega__ctx *ctx)
{
    uint32_t here = 0, served = 0;
    struct mega__home *home = mega__home_next_served(ctx, &served);
    if (!home)
        home = mega__home_next_here(ctx, &here);
    ctx->my_home = home ? (int)home->no : -1;
}

/* Until now each word was its server's alone, so the processor's; a last
 * agreement follows, before which nobody changes another's. */
static void choose_atomics(struct mega__ctx *ctx)
{
    uint32_t i = 0;
    if (ctx->conf.atomics.v.number != MEGA__ATOMICS_NIC)
        return;
    ctx->nic = ctx->net;
    for (struct mega__home *home; (home = mega__home_next_here(ctx, &i));)
        atomic_store(&home->nic, ctx->net);
}

static void report_bad(const char *what, void *arg)
{
    (void)arg;
    mega__log(MEGA__LOG_ERROR, "check: %s", what);
}

/* MEGALLOC_CHECK=yes: the homes served here are sound, or the call fails. */
static mega_status_t check_served(struct mega__ctx *ctx)
{
    uint64_t bad = 0;
    uint32_t i = 0;
    mega_status_t st = MEGA_OK;
    if (!ctx->conf.check.v.number)
        return MEGA_OK;
    for (struct mega__home *home;
         !st && (home = mega__home_next_served(ctx, &i));) {
        uint64_t more = 0;
        st = mega__check_home(ctx, home, report_bad, NULL, &more);
        bad += more;
    }
    if (!st && bad)
        st = mega__fail(MEGA_ERR_DAMAGED,
                        "%llu violations in the homes of rank %d: see the log",
                        (unsigned long long)bad, ctx->place.rank);
    return mega__boot_agree(ctx->boot, st);
}

static void notice(struct mega__ctx *ctx)
{
    static const char *const names[] = {"process", "power-msync", "power"};
    uint32_t weakest = MEGA_DOMAIN_POWER, at = 0, i = 0;
    struct mega__home *home;
    while ((home = mega__home_next_here(ctx, &i)))
        if (home->domain < weakest) {
            weakest = home->domain;
            at = home->no;
        }
    if (ctx->place.rank != 0)
        return;
    if (ctx->readonly)
        mega__degraded_notice(ctx);
    else if (weakest == MEGA_DOMAIN_PROCESS &&
             ctx->conf.durability.v.number != MEGA__DURABLE_PROCESS)
        mega__log(MEGA__LOG_WARN,
                  "home %u lies in memory that survives a crash of the job, "
                  "not the loss of power (MEGALLOC_DURABILITY=process says "
                  "that this is meant)",
                  at);
    bool card = mega__net_has_card(ctx->net);
    if (ctx->nic && !card)
        mega__log(MEGA__LOG_WARN,
                  "MEGALLOC_ATOMICS=nic, but UCX has no network card here that "
                  "does atomics: its software does them, by the ranks that "
                  "serve the homes");
    if (!ctx->conf.info.v.number)
        return;
    mega__conf_print(&ctx->conf);
    fprintf(stderr, "megalloc: atomics: %s\n",
            !ctx->nic ? "the processor's"
            : card    ? "all by UCX, the network card's"
                      : "all by UCX, in software");
    for (i = 0; (home = mega__home_next_here(ctx, &i));) {
        char path[MEGA__PATH] = "";
        if (!mega__home_path(ctx, home->no, 0, "", path))
            fprintf(stderr, "megalloc: home %u: %s, domain %s, epoch %llu\n",
                    home->no, path, names[home->domain],
                    (unsigned long long)ctx->epoch);
    }
}

/* The watch is first: who has waited for a link in vain is not to wait for the
 * same rank once more, in the agreement. */
static mega_status_t begin_watch(struct mega__ctx *ctx)
{
    mega_status_t st = mega__watch_open(ctx);
    if (st)
        return st;
    mega__boot_watch(ctx->boot, mega__watch_period(ctx),
                     mega__watch_look_around, ctx);
    return ctx->net ? mega__boot_agree(ctx->boot, mega__watch_link(ctx)) : st;
}

static mega_status_t open_steps(struct mega__ctx *ctx)
{
    ctx->readonly = ctx->conf.open.v.number == MEGA__OPEN_DEGRADED;
    mega_status_t st =
        mega__boot_same(ctx->boot, &ctx->readonly, sizeof ctx->readonly,
                        "MEGALLOC_OPEN=degraded");
    if (!st)
        st = mega__boot_same(ctx->boot, &ctx->conf.atomics.v.number,
                             sizeof ctx->conf.atomics.v.number,
                             "MEGALLOC_ATOMICS");
    if (!st)
        st = mega__boot_agree(ctx->boot, mega__net_start(ctx, &ctx->net));
    if (!st)
        st = begin_watch(ctx);
    if (!st)
        st = mega__deal(ctx);
    if (!st)
        st = share_and_join(ctx);
    if (!st)
        st = expose(ctx); /* a replay may cross hosts */
    if (!st)
        st = mega__recover(ctx);
    if (!st)
        st = mega__where_write(ctx);
    if (!st)
        st = check_served(ctx);
    if (!st)
        choose_atomics(ctx);
    if (!st)
        st = mega__boot_agree(ctx->boot, mega__agent_start(ctx, &ctx->agent));
    if (st)
        return st;
    ctx->def.ctx = ctx;
    ctx->def.id = MEGA__REGION_DEFAULT;
    choose_my_home(ctx);
    notice(ctx);
    return MEGA_OK;
}

/* ---- Open, close ---- */

static struct mega__ctx *ctx_new(void)
{
    struct mega__ctx *ctx = calloc(1, sizeof *ctx);
    if (!ctx) {
        mega__fail(MEGA_ERR_NOMEM, "no memory to open the space");
        return NULL;
    }
    pthread_mutex_init(&ctx->map_lock, NULL);
    pthread_mutex_init(&ctx->arena_lock, NULL);
    pthread_cond_init(&ctx->left, NULL);
    mega__class_init(&ctx->classes);
    return ctx;
}

/* All will meet for the last time: who gets through first answers no more, and
 * has no links to ask by. */
static void watch_late(struct mega__ctx *ctx)
{
    if (ctx->net && ctx->watch)
        mega__boot_watch(ctx->boot, ctx->conf.timeout.v.number * 250000000,
                         mega__watch_look_late, ctx);
}

/* The sentence stays: what may go wrong here nobody hears of. */
void mega__space_abandon(struct mega__ctx **ctx_p)
{
    struct mega__ctx *ctx = *ctx_p;
    char said[MEGA__ERRMSG_MAX];
    *ctx_p = NULL;
    if (!ctx)
        return;
    memcpy(said, mega__errmsg_buffer(), sizeof said);
    mega__arena_let_go(ctx);
    mega__agent_halt(ctx->agent); /* what it has answered is still sent */
    watch_late(ctx);              /* the transport stops on all at once */
    mega__net_stop(&ctx->net);
    mega__agent_stop(&ctx->agent);
    mega__arena_free_all(ctx);
    mega__region_close_all(ctx);
    mega__roll_drop(ctx);
    mega__seg_close(&ctx->seg);
    mega__watch_close(ctx);
    mega__boot_stop(&ctx->boot);
    pthread_mutex_destroy(&ctx->map_lock);
    pthread_mutex_destroy(&ctx->arena_lock);
    pthread_cond_destroy(&ctx->left);
    free(ctx);
    memcpy(mega__errmsg_buffer(), said, sizeof said);
}

/* The settings are read first, for they say how long others are waited for;
 * all memory is asked for later: who has none meets the others all the same,
 * which would wait for it, and tells them. */
mega_status_t mega__space_open(void *comm, struct mega__ctx **ctx_p)
{
    struct mega__conf conf;
    struct mega__boot *boot = NULL;
    struct mega__ctx *ctx = NULL;
    char host[MEGA__HOST_TEXT] = "", shown[64];
    mega_status_t read = mega__conf_read(&conf);
    if (!read)
        read = mega__pool_check_size(conf.home_size.v.number);
    const struct mega__boot_limits limits = {mega__conf_silence(&conf),
                                             conf.timeout.v.number,
                                             conf.start_timeout.v.number};
    mega__conf_host(&conf, shown, sizeof shown);
    mega_status_t st = mega__boot_start(comm, shown, &limits, &boot);
    if (!st && !read) /* else not even the directory is made */
        mega__host_text(&conf, host);
    if (!st)
        st = mega__boot_find_hosts(boot, host);
    if (!st) {
        ctx = ctx_new();
        st = mega__boot_agree(boot, ctx ? read : MEGA_ERR_NOMEM);
    }
    if (!ctx) {
        mega__boot_stop(&boot);
        return st;
    }
    ctx->conf = conf;
    ctx->boot = boot;
    ctx->place = mega__boot_place(boot);
    if (!st)
        st = open_steps(ctx);
    if (st) {
        mega__space_abandon(&ctx);
        return st;
    }
    *ctx_p = ctx;
    return MEGA_OK;
}

mega_status_t mega__space_drain(struct mega__ctx *ctx)
{
    mega_status_t st = mega__net_flush_all(ctx->net);
    mega_status_t drained = mega__arena_drain_all(ctx, &ctx->flusher);
    return st ? st : drained;
}

static bool needs_other(const struct mega__home *home,
                        const struct mega__pool *pool)
{
    const enum mega__how how = mega__pool_how(pool);
    return how != MEGA__HOW_NONE && how != home->how;
}

/* What any rank has stored in the homes served here is on their medium. end: of
 * the job, also where MEGALLOC_DURABILITY said that it need not be: a clean end
 * spares the next open its sync, and that may be told otherwise. */
static mega_status_t write_served(struct mega__ctx *ctx, bool end)
{
    mega_status_t st = MEGA_OK;
    uint32_t i = 0;
    for (struct mega__home *home;
         !st && (home = mega__home_next_served(ctx, &i));) {
        if (home->how == MEGA__HOW_FLUSH)
            st = mega__sweep_flush_data(ctx, home, &ctx->flusher);
        pthread_mutex_lock(&ctx->map_lock); /* a growth may add pools */
        for (uint32_t k = 0; !st && k < home->npools; k++)
            if (home->how == MEGA__HOW_MSYNC ||
                (end && needs_other(home, home->pools[k])))
                st = mega__pool_sync(home->pools[k]);
        pthread_mutex_unlock(&ctx->map_lock);
    }
    return st;
}

/* Marks are written twice, by their ranks and with all memory in use: the first
 * is what a drain does, and far marks need it. */
static mega_status_t commit(struct mega__ctx *ctx, bool end)
{
    mega_status_t st = mega__boot_agree(ctx->boot, mega__space_drain(ctx));
    return st ? st : mega__boot_agree(ctx->boot, write_served(ctx, end));
}

mega_status_t mega__space_commit(struct mega__ctx *ctx)
{
    return commit(ctx, false);
}

/* Over hosts ranks are asked as long as all work: so none leaves before all
 * have come to the end. Who gets through first answers no more. st: how the
 * end was, which counts if it failed. */
static mega_status_t part(struct mega__ctx *ctx, mega_status_t st)
{
    char said[MEGA__ERRMSG_MAX];
    if (!ctx->net)
        return st;
    memcpy(said, mega__errmsg_buffer(), sizeof said);
    watch_late(ctx);
    const mega_status_t parted = mega__boot_barrier(ctx->boot);
    if (st)
        memcpy(mega__errmsg_buffer(), said, sizeof said);
    return st ? st : parted;
}

/* What a rank has left to the next open may concern any home: a record here
 * names chunks there. Then none is marked, for a clean home has nothing that is
 * half done. */
static mega_status_t mark_clean(struct mega__ctx *ctx)
{
    int settled;
    uint32_t i = 0;
    mega_status_t st = mega__boot_least(
        ctx->boot, !atomic_load_explicit(&ctx->unsettled, memory_order_relaxed),
        &settled);
    for (struct mega__home *home;
         !st && settled && (home = mega__home_next_served(ctx, &i));) {
        mega__home_write(home, &ctx->flusher, &home->block->clean, ctx->epoch);
        st = mega__pool_drain(&ctx->flusher);
        MEGA__CRASH(clean_some);
    }
    return st;
}

/* All is durable everywhere, then a home is marked clean: after a kill in
 * between, a clean word over what only a cache holds would spare the next open
 * its sync. */
static mega_status_t end_cleanly(struct mega__ctx *ctx)
{
    if (ctx->readonly) /* others may still read what is served here */
        return mega__boot_barrier(ctx->boot);
    mega__arena_give_up_all(ctx);
    mega_status_t st = commit(ctx, true);
    if (!st)
        st = mark_clean(ctx);
    return mega__boot_agree(ctx->boot, st);
}

static void print_stats(struct mega__ctx *ctx)
{
    mega_counters_t c;
    mega__arena_count_all(ctx, &c);
    fprintf(stderr,
            "megalloc: rank %d: flushes %llu fences %llu claims %llu cas %llu "
            "adoptions %llu disowned %llu released %llu\n",
            ctx->place.rank, (unsigned long long)c.flushes,
            (unsigned long long)c.fences, (unsigned long long)c.claims,
            (unsigned long long)c.claim_cas, (unsigned long long)c.adoptions,
            (unsigned long long)c.disowned,
            (unsigned long long)c.extents_released);
}

mega_status_t mega__space_close(struct mega__ctx **ctx_p)
{
    struct mega__ctx *ctx = *ctx_p;
    if (!ctx)
        return MEGA_OK;
    if (ctx->conf.stats.v.number)
        print_stats(ctx);
    mega_status_t st = end_cleanly(ctx);
    if (!st)
        st = check_served(ctx);
    st = part(ctx, st);
    mega__space_abandon(ctx_p);
    return st;
}
