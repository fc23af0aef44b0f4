/* SPDX-License-Identifier: BSD-3-Clause */
/* net_ends.c - rank program: the end of a job of several hosts, and of a rank;
 * test/cluster/net.sh starts it. */
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#include "rank.h"
#include "test/lib/shake.h"

#define AREA (1 << 20)

static mega_region_t area;

static mega_gptr_t at(int home, uint64_t off)
{
    return mega_region_at(area, home, off, NULL);
}

/* The space is opened again in the same processes. */
static void again(int argc, char **argv)
{
    (void)argc, (void)argv;
    for (uint64_t round = 1; round <= 3; round++) {
        uint64_t v;
        MUST(mega_init());
        if (round == 1)
            MUST(mega_region_create("again", 4096, 0, &area));
        else
            MUST(mega_region_open("again", &area));
        MUST(mega_fetch64(at(rank_far_home(area), 8), &v));
        HOLDS(v == round - 1);
        MUST(mega_barrier());
        MUST(mega_set64(at(rank_far_home(area), 8), round));
        MUST(mega_finalize());
    }
}

/* Threads ask the agent of another host; while its thread hands over what it
 * has finished for one, the service there is awake for another. */
static void *ask(void *arg)
{
    for (int i = 0; i < 30; i++) {
        mega_home_stat_t h;
        MUST(mega_home_stat(rank_far_home(area), &h));
    }
    return arg;
}

static void asked(int argc, char **argv)
{
    pthread_t t[3];
    (void)argc, (void)argv;
    MUST(mega_init());
    MUST(mega_region_create("area", 4096, 0, &area));
    shake(3);
    for (int i = 0; i < 3; i++)
        HOLDS(pthread_create(&t[i], NULL, ask, NULL) == 0);
    for (int i = 0; i < 3; i++)
        HOLDS(pthread_join(t[i], NULL) == 0);
    shake(0);
    MUST(mega_finalize());
}

/* ---- Another thread than began ---- */

static pthread_barrier_t stage;

static void *work(void *arg)
{
    uint64_t v;
    mega_gptr_t p;
    MUST(mega_alloc(MEGA_DEFAULT, rank_far_home(area), 100, &p));
    MUST(mega_alloc(MEGA_DEFAULT, mega_my_home(), 100, &p));
    MUST(mega_put_persist(p, &v, sizeof v));
    pthread_barrier_wait(&stage);
    pthread_barrier_wait(&stage); /* lives on, with its slabs */
    return arg;
}

static void *leave(void *arg)
{
    MUST(mega_finalize());
    return arg;
}

/* The thread that ends the space has done nothing in it before. */
static void by_thread(int argc, char **argv)
{
    pthread_t worker, leaver;
    (void)argc, (void)argv;
    MUST(mega_init());
    MUST(mega_region_create("area", 4096, 0, &area));
    pthread_barrier_init(&stage, NULL, 2);
    HOLDS(pthread_create(&worker, NULL, work, NULL) == 0);
    pthread_barrier_wait(&stage);
    HOLDS(pthread_create(&leaver, NULL, leave, NULL) == 0);
    HOLDS(pthread_join(leaver, NULL) == 0);
    pthread_barrier_wait(&stage);
    HOLDS(pthread_join(worker, NULL) == 0);
}

/* Each has freed a chunk of the other's, no more, and all commit: who serves
 * does not wait for who asks. */
static void crossed(int argc, char **argv)
{
    mega_gptr_t mine, other;
    (void)argc, (void)argv;
    MUST(mega_init());
    MUST(mega_region_create("area", 4096, 0, &area));
    MUST(mega_alloc(MEGA_DEFAULT, mega_my_home(), 64, &mine));
    MUST(mega_put(at(mega_my_home(), 0), &mine, sizeof mine));
    MUST(mega_barrier());
    MUST(mega_get(&other, at(rank_far_home(area), 0), sizeof other));
    MUST(mega_free(other));
    MUST(mega_commit());
    MUST(mega_finalize());
}

/* All who live have come here; they use home 0, which is the first host's. Not
 * by mega_wait_until, which ends when a rank is lost. */
static void gather(int living)
{
    uint64_t come = 0;
    mega_status_t st = mega_fetch_add64(at(0, 512), 1, NULL);
    for (int i = 0; !st && come < (uint64_t)living && i < 6000; i++) {
        usleep(10000);
        st = mega_fetch64(at(0, 512), &come);
    }
    /* who was first may have ended, and with it home 0 */
}

/* The last rank dies, or stops, by a signal; who needs it is told in time. */
static void lost(int argc, char **argv)
{
    mega_status_t st = MEGA_OK;
    uint64_t v, pid = (uint64_t)getpid();
    HOLDS(argc == 1);
    MUST(mega_init());
    MUST(mega_region_create("area", AREA, 0, &area));
    int last = mega_nranks() - 1;
    mega_gptr_t p;
    MUST(mega_get(&v, at(last, 0), 8));
    MUST(mega_alloc(MEGA_DEFAULT, last, 64, &p));
    if (mega_rank() == last)
        MUST(mega_set64(at(0, 520), pid));
    MUST(mega_barrier());
    MUST(mega_get(&pid, at(0, 520), 8));
    MUST(mega_barrier());
    if (mega_rank() == last)
        raise(atoi(argv[0]));
    while (!st && !mega_ptr(at(last, 0))) {
        st = mega_put_persist(at(last, 8), &v, 8);
        if (!st)
            st = mega_fetch_add64(at(last, 0), 1, &v);
    }
    if (st == MEGA_ERR_PEER || st == MEGA_ERR_TIMEOUT) {
        char text[600];
        int len = snprintf(text, sizeof text, "told: %s\n", mega_errmsg());
        HOLDS(write(1, text, (size_t)len) == len);
        HOLDS(mega_get(&v, at(last, 8), 8) == st); /* and it stays so */
        HOLDS(mega_put(at(last, 8), &v, 8) == st);
        if (mega_home(p) == last && !mega_ptr(p))
            MUST(mega_free(p)); /* a mark that has to be sent */
        HOLDS(mega_drain() == st);
        HOLDS(mega_drain() == st);
    } else if (st) {
        rank_fault("told otherwise", __FILE__, __LINE__);
    }
    gather(mega_nranks() - 1);
    /* MPICH's launcher ends all then, and may drop what it has not read yet.
     * Who had to ask over UCX for home 0 may not know that all have come. */
    sleep(1);
    if (mega_ptr(at(0, 512)))
        kill((pid_t)pid, SIGKILL);
    _exit(0);
}

int main(int argc, char **argv)
{
    static const struct rank_case cases[] = {
        {"again", again},     {"asked", asked}, {"by_thread", by_thread},
        {"crossed", crossed}, {"lost", lost},   {NULL, NULL}};
    return rank_main(cases, argc, argv);
}
