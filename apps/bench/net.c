/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * net.c - a space over two hosts, a rank on each, against UCX itself
 * (ucx_peer.h; polling: its target never sleeps) and against MPI. Rank 0
 * measures. Rank 1 sleeps, but while MPI is measured, which needs its calls,
 * and in busy_target, where it computes and calls nothing.
 */
#include "bench.h"

#include <mpi.h>
#include <sched.h>

#include "ucx_peer.h"

#define CALLS 2000
#define WINDOW 16
#define WINDOW_BYTES ((size_t)128 << 20) /* moved in a turn */
#define ALLOCS 20000
#define ASKS 1000
#define CLAIMS 64
#define BYTES 64
#define BUSY_S 2.0
#define FAR_HOME 1

static MPI_Win window;
static mega_gptr_t word, block;
static mega_gptr_t polling; /* rank 1's: not 0, it calls MPI all the time */
static mega_gptr_t chunk[ALLOCS];
static char buffer[WINDOW << 20];
static size_t piece; /* bytes of an operation of the windows */
static int windows;  /* of a turn */

/* ---- What is timed ---- */

static void mega_puts(void)
{
    for (uint64_t i = 0; i < CALLS; i++) {
        BENCH_MUST(mega_put(word, &i, sizeof(i)));
        BENCH_MUST(mega_quiet());
    }
}

static void ucx_puts(void)
{
    for (uint64_t i = 0; i < CALLS; i++) {
        ucx_peer_put8(i);
    }
}

static void polled(void (*ops)(void))
{
    ucx_peer_poll(1);
    ops();
    ucx_peer_poll(0);
}

/** MPI needs a target that calls it; to us one that does takes a processor. */
static void poll_mpi(uint64_t yes)
{
    BENCH_MUST(mega_put(polling, &yes, sizeof(yes)));
    BENCH_MUST(mega_quiet());
}

static void mpi_puts(void)
{
    poll_mpi(1);
    for (uint64_t i = 0; i < CALLS; i++) {
        MPI_Put(&i, 1, MPI_UINT64_T, 1, 0, 1, MPI_UINT64_T, window);
        MPI_Win_flush(1, window);
    }
    poll_mpi(0);
}

static void polled_puts(void)
{
    polled(ucx_puts);
}

static void mega_gets(void)
{
    uint64_t value;
    for (int i = 0; i < CALLS; i++) {
        BENCH_MUST(mega_get(&value, word, sizeof(value)));
    }
}

static void ucx_gets(void)
{
    for (int i = 0; i < CALLS; i++) {
        ucx_peer_get8();
    }
}

static void polled_gets(void)
{
    polled(ucx_gets);
}

static void mpi_gets(void)
{
    uint64_t value;
    poll_mpi(1);
    for (int i = 0; i < CALLS; i++) {
        MPI_Get(&value, 1, MPI_UINT64_T, 1, 0, 1, MPI_UINT64_T, window);
        MPI_Win_flush(1, window);
    }
    poll_mpi(0);
}

static void mega_adds(void)
{
    uint64_t old;
    for (int i = 0; i < CALLS; i++) {
        BENCH_MUST(mega_fetch_add64(word, 1, &old));
    }
}

static void ucx_adds(void)
{
    for (int i = 0; i < CALLS; i++) {
        ucx_peer_add8(1);
    }
}

static void polled_adds(void)
{
    polled(ucx_adds);
}

static void mpi_adds(void)
{
    uint64_t one = 1, old;
    poll_mpi(1);
    for (int i = 0; i < CALLS; i++) {
        MPI_Fetch_and_op(&one, &old, MPI_UINT64_T, 1, 0, MPI_SUM, window);
        MPI_Win_flush(1, window);
    }
    poll_mpi(0);
}

static void mega_put_windows(void)
{
    for (int k = 0; k < windows; k++) {
        for (size_t i = 0; i < WINDOW; i++) {
            BENCH_MUST(mega_put_nbi(mega_add(block, (int64_t)(i * piece)),
                                    buffer + i * piece, piece));
        }
        BENCH_MUST(mega_quiet());
    }
}

static void ucx_put_windows(void)
{
    for (int k = 0; k < windows; k++) {
        ucx_peer_puts(buffer, piece, WINDOW);
    }
}

static void mega_get_windows(void)
{
    for (int k = 0; k < windows; k++) {
        for (size_t i = 0; i < WINDOW; i++) {
            BENCH_MUST(mega_get_nbi(buffer + i * piece,
                                    mega_add(block, (int64_t)(i * piece)),
                                    piece));
        }
        BENCH_MUST(mega_quiet());
    }
}

