/* SPDX-License-Identifier: BSD-3-Clause */
/* net.c - rank program: data, atomics, order, durability and names between
 * ranks of several hosts; test/cluster/net.sh starts it so. */
#include <pthread.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

#include "amo.h"
#include "rank.h"

#define AREA (1 << 20)

static mega_region_t area, words; /* shared by all cases */

static mega_gptr_t at(int home, uint64_t off)
{
    return mega_region_at(area, home, off, NULL);
}

/* In memory that only one case uses, and that was zero before. */
static mega_gptr_t word(int home, uint64_t off)
{
    return mega_region_at(words, home, off, NULL);
}

static void set_up(int argc, char **argv)
{
    uint64_t zero;
    (void)argc, (void)argv;
    MUST(mega_region_create("area", AREA, 0, &area));
    MUST(mega_region_create("words", 65536, 0, &words));
    for (int h = 0; h < mega_nhomes(); h++)
        for (uint64_t off = 0; off < AREA; off += 65528) {
            MUST(mega_get(&zero, at(h, off / 8 * 8), 8));
            HOLDS(zero == 0);
        }
    HOLDS(rank_far_home(area) >= 0);
}

/* ---- Data ---- */

static void put_get(int argc, char **argv)
{
    static unsigned char out[300001], in[300001];
    uint64_t seed = (uint64_t)mega_rank() + 5;
    uint64_t share = AREA / (uint64_t)mega_nranks();
    uint64_t base = share * (uint64_t)mega_rank() / 8 * 8;
    size_t most = share < sizeof out ? share - 16 : sizeof out;
    (void)argc, (void)argv;
    for (size_t i = 0; i < sizeof out; i++)
        out[i] = (unsigned char)(rank_random(&seed) >> 33);
    for (int h = 0; h < mega_nhomes(); h++)
        for (size_t n = 1, off = 0; n < most - 13; n += n / 2 + 1) {
            mega_gptr_t p = at(h, base + (off = (off + 7) % 13));
            mega_iov_t iov[2] = {
                {p, out, n / 2},
                {mega_add(p, (int64_t)(n / 2)), out + n / 2, n - n / 2}};
            memset(in, 0, sizeof in);
            MUST(mega_put(p, out, n));
            MUST(mega_quiet());
            MUST(mega_get(in, p, n));
            HOLDS(memcmp(in, out, n) == 0 && in[n] == 0);
            out[0]++, out[n - 1]++;
            MUST(mega_put_nbi(p, out, n));
            MUST(mega_quiet());
            memset(in, 0, sizeof in);
            MUST(mega_get_nbi(in, p, n));
            MUST(mega_quiet());
            HOLDS(memcmp(in, out, n) == 0 && in[n] == 0);
            out[n / 2]++;
            MUST(mega_put_persist(p, out, n));
            MUST(mega_get(in, p, n));
            HOLDS(memcmp(in, out, n) == 0);
            out[0]++;
            MUST(mega_putv(iov, 2));
            MUST(n % 2 ? mega_persist(p, n) : mega_persistv(iov, 2));
            iov[0].buf = in;
            iov[1].buf = in + n / 2;
            memset(in, 0, n);
            MUST(mega_getv(iov, 2));
            HOLDS(memcmp(in, out, n) == 0);
        }
}

/* Many small ones without waiting; the last of each place counts. */
static void many(int argc, char **argv)
{
    static uint64_t values[3000], in[3000];
    uint64_t base = 32768 * (uint64_t)mega_rank();
    (void)argc, (void)argv;
    for (int h = 0; h < mega_nhomes(); h++) {
        for (size_t i = 0; i < 3000; i++) {
            values[i] = i * 77 + (uint64_t)mega_rank();
            MUST(mega_put_nbi(at(h, base + 8 * i), &values[i], 8));
        }
        MUST(mega_quiet());
        for (size_t i = 0; i < 3000; i++)
            MUST(mega_get_nbi(&in[i], at(h, base + 8 * i), 8));
        MUST(mega_quiet());
        HOLDS(memcmp(in, values, sizeof in) == 0);
        for (size_t i = 0, n; i < 3000; i += n / 8) {
            n = i % 50 == 49 && i + 50 <= 3000 ? 400 : 8; /* UCX's, messages */
            for (size_t k = i; k < i + n / 8; k++)
                values[k]++;
            MUST(mega_put(at(h, base + 8 * i), &values[i], n));
        }
        MUST(mega_quiet());
        MUST(mega_get(in, at(h, base), sizeof in));
        HOLDS(memcmp(in, values, sizeof in) == 0);
    }
}

