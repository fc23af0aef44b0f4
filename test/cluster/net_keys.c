/* SPDX-License-Identifier: BSD-3-Clause */
/* net_keys.c - rank program: who asks for the keys of spans of other hosts; two
 * ranks on each. */
#include <pthread.h>

#include "rank.h"

#define BIG (48 << 20) /* more than a home has as yet */

/* Round trips of reading a word. */
static uint64_t trips(mega_gptr_t p)
{
    mega_counters_t before, after;
    uint64_t v;
    MUST(mega_counters(&before));
    MUST(mega_get(&v, p, 8));
    HOLDS(v == 0);
    MUST(mega_counters(&after));
    return after.round_trips - before.round_trips;
}

/* Another thread has other endpoints. */
static void *read_again(void *p)
{
    HOLDS(trips(*(mega_gptr_t *)p) == 1);
    return NULL;
}

/* The ranks whose turn it is read a word of each home of other hosts. */
static void each_reads(mega_region_t r, uint64_t off, uint64_t expected)
{
    for (int h = 0; h < mega_nhomes(); h++) {
        mega_gptr_t p = mega_region_at(r, h, off, NULL);
        pthread_t t;
        if (mega_ptr(p))
            continue;
        HOLDS(trips(p) == expected);
        HOLDS(pthread_create(&t, NULL, read_again, &p) == 0);
        HOLDS(pthread_join(t, NULL) == 0);
    }
}

/* Ranks below this one on its host: each has its home there. */
static int before(mega_region_t r)
{
    int n = 0;
    for (int h = 0; h < mega_rank(); h++)
        n += mega_ptr(mega_region_at(r, h, 0, NULL)) != NULL;
    return n;
}

static void take_turns(mega_region_t r, uint64_t off)
{
    const int turn = before(r);
    HOLDS(turn < 2);
    MUST(mega_barrier());
    if (turn == 0)
        each_reads(r, off, 2); /* the key, the word */
    MUST(mega_barrier());
    if (turn == 1)
        each_reads(r, off, 1);
    MUST(mega_barrier());
}

static void asked_once(int argc, char **argv)
{
    mega_region_t r;
    (void)argc, (void)argv;
    MUST(mega_region_create("keys", BIG, 0, &r));
    take_turns(r, BIG - 8); /* of a span that came while the job runs */
    MUST(mega_region_grow(r, 2 * BIG));
    take_turns(r, 3 * BIG - 8);
    MUST(mega_finalize());
    MUST(mega_init()); /* in the same processes: other keys */
    MUST(mega_region_open("keys", &r));
    take_turns(r, 3 * BIG - 8);
    MUST(mega_region_destroy(&r));
}

int main(int argc, char **argv)
{
    static const struct rank_case cases[] = {
        {"a key is asked for once per host", asked_once}, {NULL, NULL}};
    rank_steps(cases, argc, argv);
    return 0;
}
