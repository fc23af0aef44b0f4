/* SPDX-License-Identifier: BSD-3-Clause */
/* threads.c - threads that end, and what they leave behind. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <string.h>

#include "arena.h"
#include "chunk.h"
#include "hot.h"
#include "seg.h"
#include "test/lib/net_delay.h"
#include "test/lib/ops.h"
#include "test/lib/oracle.h"
#include "test/lib/world.h"

static struct medium *m;
static struct oracle nothing;

static void begin(void)
{
    m = world_begin();
}

static void end(void)
{
    world_end(&m);
    report_settle();
}

TestSuite(threads, .init = begin, .fini = end, .timeout = 120);

/* ---- A thread ends while its job does ---- */

#define ENDING 3
static sem_t done;

static void *work_and_end(void *arg)
{
    struct mega__ctx *ctx = arg;
    mega_gptr_t p[8];
    for (int i = 0; i < 8; i++)
        OK(ops_alloc(ctx, OPS_DEFAULT, 0, (size_t)64 << i, &p[i]));
    for (int i = 0; i < 8; i++)
        OK(ops_free(ctx, p[i]));
    sem_post(&done); /* what is left to do is to end */
    return NULL;
}

static void leave_them_alone(struct mega__ctx *ctx, int rank, void *arg)
{
    pthread_attr_t detached;
    pthread_t thread;
    (void)rank, (void)arg;
    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    for (int i = 0; i < ENDING; i++)
        pthread_create(&thread, &detached, work_and_end, ctx);
    for (int i = 0; i < ENDING; i++)
        sem_wait(&done);
    pthread_attr_destroy(&detached);
}

static void nothing_is_lost(struct mega__ctx *ctx, int rank, void *arg)
{
    (void)rank, (void)arg;
    oracle_exhaust(ctx, &nothing, 1);
}

Test(threads, one_may_end_while_its_job_does)
{
    world_set("HOME_SIZE", "8M");
    world_set("HOME_MAX", "8M");
    sem_init(&done, 0, 0);
    for (int i = 0; i < 400; i++)
        cr_assert_eq(world_do(1, leave_them_alone, NULL), MEGA_OK);
    cr_assert_eq(world_do(1, nothing_is_lost, NULL), MEGA_OK);
}

/* ---- A thread ends and waits for another host ---- */

static atomic_bool meanwhile; /* another thread began, and ended */

static void *begin_and_end(void *arg)
{
    mega_counters_t count;
    mega_gptr_t p;
    OK(ops_alloc(arg, OPS_DEFAULT, 0, 64, &p));
    mega__arena_count_all(arg, &count);
    return NULL;
}

/* By the thread that ends, when its message is there, and no answer yet. */
static void see_another(void *arg)
{
    struct timespec late;
    pthread_t thread;
    clock_gettime(CLOCK_REALTIME, &late);
    late.tv_sec += 20;
    pthread_create(&thread, NULL, begin_and_end, arg);
    if (pthread_timedjoin_np(thread, NULL, &late) == 0)
        meanwhile = true;
    else
        pthread_detach(thread);
}

static void *end_over_there(void *arg)
{
    struct mega__ctx *ctx = arg;
    mega_gptr_t p;
    OK(ops_alloc(ctx, OPS_DEFAULT, 1, 64, &p));
    net_delay_after(ctx->net, see_another, ctx);
    return NULL;
}

static void end_slowly(struct mega__ctx *ctx, int rank, void *arg)
{
    pthread_t thread;
    (void)arg;
    if (rank == 0) {
        pthread_create(&thread, NULL, end_over_there, ctx);
        pthread_join(thread, NULL);
        CHECK(meanwhile, "the end of a thread stops others");
    }
    world_barrier(ctx);
}

Test(threads, others_go_on_while_one_that_ends_waits_for_a_host)
{
    world_on_hosts(m, 2, end_slowly, WORLD_CLOSE);
}

/* ---- A chunk is freed while its slab is given up ---- */

