/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * agent.c - serves the requests of this host's ranks by mail in the shared
 * segment, one at a time; sleeps on its bell (a futex) when there is none.
 *
 * A growth runs in a helper thread; the requests for it stay posted until it
 * is done, and are then answered together. Mail has one sender per rank: the
 * threads of a rank take turns.
 */
#include "agent.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "arena.h"
#include "chunk.h"
#include "directory.h"
#include "far.h"
#include "home.h"
#include "log.h"
#include "net.h"
#include "run.h"
#include "slab.h"

struct growth {
    pthread_t thread;
    bool running;      /* the thread is to be joined; the agent's */
    _Atomic bool done; /* by the thread */
    struct mega__home *home;
    uint64_t need;
    struct mega__flusher flusher;
    mega_status_t status;
    char text[MEGA__ERRMSG_MAX];
};

struct mega__agent {
    struct mega__ctx *ctx;
    pthread_t thread;
    _Atomic bool stop;
    pthread_mutex_t mail_lock; /* of this rank's own mail */
    struct growth growth;
    struct mega__flusher flusher;
};

/* ---- Bells ---- */

static void futex_wait(_Atomic uint32_t *word, uint32_t seen, long ms)
{
    struct timespec ts = {ms / 1000, ms % 1000 * 1000000};
    syscall(SYS_futex, word, FUTEX_WAIT, seen, &ts, NULL, 0);
}

