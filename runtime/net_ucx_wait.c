/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * net_ucx_wait.c - how a thread waits for an operation of its origin: it makes
 * progress, for all who share the origin, and gives up what takes too long.
 * The origin's lock is free while it rests.
 */
#include <poll.h>
#include <sched.h>

#include "net_ucx.h"

#define SPINS 8           /* rounds before the processor is given away */
#define YIELD_NS 2000000u /* and this long before sleeping */
#define NAP_MS 5          /* a sleep, at most */
#define SECOND_NS UINT64_C(1000000000)

void mega__ucx_on_done(void *request, ucs_status_t status, void *arg)
{
    struct mega__wait *wait = arg;
    wait->status = status;
    wait->done = true;
    ucp_request_free(request);
}

ucp_request_param_t mega__ucx_waited_for(struct mega__wait *wait)
{
    return (ucp_request_param_t){.op_attr_mask = UCP_OP_ATTR_FIELD_CALLBACK |
                                                 UCP_OP_ATTR_FIELD_USER_DATA,
                                 .cb.send = mega__ucx_on_done,
                                 .user_data = wait};
}

struct pace {
    unsigned idle;
    uint64_t began, idle_from, now; /* ns; 0: not yet looked */
};

/* Nothing happened: spins, then gives the processor away, then sleeps until
 * UCX has something, or a while. The lock is free meanwhile. */
static void rest(struct mega__origin *o, struct pace *pace)
{
    bool nap = false;
    if (++pace->idle < SPINS)
        return;
    pace->now = mega__rest_now();
    if (!pace->began)
        pace->began = pace->now;
    if (!pace->idle_from)
        pace->idle_from = pace->now;
    if (pace->now - pace->idle_from > YIELD_NS)
        nap = ucp_worker_arm(o->worker) == UCS_OK;
    pthread_mutex_unlock(&o->mutex);
    if (nap) {
        struct pollfd fd = {.fd = o->event_fd, .events = POLLIN};
        poll(&fd, 1, NAP_MS);
    } else {
        sched_yield();
    }
    pthread_mutex_lock(&o->mutex);
}

struct goal { /* *done, or the round is over */
    const bool *done;
    uint64_t round;
    bool patient; /* the clock starts anew when an operation of the link ends */
    bool whole;   /* it does not run faster when others are silent */
    struct mega__since since;
};

static bool reached(const struct goal *goal, const struct mega__link *link)
{
    return goal->done ? *goal->done : link->over >= goal->round;
}

/* What may take longer than one wait, such as the transfer before ours, is not
 * lost as long as the link moves on. */
static void look_for_sign(struct goal *goal, const struct mega__link *link,
                          struct pace *pace)
{
    if (goal->patient && link->ended != goal->since.ended)
        pace->began = 0;
    goal->since.ended = link->ended;
}

uint64_t mega__ucx_patience(const struct mega__net *net, uint64_t seconds)
{
    const unsigned silent =
        atomic_load_explicit(&net->silent, memory_order_relaxed);
    const uint64_t ns = seconds * SECOND_NS >> (silent < 32 ? silent : 32);
    return ns > SECOND_NS ? ns : SECOND_NS;
}

static mega_status_t await(struct mega__origin *o, struct mega__link *link,
                           struct goal *goal, uint64_t seconds)
{
    struct pace pace = {.began = goal->since.began, .now = goal->since.began};
    while (!reached(goal, link)) {
        if (o->dead)
            return mega__ucx_given_up(link);
        if (ucp_worker_progress(o->worker) > 0) {
            pace.idle = 0;
            pace.idle_from = 0;
            continue;
        }
        if (link->broken != UCS_OK && !link->ep)
            return mega__ucx_broken(link);
        if (link->broken != UCS_OK) {
            mega__ucx_force_close(&link->ep);
            continue;
        }
        look_for_sign(goal, link, &pace);
        rest(o, &pace);
        if (pace.began &&
            pace.now - pace.began > (goal->whole
                                         ? seconds * SECOND_NS
                                         : mega__ucx_patience(o->net, seconds)))
            return MEGA_ERR_TIMEOUT;
    }
    return MEGA_OK;
}

mega_status_t mega__ucx_await(struct mega__origin *o, struct mega__link *link,
                              const bool *done, uint64_t seconds, bool whole)
{
    return await(o, link, &(struct goal){.done = done, .whole = whole},
                 seconds);
}

struct mega__since mega__ucx_since(const struct mega__link *link)
{
    return (struct mega__since){mega__rest_now(), link->ended};
}

mega_status_t mega__ucx_await_round(struct mega__origin *o,
                                    struct mega__link *link, uint64_t round,
                                    struct mega__since since)
{
    struct goal goal = {.round = round, .patient = true, .since = since};
    return await(o, link, &goal, o->net->ctx->conf.timeout.v.number);
}

mega_status_t mega__ucx_finish_since(struct mega__origin *o,
                                     struct mega__link *link,
                                     ucs_status_ptr_t request,
                                     struct mega__wait *wait,
                                     struct mega__since since)
{
    ucs_status_t rc = UCS_PTR_STATUS(request);
    if (UCS_PTR_IS_PTR(request)) {
        struct goal goal = {
            .done = &wait->done, .patient = true, .since = since};
        mega_status_t st =
            await(o, link, &goal, o->net->ctx->conf.timeout.v.number);
        if (st) {
            mega__ucx_give_up(o, link, &wait->done);
            return mega__ucx_too_late(link);
        }
        rc = wait->status;
        link->ended++;
    }
    if (rc == UCS_OK)
        return MEGA_OK;
    mega__ucx_break(link, rc);
    return mega__ucx_broken(link);
}

mega_status_t mega__ucx_finish(struct mega__origin *o, struct mega__link *link,
                               ucs_status_ptr_t request,
                               struct mega__wait *wait)
{
    return mega__ucx_finish_since(o, link, request, wait,
                                  (struct mega__since){.ended = link->ended});
}
