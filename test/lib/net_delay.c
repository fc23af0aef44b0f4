/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * net_delay.c - net.h for ranks of one process on imagined hosts. A put is
 * kept and delivered late, byte for byte, in any order with other puts, also
 * with one to the same byte; only the flush of its thread delivers it for
 * certain. So does an atomic that is not waited for. Gets and other atomics act
 * on the target at once, so they may overtake. The target's own maps say
 * whether a range exists. A rank whose answer was late, or whose link was cut,
 * is lost; what was on its way there may arrive yet, and no flush forgets that.
 *
 * Locks: one mutex per rank, over its queue; it is held while a put lands,
 * not while the target is asked.
 */
#include "net_delay_in.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "agent.h"
#include "boot_threads.h"
#include "dirty.h"
#include "log.h"
#include "medium.h"
#include "part.h"
#include "report.h"
#include "rma.h"
#include "roll.h"
#include "span.h"
#include "turns.h"

struct put { /* or an atomic */
    pthread_t thread;
    mega_gptr_t p;
    size_t n;
    bool late, landed; /* it was flushed in vain; and has arrived since */
    bool atomic;
    mega_amo_op_t op;
    uint64_t value, compare, *old_p;
    char bytes[];
};

static uint64_t next_seed = 1;

void net_delay_seed(uint64_t seed)
{
    next_seed = seed;
}

struct net_delay_counts net_delay_counts(const struct mega__net *net)
{
    return net->counts;
}

static void drop_stray(struct mega__net *net);

mega_status_t mega__net_start(struct mega__ctx *ctx, struct mega__net **net_p)
{
    struct mega__net *net = calloc(1, sizeof *net);
    net->ctx = ctx;
    net->team = boot_team_of(ctx->boot);
    net->lost_rank = -1;
    net->gone = calloc((size_t)ctx->place.nranks, sizeof *net->gone);
    net->seed = next_seed * 1000 + (uint64_t)ctx->place.rank + 1;
    pthread_mutex_init(&net->mutex, NULL);
    *boot_team_transport(net->team, ctx->place.rank) = net;
    *net_p = net;
    return mega__boot_barrier(ctx->boot); /* all are there */
}

void mega__net_stop(struct mega__net **net_p)
{
    struct mega__net *net = *net_p;
    *net_p = NULL;
    if (!net)
        return;
    *boot_team_transport(net->team, net->ctx->place.rank) = NULL;
    for (size_t i = 0; i < net->n; i++)
        free(net->queue[i]); /* never flushed: lost */
    free(net->queue);
    drop_stray(net);
    free(net->gone);
    pthread_mutex_destroy(&net->mutex);
    free(net);
}

bool mega__net_has_card(const struct mega__net *net)
{
    (void)net;
    return false;
}

mega_status_t mega__net_alive(struct mega__net *net, int rank)
{
    CHECK(!net || (rank >= 0 && rank < net->ctx->place.nranks), "rank %d",
          rank);
    if (!net || rank == net->ctx->place.rank)
        return MEGA_OK;
    if (rank == net->lost_rank)
        return mega__fail(MEGA_ERR_PEER, "rank %d is lost", rank);
    mega_status_t st = net_delay__reach(net);
    return st ? st : net_delay__is_gone(net, rank);
}

static _Atomic unsigned refused_spans;

void net_delay_refuse_spans(unsigned n)
{
    refused_spans = n;
}

mega_status_t mega__net_expose(struct mega__net *net, struct mega__span *span)
{
    (void)net, (void)span;
    if (refused_spans == 0)
        return MEGA_OK;
    refused_spans--;
    return mega__fail(MEGA_ERR_IO, "no more memory can be registered");
}

/* ---- The target's side ---- */

/* The context of the rank that serves the home of p. */
static struct mega__ctx *server_of(struct mega__net *net, uint32_t home)
{
    if (home >= net->ctx->nhomes)
        return NULL;
    int rank = mega__home_server(net->ctx, home);
    struct mega__net *there = *boot_team_transport(net->team, rank);
    return there ? there->ctx : NULL;
}

