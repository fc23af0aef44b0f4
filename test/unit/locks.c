/* SPDX-License-Identifier: BSD-3-Clause */
/* locks.c - locks in the space, and waits for a word. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "log.h"
#include "rma.h"
#include "sync.h"
#include "test/lib/net_delay.h"
#include "test/lib/ops.h"
#include "test/lib/report.h"
#include "test/lib/world.h"

#define RANKS 3
#define TURNS 200
#define WRITE 0u

static struct medium *m;
static mega_gptr_t lock; /* [lock, number, its twin] */

static void begin(void)
{
    m = world_begin();
}

static void end(void)
{
    world_set("TIMEOUT", NULL);
    world_end(&m);
    report_settle();
}

TestSuite(locks, .init = begin, .fini = end, .timeout = 120);

static mega_gptr_t word(unsigned i)
{
    return mega_add(lock, (int64_t)(8 * i));
}

static void make(struct mega__ctx *ctx, int rank)
{
    const uint64_t zero[3] = {0};
    if (rank == 0) {
        OK(ops_alloc(ctx, OPS_DEFAULT, 0, 64, &lock));
        OK(mega__rma_put_persist(ctx, lock, zero, sizeof zero));
    }
    world_barrier(ctx);
}

static void expect(mega_status_t st, mega_status_t want, const char *words)
{
    CHECK(st == want && strstr(mega__errmsg_buffer(), words), "%d, not %d: %s",
          st, want, mega__errmsg_buffer());
}

static void who_may(struct mega__ctx *ctx, int rank, void *arg)
{
    (void)arg;
    make(ctx, rank);
    if (rank == 0) {
        OK(mega__sync_trylock(ctx, lock, WRITE));
        expect(mega__sync_trylock(ctx, lock, WRITE), MEGA_ERR_BUSY, "is held");
        expect(mega__sync_trylock(ctx, lock, MEGA_LOCK_SHARED), MEGA_ERR_BUSY,
               "is held");
        expect(mega__sync_unlock(ctx, lock, MEGA_LOCK_SHARED), MEGA_ERR_STATE,
               "not held so");
        OK(mega__sync_unlock(ctx, lock, WRITE));
        expect(mega__sync_unlock(ctx, lock, WRITE), MEGA_ERR_STATE, "not held");

        OK(mega__sync_lock(ctx, lock, MEGA_LOCK_SHARED));
        OK(mega__sync_trylock(ctx, lock, MEGA_LOCK_SHARED));
        expect(mega__sync_trylock(ctx, lock, WRITE), MEGA_ERR_BUSY, "is held");
        expect(mega__sync_unlock(ctx, lock, WRITE), MEGA_ERR_STATE, "not held");
        OK(mega__sync_unlock(ctx, lock, MEGA_LOCK_SHARED));
        expect(mega__sync_trylock(ctx, lock, WRITE), MEGA_ERR_BUSY, "is held");
        OK(mega__sync_unlock(ctx, lock, MEGA_LOCK_SHARED));
        expect(mega__sync_unlock(ctx, lock, MEGA_LOCK_SHARED), MEGA_ERR_STATE,
               "not held");
        OK(mega__sync_trylock(ctx, lock, WRITE));
        OK(mega__sync_unlock(ctx, lock, WRITE));

        const mega_gptr_t odd = mega_add(lock, 4);
        CHECK(mega__sync_trylock(ctx, odd, WRITE) == MEGA_ERR_ARG, "misplaced");
        CHECK(mega__sync_lock(ctx, mega_null(), WRITE) == MEGA_ERR_ARG, "null");
    }
    world_barrier(ctx);
}

Test(locks, one_writer_or_many_readers)
{
    cr_assert_eq(world_do(1, who_may, NULL), MEGA_OK);
}

/* ---- After a restart ---- */

static void hold(struct mega__ctx *ctx, int rank, void *arg)
{
    make(ctx, rank);
    if (rank == 0)
        OK(mega__sync_lock(ctx, lock, *(const unsigned *)arg));
    if (rank == 0)
        OK(mega__rma_persist(ctx, lock, 8));
    world_barrier(ctx);
}

static void is_free(struct mega__ctx *ctx, int rank, void *arg)
{
    (void)arg;
    if (rank == 0) {
        expect(mega__sync_unlock(ctx, lock, WRITE), MEGA_ERR_STATE, "not held");
        expect(mega__sync_unlock(ctx, lock, MEGA_LOCK_SHARED), MEGA_ERR_STATE,
               "not held");
        OK(mega__sync_trylock(ctx, lock, WRITE));
        OK(mega__sync_unlock(ctx, lock, WRITE));
    }
    world_barrier(ctx);
}