static void ucx_get_windows(void)
{
    for (int k = 0; k < windows; k++) {
        ucx_peer_gets(buffer, piece, WINDOW);
    }
}

/* ---- Comparing ---- */

static void print(const char *format, const char *name, const char *peer,
                  double value, const char *unit)
{
    char row[64];
    snprintf(row, sizeof(row), format, name, peer);
    bench_row(row, value, unit);
}

static void compare(const char *name, void (*mega)(void), const char *peer,
                    void (*other)(void))
{
    double mega_s[BENCH_REPS], peer_s[BENCH_REPS];
    const double us = 1e6 / CALLS;
    bench_by_turns(mega, other, mega_s, peer_s);
    print("net.%s.mega_beside_%s", name, peer,
          us * bench_median(mega_s, BENCH_REPS), "us");
    print("net.%s.%s", name, peer, us * bench_median(peer_s, BENCH_REPS), "us");
    print("ratio.net.%s.vs_%s", name, peer,
          bench_ratio(peer_s, mega_s, BENCH_REPS), "x");
}

static void compare_windows(const char *name, size_t size, void (*mega)(void),
                            void (*ucx)(void))
{
    double mega_s[BENCH_REPS], ucx_s[BENCH_REPS];
    const double mb = 1e-6 * (double)WINDOW_BYTES;
    piece = size;
    windows = (int)(WINDOW_BYTES / WINDOW / size);
    bench_by_turns(mega, ucx, mega_s, ucx_s);
    print("net.%s.%s", name, "mega", mb / bench_median(mega_s, BENCH_REPS),
          "MB/s");
    print("net.%s.%s", name, "ucx", mb / bench_median(ucx_s, BENCH_REPS),
          "MB/s");
    print("ratio.net.%s.vs_%s", name, "ucx",
          bench_ratio(ucx_s, mega_s, BENCH_REPS), "x");
}

/* ---- Allocation on another host ---- */

static mega_counters_t counters(void)
{
    mega_counters_t c;
    BENCH_MUST(mega_counters(&c));
    return c;
}

struct sent { /* for a chunk */
    double messages, trips;
};

/** Seconds for ALLOCS chunks, durably allocated. */
static double allocate(int home, struct sent *sent_p)
{
    const mega_counters_t before = counters();
    double begin = bench_now();
    for (int i = 0; i < ALLOCS; i++) {
        BENCH_MUST(mega_alloc(MEGA_DEFAULT, home, BYTES, &chunk[i]));
    }
    BENCH_MUST(mega_drain());
    double took = bench_now() - begin;
    const mega_counters_t after = counters();
    sent_p->messages = (double)(after.messages - before.messages) / ALLOCS;
    sent_p->trips = (double)(after.round_trips - before.round_trips) / ALLOCS;
    for (int i = 0; i < ALLOCS; i++) {
        BENCH_MUST(mega_free(chunk[i]));
    }
    BENCH_MUST(mega_drain());
    return took;
}

static double allocate_by_messages(void)
{
    double begin = bench_now();
    for (int i = 0; i < ASKS; i++) {
        chunk[i] = mega_from_bits(ucx_peer_alloc(BYTES));
    }
    double took = bench_now() - begin;
    for (int i = 0; i < ASKS; i++) {
        BENCH_MUST(mega_free(chunk[i]));
    }
    BENCH_MUST(mega_drain());
    return took;
}

static void compare_allocation(void)
{
    double far_ns[BENCH_REPS], near_ns[BENCH_REPS], rpc_ns[BENCH_REPS];
    double messages[BENCH_REPS], trips[BENCH_REPS];
    struct sent sent;
    for (int rep = -1; rep < BENCH_REPS; rep++) { /* -1: warm up */
        double near = 1e9 * allocate(0, &sent) / ALLOCS;
        double rpc = 1e9 * allocate_by_messages() / ASKS;
        double far = 1e9 * allocate(FAR_HOME, &sent) / ALLOCS;
        if (rep >= 0) {
            near_ns[rep] = near, rpc_ns[rep] = rpc, far_ns[rep] = far;
            messages[rep] = sent.messages, trips[rep] = sent.trips;
        }
    }
    bench_row("remote_alloc.mega", bench_median(far_ns, BENCH_REPS), "ns");
    bench_row("remote_alloc.local", bench_median(near_ns, BENCH_REPS), "ns");
    bench_row("remote_alloc.rpc", bench_median(rpc_ns, BENCH_REPS), "ns");
    bench_row("ratio.remote_alloc.vs_rpc",
              bench_ratio(rpc_ns, far_ns, BENCH_REPS), "x");
    bench_row("ratio.remote_alloc.vs_local",
              bench_ratio(near_ns, far_ns, BENCH_REPS), "x");
    bench_row("messages.remote_alloc", bench_median(messages, BENCH_REPS),
              "messages");
    bench_row("rtt.remote_alloc", bench_median(trips, BENCH_REPS), "trips");
}