static char *target(struct mega__net *net, mega_gptr_t p, size_t n)
{
    uint32_t home = mega__gptr_home(p);
    struct mega__ctx *ctx = server_of(net, home);
    struct mega__span *span = NULL;
    if (ctx && ctx->homes[home].serving)
        span = mega__span_range(ctx, p, n);
    return span ? span->base + mega_offset(p) : NULL;
}

static mega_status_t refuse(struct mega__net *net, mega_gptr_t p, size_t n)
{
    net->counts.refused++;
    return mega__fail(MEGA_ERR_ARG, "%zu bytes at %#llx: no such memory there",
                      n, (unsigned long long)p.v);
}

/* ---- Late puts ---- */

/* A byte is a byte: the target's CPU may look at the same time. */
static void land(struct mega__net *net, const struct put *put)
{
    char *to = target(net, put->p, put->n);
    CHECK(to, "the target of a put went away");
    if (to && put->atomic) {
        uint64_t old =
            mega__rma_amo_at(put->op, put->n, to, put->value, put->compare);
        if (put->old_p)
            *put->old_p = old;
        return;
    }
    for (size_t i = 0; to && i < put->n; i++)
        __atomic_store_n(to + i, put->bytes[i], __ATOMIC_RELEASE);
}

static void deliver(struct mega__net *net, size_t i)
{
    net->counts.reordered += i > 0;
    if (!net->queue[i]->landed)
        land(net, net->queue[i]);
    net->queue[i]->landed = true;
    if (net->queue[i]->late)
        return; /* its thread has been told that it is lost */
    free(net->queue[i]);
    memmove(&net->queue[i], &net->queue[i + 1],
            (--net->n - i) * sizeof *net->queue);
}

/* Now and then something of the queue arrives by itself. */
static void let_some_arrive(struct mega__net *net)
{
    while (net->n > 0 && medium_random(&net->seed) >> 32 & 1) {
        net->counts.delivered_late++;
        deliver(net, (medium_random(&net->seed) >> 32) % net->n);
    }
}

/* NULL: *st_p says why not. */
static struct put *put_new(struct mega__net *net, mega_gptr_t p, size_t n,
                           mega_status_t *st_p)
{
    *st_p = net_delay__reach_home(net, mega__gptr_home(p));
    if (!*st_p && !target(net, p, n))
        *st_p = refuse(net, p, n);
    if (*st_p)
        return NULL;
    struct put *put = calloc(1, sizeof *put + n);
    put->thread = pthread_self();
    put->p = p;
    put->n = n;
    return put;
}

static void queue(struct mega__net *net, struct put *put)
{
    pthread_mutex_lock(&net->mutex);
    if (net->n == net->room) {
        net->room = net->room ? 2 * net->room : 16;
        net->queue = realloc(net->queue, net->room * sizeof *net->queue);
    }
    net->queue[net->n++] = put;
    net->counts.puts++;
    let_some_arrive(net);
    pthread_mutex_unlock(&net->mutex);
}

mega_status_t mega__net_put_nbi(struct mega__net *net, mega_gptr_t p,
                                const void *src, size_t n)
{
    mega_status_t st;
    struct put *put = put_new(net, p, n, &st);
    if (!put)
        return st;
    memcpy(put->bytes, src, n);
    queue(net, put);
    return MEGA_OK;
}

mega_status_t mega__net_amo_nbi(struct mega__net *net, mega_amo_op_t op,
                                size_t size, mega_gptr_t p, uint64_t value,
                                uint64_t compare, uint64_t *old_p)
{
    mega_status_t st;
    struct put *put = put_new(net, p, size, &st);
    if (!put)
        return st;
    put->atomic = true;
    put->op = op;
    put->value = value;
    put->compare = compare;
    put->old_p = old_p;
    net->counts.atomics++;
    queue(net, put);
    return MEGA_OK;
}

mega_status_t mega__net_put(struct mega__net *net, mega_gptr_t p,
                            const void *src, size_t n)
{
    return mega__net_put_nbi(net, p, src, n);
}

enum whose { MINE, MINE_TO, ALL };

