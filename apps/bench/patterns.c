/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * patterns.c - four ways in which programs allocate, for the allocator that
 * BENCH_SHIM names.
 *
 *   alloc_free  a thread keeps 1000 chunks of 64 bytes and replaces a random
 *               one again and again; references where shim_slots puts them
 *   larson      the same with 64 to 400 bytes; after a while each thread ends
 *               and leaves its chunks to a new one. P. Larson, M. Krishnan,
 *               Memory allocation for long-running server applications, 1998
 *   threadtest  the threads share 100000 chunks of 64 bytes: allocate all,
 *               free all. E. Berger et al., Hoard, 2000
 *   prodcons    one allocates 64 bytes and hands them over, 32 at a time, the
 *               other frees them (one thread: by turns)
 *
 * In the last three the first word of each chunk is written. Sizes are those
 * of W. Cai et al., Understanding and optimizing persistent memory
 * allocation, 2020; the number of rounds is scaled to the peer's speed.
 */
#include "shim.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "peer.h"

#define LIVE 1000
#define PAIRS 50000
#define GENERATION 50000
#define BATCH 100000
#define HANDED 51200 /* whole bunches */
#define RING 1024
#define BUNCH 32

struct worker {
    pthread_t thread;
    int index, threads;
    shim_ref *slots;
};

static pthread_barrier_t start;
static shim_ref *slots_of[BENCH_THREADS_MAX];

static struct ring {
    shim_ref at[RING];
    _Alignas(64) _Atomic uint64_t head;
    _Alignas(64) _Atomic uint64_t tail;
} ring;

static void make(shim_ref *slot, size_t size)
{
    bench_check(shim_alloc(slot, size), SHIM_NAME ": allocation");
}

static void make_and_touch(shim_ref *slot, size_t size)
{
    make(slot, size);
    *(volatile uint64_t *)shim_ptr(*slot) = size;
}

/** Thread i onto the i-th processor, if there are so many: left to itself the
 *  kernel begins both on one at times, and parts them after milliseconds. */
static void pin(pthread_attr_t *attr, int i)
{
    cpu_set_t all, one;
    CPU_ZERO(&one);
    bench_check(!sched_getaffinity(0, sizeof(all), &all), "sched_getaffinity");
    for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (CPU_ISSET(cpu, &all) && i-- == 0) {
            CPU_SET(cpu, &one);
            pthread_attr_setaffinity_np(attr, sizeof(one), &one);
        }
    }
}

/** Runs fn in so many threads; returns the seconds from first to last. */
static double run_threads(void *(*fn)(void *), int threads)
{
    struct worker worker[BENCH_THREADS_MAX];
    double begin = bench_now();
    pthread_barrier_init(&start, NULL, (unsigned)threads);
    for (int i = 0; i < threads; i++) {
        worker[i] = (struct worker){.index = i, .threads = threads};
        worker[i].slots = slots_of[i];
        pthread_attr_t attr;
        pthread_attr_init(&attr);
        pin(&attr, i);
        pthread_create(&worker[i].thread, &attr, fn, &worker[i]);
        pthread_attr_destroy(&attr);
    }
    for (int i = 0; i < threads; i++) {
        pthread_join(worker[i].thread, NULL);
    }
    pthread_barrier_destroy(&start);
    return bench_now() - begin;
}

/* ---- alloc_free ---- */

static double seconds_of[BENCH_THREADS_MAX];

static void *replace_at_random(void *arg)
{
    struct worker *w = arg;
    uint64_t random = 88172645463325252u + (uint64_t)w->index;
    for (int i = 0; i < LIVE; i++) {
        make(&w->slots[i], 64);
    }
    pthread_barrier_wait(&start);
    double begin = bench_now();
    for (int i = 0; i < PAIRS * SHIM_SCALE; i++) {
        shim_ref *slot = &w->slots[bench_below(bench_rand(&random), LIVE)];
        shim_free(slot);
        make(slot, 64);
    }
    seconds_of[w->index] = bench_now() - begin;
    for (int i = 0; i < LIVE; i++) {
        shim_free(&w->slots[i]);
    }
    return NULL;
}

static double alloc_free(int threads)
{
    run_threads(replace_at_random, threads);
    double longest = 0;
    for (int i = 0; i < threads; i++) {
        longest = seconds_of[i] > longest ? seconds_of[i] : longest;
    }
    return 1e9 * longest / (PAIRS * SHIM_SCALE) / threads;
}