static void copies(int argc, char **argv)
{
    static unsigned char out[20000], in[20000];
    uint64_t base = 65536 * (uint64_t)mega_rank();
    uint64_t seed = 9;
    (void)argc, (void)argv;
    for (size_t i = 0; i < sizeof out; i++)
        out[i] = (unsigned char)(rank_random(&seed) >> 33);
    for (int h = 0; h < mega_nhomes(); h++)
        for (int g = 0; g < mega_nhomes(); g++) {
            out[0]++;
            memset(in, 0, sizeof in);
            MUST(mega_put(at(h, base), out, sizeof out));
            MUST(mega_quiet());
            MUST(mega_copy(at(g, base + 32768), at(h, base), sizeof out));
            MUST(mega_quiet());
            MUST(mega_get(in, at(g, base + 32768), sizeof in));
            HOLDS(memcmp(in, out, sizeof in) == 0);
        }
}

static void wild(int argc, char **argv)
{
    char text[64] = "";
    uint64_t v;
    int far = rank_far_home(area);
    mega_gptr_t start = mega_from_bits(at(far, 0).v >> 34 << 34);
    (void)argc, (void)argv;
    REFUSED(MEGA_ERR_ARG, mega_put(mega_from_bits(UINT64_MAX), text, 8));
    REFUSED(MEGA_ERR_ARG, mega_get(text, mega_null(), 8));
    REFUSED(MEGA_ERR_ARG, mega_get(text, at(far, 0), SIZE_MAX));
    REFUSED(MEGA_ERR_ARG, mega_copy(at(far, 0), at(far, 8), SIZE_MAX));
    REFUSED(MEGA_ERR_ARG,
            mega_get(text, mega_add(start, (INT64_C(1) << 34) - 8), 8));
    REFUSED(MEGA_ERR_ARG, /* a span that is not there */
            mega_get(text, mega_add(start, INT64_C(99) << 34), 8));
    REFUSED(MEGA_ERR_ARG,
            mega_persist(mega_add(start, (INT64_C(1) << 34) - 8), 8));
    REFUSED(MEGA_ERR_ARG, /* the space's own */
            mega_put(mega_add(start, 64), text, 8));
    REFUSED(MEGA_ERR_ARG, mega_get(text, mega_add(start, 0), 8));
    REFUSED(MEGA_ERR_ARG, mega_set64(mega_add(start, 8192), 5));
    REFUSED(MEGA_ERR_ARG, mega_put_persist(mega_add(start, 8192), text, 8));
    REFUSED(MEGA_ERR_ARG, mega_fetch_add64(mega_add(at(far, 0), 4), 1, &v));
    HOLDS(mega_is_null(mega_gptr_of(text)));
    MUST(mega_get(text, at(far, 0), 0));
    MUST(mega_persist(at(far, 0), 0));
}

/* ---- Atomics ---- */

static mega_status_t amo_then(int nbi, mega_amo_op_t op, unsigned flags,
                              size_t size, mega_gptr_t p, uint64_t v,
                              uint64_t c, uint64_t *old_p)
{
    mega_status_t st = nbi ? mega_amo_nbi(op, flags, size, p, v, c, old_p)
                           : mega_amo(op, flags, size, p, v, c, old_p);
    return st || !nbi ? st : mega_quiet();
}

