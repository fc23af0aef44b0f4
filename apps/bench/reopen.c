/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * reopen.c - what it costs to open a space that was killed, by steps that
 * apps/bench/run puts together:
 *   reopen fill COUNT  allocates COUNT chunks of 64 bytes, then SIGKILL
 *   reopen open        prints the milliseconds that mega_init took, then
 *                      SIGKILL, so that the next open is of the same kind
 *   reopen check       checks the home and prints the row of its cost
 */
#include "bench.h"

#include <mpi.h>
#include <signal.h>

static void fill(long count)
{
    mega_gptr_t p;
    for (long i = 0; i < count; i++) {
        BENCH_MUST(mega_alloc(MEGA_DEFAULT, 0, 64, &p));
    }
    BENCH_MUST(mega_drain());
}

static void check(void)
{
    mega_home_stat_t stat;
    uint64_t bad;
    double ns[BENCH_REPS];
    BENCH_MUST(mega_home_stat(0, &stat));
    for (int rep = 0; rep < BENCH_REPS; rep++) {
        double begin = bench_now();
        BENCH_MUST(mega_check(0, NULL, NULL, &bad));
        ns[rep] = 1e9 * (bench_now() - begin) / (double)stat.live_chunks;
        bench_check(bad == 0, "the check of the home");
    }
    bench_row("check.chunks", (double)stat.live_chunks, "chunks");
    bench_row("check.ns_per_chunk", bench_median(ns, BENCH_REPS), "ns");
}

int main(int argc, char **argv)
{
    const char *step = argc > 1 ? argv[1] : "";
    MPI_Init(NULL, NULL);
    double begin = bench_now();
    BENCH_MUST(mega_init());
    double ms = 1e3 * (bench_now() - begin);
    if (strcmp(step, "fill") == 0 && argc == 3) {
        fill(atol(argv[2]));
        raise(SIGKILL);
    }
    if (strcmp(step, "open") == 0) {
        printf("%.3f\n", ms);
        fflush(stdout);
        raise(SIGKILL);
    }
    if (strcmp(step, "check") == 0) {
        check();
    }
    BENCH_MUST(mega_finalize());
    MPI_Finalize();
    return 0;
}
