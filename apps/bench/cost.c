/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cost.c - what an allocation adds to a program that writes 64 bytes and makes
 * them durable: alloc, write, persist of a new chunk, against write, persist
 * of the next 64 bytes of a raw run. Also the flushed lines and fences of an
 * allocation alone; large chunks, their time and how they leave a home.
 */
#include "bench.h"

#define COUNT 50000
#define LIVE 1000
#define BYTES 64
#define LARGE_ROUNDS 200

static mega_gptr_t raw;
static mega_gptr_t chunk[COUNT];

static void write_persist(mega_gptr_t p, const void *from)
{
    memcpy(mega_ptr(p), from, BYTES);
    BENCH_MUST(mega_persist(p, BYTES));
}

static void raw_writes(const void *from)
{
    for (int i = 0; i < COUNT; i++) {
        write_persist(mega_add(raw, BYTES * (int64_t)i), from);
    }
}

static void chunk_writes(const void *from)
{
    for (int i = 0; i < COUNT; i++) {
        BENCH_MUST(mega_alloc(MEGA_DEFAULT, 0, BYTES, &chunk[i]));
        write_persist(chunk[i], from);
    }
}

static void free_all(void)
{
    for (int i = 0; i < COUNT; i++) {
        BENCH_MUST(mega_free(chunk[i]));
    }
    BENCH_MUST(mega_drain());
}

static double seconds(void (*fn)(const void *), const void *from)
{
    double begin = bench_now();
    fn(from);
    return bench_now() - begin;
}

static void compare(void)
{
    double raw_s[BENCH_REPS], chunk_s[BENCH_REPS];
    char text[BYTES];
    for (int rep = -1; rep < BENCH_REPS; rep++) { /* -1: warm up */
        memset(text, 'a' + rep, BYTES);
        double a = seconds(raw_writes, text), b = seconds(chunk_writes, text);
        free_all();
        if (rep >= 0) {
            raw_s[rep] = a, chunk_s[rep] = b;
        }
    }
    bench_row("write_persist.mega",
              1e9 * bench_median(raw_s, BENCH_REPS) / COUNT, "ns");
    bench_row("alloc_write_persist.mega",
              1e9 * bench_median(chunk_s, BENCH_REPS) / COUNT, "ns");
    bench_row("cost.alloc_write_persist.vs_write_persist",
              bench_ratio(chunk_s, raw_s, BENCH_REPS), "x");
}

/** COUNT allocations and the drain that makes them durable. */
static void count_lines(void)
{
    mega_counters_t before, after;
    BENCH_MUST(mega_counters(&before));
    for (int i = 0; i < COUNT; i++) {
        BENCH_MUST(mega_alloc(MEGA_DEFAULT, 0, BYTES, &chunk[i]));
    }
    BENCH_MUST(mega_drain());
    BENCH_MUST(mega_counters(&after));
    bench_row("flushes.alloc", (double)(after.flushes - before.flushes) / COUNT,
              "lines");
    bench_row("fences.alloc", (double)(after.fences - before.fences) / COUNT,
              "fences");
    free_all();
}

/** The same where LIVE chunks are held, one is freed and another taken. */
static void count_pairs(void)
{
    mega_counters_t before, after;
    for (int i = 0; i < LIVE; i++) {
        BENCH_MUST(mega_alloc(MEGA_DEFAULT, 0, BYTES, &chunk[i]));
    }
    BENCH_MUST(mega_drain());
    BENCH_MUST(mega_counters(&before));
    for (int i = 0; i < COUNT; i++) {
        BENCH_MUST(mega_free(chunk[i % LIVE]));
        BENCH_MUST(mega_alloc(MEGA_DEFAULT, 0, BYTES, &chunk[i % LIVE]));
    }
    BENCH_MUST(mega_counters(&after));
    bench_row("flushes.pair", (double)(after.flushes - before.flushes) / COUNT,
              "lines");
    bench_row("fences.pair", (double)(after.fences - before.fences) / COUNT,
              "fences");
    for (int i = 0; i < LIVE; i++) {
        BENCH_MUST(mega_free(chunk[i]));
    }
}

static void time_large(const char *name, size_t size, int rounds)
{
    double ns[BENCH_REPS];
    for (int rep = 0; rep < BENCH_REPS; rep++) {
        double begin = bench_now();
        for (int i = 0; i < rounds; i++) {
            BENCH_MUST(mega_alloc(MEGA_DEFAULT, 0, size, &chunk[0]));
            BENCH_MUST(mega_free(chunk[0]));
        }
        ns[rep] = 1e9 * (bench_now() - begin) / rounds;
    }
    bench_row(name, bench_median(ns, BENCH_REPS), "ns");
}

/** Runs of 256 KiB to 16 MiB come and go at random, until their home has been
 *  full LARGE_ROUNDS times: what of the free bytes is then not in the largest
 *  hole, and how full it is; means. */
static void fragment(void)
{
    mega_home_stat_t s;
    uint64_t random = 7;
    double apart = 0, filled = 0;
    int n = 0;
    for (int full = 0; full < LARGE_ROUNDS;) {
        size_t size = (size_t)4 << 16 << bench_below(bench_rand(&random), 7);
        mega_status_t st = n < COUNT
                               ? mega_alloc(MEGA_DEFAULT, 0, size, &chunk[n])
                               : MEGA_ERR_HOME_FULL;
        if (!st) {
            n++;
            continue;
        }
        bench_check(st == MEGA_ERR_HOME_FULL, mega_errmsg());
        BENCH_MUST(mega_home_stat(0, &s));
        apart += 100.0 * (1.0 - (double)s.largest_hole / (double)s.free);
        filled += 100.0 * (1.0 - (double)s.free / (double)s.size);
        full++;
        for (int k = n / 2; k > 0; k--) { /* half of them go */
            int i = (int)bench_below(bench_rand(&random), (uint32_t)n);
            BENCH_MUST(mega_free(chunk[i]));
            chunk[i] = chunk[--n];
        }
    }
    while (n > 0)
        BENCH_MUST(mega_free(chunk[--n]));
    bench_row("large.fragmentation", apart / LARGE_ROUNDS, "%");
    bench_row("large.filled", filled / LARGE_ROUNDS, "%");
}

int main(void)
{
    mega_region_t region;
    uint64_t adjacent;
    BENCH_MUST(mega_init());
    BENCH_MUST(mega_region_create("cost", COUNT * BYTES, 0, &region));
    raw = mega_region_at(region, 0, 0, &adjacent);
    bench_check(adjacent >= COUNT * BYTES, "the need for one raw run");
    count_lines();
    count_pairs();
    compare();
    BENCH_MUST(mega_region_destroy(&region));
    time_large("large.256K.mega", (size_t)256 << 10, LARGE_ROUNDS);
    time_large("large.16M.mega", (size_t)16 << 20, LARGE_ROUNDS);
    time_large("large.1G.mega", (size_t)1 << 30, 10);
    fragment();
    BENCH_MUST(mega_finalize());
    return 0;
}