/* ---- Claims: chunks of an extent and of half of one ---- */

static void alloc_one_by_one(size_t bytes)
{
    for (int i = 0; i < CLAIMS; i++) {
        BENCH_MUST(mega_alloc(MEGA_DEFAULT, FAR_HOME, bytes, &chunk[i]));
    }
}

static void alloc_all(size_t bytes)
{
    BENCH_MUST(mega_alloc_n(MEGA_DEFAULT, FAR_HOME, bytes, CLAIMS, chunk));
}

static void measure_claims(const char *name, size_t bytes,
                           void (*alloc)(size_t bytes))
{
    double us[BENCH_REPS], trips[BENCH_REPS], messages[BENCH_REPS];
    for (int rep = -1; rep < BENCH_REPS; rep++) { /* -1: warm up */
        const mega_counters_t before = counters();
        double begin = bench_now();
        alloc(bytes);
        BENCH_MUST(mega_drain());
        double took = bench_now() - begin;
        const mega_counters_t after = counters();
        for (int i = 0; i < CLAIMS; i++) {
            BENCH_MUST(mega_free(chunk[i]));
        }
        BENCH_MUST(mega_drain());
        if (rep >= 0) {
            us[rep] = 1e6 * took / CLAIMS;
            trips[rep] =
                (double)(after.round_trips - before.round_trips) / CLAIMS;
            messages[rep] = (double)(after.messages - before.messages) / CLAIMS;
        }
    }
    print("%s.%s", "remote_claim", name, bench_median(us, BENCH_REPS), "us");
    print("%s.%s", "messages.remote_claim", name,
          bench_median(messages, BENCH_REPS), "messages");
    print("%s.%s", "rtt.remote_claim", name, bench_median(trips, BENCH_REPS),
          "trips");
}

static void count_put_persist(void)
{
    const int n = 100;
    BENCH_MUST(mega_alloc(MEGA_DEFAULT, FAR_HOME, BYTES, &chunk[0]));
    BENCH_MUST(mega_put_persist(chunk[0], buffer, BYTES));
    uint64_t before = counters().round_trips;
    double begin = bench_now();
    for (int i = 0; i < n; i++) {
        BENCH_MUST(mega_put_persist(chunk[0], buffer, BYTES));
    }
    double took = bench_now() - begin;
    bench_row("rtt.put_persist", (double)(counters().round_trips - before) / n,
              "trips");
    bench_row("net.put_persist64.mega", 1e6 * took / n, "us");
    BENCH_MUST(mega_free(chunk[0]));
}

/* ---- A target that calls nothing ---- */

/** The 99th percentile of the latency of get and fetch-add, microseconds. */
static double slowest_percent(void)
{
    static double us[CALLS];
    uint64_t value;
    for (int i = 0; i < CALLS; i += 2) {
        double a = bench_now();
        BENCH_MUST(mega_get(&value, word, sizeof(value)));
        double b = bench_now();
        BENCH_MUST(mega_fetch_add64(word, 1, &value));
        us[i] = 1e6 * (b - a), us[i + 1] = 1e6 * (bench_now() - b);
    }
    qsort(us, CALLS, sizeof(us[0]), bench_by_size);
    return us[CALLS * 99 / 100];
}

static void measure_busy_target(void)
{
    double idle = slowest_percent();
    MPI_Barrier(MPI_COMM_WORLD); /* rank 1 computes from now on */
    double busy = slowest_percent();
    bench_row("busy_target.idle_p99", idle, "us");
    bench_row("busy_target.p99", busy, "us");
    bench_row("busy_target.p99_over_idle", busy / idle, "x");
}

/* ---- The two ranks ---- */

/** Until the other rank comes too. often: calling MPI all the time while that
 *  is not 0, sleeping else; NULL: sleeping. */
static void wait_for_the_other(const volatile uint64_t *often)
{
    const struct timespec ms = {.tv_nsec = 1000000};
    MPI_Request request;
    int done = 0;
    MPI_Ibarrier(MPI_COMM_WORLD, &request);
    while (!done) {
        MPI_Test(&request, &done, MPI_STATUS_IGNORE);
        if (often && *often) {
            sched_yield();
        } else if (!done) {
            nanosleep(&ms, NULL);
        }
    }
}

