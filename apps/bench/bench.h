/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench.h - what the measuring programs share: a clock, a median, rows.
 *
 * A row is name, value and unit between tabs on stdout; all else goes to
 * stderr. Two things are compared by running them in turn, BENCH_REPS times
 * each in one process, so that a change of the machine's mood meets both; the
 * value of a ratio is the median of the ratios of the single turns.
 */
#ifndef BENCH_H
#define BENCH_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "megalloc.h"

#define BENCH_REPS 7

/** Seconds since some fixed moment. */
static inline double bench_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/** The next of a sequence that is the same in each run (xorshift64). */
static inline uint64_t bench_rand(uint64_t *state)
{
    uint64_t x = *state;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    *state = x;
    return x;
}

/** A number below n <= 2^32 from one of bench_rand, without a division. */
static inline uint32_t bench_below(uint64_t random, uint32_t n)
{
    return (uint32_t)(((random >> 32) * n) >> 32);
}

static inline int bench_by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static inline double bench_median(const double *value, int n)
{
    double sorted[64];
    memcpy(sorted, value, sizeof(double) * (size_t)n);
    qsort(sorted, (size_t)n, sizeof(double), bench_by_size);
    return n % 2 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
}

/** The median of above[i] / below[i]. */
static inline double bench_ratio(const double *above, const double *below,
                                 int n)
{
    double ratio[64];
    for (int i = 0; i < n; i++) {
        ratio[i] = above[i] / below[i];
    }
    return bench_median(ratio, n);
}

/** Seconds that a call of fn takes. */
static inline double bench_seconds(void (*fn)(void))
{
    double begin = bench_now();
    fn();
    return bench_now() - begin;
}

/** Seconds of BENCH_REPS turns of each, after one of each to warm up. */
static inline void bench_by_turns(void (*mega)(void), void (*peer)(void),
                                  double *mega_s, double *peer_s)
{
    mega(), peer();
    for (int rep = 0; rep < BENCH_REPS; rep++) {
        mega_s[rep] = bench_seconds(mega);
        peer_s[rep] = bench_seconds(peer);
    }
}

/** Prints a row; on rank 0 only while a space is open. */
static inline void bench_row(const char *name, double value, const char *unit)
{
    if (mega_rank() <= 0) {
        printf("%s\t%.4g\t%s\n", name, value, unit);
        fflush(stdout);
    }
}

/** Ends the program when something that a measurement needs has failed. */
static inline void bench_check(int ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "bench: %s failed: %s\n", what, mega_errmsg());
        exit(1);
    }
}

#define BENCH_MUST(call) bench_check((call) == MEGA_OK, #call)

#endif
