/* SPDX-License-Identifier: BSD-3-Clause */
/* turns.c - see turns.h. One mutex, over all below. */
#include "turns.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "medium.h"

#define PATIENCE_S 300 /* a machine may be slow */

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static unsigned total, here, now; /* now: who runs */
static bool gone[TURNS_MAX];
static uint64_t lot;
static _Thread_local unsigned me; /* 1 + who */

/* One of those that are there; the mutex is held. */
static void choose(void)
{
    unsigned n = 0;
    for (unsigned i = 0; i < total; i++)
        n += !gone[i];
    unsigned chosen = n ? (unsigned)((medium_random(&lot) >> 32) % n) : 0;
    for (unsigned i = 0; n && i < total; i++)
        if (!gone[i] && chosen-- == 0)
            now = i;
    pthread_cond_broadcast(&changed);
}

static void wait_for_turn(void)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += PATIENCE_S;
    while (here < total || now != me - 1)
        if (pthread_cond_timedwait(&changed, &mutex, &until)) {
            fprintf(stderr, "turns: thread %u has the turn and hangs\n", now);
            abort();
        }
}

void turns_start(unsigned n, uint64_t seed)
{
    pthread_mutex_lock(&mutex);
    total = n;
    here = 0;
    for (unsigned i = 0; i < TURNS_MAX; i++)
        gone[i] = false;
    lot = 2 * seed + 1;
    choose();
    pthread_mutex_unlock(&mutex);
}

void turns_enter(unsigned who)
{
    me = 1 + who;
    pthread_mutex_lock(&mutex);
    here++;
    pthread_cond_broadcast(&changed);
    wait_for_turn();
    pthread_mutex_unlock(&mutex);
}

void turns_leave(void)
{
    pthread_mutex_lock(&mutex);
    gone[me - 1] = true;
    choose();
    pthread_mutex_unlock(&mutex);
    me = 0;
}

bool turns_mine(void)
{
    return me != 0;
}

void turns_step(void)
{
    if (me == 0)
        return;
    pthread_mutex_lock(&mutex);
    choose();
    wait_for_turn();
    pthread_mutex_unlock(&mutex);
}
