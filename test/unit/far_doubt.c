/* SPDX-License-Identifier: BSD-3-Clause */
/* far_doubt.c - messages with marks that were not answered: what was not sent
 * is sent again; what was, and may have been done, is not. */
#include <criterion/criterion.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include "arena.h"
#include "chunk.h"
#include "rma.h"
#include "roll.h"
#include "space.h"
#include "test/lib/invariants.h"
#include "test/lib/net_delay.h"
#include "test/lib/ops.h"
#include "test/lib/report.h"
#include "test/lib/world.h"

#define NEAR 1 /* home 0 is far */

static struct medium *m;

static void begin(void)
{
    m = world_begin();
    world_set("HOME_SIZE", "6M");
    world_set("HOME_MAX", "6M");
    world_set("TIMEOUT", "1");
}

static void end(void)
{
    world_set("TIMEOUT", NULL);
    world_end(&m);
    report_settle();
}

TestSuite(far_doubt, .init = begin, .fini = end, .timeout = 120);

/* ---- Marks: what calls itself durable later, is ---- */

#define MARKS 1200 /* every other is more than a message has parts */

static mega_gptr_t marked[MARKS], others;

static mega_status_t drain(struct mega__ctx *ctx)
{
    return mega__rma_drain(ctx);
}

static void *drain_all(void *ctx)
{
    static mega_status_t st;
    struct mega__flusher f = {0};
    st = mega__arena_drain_all(ctx, &f);
    return &st;
}

static mega_status_t drain_by_another(struct mega__ctx *ctx)
{
    pthread_t thread;
    void *st;
    CHECK(pthread_create(&thread, NULL, drain_all, ctx) == 0, "no thread");
    pthread_join(thread, &st);
    return *(mega_status_t *)st;
}

static mega_status_t (*drained_by)(struct mega__ctx *ctx);
static unsigned lost_after; /* messages */

/* Every other chunk is freed between, and one of another's slab. */
static void send_twice(struct mega__ctx *ctx, int rank, void *arg)
{
    (void)arg;
    if (rank == 0) {
        OK(ops_alloc(ctx, OPS_DEFAULT, 0, 48, &others));
        OK(drain(ctx));
    }
    world_barrier(ctx);
    if (rank == NEAR) {
        for (unsigned i = 0; i < MARKS; i++)
            OK(ops_alloc(ctx, OPS_DEFAULT, 0, 128, &marked[i]));
        for (unsigned i = 0; i < MARKS; i += 2)
            OK(ops_free(ctx, marked[i]));
        OK(ops_free(ctx, others));
        net_delay_fail_after(ctx->net, lost_after, MEGA_ERR_NOMEM);
        CHECK(drained_by(ctx) == MEGA_ERR_NOMEM, "all was sent");
        CHECK(drained_by(ctx) == MEGA_ERR_NOMEM, "all is said to be sent");
        net_delay_fail_after(ctx->net, UINT_MAX, MEGA_OK);
        OK(drain(ctx));
    }
    world_barrier(ctx);
}

static void find_marked(struct mega__ctx *ctx, int rank, void *arg)
{
    size_t usable;
    (void)arg;
    for (unsigned i = 0; rank == 0 && i < MARKS; i++) {
        mega_status_t st = mega__chunk_usable(ctx, marked[i], &usable);
        CHECK(st == (i % 2 ? MEGA_OK : MEGA_ERR_NOT_LIVE), "chunk %u: %d", i,
              st);
    }
    if (rank == 0)
        CHECK(mega__chunk_usable(ctx, others, &usable) == MEGA_ERR_NOT_LIVE,
              "what was freed is live");
    world_barrier(ctx);
}

static void send_and_lose(mega_status_t (*by)(struct mega__ctx *ctx))
{
    drained_by = by;
    for (lost_after = 0; lost_after < 2; lost_after++) {
        world_on_hosts(m, 2, send_twice, WORLD_KILL);
        world_on_hosts(m, 2, find_marked, WORLD_CLOSE);
    }
}

Test(far_doubt, marks_whose_message_was_not_sent_are_sent_again)
{
    send_and_lose(drain);
}

Test(far_doubt, and_when_another_thread_could_not_send_them)
{
    send_and_lose(drain_by_another);
}

/* Its home has it LIVE, or not: who frees it sends that in any case. */
static void free_in_doubt(struct mega__ctx *ctx, int rank, void *arg)
{
    (void)arg;
    if (rank == NEAR) {
        OK(ops_alloc(ctx, OPS_DEFAULT, 0, 64, &marked[1])); /* stays */
        OK(ops_alloc(ctx, OPS_DEFAULT, 0, 64, &marked[0]));
        net_delay_late(ctx->net, MEGA_ERR_PEER); /* its medium has failed */
        CHECK(drain(ctx) == MEGA_ERR_PEER, "it was told as durable");
        OK(ops_free(ctx, marked[0]));
        OK(drain(ctx));
    }
    world_barrier(ctx);
}

