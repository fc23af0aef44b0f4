/* SPDX-License-Identifier: BSD-3-Clause */
/* net_delay.h - what the transport of tests has been asked, and did. */
#ifndef TEST_NET_DELAY_H
#define TEST_NET_DELAY_H

#include "net.h"

struct net_delay_counts {
    uint64_t puts, delivered_late, reordered, refused, messages, atomics;
    uint64_t trips; /* waits for an answer */
};

/* Of one rank's transport. */
struct net_delay_counts net_delay_counts(const struct mega__net *net);

/* No message gets through any more; or only n. The rank whose message did not
 * is lost, to all threads, until the next of these calls: the rank that makes
 * it then stands for another process. */
void net_delay_cut(struct mega__net *net);
void net_delay_cut_after(struct mega__net *net, unsigned n);
/* The same, for another reason. */
void net_delay_fail_after(struct mega__net *net, unsigned n, mega_status_t st);

/* The next message is done there, but st comes of it: TIMEOUT - its answer is
 * late, so the rank is lost; else the answer says so. */
void net_delay_late(struct mega__net *net, mega_status_t st);

/* Nothing is heard of the next message: TIMEOUT, and the rank is lost. It may
 * be done later, by net_delay_arrive. */
void net_delay_stray(struct mega__net *net);
void net_delay_arrive(struct mega__net *net);

/* When the next message is done there, and its answer not back: calls fn, once,
 * in the thread that sent it. */
void net_delay_after(struct mega__net *net, void (*fn)(void *arg), void *arg);

/* Before the next atomic is done: calls fn, once, in the thread that asks. */
void net_delay_before(struct mega__net *net, void (*fn)(void *arg), void *arg);
/* The same before the next question to an agent. */
void net_delay_before_ask(struct mega__net *net, void (*fn)(void *arg),
                          void *arg);

/* All other hosts are gone for this rank: nothing gets there or back. */
void net_delay_lose(struct mega__net *net);
/* The same before its nth operation of any kind from now on, 1 the next. */
void net_delay_lose_at(struct mega__net *net, unsigned n);
/* One rank does not answer any more, when it is asked whether it does. */
void net_delay_lose_rank(struct mega__net *net, int rank);

/* So many spans, the next ones, cannot be exposed to other hosts: IO. */
void net_delay_refuse_spans(unsigned n);

/* The order of deliveries of jobs to come follows from this. */
void net_delay_seed(uint64_t seed);

#endif
