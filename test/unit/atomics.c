/* SPDX-License-Identifier: BSD-3-Clause */
/* atomics.c - atomics that are not waited for, over imagined hosts whose
 * network delivers them late and in any order. */
#include <criterion/criterion.h>

#include "log.h"
#include "region.h"
#include "rma.h"
#include "test/lib/net_delay.h"
#include "test/lib/ops.h"
#include "test/lib/report.h"
#include "test/lib/world.h"

#define RANKS 3
#define EACH 300

static struct medium *m;
static mega_gptr_t words;
static bool seen[RANKS * EACH]; /* under the barrier: each by one rank */

static void begin(void)
{
    m = world_begin();
}

static void end(void)
{
    world_set("ATOMICS", NULL);
    world_end(&m);
    report_settle();
}

TestSuite(atomics, .init = begin, .fini = end, .timeout = 120);

/* A chunk of zeros on home 0. */
static void make(struct mega__ctx *ctx, int rank)
{
    static const uint64_t zeros[64];
    if (rank == 0) {
        OK(ops_alloc(ctx, OPS_DEFAULT, 0, sizeof zeros, &words));
        OK(mega__rma_put(ctx, words, zeros, sizeof zeros));
        OK(mega__rma_quiet(ctx));
    }
    world_barrier(ctx);
}

static mega_gptr_t word(int i)
{
    return mega_add(words, 8 * i);
}

static void count(struct mega__ctx *ctx, int rank, void *arg)
{
    static _Thread_local uint64_t old[EACH];
    uint64_t sum;
    (void)arg;
    make(ctx, rank);
    for (int i = 0; i < EACH; i++) {
        OK(mega__rma_amo_nbi(ctx, MEGA_AMO_ADD, 8, word(0), 1, 0, &old[i]));
        OK(mega__rma_amo_nbi(ctx, MEGA_AMO_ADD, 4, word(1), 2, 0, NULL));
    }
    OK(mega__rma_quiet(ctx));
    for (int i = 0; i < EACH; i++) {
        CHECK(old[i] < RANKS * EACH && !seen[old[i]], "%llu, twice or never",
              (unsigned long long)old[i]);
        seen[old[i] % (RANKS * EACH)] = true;
    }
    world_barrier(ctx);
    OK(mega__rma_get(ctx, &sum, word(0), 8));
    CHECK(sum == RANKS * EACH, "%llu of them", (unsigned long long)sum);
    OK(mega__rma_get(ctx, &sum, word(1), 8));
    CHECK(sum == 2 * RANKS * EACH, "%llu by 4 bytes", (unsigned long long)sum);
}

Test(atomics, all_that_are_begun_happen_once)
{
    world_on_hosts(m, RANKS, count, WORLD_CLOSE);
}

Test(atomics, also_on_one_host)
{
    cr_assert_eq(world_do(RANKS, count, NULL), MEGA_OK);
}

static void each(struct mega__ctx *ctx, int rank, void *arg)
{
    static const struct {
        mega_amo_op_t op;
        uint64_t value, compare, then;
    } steps[] = {
        {MEGA_AMO_SET, 0xf0, 0, 0xf0}, {MEGA_AMO_ADD, 5, 0, 0xf5},
        {MEGA_AMO_AND, 0x3f, 0, 0x35}, {MEGA_AMO_OR, 0x40, 0, 0x75},
        {MEGA_AMO_XOR, 0xff, 0, 0x8a}, {MEGA_AMO_SWAP, 7, 0, 7},
        {MEGA_AMO_CSWAP, 9, 8, 7},     {MEGA_AMO_CSWAP, 9, 7, 9},
        {MEGA_AMO_FETCH, 1, 1, 9},
    };
    (void)arg;
    make(ctx, rank);
    for (size_t size = 4; rank == RANKS - 1 && size <= 8; size += 4) {
        uint64_t was = 0, old, now;
        mega_gptr_t p = word((int)size);
        for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
            old = UINT64_MAX;
            OK(mega__rma_amo_nbi(ctx, steps[i].op, size, p, steps[i].value,
                                 steps[i].compare, &old));
            OK(mega__rma_quiet(ctx));
            OK(mega__rma_get(ctx, &now, p, 8));
            CHECK(old == was && now == steps[i].then, "step %zu: %llx, %llx", i,
                  (unsigned long long)old, (unsigned long long)now);
            was = now;
        }
    }
    world_barrier(ctx);
}