static void is_void(unsigned flags, enum world_end_how how)
{
    struct world w = {.nranks = 2, .fn = hold, .arg = &flags, .end = how};
    cr_assert_eq(world_run(&w), MEGA_OK, "%s", w.message);
    if (how == WORLD_KILL)
        medium_power_loss(m);
    cr_assert_eq(world_do(1, is_free, NULL), MEGA_OK);
}

Test(locks, nobody_holds_one_after_a_crash)
{
    is_void(WRITE, WORLD_KILL);
    is_void(MEGA_LOCK_SHARED, WORLD_KILL);
}

Test(locks, nobody_holds_one_after_a_clean_end)
{
    is_void(WRITE, WORLD_CLOSE);
}

/* ---- Several ranks ---- */

/* Both words are one more, by plain puts that the lock alone protects; a far
 * put is on its way until the unlock (L3). */
static void write_both(struct mega__ctx *ctx)
{
    static _Thread_local uint64_t n;
    OK(mega__sync_lock(ctx, lock, WRITE));
    OK(mega__rma_get(ctx, &n, word(1), 8));
    n++;
    OK(mega__rma_put_nbi(ctx, word(1), &n, 8));
    OK(mega__rma_put_nbi(ctx, word(2), &n, 8));
    OK(mega__sync_unlock(ctx, lock, WRITE));
}

static void read_both(struct mega__ctx *ctx)
{
    uint64_t a, b;
    OK(mega__sync_lock(ctx, lock, MEGA_LOCK_SHARED));
    OK(mega__rma_get(ctx, &a, word(1), 8));
    OK(mega__rma_get(ctx, &b, word(2), 8));
    CHECK(a == b, "half a write is seen: %llu, %llu", (unsigned long long)a,
          (unsigned long long)b);
    OK(mega__sync_unlock(ctx, lock, MEGA_LOCK_SHARED));
}

static void take_turns(struct mega__ctx *ctx, int rank, void *arg)
{
    uint64_t sum;
    (void)arg;
    make(ctx, rank);
    for (int i = 0; i < TURNS; i++) {
        write_both(ctx);
        read_both(ctx);
    }
    world_barrier(ctx);
    OK(mega__rma_get(ctx, &sum, word(1), 8));
    CHECK(sum == RANKS * TURNS, "%llu turns", (unsigned long long)sum);
    world_barrier(ctx);
}

Test(locks, ranks_take_turns)
{
    cr_assert_eq(world_do(RANKS, take_turns, NULL), MEGA_OK);
}

Test(locks, ranks_on_many_hosts_take_turns)
{
    world_on_hosts(m, RANKS, take_turns, WORLD_CLOSE);
}

/* ---- Waits ---- */

static void compare(struct mega__ctx *ctx, int rank, void *arg)
{
    static const struct {
        mega_cmp_t cmp;
        bool less, equal, greater; /* what the word, 10, is to the value */
    } all[] = {
        {MEGA_CMP_EQ, false, true, false}, {MEGA_CMP_NE, true, false, true},
        {MEGA_CMP_GT, false, false, true}, {MEGA_CMP_GE, false, true, true},
        {MEGA_CMP_LT, true, false, false}, {MEGA_CMP_LE, true, true, false}};
    const uint64_t ten = 10;
    (void)arg;
    make(ctx, rank);
    OK(mega__rma_put(ctx, word(1), &ten, 8));
    for (unsigned i = 0; i < sizeof all / sizeof all[0]; i++)
        for (uint64_t value = 9; value <= 11; value++) {
            const bool want = value > ten    ? all[i].less
                              : value == ten ? all[i].equal
                                             : all[i].greater;
            mega_status_t st =
                mega__sync_wait(ctx, word(1), all[i].cmp, value, 0);
            CHECK(st == (want ? MEGA_OK : MEGA_ERR_TIMEOUT),
                  "comparison %u of 10 with %llu: %d", i,
                  (unsigned long long)value, st);
        }
    expect(mega__sync_wait(ctx, word(1), (mega_cmp_t)99, 0, 0), MEGA_ERR_ARG,
           "comparison 99");
    expect(mega__sync_wait(ctx, word(1), MEGA_CMP_EQ, 11, 20), MEGA_ERR_TIMEOUT,
           "is still 10 after 20 ms");
}

Test(locks, a_wait_compares_and_ends_in_time)
{
    cr_assert_eq(world_do(1, compare, NULL), MEGA_OK);
}

