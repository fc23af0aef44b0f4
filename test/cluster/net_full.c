/* SPDX-License-Identifier: BSD-3-Clause */
/* net_full.c - rank program: threads of ranks on two hosts allocate and free on
 * homes that are full, so that each gives extents up which another of its own
 * rank takes at once. What a thread has just got is always there for it. */
#include <pthread.h>

#include "rank.h"

#define THREADS 4
#define SLOTS 32 /* of each thread */
#define TURNS 60

static mega_region_t region;

/* An allocation that may find no room. */
static void take(uint64_t *seed_p, mega_gptr_t slot)
{
    const int home = (int)(rank_random(seed_p) % (unsigned)mega_nhomes());
    const size_t size = rank_random(seed_p) % 4 == 0
                            ? 20000 + rank_random(seed_p) % 12000
                            : 40 + rank_random(seed_p) % 800;
    mega_status_t st = mega_alloc_to(region, home, size, slot);
    if (st != MEGA_ERR_HOME_FULL)
        MUST(st);
}

static void *work(void *arg)
{
    const int first = (mega_rank() * THREADS + (int)(intptr_t)arg) * SLOTS;
    uint64_t seed = (uint64_t)first + 1, v;
    for (int turn = 0; turn < TURNS; turn++)
        for (int i = first; i < first + SLOTS; i++) {
            mega_gptr_t slot = mega_region_at(region, i % mega_nhomes(),
                                              8 * (uint64_t)i, NULL);
            MUST(mega_fetch64(slot, &v));
            if (v)
                MUST(mega_free_from(slot));
            else
                take(&seed, slot);
        }
    return NULL;
}

int main(void)
{
    pthread_t thread[THREADS];
    MUST(mega_init());
    MUST(mega_region_create("full", 65536, 0, &region));
    for (intptr_t i = 0; i < THREADS; i++)
        HOLDS(pthread_create(&thread[i], NULL, work, (void *)i) == 0);
    for (int i = 0; i < THREADS; i++)
        HOLDS(pthread_join(thread[i], NULL) == 0);
    MUST(mega_finalize());
    return 0;
}
