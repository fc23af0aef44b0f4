/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * agent.c - serves requests one at a time: of this host's ranks, by mail in
 * the shared segment, and of other hosts, posted by this rank's transport;
 * sleeps on its bell (a futex) when there is none.
 *
 * A growth runs in a helper thread; the requests for it stay posted until it
 * is done, and are then answered together. Mail has one sender per rank: the
 * threads of a rank take turns. Who has waited too long takes it back, so one
 * server that is stopped keeps no rank from asking others. post_lock guards the
 * list of posts, which the transport adds to and the agent alone takes from.
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
#include "count.h"
#include "degraded.h"
#include "directory.h"
#include "far.h"
#include "home.h"
#include "log.h"
#include "net.h"
#include "run.h"
#include "slab.h"
#include "thread.h"
#include "watch.h"

/* How long an agent sleeps at most: it gives a sign of life in between. */
#define IDLE_MS 1000
#define GROWING_MS 100
#define ASKING_MS 100

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
    pthread_mutex_t post_lock;
    struct mega__post *posts, **last_post;
    bool halted;               /* under post_lock: no more posts */
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

static void fill_in(struct mega__request *req, mega_status_t st)
{
    req->status = st;
    if (st)
        memcpy(req->text, mega__errmsg_buffer(), MEGA__REQUEST_TEXT);
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

/* Starts a growth, or says that what was asked for has happened. False: the
 * answer comes later. */
static bool serve_grow(struct mega__agent *agent, struct mega__request *req,
                       struct mega__home *home)
{
    struct growth *g = &agent->growth;
    uint32_t nspans =
        atomic_load_explicit(&home->seg->nspans, memory_order_acquire);
    if (nspans > req->arg[0]) {
        fill_in(req, MEGA_OK);
        return true;
    }
    if (req->arg[0] > nspans) { /* none would ever be enough */
        fill_in(req, mega__fail(MEGA_ERR_ARG, "home %u has %u spans", home->no,
                                nspans));
        return true;
    }
    if (g->running)
        return false; /* it is looked at again when that one is done */
    mega_status_t st = mega__home_growable(agent->ctx, home, req->arg[1]);
    if (st) { /* no thread for a home that is as large as it may be */
        fill_in(req, st);
        return true;
    }
    g->home = home;
    g->need = req->arg[1];
    atomic_store_explicit(&g->done, false, memory_order_relaxed);
    set_growing(agent, 1);
    int rc = mega__thread_start(&g->thread, grow, agent);
    if (rc != 0) {
        set_growing(agent, 0);
        fill_in(req,
                mega__fail(MEGA_ERR_IO, "start a thread: %s", strerror(rc)));
        return true;
    }
    g->running = true;
    return false;
}

/* False: the answer comes later. */
static bool serve(struct mega__agent *agent, struct mega__request *req)
{
    struct mega__ctx *ctx = agent->ctx;
    struct mega__home *home =
        req->home < ctx->nhomes ? &ctx->homes[req->home] : NULL;
    req->text[MEGA__REQUEST_TEXT - 1] = '\0';
    if (!home || !home->serving) {
        fill_in(req, mega__fail(MEGA_ERR_ABSENT, "home %u is not served here",
                                req->home));
        return true;
    }
    if (ctx->readonly && !mega__agent_only_reads(req->op)) {
        fill_in(req, mega__degraded_refuse());
        return true;
    }
    if (req->op == MEGA__ASK_GROW)
        return serve_grow(agent, req, home);
    fill_in(req, mega__agent_do(ctx, home, &agent->flusher, req));
    return true;
}

/* Fills in the answer to a request. False: it comes later. */
typedef bool answer_fn(struct mega__agent *agent, struct mega__request *req);

/* ---- Mail of this host ---- */

static uint32_t mail_at(enum mega__mail_state state, int host_rank)
{
    return (uint32_t)state + MEGA__MAIL_STEP * (uint32_t)host_rank;
}

/* False: it was not so any more. */
static bool change(struct mega__mail *mail, uint32_t from, uint32_t to)
{
    return atomic_compare_exchange_strong(&mail->state, &from, to);
}

/* A copy is answered: who asks may take the mail back meanwhile. */
static void answer_mail(struct mega__agent *agent, struct mega__mail *mail,
                        answer_fn *answer)
{
    const int me = agent->ctx->place.host_rank;
    const uint32_t posted = mail_at(MEGA__MAIL_POSTED, me);
    const uint32_t serving = mail_at(MEGA__MAIL_SERVING, me);
    const uint32_t copying = mail_at(MEGA__MAIL_COPYING, me);
    if (atomic_load_explicit(&mail->state, memory_order_relaxed) != posted ||
        !change(mail, posted, copying))
        return;
    struct mega__request req = mail->req;
    atomic_store(&mail->state, serving);
    if (!answer(agent, &req)) {
        (void)change(mail, serving, posted);
    } else if (change(mail, serving, copying)) {
        mail->req = req;
        /* release pairs with the acquire in await_answer */
        atomic_store_explicit(&mail->state, MEGA__MAIL_DONE,
                              memory_order_release);
        futex_wake(&mail->state);
    }
}

/* ---- Posts of other hosts ---- */

static void answer_posts(struct mega__agent *agent, answer_fn *answer)
{
    pthread_mutex_lock(&agent->post_lock);
    for (struct mega__post **at = &agent->posts; *at;) {
        struct mega__post *post = *at;
        pthread_mutex_unlock(&agent->post_lock);
        bool answered = answer(agent, post->req);
        pthread_mutex_lock(&agent->post_lock);
        if (!answered) {
            at = &post->next;
            continue;
        }
        *at = post->next;
        if (agent->last_post == &post->next)
            agent->last_post = at;
        pthread_mutex_unlock(&agent->post_lock);
        post->done(post->req, post->arg);
        pthread_mutex_lock(&agent->post_lock);
    }
    pthread_mutex_unlock(&agent->post_lock);
}

static void refuse(struct mega__agent *agent, struct mega__post *post)
{
    fill_in(post->req, agent ? mega__fail(MEGA_ERR_PEER, "rank %d has ended",
                                          agent->ctx->place.rank)
                             : mega__fail(MEGA_ERR_PEER, "its rank is not "
                                                         "ready"));
    post->done(post->req, post->arg);
}

void mega__agent_post(struct mega__agent *agent, struct mega__post *post)
{
    bool halted = !agent;
    post->next = NULL;
    if (agent) {
        pthread_mutex_lock(&agent->post_lock);
        halted = agent->halted;
        if (!halted) {
            *agent->last_post = post;
            agent->last_post = &post->next;
        }
        pthread_mutex_unlock(&agent->post_lock);
    }
    if (halted)
        refuse(agent, post);
    else
        ring(agent->ctx->seg, agent->ctx->place.host_rank);
}

/* ---- The thread ---- */

/* Answers what can be; what waits for a growth stays. */
static void answer_all(struct mega__agent *agent, answer_fn *answer)
{
    struct mega__seg *seg = agent->ctx->seg;
    for (uint32_t i = 0; i < seg->nranks; i++)
        answer_mail(agent, &seg->ranks[i].mail, answer);
    answer_posts(agent, answer);
}

/* Of those who waited for the growth that has failed: all that asked for as
 * much. */
static bool fail_with_growth(struct mega__agent *agent,
                             struct mega__request *req)
{
    const struct growth *g = &agent->growth;
    if (req->op != MEGA__ASK_GROW || req->home != g->home->no ||
        req->arg[1] < g->need)
        return false;
    fill_in(req, mega__fail(g->status, "%s", g->text));
    return true;
}

/* Who waited for one that went well is answered by serve. */
static void end_growth(struct mega__agent *agent)
{
    struct growth *g = &agent->growth;
    pthread_join(g->thread, NULL);
    g->running = false;
    set_growing(agent, 0);
    if (g->status)
        answer_all(agent, fail_with_growth);
    else
        atomic_fetch_add_explicit(&agent->ctx->grown, 1, memory_order_relaxed);
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
        answer_all(agent, serve);
        mega__watch_beat(agent->ctx, mega__watch_now_ms());
        futex_wait(&seg->ranks[me].bell, seen,
                   agent->growth.running ? GROWING_MS : IDLE_MS);
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
    agent->last_post = &agent->posts;
    pthread_mutex_init(&agent->mail_lock, NULL);
    pthread_mutex_init(&agent->post_lock, NULL);
    int rc = mega__thread_start(&agent->thread, run, agent);
    if (rc != 0) {
        free(agent);
        return mega__fail(MEGA_ERR_IO, "start the agent: %s", strerror(rc));
    }
    *agent_p = agent;
    return MEGA_OK;
}

void mega__agent_halt(struct mega__agent *agent)
{
    if (!agent || agent->halted)
        return;
    atomic_store_explicit(&agent->stop, true, memory_order_release);
    ring(agent->ctx->seg, agent->ctx->place.host_rank);
    pthread_join(agent->thread, NULL);
    pthread_mutex_lock(&agent->post_lock);
    agent->halted = true;
    struct mega__post *left = agent->posts;
    agent->posts = NULL;
    pthread_mutex_unlock(&agent->post_lock);
    for (struct mega__post *next; left; left = next) {
        next = left->next;
        refuse(agent, left);
    }
}

void mega__agent_stop(struct mega__agent **agent_p)
{
    struct mega__agent *agent = *agent_p;
    if (!agent)
        return;
    *agent_p = NULL;
    mega__agent_halt(agent);
    pthread_mutex_destroy(&agent->mail_lock);
    pthread_mutex_destroy(&agent->post_lock);
    free(agent);
}

void mega__agent_count(const struct mega__agent *agent, mega_counters_t *sum)
{
    if (!agent)
        return;
    const struct mega__flusher *of_growth = &agent->growth.flusher;
    sum->flushes += mega__counted(&agent->flusher.flushes) +
                    mega__counted(&of_growth->flushes);
    sum->fences += mega__counted(&agent->flusher.fences) +
                   mega__counted(&of_growth->fences);
}

/* ---- Asking ---- */

/* Takes the mail back, which is then served by nobody, or in vain. One that is
 * being copied stays: an answer that comes late must not be taken for that of
 * the next request. */
static void take_back(struct mega__mail *mail, uint32_t state)
{
    if ((state - MEGA__MAIL_POSTED) % MEGA__MAIL_STEP !=
        MEGA__MAIL_COPYING - MEGA__MAIL_POSTED)
        (void)change(mail, state, MEGA__MAIL_EMPTY);
}

static mega_status_t too_late(const struct mega__ctx *ctx, uint32_t home)
{
    return mega__fail(
        MEGA_ERR_TIMEOUT,
        "rank %d, which serves home %u, has not answered for %llu "
        "s: is it stopped? MEGALLOC_TIMEOUT sets how long to wait",
        ctx->homes[home].seg->server, home,
        (unsigned long long)ctx->conf.timeout.v.number);
}

/* Waits while the mail is at a server: so long, from when that has last given a
 * sign of life, if it grows. One that is known to be stopped, or has left, is
 * not waited for, or each thread would, for the mail is one. */
static mega_status_t await_answer(struct mega__ctx *ctx,
                                  struct mega__mail *mail)
{
    const int64_t patience = 1000 * (int64_t)ctx->conf.timeout.v.number;
    int64_t since = mega__watch_now_ms();
    uint32_t state, seen = 0;
    while ((state = atomic_load_explicit(&mail->state, memory_order_acquire)) >=
           MEGA__MAIL_POSTED) {
        const uint32_t to = (state - MEGA__MAIL_POSTED) / MEGA__MAIL_STEP;
        const uint32_t pulse = mega__watch_pulse(ctx, to);
        const int64_t now = mega__watch_now_ms();
        if (pulse != seen && atomic_load_explicit(&ctx->seg->ranks[to].growing,
                                                  memory_order_acquire))
            since = now;
        seen = pulse;
        mega_status_t st = mega__watch_silent(ctx, (int)to);
        if (!st && now - since >= patience)
            st = too_late(ctx, mail->req.home);
        if (st && atomic_load(&mail->state) != state)
            continue; /* perhaps the last thing that it did */
        if (st) {
            take_back(mail, state);
            return st;
        }
        futex_wait(&mail->state, state, ASKING_MS);
    }
    return MEGA_OK;
}

static mega_status_t post_and_wait(struct mega__ctx *ctx,
                                   struct mega__home *home,
                                   struct mega__request *req)
{
    struct mega__mail *mail = &ctx->seg->ranks[ctx->place.host_rank].mail;
    mega_status_t st = await_answer(ctx, mail); /* of one given up */
    if (st)
        return st;
    mail->req = *req;
    const int to = home->seg->server_host_rank;
    atomic_store_explicit(&mail->state, mail_at(MEGA__MAIL_POSTED, to),
                          memory_order_release);
    ring(ctx->seg, to);
    st = await_answer(ctx, mail);
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
    mega_status_t st = mega__degraded_reach(ctx, home->no);
    if (st)
        return st;
    if (!home->local)
        return mega__net_ask(ctx->net, home->no, req);
    pthread_mutex_lock(&ctx->agent->mail_lock);
    st = post_and_wait(ctx, home, req);
    pthread_mutex_unlock(&ctx->agent->mail_lock);
    return st;
}