static void origin(void)
{
    BENCH_MUST(mega_alloc(MEGA_DEFAULT, FAR_HOME, BYTES, &word));
    BENCH_MUST(mega_alloc(MEGA_DEFAULT, FAR_HOME, WINDOW << 20, &block));
    compare("put8", mega_puts, "ucx", ucx_puts);
    compare("get8", mega_gets, "ucx", ucx_gets);
    compare("fadd8", mega_adds, "ucx", ucx_adds);
    compare("put8", mega_puts, "polling", polled_puts);
    compare("get8", mega_gets, "polling", polled_gets);
    compare("fadd8", mega_adds, "polling", polled_adds);
    compare_windows("put_1M", 1 << 20, mega_put_windows, ucx_put_windows);
    compare_windows("get_1M", 1 << 20, mega_get_windows, ucx_get_windows);
    compare_windows("put_64K", 1 << 16, mega_put_windows, ucx_put_windows);
    compare_windows("get_64K", 1 << 16, mega_get_windows, ucx_get_windows);
    compare_allocation();
    measure_claims("runs", 64 << 10, alloc_one_by_one);
    measure_claims("runs_n", 64 << 10, alloc_all);
    measure_claims("slabs", 32 << 10, alloc_one_by_one);
    measure_claims("slabs_n", 32 << 10, alloc_all);
    count_put_persist();
    BENCH_MUST(mega_alloc(MEGA_DEFAULT, FAR_HOME, BYTES, &polling));
    poll_mpi(0);
    wait_for_the_other(NULL);
    MPI_Bcast(&polling, sizeof(polling), MPI_BYTE, 0, MPI_COMM_WORLD);
    compare("put8", mega_puts, "mpi_rma", mpi_puts);
    compare("get8", mega_gets, "mpi_rma", mpi_gets);
    compare("fadd8", mega_adds, "mpi_rma", mpi_adds);
    wait_for_the_other(NULL);
    measure_busy_target();
}

static void target(void)
{
    volatile uint64_t sum = 0;
    wait_for_the_other(NULL);
    MPI_Bcast(&polling, sizeof(polling), MPI_BYTE, 0, MPI_COMM_WORLD);
    wait_for_the_other(mega_ptr(polling));
    MPI_Barrier(MPI_COMM_WORLD);
    for (double end = bench_now() + BUSY_S; bench_now() < end;) {
        for (int i = 0; i < 1000000; i++) {
            sum = sum + (uint64_t)i;
        }
    }
}

/* ---- Latencies alone ---- */

static void measure(const char *name, void (*mega)(void))
{
    double us[BENCH_REPS];
    mega(); /* warm up */
    for (int rep = 0; rep < BENCH_REPS; rep++) {
        double begin = bench_now();
        mega();
        us[rep] = 1e6 / CALLS * (bench_now() - begin);
    }
    print("net.%s.%s", name, "mega_alone", bench_median(us, BENCH_REPS), "us");
}

/** As a program has them that uses nothing else. */
static void latencies(void)
{
    BENCH_MUST(mega_init());
    if (mega_rank() == 0) {
        BENCH_MUST(mega_alloc(MEGA_DEFAULT, FAR_HOME, BYTES, &word));
        measure("put8", mega_puts);
        measure("get8", mega_gets);
        measure("fadd8", mega_adds);
    }
    BENCH_MUST(mega_barrier());
    BENCH_MUST(mega_finalize());
}

int main(int argc, char **argv)
{
    uint64_t *base;
    MPI_Init(NULL, NULL);
    if (argc > 1 && strcmp(argv[1], "latencies") == 0) {
        latencies();
        MPI_Finalize();
        return 0;
    }
    MPI_Win_allocate(4096, 8, MPI_INFO_NULL, MPI_COMM_WORLD, &base, &window);
    *base = 0;
    BENCH_MUST(mega_init());
    bench_check(mega_nranks() == 2 && mega_nhomes() == 2,
                "the start with 2 ranks on 2 hosts");
    memset(buffer, 1, sizeof(buffer));
    MPI_Win_lock_all(0, window);
    ucx_peer_open();
    if (mega_rank() == 0) {
        origin();
    } else {
        target();
    }
    ucx_peer_close();
    MPI_Win_unlock_all(window);
    BENCH_MUST(mega_finalize());
    MPI_Win_free(&window);
    MPI_Finalize();
    return 0;
}
