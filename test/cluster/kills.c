/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * kills.c - rank program that is killed: builds lists, one per turn of each
 * rank, by publish and by alloc, persist, link. When it starts again all that
 * was linked is there, whole, and no chunk is in two places.
 */
#include "rank.h"

enum { LISTS = 8 };

struct node {
    mega_gptr_t next, self;
    uint64_t seq, size;
};

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void verify(void)
{
    static uint64_t seen[2000000];
    size_t n = 0;
    for (int l = 0; l < LISTS; l++) {
        char name[20];
        mega_gptr_t p;
        uint64_t seq = 0;
        snprintf(name, sizeof name, "list-%d", l);
        if (mega_root_get(MEGA_DEFAULT, name, &p))
            continue;
        for (; !mega_is_null(p); seq--) {
            struct node node;
            size_t usable;
            MUST(mega_get(&node, p, sizeof node));
            HOLDS(node.self.v == p.v && (seq == 0 || node.seq == seq));
            seq = node.seq;
            MUST(mega_usable_size(p, &usable));
            HOLDS(usable >= node.size && n < 2000000);
            const unsigned char *at = mega_ptr(p);
            for (size_t i = sizeof node; i < node.size; i += 97)
                HOLDS(at[i] == (unsigned char)node.seq);
            seen[n++] = p.v;
            p = node.next;
        }
        HOLDS(seq == 0); /* down to the first one */
    }
    qsort(seen, n, sizeof seen[0], by_value);
    for (size_t i = 1; i < n; i++)
        HOLDS(seen[i] != seen[i - 1]);
    printf("found %zu nodes\n", n);
    fflush(stdout); /* kills.sh waits for it */
}

static void add(mega_gptr_t slot, uint64_t seed, int how)
{
    struct node node = {.size = sizeof(struct node) + seed % 900};
    unsigned char *at;
    mega_gptr_t p;
    uint64_t old;
    MUST(mega_fetch64(slot, &old));
    if (old) {
        struct node last;
        MUST(mega_get(&last, mega_from_bits(old), sizeof last));
        node.seq = last.seq;
    }
    node.seq++;
    node.next = mega_from_bits(old);
    int home = (int)(seed >> 12) & 1 ? MEGA_ANY_HOME : 0;
    if (how)
        MUST(mega_reserve(MEGA_DEFAULT, home, node.size, &p));
    else
        MUST(mega_alloc(MEGA_DEFAULT, home, node.size, &p));
    node.self = p;
    at = mega_ptr(p);
    memset(at, (int)(node.seq & 255), node.size);
    memcpy(at, &node, sizeof node);
    MUST(mega_persist(p, node.size));
    if (how) {
        mega_publish_item_t items[2] = {{MEGA_PUBLISH_ALLOC, p, mega_null()},
                                        {MEGA_PUBLISH_SET, p, slot}};
        MUST(mega_publish(items, 2, 0));
    } else {
        MUST(mega_set64(slot, p.v));
        MUST(mega_persist(slot, 8));
    }
}

static void build(int argc, char **argv)
{
    char name[20];
    mega_gptr_t slot, junk;
    HOLDS(argc == 1);
    uint64_t seed = (uint64_t)(atoi(argv[0]) * 31 + mega_rank());
    MUST(mega_init());
    rank_check_all();
    if (mega_rank() == 0)
        verify();
    MUST(mega_barrier());
    snprintf(name, sizeof name, "list-%d", mega_rank() % LISTS);
    MUST(mega_root_slot(MEGA_DEFAULT, name, &slot));
    for (int i = 0; i < 60000; i++) {
        uint64_t x = rank_random(&seed) >> 20;
        add(slot, x, (int)(x >> 30) & 1);
        MUST(mega_alloc(MEGA_DEFAULT, MEGA_ANY_HOME, x % 3000 + 1, &junk));
        MUST(mega_free(junk));
    }
    MUST(mega_finalize());
}

static void look(int argc, char **argv)
{
    (void)argc, (void)argv;
    MUST(mega_init());
    rank_check_all();
    if (mega_rank() == 0)
        verify();
    MUST(mega_finalize());
}

int main(int argc, char **argv)
{
    static const struct rank_case cases[] = {
        {"build", build}, {"look", look}, {NULL, NULL}};
    return rank_main(cases, argc, argv);
}
