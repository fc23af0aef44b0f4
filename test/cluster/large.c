/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * large.c - rank program: homes beyond 16 GiB, which is more than a span can
 * have. Touches a page here and there only.
 */
#include "rank.h"

#define GIB (UINT64_C(1) << 30)

enum { PLACES = 5 };

static uint64_t place(uint64_t size, int i)
{
    return (size - 8) / (PLACES - 1) * (uint64_t)i / 8 * 8;
}

static void write_places(mega_gptr_t p, uint64_t size)
{
    for (int i = 0; i < PLACES; i++) {
        uint64_t v = p.v + place(size, i);
        MUST(mega_put_persist(mega_from_bits(v), &v, 8));
    }
}

static void read_places(mega_gptr_t p, uint64_t size)
{
    for (int i = 0; i < PLACES; i++) {
        uint64_t v, at = p.v + place(size, i);
        MUST(mega_get(&v, mega_from_bits(at), 8));
        HOLDS(v == at);
        HOLDS(mega_gptr_of(mega_ptr(mega_from_bits(at))).v == at);
    }
}

/* make GIB: one home of more than so much in all. */
static void make(int argc, char **argv)
{
    mega_home_stat_t s;
    mega_gptr_t p, q;
    uint64_t size = 0;
    HOLDS(argc == 1);
    MUST(mega_init());
    MUST(mega_home_stat(0, &s));
    HOLDS(s.size > (uint64_t)atoi(argv[0]) * GIB && s.spans >= 2);
    HOLDS(s.free == s.size);
    REFUSED(MEGA_ERR_TOO_BIG, mega_alloc(MEGA_DEFAULT, 0, 16 * GIB, &p));
    for (int n = 0; n < 2; n++) { /* the largest holes are two spans */
        char name[20];
        MUST(mega_home_stat(0, &s));
        MUST(mega_alloc(MEGA_DEFAULT, 0, s.largest_hole, &p));
        write_places(p, s.largest_hole);
        snprintf(name, sizeof name, "%llu", (unsigned long long)s.largest_hole);
        MUST(mega_root_set(MEGA_DEFAULT, name, p));
        size += s.largest_hole;
        if (n)
            HOLDS(p.v >> MEGA_OFFSET_BITS != q.v >> MEGA_OFFSET_BITS);
        q = p;
    }
    HOLDS(size > (uint64_t)atoi(argv[0]) * GIB);
    MUST(mega_home_stat(0, &s));
    HOLDS(s.runs == size);
    rank_check_all();
    MUST(mega_finalize());
}

/* look: every rank has it all; then it is freed. */
static void look(int argc, char **argv)
{
    char name[MEGA_NAME_MAX + 1];
    mega_home_stat_t s;
    mega_gptr_t p;
    uint64_t iter = 0;
    int n = 0;
    (void)argc, (void)argv;
    MUST(mega_init());
    for (; mega_root_next(MEGA_DEFAULT, &iter, name, &p) == MEGA_OK; n++) {
        uint64_t size = strtoull(name, NULL, 10);
        size_t usable;
        MUST(mega_usable_size(p, &usable));
        HOLDS(usable == size);
        read_places(p, size);
        MUST(mega_barrier());
        if (mega_rank() == 0) {
            MUST(mega_root_remove(MEGA_DEFAULT, name));
            MUST(mega_free(p));
        }
        MUST(mega_barrier());
    }
    HOLDS(n == 2);
    MUST(mega_barrier());
    MUST(mega_home_stat(0, &s));
    HOLDS(s.runs == 0 && s.live_chunks == 0);
    rank_check_all();
    MUST(mega_finalize());
}

int main(int argc, char **argv)
{
    static const struct rank_case cases[] = {
        {"make", make}, {"look", look}, {NULL, NULL}};
    return rank_main(cases, argc, argv);
}
