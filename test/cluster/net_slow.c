/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * net_slow.c - rank program of two hosts, from inside its library: who is slow
 * and answers is not lost. Flushes meet a thread that begins operations all
 * the time.
 */
#include <pthread.h>
#include <sched.h>

#include "api/api.h"
#include "net_ucx.h"
#include "rank.h"

#define PIECE (UINT64_C(1) << 20)
#define UNDER_WAY 200
#define FLUSHES 5

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

static void get_more(void)
{
    static char to[PIECE];
    MUST(mega_get_nbi(to, chunk, PIECE));
}

/* Never lets an end come to what is under way. */
static void *go_on(void *arg)
{
    struct mega__origin *o;
    struct mega__link *link;
    MUST(mega__ucx_enter(mega__the->net, &o));
    MUST(mega__ucx_server(o, 0, &link));
    mega__ucx_leave(o);
    while (!enough) {
        MUST(mega__ucx_enter(mega__the->net, &o));
        const bool few = link->pending < UNDER_WAY;
        mega__ucx_leave(o);
        if (few)
            get_more();
        else
            sched_yield();
        begun |= !few;
    }
    MUST(mega_quiet());
    return arg;
}

static void beside_gets(int argc, char **argv)
{
    pthread_t thread;
    (void)argc, (void)argv;
    begin(PIECE);
    if (mega_rank() == 1) {
        HOLDS(pthread_create(&thread, NULL, go_on, NULL) == 0);
        while (!begun)
            sched_yield();
        for (int i = 0; i < FLUSHES; i++)
            MUST(mega__net_flush_all(mega__the->net)); /* as a commit does */
        enough = true;
        HOLDS(pthread_join(thread, NULL) == 0);
    }
    end("flushes end while another thread goes on getting");
}

int main(int argc, char **argv)
{
    static const struct rank_case cases[] = {{"beside_gets", beside_gets},
                                             {NULL, NULL}};
    return rank_main(cases, argc, argv);
}