static void futex_wake(_Atomic uint32_t *word)
{
    syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

static void ring(struct mega__seg *seg, int host_rank)
{
    _Atomic uint32_t *bell = &seg->ranks[host_rank].bell;
    atomic_fetch_add_explicit(bell, 1, memory_order_release);
    futex_wake(bell);
}

/* ---- Serving ---- */

static void answer(struct mega__mail *mail, mega_status_t st)
{
    mail->req.status = st;
    if (st)
        memcpy(mail->req.text, mega__errmsg_buffer(), MEGA__REQUEST_TEXT);
    /* release pairs with the acquire in post_and_wait */
    atomic_store_explicit(&mail->state, MEGA__MAIL_DONE, memory_order_release);
    futex_wake(&mail->state);
}

/* Who asks for anything meanwhile is patient. */
static void set_growing(struct mega__agent *agent, uint32_t growing)
{
    struct mega__ctx *ctx = agent->ctx;
    atomic_store_explicit(&ctx->seg->ranks[ctx->place.host_rank].growing,
                          growing, memory_order_release);
}

static void *grow(void *arg)
{
    struct mega__agent *agent = arg;
    struct growth *g = &agent->growth;
    g->status = mega__home_grow(agent->ctx, g->home, &g->flusher, g->need);
    memcpy(g->text, mega__errmsg_buffer(), sizeof g->text);
    atomic_store_explicit(&g->done, true, memory_order_release);
    ring(agent->ctx->seg, agent->ctx->place.host_rank);
    return NULL;
}

/* Starts a growth, or says that what was asked for has happened. */
static void serve_grow(struct mega__agent *agent, struct mega__mail *mail,
                       struct mega__home *home)
{
    struct growth *g = &agent->growth;
    uint32_t nspans =
        atomic_load_explicit(&home->seg->nspans, memory_order_acquire);
    if (nspans > mail->req.arg[0]) {
        answer(mail, MEGA_OK);
        return;
    }
    if (g->running)
        return; /* it is looked at again when that one is done */
    g->home = home;
    g->need = mail->req.arg[1];
    atomic_store_explicit(&g->done, false, memory_order_relaxed);
    set_growing(agent, 1);
    int rc = pthread_create(&g->thread, NULL, grow, agent);
    if (rc != 0) {
        set_growing(agent, 0);
        answer(mail,
               mega__fail(MEGA_ERR_IO, "start a thread: %s", strerror(rc)));
        return;
    }
    g->running = true;
}

static mega_status_t reclaim(struct mega__ctx *ctx, struct mega__home *home,
                             uint64_t *n_p)
{
    struct mega__arena *a = mega__arena(ctx);
    if (!a)
        return MEGA_ERR_NOMEM;
    *n_p = mega__slab_reclaim(a, home);
    return MEGA_OK;
}

/* HOME_FULL: the asker has the home grow, and asks again. */
static mega_status_t claim_run(struct mega__ctx *ctx, struct mega__home *home,
                               struct mega__request *req)
{
    struct mega__arena *a = mega__arena(ctx);
    mega_gptr_t p = mega_from_bits(0);
    if (!a)
        return MEGA_ERR_NOMEM;
    if (req->arg[1] == 0 || req->arg[1] >= MEGA__SPAN_EXTENTS_MAX)
        return mega__fail(MEGA_ERR_TOO_BIG, "%llu extents fit in no span",
                          (unsigned long long)req->arg[1]);
    mega_status_t st =
        mega__run_claim(ctx, home, (uint32_t)req->arg[0], (uint32_t)req->arg[1],
                        0, &a->flusher, &p);
    if (st == MEGA_ERR_HOME_FULL && mega__slab_reclaim(a, home) > 0)
        st = mega__run_claim(ctx, home, (uint32_t)req->arg[0],
                             (uint32_t)req->arg[1], 0, &a->flusher, &p);
    req->result = p.v;
    if (st == MEGA_ERR_HOME_FULL)
        return mega__fail(st, "home %u has no hole of %llu extents", home->no,
                          (unsigned long long)req->arg[1]);
    return st;
}

static mega_status_t free_run(struct mega__ctx *ctx, mega_gptr_t p,
                              enum mega__run_why why)
{
    struct mega__arena *a = mega__arena(ctx);
    struct mega__place at;
    if (!a)
        return MEGA_ERR_NOMEM;
    if (why == MEGA__RUN_LIVE)
        return mega__chunk_free(ctx, p);
    if (why == MEGA__RUN_RESERVED)
        return mega__chunk_cancel(ctx, p);
    if (!mega__chunk_place(ctx, p, &at) || mega__word_is_slab(at.word) ||
        at.start != mega_offset(p) || !at.mark ||
        atomic_load_explicit(at.mark, memory_order_acquire) != ctx->dead_mark)
        return mega__chunk_not_live(p, "no run that is dead begins there");
    return mega__run_free(ctx, at.span, at.extent, at.word, &a->flusher);
}

static void serve(struct mega__agent *agent, struct mega__mail *mail)
{
    struct mega__ctx *ctx = agent->ctx;
    struct mega__request *req = &mail->req;
    struct mega__home *home =
        req->home < ctx->nhomes ? &ctx->homes[req->home] : NULL;
    uint32_t line = 0;
    mega_gptr_t p;
    mega_status_t st;
    req->text[MEGA__REQUEST_TEXT - 1] = '\0';
    if (!home || !home->serving) {
        answer(mail, mega__fail(MEGA_ERR_ABSENT, "home %u is not served here",
                                req->home));
        return;
    }
    switch (req->op) {
    case MEGA__ASK_GROW:
        serve_grow(agent, mail, home);
        return;
    case MEGA__ASK_ROOT_MAKE:
        st = mega__dir_root_make(home, &agent->flusher, (uint32_t)req->arg[0],
                                 req->text, &line);
        req->result = line;
        break;
    case MEGA__ASK_ROOT_REMOVE:
        st = mega__dir_root_remove(home, &agent->flusher, (uint32_t)req->arg[0],
                                   req->text);
        break;
    case MEGA__ASK_RECLAIM:
        st = reclaim(ctx, home, &req->result);
        break;
    case MEGA__ASK_RUN_CLAIM:
        st = claim_run(ctx, home, req);
        break;
    case MEGA__ASK_RUN_FREE:
        p = mega_from_bits(req->arg[0]);
        st = free_run(ctx, p, (enum mega__run_why)req->arg[1]);
        break;
    default:
        st = mega__fail(MEGA_ERR_ARG, "unknown request %u", req->op);
    }
    answer(mail, st);
}

/* Answers all who waited for the growth that has ended. */
static void end_growth(struct mega__agent *agent)
{
    struct growth *g = &agent->growth;
    struct mega__seg *seg = agent->ctx->seg;
    pthread_join(g->thread, NULL);
    g->running = false;
    set_growing(agent, 0);
    if (!g->status)
        atomic_fetch_add_explicit(&agent->ctx->grown, 1, memory_order_relaxed);
    for (uint32_t i = 0; i < seg->nranks; i++) {
        struct mega__mail *mail = &seg->ranks[i].mail;
        if (atomic_load_explicit(&mail->state, memory_order_acquire) ==
                MEGA__MAIL_POSTED &&
            mail->to == agent->ctx->place.host_rank &&
            mail->req.op == MEGA__ASK_GROW && mail->req.home == g->home->no &&
            mail->req.arg[1] >= g->need)
            answer(mail,
                   g->status ? mega__fail(g->status, "%s", g->text) : MEGA_OK);
    }
}

static void *run(void *arg)
{
    struct mega__agent *agent = arg;
    struct mega__seg *seg = agent->ctx->seg;
    int me = agent->ctx->place.host_rank;
    while (!atomic_load_explicit(&agent->stop, memory_order_acquire)) {
        uint32_t seen =
            atomic_load_explicit(&seg->ranks[me].bell, memory_order_acquire);
        if (agent->growth.running &&
            atomic_load_explicit(&agent->growth.done, memory_order_acquire))
            end_growth(agent);
        for (uint32_t i = 0; i < seg->nranks; i++) {
            struct mega__mail *mail = &seg->ranks[i].mail;
            /* acquire pairs with the release in post_and_wait */
            if (atomic_load_explicit(&mail->state, memory_order_acquire) ==
                    MEGA__MAIL_POSTED &&
                mail->to == me)
                serve(agent, mail);
        }
        futex_wait(&seg->ranks[me].bell, seen, 1000);
    }
    if (agent->growth.running)
        end_growth(agent);
    return NULL;
}

/* ---- Start, stop ---- */

mega_status_t mega__agent_start(struct mega__ctx *ctx,
                                struct mega__agent **agent_p)
{
    struct mega__agent *agent = calloc(1, sizeof *agent);
    if (!agent)
        return mega__fail(MEGA_ERR_NOMEM, "no memory for the agent");
    agent->ctx = ctx;
    pthread_mutex_init(&agent->mail_lock, NULL);
    int rc = pthread_create(&agent->thread, NULL, run, agent);
    if (rc != 0) {
        free(agent);
        return mega__fail(MEGA_ERR_IO, "start the agent: %s", strerror(rc));
    }
    *agent_p = agent;
    return MEGA_OK;
}

void mega__agent_stop(struct mega__agent **agent_p)
{
    struct mega__agent *agent = *agent_p;
    if (!agent)
        return;
    *agent_p = NULL;
    atomic_store_explicit(&agent->stop, true, memory_order_release);
    ring(agent->ctx->seg, agent->ctx->place.host_rank);
    pthread_join(agent->thread, NULL);
    pthread_mutex_destroy(&agent->mail_lock);
    free(agent);
}

/* ---- Asking ---- */

/* Waits while the mail is posted. After a TIMEOUT it stays so: an answer that
 * comes late must not be taken for that of the next request. */
static mega_status_t await_answer(struct mega__ctx *ctx,
                                  struct mega__home *home,
                                  struct mega__mail *mail)
{
    uint64_t patience = ctx->conf.timeout.v.number * 10, waited = 0;
    while (atomic_load_explicit(&mail->state, memory_order_acquire) ==
           MEGA__MAIL_POSTED) {
        if (waited++ >= patience &&
            !atomic_load_explicit(&ctx->seg->ranks[mail->to].growing,
                                  memory_order_acquire))
            return mega__fail(MEGA_ERR_TIMEOUT,
                              "rank %d, which serves home %u, has not answered "
                              "for %llu s: is it stopped? MEGALLOC_TIMEOUT "
                              "sets how long to wait",
                              home->seg->server, home->no,
                              (unsigned long long)ctx->conf.timeout.v.number);
        futex_wait(&mail->state, MEGA__MAIL_POSTED, 100);
    }
    return MEGA_OK;
}

static mega_status_t post_and_wait(struct mega__ctx *ctx,
                                   struct mega__home *home,
                                   struct mega__request *req)
{
    struct mega__mail *mail = &ctx->seg->ranks[ctx->place.host_rank].mail;
    mega_status_t st = await_answer(ctx, home, mail); /* of one given up */
    if (st)
        return st;
    mail->req = *req;
    mail->to = home->seg->server_host_rank;
    atomic_store_explicit(&mail->state, MEGA__MAIL_POSTED,
                          memory_order_release);
    ring(ctx->seg, mail->to);
    st = await_answer(ctx, home, mail);
    if (st)
        return st;
    *req = mail->req;
    atomic_store_explicit(&mail->state, MEGA__MAIL_EMPTY, memory_order_release);
    if (req->status)
        return mega__fail(req->status, "%s", req->text);
    return MEGA_OK;
}

mega_status_t mega__agent_ask(struct mega__ctx *ctx, struct mega__home *home,
                              struct mega__request *req)
{
    if (!home->local)
        return mega__net_ask(ctx->net, home->no, req);
    pthread_mutex_lock(&ctx->agent->mail_lock);
    mega_status_t st = post_and_wait(ctx, home, req);
    pthread_mutex_unlock(&ctx->agent->mail_lock);
    return st;
}
