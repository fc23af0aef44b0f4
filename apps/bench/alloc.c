/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * alloc.c - Megalloc against libpmemobj and against allocators of volatile
 * memory, in the patterns of patterns.c, with one and two threads, by turns
 * in one process.
 */
#include "bench.h"
#include "peer.h"

#define PEERS 5

static const struct bench_peer *const peers[PEERS] = {
    &bench_peer_mega, &bench_peer_pmemobj, &bench_peer_jemalloc,
    &bench_peer_mimalloc, &bench_peer_glibc};

static const char *const pattern_name[BENCH_PATTERNS] = {
    "alloc_free", "larson", "threadtest", "prodcons"};

static double ns[PEERS][BENCH_THREADS_MAX][BENCH_REPS];

static void measure(int pattern)
{
    for (int rep = -1; rep < BENCH_REPS; rep++) { /* -1: warm up */
        for (int t = 0; t < BENCH_THREADS_MAX; t++) {
            for (int p = 0; p < PEERS; p++) {
                double value = peers[p]->run[pattern](t + 1);
                if (rep >= 0) {
                    ns[p][t][rep] = value;
                }
            }
        }
    }
}

static void print_raw(const char *pattern)
{
    char name[128];
    for (int p = 0; p < PEERS; p++) {
        for (int t = 0; t < BENCH_THREADS_MAX; t++) {
            snprintf(name, sizeof(name), "%s_%dt.%s", pattern, t + 1,
                     peers[p]->name);
            bench_row(name, bench_median(ns[p][t], BENCH_REPS), "ns");
        }
    }
}

/** One row per thread count, and one without for the pattern: alloc_free is
 *  stated for one thread, the others by the worse of the two. */
static void print_ratios(const char *pattern, int worse_of_both)
{
    char name[128];
    for (int p = 1; p < PEERS; p++) {
        double ratio[BENCH_THREADS_MAX];
        for (int t = 0; t < BENCH_THREADS_MAX; t++) {
            ratio[t] = bench_ratio(ns[p][t], ns[0][t], BENCH_REPS);
            snprintf(name, sizeof(name), "ratio.%s_%dt.vs_%s", pattern, t + 1,
                     peers[p]->name);
            bench_row(name, ratio[t], "x");
        }
        snprintf(name, sizeof(name), "ratio.%s.vs_%s", pattern, peers[p]->name);
        int second = worse_of_both && ratio[1] < ratio[0];
        bench_row(name, ratio[second], "x");
    }
}

int main(void)
{
    for (int p = 0; p < PEERS; p++) {
        peers[p]->open();
    }
    for (int pattern = 0; pattern < BENCH_PATTERNS; pattern++) {
        fprintf(stderr, "bench: %s\n", pattern_name[pattern]);
        measure(pattern);
        print_raw(pattern_name[pattern]);
        print_ratios(pattern_name[pattern], pattern != BENCH_ALLOC_FREE);
        if (pattern == BENCH_ALLOC_FREE) {
            bench_row("ratio.alloc_free_2t.vs_1t",
                      bench_ratio(ns[0][0], ns[0][1], BENCH_REPS), "x");
            bench_row("ratio.alloc_free_2t.vs_1t.jemalloc",
                      bench_ratio(ns[2][0], ns[2][1], BENCH_REPS), "x");
        }
    }
    for (int p = PEERS; p-- > 0;) {
        peers[p]->close();
    }
    return 0;
}
