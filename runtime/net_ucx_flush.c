/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * net_ucx_flush.c - what was begun on a link is complete, is in memory there;
 * and how often a rank has waited for that.
 */
#include "arena.h"
#include "log.h"
#include "net_ucx.h"
#include "roll.h"

#define FLUSH_BATCH 16

struct flush { /* of a link, of what was begun before */
    struct mega__link *link;
    uint64_t stamp, round;
    struct mega__since since; /* so that many that are lost cost one wait */
    ucs_status_ptr_t request;
    struct mega__wait wait;
};

void mega__ucx_advance(struct mega__link *link)
{
    while (link->rounds[(link->round - 1) % 2].pending == 0) {
        link->over = link->round - 1;
        if (link->wanted < link->round)
            return;
        link->round++;
    }
}

/* The flush stays where it is until its end. */
static void begin_flush(struct flush *f, struct mega__link *link)
{
    ucp_request_param_t param = mega__ucx_waited_for(&f->wait);
    *f = (struct flush){.link = link,
                        .stamp = link->origin->clock,
                        .round = link->round,
                        .since = mega__ucx_since(link)};
    link->wanted = link->round;
    mega__ucx_advance(link);
    if (mega__ucx_gone(link) != UCS_OK) {
        f->request = UCS_STATUS_PTR(mega__ucx_gone(link));
    } else if (link->native > link->flushed_to) {
        link->origin->counts.messages++;
        f->request = ucp_ep_flush_nbx(link->ep, &param);
    }
}

/* What goes to a lost peer is never flushed: each thread that shares the origin
 * is told, however often it asks, and whoever has asked before, as a commit
 * does. Either way no buffer is in use any more. */
static mega_status_t end_flush(struct flush *f)
{
    struct mega__link *link = f->link;
    struct mega__origin *o = link->origin;
    mega_status_t st =
        mega__ucx_finish_since(o, link, f->request, &f->wait, f->since);
    if (!st && mega__ucx_await_round(o, link, f->round, f->since))
        st = mega__ucx_too_late(link);
    if (st)
        mega__ucx_give_up(o, link, &link->quiet);
    else
        st = mega__ucx_refused(link);
    if (link->flushed_to < f->stamp && (!st || mega__ucx_gone(link) == UCS_OK))
        link->flushed_to = f->stamp;
    return st;
}

mega_status_t mega__ucx_flush_link(struct mega__origin *o,
                                   struct mega__link *link)
{
    struct flush f;
    if (!mega__ucx_unflushed(link))
        return MEGA_OK;
    o->counts.round_trips++;
    begin_flush(&f, link);
    return end_flush(&f);
}

/* Some links at once: a round trip for all. */
static mega_status_t flush_some(struct mega__link **links, unsigned n)
{
    struct flush flushes[FLUSH_BATCH];
    mega_status_t st = MEGA_OK;
    if (n)
        links[0]->origin->counts.round_trips++;
    for (unsigned i = 0; i < n; i++)
        begin_flush(&flushes[i], links[i]);
    for (unsigned i = 0; i < n; i++) {
        mega_status_t one = end_flush(&flushes[i]);
        st = st ? st : one;
    }
    return st;
}

/* Those with nothing to complete leave the list. */
static void prune(struct mega__origin *o)
{
    struct mega__link **at = &o->begun, *l;
    while ((l = *at) != NULL) {
        if (mega__ucx_unflushed(l)) {
            at = &l->next_begun;
            continue;
        }
        *at = l->next_begun;
        l->listed = false;
    }
}

mega_status_t mega__ucx_flush(struct mega__origin *o)
{
    struct mega__link *links[FLUSH_BATCH];
    uint64_t stamp = o->clock;
    mega_status_t st = MEGA_OK, one;
    unsigned n = 0;
    if (stamp == o->flushed_to)
        return MEGA_OK;
    if (o->flushers++ == 0)
        prune(o);
    for (struct mega__link *l = o->begun; l; l = l->next_begun) {
        if (!mega__ucx_unflushed(l))
            continue;
        links[n++] = l;
        if (n < FLUSH_BATCH)
            continue;
        one = flush_some(links, n);
        st = st ? st : one;
        n = 0;
    }
    one = flush_some(links, n);
    st = st ? st : one;
    o->flushers--;
    if (!st && o->flushed_to < stamp)
        o->flushed_to = stamp;
    return st;
}

