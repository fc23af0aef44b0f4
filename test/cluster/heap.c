/* SPDX-License-Identifier: BSD-3-Clause */
/* heap.c - rank program: chunks of all sizes, misuse, reuse, full homes; with
 * the argument "spread" over several hosts. */
#include "rank.h"

#include <pthread.h>

#define EXTENT 65536u

static int spread; /* homes are of several hosts */

static void stat_of(int home, mega_home_stat_t *s_p)
{
    MUST(mega_home_stat(home, s_p));
    HOLDS(s_p->home == home && s_p->path[0] == '/');
    HOLDS(s_p->local || spread);
    HOLDS(s_p->size >= s_p->free + s_p->slabs + s_p->runs + s_p->raw);
    HOLDS(s_p->largest_hole <= s_p->free && s_p->spans >= 1);
}

/* ---- Sizes and pointers ---- */

/* Written and read in place, or as another host does. */
static void in_place(mega_gptr_t p, size_t size, size_t usable)
{
    unsigned char *at = mega_ptr(p);
    HOLDS(at && (uintptr_t)at % 16 == 0);
    HOLDS(size < 4096 || (uintptr_t)at % 4096 == 0);
    memset(at, 0x5a, usable);
    HOLDS(mega_gptr_of(at + usable - 1).v == p.v + usable - 1);
}

static void far_away(mega_gptr_t p, size_t usable)
{
    static unsigned char out[4 << 20], in[4 << 20];
    HOLDS(usable <= sizeof out && mega_ptr(p) == NULL);
    memset(out, (int)(usable % 251), usable);
    MUST(mega_put(p, out, usable));
    MUST(mega_quiet());
    MUST(mega_get(in, p, usable));
    HOLDS(memcmp(in, out, usable) == 0);
}

static void one_size(const mega_home_stat_t *home, size_t size)
{
    mega_gptr_t p;
    size_t usable;
    MUST(mega_alloc(MEGA_DEFAULT, home->home, size, &p));
    HOLDS(mega_home(p) == home->home);
    HOLDS(mega_offset(p) % 16 == 0);
    HOLDS(size < 4096 || mega_offset(p) % 4096 == 0);
    MUST(mega_usable_size(p, &usable));
    HOLDS(usable >= size);
    if (home->local)
        in_place(p, size, usable);
    else
        far_away(p, usable);
    MUST(mega_free(p));
}

static void sizes(int argc, char **argv)
{
    mega_gptr_t p;
    (void)argc, (void)argv;
    for (int h = 0; h < mega_nhomes(); h++) {
        mega_home_stat_t home;
        MUST(mega_home_stat(h, &home));
        for (size_t size = 1; size <= 3 << 20; size += size / 4 + 1) {
            one_size(&home, size);
            if (size > 16 && size % 16 == 0)
                one_size(&home, size + 1);
        }
    }
    REFUSED(MEGA_ERR_ARG, mega_alloc(MEGA_DEFAULT, 0, 0, &p));
    REFUSED(MEGA_ERR_ARG, mega_alloc(MEGA_DEFAULT, 0, 1, NULL));
    REFUSED(MEGA_ERR_TOO_BIG, mega_alloc(MEGA_DEFAULT, 0, SIZE_MAX, &p));
    REFUSED(MEGA_ERR_TOO_BIG, mega_alloc(MEGA_DEFAULT, 0, SIZE_MAX / 2, &p));
    HOLDS(mega_alloc(MEGA_DEFAULT, mega_nhomes(), 1, &p) != MEGA_OK);
    HOLDS(mega_alloc(MEGA_DEFAULT, -2, 1, &p) != MEGA_OK);
}

/* Neither freed nor sized; the chunks around it stay. */
static void not_live(mega_gptr_t p)
{
    size_t usable;
    mega_status_t st = mega_free(p);
    HOLDS(st == MEGA_ERR_NOT_LIVE || st == MEGA_ERR_ARG ||
          st == MEGA_ERR_ABSENT);
    HOLDS(mega_errmsg()[0] != '\0');
    HOLDS(mega_usable_size(p, &usable) != MEGA_OK);
}

