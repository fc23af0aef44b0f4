/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * oshmem.c - the latency of OpenSHMEM's put with quiet, get and fetch-add of 8
 * bytes between two PEs, the second of which waits in a barrier. Built by
 * apps/bench/run, with oshcc, where there is one. It leaves without
 * shmem_finalize, in which Open MPI 4.1.4 crashes.
 */
#include <shmem.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define CALLS 2000
#define REPS 7

static long *word;

static double now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return 1e6 * (double)t.tv_sec + 1e-3 * (double)t.tv_nsec;
}

static void put(void)
{
    shmem_long_p(word, 1, 1);
    shmem_quiet();
}

static void get(void)
{
    (void)shmem_long_g(word, 1);
}

static void fadd(void)
{
    (void)shmem_long_fadd(word, 1, 1);
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void measure(const char *name, void (*fn)(void))
{
    double us[REPS];
    for (int rep = -1; rep < REPS; rep++) { /* -1: warm up */
        double begin = now_us();
        for (int i = 0; i < CALLS; i++) {
            fn();
        }
        if (rep >= 0) {
            us[rep] = (now_us() - begin) / CALLS;
        }
    }
    qsort(us, REPS, sizeof(us[0]), by_size);
    printf("net.%s.oshmem\t%.4g\tus\n", name, us[REPS / 2]);
}

int main(void)
{
    shmem_init();
    word = shmem_malloc(sizeof(*word));
    *word = 0;
    shmem_barrier_all();
    if (shmem_my_pe() == 0) {
        measure("put8", put);
        measure("get8", get);
        measure("fadd8", fadd);
        fflush(stdout);
    }
    shmem_barrier_all();
    _exit(0);
}
