/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * seg.h - what the ranks of one host share while the job runs: a segment of
 * volatile memory with where the spans of the host's homes lie, hints, and
 * the mailboxes of the agents. Nothing in it is needed after a crash.
 */
#ifndef MEGA__SEG_H
#define MEGA__SEG_H

#include "types.h"

#define MEGA__RING 64 /* power of two */

struct mega__seg_span {
    uint32_t pool;
    uint32_t spare;
    uint64_t base, size;    /* in the pool's file */
    struct mega__file file; /* of the pool */
    uint64_t root_off;
    _Atomic int64_t free; /* extents; about: changed after the word is */
};

struct mega__seg_home {
    uint32_t home;
    int32_t server, server_host_rank;
    uint32_t how, domain;
    _Atomic uint32_t nspans;  /* release: spans[0..nspans) are set */
    _Atomic uint64_t full_at; /* bytes in its files, when they are as many as
                               * may be: it only grows; 0: before */
    struct mega__seg_span spans[MEGA__SPANS_MAX];
    /* Unowned slabs in which chunks were freed, by class: global pointers of
     * their extents. A lossy ring: an entry may be 0, overwritten, stale. */
    _Atomic uint64_t ring[MEGA__CLASSES][MEGA__RING];
    _Atomic uint32_t ring_in[MEGA__CLASSES], ring_out[MEGA__CLASSES];
    _Atomic uint64_t named; /* the last that find_named has found: a pointer */
    _Atomic uint32_t intent_taken[MEGA__INTENTS_MAX];
    _Atomic uint32_t roots_made; /* of home 0, in this job */
};

/* POSTED + r steps: for the agent of host rank r. That is COPYING while it
 * takes the request or brings the answer, and SERVING in between. Who asks may
 * take the mail back, but not while it is copied. One word, for the agents of
 * others look at it too and must not see the next one's addressee. */
enum mega__mail_state {
    MEGA__MAIL_EMPTY,
    MEGA__MAIL_DONE,
    MEGA__MAIL_POSTED,
    MEGA__MAIL_SERVING,
    MEGA__MAIL_COPYING,
    MEGA__MAIL_STEP = MEGA__MAIL_COPYING - MEGA__MAIL_POSTED + 1
};

#define MEGA__REQUEST_TEXT 512
struct mega__request {
    uint32_t op; /* enum mega__ask in agent.h */
    uint32_t home;
    uint64_t arg[2];
    uint64_t result;
    int32_t status;
    char text[MEGA__REQUEST_TEXT]; /* a name there, an error back */
};

struct mega__mail { /* of the rank that asks */
    _Atomic uint32_t state;
    struct mega__request req;
};

struct mega__seg_rank {
    _Atomic uint32_t bell;    /* rises when mail for this rank's agent comes */
    _Atomic uint32_t growing; /* its agent grows a home: that may take long */
    struct mega__mail mail;
};

struct mega__seg {
    struct mega__shared shared;
    uint32_t nhomes; /* of this host */
    uint32_t nranks;
    size_t homes_off;
    struct mega__seg_rank ranks[];
};

/* Makes or joins the segment of this host, which is not to be looked at before
 * the host's ranks have met again. Collective and errors as mega__share.
 * nhomes: of this host. */
mega_status_t mega__seg_open(struct mega__ctx *ctx, uint32_t nhomes,
                             struct mega__seg **seg_p);
void mega__seg_close(struct mega__seg **seg_p);

struct mega__seg_home *mega__seg_home(struct mega__seg *seg, uint32_t index);

#endif
