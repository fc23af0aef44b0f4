/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * net.h - transport to homes of other hosts. Homes of the same host never
 * come here: they are mapped. net_none.c is the build without a transport;
 * test/lib/net_delay.c, for tests, delivers late and reorders until a flush.
 *
 * ASSUMPTIONS: ranges lie in one span (the caller has checked home and
 * length against what it knows; the target checks again).
 * ORDER: none between two operations before mega__net_flush.
 */
#ifndef MEGA__NET_H
#define MEGA__NET_H

#include "types.h"

/* Joins the transport; every rank of the job calls it, first of all:
 * ctx->place and ctx->boot are set, homes are not yet. ERRORS: UNSUPPORTED -
 * the job has several hosts and this build no way. */
mega_status_t mega__net_start(struct mega__ctx *ctx, struct mega__net **net_p);
void mega__net_stop(struct mega__net **net_p);

/* A span of a home that this rank serves may now be reached by others. */
mega_status_t mega__net_expose(struct mega__net *net, struct mega__span *span);

mega_status_t mega__net_put(struct mega__net *net, mega_gptr_t p,
                            const void *src, size_t n);
mega_status_t mega__net_get(struct mega__net *net, void *dst, mega_gptr_t p,
                            size_t n);
mega_status_t mega__net_amo(struct mega__net *net, mega_amo_op_t op,
                            size_t size, mega_gptr_t p, uint64_t value,
                            uint64_t compare, uint64_t *old_p);

/* This thread's puts are visible at their targets; buffers may be reused. */
mega_status_t mega__net_flush(struct mega__net *net);

/* A range of another host's home, with its marks, is durable there. */
mega_status_t mega__net_persist(struct mega__net *net, mega_gptr_t p, size_t n);

/* Asks the agent of the rank that serves a home; see agent.h. */
mega_status_t mega__net_ask(struct mega__net *net, uint32_t home,
                            struct mega__request *req);

#endif
