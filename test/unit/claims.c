/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * claims.c - many ranks claim extents of one far home at once: a model of
 * rounds, with what find.h really does. In a round, the time of a round trip,
 * each rank reads a view of the words, or tries a compare-and-swap on what its
 * last view shows as FREE, or makes a claim durable. Who comes first in a
 * round is drawn by lot. With MEGA_CLAIMS_TABLE=1 it prints docs/scaling.md's
 * table.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "find.h"
#include "test/lib/medium.h"

#define EXTENTS (UINT32_C(1) << 18) /* of a span of 16 GiB */
#define NEVER UINT32_MAX
#define CLAIMS_EACH 4

struct claimer {
    uint32_t start, passed; /* extents looked at since it last began anew */
    uint32_t at, end, seen; /* its view: [at, end), of round seen */
    uint32_t seed, claims;
    unsigned lost, cas;
    bool must_read, must_rest;
};

struct outcome {
    double mean;        /* CAS for a claim */
    unsigned most;      /* CAS for one claim */
    double round_trips; /* for a claim: views, CAS, messages */
    uint64_t failed;    /* ranks that found no extent */
};

static uint32_t taken_in[EXTENTS]; /* round, or NEVER */
static uint64_t dice = 1;

static void read_on(struct claimer *c, uint32_t round)
{
    if (c->at >= EXTENTS)
        c->at = 0;
    c->end =
        c->at + MEGA__VIEW_WORDS < EXTENTS ? c->at + MEGA__VIEW_WORDS : EXTENTS;
    c->seen = round;
    c->must_read = false;
}

/* A round of one rank; true: it tried a CAS. */
static bool act(struct claimer *c, uint32_t round, bool leaping, bool *won_p)
{
    *won_p = false;
    if (c->must_rest || c->must_read) {
        if (!c->must_rest)
            read_on(c, round);
        c->must_rest = false;
        return false;
    }
    for (; c->at < c->end && taken_in[c->at] < c->seen; c->passed++)
        c->at++;
    if (c->at == c->end) {
        read_on(c, round);
        return false;
    }
    *won_p = taken_in[c->at] == NEVER;
    if (*won_p) {
        taken_in[c->at] = round;
        c->must_rest = true;
        c->lost = c->passed = 0;
    } else {
        c->at += leaping ? mega__find_leap(&c->seed, c->lost) : 0;
        c->lost++;
        c->must_read = true;
    }
    c->at++;
    return true;
}

static void shuffle(struct claimer **order, size_t n)
{
    for (size_t i = n; i > 1; i--) {
        size_t j = (size_t)(medium_random(&dice) >> 20) % i;
        struct claimer *other = order[j];
        order[j] = order[i - 1];
        order[i - 1] = other;
    }
}

/* crowded: all begin in the first 64 extents, as if they knew nothing of each
 * other. So many ranks claim CLAIMS_EACH extents, or as many as there are of
 * the share that is free. */
static struct outcome hammer(uint32_t ranks, unsigned percent_taken,
                             bool crowded, bool leaping)
{
    struct outcome o = {0};
    struct claimer *all = calloc(ranks, sizeof *all);
    struct claimer **order = calloc(ranks, sizeof(struct claimer *));
    uint64_t claims = 0, tries = 0, trips = 0;
    uint32_t left = 0, each = CLAIMS_EACH;
    cr_assert(all && order);
    for (uint32_t e = 0; e < EXTENTS; e++) {
        bool taken = (medium_random(&dice) >> 20) % 100 < percent_taken;
        taken_in[e] = taken ? 0 : NEVER;
        left += !taken;
    }
    while (each > 1 && (uint64_t)each * ranks > left * UINT64_C(9) / 10)
        each--;
    size_t active = ranks;
    for (uint32_t i = 0; i < ranks; i++) {
        all[i].at = crowded ? i % 64 : mega__find_start(EXTENTS, i, ranks);
        all[i].seed = i * 17 + 1;
        all[i].must_read = true;
        order[i] = &all[i];
    }
    for (uint32_t round = 1; active > 0; round++) {
        shuffle(order, active);
        for (size_t i = 0; i < active;) {
            struct claimer *c = order[i++];
            bool won;
            trips++;
            if (act(c, round, leaping, &won)) {
                tries++;
                c->cas++;
                o.most = c->cas > o.most ? c->cas : o.most;
            }
            if (won) {
                c->cas = 0;
                c->claims++;
                claims++;
            }
            bool none = c->passed > 2 * EXTENTS;
            o.failed += none;
            if (none || (c->claims == each && !c->must_rest))
                order[--i] = order[--active];
        }
    }
    o.mean = (double)tries / (double)claims;
    o.round_trips = (double)trips / (double)claims;
    free(all);
    free(order);
    return o;
}

static void print(uint32_t ranks, unsigned taken, const char *how,
                  const struct outcome *o)
{
    if (getenv("MEGA_CLAIMS_TABLE"))
        printf("| %u | %u %% | %s | %.2f | %u | %.2f |\n", ranks, taken, how,
               o->mean, o->most, o->round_trips);
}

static void compare(uint32_t ranks, unsigned taken)
{
    struct outcome leaps = hammer(ranks, taken, false, true);
    struct outcome steps = hammer(ranks, taken, false, false);
    print(ranks, taken, "spread, leaps", &leaps);
    print(ranks, taken, "spread, steps", &steps);
    cr_assert_eq(leaps.failed, 0);
    cr_assert_leq(leaps.most, steps.most + 1);
    cr_assert_leq(leaps.mean, 1.5, "%u ranks: %.3f", ranks, leaps.mean);
    cr_assert_leq(leaps.most, 16, "%u ranks: %u", ranks, leaps.most);
}

Test(claims, of_a_thousand_ranks_on_an_empty_span)
{
    compare(1000, 0);
}

Test(claims, of_ten_thousand_ranks_on_a_span_half_taken)
{
    compare(10000, 50);
}

Test(claims, of_a_hundred_thousand_ranks, .timeout = 120)
{
    compare(100000, 0);
    compare(100000, 50);
}

/* Without the spread: leaps keep it bearable, steps would not. */
Test(claims, of_ranks_that_all_begin_at_one_place, .timeout = 120)
{
    struct outcome leaps = hammer(1000, 0, true, true);
    struct outcome steps = hammer(1000, 0, true, false);
    print(1000, 0, "one place, leaps", &leaps);
    print(1000, 0, "one place, steps", &steps);
    cr_assert_lt(leaps.mean * 4, steps.mean);
    cr_assert_leq(leaps.most, 32, "%u", leaps.most);
}

Test(claims, of_ranks_that_take_nearly_all_that_is_left, .timeout = 120)
{
    compare(10000, 90);
}