static void find_freed(struct mega__ctx *ctx, int rank, void *arg)
{
    size_t usable;
    (void)arg;
    if (rank == 0) {
        OK(mega__chunk_usable(ctx, marked[1], &usable));
        CHECK(mega__chunk_usable(ctx, marked[0], &usable) == MEGA_ERR_NOT_LIVE,
              "what was freed is live");
    }
    world_barrier(ctx);
}

Test(far_doubt, a_chunk_whose_mark_was_in_doubt_is_freed)
{
    world_on_hosts(m, 2, free_in_doubt, WORLD_KILL);
    world_on_hosts(m, 2, find_freed, WORLD_CLOSE);
}

/* ---- As many frees as may wait, beside a drain that cannot send them ---- */

static mega_gptr_t freed[MEGA__FAR_FREES + 1]; /* one more than wait */
static _Atomic bool under_way;

static void be_slow(void *arg)
{
    (void)arg;
    under_way = true;
    usleep(100000);
}

static void free_beside_drain(struct mega__ctx *ctx, int rank, void *arg)
{
    pthread_t thread;
    void *st;
    (void)arg;
    for (unsigned i = 0; rank == 0 && i <= MEGA__FAR_FREES; i++)
        OK(ops_alloc(ctx, OPS_DEFAULT, 0, 48, &freed[i]));
    if (rank == 0)
        OK(drain(ctx));
    world_barrier(ctx);
    if (rank == NEAR) {
        for (unsigned i = 0; i < MEGA__FAR_FREES; i++)
            OK(ops_free(ctx, freed[i]));
        net_delay_late(ctx->net, MEGA_ERR_NOMEM);
        net_delay_after(ctx->net, be_slow, NULL);
        CHECK(pthread_create(&thread, NULL, drain_all, ctx) == 0, "no thread");
        while (!under_way)
            sched_yield();
        OK(ops_free(ctx, freed[MEGA__FAR_FREES]));
        pthread_join(thread, &st);
        CHECK(*(mega_status_t *)st == MEGA_ERR_NOMEM, "they were sent");
        OK(drain(ctx));
    }
    world_barrier(ctx);
}

static void find_freed_on(struct mega__ctx *ctx, int on, int rank)
{
    size_t usable;
    for (unsigned i = 0; rank == on && i <= MEGA__FAR_FREES; i++)
        CHECK(mega__chunk_usable(ctx, freed[i], &usable) == MEGA_ERR_NOT_LIVE,
              "chunk %u is live", i);
    world_barrier(ctx);
}

static void find_on_first(struct mega__ctx *ctx, int rank, void *arg)
{
    (void)arg;
    find_freed_on(ctx, 0, rank);
}

Test(far_doubt, a_free_waits_for_a_drain_that_has_the_list)
{
    world_on_hosts(m, 2, free_beside_drain, WORLD_KILL);
    world_on_hosts(m, 2, find_on_first, WORLD_CLOSE);
}

/* ---- One of two homes is lost ---- */

#define THIRD 2

/* Until one is still on its way. */
static void put_some(struct mega__ctx *ctx, mega_gptr_t p)
{
    struct net_delay_counts n;
    do {
        OK(mega__rma_put(ctx, p, "", 1));
        n = net_delay_counts(ctx->net);
    } while (n.puts == n.delivered_late);
}

static void lose_one_of_two(struct mega__ctx *ctx, int rank, void *arg)
{
    (void)arg;
    for (unsigned i = 0; rank == THIRD && i <= MEGA__FAR_FREES; i++)
        OK(ops_alloc(ctx, OPS_DEFAULT, THIRD, 48, &freed[i]));
    if (rank == THIRD)
        OK(drain(ctx));
    world_barrier(ctx);
    if (rank == NEAR) {
        OK(ops_alloc(ctx, OPS_DEFAULT, THIRD, 64, &marked[0]));
        OK(ops_alloc(ctx, OPS_DEFAULT, 0, 64, &marked[1]));
        OK(ops_alloc(ctx, OPS_DEFAULT, THIRD, 64, &marked[2]));
        put_some(ctx, marked[1]);
        net_delay_stray(ctx->net);
        CHECK(drain_by_another(ctx) == MEGA_ERR_TIMEOUT, "nothing was lost");
        CHECK(mega__rma_quiet(ctx) == MEGA_ERR_TIMEOUT, "the put was not");
        OK(ops_free(ctx, marked[2]));
        for (unsigned i = 0; i <= MEGA__FAR_FREES; i++)
            OK(ops_free(ctx, freed[i]));
        CHECK(drain(ctx) == MEGA_ERR_TIMEOUT, "nothing is lost any more");
    }
    world_barrier(ctx);
}

