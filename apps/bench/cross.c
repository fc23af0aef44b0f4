/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cross.c - chunks that travel: rank 0 allocates on rank 1's home, rank 2
 * frees, batch after batch; against rank 0 doing both on its own home. Who is
 * not at work sleeps, so that three ranks do not fight for two processors.
 * CHUNKS chunks travel in all; what the homes hold and what the processes
 * weigh at the end is compared with a tenth of the way.
 */
#include "bench.h"

#include <stdatomic.h>
#include <unistd.h>

#define BATCH 2000
#define CHUNKS 50000000 /* an alloc and a free each: 10^8 operations */
#define ROUNDS (CHUNKS / BATCH)

enum { ALLOCATOR = 0, OWNER = 1, FREER = 2 };

struct board {          /* in a raw run on home 0, seen by all */
    _Atomic int turn;   /* the rank at work; OWNER: all is done */
    double free_second; /* spent by rank 2 in the last batch */
    long kb;            /* resident memory of rank 2 */
    mega_gptr_t chunk[BATCH];
};

static struct board *board;

static void pass_turn(int rank)
{
    BENCH_MUST(mega_quiet()); /* the pointers may now be used (L3) */
    atomic_store(&board->turn, rank);
}

static void await_turn(int rank)
{
    while (atomic_load(&board->turn) != rank) {
        usleep(20);
    }
}

static double alloc_batch(int home)
{
    double begin = bench_now();
    for (int i = 0; i < BATCH; i++) {
        BENCH_MUST(mega_alloc(MEGA_DEFAULT, home, 64, &board->chunk[i]));
    }
    return bench_now() - begin;
}

static double free_batch(void)
{
    double begin = bench_now();
    for (int i = 0; i < BATCH; i++) {
        BENCH_MUST(mega_free(board->chunk[i]));
    }
    return bench_now() - begin;
}

static long resident_kb(void)
{
    long pages = 0, shared = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (f == NULL || fscanf(f, "%*s %ld %ld", &pages, &shared) != 2) {
        exit(1);
    }
    fclose(f);
    return (pages - shared) * (sysconf(_SC_PAGESIZE) / 1024);
}

/** Bytes of extents in use on both homes. */
static double used_bytes(void)
{
    double used = 0;
    for (int home = 0; home <= 1; home++) {
        mega_home_stat_t stat;
        BENCH_MUST(mega_home_stat(home, &stat));
        used += (double)(stat.size - stat.free);
    }
    return used;
}

static int by_both(double *local, double *cross, double *used, long *kb)
{
    int n = 0;
    for (int round = 0; round < ROUNDS; round++) {
        double alloc_s = alloc_batch(OWNER);
        pass_turn(FREER);
        await_turn(ALLOCATOR);
        /* a sample now and then, the first tenth is the warming up */
        if (round % (ROUNDS / 40) == 0 && round >= ROUNDS / 10) {
            cross[n] = alloc_s + board->free_second;
            local[n] = alloc_batch(0) + free_batch();
            n++;
        }
        if (round == ROUNDS / 10) {
            used[0] = used_bytes();
            kb[0] = resident_kb() + board->kb;
        }
    }
    used[1] = used_bytes();
    kb[1] = resident_kb() + board->kb;
    return n;
}

static void allocator(void)
{
    double local[64], cross[64], used[2] = {0};
    long kb[2] = {0};
    double begin = bench_now();
    alloc_batch(0), free_batch();
    int n = by_both(local, cross, used, kb);
    fprintf(stderr, "bench: %d chunks travelled in %.1f s\n", CHUNKS,
            bench_now() - begin);
    bench_row("pair.local.mega", 1e9 * bench_median(local, n) / BATCH, "ns");
    bench_row("pair.cross_rank.mega", 1e9 * bench_median(cross, n) / BATCH,
              "ns");
    bench_row("cost.cross_rank.vs_local", bench_ratio(cross, local, n), "x");
    bench_row("cross_rank.used_start", used[0] / 1024, "KiB");
    bench_row("cross_rank.used_end", used[1] / 1024, "KiB");
    bench_row("cross_rank.resident_start", (double)kb[0], "KiB");
    bench_row("cross_rank.resident_end", (double)kb[1], "KiB");
    bench_check(used[1] <= 2 * used[0] && kb[1] <= 2 * kb[0],
                "homes or processes that do not grow");
}

static void freer(void)
{
    for (int round = 0; round < ROUNDS; round++) {
        await_turn(FREER);
        board->free_second = free_batch();
        board->kb = resident_kb();
        pass_turn(ALLOCATOR);
    }
}

int main(void)
{
    mega_region_t region;
    BENCH_MUST(mega_init());
    bench_check(mega_nranks() == 3, "the start with 3 ranks");
    BENCH_MUST(mega_region_create("cross", sizeof(*board), 0, &region));
    board = mega_ptr(mega_region_at(region, 0, 0, NULL));
    BENCH_MUST(mega_barrier());
    if (mega_rank() == ALLOCATOR) {
        allocator();
        atomic_store(&board->turn, OWNER);
    } else if (mega_rank() == FREER) {
        freer();
    } else {
        await_turn(OWNER);
    }
    BENCH_MUST(mega_barrier());
    BENCH_MUST(mega_region_destroy(&region));
    BENCH_MUST(mega_finalize());
    return 0;
}
