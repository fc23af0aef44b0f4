/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * regions.c - rank program that is killed while it creates, grows and destroys
 * regions all the time. When it starts again each region is on all homes or on
 * none, holds what was written to it, and no memory is lost.
 */
#include "rank.h"

enum { NAMES = 6, STEP = 40960 + 8 };

static void name_of(int i, char name[20])
{
    snprintf(name, 20, "region-%d", i);
}

static uint64_t tag(uint32_t id, int home, uint64_t off)
{
    return (uint64_t)id << 40 | (uint64_t)home << 32 | off | 1;
}

/* Every tagged byte is zero or as this region has written it. */
static void verify_home(mega_region_t r, const mega_region_stat_t *s, int home)
{
    uint64_t v, len;
    mega_gptr_t p;
    for (uint64_t off = 0; off + 8 <= s->bytes_per_home; off += STEP) {
        p = mega_region_at(r, home, off, &len);
        HOLDS(!mega_is_null(p) && mega_home(p) == home && len >= 8);
        MUST(mega_get(&v, p, 8));
        HOLDS(v == 0 || v == tag(s->id, home, off));
    }
    p = mega_region_at(r, home, s->bytes_per_home - 1, &len);
    HOLDS(!mega_is_null(p) && len == 1);
    p = mega_region_at(r, home, s->bytes_per_home, NULL);
    HOLDS(mega_is_null(p));
}

static int count_chunk(mega_gptr_t p, size_t usable, void *arg)
{
    (void)p, (void)usable;
    ++*(int *)arg;
    return 0;
}

static void verify_region(mega_region_t r, mega_region_stat_t *s)
{
    mega_gptr_t p;
    int chunks = 0;
    MUST(mega_region_stat(r, s));
    for (int h = 0; h < mega_nhomes(); h++) {
        verify_home(r, s, h);
        MUST(mega_walk(r, h, count_chunk, &chunks, NULL));
    }
    if (mega_root_get(r, "chunk", &p) == MEGA_OK && !mega_is_null(p)) {
        size_t usable;
        HOLDS(chunks == 1);
        MUST(mega_usable_size(p, &usable));
        HOLDS(usable >= 3000);
    }
}

/* All regions; and all memory that is not free belongs to one of them. */
static int verify(void)
{
    uint64_t held = 0, used = 0;
    mega_region_stat_t s;
    mega_region_t r;
    int n = 0;
    for (int i = 0; i < NAMES; i++) {
        char name[20];
        name_of(i, name);
        mega_status_t st = mega_region_open(name, &r);
        HOLDS(st == MEGA_OK || st == MEGA_ERR_NOT_FOUND);
        if (st)
            continue;
        verify_region(r, &s);
        held += s.extents;
        n++;
        MUST(mega_region_close(&r));
    }
    MUST(mega_region_stat(MEGA_DEFAULT, &s));
    for (int h = 0; h < mega_nhomes(); h++) {
        mega_home_stat_t home;
        MUST(mega_home_stat(h, &home));
        used += home.slabs + home.runs + home.raw;
        HOLDS(home.free + home.slabs + home.runs + home.raw == home.size);
    }
    HOLDS(used == held + s.extents);
    MUST(mega_barrier());
    return n;
}

static void mark(mega_region_t r, uint64_t from)
{
    mega_region_stat_t s;
    int home = mega_my_home();
    uint64_t v;
    MUST(mega_region_stat(r, &s));
    HOLDS(from == 0 || from < s.bytes_per_home);
    for (uint64_t off = 0; off + 8 <= s.bytes_per_home; off += STEP) {
        mega_gptr_t p = mega_region_at(r, home, off, NULL);
        MUST(mega_get(&v, p, 8));
        /* new memory is zeroed; another rank may have this home, too */
        HOLDS(v == 0 || v == tag(s.id, home, off));
        v = tag(s.id, home, off);
        MUST(mega_put_persist(p, &v, 8));
    }
}

static void give_chunk(mega_region_t r)
{
    mega_gptr_t slot;
    MUST(mega_root_slot(r, "chunk", &slot));
    MUST(mega_alloc_to(r, MEGA_ANY_HOME, 3000, slot));
}

/* One operation, the same in all ranks. */
static void turn(uint64_t x)
{
    mega_region_t r;
    mega_region_stat_t s;
    char name[20];
    uint64_t size = (x >> 8) % 40 * 30000 + 100;
    name_of((int)(x % NAMES), name);
    if (mega_region_open(name, &r) == MEGA_ERR_NOT_FOUND) {
        MUST(mega_region_create(name, size, 0, &r));
        mark(r, 0);
        if (mega_rank() == 0)
            give_chunk(r);
        MUST(mega_region_close(&r));
        return;
    }
    MUST(mega_region_stat(r, &s));
    if (s.bytes_per_home < 3000000 && x >> 20 & 1) {
        MUST(mega_region_grow(r, size));
        mark(r, s.bytes_per_home);
        MUST(mega_region_close(&r));
    } else {
        MUST(mega_region_destroy(&r));
    }
}

/* build SEED: until it is killed. */
static void build(int argc, char **argv)
{
    HOLDS(argc == 1);
    uint64_t seed = strtoull(argv[0], NULL, 10) * 31 + 1;
    MUST(mega_init());
    rank_check_all();
    int n = verify();
    mega_recovery_t rec;
    MUST(mega_recovery(&rec));
    if (mega_rank() == 0)
        printf("found %d regions, %llu ended\n", n,
               (unsigned long long)rec.regions_ended);
    fflush(stdout); /* kills.sh waits for it */
    for (;;)
        turn(rank_random(&seed) >> 20);
}

/* look: verifies, destroys all; then all memory is free. */
static void look(int argc, char **argv)
{
    mega_region_t r;
    mega_home_stat_t s;
    (void)argc, (void)argv;
    MUST(mega_init());
    rank_check_all();
    verify();
    for (int i = 0; i < NAMES; i++) {
        char name[20];
        name_of(i, name);
        if (mega_region_open(name, &r) == MEGA_OK)
            MUST(mega_region_destroy(&r));
    }
    for (int h = 0; h < mega_nhomes(); h++) {
        MUST(mega_home_stat(h, &s));
        HOLDS(s.raw == 0 && s.live_chunks == 0 && s.free == s.size);
    }
    rank_check_all();
    MUST(mega_finalize());
}

int main(int argc, char **argv)
{
    static const struct rank_case cases[] = {
        {"build", build}, {"look", look}, {NULL, NULL}};
    return rank_main(cases, argc, argv);
}
