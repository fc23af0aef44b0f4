/* SPDX-License-Identifier: BSD-3-Clause */
/* net_none.c - the build without a transport: all ranks are on one host. */
#include "net.h"

#include "log.h"

static mega_status_t nowhere(mega_gptr_t p)
{
    return mega__fail(
        MEGA_ERR_ABSENT, "%#llx is no memory of this space: home %d, span %u",
        (unsigned long long)p.v, mega_home(p), mega__gptr_span(p));
}

mega_status_t mega__net_start(struct mega__ctx *ctx, struct mega__net **net_p)
{
    *net_p = NULL;
    if (ctx->conf.atomics.v.number == MEGA__ATOMICS_NIC)
        return mega__fail(MEGA_ERR_UNSUPPORTED,
                          "MEGALLOC_ATOMICS=nic: this build is without UCX, "
                          "which does them; leave it at cpu");
    if (ctx->place.nhosts == 1)
        return MEGA_OK;
    return mega__fail(MEGA_ERR_UNSUPPORTED,
                      "the ranks are on %d hosts and this build has no "
                      "transport between hosts: run all on one, where they see "
                      "the same files and each other",
                      ctx->place.nhosts);
}

void mega__net_stop(struct mega__net **net_p)
{
    *net_p = NULL;
}

bool mega__net_has_card(const struct mega__net *net)
{
    (void)net;
    return false;
}

mega_status_t mega__net_alive(struct mega__net *net, int rank)
{
    (void)net, (void)rank;
    return MEGA_OK;
}

mega_status_t mega__net_expose(struct mega__net *net, struct mega__span *span)
{
    (void)net, (void)span;
    return MEGA_OK;
}

mega_status_t mega__net_span(struct mega__net *net, uint32_t home, uint32_t no,
                             uint64_t *size_p)
{
    (void)net, (void)size_p;
    return nowhere(mega__gptr(home, no, 0));
}

mega_status_t mega__net_put(struct mega__net *net, mega_gptr_t p,
                            const void *src, size_t n)
{
    (void)net, (void)src, (void)n;
    return nowhere(p);
}

mega_status_t mega__net_put_nbi(struct mega__net *net, mega_gptr_t p,
                                const void *src, size_t n)
{
    return mega__net_put(net, p, src, n);
}

mega_status_t mega__net_get(struct mega__net *net, void *dst, mega_gptr_t p,
                            size_t n)
{
    (void)net, (void)dst, (void)n;
    return nowhere(p);
}

mega_status_t mega__net_get_nbi(struct mega__net *net, void *dst, mega_gptr_t p,
                                size_t n)
{
    return mega__net_get(net, dst, p, n);
}

mega_status_t mega__net_amo(struct mega__net *net, mega_amo_op_t op,
                            size_t size, mega_gptr_t p, uint64_t value,
                            uint64_t compare, uint64_t *old_p)
{
    (void)net, (void)op, (void)size, (void)value, (void)compare, (void)old_p;
    return nowhere(p);
}

mega_status_t mega__net_amo_nbi(struct mega__net *net, mega_amo_op_t op,
                                size_t size, mega_gptr_t p, uint64_t value,
                                uint64_t compare, uint64_t *old_p)
{
    return mega__net_amo(net, op, size, p, value, compare, old_p);
}

mega_status_t mega__net_flush(struct mega__net *net)
{
    (void)net;
    return MEGA_OK;
}

mega_status_t mega__net_flush_home(struct mega__net *net, uint32_t home)
{
    (void)home;
    return mega__net_flush(net);
}

mega_status_t mega__net_flush_all(struct mega__net *net)
{
    (void)net;
    return MEGA_OK;
}

struct mega__net_counts mega__net_counts(struct mega__net *net)
{
    (void)net;
    return (struct mega__net_counts){0};
}

mega_status_t mega__net_durable(struct mega__net *net,
                                const struct mega__part *parts, size_t nparts)
{
    (void)net, (void)nparts;
    return nowhere(parts[0].p);
}

mega_status_t mega__net_ask(struct mega__net *net, uint32_t home,
                            struct mega__request *req)
{
    (void)net, (void)req;
    return nowhere(mega__gptr(home, 0, 0));
}
