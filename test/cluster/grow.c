/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * grow.c - rank program: homes grow while the job runs. One rank fills a home
 * until it has a new span and tells the others pointers into it; each of them
 * meets the span by another call.
 */
#include <sys/resource.h>

#include "rank.h"

enum { BIG = 1 << 20, SMALL = 100, FILLERS = 100000 };

static mega_gptr_t filler[FILLERS];
static int nfiller;

static int span_of(mega_gptr_t p)
{
    return (int)(p.v >> MEGA_OFFSET_BITS & ((1u << MEGA_SPAN_BITS) - 1));
}

/* A chunk in this span or a later one; what lies before it is kept. */
static mega_gptr_t alloc_in(int home, int span, size_t size)
{
    mega_gptr_t p;
    MUST(mega_alloc(MEGA_DEFAULT, home, size, &p));
    while (span_of(p) < span) {
        HOLDS(nfiller < FILLERS);
        filler[nfiller++] = p;
        MUST(mega_alloc(MEGA_DEFAULT, home, size, &p));
    }
    return p;
}

static void free_fillers(void)
{
    while (nfiller > 0)
        MUST(mega_free(filler[--nfiller]));
}

/* ---- The first call that names a chunk of a new span ---- */

struct note {
    mega_gptr_t self, slot;
    uint64_t key, word;
};

static void same(mega_gptr_t p, const struct note *note)
{
    HOLDS(note->self.v == p.v && note->key == ~p.v);
}

static void by_get(mega_gptr_t p)
{
    struct note note;
    MUST(mega_get(&note, p, sizeof note));
    same(p, &note);
}

static void by_ptr(mega_gptr_t p)
{
    const struct note *note = mega_ptr(p);
    if (!note) { /* of another host */
        HOLDS(mega_home(p) != mega_my_home());
        by_get(p);
        return;
    }
    HOLDS(mega_gptr_of(note).v == p.v);
    same(p, note);
}

static void by_put(mega_gptr_t p)
{
    uint64_t word = 5;
    MUST(mega_put(mega_add(p, offsetof(struct note, word)), &word, 8));
}

static void by_amo(mega_gptr_t p)
{
    uint64_t old;
    MUST(mega_fetch_add64(mega_add(p, offsetof(struct note, word)), 3, &old));
    HOLDS(old == 0);
}

static void by_persist(mega_gptr_t p)
{
    MUST(mega_persist(p, sizeof(struct note)));
}

static void by_usable_size(mega_gptr_t p)
{
    size_t usable;
    MUST(mega_usable_size(p, &usable));
    HOLDS(usable >= SMALL);
}

static void by_copy(mega_gptr_t p)
{
    struct note note;
    mega_gptr_t to;
    MUST(mega_alloc(MEGA_DEFAULT, MEGA_ANY_HOME, sizeof note, &to));
    MUST(mega_copy(to, p, sizeof note));
    MUST(mega_get(&note, to, sizeof note));
    same(p, &note);
    MUST(mega_free(to));
}

static void by_lock(mega_gptr_t p)
{
    mega_gptr_t lock = mega_add(p, offsetof(struct note, word));
    MUST(mega_trylock(lock, 0));
    MUST(mega_unlock(lock, 0));
}

static void by_slot(mega_gptr_t p)
{
    mega_gptr_t slot = mega_add(p, offsetof(struct note, slot));
    MUST(mega_alloc_to(MEGA_DEFAULT, MEGA_ANY_HOME, 50, slot));
    MUST(mega_free_from(slot));
}

static void by_free(mega_gptr_t p)
{
    MUST(mega_free(p));
    REFUSED(MEGA_ERR_NOT_LIVE, mega_free(p));
}

static void (*const meet[])(mega_gptr_t) = {
    by_get,         by_ptr,  by_put,  by_amo,  by_persist,
    by_usable_size, by_copy, by_lock, by_slot, by_free};
enum { MEET = sizeof meet / sizeof meet[0] };

/* ---- Rounds ---- */

static mega_gptr_t write_note(int home, int span, size_t size)
{
    mega_gptr_t p = alloc_in(home, span, size);
    struct note note = {.self = p, .key = ~p.v};
    MUST(mega_put_persist(p, &note, sizeof note));
    return p;
}

/* A new span on the home; a note in it for each other rank, and a root. */
static void grow(mega_region_t box, int home, int round)
{
    mega_home_stat_t s;
    char name[20];
    size_t size = round & 1 ? BIG : SMALL;
    MUST(mega_home_stat(home, &s));
    (void)alloc_in(home, s.spans, BIG);
    snprintf(name, sizeof name, "%d.%d", home, s.spans);
    MUST(mega_root_set(MEGA_DEFAULT, name, write_note(home, s.spans, size)));
    for (int r = 0; r < mega_nranks(); r++)
        if (r != mega_rank())
            MUST(mega_set64(mega_region_at(box, 0, 8 * (uint64_t)r, NULL),
                            write_note(home, s.spans, size).v));
}

static void follow(mega_region_t box, int round, unsigned *met_p)
{
    mega_gptr_t slot = mega_region_at(box, 0, 8 * (uint64_t)mega_rank(), NULL);
    int how = (round * (mega_nranks() - 1) + mega_rank()) % MEET;
    uint64_t v;
    MUST(mega_wait_until(slot, MEGA_CMP_NE, 0, 60000));
    MUST(mega_fetch64(slot, &v));
    HOLDS(span_of(mega_from_bits(v)) > 0);
    meet[how](mega_from_bits(v));
    *met_p |= 1u << how;
    if (meet[how] != by_free) {
        by_get(mega_from_bits(v));
        MUST(mega_free(mega_from_bits(v)));
    }
    MUST(mega_set64(slot, 0));
}

