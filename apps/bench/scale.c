/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * scale.c - what a job of so many ranks costs before it does anything: time of
 * mega_init and mega_finalize (the slowest rank), private memory of a rank
 * that mega_init has added (the mean).
 * Rows are named after the number of ranks.
 */
#include "bench.h"

#include <mpi.h>

/** A number of /proc/self/status, in KiB. */
static double status(const char *name)
{
    char line[256];
    double kib = 0;
    FILE *f = fopen("/proc/self/status", "r");
    bench_check(f != NULL, "/proc/self/status");
    while (fgets(line, sizeof(line), f) != NULL) {
        size_t n = strlen(name);
        if (strncmp(line, name, n) == 0 && line[n] == ':') {
            kib = strtod(line + n + 1, NULL);
        }
    }
    fclose(f);
    return kib;
}

static double reduce(double mine, MPI_Op op)
{
    double all = 0;
    MPI_Reduce(&mine, &all, 1, MPI_DOUBLE, op, 0, MPI_COMM_WORLD);
    return all;
}

static void row(const char *name, int ranks, int rank, double value,
                const char *unit)
{
    if (rank == 0) {
        printf("scale.%d.%s\t%.4g\t%s\n", ranks, name, value, unit);
        fflush(stdout);
    }
}

int main(void)
{
    int ranks, rank;
    MPI_Init(NULL, NULL);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Barrier(MPI_COMM_WORLD);
    double anon = status("RssAnon");
    double begin = bench_now();
    BENCH_MUST(mega_init());
    double init = reduce(bench_now() - begin, MPI_MAX);
    double more = reduce(status("RssAnon") - anon, MPI_SUM) / ranks;
    MPI_Barrier(MPI_COMM_WORLD);
    begin = bench_now();
    BENCH_MUST(mega_finalize());
    double finalize = reduce(bench_now() - begin, MPI_MAX);
    row("init", ranks, rank, 1e3 * init, "ms");
    row("finalize", ranks, rank, 1e3 * finalize, "ms");
    row("private_per_rank", ranks, rank, more, "KiB");
    MPI_Finalize();
    return 0;
}
