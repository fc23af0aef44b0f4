/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * net_lost.c - rank program of two hosts that are one machine: rank 0 is told
 * that rank 1, which is stopped, has not answered. What it sent arrives when
 * rank 1 goes on, and nothing that the process does then may build on that;
 * test/cluster/net.sh starts it. With a directory as argument the link to it
 * is cut instead: faults_links.sh does that, when a file there says so.
 */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <time.h>

#include "rank.h"
#include "stop.h"

enum {
    SIZE = 16000,
    HAS = 4,
    TRIES = 64,
    MANY = 33,
    ATOMICS = 200,
    CLOSED_S = 30,
    BESIDE_US = 200000, /* 256 of these are far more than */
    BESIDE_S = 8
};

static mega_gptr_t p; /* of home 1 */
static pid_t victim;
static pthread_barrier_t stage;

static const char *links; /* a directory; NULL: no link is cut */

static void wait_for(const char *name)
{
    char path[300];
    snprintf(path, sizeof path, "%s/%s", links, name);
    while (access(path, F_OK) != 0)
        usleep(10000);
}

static void begin(int argc, char **argv)
{
    links = argc > 0 ? argv[0] : NULL;
    MUST(mega_init());
    victim = getpid();
    MUST(mega_bcast(&victim, sizeof victim, 1));
    pthread_barrier_init(&stage, NULL, 2);
}

/* Rank 1 has it, and so much more that its slab stays. */
static void make_chunk(void)
{
    mega_gptr_t more;
    for (int i = 0; mega_rank() == 1 && i < HAS; i++)
        MUST(mega_alloc(MEGA_DEFAULT, 1, SIZE, i ? &more : &p));
    MUST(mega_bcast(&p, sizeof p, 1));
    MUST(mega_commit());
}

/* p, which is free, is handed out again. */
static void get_again(mega_gptr_t free)
{
    mega_gptr_t q = mega_null();
    for (int i = 0; i < TRIES && q.v != free.v; i++)
        MUST(mega_alloc(MEGA_DEFAULT, 1, SIZE, &q));
    HOLDS(q.v == free.v);
}

static void tell(const char *name)
{
    char path[300];
    snprintf(path, sizeof path, "%s/%s", links, name);
    FILE *file = fopen(path, "w");
    HOLDS(file);
    fclose(file);
}

/* Asks who has started the job to do it. */
static void ask(const char *what, const char *done)
{
    tell(what);
    wait_for(done);
}

/* Who ends earlier is, to one that has not been told yet, a rank that is gone:
 * the link heals behind it. */
static void all_are_told(void)
{
    char name[20];
    snprintf(name, sizeof name, "told-%d", mega_rank());
    tell(name);
    for (int i = 0; i < mega_nranks(); i++) {
        snprintf(name, sizeof name, "told-%d", i);
        wait_for(name);
    }
}

static void stop(void)
{
    if (links) {
        ask("cut", "is-cut");
        return;
    }
    stop_rank(victim);
}

static void let_go(void)
{
    if (links)
        ask("heal", "is-healed");
    else
        HOLDS(kill(victim, SIGCONT) == 0);
}

/* Nobody waits for rank 0 meanwhile: it would be asked whether it is there. */
static void meet(void)
{
    if (links && mega_rank() != 0)
        wait_for("is-healed");
    MUST(mega_barrier());
}

/* fn runs in a thread of its own, from the middle on while rank 1 is stopped.
 * The thread stays, with what it has. */
static void while_stopped(void *(*fn)(void *))
{
    pthread_t thread;
    HOLDS(pthread_create(&thread, NULL, fn, NULL) == 0);
    pthread_barrier_wait(&stage);
    stop();
    pthread_barrier_wait(&stage);
    pthread_barrier_wait(&stage);
    let_go();
}

static void stopped(void)
{
    pthread_barrier_wait(&stage);
    pthread_barrier_wait(&stage);
}