static void misuse(int argc, char **argv)
{
    static const size_t some[] = {1, 48, 100, 4096, 20480, 40000, 300000};
    uint64_t seed = 7 + (uint64_t)mega_rank();
    mega_region_t r;
    (void)argc, (void)argv;
    MUST(mega_free(mega_null()));
    for (size_t i = 0; i < sizeof some / sizeof some[0]; i++) {
        mega_gptr_t p;
        size_t usable;
        MUST(mega_alloc(MEGA_DEFAULT, MEGA_ANY_HOME, some[i], &p));
        MUST(mega_usable_size(p, &usable));
        not_live(mega_add(p, 1));
        not_live(mega_add(p, 16));
        not_live(mega_add(p, (int64_t)usable / 2));
        if (usable > EXTENT)
            not_live(mega_add(p, EXTENT));
        MUST(mega_free(p));
        REFUSED(MEGA_ERR_NOT_LIVE, mega_free(p));
        REFUSED(MEGA_ERR_NOT_LIVE, mega_free(p));
    }
    size_t none;
    REFUSED(MEGA_ERR_ARG, mega_usable_size(mega_null(), &none));
    REFUSED(MEGA_ERR_ARG, mega_cancel(mega_null()));
    REFUSED(MEGA_ERR_ARG, mega_persist(mega_from_bits(UINT64_MAX), 0));
    not_live(mega_from_bits(1)); /* metadata of home 0 */
    not_live(mega_from_bits(4096));
    not_live(mega_from_bits(UINT64_MAX));
    MUST(mega_region_create("raw", EXTENT, 0, &r));
    not_live(mega_region_at(r, 0, 0, NULL));
    not_live(mega_region_at(r, 0, 64, NULL));
    MUST(mega_region_destroy(&r));
    const int wild = spread ? 2000 : 20000; /* a far one is a round trip */
    for (int i = 0; i < wild; i++)          /* nobody has a chunk now */
        not_live(mega_from_bits(rank_random(&seed) >> i % 60 | 1));
}

static void several(int argc, char **argv)
{
    mega_gptr_t p[300];
    mega_home_stat_t before, after;
    (void)argc, (void)argv;
    MUST(mega_alloc_n(MEGA_DEFAULT, 0, 100, 0, p));
    MUST(mega_alloc_n(MEGA_DEFAULT, MEGA_ANY_HOME, 100, 300, p));
    for (int i = 0; i < 300; i++)
        for (int j = 0; j < i; j++)
            HOLDS(p[i].v - p[j].v + 99 > 198);
    for (int i = 0; i < 300; i++)
        MUST(mega_free(p[i]));
    MUST(mega_barrier());
    if (mega_rank() == 0) {
        stat_of(0, &before);
        HOLDS(mega_alloc_n(MEGA_DEFAULT, 0, 1 << 20, 300, p) != MEGA_OK);
        rank_told("MEGALLOC_HOME_MAX");
        stat_of(0, &after);
        /* the search has given empty slabs back: more may be free than was */
        HOLDS(after.free >= before.free && after.runs == before.runs);
    }
    MUST(mega_barrier());
}

/* ---- Freed memory comes back ---- */

enum { ROUND_CHUNKS = 700 };

/* Rank 0 allocates, the last rank frees, everywhere. A far free is a round
 * trip: over hosts the chunks are fewer, and larger. */
static void freed_by_another(int argc, char **argv)
{
    static mega_gptr_t p[ROUND_CHUNKS];
    const int n = spread ? ROUND_CHUNKS / 7 : ROUND_CHUNKS;
    const size_t unit = spread ? 7 * 24 : 24;
    const int rounds = spread ? 25 : 150, settled = spread ? 10 : 20;
    uint64_t bound = 0;
    (void)argc, (void)argv;
    for (int round = 0; round < rounds; round++) {
        for (int i = 0; mega_rank() == 0 && i < n; i++)
            MUST(mega_alloc(MEGA_DEFAULT, i % mega_nhomes(),
                            (size_t)(i % 90 + 1) * unit, &p[i]));
        MUST(mega_quiet());
        MUST(mega_bcast(p, sizeof p, 0));
        for (int i = 0; mega_rank() == mega_nranks() - 1 && i < n; i++)
            MUST(mega_free(p[i]));
        MUST(mega_barrier());
        mega_home_stat_t s;
        stat_of(0, &s);
        HOLDS(s.live_chunks == 0);
        if (round == settled)
            bound = s.slabs + 16 * EXTENT;
        HOLDS(round <= settled || s.slabs <= bound);
        MUST(mega_barrier());
    }
}

static void *short_life(void *arg)
{
    mega_gptr_t p[200];
    (void)arg;
    for (int i = 0; i < 200; i++)
        MUST(
            mega_alloc(MEGA_DEFAULT, MEGA_ANY_HOME, (size_t)i * 10 + 1, &p[i]));
    for (int i = 0; i < 200; i++)
        MUST(mega_free(p[i]));
    return NULL;
}

static void ended_threads(int argc, char **argv)
{
    uint64_t bound = 0;
    (void)argc, (void)argv;
    for (int i = 0; i < 120; i++) {
        pthread_t thread;
        mega_home_stat_t s;
        HOLDS(pthread_create(&thread, NULL, short_life, NULL) == 0);
        HOLDS(pthread_join(thread, NULL) == 0);
        stat_of(mega_my_home(), &s);
        if (i == 9)
            bound = s.slabs + 32 * EXTENT;
        HOLDS(i <= 9 || s.slabs <= bound);
    }
}

