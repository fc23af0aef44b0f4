/* SPDX-License-Identifier: BSD-3-Clause */
/* net_sight.c - rank program: what ranks see of homes of other hosts, and
 * publish there; test/cluster/net.sh starts it. */
#include "rank.h"

static int count_chunk(mega_gptr_t p, size_t usable, void *arg)
{
    HOLDS(!mega_is_null(p) && usable >= 100);
    ++*(int *)arg;
    return 0;
}

static void sight(int argc, char **argv)
{
    mega_region_t r;
    mega_region_stat_t of_region;
    mega_gptr_t p;
    int n = 0, nhomes = mega_nhomes();
    (void)argc, (void)argv;
    MUST(mega_region_create("seen", 0, 0, &r));
    for (int i = 0; i < 24; i++)
        MUST(mega_alloc(r, i % nhomes, i < 8 ? 100000 : 100, &p));
    MUST(mega_barrier());
    for (int h = 0; h < nhomes; h++) {
        mega_home_stat_t s;
        uint64_t bad = 1;
        MUST(mega_walk(r, h, count_chunk, &n, NULL));
        MUST(mega_home_stat(h, &s));
        HOLDS(s.home == h && s.spans > 0 && s.live_chunks > 0);
        HOLDS(s.free > 0 && s.runs > 0 && strstr(s.path, "/home-") &&
              strstr(s.path, ".0.pool"));
        MUST(mega_check(h, rank_violation, NULL, &bad));
        HOLDS(bad == 0);
    }
    HOLDS(n == 24 * mega_nranks());
    MUST(mega_region_stat(r, &of_region));
    HOLDS(of_region.extents >= ((uint64_t)nhomes + 16) << 16);
    MUST(mega_region_destroy(&r));
}

/* Also by a rank whose host has no home. */
static void links(int argc, char **argv)
{
    mega_region_t r;
    mega_gptr_t slot, p;
    size_t usable;
    (void)argc, (void)argv;
    MUST(mega_region_create("linked", 4096, 0, &r));
    for (int h = 0; h < mega_nhomes(); h++)
        for (int i = 0; i < 20; i++) {
            slot = mega_region_at(r, h, 8 * (uint64_t)mega_rank(), NULL);
            MUST(mega_alloc_to(r, i % mega_nhomes(), 100, slot));
            MUST(mega_get(&p, slot, 8));
            MUST(mega_usable_size(p, &usable));
            MUST(mega_free_from(slot));
            MUST(mega_get(&p, slot, 8));
            HOLDS(mega_is_null(p));
        }
    MUST(mega_barrier());
    MUST(mega_region_destroy(&r));
}

int main(int argc, char **argv)
{
    static const struct rank_case cases[] = {{"all homes are seen", sight},
                                             {"links to all homes", links},
                                             {NULL, NULL}};
    rank_steps(cases, argc, argv);
    return 0;
}
