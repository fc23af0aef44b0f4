/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * roll.h - the homes of the space: who serves each, and which are this host's.
 * The list of all is held once per host; a rank keeps a place for each home,
 * but touches only those that it meets.
 */
#ifndef MEGA__ROLL_H
#define MEGA__ROLL_H

#include "types.h"

struct mega__roll {
    struct mega__shared shared;
    uint32_t nhomes, nhere;
    int32_t servers[]; /* by home: a rank; -1: absent. Then mega__roll_here */
};

struct mega__here { /* a home of this host */
    uint32_t home;
    char next_host[60]; /* where the home after it lies; "": absent */
};

/* By number. */
static inline struct mega__here *mega__roll_here(struct mega__roll *roll)
{
    return (struct mega__here *)(void *)&roll->servers[roll->nhomes];
}

struct mega__sighting { /* of a home, by a host */
    uint32_t home;
    int32_t host, server;
    char name[60]; /* of the host */
    uint64_t file; /* which, of all kernels; 0: it cannot be opened there */
};

/* Sets the homes of ctx and its roll. nhomes, seen: as host_rank 0 of each host
 * says, of all hosts; by host, then by number. Collective.
 * ERRORS: MISMATCH - two hosts see one home; NOMEM, IO. */
mega_status_t mega__roll_make(struct mega__ctx *ctx, uint32_t nhomes,
                              const struct mega__sighting *seen, size_t n);

/* Closes the homes. Not collective; nothing if there are none. */
void mega__roll_drop(struct mega__ctx *ctx);

/* The rank; -1: absent. ASSUMPTION: home < ctx->nhomes, here as below. */
static inline int mega__home_server(const struct mega__ctx *ctx, uint32_t home)
{
    return ctx->roll->servers[home];
}

void mega__home_meet(struct mega__ctx *ctx, uint32_t home);

/* A home, of this host or not, as this rank knows it. */
static inline struct mega__home *mega__home_at(struct mega__ctx *ctx,
                                               uint32_t home)
{
    if (!atomic_load_explicit(&ctx->homes[home].met, memory_order_acquire))
        mega__home_meet(ctx, home);
    return &ctx->homes[home];
}

/* The next home of this host, or that this process serves, from *i_p on, which
 * begins as 0; moves *i_p past it. NULL: no more. */
struct mega__home *mega__home_next_here(struct mega__ctx *ctx, uint32_t *i_p);
struct mega__home *mega__home_next_served(struct mega__ctx *ctx, uint32_t *i_p);

#endif
