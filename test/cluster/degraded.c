/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * degraded.c - rank program: a space of which homes are missing, opened with
 * MEGALLOC_OPEN=degraded. A chunk on each home names the one on the next home;
 * a file tells the first pointers, for home 0, with the roots, may be absent.
 */
#include "rank.h"

#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>

enum { HOMES = 3 };

struct note {
    uint64_t number;
    mega_gptr_t next;
};

struct places { /* what the file holds */
    mega_gptr_t chunk[HOMES], raw[HOMES];
};

static struct places read_places(const char *name)
{
    struct places p;
    FILE *f = fopen(name, "r");
    HOLDS(f && fread(&p, sizeof p, 1, f) == 1);
    fclose(f);
    return p;
}

/* make FILE clean|crash: by three ranks. */
static void make(int argc, char **argv)
{
    struct places p = {0};
    mega_region_t area;
    char name[20];
    HOLDS(argc == 2);
    MUST(mega_init());
    HOLDS(mega_nhomes() == HOMES);
    MUST(mega_region_create("area", 4096, 0, &area));
    for (int h = 0; h < HOMES; h++) {
        if (mega_rank() == 0)
            MUST(mega_alloc(area, h, sizeof(struct note), &p.chunk[h]));
        MUST(mega_bcast(&p.chunk[h], sizeof p.chunk[h], 0));
        p.raw[h] = mega_region_at(area, h, 0, NULL);
    }
    uint64_t me = (uint64_t)mega_rank();
    struct note note = {me, p.chunk[(me + 1) % HOMES]};
    MUST(mega_put_persist(p.chunk[me], &note, sizeof note));
    MUST(mega_put_persist(p.raw[me], &note, sizeof note));
    snprintf(name, sizeof name, "note.%d", mega_rank());
    MUST(mega_root_set(area, name, p.chunk[me]));
    if (mega_rank() == 0) {
        FILE *f = fopen(argv[0], "w");
        HOLDS(f && fwrite(&p, sizeof p, 1, f) == 1 && fclose(f) == 0);
    }
    MUST(mega_commit());
    if (strcmp(argv[1], "crash") == 0) {
        mega_gptr_t lost; /* whatever is under way */
        MUST(mega_alloc(area, MEGA_ANY_HOME, 100000, &lost));
        MUST(mega_reserve(area, MEGA_ANY_HOME, 100, &lost));
        MUST(mega_barrier());
        raise(SIGKILL);
    }
    MUST(mega_finalize());
}

/* ---- Reading ---- */

static bool absent(const char *list, int home)
{
    char digit[2] = {(char)('0' + home), '\0'};
    return strstr(list, digit) != NULL;
}

static void told_absent(int home)
{
    char text[40];
    snprintf(text, sizeof text, "home %d of %d is missing", home, HOMES);
    rank_told(text);
    snprintf(text, sizeof text, "home-%d.0.pool", home);
    rank_told(text);
}

static void read_present(const struct places *p, int h)
{
    struct note note, *mapped = mega_ptr(p->chunk[h]);
    mega_home_stat_t s;
    size_t usable;
    uint64_t word;
    MUST(mega_get(&note, p->chunk[h], sizeof note));
    HOLDS(note.number == (uint64_t)h);
    HOLDS(note.next.v == p->chunk[(h + 1) % HOMES].v);
    MUST(mega_get(&note, p->raw[h], sizeof note));
    HOLDS(note.number == (uint64_t)h);
    MUST(mega_fetch64(p->chunk[h], &word));
    HOLDS(word == (uint64_t)h);
    MUST(mega_wait_until(p->chunk[h], MEGA_CMP_EQ, (uint64_t)h, 0));
    MUST(mega_usable_size(p->chunk[h], &usable));
    HOLDS(usable >= sizeof note);
    MUST(mega_home_stat(h, &s));
    HOLDS(s.live_chunks > 0 && s.local == (mapped != NULL));
    HOLDS(!mapped || mapped->number == (uint64_t)h);
    HOLDS(!mapped || mega_gptr_of(mapped).v == p->chunk[h].v);
}