/* ---- A full home ---- */

static size_t fill(int home, size_t size, mega_gptr_t *p, size_t room)
{
    size_t n = 0;
    mega_status_t st;
    while (n < room && (st = mega_alloc(MEGA_DEFAULT, home, size, &p[n])) == 0)
        n++;
    if (n < room)
        HOLDS(st == MEGA_ERR_HOME_FULL);
    return n;
}

static void largest(int home)
{
    mega_home_stat_t s;
    mega_gptr_t p;
    char text[32];
    stat_of(home, &s);
    REFUSED(MEGA_ERR_HOME_FULL,
            mega_alloc(MEGA_DEFAULT, home, s.largest_hole + 1, &p));
    rank_told("MEGALLOC_HOME_MAX");
    snprintf(text, sizeof text, "home %d", home);
    rank_told(text);
    snprintf(text, sizeof text, "%llu", (unsigned long long)s.free);
    rank_told(text);
    snprintf(text, sizeof text, "%llu", (unsigned long long)s.largest_hole);
    rank_told(text);
    snprintf(text, sizeof text, "%llu", (unsigned long long)s.largest_hole + 1);
    rank_told(text);
    MUST(mega_alloc(MEGA_DEFAULT, home, s.largest_hole, &p));
    MUST(mega_free(p));
}

/* Large chunks side by side are one hole again when they are freed, in
 * whatever order. */
static void neighbours(int argc, char **argv)
{
    static const int orders[][3] = {{0, 1, 2}, {1, 0, 2}, {2, 0, 1}, {1, 2, 0}};
    const size_t extent = 65536;
    mega_home_stat_t before, after;
    mega_gptr_t p[3], both;
    (void)argc, (void)argv;
    for (int i = 0; mega_rank() == 0 && i < 4; i++) {
        stat_of(0, &before);
        for (size_t k = 0; k < 3; k++)
            MUST(mega_alloc(MEGA_DEFAULT, 0, (k + 2) * extent, &p[k]));
        HOLDS(p[1].v + 3 * extent == p[0].v && p[2].v + 4 * extent == p[1].v);
        MUST(mega_free(p[orders[i][0]]));
        MUST(mega_free(p[orders[i][1]]));
        if (i < 2) { /* the upper two are gone, and taken as one */
            MUST(mega_alloc(MEGA_DEFAULT, 0, 5 * extent, &both));
            HOLDS(both.v == p[1].v);
            MUST(mega_free(both));
        }
        MUST(mega_free(p[orders[i][2]]));
        stat_of(0, &after);
        HOLDS(after.free == before.free);
        HOLDS(after.largest_hole == before.largest_hole);
    }
    MUST(mega_barrier());
}

/* What the caches of slabs of all ranks may keep from large chunks: of each
 * class a few, whether they are empty or not. */
static uint64_t cached(void)
{
    return (uint64_t)mega_nranks() * 32 * 2 * EXTENT;
}

/* All that is free can be had in large chunks, then in small, then again. */
static void full_home(int argc, char **argv)
{
    static mega_gptr_t p[200000];
    int home = mega_nhomes() - 1;
    size_t size = spread ? 12000 : 100,
           usable; /* a far free costs a round trip */
    mega_home_stat_t s;
    (void)argc, (void)argv;
    for (int turn = spread; mega_rank() == 0 && turn < 2; turn++) {
        size_t n = fill(home, EXTENT, p, 200000);
        stat_of(home, &s);
        HOLDS(s.free == 0 && s.live_bytes == n * EXTENT);
        HOLDS(n * EXTENT + s.slabs + s.raw == s.size);
        HOLDS(s.slabs <= cached());
        while (n-- > 0)
            MUST(mega_free(p[n]));
        stat_of(home, &s);
        HOLDS(s.live_chunks == 0 && s.free + s.slabs + s.raw == s.size);
        largest(home);
        n = fill(home, size, p, 200000);
        rank_told("MEGALLOC_HOME_MAX");
        MUST(mega_usable_size(p[0], &usable));
        HOLDS(s.size > s.raw + cached());
        HOLDS(n * usable >= (s.size - s.raw - cached()) / 100 * 95);
        while (n-- > 0)
            MUST(mega_free(p[n]));
    }
}

/* Other homes serve MEGA_ANY_HOME when mine is full. */
static void any_home(int argc, char **argv)
{
    static mega_gptr_t p[200000];
    (void)argc, (void)argv;
    if (mega_rank() == 0 && mega_nhomes() > 1) {
        size_t n = fill(mega_my_home(), EXTENT, p, 200000);
        for (int i = 0; i < 20; i++, n++) {
            MUST(mega_alloc(MEGA_DEFAULT, MEGA_ANY_HOME, EXTENT, &p[n]));
            HOLDS(mega_home(p[n]) != mega_my_home());
        }
        while (n-- > 0)
            MUST(mega_free(p[n]));
    }
}