Test(atomics, all_kinds_of_4_and_8_bytes)
{
    world_on_hosts(m, RANKS, each, WORLD_CLOSE);
}

/* What is under way to a host that is lost: the quiet says so, and nothing is
 * written afterwards where the results should have come. */
static void lose(struct mega__ctx *ctx, int rank, void *arg)
{
    uint64_t old = 77, untouched = 77;
    (void)arg;
    make(ctx, rank);
    if (rank == 1) {
        mega_status_t st = MEGA_OK;
        OK(mega__rma_amo_nbi(ctx, MEGA_AMO_ADD, 8, word(0), 1, 0, &old));
        net_delay_lose(ctx->net);
        st = mega__rma_amo_nbi(ctx, MEGA_AMO_ADD, 8, word(0), 1, 0, &untouched);
        CHECK(st == MEGA_ERR_PEER, "begun: %d", st);
        CHECK(mega__rma_quiet(ctx) == MEGA_ERR_PEER, "nobody was told");
        CHECK(untouched == 77, "a result came");
    }
    world_barrier(ctx);
}

Test(atomics, a_lost_host_is_told_by_the_quiet)
{
    world_on_hosts(m, RANKS, lose, WORLD_KILL);
}

static void misuse(struct mega__ctx *ctx, int rank, void *arg)
{
    uint64_t old = 77;
    (void)arg;
    make(ctx, rank);
    CHECK(mega__rma_amo_nbi(ctx, MEGA_AMO_ADD, 2, word(0), 1, 0, &old) ==
              MEGA_ERR_ARG,
          "2 bytes");
    CHECK(mega__rma_amo_nbi(ctx, MEGA_AMO_ADD, 8, mega_add(word(0), 4), 1, 0,
                            &old) == MEGA_ERR_ARG,
          "not aligned");
    CHECK(mega__rma_amo_nbi(ctx, (mega_amo_op_t)8, 8, word(0), 1, 0, &old) ==
              MEGA_ERR_ARG,
          "no such operation");
    CHECK(mega__rma_amo_nbi(ctx, MEGA_AMO_ADD, 8, mega_null(), 1, 0, &old) ==
              MEGA_ERR_ARG,
          "nowhere");
    OK(mega__rma_quiet(ctx));
    CHECK(old == 77, "a refused one has a result");
    world_barrier(ctx);
}

Test(atomics, what_cannot_be_is_refused)
{
    world_on_hosts(m, RANKS, misuse, WORLD_CLOSE);
}

/* ---- MEGALLOC_ATOMICS=nic ---- */

Test(atomics, of_a_card_also_on_one_host)
{
    world_set("ATOMICS", "nic");
    cr_assert_eq(world_do(RANKS, count, NULL), MEGA_OK);
}

Test(atomics, of_a_card_on_hosts)
{
    world_set("ATOMICS", "nic");
    world_on_hosts(m, RANKS, count, WORLD_CLOSE);
}

Test(atomics, of_a_card_are_of_all_kinds)
{
    world_set("ATOMICS", "nic");
    cr_assert_eq(world_do(RANKS, each, NULL), MEGA_OK);
}

static uint64_t by_net(struct mega__ctx *ctx)
{
    return net_delay_counts(ctx->net).atomics;
}

/* Never both: what the processor does on its own host, the card does not see
 * as whole. arg: whether there is one. */
