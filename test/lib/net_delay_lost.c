/* SPDX-License-Identifier: BSD-3-Clause */
/* net_delay_lost.c - what happens to links and ranks, as a test says. */
#include <string.h>

#include "log.h"
#include "net_delay_in.h"
#include "roll.h"

void net_delay_cut(struct mega__net *net)
{
    net_delay_cut_after(net, 0);
}

void net_delay_cut_after(struct mega__net *net, unsigned n)
{
    net_delay_fail_after(net, n, MEGA_ERR_PEER);
}

void net_delay_fail_after(struct mega__net *net, unsigned n, mega_status_t st)
{
    net->cut = true;
    net->cut_in = n;
    net->cut_by = st;
    memset(net->gone, 0, (size_t)net->ctx->place.nranks * sizeof *net->gone);
}

void net_delay_late(struct mega__net *net, mega_status_t st)
{
    net->late = st;
}

void net_delay_stray(struct mega__net *net)
{
    net->strays = true;
}

void net_delay_after(struct mega__net *net, void (*fn)(void *arg), void *arg)
{
    net->after = fn;
    net->after_arg = arg;
}

void net_delay_before(struct mega__net *net, void (*fn)(void *arg), void *arg)
{
    net->before = fn;
    net->before_arg = arg;
}

void net_delay_before_ask(struct mega__net *net, void (*fn)(void *arg),
                          void *arg)
{
    net->before_ask = fn;
    net->before_ask_arg = arg;
}

void net_delay_lose(struct mega__net *net)
{
    net->lost = true;
}

void net_delay_lose_rank(struct mega__net *net, int rank)
{
    net->lost_rank = rank;
}

void net_delay_lose_at(struct mega__net *net, unsigned n)
{
    net->lost_in = n;
}

mega_status_t net_delay__is_gone(const struct mega__net *net, int rank)
{
    mega_status_t st = net->gone[rank];
    return st ? mega__fail(st, "rank %d was lost", rank) : MEGA_OK;
}

void net_delay__lose_home(struct mega__net *net, uint32_t home,
                          mega_status_t st)
{
    if (st == MEGA_ERR_PEER || st == MEGA_ERR_TIMEOUT)
        net->gone[mega__home_server(net->ctx, home)] = st;
}

mega_status_t net_delay__reach(struct mega__net *net)
{
    if (net->lost_in > 0) { /* several threads come here: no idle store */
        net->lost |= net->lost_in == 1;
        net->lost_in--;
    }
    return net->lost ? mega__fail(MEGA_ERR_PEER, "the host is gone") : MEGA_OK;
}

mega_status_t net_delay__reach_home(struct mega__net *net, uint32_t home)
{
    mega_status_t st = net_delay__reach(net);
    if (st || home >= net->ctx->nhomes)
        return st;
    return net_delay__is_gone(net, mega__home_server(net->ctx, home));
}
