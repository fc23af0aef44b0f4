/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * watch.h - signs of life of the ranks of a host, by their agents, in memory
 * that they share.
 */
#ifndef MEGA__WATCH_H
#define MEGA__WATCH_H

#include <time.h>

#include "types.h"

/* Of this host, set in ctx. Collective. */
mega_status_t mega__watch_open(struct mega__ctx *ctx);
void mega__watch_close(struct mega__ctx *ctx);

/* One, at least once a second. */
void mega__watch_beat(struct mega__ctx *ctx);
/* No more: nobody is to wait for one. */
void mega__watch_rest(struct mega__ctx *ctx);

/* Changes with each sign of life of a rank of this host. */
uint32_t mega__watch_pulse(const struct mega__ctx *ctx, uint32_t host_rank);

static inline int64_t mega__watch_now_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

#endif