/* ---- larson ---- */

static size_t any_size(uint64_t random)
{
    return 64 + bench_below(random << 32, 400 - 64 + 1);
}

static void *serve_for_a_while(void *arg)
{
    struct worker *w = arg;
    uint64_t random = 2463534242u + (uint64_t)w->index;
    for (int i = 0; i < GENERATION; i++) {
        uint64_t r = bench_rand(&random);
        shim_ref *slot = &w->slots[bench_below(r, LIVE)];
        shim_free(slot);
        make_and_touch(slot, any_size(r));
    }
    shim_hand_over();
    return NULL;
}

static double larson(int threads)
{
    static shim_ref held[BENCH_THREADS_MAX][LIVE];
    uint64_t random = 362436069;
    for (int i = 0; i < threads * LIVE; i++) {
        make(&held[i / LIVE][i % LIVE], any_size(bench_rand(&random)));
    }
    shim_hand_over();
    int generations = 2 * SHIM_SCALE;
    double seconds = 0;
    for (int g = 0; g < generations; g++) {
        for (int i = 0; i < threads; i++) {
            slots_of[i] = held[(i + g) % threads];
        }
        seconds += run_threads(serve_for_a_while, threads);
    }
    for (int i = 0; i < threads * LIVE; i++) {
        shim_free(&held[i / LIVE][i % LIVE]);
    }
    return 1e9 * seconds / GENERATION / generations / threads;
}

/* ---- threadtest ---- */

static void *fill_and_empty(void *arg)
{
    struct worker *w = arg;
    static shim_ref all[BATCH];
    int share = BATCH / w->threads;
    shim_ref *mine = all + w->index * share;
    for (int round = 0; round < SHIM_SCALE; round++) {
        for (int i = 0; i < share; i++) {
            make_and_touch(&mine[i], 64);
        }
        for (int i = 0; i < share; i++) {
            shim_free(&mine[i]);
        }
    }
    return NULL;
}

static double threadtest(int threads)
{
    return 1e9 * run_threads(fill_and_empty, threads) / BATCH / SHIM_SCALE;
}

/* ---- prodcons ---- */

static int produce(void)
{
    uint64_t head = atomic_load_explicit(&ring.head, memory_order_relaxed);
    /* pairs with the release in consume: the places are empty */
    uint64_t tail = atomic_load_explicit(&ring.tail, memory_order_acquire);
    if (head + BUNCH - tail > RING) {
        return 0;
    }
    for (uint64_t i = 0; i < BUNCH; i++) {
        make_and_touch(&ring.at[(head + i) % RING], 64);
    }
    shim_hand_over();
    /* pairs with the acquire in consume: the places are full */
    atomic_store_explicit(&ring.head, head + BUNCH, memory_order_release);
    return BUNCH;
}

static int consume(void)
{
    uint64_t tail = atomic_load_explicit(&ring.tail, memory_order_relaxed);
    if (atomic_load_explicit(&ring.head, memory_order_acquire) == tail) {
        return 0;
    }
    for (uint64_t i = 0; i < BUNCH; i++) {
        shim_free(&ring.at[(tail + i) % RING]);
    }
    atomic_store_explicit(&ring.tail, tail + BUNCH, memory_order_release);
    return BUNCH;
}

/** The first thread produces, the last consumes; one alone does both. */
static void *produce_or_consume(void *arg)
{
    struct worker *w = arg;
    for (int left = HANDED * SHIM_SCALE; left > 0;) {
        int did = w->index == 0 ? produce() : 0;
        if (w->index == w->threads - 1) {
            did = consume();
        }
        left -= did;
        if (did == 0) {
            sched_yield();
        }
    }
    return NULL;
}

static double prodcons(int threads)
{
    return 1e9 * run_threads(produce_or_consume, threads) / HANDED / SHIM_SCALE;
}

/* ---- all of them ---- */

static double alloc_free_in_slots(int threads)
{
    static shim_ref *kept[BENCH_THREADS_MAX];
    for (int i = 0; i < threads; i++) {
        kept[i] = kept[i] ? kept[i] : shim_slots(LIVE);
        slots_of[i] = kept[i];
    }
    return alloc_free(threads);
}

const struct bench_peer SHIM_PEER = {
    .name = SHIM_NAME,
    .open = shim_open,
    .close = shim_close,
    .run = {alloc_free_in_slots, larson, threadtest, prodcons},
};