/* What an origin of before had begun when it died is never complete. */
static mega_status_t undone(struct mega__origin *o)
{
    if (!o)
        return MEGA_OK;
    pthread_mutex_lock(&o->mutex);
    mega_status_t st = mega__ucx_dead(o);
    pthread_mutex_unlock(&o->mutex);
    return st;
}

mega_status_t mega__net_flush(struct mega__net *net)
{
    if (!net)
        return MEGA_OK;
    struct mega__arena *a = mega__arena(net->ctx);
    if (!a)
        return MEGA_ERR_NOMEM;
    if (!a->origin && !a->undone) /* it has begun nothing */
        return MEGA_OK;
    struct mega__origin *o;
    mega_status_t st = mega__ucx_enter(net, &o);
    if (st)
        return st;
    st = mega__ucx_flush(o);
    mega__ucx_leave(o);
    return st ? st : undone(a->undone);
}

mega_status_t mega__net_flush_home(struct mega__net *net, uint32_t home)
{
    struct mega__origin *o;
    const int rank = mega__home_server(net->ctx, home);
    if (rank < 0)
        return MEGA_OK; /* nothing is sent to an absent home */
    mega_status_t st = mega__ucx_enter(net, &o);
    if (st)
        return st;
    struct mega__link *link = mega__ucx_met(o, rank);
    if (link) /* also a broken one: it ends the use of buffers */
        st = mega__ucx_flush_link(o, link);
    if (!st)
        st = mega__ucx_lost(net, rank);
    mega__ucx_leave(o);
    return st;
}

struct mega__net_counts mega__net_counts(struct mega__net *net)
{
    struct mega__net_counts sum = {0};
    if (!net)
        return sum;
    pthread_mutex_lock(&net->lock);
    struct mega__origin *o = net->origins;
    pthread_mutex_unlock(&net->lock);
    for (; o; o = o->next) { /* origins are added in front and never go */
        pthread_mutex_lock(&o->mutex);
        sum.messages += o->counts.messages;
        sum.round_trips += o->counts.round_trips;
        pthread_mutex_unlock(&o->mutex);
    }
    return sum;
}

mega_status_t mega__ucx_read_back(struct mega__origin *o,
                                  struct mega__link *link, mega_gptr_t p)
{
    uint64_t seen, native = link->native;
    if (!link->hardware)
        return MEGA_OK;
    mega_status_t st =
        mega__ucx_get(o, &seen, mega_from_bits(p.v & ~UINT64_C(7)), 8);
    if (!st)
        link->settled = native;
    return st;
}

/* And are in memory there. */
static mega_status_t settle_all(struct mega__origin *o)
{
    mega_status_t st = MEGA_OK;
    for (struct mega__item *i = o->reach.newest; !st && i; i = i->older) {
        const struct mega__reach *r = (const void *)i;
        if (r->link->native > r->link->settled)
            st = mega__ucx_read_back(o, r->link,
                                     mega__gptr(r->home, r->span, 0));
    }
    return st;
}

mega_status_t mega__net_flush_all(struct mega__net *net)
{
    mega_status_t st = MEGA_OK;
    if (!net)
        return MEGA_OK;
    pthread_mutex_lock(&net->lock);
    struct mega__origin *o = net->origins;
    pthread_mutex_unlock(&net->lock);
    for (; o; o = o->next) { /* origins are added in front and never go */
        pthread_mutex_lock(&o->mutex);
        mega_status_t one = o->dead ? mega__ucx_dead(o) : mega__ucx_flush(o);
        if (!one && !o->dead)
            one = settle_all(o);
        pthread_mutex_unlock(&o->mutex);
        st = st ? st : one;
    }
    return st ? st : mega__ucx_any_lost(net);
}
