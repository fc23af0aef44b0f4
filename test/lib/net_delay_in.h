/* SPDX-License-Identifier: BSD-3-Clause */
/* net_delay_in.h - what the files of the transport of tests share. */
#ifndef TEST_NET_DELAY_IN_H
#define TEST_NET_DELAY_IN_H

#include <pthread.h>

#include "boot_threads.h"
#include "net_delay.h"

struct stray { /* a message that is done later, or never */
    struct mega__part parts[MEGA__PARTS_MAX];
    size_t n;
};

struct mega__net {
    struct mega__ctx *ctx;
    struct boot_team *team;
    pthread_mutex_t mutex;
    struct put **queue; /* net_delay.c */
    size_t n, room;
    uint64_t seed;
    struct net_delay_counts counts;
    bool cut; /* when so many more messages got through */
    unsigned cut_in;
    mega_status_t cut_by;
    mega_status_t late;       /* of the next message */
    bool strays;              /* the next message */
    struct stray *stray;      /* which did */
    mega_status_t *gone;      /* by rank: what it is lost for */
    bool lost;                /* all others */
    unsigned lost_in;         /* operations; 0: never */
    int lost_rank;            /* or -1 */
    void (*after)(void *arg); /* the next message; or NULL */
    void *after_arg;
    void (*before)(void *arg); /* the next atomic; or NULL */
    void *before_arg;
    void (*before_ask)(void *arg); /* the next question; or NULL */
    void *before_ask_arg;
};

/* ---- net_delay_lost.c ---- */

/* Before each operation; and before one that a rank, or the server of a home,
 * has to answer. ERRORS: what it is lost for. */
mega_status_t net_delay__reach(struct mega__net *net);
mega_status_t net_delay__is_gone(const struct mega__net *net, int rank);
mega_status_t net_delay__reach_home(struct mega__net *net, uint32_t home);

/* Its server is lost to all threads, if that is what st says. */
void net_delay__lose_home(struct mega__net *net, uint32_t home,
                          mega_status_t st);

#endif
