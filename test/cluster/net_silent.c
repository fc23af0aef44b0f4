/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * net_silent.c - rank program, each rank on a host of its own (or, growth, all
 * on one): all but rank 0 are stopped, and it has to do with each of them.
 * However many they are, it waits about twice as long as for one. The launcher
 * ends those that are left. Or, linking, rank 1 stops in mega_init.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <time.h>

#include "rank.h"
#include "stop.h"

enum { RANKS = 6, SIZE = 16000, LARGE = 64 << 20 };

static mega_gptr_t at[RANKS]; /* of each home */
static pid_t pids[RANKS];
static time_t began;

static const uint64_t one = 1;

/* Only rank 0 goes on. */
static void begin(void)
{
    MUST(mega_init());
    HOLDS(mega_nranks() == RANKS);
    for (int i = 0; i < RANKS; i++) {
        pids[i] = getpid();
        if (mega_rank() == i)
            MUST(mega_alloc(MEGA_DEFAULT, i, SIZE, &at[i]));
        MUST(mega_bcast(&pids[i], sizeof pids[i], i));
        MUST(mega_bcast(&at[i], sizeof at[i], i));
    }
    if (mega_rank() != 0)
        MUST(mega_barrier()); /* stopped there */
}

static void stop_all(void)
{
    for (int i = 1; i < RANKS; i++)
        stop_rank(pids[i]);
    began = time(NULL);
}

/* At the least as long as is waited for one is allowed for all others, and a
 * second for each. */
static void end(void)
{
    const int limit = atoi(getenv("MEGALLOC_TIMEOUT"));
    HOLDS(time(NULL) - began < 2 * limit + RANKS + 2);
    printf("told: %s\n", mega_errmsg());
    fflush(stdout);
    for (int i = 1; i < RANKS; i++)
        kill(pids[i], SIGKILL);
    _exit(75);
}

static void quiet(int argc, char **argv)
{
    (void)argc, (void)argv;
    begin();
    for (int i = 1; i < RANKS; i++)
        MUST(mega_put(at[i], &one, 8));
    MUST(mega_quiet());
    stop_all();
    for (int i = 1; i < RANKS; i++)
        MUST(mega_put(at[i], &one, 8));
    REFUSED(MEGA_ERR_TIMEOUT, mega_quiet());
    end();
}

/* Marks go to one home after the other. */
static void drain(int argc, char **argv)
{
    mega_gptr_t p;
    (void)argc, (void)argv;
    begin();
    for (int i = 1; i < RANKS; i++)
        MUST(mega_alloc(MEGA_DEFAULT, i, SIZE, &p));
    MUST(mega_drain());
    stop_all();
    for (int i = 1; i < RANKS; i++)
        MUST(mega_alloc(MEGA_DEFAULT, i, SIZE, &p));
    REFUSED(MEGA_ERR_TIMEOUT, mega_drain());
    end();
}

static pthread_barrier_t stage;

static void *put_there(void *home)
{
    const mega_gptr_t p = at[(long)home];
    MUST(mega_put(p, &one, 8));
    MUST(mega_quiet());
    pthread_barrier_wait(&stage);
    pthread_barrier_wait(&stage); /* now it is stopped */
    MUST(mega_put(p, &one, 8));
    pthread_barrier_wait(&stage);
    pause();
    return NULL;
}

/* Of each thread what it has put is waited for. */
static void threads(int argc, char **argv)
{
    pthread_t thread;
    (void)argc, (void)argv;
    begin();
    pthread_barrier_init(&stage, NULL, RANKS);
    for (long i = 1; i < RANKS; i++)
        HOLDS(pthread_create(&thread, NULL, put_there, (void *)i) == 0);
    pthread_barrier_wait(&stage);
    stop_all();
    pthread_barrier_wait(&stage);
    pthread_barrier_wait(&stage);
    REFUSED(MEGA_ERR_TIMEOUT, mega_commit());
    end();
}

/* On one host the threads of a rank take turns to ask a server. */
static void *grow_there(void *home)
{
    mega_gptr_t p;
    REFUSED(MEGA_ERR_TIMEOUT,
            mega_alloc(MEGA_DEFAULT, (int)(long)home, LARGE, &p));
    return NULL;
}

static void growth(int argc, char **argv)
{
    pthread_t thread[RANKS];
    (void)argc, (void)argv;
    begin();
    stop_all();
    for (long i = 1; i < RANKS; i++)
        HOLDS(pthread_create(&thread[i], NULL, grow_there, (void *)i) == 0);
    for (int i = 1; i < RANKS; i++)
        HOLDS(pthread_join(thread[i], NULL) == 0);
    grow_there((void *)1l); /* tells */
    end();
}

/* ---- While the first links are made ---- */

static bool linking;

/* No launcher ends who is stopped. */
static void stop_myself(void)
{
    const pid_t mine = getpid();
    if (fork() == 0) {
        sleep(2 * (unsigned)atoi(getenv("MEGALLOC_TIMEOUT")));
        kill(mine, SIGKILL);
        _exit(0);
    }
    raise(SIGSTOP);
}

/* UCX's; MPI may call it, too. */
int ucp_ep_create(void *worker, const void *params, void **ep);

int ucp_ep_create(void *worker, const void *params, void **ep)
{
    int (*of_ucx)(void *, const void *, void **);
    const char *rank = getenv("OMPI_COMM_WORLD_RANK");
    Dl_info caller, own;
    rank = rank ? rank : getenv("PMI_RANK");
    *(void **)&of_ucx = dlsym(RTLD_NEXT, "ucp_ep_create");
    if (linking && dladdr(__builtin_return_address(0), &caller) &&
        dladdr(&linking, &own) && caller.dli_fbase == own.dli_fbase) {
        linking = false;
        if (atoi(rank) == 1)
            stop_myself();
    }
    return of_ucx(worker, params, ep);
}

static void link_to_one(int argc, char **argv)
{
    (void)argc, (void)argv;
    linking = true;
    const mega_status_t st = mega_init();
    HOLDS(st == MEGA_ERR_TIMEOUT || st == MEGA_ERR_PEER);
    printf("told: %s\n", mega_errmsg());
    fflush(stdout);
    sleep(5); /* the others are told, too */
    _exit(75);
}

int main(int argc, char **argv)
{
    static const struct rank_case cases[] = {
        {"quiet", quiet},   {"drain", drain},         {"threads", threads},
        {"growth", growth}, {"linking", link_to_one}, {NULL, NULL}};
    return rank_main(cases, argc, argv);
}