static void *go_on(void *arg)
{
    pthread_barrier_wait(&stage);
    pause();
    return arg;
}

/* What rank 0 has lost it has lost for good, and no collective hides it. */
static void end(const char *what)
{
    REFUSED(MEGA_ERR_TIMEOUT, mega_commit());
    rank_told("rank 1 on host ");
    REFUSED(MEGA_ERR_TIMEOUT, mega_commit());
    if (links)
        all_are_told();
    REFUSED(MEGA_ERR_TIMEOUT, mega_finalize());
    if (what)
        printf("passed: %s\n", what);
}

/* ---- A free of another's chunk ---- */

static void *free_it(void *arg)
{
    MUST(mega_free(p));
    stopped();
    REFUSED(MEGA_ERR_TIMEOUT, mega_drain());
    REFUSED(MEGA_ERR_TIMEOUT, mega_drain());
    return go_on(arg);
}

static void others(int argc, char **argv)
{
    size_t usable;
    begin(argc, argv);
    make_chunk();
    if (mega_rank() == 0)
        while_stopped(free_it);
    meet();
    if (mega_rank() == 1) { /* the message was there */
        while (mega_usable_size(p, &usable) == MEGA_OK)
            sched_yield();
        get_again(p);
        MUST(mega_persist(p, SIZE));
        MUST(mega_root_set(MEGA_DEFAULT, "mine", p));
    }
    MUST(mega_barrier());
    REFUSED(MEGA_ERR_TIMEOUT, mega_commit());
    if (mega_rank() == 1)
        MUST(mega_usable_size(p, &usable));
    end(mega_rank() ? NULL : "a free that was late is not sent again");
}

/* ---- A chunk of an own slab ---- */

static void *free_and_get(void *arg)
{
    MUST(mega_alloc(MEGA_DEFAULT, 1, SIZE, &p));
    MUST(mega_drain());
    stopped();
    MUST(mega_free(p));
    REFUSED(MEGA_ERR_TIMEOUT, mega_drain());
    get_again(p);
    REFUSED(MEGA_ERR_TIMEOUT, mega_persist(p, 8));
    return go_on(arg);
}

static void own(int argc, char **argv)
{
    mega_gptr_t other;
    begin(argc, argv);
    if (mega_rank() == 0) {
        MUST(
            mega_alloc(MEGA_DEFAULT, 1, 64, &other)); /* by a link that works */
        MUST(mega_drain());
        while_stopped(free_and_get);
    }
    meet();
    REFUSED(MEGA_ERR_TIMEOUT, mega_commit());
    if (mega_rank() == 0)
        REFUSED(MEGA_ERR_TIMEOUT, mega_root_set(MEGA_DEFAULT, "mine", p));
    end(mega_rank() ? NULL : "a mark that was late is not told as durable");
}

/* ---- A put ---- */

static void *put_late(void *arg)
{
    uint64_t v = 42;
    MUST(mega_put(p, &v, sizeof v));
    MUST(mega_quiet());
    stopped();
    MUST(mega_put(p, &v, sizeof v));
    REFUSED(MEGA_ERR_TIMEOUT, mega_quiet());
    return go_on(arg);
}

static void put(int argc, char **argv)
{
    uint64_t v;
    mega_region_t area;
    begin(argc, argv);
    MUST(mega_region_create("area", 4096, 0, &area));
    make_chunk();
    if (mega_rank() == 0) {
        MUST(mega_get(&v, p, sizeof v)); /* by a link that works */
        while_stopped(put_late);
        REFUSED(MEGA_ERR_TIMEOUT, mega_free(p));
        REFUSED(MEGA_ERR_TIMEOUT, mega_get(&v, p, sizeof v));
        REFUSED(MEGA_ERR_TIMEOUT, mega_put(p, &v, sizeof v));
    }
    meet();
    REFUSED(MEGA_ERR_TIMEOUT, mega_region_destroy(&area));
    end(mega_rank() ? NULL : "a put that was late meets no new chunk");
}

