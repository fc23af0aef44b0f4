/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * kills.c - rank program that is killed: builds lists, one per turn of each
 * rank, by publish and by alloc, persist, link, and takes from them by publish.
 * When it starts again all that was linked is there, whole, and no chunk is in
 * two places.
 */
#include <limits.h>
#include <signal.h>
#include <sys/time.h>

#include "rank.h"

enum { LISTS = 8, LONGEST = 20000, ENDLESS = INT_MAX };

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
    static uint64_t seen[LISTS * LONGEST];
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
            HOLDS(usable >= node.size && n < LISTS * LONGEST);
            unsigned char bytes[sizeof node + 900];
            const unsigned char *at = rank_view(p, bytes, node.size);
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

static uint64_t read_top(mega_gptr_t slot, struct node *top)
{
    uint64_t bits;
    *top = (struct node){.seq = 0};
    MUST(mega_fetch64(slot, &bits));
    if (bits)
        MUST(mega_get(top, mega_from_bits(bits), sizeof *top));
    return bits;
}

/* They return the length of the list. */

static uint64_t add(mega_gptr_t slot, uint64_t seed, int how)
{
    struct node top, node = {.size = sizeof(struct node) + seed % 900};
    unsigned char bytes[sizeof node + 900], *at;
    mega_gptr_t p;
    node.next = mega_from_bits(read_top(slot, &top));
    node.seq = top.seq + 1;
    int home = (int)(seed >> 12) & 1 ? MEGA_ANY_HOME : 0;
    if (how)
        MUST(mega_reserve(MEGA_DEFAULT, home, node.size, &p));
    else
        MUST(mega_alloc(MEGA_DEFAULT, home, node.size, &p));
    node.self = p;
    at = rank_place(p, bytes);
    memset(at, (int)(node.seq & 255), node.size);
    memcpy(at, &node, sizeof node);
    rank_placed(p, at, node.size);
    MUST(mega_persist(p, node.size));
    if (how) {
        mega_publish_item_t items[2] = {{MEGA_PUBLISH_ALLOC, p, mega_null()},
                                        {MEGA_PUBLISH_SET, p, slot}};
        MUST(mega_publish(items, 2, 0));
    } else {
        MUST(mega_set64(slot, p.v));
        MUST(mega_persist(slot, 8));
    }
    return node.seq;
}

static uint64_t take(mega_gptr_t slot)
{
    struct node top;
    mega_gptr_t p = mega_from_bits(read_top(slot, &top));
    if (mega_is_null(p))
        return 0;
    mega_publish_item_t items[2] = {{MEGA_PUBLISH_FREE, p, mega_null()},
                                    {MEGA_PUBLISH_SET, top.next, slot}};
    MUST(mega_publish(items, 2, 0));
    return top.seq - 1;
}

/* This process dies at a random moment, at any instruction. */
static void die(int signal)
{
    (void)signal;
    raise(SIGKILL);
}

static void die_after(long us)
{
    struct itimerval when = {{0, 0}, {us / 1000000, us % 1000000}};
    signal(SIGALRM, die);
    if (us > 0)
        HOLDS(setitimer(ITIMER_REAL, &when, NULL) == 0);
}

/* What all do together: a region comes, grows and goes. */
static void region_turn(int turn)
{
    char name[24];
    mega_region_t r = NULL;
    mega_gptr_t p;
    snprintf(name, sizeof name, "region-%d", turn);
    mega_status_t st = mega_region_open(name, &r); /* a crash has left it */
    if (st != MEGA_ERR_NOT_FOUND)
        MUST(st);
    if (!st)
        MUST(mega_region_destroy(&r));
    MUST(mega_region_create(name, 6000000, 0, &r)); /* the home grows */
    p = mega_region_at(r, mega_my_home(), 0, NULL);
    const unsigned char *raw = mega_ptr(p);
    for (int i = 0; i < 65536; i += 512) /* the first run's */
        HOLDS(raw[i] == 0);
    MUST(mega_barrier());
    memset(mega_ptr(p), 255, 65536);
    MUST(mega_persist(p, 65536));
    MUST(mega_region_grow(r, 70000));
    MUST(mega_alloc(r, MEGA_ANY_HOME, 5000, &p));
    MUST(mega_persist(p, 5000));
    MUST(mega_barrier());
    MUST(mega_region_destroy(&r));
}