static void find_on_third(struct mega__ctx *ctx, int rank, void *arg)
{
    size_t usable;
    (void)arg;
    if (rank == THIRD) {
        OK(mega__chunk_usable(ctx, marked[0], &usable));
        CHECK(mega__chunk_usable(ctx, marked[2], &usable) == MEGA_ERR_NOT_LIVE,
              "what was freed is live");
    }
    find_freed_on(ctx, THIRD, rank);
}

Test(far_doubt, a_home_that_is_lost_keeps_no_marks_from_the_others)
{
    world_on_hosts(m, 3, lose_one_of_two, WORLD_KILL);
    world_on_hosts(m, 3, find_on_third, WORLD_CLOSE);
}

/* ---- What was sent and not answered ---- */

static void take_again(struct mega__ctx *ctx, mega_gptr_t p)
{
    mega_gptr_t q = mega_null();
    for (unsigned i = 0; i < 10000 && q.v != p.v; i++)
        OK(ops_alloc(ctx, OPS_DEFAULT, 0, 48, &q));
    CHECK(q.v == p.v, "it is not free");
    OK(mega__rma_persist(ctx, q, 48));
}

static mega_status_t why;

/* The free is done, and nobody says so; its owner gives the chunk to another.
 */
static void free_and_hear_nothing(struct mega__ctx *ctx, int rank, void *arg)
{
    size_t usable;
    (void)arg;
    if (rank == 0) {
        OK(ops_alloc(ctx, OPS_DEFAULT, 0, 48, &others));
        OK(drain(ctx));
    }
    world_barrier(ctx);
    if (rank == NEAR) {
        OK(ops_free(ctx, others));
        net_delay_late(ctx->net, why);
        CHECK(drain(ctx) == why, "it was told as durable");
    }
    world_barrier(ctx);
    if (rank == 0)
        take_again(ctx, others);
    world_barrier(ctx);
    if (rank == NEAR) {
        CHECK(drain_by_another(ctx) == why, "another thread knows better");
        CHECK(drain(ctx) == why, "it is told as durable later");
    }
    world_barrier(ctx);
    if (rank == 0)
        OK(mega__chunk_usable(ctx, others, &usable));
    world_barrier(ctx);
}

Test(far_doubt, a_free_that_was_done_is_not_sent_again)
{
    why = MEGA_ERR_TIMEOUT;
    world_on_hosts(m, 2, free_and_hear_nothing, WORLD_KILL);
    why = MEGA_ERR_PEER; /* the server's medium has failed */
    world_on_hosts(m, 2, free_and_hear_nothing, WORLD_KILL);
}

/* The free of an own chunk arrives when that has been given out again. */
static void free_and_take(struct mega__ctx *ctx, int rank, void *arg)
{
    mega_gptr_t p;
    size_t usable;
    (void)arg;
    if (rank == NEAR) {
        OK(ops_alloc(ctx, OPS_DEFAULT, 0, 48, &marked[0]));
        OK(drain(ctx));
        OK(ops_free(ctx, marked[0]));
        net_delay_stray(ctx->net);
        CHECK(drain(ctx) == MEGA_ERR_TIMEOUT, "it did not stray");
        OK(ops_alloc(ctx, OPS_DEFAULT, 0, 48, &p));
        CHECK(p.v == marked[0].v, "another chunk");
        CHECK(drain_by_another(ctx) == MEGA_ERR_TIMEOUT, "told as durable");
        CHECK(mega__rma_persist(ctx, p, 48) == MEGA_ERR_TIMEOUT, "persisted");
        CHECK(mega__net_flush_all(ctx->net) == MEGA_ERR_TIMEOUT, "committed");
        net_delay_arrive(ctx->net);
    }
    world_barrier(ctx);
    if (rank == 0)
        CHECK(mega__chunk_usable(ctx, marked[0], &usable) == MEGA_ERR_NOT_LIVE,
              "the test is void: nothing came late");
    world_barrier(ctx);
}

Test(far_doubt, no_mark_is_durable_that_an_older_one_may_undo)
{
    world_on_hosts(m, 2, free_and_take, WORLD_KILL);
}

/* ---- Slabs that cannot be given up ---- */

#define BIG 8000 /* some in a slab */
#define BIGS 160 /* of more slabs than are kept */

/* What is allocated meanwhile is durable as soon as a persist says so. */
static void keep_what_is_not_sent(struct mega__ctx *ctx, int rank, void *arg)
{
    (void)arg;
    if (rank == NEAR) {
        net_delay_fail_after(ctx->net, 0, MEGA_ERR_NOMEM);
        for (unsigned i = 0; i < BIGS; i++)
            OK(ops_alloc(ctx, OPS_DEFAULT, 0, BIG, &marked[i]));
        net_delay_fail_after(ctx->net, UINT_MAX, MEGA_OK);
        for (unsigned i = 0; i < BIGS; i++)
            OK(mega__rma_persist(ctx, marked[i], BIG));
    }
    world_barrier(ctx);
}

