/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * net.h - transport to homes of other hosts, far homes. Homes of the same host
 * are mapped, and come here for atomics only, if MEGALLOC_ATOMICS is nic.
 * net_none.c is the build without a transport, net_ucx.c the one with;
 * test/lib/net_delay.c, for tests, delivers late and reorders until a flush.
 *
 * ASSUMPTIONS: a range lies in one span (the target checks). Any thread may
 * call; each is its own origin.
 *
 * ORDER: none between two operations of a thread before mega__net_flush, but
 * that an operation which returns a value has happened on return.
 *
 * ERRORS, of all: PEER - the server's process is gone or the link is broken;
 * TIMEOUT - it has not answered in MEGALLOC_TIMEOUT, or in half of that for
 * each other that has not; ARG - no such memory.
 * After PEER or TIMEOUT for a rank no thread of this process sends to it any
 * more: all that needs it fails the same way, and so does each
 * mega__net_flush_all. What was under way may have happened there, or happen
 * yet.
 */
#ifndef MEGA__NET_H
#define MEGA__NET_H

#include "types.h"

/* Joins the transport; every rank of the job calls it, first of all:
 * ctx->place and ctx->boot are set, homes are not yet. Collective.
 * ERRORS: UNSUPPORTED - the job has several hosts and this build no way. */
mega_status_t mega__net_start(struct mega__ctx *ctx, struct mega__net **net_p);
void mega__net_stop(struct mega__net **net_p);

/* Whether a network card was found to do atomics, on a link that there is. */
bool mega__net_has_card(const struct mega__net *net);

/* Whether a rank still answers: one message, for who waits. net may be NULL:
 * MEGA_OK. ERRORS: PEER, TIMEOUT - it does not, or knows of one that does not
 * (mega__watch_answer), which the sentence names. */
mega_status_t mega__net_alive(struct mega__net *net, int rank);

/* A span of a home that this rank serves may now be reached by others. */
mega_status_t mega__net_expose(struct mega__net *net, struct mega__span *span);

/* The size in bytes of span no of a far home, which may be reached now.
 * ERRORS: ABSENT - the home has no such span (yet). */
mega_status_t mega__net_span(struct mega__net *net, uint32_t home, uint32_t no,
                             uint64_t *size_p);

/* ---- One-sided: data and metadata alike ---- */

/* On return src may be reused; nbi: after the flush. */
mega_status_t mega__net_put(struct mega__net *net, mega_gptr_t p,
                            const void *src, size_t n);
mega_status_t mega__net_put_nbi(struct mega__net *net, mega_gptr_t p,
                                const void *src, size_t n);

/* On return dst holds the bytes; nbi: after the flush. */
mega_status_t mega__net_get(struct mega__net *net, void *dst, mega_gptr_t p,
                            size_t n);
mega_status_t mega__net_get_nbi(struct mega__net *net, void *dst, mega_gptr_t p,
                                size_t n);

/* On return *old_p is what was there, old_p NULL: nobody asks; nbi: after the
 * flush. */
mega_status_t mega__net_amo(struct mega__net *net, mega_amo_op_t op,
                            size_t size, mega_gptr_t p, uint64_t value,
                            uint64_t compare, uint64_t *old_p);
mega_status_t mega__net_amo_nbi(struct mega__net *net, mega_amo_op_t op,
                                size_t size, mega_gptr_t p, uint64_t value,
                                uint64_t compare, uint64_t *old_p);

/* The operations of this thread are complete: puts are visible at their
 * targets, gets have arrived. flush_home: those to the rank that serves it.
 * flush_all: of all threads of this rank. */
mega_status_t mega__net_flush(struct mega__net *net);
mega_status_t mega__net_flush_home(struct mega__net *net, uint32_t home);
mega_status_t mega__net_flush_all(struct mega__net *net);

/* What this rank has sent to other hosts, and how often it has waited for an
 * answer: of a get, an atomic, a flush, a message. net may be NULL. */
struct mega__net_counts {
    uint64_t messages; /* operations and messages; what UCX makes of them not */
    uint64_t round_trips;
};
struct mega__net_counts mega__net_counts(struct mega__net *net);

/* ---- By the server of the home ---- */

/* One part of a message: bytes that the server stores (or, src NULL, that are
 * there already) and makes durable; with marks: of memory, and the marks of
 * the chunks that meet it too (L1). */
struct mega__part {
    mega_gptr_t p;
    const void *src;
    uint64_t n;
    bool marks;
};
#define MEGA__PARTS_MAX 256

/* This thread's operations to the home are visible there, then the parts,
 * 1..MEGA__PARTS_MAX, all of one home, are done and durable: one message, one
 * answer. ERRORS: NOMEM - nothing was done. */
mega_status_t mega__net_durable(struct mega__net *net,
                                const struct mega__part *parts, size_t nparts);

/* Asks the agent of the rank that serves a home; see agent.h. */
mega_status_t mega__net_ask(struct mega__net *net, uint32_t home,
                            struct mega__request *req);

#endif
