/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * net_ucx_lost.c - peers that are lost, and what is said of them.
 *
 * A peer that one link of this process has lost is lost for all of its threads
 * and for good: nothing more is sent to it, each call that needs it says why,
 * and so does each commit. What was under way is in doubt. It may have been
 * done, or be done yet, when the network heals or the peer goes on, for no
 * close of a link takes back what the system has queued; so a newer word of
 * this process, by another link, could be overtaken or done twice.
 */
#include "log.h"
#include "net_ucx.h"

void mega__ucx_break(struct mega__link *link, ucs_status_t why)
{
    struct mega__net *net = link->origin->net;
    signed char none = UCS_OK;
    int nobody = -1;
    if (link->broken == UCS_OK)
        link->broken = why;
    /* first: what is said of one that is lost may name it */
    atomic_compare_exchange_strong(&net->first_lost, &nobody, link->rank);
    if (atomic_compare_exchange_strong(&net->lost[link->rank], &none,
                                       (signed char)link->broken) &&
        link->broken == UCS_ERR_TIMED_OUT)
        atomic_fetch_add(&net->silent, 1);
}

mega_status_t mega__ucx_lost(const struct mega__net *net, int rank)
{
    ucs_status_t why = (ucs_status_t)atomic_load_explicit(&net->lost[rank],
                                                          memory_order_acquire);
    if (why == UCS_OK)
        return MEGA_OK;
    const char *host = mega__ucx_peer(net, rank)->host;
    const int first = atomic_load(&net->first_lost);
    if (why == UCS_ERR_TIMED_OUT && rank != first)
        return mega__fail(
            MEGA_ERR_TIMEOUT,
            "rank %d on host %s does not answer, and rank %d on host %s was "
            "lost before: are they stopped, or is the network broken?",
            rank, host, first, mega__ucx_peer(net, first)->host);
    if (why == UCS_ERR_TIMED_OUT)
        return mega__fail(
            MEGA_ERR_TIMEOUT,
            "rank %d on host %s has not answered for %llu s: is it stopped, or "
            "the network broken? MEGALLOC_TIMEOUT sets how long to wait",
            rank, host,
            (unsigned long long)mega__conf_silence(&net->ctx->conf));
    if (why == UCS_ERR_CANCELED)
        return mega__fail(MEGA_ERR_PEER,
                          "what was under way to rank %d on host %s was given "
                          "up, with what was for rank %d on host %s, which did "
                          "not answer",
                          rank, host, first, mega__ucx_peer(net, first)->host);
    return mega__fail(MEGA_ERR_PEER,
                      "rank %d on host %s is lost: %s; it has ended, or the "
                      "network between is broken",
                      rank, host, ucs_status_string(why));
}

mega_status_t mega__ucx_any_lost(const struct mega__net *net)
{
    int rank = atomic_load(&net->first_lost);
    return rank < 0 ? MEGA_OK : mega__ucx_lost(net, rank);
}

mega_status_t mega__ucx_broken(const struct mega__link *link)
{
    return mega__ucx_lost(link->origin->net, link->rank);
}

mega_status_t mega__ucx_too_late(struct mega__link *link)
{
    mega__ucx_break(link, UCS_ERR_TIMED_OUT);
    return mega__ucx_broken(link);
}

mega_status_t mega__ucx_given_up(struct mega__link *link)
{
    mega__ucx_break(link, UCS_ERR_CANCELED);
    return mega__ucx_broken(link);
}

mega_status_t mega__ucx_dead(struct mega__origin *o)
{
    mega_status_t st = MEGA_OK;
    struct mega__link *l = mega__ucx_newest(o);
    for (; l; l = mega__ucx_older(l))
        if (mega__ucx_unflushed(l))
            st = mega__ucx_given_up(l);
    return st;
}
