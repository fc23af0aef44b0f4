/* SPDX-License-Identifier: BSD-3-Clause */
/* peer.h - what patterns.c, compiled once per allocator, gives to alloc.c. */
#ifndef PEER_H
#define PEER_H

enum bench_pattern {
    BENCH_ALLOC_FREE,
    BENCH_LARSON,
    BENCH_THREADTEST,
    BENCH_PRODCONS,
    BENCH_PATTERNS
};

#define BENCH_THREADS_MAX 2

struct bench_peer {
    const char *name;
    void (*open)(void);
    void (*close)(void);
    /* nanoseconds of wall time per alloc with its free, over all threads */
    double (*run[BENCH_PATTERNS])(int threads);
};

extern const struct bench_peer bench_peer_mega, bench_peer_pmemobj,
    bench_peer_jemalloc, bench_peer_mimalloc, bench_peer_glibc;

#endif