/* What a rank does alone: names and large chunks. */
static void coarse_turn(int turn, uint64_t x)
{
    char name[32];
    mega_gptr_t p;
    MUST(mega_alloc(MEGA_DEFAULT, MEGA_ANY_HOME, 70000 + x % 300000, &p));
    MUST(mega_persist(p, 70000));
    snprintf(name, sizeof name, "large-%d-%d", mega_rank(), turn % 3);
    mega_status_t st = mega_root_remove(MEGA_DEFAULT, name);
    if (st != MEGA_ERR_NOT_FOUND)
        MUST(st);
    MUST(mega_root_set(MEGA_DEFAULT, name, p));
    MUST(mega_root_remove(MEGA_DEFAULT, name));
    MUST(mega_free(p));
}

/* What a rank does on the home of the next one; hosts.sh: far away. */
static void run_turn(int home, uint64_t x)
{
    mega_gptr_t p;
    MUST(mega_alloc(MEGA_DEFAULT, home, 70000 + x % 100000, &p));
    MUST(mega_persist(p, 70000));
    MUST(mega_free(p));
}

/* Makes slabs with room that nobody owns, leaves no extent free, and goes on
 * asking: such slabs are adopted. */
static void squeeze(int home)
{
    enum { CHUNKS = 45, MORE = 20, RUNS = 200, SIZE = 20000, EXTENT = 65536 };
    mega_gptr_t chunk[CHUNKS + MORE], run[RUNS];
    mega_home_stat_t stat;
    unsigned nruns = 0;
    MUST(mega_home_stat(home, &stat));
    if (stat.free > RUNS * EXTENT)
        return;
    for (int i = 0; i < CHUNKS; i++) /* more slabs than a thread keeps */
        MUST(mega_alloc(MEGA_DEFAULT, home, SIZE, &chunk[i]));
    for (int i = 0; i < CHUNKS; i += 3)
        MUST(mega_free(chunk[i]));
    MUST(mega_drain());
    MUST(mega_home_stat(home, &stat));
    for (; nruns < RUNS && nruns < stat.free / EXTENT; nruns++)
        MUST(mega_alloc(MEGA_DEFAULT, home, EXTENT, &run[nruns]));
    for (int i = CHUNKS; i < CHUNKS + MORE; i++)
        MUST(mega_alloc(MEGA_DEFAULT, home, SIZE, &chunk[i]));
    for (unsigned i = 0; i < nruns; i++)
        MUST(mega_free(run[i]));
    for (int i = 0; i < CHUNKS + MORE; i++)
        if (i >= CHUNKS || i % 3)
            MUST(mega_free(chunk[i]));
}

static void work(uint64_t seed, int turns, int together)
{
    char name[20];
    mega_gptr_t slot, junk;
    const int next = (mega_rank() + 1) % mega_nhomes();
    uint64_t length = LONGEST; /* unknown */
    snprintf(name, sizeof name, "list-%d", mega_rank() % LISTS);
    MUST(mega_root_slot(MEGA_DEFAULT, name, &slot));
    for (int i = 0; i < turns; i++) {
        uint64_t x = rank_random(&seed) >> 20;
        if (length >= LONGEST || (!together && (x >> 40) % 4 == 0))
            length = take(slot);
        else
            length = add(slot, x, (int)(x >> 30) & 1);
        MUST(mega_alloc(MEGA_DEFAULT, MEGA_ANY_HOME, x % 3000 + 1, &junk));
        MUST(mega_free(junk));
        if (together && i % 100 == 50)
            coarse_turn(i, x);
        if (together && i % 100 == 75)
            run_turn(next, x);
        if (together && i == 60)
            squeeze(next);
        if (together && i % 100 == 99)
            region_turn(i);
    }
}

/* build SEED: until a rank is killed */
static void build(int argc, char **argv)
{
    HOLDS(argc == 1);
    MUST(mega_init());
    rank_check_all();
    if (mega_rank() == 0)
        verify();
    MUST(mega_barrier());
    work((uint64_t)(atoi(argv[0]) * 31 + mega_rank()), ENDLESS, 0);
}

/* crash SEED US: the same, with all that there is to do; one rank dies after
 * so many microseconds, if not 0. What an open finds is verified first. */
static void crash(int argc, char **argv)
{
    HOLDS(argc == 2);
    int seed = atoi(argv[0]);
    MUST(mega_init());
    rank_check_all();
    if (mega_rank() == 0)
        verify();
    MUST(mega_barrier());
    if (mega_rank() == seed % mega_nranks())
        die_after(atol(argv[1]));
    work((uint64_t)(seed * 31 + mega_rank()), atol(argv[1]) ? ENDLESS : 600, 1);
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
        {"build", build}, {"crash", crash}, {"look", look}, {NULL, NULL}};
    return rank_main(cases, argc, argv);
}