/* rounds COUNT */
static void rounds(int argc, char **argv)
{
    mega_region_t box;
    unsigned met = 0;
    HOLDS(argc == 1);
    MUST(mega_init());
    MUST(mega_region_create("box", 4096, 0, &box));
    for (int round = 0; round < atoi(argv[0]); round++) {
        int home = round % mega_nhomes();
        if (round % mega_nranks() == mega_rank())
            grow(box, home, round);
        else
            follow(box, round, &met);
        MUST(mega_barrier());
    }
    free_fillers();
    rank_check_all();
    for (int how = 0; how < MEET; how++)
        if (met & 1u << how)
            printf("met %d\n", how); /* grow.sh counts them */
    MUST(mega_region_destroy(&box));
    MUST(mega_finalize());
}

/* at_once: all ranks make one home grow together. */
static void at_once(int argc, char **argv)
{
    enum { EACH = 24 };
    static mega_gptr_t got[64 * EACH];
    mega_home_stat_t before, after;
    (void)argc, (void)argv;
    MUST(mega_init());
    int first = EACH * mega_rank(), n = mega_nranks();
    HOLDS(n <= 64);
    MUST(mega_home_stat(0, &before));
    MUST(mega_barrier());
    for (int i = 0; i < EACH; i++)
        got[first + i] = write_note(0, 0, BIG);
    for (int r = 0; r < n; r++)
        MUST(mega_bcast(got + EACH * r, EACH * sizeof got[0], r));
    for (int i = 0; i < EACH; i++) {
        mega_gptr_t p = got[(first + EACH + i) % (EACH * n)];
        by_get(p);
        MUST(mega_free(p));
    }
    MUST(mega_barrier());
    MUST(mega_home_stat(0, &after));
    HOLDS(after.spans > before.spans && after.live_chunks == 0);
    rank_check_all();
    MUST(mega_finalize());
}

/* look SPANS: the notes of the job before, in all spans that were new. */
static void look(int argc, char **argv)
{
    char name[MEGA_NAME_MAX + 1];
    uint64_t iter = 0;
    mega_gptr_t p;
    int n = 0;
    HOLDS(argc == 1);
    MUST(mega_init());
    for (; mega_root_next(MEGA_DEFAULT, &iter, name, &p) == MEGA_OK; n++) {
        HOLDS(strtol(name, NULL, 10) == mega_home(p) && span_of(p) > 0);
        by_get(p);
    }
    HOLDS(n == atoi(argv[0]));
    rank_check_all();
    MUST(mega_finalize());
}

static void allow_files(rlim_t n, struct rlimit *before)
{
    HOLDS(getrlimit(RLIMIT_NOFILE, before) == 0);
    struct rlimit now = {n, before->rlim_max};
    HOLDS(setrlimit(RLIMIT_NOFILE, &now) == 0);
}

static int count_chunk(mega_gptr_t p, size_t usable, void *arg)
{
    (void)p, (void)usable;
    ++*(long *)arg;
    return 0;
}

/* Who cannot map the new span of home 0 is told so by all that look at it. */
static void look_without_files(long chunks)
{
    mega_home_stat_t home;
    mega_region_stat_t region;
    struct rlimit all, none;
    uint64_t bad;
    long n = 0;
    allow_files(3, &all);
    mega_status_t by_stat = mega_home_stat(0, &home);
    mega_status_t by_region = mega_region_stat(MEGA_DEFAULT, &region);
    mega_status_t by_check = mega_check(0, rank_violation, NULL, &bad);
    mega_status_t by_walk = mega_walk(MEGA_DEFAULT, 0, count_chunk, &n, NULL);
    allow_files(all.rlim_cur, &none);
    HOLDS(by_stat == MEGA_ERR_IO && by_region == MEGA_ERR_IO);
    HOLDS(by_check == MEGA_ERR_IO && by_walk == MEGA_ERR_IO);
    n = 0;
    MUST(mega_walk(MEGA_DEFAULT, 0, count_chunk, &n, NULL));
    HOLDS(n == chunks);
}

/* unmapped, of two ranks: the other one may open no file. */
static void unmapped(int argc, char **argv)
{
    (void)argc, (void)argv;
    MUST(mega_init());
    HOLDS(mega_nranks() == 2);
    if (mega_rank() == 0)
        alloc_in(0, 1, BIG);
    long chunks = nfiller + 1;
    MUST(mega_bcast(&chunks, sizeof chunks, 0));
    if (mega_rank() == 1)
        look_without_files(chunks);
    rank_check_all();
    MUST(mega_finalize());
}

/* elsewhere DIR: home 0 grows after the program has changed its directory. */
static void elsewhere(int argc, char **argv)
{
    HOLDS(argc == 1);
    MUST(mega_init());
    HOLDS(chdir(argv[0]) == 0);
    alloc_in(0, 1, BIG);
    rank_check_all();
    MUST(mega_finalize());
}

int main(int argc, char **argv)
{
    static const struct rank_case cases[] = {
        {"rounds", rounds},     {"at_once", at_once},     {"look", look},
        {"unmapped", unmapped}, {"elsewhere", elsewhere}, {NULL, NULL}};
    return rank_main(cases, argc, argv);
}
