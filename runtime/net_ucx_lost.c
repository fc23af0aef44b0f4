/* SPDX-License-Identifier: BSD-3-Clause */
/* net_ucx_lost.c - peers that are lost: what is said of them. */
#include "log.h"
#include "net_ucx.h"

static const char *host_of(const struct mega__link *link)
{
    return mega__ucx_peer(link->origin->net, link->rank)->host;
}

static mega_status_t late(const struct mega__link *link)
{
    return mega__fail(
        MEGA_ERR_TIMEOUT,
        "rank %d on host %s has not answered for %llu s: is it stopped, or "
        "the network broken? MEGALLOC_TIMEOUT sets how long to wait",
        link->rank, host_of(link),
        (unsigned long long)link->origin->net->ctx->conf.timeout.v.number);
}

mega_status_t mega__ucx_broken(const struct mega__link *link)
{
    if (link->broken == UCS_ERR_TIMED_OUT)
        return late(link);
    return mega__fail(MEGA_ERR_PEER,
                      "rank %d on host %s is lost: %s; it has ended, or the "
                      "network between is broken",
                      link->rank, host_of(link),
                      ucs_status_string(link->broken));
}

mega_status_t mega__ucx_too_late(struct mega__link *link)
{
    if (link->broken == UCS_OK)
        link->broken = UCS_ERR_TIMED_OUT;
    return mega__ucx_broken(link);
}

mega_status_t mega__ucx_dead(struct mega__origin *o)
{
    bool undone = false;
    for (unsigned i = 0; i < MEGA__LINK_BUCKETS; i++)
        for (const struct mega__link *l = o->links[i]; l; l = l->next)
            undone |= mega__ucx_unflushed(l);
    o->flushed_to = o->clock;
    return undone ? mega__fail(MEGA_ERR_PEER,
                               "operations that were not complete were given "
                               "up, with one to rank %d on host %s, which did "
                               "not answer",
                               o->lost->rank,
                               mega__ucx_peer(o->net, o->lost->rank)->host)
                  : MEGA_OK;
}