static void find_big(struct mega__ctx *ctx, int rank, void *arg)
{
    size_t usable;
    (void)arg;
    for (unsigned i = 0; rank == 0 && i < BIGS; i++)
        OK(mega__chunk_usable(ctx, marked[i], &usable));
    world_barrier(ctx);
}

/* Once there is memory they are, and go where they belong. */
static void give_up_later(struct mega__ctx *ctx, int rank, void *arg)
{
    mega_counters_t c;
    keep_what_is_not_sent(ctx, rank, arg);
    if (rank == NEAR) {
        for (unsigned i = 0; i < BIGS; i++)
            OK(ops_free(ctx, marked[i]));
        mega__arena_trim(mega__arena(ctx), mega__home_at(ctx, 0));
        mega__arena_count_all(ctx, &c);
        CHECK(c.extents_released >= BIGS / 8, "%u of %u slabs are free",
              (unsigned)c.extents_released, (unsigned)c.claims);
        CHECK(drain(ctx) != MEGA_OK, "nobody was told");
        CHECK(mega__space_drain(ctx) != MEGA_OK, "nor by a commit");
        OK(drain(ctx));
    }
    world_barrier(ctx);
}

Test(far_doubt, a_slab_whose_marks_were_not_sent_is_not_forgotten)
{
    world_on_hosts(m, 2, keep_what_is_not_sent, WORLD_KILL);
    world_on_hosts(m, 2, find_big, WORLD_CLOSE);
}

Test(far_doubt, and_is_given_up_when_that_is_possible)
{
    world_on_hosts(m, 2, give_up_later, WORLD_CLOSE);
}

/* ---- Puts on their way, to more than one host ---- */

#define WORDS 64

/* What is made durable on one home says nothing of what goes to another. */
static void put_to_two(struct mega__ctx *ctx, int rank, void *arg)
{
    uint64_t word, late = 0;
    (void)arg;
    if (rank < 2) {
        const uint64_t zeros[WORDS] = {0};
        OK(ops_alloc(ctx, OPS_DEFAULT, rank, sizeof zeros, &marked[rank]));
        OK(mega__rma_put_persist(ctx, marked[rank], zeros, sizeof zeros));
    }
    world_barrier(ctx);
    for (int64_t i = 0; rank == 2 && i < WORDS; i++) {
        const mega_gptr_t p = mega_add(marked[0], 8 * i);
        word = 1;
        OK(mega__rma_put(ctx, p, &word, 8));
        OK(mega__rma_put_persist(ctx, marked[1], &word, 8));
        OK(mega__rma_get(ctx, &word, p, 8));
        late += word == 0;
        OK(mega__rma_quiet(ctx));
        OK(mega__rma_get(ctx, &word, p, 8));
        CHECK(word == 1, "a quiet has left word %d behind", (int)i);
    }
    CHECK(rank != 2 || late > 0, "all came before they were flushed");
    world_barrier(ctx);
}

Test(far_doubt, a_message_to_one_host_completes_nothing_on_another)
{
    world_on_hosts(m, 3, put_to_two, WORLD_CLOSE);
}

/* ---- Claims that end midway ---- */

static const size_t sizes[] = {32, 64, 128, 256, 512, 1024};
#define CLAIMS (sizeof sizes / sizeof *sizes)

/* Slabs, each of a class of its own, are given up before they are there. */
static void claim_in_vain(struct mega__ctx *ctx, int rank, void *arg)
{
    mega_gptr_t p;
    (void)arg;
    for (unsigned n = 0; rank == NEAR && n < CLAIMS; n++)
        OK(ops_alloc(ctx, OPS_DEFAULT, 0, sizes[n], &p));
    if (rank == NEAR) {
        net_delay_fail_after(ctx->net, 0, MEGA_ERR_NOMEM);
        mega__arena_give_up_all(ctx);
        net_delay_fail_after(ctx->net, UINT_MAX, MEGA_OK);
        CHECK(ops_drain(ctx) != MEGA_OK, "they were made durable");
        CHECK(mega__space_drain(ctx) != MEGA_OK, "as a commit, by any thread");
    }
    world_barrier(ctx);
}

static void look_for_halves(struct mega__ctx *ctx, int rank, void *arg)
{
    (void)arg;
    if (rank == 0)
        invariants_of_recovery(ctx);
    world_barrier(ctx);
}

/* Nobody is lost, and the job ends as it should. */
Test(far_doubt, the_open_ends_a_claim_that_was_half_made)
{
    world_on_hosts(m, 2, claim_in_vain, WORLD_CLOSE);
    world_on_hosts(m, 2, look_for_halves, WORLD_CLOSE);
}