static void amo(int argc, char **argv)
{
    static uint64_t old[2000];
    uint64_t seed = 3, mine = 8 * (uint64_t)mega_rank(), sum;
    (void)argc, (void)argv;
    for (int h = 0; h < mega_nhomes(); h++)
        for (int i = 0; i < 512; i++) {
            mega_amo_op_t op = (mega_amo_op_t)(i % 8);
            size_t size = i & 8 ? 8 : 4;
            uint64_t mask = size == 8 ? UINT64_MAX : UINT32_MAX;
            uint64_t before, now, v = rank_random(&seed),
                                  c = rank_random(&seed);
            mega_gptr_t p = at(h, mine);
            MUST(mega_fetch64(p, &before));
            c = i & 16 ? before & mask : c;
            uint64_t was = ~before;
            MUST(amo_then(i & 64, op, i & 32 ? MEGA_AMO_RELEASE : 0, size, p, v,
                          c, &was));
            HOLDS(was == (before & mask));
            MUST(mega_fetch64(p, &now));
            HOLDS((now & mask) ==
                  (amo_leaves(op, before & mask, v & mask, c & mask) & mask));
            HOLDS((now & ~mask) == (before & ~mask));
        }
    MUST(mega_barrier());
    /* near and far ranks at one word */
    for (int i = 0; i < 2000; i++) {
        MUST(mega_fetch_add64(word(0, 4096), 1, NULL));
        MUST(mega_amo_nbi(MEGA_AMO_ADD, 0, 8, word(0, 4096), 1, 0, &old[i]));
    }
    MUST(mega_quiet());
    for (int i = 1; i < 2000; i++)
        HOLDS(old[i] != old[i - 1] && old[i] < 4000 * (uint64_t)mega_nranks());
    MUST(mega_barrier());
    MUST(mega_fetch64(word(0, 4096), &sum));
    HOLDS(sum == 4000 * (uint64_t)mega_nranks());
}

/* ---- Waiting ---- */

static void signals(int argc, char **argv)
{
    int me = mega_rank(), n = mega_nranks(), to = (me + 1) % n;
    uint64_t base = 8192;
    (void)argc, (void)argv;
    for (uint64_t round = 1; round <= 50; round++) {
        uint64_t data[30], got[30];
        for (uint64_t i = 0; i < 30; i++)
            data[i] = round * 100 + i;
        if (me == 0)
            MUST(mega_put_signal(word(to, base + 8), data, sizeof data,
                                 word(to, base), round));
        MUST(mega_wait_until(word(me, base), MEGA_CMP_GE, round, 60000));
        MUST(mega_get(got, word(me, base + 8), sizeof got));
        HOLDS(memcmp(got, data, sizeof got) == 0);
        if (me != 0)
            MUST(mega_put_signal(word(to, base + 8), data, sizeof data,
                                 word(to, base), round));
    }
    MUST(mega_barrier());
    MUST(mega_wait_until(word(rank_far_home(area), base), MEGA_CMP_EQ, 50,
                         1000));
    REFUSED(MEGA_ERR_TIMEOUT, mega_wait_until(word(rank_far_home(area), base),
                                              MEGA_CMP_EQ, 51, 20));
}

static void locks(int argc, char **argv)
{
    mega_gptr_t lock = word(0, 20480), a = word(0, 30720), b = word(1, 30720);
    uint64_t x, y;
    (void)argc, (void)argv;
    for (int i = 0; i < 120; i++) {
        unsigned how = i % 4 == 3 ? MEGA_LOCK_SHARED : 0;
        MUST(mega_lock(lock, how));
        MUST(mega_get(&x, a, 8));
        MUST(mega_get(&y, b, 8));
        HOLDS(x == y);
        x++;
        if (!how)
            MUST(mega_put(a, &x, 8));
        if (!how)
            MUST(mega_put(b, &x, 8));
        MUST(mega_unlock(lock, how));
    }
    MUST(mega_barrier());
    MUST(mega_get(&x, a, 8));
    HOLDS(x == 90 * (uint64_t)mega_nranks());
}

/* ---- Threads ---- */

#define THREADS 6

