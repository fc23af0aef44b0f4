/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * net_slow.c - rank program of two hosts, from inside its library: who is slow
 * and answers is not lost. Flushes meet a thread that begins operations all
 * the time; transfers take longer than MEGALLOC_TIMEOUT, for rank 0 is stopped
 * most of the time by a child of it.
 */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <time.h>

#include "api/api.h"
#include "net_ucx.h"
#include "rank.h"

#define PIECE (UINT64_C(1) << 20)
#define UNDER_WAY 200
#define PUT_US 10000 /* the network is to be slower */
#define PUTS 10
#define FLUSHES 5
#define BIG (UINT64_C(96) << 20)
#define BIG_PARTS 12 /* of it, if nobody waits for each */
#define STOPPED_NS 92000000
#define RUNNING_NS 8000000

static mega_gptr_t chunk; /* of home 0, which is far for rank 1 */
static _Atomic bool enough, begun;

static void begin(size_t size)
{
    MUST(mega_init());
    if (mega_rank() == 0)
        MUST(mega_alloc(MEGA_DEFAULT, 0, size, &chunk));
    MUST(mega_bcast(&chunk, sizeof chunk, 0));
    HOLDS(mega__the->homes[0].local == !mega_rank());
}

static void end(const char *what)
{
    MUST(mega_barrier());
    if (mega_rank() == 0)
        printf("passed: %s\n", what);
    MUST(mega_finalize());
}

/* ---- Flushes while others go on ---- */

typedef void more_fn(void);

static void get_more(void)
{
    static char to[PIECE];
    MUST(mega_get_nbi(to, chunk, PIECE));
}

static void put_more(void)
{
    const uint64_t word = 7;
    static unsigned n;
    MUST(mega_put(chunk, &word, sizeof word));
    usleep(PUT_US);
    begun |= ++n > PUTS;
}

/* Never lets an end come to what is under way. */
static void *go_on(void *more)
{
    struct mega__origin *o;
    struct mega__link *link;
    more_fn *const one = *(more_fn **)more;
    MUST(mega__ucx_enter(mega__the->net, &o));
    MUST(mega__ucx_server(o, 0, &link));
    mega__ucx_leave(o);
    while (!enough) {
        MUST(mega__ucx_enter(mega__the->net, &o));
        const bool few = link->pending < UNDER_WAY;
        mega__ucx_leave(o);
        if (few)
            one();
        else
            sched_yield();
        begun |= !few;
    }
    MUST(mega_quiet());
    return NULL;
}

/* does: some times, by a second thread. */
static void beside(more_fn *more, more_fn *does, const char *what)
{
    pthread_t thread;
    begin(PIECE);
    if (mega_rank() == 1) {
        HOLDS(pthread_create(&thread, NULL, go_on, &more) == 0);
        while (!begun)
            sched_yield();
        for (int i = 0; i < FLUSHES; i++)
            does();
        enough = true;
        HOLDS(pthread_join(thread, NULL) == 0);
    }
    end(what);
}

static void flush_all(void) /* as a commit does */
{
    MUST(mega__net_flush_all(mega__the->net));
}

static void beside_gets(int argc, char **argv)
{
    (void)argc, (void)argv;
    beside(get_more, flush_all,
           "flushes end while another thread goes on getting");
}

static void beside_puts(int argc, char **argv)
{
    (void)argc, (void)argv;
    beside(put_more, flush_all,
           "flushes end while another thread goes on putting");
}

/* By the worker of the thread that goes on. */
static void be_refused(void)
{
    struct mega__origin *o = mega__the->net->origins; /* the last made */
    struct mega__link *link;
    const mega_gptr_t mine = mega__gptr(1, 0, mega_offset(chunk));
    pthread_mutex_lock(&o->mutex);
    MUST(mega__ucx_server(o, 0, &link));
    mega__ucx_stamp(link);
    MUST(mega__ucx_put_message(link, mine, "", 1));
    REFUSED(MEGA_ERR_ARG, mega__ucx_flush_link(o, link));
    rank_told("rank 0 serves no such memory");
    MUST(mega__ucx_flush_link(o, link));
    mega__ucx_leave(o);
}

static void beside_refused(int argc, char **argv)
{
    (void)argc, (void)argv;
    beside(get_more, be_refused,
           "a put that is refused ends nothing that is beside it");
}

/* ---- Transfers that take long ---- */

/* A child that, from a byte on that is written to *start_p, lets the caller run
 * for a small part of the time only. */
static pid_t brake_new(int *start_p)
{
    const struct timespec stopped = {.tv_nsec = STOPPED_NS};
    const struct timespec running = {.tv_nsec = RUNNING_NS};
    const pid_t who = getpid();
    char byte;
    int ends[2];
    HOLDS(pipe(ends) == 0);
    const pid_t child = fork();
    HOLDS(child >= 0);
    *start_p = ends[1];
    if (child)
        return child;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    close(ends[1]);
    while (read(ends[0], &byte, 1) == 1)
        for (;;) {
            kill(who, SIGSTOP);
            nanosleep(&stopped, NULL);
            kill(who, SIGCONT);
            nanosleep(&running, NULL);
        }
    _exit(0);
}

typedef void transfer_fn(char *buf);

static void at_slow_rank(transfer_fn *transfer, const char *what)
{
    uint64_t len;
    int start;
    const pid_t brake = brake_new(&start); /* before there are threads */
    char *buf = malloc(BIG);
    mega_region_t region;
    HOLDS(buf);
    begin(4096);
    MUST(mega_region_create("big", BIG, 0, &region));
    chunk = mega_region_at(region, 0, 0, &len);
    HOLDS(len >= BIG);
    memset(buf, 7, BIG);
    if (mega_rank() == 0)
        HOLDS(write(start, "", 1) == 1);
    if (mega_rank() == 1)
        transfer(buf);
    MUST(mega_barrier());
    kill(brake, SIGKILL);
    if (mega_rank() == 0)
        HOLDS(memcmp(mega_ptr(chunk), buf, BIG) == 0);
    end(what);
    free(buf);
}

static void put_then_get(char *buf)
{
    MUST(mega_put(chunk, buf, BIG));
    MUST(mega_quiet());
    memset(buf, 0, BIG);
    MUST(mega_get(buf, chunk, BIG));
}

static void put_then_get_nbi(char *buf)
{
    for (uint64_t at = 0; at < BIG; at += BIG / BIG_PARTS)
        MUST(mega_put_nbi(mega_add(chunk, (int64_t)at), buf + at,
                          BIG / BIG_PARTS));
    MUST(mega_quiet());
    memset(buf, 0, BIG);
    MUST(mega_get_nbi(buf, chunk, BIG));
    MUST(mega_quiet());
    for (uint64_t i = 0; i < BIG; i++)
        HOLDS(buf[i] == 7);
}

static void big(int argc, char **argv)
{
    (void)argc, (void)argv;
    at_slow_rank(put_then_get, "put and get may take longer than the timeout");
}

static void big_nbi(int argc, char **argv)
{
    (void)argc, (void)argv;
    at_slow_rank(put_then_get_nbi, "and so may what a flush waits for");
}

int main(int argc, char **argv)
{
    static const struct rank_case cases[] = {{"beside_gets", beside_gets},
                                             {"beside_puts", beside_puts},
                                             {"beside_refused", beside_refused},
                                             {"big", big},
                                             {"big_nbi", big_nbi},
                                             {NULL, NULL}};
    return rank_main(cases, argc, argv);
}