static bool belongs(const struct put *put, enum whose whose, uint32_t home)
{
    return whose == ALL || (pthread_equal(put->thread, pthread_self()) &&
                            (whose == MINE || mega__gptr_home(put->p) == home));
}

static bool to_land(const struct put *put, enum whose whose, uint32_t home)
{
    return !put->late && belongs(put, whose, home);
}

/* Of those that are to be flushed, what goes to a rank that is lost; what comes
 * of an atomic comes no more. */
static mega_status_t give_up(struct mega__net *net, enum whose whose,
                             uint32_t home)
{
    mega_status_t st = MEGA_OK;
    for (size_t i = 0; i < net->n; i++) {
        struct put *put = net->queue[i];
        mega_status_t one = net_delay__reach_home(net, mega__gptr_home(put->p));
        if (!one || !belongs(put, whose, home))
            continue;
        put->late = true;
        put->old_p = NULL;
        st = one;
    }
    for (int r = 0; whose == ALL && !st && r < net->ctx->place.nranks; r++)
        st = net_delay__is_gone(net, r);
    return st;
}

/* They land in any order. */
static mega_status_t flush(struct mega__net *net, enum whose whose,
                           uint32_t home)
{
    mega_status_t st = whose == MINE_TO ? net_delay__reach_home(net, home)
                                        : net_delay__reach(net);
    if (st)
        return st; /* what is on its way never arrives */
    pthread_mutex_lock(&net->mutex);
    st = give_up(net, whose, home);
    for (bool any = false;; any = true) {
        size_t some = 0;
        for (size_t i = 0; i < net->n; i++)
            some += to_land(net->queue[i], whose, home);
        net->counts.trips += some > 0 && !any;
        if (some == 0)
            break;
        size_t chosen = (medium_random(&net->seed) >> 32) % some;
        for (size_t i = 0; i < net->n; i++)
            if (to_land(net->queue[i], whose, home) && chosen-- == 0) {
                deliver(net, i);
                break;
            }
    }
    pthread_mutex_unlock(&net->mutex);
    return st;
}

mega_status_t mega__net_flush(struct mega__net *net)
{
    return flush(net, MINE, 0);
}

mega_status_t mega__net_flush_home(struct mega__net *net, uint32_t home)
{
    return flush(net, MINE_TO, home);
}

mega_status_t mega__net_flush_all(struct mega__net *net)
{
    return flush(net, ALL, 0);
}

struct mega__net_counts mega__net_counts(struct mega__net *net)
{
    return (struct mega__net_counts){.round_trips =
                                         net ? net->counts.trips : 0};
}

/* ---- At once ---- */

mega_status_t mega__net_get(struct mega__net *net, void *dst, mega_gptr_t p,
                            size_t n)
{
    net->counts.trips++;
    return mega__net_get_nbi(net, dst, p, n);
}

mega_status_t mega__net_get_nbi(struct mega__net *net, void *dst, mega_gptr_t p,
                                size_t n)
{
    turns_step();
    const char *from = target(net, p, n);
    mega_status_t st = net_delay__reach_home(net, mega__gptr_home(p));
    if (st || !from)
        return st ? st : refuse(net, p, n);
    for (size_t i = 0; i < n; i++)
        ((char *)dst)[i] = __atomic_load_n(from + i, __ATOMIC_ACQUIRE);
    return MEGA_OK;
}

mega_status_t mega__net_amo(struct mega__net *net, mega_amo_op_t op,
                            size_t size, mega_gptr_t p, uint64_t value,
                            uint64_t compare, uint64_t *old_p)
{
    void (*before)(void *arg) = net->before;
    net->before = NULL;
    if (before)
        before(net->before_arg);
    turns_step();
    char *at = target(net, p, size);
    mega_status_t st = net_delay__reach_home(net, mega__gptr_home(p));
    if (st || !at)
        return st ? st : refuse(net, p, size);
    uint64_t old = mega__rma_amo_at(op, size, at, value, compare);
    net->counts.atomics++;
    net->counts.trips++;
    if (old_p)
        *old_p = old;
    return MEGA_OK;
}