static void *of_thread(void *arg)
{
    uint64_t id = *(const uint64_t *)arg, v, base = 65536 + id * 1024;
    char out[700], in[700];
    for (int i = 0; i < 60; i++) {
        int h = i % mega_nhomes();
        memset(out, (int)(id + (uint64_t)i), sizeof out);
        MUST(mega_put(at(h, base), out, sizeof out));
        MUST(mega_fetch_add64(word(h, 40960), 1, &v));
        MUST(i % 3 ? mega_quiet() : mega_persist(at(h, base), sizeof out));
        MUST(mega_get(in, at(h, base), sizeof in));
        HOLDS(memcmp(in, out, sizeof in) == 0);
    }
    return NULL;
}

static void threads(int argc, char **argv)
{
    pthread_t thread[THREADS];
    uint64_t id[THREADS], v, sum = 0;
    (void)argc, (void)argv;
    for (uint64_t i = 0; i < THREADS; i++) {
        id[i] = (uint64_t)mega_rank() * THREADS + i;
        HOLDS(pthread_create(&thread[i], NULL, of_thread, &id[i]) == 0);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(thread[i], NULL);
    MUST(mega_barrier());
    for (int h = 0; h < mega_nhomes(); h++) {
        MUST(mega_fetch64(word(h, 40960), &v));
        sum += v;
    }
    HOLDS(sum == 60 * THREADS * (uint64_t)mega_nranks());
    MUST(mega_commit());
}

/* More threads than there are origins: they share. */
static void *put_and_end(void *arg)
{
    uint64_t id = *(const uint64_t *)arg;
    MUST(mega_put(at(rank_far_home(area), 131072 + 8 * id), &id, 8));
    return NULL;
}

static void many_threads(int argc, char **argv)
{
    enum { N = 50 };
    pthread_t thread[N];
    uint64_t id[N], v;
    (void)argc, (void)argv;
    for (uint64_t i = 0; i < N; i++) {
        id[i] = (uint64_t)mega_rank() * N + i;
        HOLDS(pthread_create(&thread[i], NULL, put_and_end, &id[i]) == 0);
    }
    for (int i = 0; i < N; i++)
        pthread_join(thread[i], NULL);
    MUST(mega_commit()); /* completes what ended threads have put */
    for (uint64_t i = 0; i < N; i++) {
        MUST(mega_get(&v, at(rank_far_home(area), 131072 + 8 * id[i]), 8));
        HOLDS(v == id[i]);
    }
}

/* ---- Growth, names ---- */

static void growth(int argc, char **argv)
{
    mega_region_t r;
    uint64_t v, size = 1000;
    (void)argc, (void)argv;
    MUST(mega_region_create("grows", size, 0, &r));
    for (uint64_t step = 70000; size < (40 << 20); step *= 5) {
        MUST(mega_region_grow(r, step));
        size += step;
        for (int h = 0; h < mega_nhomes(); h++) {
            mega_gptr_t p = mega_region_at(r, h, (size - 8) / 8 * 8, NULL);
            MUST(mega_get(&v, p, 8));
            HOLDS(v == 0);
            MUST(mega_barrier());
            MUST(mega_fetch_add64(p, 1, NULL));
            MUST(mega_barrier());
            MUST(mega_fetch64(p, &v));
            HOLDS(v == (uint64_t)mega_nranks());
        }
    }
    MUST(mega_region_destroy(&r));
}

static void roots(int argc, char **argv)
{
    char name[MEGA_NAME_MAX + 1], seen[MEGA_NAME_MAX + 1];
    mega_gptr_t p, slot;
    uint64_t iter = 0, v;
    int n = 0;
    (void)argc, (void)argv;
    snprintf(name, sizeof name, "of-%d", mega_rank());
    REFUSED(MEGA_ERR_NOT_FOUND, mega_root_get(area, name, &p));
    REFUSED(MEGA_ERR_NOT_FOUND, mega_root_remove(area, name));
    MUST(mega_root_set(area, name, at(mega_rank() % mega_nhomes(), 64)));
    MUST(mega_root_slot(area, "shared", &slot));
    MUST(mega_fetch_add64(slot, 8, NULL));
    MUST(mega_barrier());
    MUST(mega_fetch64(slot, &v));
    HOLDS(v == 8 * (uint64_t)mega_nranks());
    for (int r = 0; r < mega_nranks(); r++) {
        snprintf(name, sizeof name, "of-%d", r);
        MUST(mega_root_get(area, name, &p));
        HOLDS(p.v == at(r % mega_nhomes(), 64).v);
    }
    while (mega_root_next(area, &iter, seen, &p) == MEGA_OK)
        n += strncmp(seen, "of-", 3) == 0 || p.v == v;
    HOLDS(n == mega_nranks() + 1);
    REFUSED(MEGA_ERR_NOT_FOUND, mega_root_next(area, &iter, seen, &p));
    /* beside the slot is the space's own */
    REFUSED(MEGA_ERR_ARG, mega_put(mega_add(slot, 8), &v, 8));
    REFUSED(MEGA_ERR_ARG, mega_put(mega_add(slot, -8), &v, 8));
    MUST(mega_barrier());
    if (mega_rank() == mega_nranks() - 1)
        MUST(mega_root_remove(area, "shared"));
    snprintf(name, sizeof name, "of-%d", mega_rank());
    MUST(mega_root_remove(area, name));
    REFUSED(MEGA_ERR_NOT_FOUND, mega_root_get(area, name, &p));
}

/* ---- A target that computes ---- */

static double seconds_of(struct timeval t)
{
    return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

static void busy_target(int argc, char **argv)
{
    struct timespec began, now;
    volatile uint64_t x = 1;
    uint64_t v;
    (void)argc, (void)argv;
    clock_gettime(CLOCK_MONOTONIC, &began);
    if (mega_rank() % 2 == 1) { /* two seconds without a call */
        do {
            for (int i = 0; i < 100000; i++)
                x = x * 3 + 1;
            clock_gettime(CLOCK_MONOTONIC, &now);
        } while (now.tv_sec - began.tv_sec < 2);
    } else {
        for (int i = 0; i < 200; i++) {
            MUST(mega_fetch_add64(word(rank_far_home(area), 49152), 1, &v));
            MUST(mega_put_persist(word(rank_far_home(area), 49160), &v, 8));
            MUST(mega_get(&v, word(rank_far_home(area), 49160), 8));
        }
    }
}

/* An idle job takes no processor: 2 s of waiting for a signal of the system. */
static void idle(int argc, char **argv)
{
    struct rusage before, after;
    struct timespec nap = {2, 0};
    (void)argc, (void)argv;
    MUST(mega_barrier());
    struct timespec settle = {0, 300000000};
    nanosleep(&settle, NULL);
    getrusage(RUSAGE_SELF, &before);
    nanosleep(&nap, NULL);
    getrusage(RUSAGE_SELF, &after);
    double used = seconds_of(after.ru_utime) - seconds_of(before.ru_utime) +
                  seconds_of(after.ru_stime) - seconds_of(before.ru_stime);
    if (used > 0.04) {
        fprintf(stderr, "rank %d used %.3f s\n", mega_rank(), used);
        rank_fault("an idle rank works", __FILE__, __LINE__);
    }
}

static void clean_up(int argc, char **argv)
{
    (void)argc, (void)argv;
    MUST(mega_region_destroy(&words));
    MUST(mega_region_destroy(&area));
}

int main(int argc, char **argv)
{
    static const struct rank_case cases[] = {
        {"a region over all hosts", set_up},
        {"put, get and their kin", put_get},
        {"thousands without waiting", many},
        {"copies between any two homes", copies},
        {"wild pointers", wild},
        {"atomics of all kinds", amo},
        {"signals", signals},
        {"locks", locks},
        {"threads", threads},
        {"more threads than origins", many_threads},
        {"growth", growth},
        {"roots", roots},
        {"a target that computes", busy_target},
        {"idle", idle},
        {"the region goes", clean_up},
        {NULL, NULL}};
    rank_steps(cases, argc, argv);
    return 0;
}