#define MOST 200
static mega_gptr_t held[MOST];
static int nheld;

static void *fill(void *arg)
{
    struct mega__ctx *ctx = arg;
    while (nheld < MOST && !ops_alloc(ctx, OPS_DEFAULT, 0, 32768, &held[nheld]))
        nheld++;
    return NULL;
}

/* As by a thread that saw the owner in the slab's word, and was slow. */
static void free_late(struct mega__ctx *ctx, mega_gptr_t p)
{
    struct mega__place at;
    CHECK(mega__chunk_place(ctx, p, &at), "no chunk");
    atomic_store(at.mark, MEGA__MARK_FREE);
}

static void use_what_was_freed_late(struct mega__ctx *ctx, int rank, void *arg)
{
    pthread_t thread;
    mega_gptr_t p;
    (void)rank, (void)arg;
    nheld = 0;
    pthread_create(&thread, NULL, fill, ctx);
    pthread_join(thread, NULL);
    CHECK(nheld > 10 && nheld < MOST, "%d chunks", nheld);
    free_late(ctx, held[7]);
    OK(ops_alloc(ctx, OPS_DEFAULT, 0, 32768, &p));
    CHECK(p.v == held[7].v, "%#llx is not the chunk that was freed",
          (unsigned long long)p.v);
    CHECK(ops_alloc(ctx, OPS_DEFAULT, 0, 32768, &p) == MEGA_ERR_HOME_FULL,
          "a chunk twice");
}

Test(threads, a_chunk_freed_while_its_slab_is_given_up_is_found)
{
    cr_assert_eq(world_do(1, use_what_was_freed_late, NULL), MEGA_OK);
}

/* ---- The counters are read while it works ---- */

static _Atomic bool has_worked;

static void *claim_and_free(void *arg)
{
    mega_gptr_t p[40];
    for (int turn = 0; turn < 20; turn++) {
        for (int i = 0; i < 40; i++)
            OK(ops_alloc(arg, OPS_DEFAULT, 0, 30000, &p[i]));
        for (int i = 0; i < 40; i++)
            OK(ops_free(arg, p[i]));
        OK(ops_drain(arg));
    }
    has_worked = true;
    return NULL;
}

/* The sanitizer for threads sees what else can be wrong. */
static void count_meanwhile(struct mega__ctx *ctx, int rank, void *arg)
{
    mega_counters_t last = {0}, now;
    pthread_t thread;
    (void)rank, (void)arg;
    has_worked = false;
    CHECK(pthread_create(&thread, NULL, claim_and_free, ctx) == 0, "a thread");
    do {
        mega__arena_count_all(ctx, &now);
        CHECK(now.claims >= last.claims && now.fences >= last.fences,
              "counts fall");
        last = now;
    } while (!has_worked);
    pthread_join(thread, NULL);
}

Test(threads, counters_are_read_while_others_count)
{
    world_set("HOME_SIZE", "8M");
    world_set("HOME_MAX", "8M");
    cr_assert_eq(world_do(1, count_meanwhile, NULL), MEGA_OK);
}

/* ---- The server is asked while its home grows ---- */

static _Atomic bool has_grown;

static void ask_meanwhile(struct mega__ctx *ctx, int rank, void *arg)
{
    mega_gptr_t p;
    (void)arg;
    if (rank == 0)
        has_grown = false;
    world_barrier(ctx);
    if (rank == 0) {
        while (!has_grown)
            ops_root(ctx, "asked for");
    } else {
        for (int i = 0; i < 8; i++)
            OK(ops_alloc(ctx, OPS_DEFAULT, 0, 4 << 20, &p));
        CHECK(ctx->homes[0].seg->nspans > 2, "it has not grown");
        has_grown = true;
    }
    world_barrier(ctx);
}

/* The sanitizer for threads sees who writes what those who ask read. */
Test(threads, a_home_that_grows_is_asked)
{
    world_set("HOME_MAX", "64M");
    cr_assert_eq(world_do(2, ask_meanwhile, NULL), MEGA_OK);
}