static void read_absent(const struct places *p, int h)
{
    struct note note;
    mega_home_stat_t s;
    size_t usable;
    uint64_t word;
    REFUSED(MEGA_ERR_ABSENT, mega_get(&note, p->chunk[h], sizeof note));
    told_absent(h);
    REFUSED(MEGA_ERR_ABSENT, mega_fetch64(p->raw[h], &word));
    told_absent(h);
    REFUSED(MEGA_ERR_ABSENT, mega_usable_size(p->chunk[h], &usable));
    told_absent(h);
    REFUSED(MEGA_ERR_ABSENT, mega_home_stat(h, &s));
    told_absent(h);
    REFUSED(MEGA_ERR_ABSENT, mega_check(h, NULL, NULL, &word));
    told_absent(h);
    HOLDS(mega_ptr(p->chunk[h]) == NULL);
}

static int count(mega_gptr_t p, size_t usable, void *arg)
{
    (void)p, (void)usable;
    ++*(int *)arg;
    return 0;
}

static void read_names(const struct places *p, const char *list)
{
    mega_region_t area;
    mega_gptr_t q;
    char name[MEGA_NAME_MAX + 1];
    uint64_t iter = 0;
    if (absent(list, 0)) {
        REFUSED(MEGA_ERR_ABSENT, mega_region_open("area", &area));
        told_absent(0);
        REFUSED(MEGA_ERR_ABSENT, mega_root_get(MEGA_DEFAULT, "note.0", &q));
        told_absent(0);
        REFUSED(MEGA_ERR_ABSENT, mega_root_slot(MEGA_DEFAULT, "note.0", &q));
        told_absent(0);
        return;
    }
    MUST(mega_region_open("area", &area));
    for (int h = 0; h < HOMES; h++) {
        int n = 0;
        snprintf(name, sizeof name, "note.%d", h);
        MUST(mega_root_get(area, name, &q));
        HOLDS(q.v == p->chunk[h].v);
        MUST(mega_root_next(area, &iter, name, &q)); /* in any order */
        HOLDS(q.v == p->chunk[atoi(name + 5)].v);
        if (absent(list, h)) {
            HOLDS(mega_is_null(mega_region_at(area, h, 0, NULL)));
            continue;
        }
        HOLDS(mega_region_at(area, h, 0, NULL).v == p->raw[h].v);
        MUST(mega_walk(area, h, count, &n, NULL));
        HOLDS(n > 0);
    }
    MUST(mega_root_slot(area, "note.1", &q));
    MUST(mega_get(&q, q, 8));
    HOLDS(q.v == p->chunk[1].v);
    MUST(mega_region_close(&area));
}

/* ---- Writing ---- */

static sigjmp_buf back;

static void on_fault(int signal)
{
    siglongjmp(back, signal);
}

static void store_is_caught(mega_gptr_t p)
{
    struct sigaction act = {.sa_handler = on_fault}, was;
    volatile uint64_t *at = mega_ptr(p);
    if (!at) /* another host's */
        return;
    sigaction(SIGSEGV, &act, &was);
    int caught = sigsetjmp(back, 1);
    if (!caught)
        *at = 7;
    sigaction(SIGSEGV, &was, NULL);
    HOLDS(caught == SIGSEGV);
}

#define WRITES(call)                                                           \
    do {                                                                       \
        REFUSED(MEGA_ERR_UNSUPPORTED, call);                                   \
        rank_told("without MEGALLOC_OPEN=degraded");                           \
    } while (0)

static void write_chunks(mega_gptr_t p, mega_gptr_t slot)
{
    mega_publish_item_t item = {MEGA_PUBLISH_SET, p, slot};
    mega_gptr_t q, many[4];
    for (int h = MEGA_ANY_HOME; h < HOMES; h++) {
        WRITES(mega_alloc(MEGA_DEFAULT, h, 8, &q));
        WRITES(mega_alloc(MEGA_DEFAULT, h, 1 << 20, &q));
        WRITES(mega_reserve(MEGA_DEFAULT, h, 100, &q));
        WRITES(mega_alloc_to(MEGA_DEFAULT, h, 100, slot));
    }
    WRITES(mega_alloc_n(MEGA_DEFAULT, MEGA_ANY_HOME, 8, 4, many));
    WRITES(mega_free(p));
    WRITES(mega_cancel(p));
    WRITES(mega_publish(&item, 1, 0));
}