static void who(struct mega__ctx *ctx, int rank, void *arg)
{
    const uint64_t by = arg != NULL;
    mega_gptr_t p, large;
    make(ctx, rank);
    uint64_t before = by_net(ctx);
    OK(mega__rma_amo(ctx, MEGA_AMO_ADD, 8, word(0), 1, 0, NULL));
    CHECK(by_net(ctx) - before == by, "an update");
    before = by_net(ctx);
    OK(ops_alloc(ctx, OPS_DEFAULT, rank, 1000, &p));
    CHECK(by_net(ctx) - before == 2 * by, "the claim of a slab: %llu",
          (unsigned long long)(by_net(ctx) - before));
    before = by_net(ctx);
    OK(ops_alloc(ctx, OPS_DEFAULT, rank, 100000, &large));
    CHECK(by_net(ctx) - before == 2 * by, "the claim of a run of two: %llu",
          (unsigned long long)(by_net(ctx) - before));
    before = by_net(ctx);
    OK(ops_free(ctx, large));
    CHECK(by_net(ctx) - before == 3 * by, "its end: %llu",
          (unsigned long long)(by_net(ctx) - before));
    world_barrier(ctx);
}

Test(atomics, of_a_card_are_all_that_change_words)
{
    world_set("ATOMICS", "nic");
    cr_assert_eq(world_do(RANKS, who, m), MEGA_OK);
}

Test(atomics, of_the_processor_ask_no_card)
{
    cr_assert_eq(world_do(RANKS, who, NULL), MEGA_OK);
}

/* A swap that fails is no loser's: nobody may go on looking for ever, nor make
 * a home larger for it, nor call a live run freed. */
static void lose_card(struct mega__ctx *ctx, int rank, void *arg)
{
    mega_gptr_t p, run;
    struct mega_region *r;
    (void)arg;
    make(ctx, rank);
    OK(mega__region_create(ctx, "ends", 0, &r));
    OK(ops_alloc(ctx, r->id, rank, 64, &p));
    OK(ops_alloc(ctx, OPS_DEFAULT, rank, 100000, &run));
    world_barrier(ctx);
    if (rank == 1) {
        uint64_t old;
        net_delay_lose(ctx->net);
        mega_status_t st = ops_alloc(ctx, OPS_DEFAULT, 1, 1000, &p);
        CHECK(st == MEGA_ERR_PEER, "alloc: %d", st);
        st = ops_alloc(ctx, OPS_DEFAULT, 1, 100000, &p);
        CHECK(st == MEGA_ERR_PEER, "a run: %d", st);
        st = ops_free(ctx, run);
        CHECK(st == MEGA_ERR_PEER, "its end: %d", st);
        st = mega__rma_amo(ctx, MEGA_AMO_ADD, 8, words, 1, 0, &old);
        CHECK(st == MEGA_ERR_PEER, "an update: %d", st);
    }
    world_barrier(ctx);
    mega_status_t st = mega__region_destroy(&r);
    CHECK(st == MEGA_ERR_PEER, "the end of a region: %d", st);
    world_barrier(ctx);
}

/* A store of the processor between is not undone. */
static void only_read(struct mega__ctx *ctx, int rank, void *arg)
{
    uint64_t before, old, later;
    (void)arg;
    make(ctx, rank);
    before = by_net(ctx);
    OK(mega__rma_amo(ctx, MEGA_AMO_FETCH, 8, word(0), 0, 0, &old));
    OK(mega__rma_amo_nbi(ctx, MEGA_AMO_FETCH, 4, word(0), 0, 0, &later));
    OK(mega__rma_quiet(ctx));
    CHECK(by_net(ctx) == before && old == 0 && later == 0, "not a load");
    world_barrier(ctx);
}

Test(atomics, of_a_card_read_by_loads)
{
    world_set("ATOMICS", "nic");
    cr_assert_eq(world_do(RANKS, only_read, NULL), MEGA_OK);
}

Test(atomics, of_a_card_that_is_lost_fail)
{
    struct world w = {.nranks = 2, .fn = lose_card, .end = WORLD_KILL};
    world_set("ATOMICS", "nic");
    cr_assert_eq(world_run(&w), MEGA_OK);
}