/* A handle that ends, and one of another region where it may have lain: each
 * chunk is of the region that was asked for. */
static void handles(int argc, char **argv)
{
    mega_region_t other, kept,
        closed[16]; /* malloc keeps what is freed first */
    mega_gptr_t p, q, r;
    size_t usable;
    (void)argc, (void)argv;
    MUST(mega_region_create("kept", 0, 0, &kept));
    MUST(mega_region_create("other", 0, 0, &other));
    for (int i = 0; i < 16; i++)
        MUST(mega_region_open("kept", &closed[i]));
    for (int i = 0; i < 16; i++)
        MUST(mega_region_close(&closed[i]));
    MUST(mega_region_close(&kept));
    MUST(mega_alloc(other, MEGA_ANY_HOME, 64, &p));
    MUST(mega_alloc(other, MEGA_ANY_HOME, 64, &q));
    MUST(mega_region_close(&other));
    MUST(mega_region_open("kept", &kept));
    MUST(mega_alloc(kept, MEGA_ANY_HOME, 64, &r));
    MUST(mega_free(p));
    MUST(mega_free(r));
    MUST(mega_alloc(kept, MEGA_ANY_HOME, 64, &r));
    MUST(mega_region_open("other", &other));
    MUST(mega_region_destroy(&other));
    MUST(mega_usable_size(r, &usable));
    HOLDS(mega_usable_size(q, &usable) == MEGA_ERR_NOT_LIVE);
    MUST(mega_free(r));
    MUST(mega_region_destroy(&kept));
}

static int found(mega_gptr_t p, size_t usable, void *arg)
{
    (void)p, (void)usable, (void)arg;
    return 1;
}

/* A handle that is left when its region has ended, and another has its name and
 * its record, does nothing to that. */
static void ended(int argc, char **argv)
{
    mega_region_t a, b, next;
    mega_region_stat_t s;
    mega_gptr_t p, q = {0};
    uint64_t iter = 0;
    size_t usable;
    char name[MEGA_NAME_MAX + 1];
    (void)argc, (void)argv;
    MUST(mega_region_create("ended", EXTENT, 0, &a));
    MUST(mega_region_open("ended", &b));
    MUST(mega_alloc(b, MEGA_ANY_HOME, 64, &p));
    MUST(mega_region_destroy(&a));
    HOLDS(a == NULL && mega_usable_size(p, &usable) == MEGA_ERR_NOT_LIVE);
    MUST(mega_region_create("ended", EXTENT, 0, &next));
    REFUSED(MEGA_ERR_ARG, mega_alloc(b, MEGA_ANY_HOME, 64, &q));
    rank_told("region ended was destroyed");
    REFUSED(MEGA_ERR_ARG, mega_reserve(b, MEGA_ANY_HOME, 1 << 20, &q));
    REFUSED(MEGA_ERR_ARG, mega_root_slot(b, "x", &q));
    REFUSED(MEGA_ERR_ARG, mega_root_set(b, "x", mega_null()));
    REFUSED(MEGA_ERR_ARG, mega_root_get(b, "x", &q));
    REFUSED(MEGA_ERR_ARG, mega_root_remove(b, "x"));
    REFUSED(MEGA_ERR_ARG, mega_root_next(b, &iter, name, &q));
    REFUSED(MEGA_ERR_ARG, mega_region_stat(b, &s));
    REFUSED(MEGA_ERR_ARG, mega_walk(b, 0, found, NULL, NULL));
    REFUSED(MEGA_ERR_ARG, mega_region_grow(b, EXTENT));
    REFUSED(MEGA_ERR_ARG, mega_region_destroy(&b));
    HOLDS(mega_is_null(q) && mega_is_null(mega_region_at(b, 0, 0, NULL)));
    MUST(mega_region_close(&b));
    MUST(mega_region_stat(next, &s));
    HOLDS(s.bytes_per_home == EXTENT);
    MUST(mega_region_destroy(&next));
    rank_check_all();
}

int main(int argc, char **argv)
{
    static const struct rank_case cases[] = {
        {"chunks of all sizes are aligned and large enough", sizes},
        {"bad pointers are refused", misuse},
        {"alloc_n gives all or none", several},
        {"chunks are of the region that was asked for", handles},
        {"a handle whose region has ended is refused", ended},
        {"large chunks that are freed are one hole", neighbours},
        {"a full home says what it has, and recovers", full_home},
        {"any home means another if mine is full", any_home},
        {"what another rank frees is used again", freed_by_another},
        {"ended threads keep nothing", ended_threads},
        {"and a home can still be filled", full_home},
        {NULL, NULL}};
    spread = argc > 1 && strcmp(argv[1], "spread") == 0;
    rank_steps(cases, argc, argv);
    return 0;
}