/* ---- In the middle of a transfer ---- */

#define BIG (UINT64_C(96) << 20)
#define LATE_US 1000000 /* for rank 1 to go on with what it was asked */
static char *big_buf;
static bool big_get;

static void *transfer(void *arg)
{
    uint64_t v;
    MUST(mega_get(&v, p, sizeof v));
    if (big_get)
        MUST(mega_get_nbi(big_buf, p, BIG));
    else
        MUST(mega_put_nbi(p, big_buf, BIG));
    stopped();
    REFUSED(MEGA_ERR_TIMEOUT, mega_quiet());
    memset(big_buf, 9, BIG); /* the caller has it back */
    return go_on(arg);
}

/* middle [get] */
static void middle(int argc, char **argv)
{
    uint64_t len;
    mega_region_t area;
    big_get = argc > 0;
    (void)argv;
    begin(0, NULL);
    MUST(mega_region_create("area", BIG, 0, &area));
    p = mega_region_at(area, 1, 0, &len);
    HOLDS(len >= BIG);
    big_buf = malloc(BIG);
    HOLDS(big_buf);
    memset(big_buf, 7, BIG);
    if (mega_rank() == 0)
        while_stopped(transfer);
    meet();
    usleep(LATE_US);
    MUST(mega_barrier());
    for (uint64_t i = 0; mega_rank() == 0 && i < BIG; i++)
        HOLDS(big_buf[i] == 9);
    end(mega_rank() ? NULL : "a transfer that was given up is over");
}

/* ---- Atomics ---- */

static void *ask_words(void *arg)
{
    static uint64_t v[ATOMICS];
    MUST(mega_get(&v[0], p, 8)); /* by a link that works */
    stopped();
    for (int i = 0; i < ATOMICS; i++)
        MUST(mega_amo_nbi(i % 2 ? MEGA_AMO_FETCH : MEGA_AMO_CSWAP, 0, 8, p, 0,
                          0, &v[i]));
    REFUSED(MEGA_ERR_TIMEOUT, mega_quiet());
    return go_on(arg);
}

static void atomics(int argc, char **argv)
{
    begin(argc, argv);
    make_chunk();
    if (mega_rank() == 0)
        while_stopped(ask_words);
    meet();
    end(mega_rank() ? NULL : "atomics that were given up are over");
}

/* ---- Whose puts they were ---- */

/* More threads than the transport has workers for, so some share one. The two
 * that put while rank 1 is stopped are told by their own quiet, whoever else
 * has asked before. */
static pthread_barrier_t all;

static bool has_put(long i)
{
    return i == MANY - 3 || i == MANY - 2;
}

/* They have their workers in this order; then rank 1 is stopped. */
static void be_stopped_at(long me)
{
    const uint64_t v = 42;
    for (long turn = 0; turn < MANY; turn++) {
        if (turn == me)
            MUST(mega_put(p, &v, sizeof v));
        pthread_barrier_wait(&all);
    }
    MUST(mega_quiet());
    pthread_barrier_wait(&all);
    pthread_barrier_wait(&all);
}

static void *one_of_many(void *arg)
{
    const long me = (long)arg;
    const uint64_t v = 42;
    be_stopped_at(me);
    if (has_put(me))
        MUST(mega_put(p, &v, sizeof v));
    pthread_barrier_wait(&all);
    pthread_barrier_wait(&all); /* now the main thread has asked */
    for (long turn = 0; turn < MANY; turn++) {
        if (turn == me && has_put(me)) {
            REFUSED(MEGA_ERR_TIMEOUT, mega_quiet());
            REFUSED(MEGA_ERR_TIMEOUT, mega_quiet()); /* and it stays so */
        }
        pthread_barrier_wait(&all);
    }
    return arg;
}

static pthread_t threads[MANY];

