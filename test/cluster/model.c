/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * model.c - rank program: random alloc and free by several threads of several
 * ranks, on one host or several. Each chunk says who it is and is filled by
 * that, to its end; so two that overlap, or one that changes, are seen when it
 * is freed. A third of the chunks goes to whoever takes them from a shared
 * table.
 */
#include "rank.h"

#include <pthread.h>

enum { THREADS = 2, SLOTS = 600, SHARED = 64, LONGEST = 32768 + 200000 };

struct chunk_head {
    uint64_t self, size, key;
};

struct worker {
    uint64_t seed, ops;
    mega_region_t table;
};

static size_t random_size(uint64_t *seed_p)
{
    uint64_t x = rank_random(seed_p) >> 20;
    switch (x % 64) {
    case 0:
        return 32768 + (size_t)(x >> 8) % 200000; /* runs */
    case 1:
    case 2:
    case 3:
        return 2048 + (size_t)(x >> 8) % 30000;
    default:
        return sizeof(struct chunk_head) + (size_t)(x >> 8) % 700;
    }
}

/* Long ones only here and there: the test should not measure memcpy. */
static size_t stride(size_t size)
{
    return size > 1024 ? 251 : 1;
}

static uint64_t born(struct worker *w)
{
    size_t size = random_size(&w->seed);
    int home =
        (int)(rank_random(&w->seed) >> 8) & 1
            ? MEGA_ANY_HOME
            : (int)((rank_random(&w->seed) >> 9) % (uint64_t)mega_nhomes());
    mega_gptr_t p;
    MUST(mega_alloc(MEGA_DEFAULT, home, size, &p));
    struct chunk_head head = {p.v, size, rank_random(&w->seed)};
    unsigned char far[LONGEST], *at = rank_place(p, far);
    memcpy(at, &head, sizeof head);
    for (size_t i = sizeof head; i < size; i += stride(size))
        at[i] = (unsigned char)(head.key + i);
    rank_placed(p, at, size);
    return p.v;
}

static void dies(uint64_t v)
{
    struct chunk_head head;
    mega_gptr_t p = mega_from_bits(v);
    unsigned char far[LONGEST];
    MUST(mega_get(&head, p, sizeof head));
    HOLDS(head.self == v && head.size <= LONGEST);
    const unsigned char *at = rank_view(p, far, head.size);
    for (size_t i = sizeof head; i < head.size; i += stride(head.size))
        HOLDS(at[i] == (unsigned char)(head.key + i));
    MUST(mega_free(p));
}

/* Gives *v_p away, once it can be seen, and gets what lay there. */
static void exchange(struct worker *w, uint64_t *v_p)
{
    uint64_t i = rank_random(&w->seed) >> 12;
    int home = (int)(i % (uint64_t)mega_nhomes());
    MUST(mega_quiet());
    MUST(mega_swap64(mega_region_at(w->table, home, i / 64 % SHARED * 8, NULL),
                     *v_p, v_p));
}

static void *work(void *arg)
{
    struct worker *w = arg;
    uint64_t mine[SLOTS] = {0};
    for (uint64_t i = 0; i < w->ops; i++) {
        uint64_t x = rank_random(&w->seed) >> 16;
        uint64_t *v_p = &mine[x % SLOTS];
        if (*v_p && x / SLOTS % 3 == 0)
            exchange(w, v_p);
        if (*v_p) {
            dies(*v_p);
            *v_p = 0;
        } else {
            *v_p = born(w);
        }
    }
    for (int i = 0; i < SLOTS; i++)
        if (mine[i])
            dies(mine[i]);
    return NULL;
}

static void empty_table(mega_region_t table)
{
    for (int h = 0; h < mega_nhomes(); h++)
        for (uint64_t i = 0; i < SHARED; i++) {
            uint64_t v;
            MUST(mega_swap64(mega_region_at(table, h, i * 8, NULL), 0, &v));
            if (v)
                dies(v);
        }
}

/* Nothing is live, and each home can be filled to the last extent. */
static void all_back(uint64_t raw)
{
    for (int h = 0; h < mega_nhomes(); h++) {
        mega_home_stat_t s;
        static mega_gptr_t p[20000];
        size_t n = 0;
        MUST(mega_home_stat(h, &s));
        HOLDS(s.live_chunks == 0 && s.live_bytes == 0 && s.runs == 0);
        HOLDS(s.free + s.slabs + s.raw == s.size && s.raw == raw);
        while (n < 20000 &&
               mega_alloc(MEGA_DEFAULT, h, 65536, &p[n]) == MEGA_OK)
            n++;
        HOLDS(n * 65536 + raw == s.size);
        while (n-- > 0)
            MUST(mega_free(p[n]));
        MUST(mega_home_stat(h, &s));
        HOLDS(s.free + raw == s.size);
    }
}

/* model OPS SEED: of each thread. */
static void churn(int argc, char **argv)
{
    struct worker w[THREADS];
    pthread_t threads[THREADS];
    mega_region_t table;
    HOLDS(argc == 2);
    MUST(mega_init());
    MUST(mega_region_create("table", SHARED * 8, 0, &table));
    for (int i = 0; i < THREADS; i++) {
        w[i].seed = strtoull(argv[1], NULL, 10) * 1000003 +
                    (uint64_t)(mega_rank() * THREADS + i + 1) * 7919;
        w[i].ops = strtoull(argv[0], NULL, 10);
        w[i].table = table;
        HOLDS(pthread_create(&threads[i], NULL, work, &w[i]) == 0);
    }
    for (int i = 0; i < THREADS; i++)
        HOLDS(pthread_join(threads[i], NULL) == 0);
    MUST(mega_barrier());
    if (mega_rank() == 0)
        empty_table(table);
    rank_check_all();
    MUST(mega_region_destroy(&table));
    MUST(mega_finalize());
}

/* The job after: as if nothing had been. */
static void after(int argc, char **argv)
{
    (void)argc, (void)argv;
    MUST(mega_init());
    rank_check_all();
    if (mega_rank() == 0)
        all_back(0);
    rank_check_all();
    MUST(mega_finalize());
}

int main(int argc, char **argv)
{
    static const struct rank_case cases[] = {
        {"churn", churn}, {"after", after}, {NULL, NULL}};
    return rank_main(cases, argc, argv);
}