/* The target's agent would do this; here the caller does, on its context. */
static mega_status_t apply(struct mega__ctx *there,
                           const struct mega__part *parts, size_t nparts)
{
    mega_status_t st = MEGA_OK;
    struct mega__arena *a = calloc(1, sizeof *a);
    if (!a)
        return mega__fail(MEGA_ERR_NOMEM, "no memory for a message");
    a->ctx = there;
    for (size_t i = 0; !st && i < nparts; i++)
        st = mega__part_apply(there, a, &parts[i]);
    mega_status_t fenced = mega__dirty_fence(a);
    free(a);
    return st ? st : fenced;
}

static void drop_stray(struct mega__net *net)
{
    for (size_t i = 0; net->stray && i < net->stray->n; i++)
        free((void *)net->stray->parts[i].src);
    free(net->stray);
    net->stray = NULL;
}

static mega_status_t stray(struct mega__net *net,
                           const struct mega__part *parts, size_t nparts)
{
    drop_stray(net);
    net->strays = false;
    net->stray = calloc(1, sizeof *net->stray);
    for (size_t i = 0; net->stray && i < nparts; i++) {
        struct mega__part *part = &net->stray->parts[net->stray->n++];
        *part = parts[i];
        if (part->src)
            part->src = memcpy(malloc(part->n), parts[i].src, part->n);
    }
    net_delay__lose_home(net, mega__gptr_home(parts[0].p), MEGA_ERR_TIMEOUT);
    return mega__fail(MEGA_ERR_TIMEOUT, "a message has strayed");
}

void net_delay_arrive(struct mega__net *net)
{
    uint32_t home = mega__gptr_home(net->stray->parts[0].p);
    CHECK(apply(server_of(net, home), net->stray->parts, net->stray->n) ==
              MEGA_OK,
          "%s", mega__errmsg_buffer());
    drop_stray(net);
}

mega_status_t mega__net_durable(struct mega__net *net,
                                const struct mega__part *parts, size_t nparts)
{
    turns_step();
    const uint32_t home = mega__gptr_home(parts[0].p);
    struct mega__ctx *there = server_of(net, home);
    mega_status_t st = net_delay__reach_home(net, home);
    if (st || !there)
        return st ? st : refuse(net, parts[0].p, 0);
    if (net->cut && net->cut_in == 0) {
        net_delay__lose_home(net, home, net->cut_by);
        return mega__fail(net->cut_by, "the link is cut");
    }
    net->cut_in -= net->cut;
    st = mega__net_flush_home(net, home);
    if (net->strays)
        return stray(net, parts, nparts);
    if (!st)
        st = apply(there, parts, nparts);
    net->counts.messages++;
    net->counts.trips++;
    void (*after)(void *arg) = net->after;
    net->after = NULL;
    if (after)
        after(net->after_arg);
    mega_status_t late = net->late;
    net->late = MEGA_OK;
    if (late == MEGA_ERR_TIMEOUT)
        net_delay__lose_home(net, home, late);
    return late ? mega__fail(late, "what came of it is late") : st;
}

mega_status_t mega__net_span(struct mega__net *net, uint32_t home, uint32_t no,
                             uint64_t *size_p)
{
    struct mega__ctx *there = server_of(net, home);
    struct mega__span *span = NULL;
    mega_status_t st = net_delay__reach_home(net, home);
    if (st)
        return st;
    if (there && there->homes[home].serving && no < MEGA__SPANS_MAX)
        span = mega__span_of(there, mega__gptr(home, no, 0));
    if (!span)
        return mega__fail(MEGA_ERR_ABSENT, "home %u has no span %u", home, no);
    *size_p = span->size;
    return MEGA_OK;
}

mega_status_t mega__net_ask(struct mega__net *net, uint32_t home,
                            struct mega__request *req)
{
    void (*before)(void *arg) = net->before_ask;
    net->before_ask = NULL;
    if (before)
        before(net->before_ask_arg);
    struct mega__ctx *there = server_of(net, home);
    mega_status_t st = net_delay__reach_home(net, home);
    if (st || !there)
        return st ? st : refuse(net, mega__gptr(home, 0, 0), 0);
    net->counts.trips++;
    return mega__agent_ask(there, &there->homes[home], req);
}