static void stop_with_many(void *(*fn)(void *))
{
    uint64_t v;
    pthread_barrier_init(&all, NULL, MANY + 1);
    MUST(mega_get(&v, p, sizeof v)); /* a worker, before theirs */
    for (long i = 0; i < MANY; i++)
        HOLDS(pthread_create(&threads[i], NULL, fn, (void *)i) == 0);
    for (int turn = 0; turn <= MANY; turn++)
        pthread_barrier_wait(&all);
    stop();
}

static void join_many(void)
{
    for (long i = 0; i < MANY; i++)
        HOLDS(pthread_join(threads[i], NULL) == 0);
}

/* told [commit]: before them, a commit of all was. */
static void told(int argc, char **argv)
{
    uint64_t v;
    (void)argv;
    begin(0, NULL);
    make_chunk();
    if (mega_rank() == 0) {
        stop_with_many(one_of_many);
        pthread_barrier_wait(&all);
        pthread_barrier_wait(&all);
        REFUSED(MEGA_ERR_TIMEOUT, mega_get(&v, p, sizeof v));
        let_go();
    }
    MUST(mega_barrier());
    if (argc > 0)
        REFUSED(MEGA_ERR_TIMEOUT, mega_commit());
    if (mega_rank() == 0) {
        for (int turn = 0; turn <= MANY; turn++)
            pthread_barrier_wait(&all);
        join_many();
    }
    end(mega_rank() ? NULL : "each that has put is told");
}

/* One of the two waits for its put; the other goes on to put now and then. */
static void *put_or_wait(void *arg)
{
    const long me = (long)arg;
    const uint64_t v = 42;
    const time_t limit = atoi(getenv("MEGALLOC_TIMEOUT"));
    be_stopped_at(me);
    const time_t began = time(NULL);
    while (me == MANY - 2 && mega_put(p, &v, sizeof v) == MEGA_OK)
        usleep(BESIDE_US);
    if (me == MANY - 3) {
        MUST(mega_put(p, &v, sizeof v));
        REFUSED(MEGA_ERR_TIMEOUT, mega_quiet());
    }
    HOLDS(time(NULL) - began < 2 * limit + BESIDE_S);
    return arg;
}

static void beside(int argc, char **argv)
{
    (void)argc, (void)argv;
    begin(0, NULL);
    make_chunk();
    if (mega_rank() == 0) {
        stop_with_many(put_or_wait);
        pthread_barrier_wait(&all);
        join_many();
        let_go();
    }
    MUST(mega_barrier());
    end(mega_rank() ? NULL : "what another puts is no sign of life");
}

/* ---- The end, with many that have a link ---- */

static void *has_a_link(void *arg)
{
    uint64_t v;
    MUST(mega_get(&v, p, sizeof v));
    pthread_barrier_wait(&all);
    pause();
    return arg;
}

/* Rank 1 stays as it is: the launcher ends it. */
static void closing(int argc, char **argv)
{
    pthread_t thread;
    begin(argc, argv);
    make_chunk();
    if (mega_rank() == 1)
        pause(); /* in no collective: rank 0 would take it for its own */
    pthread_barrier_init(&all, NULL, MANY + 1);
    for (int i = 0; i < MANY; i++)
        HOLDS(pthread_create(&thread, NULL, has_a_link, NULL) == 0);
    pthread_barrier_wait(&all);
    stop();
    const time_t began = time(NULL);
    REFUSED(MEGA_ERR_TIMEOUT, mega_finalize());
    HOLDS(time(NULL) - began < CLOSED_S);
    printf("told: %s\n", mega_errmsg());
    fflush(stdout);
    _exit(kill(victim, SIGKILL));
}

int main(int argc, char **argv)
{
    static const struct rank_case cases[] = {
        {"others", others},   {"own", own},       {"put", put},
        {"told", told},       {"middle", middle}, {"atomics", atomics},
        {"closing", closing}, {"beside", beside}, {NULL, NULL}};
    return rank_main(cases, argc, argv);
}
