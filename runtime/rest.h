/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * rest.h - how a thread waits that has found nothing to do: it gives the
 * processor away; once it has waited for long it sleeps, a hundredth of that,
 * so that others have the processor and it is late by no more.
 */
#ifndef MEGA__REST_H
#define MEGA__REST_H

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#define MEGA__REST_AWAKE_NS UINT64_C(10000000)
#define MEGA__REST_NAP_MAX_NS UINT64_C(1000000)

static inline uint64_t mega__rest_now(void) /* ns */
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static inline bool mega__rest_is_long(uint64_t waited_ns)
{
    return waited_ns >= MEGA__REST_AWAKE_NS;
}

static inline void mega__rest(uint64_t waited_ns)
{
    uint64_t ns = waited_ns / 100;
    if (!mega__rest_is_long(waited_ns)) {
        sched_yield();
        return;
    }
    ns = ns < MEGA__REST_NAP_MAX_NS ? ns : MEGA__REST_NAP_MAX_NS;
    nanosleep(&(struct timespec){.tv_nsec = (long)ns}, NULL);
}

#endif