static void write_bytes(mega_gptr_t p)
{
    uint64_t word = 1, old;
    mega_iov_t iov = {p, &word, 8};
    WRITES(mega_put(p, &word, 8));
    WRITES(mega_put_nbi(p, &word, 8));
    WRITES(mega_putv(&iov, 1));
    WRITES(mega_put_signal(p, &word, 8, p, 1));
    WRITES(mega_put_persist(p, &word, 8));
    WRITES(mega_copy(p, p, 8));
    WRITES(mega_persist(p, 8));
    WRITES(mega_fetch_add64(p, 1, NULL));
    WRITES(mega_cswap64(p, 1, 2, &old));
    WRITES(mega_set64(p, 1));
    WRITES(mega_lock(p, 0));
    WRITES(mega_trylock(p, MEGA_LOCK_SHARED));
    store_is_caught(p);
}

static void write_names(const struct places *p, const char *list)
{
    mega_region_t area;
    WRITES(mega_region_create("more", 0, 0, &area));
    if (absent(list, 0))
        return;
    MUST(mega_region_open("area", &area));
    WRITES(mega_root_set(area, "note.0", p->chunk[0]));
    WRITES(mega_root_set(area, "new", p->chunk[0]));
    WRITES(mega_root_remove(area, "note.0"));
    WRITES(mega_region_grow(area, 4096));
    WRITES(mega_region_destroy(&area));
}

/* look FILE CLEAN ABSENT: with MEGALLOC_OPEN=degraded. */
static void look(int argc, char **argv)
{
    HOLDS(argc == 3);
    const struct places p = read_places(argv[0]);
    mega_recovery_t r;
    MUST(mega_init());
    MUST(mega_recovery(&r));
    HOLDS(r.clean == atoi(argv[1]) && r.epoch == 1 && !r.created);
    HOLDS(mega_nhomes() == HOMES);
    for (int h = 0; h < HOMES; h++) {
        if (absent(argv[2], h)) {
            read_absent(&p, h);
            continue;
        }
        uint64_t bad = 1;
        read_present(&p, h);
        write_chunks(p.chunk[h], p.raw[h]);
        write_bytes(p.chunk[h]);
        write_bytes(p.raw[h]);
        MUST(mega_check(h, rank_violation, NULL, &bad));
        HOLDS(bad == 0);
    }
    read_names(&p, argv[2]);
    write_names(&p, argv[2]);
    MUST(mega_drain());
    MUST(mega_commit());
    MUST(mega_barrier());
    MUST(mega_finalize());
}

/* whole FILE CLEAN: all is there, and can be changed. */
static void whole(int argc, char **argv)
{
    HOLDS(argc == 2);
    const struct places p = read_places(argv[0]);
    mega_recovery_t r;
    mega_gptr_t q;
    MUST(mega_init());
    MUST(mega_recovery(&r));
    HOLDS(r.clean == atoi(argv[1]) && r.epoch == 2);
    for (int h = 0; h < HOMES; h++)
        read_present(&p, h);
    read_names(&p, "-");
    MUST(mega_alloc(MEGA_DEFAULT, MEGA_ANY_HOME, 8, &q));
    MUST(mega_free(q));
    MUST(mega_finalize());
}

/* late FILE: a job names one more chunk, durably, and is killed. */
static void late(int argc, char **argv)
{
    HOLDS(argc == 1);
    const struct places p = read_places(argv[0]);
    MUST(mega_init());
    if (mega_rank() == 0)
        MUST(mega_root_set(MEGA_DEFAULT, "late", p.chunk[1]));
    MUST(mega_barrier());
    raise(SIGKILL);
}

/* later FILE: what was named late is found. */
static void later(int argc, char **argv)
{
    mega_gptr_t q;
    HOLDS(argc == 1);
    const struct places p = read_places(argv[0]);
    MUST(mega_init());
    MUST(mega_root_get(MEGA_DEFAULT, "late", &q));
    HOLDS(q.v == p.chunk[1].v);
    MUST(mega_finalize());
}

int main(int argc, char **argv)
{
    static const struct rank_case cases[] = {{"make", make},   {"look", look},
                                             {"whole", whole}, {"late", late},
                                             {"later", later}, {NULL, NULL}};
    return rank_main(cases, argc, argv);
}
