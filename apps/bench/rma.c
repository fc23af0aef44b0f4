/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * rma.c - one-sided operations on the memory of another rank of the same
 * host, against those of MPI. Two ranks: rank 0 measures, rank 1 owns the
 * memory and waits in a barrier, giving the processor away. MPI: a window by
 * MPI_Win_allocate, open to all by MPI_Win_lock_all, each operation flushed.
 * Megalloc: a chunk on the other rank's home, each put followed by mega_quiet.
 * Also a large put against memcpy into the same mapping.
 */
#include "bench.h"

#include <mpi.h>
#include <sched.h>

#define CALLS 100000
#define BIG ((size_t)1 << 20)
#define BIG_CALLS 400
#define PEER_RANK 1

static MPI_Win window;
static mega_gptr_t word, block;

/* ---- The operations: each makes CALLS of them ---- */

static void mega_puts(void)
{
    for (uint64_t i = 0; i < CALLS; i++) {
        BENCH_MUST(mega_put(word, &i, sizeof(i)));
        BENCH_MUST(mega_quiet());
    }
}

static void mpi_puts(void)
{
    for (uint64_t i = 0; i < CALLS; i++) {
        MPI_Put(&i, 1, MPI_UINT64_T, PEER_RANK, 0, 1, MPI_UINT64_T, window);
        MPI_Win_flush(PEER_RANK, window);
    }
}

static void mega_gets(void)
{
    uint64_t value;
    for (int i = 0; i < CALLS; i++) {
        BENCH_MUST(mega_get(&value, word, sizeof(value)));
    }
}

static void mpi_gets(void)
{
    uint64_t value;
    for (int i = 0; i < CALLS; i++) {
        MPI_Get(&value, 1, MPI_UINT64_T, PEER_RANK, 0, 1, MPI_UINT64_T, window);
        MPI_Win_flush(PEER_RANK, window);
    }
}

static void mega_adds(void)
{
    uint64_t old;
    for (int i = 0; i < CALLS; i++) {
        BENCH_MUST(mega_fetch_add64(word, 1, &old));
    }
}

static void mpi_adds(void)
{
    uint64_t one = 1, old;
    for (int i = 0; i < CALLS; i++) {
        MPI_Fetch_and_op(&one, &old, MPI_UINT64_T, PEER_RANK, 0, MPI_SUM,
                         window);
        MPI_Win_flush(PEER_RANK, window);
    }
}

static char source[BIG];

static void mega_big_puts(void)
{
    for (int i = 0; i < BIG_CALLS; i++) {
        BENCH_MUST(mega_put(block, source, BIG));
    }
}

static void memcpys(void)
{
    void *target = mega_ptr(block);
    for (int i = 0; i < BIG_CALLS; i++) {
        memcpy(target, source, BIG);
        __asm__ volatile("" ::: "memory"); /* none of them is left out */
    }
}

/* ---- Comparing ---- */

static void compare(const char *name, void (*mega)(void), void (*mpi)(void))
{
    double mega_s[BENCH_REPS], mpi_s[BENCH_REPS];
    char row[64];
    bench_by_turns(mega, mpi, mega_s, mpi_s);
    snprintf(row, sizeof(row), "%s.mega", name);
    bench_row(row, 1e9 * bench_median(mega_s, BENCH_REPS) / CALLS, "ns");
    snprintf(row, sizeof(row), "%s.mpi_rma", name);
    bench_row(row, 1e9 * bench_median(mpi_s, BENCH_REPS) / CALLS, "ns");
    snprintf(row, sizeof(row), "ratio.%s.vs_mpi_rma", name);
    bench_row(row, bench_ratio(mpi_s, mega_s, BENCH_REPS), "x");
}

static void compare_bandwidth(void)
{
    double mega_s[BENCH_REPS], memcpy_s[BENCH_REPS];
    const double gb = 1e-9 * (double)BIG * BIG_CALLS;
    bench_by_turns(mega_big_puts, memcpys, mega_s, memcpy_s);
    bench_row("bandwidth.mega", gb / bench_median(mega_s, BENCH_REPS), "GB/s");
    bench_row("bandwidth.memcpy", gb / bench_median(memcpy_s, BENCH_REPS),
              "GB/s");
    bench_row("ratio.bandwidth.vs_memcpy",
              bench_ratio(memcpy_s, mega_s, BENCH_REPS), "x");
}

/** The target's part: MPI progresses, and the processor is free. */
static void wait_for_the_others(void)
{
    MPI_Request request;
    int done = 0;
    MPI_Ibarrier(MPI_COMM_WORLD, &request);
    while (!done) {
        MPI_Test(&request, &done, MPI_STATUS_IGNORE);
        sched_yield();
    }
}

int main(void)
{
    uint64_t *base;
    MPI_Init(NULL, NULL);
    MPI_Win_allocate(4096, 8, MPI_INFO_NULL, MPI_COMM_WORLD, &base, &window);
    *base = 0;
    BENCH_MUST(mega_init());
    bench_check(mega_nranks() == 2, "the start with 2 ranks");
    MPI_Win_lock_all(0, window);
    if (mega_rank() == 0) {
        BENCH_MUST(mega_alloc(MEGA_DEFAULT, PEER_RANK, 64, &word));
        BENCH_MUST(mega_alloc(MEGA_DEFAULT, PEER_RANK, BIG, &block));
        memset(source, 1, BIG);
        compare("put8", mega_puts, mpi_puts);
        compare("get8", mega_gets, mpi_gets);
        compare("fadd8", mega_adds, mpi_adds);
        compare_bandwidth();
    }
    wait_for_the_others();
    MPI_Win_unlock_all(window);
    BENCH_MUST(mega_finalize());
    MPI_Win_free(&window);
    MPI_Finalize();
    return 0;
}