/* Each rank waits for the one before. */
static void relay(struct mega__ctx *ctx, int rank, void *arg)
{
    (void)arg;
    make(ctx, rank);
    for (uint64_t i = 0; i < 20; i++) {
        const uint64_t turn = i * RANKS + (uint64_t)rank;
        OK(mega__sync_wait(ctx, word(1), MEGA_CMP_EQ, turn, -1));
        OK(mega__rma_amo(ctx, MEGA_AMO_ADD, 8, word(1), 1, 0, NULL));
    }
    world_barrier(ctx);
}

Test(locks, a_wait_sees_what_other_hosts_do)
{
    world_on_hosts(m, RANKS, relay, WORLD_CLOSE);
}

/* ---- Who is waited for is lost ---- */

/* The lock and the word lie on the home of rank 1, which goes on seeing them.
 * arg: the flags with which rank 0 holds the lock. */
static void lose_holder(struct mega__ctx *ctx, int rank, void *arg)
{
    static mega_gptr_t p;
    static const uint64_t zero[2];
    if (rank == 1) {
        OK(ops_alloc(ctx, OPS_DEFAULT, 1, 64, &p));
        OK(mega__rma_put_persist(ctx, p, zero, sizeof zero));
    }
    world_barrier(ctx);
    if (rank == 0)
        OK(mega__sync_lock(ctx, p, *(const unsigned *)arg));
    world_barrier(ctx);
    if (rank == 1) {
        net_delay_lose(ctx->net);
        mega_status_t st = mega__sync_lock(ctx, p, WRITE);
        CHECK(st == MEGA_ERR_PEER, "the lock: %d", st);
        st = mega__sync_wait(ctx, mega_add(p, 8), MEGA_CMP_EQ, 1, -1);
        CHECK(st == MEGA_ERR_PEER, "the word: %d", st);
        expect(mega__sync_wait(ctx, mega_add(p, 8), MEGA_CMP_EQ, 1, 2500),
               MEGA_ERR_TIMEOUT, "is still 0 after 2500 ms");
    }
    world_barrier(ctx);
}

Test(locks, one_that_a_lost_rank_holds_is_not_waited_for)
{
    static const int hosts[] = {0, 1};
    for (unsigned flags = WRITE; flags <= MEGA_LOCK_SHARED; flags++) {
        struct world w = {.nranks = 2,
                          .hosts = hosts,
                          .fn = lose_holder,
                          .arg = &flags,
                          .end = WORLD_KILL};
        world_set("TIMEOUT", "1");
        cr_assert_eq(world_run(&w), MEGA_OK, "%s", w.message);
    }
}

/* The lock and the word lie with rank 1, which waits; rank 2, the next, does
 * not matter and answers. Rank 0 has the lock, as a reader, and is lost; or
 * somebody has stored over the lock what names no rank. */
enum wait { FOR_WORD, FOR_READER, FOR_NOBODY };

static void lose_another(struct mega__ctx *ctx, int rank, void *arg)
{
    static mega_gptr_t p;
    static const uint64_t zero[2];
    const enum wait what = *(const enum wait *)arg;
    const uint64_t nonsense = ctx->epoch << 32 | UINT32_MAX;
    if (rank == 1) {
        OK(ops_alloc(ctx, OPS_DEFAULT, 1, 64, &p));
        OK(mega__rma_put_persist(ctx, p, zero, sizeof zero));
    }
    world_barrier(ctx);
    if (rank == 0)
        OK(mega__sync_lock(ctx, p, MEGA_LOCK_SHARED));
    world_barrier(ctx);
    if (rank == 1) {
        if (what == FOR_NOBODY)
            OK(mega__rma_put(ctx, p, &nonsense, sizeof nonsense));
        net_delay_lose_rank(ctx->net, 0);
        expect(what != FOR_WORD
                   ? mega__sync_lock(ctx, p, WRITE)
                   : mega__sync_wait(ctx, mega_add(p, 8), MEGA_CMP_EQ, 1, -1),
               MEGA_ERR_PEER, "rank 0 is lost");
    }
    world_barrier(ctx);
}

static void waits_in_vain(enum wait what)
{
    static const int hosts[] = {0, 1, 2};
    struct world w = {.nranks = 3,
                      .hosts = hosts,
                      .fn = lose_another,
                      .arg = &what,
                      .end = WORLD_KILL};
    world_set("TIMEOUT", "1");
    cr_assert_eq(world_run(&w), MEGA_OK, "%s", w.message);
}

Test(locks, a_wait_ends_when_any_rank_is_lost)
{
    waits_in_vain(FOR_WORD);
}

Test(locks, one_that_a_lost_reader_shares_is_not_waited_for)
{
    waits_in_vain(FOR_READER);
}

Test(locks, one_that_is_nonsense_names_no_rank)
{
    waits_in_vain(FOR_NOBODY);
}
