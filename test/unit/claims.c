/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * claims.c - many ranks claim extents of one far home at once, by the rules of
 * find.h (test/lib/claim_model.h): what is promised holds where there is room,
 * and each rule earns its keep. adoptions.c has those of slabs. With
 * MEGA_CLAIMS_TABLE=1 it prints the tables of docs/scaling.md, which takes a
 * minute.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "test/lib/claim_model.h"
#include "test/lib/report.h"

TestSuite(claims, .fini = report_settle, .timeout = 900);

#define MEAN_MAX 1.5 /* the goals of docs/figures.md */
#define MOST_MAX 16

static bool in_full(void)
{
    return getenv("MEGA_CLAIMS_TABLE") != NULL;
}

static struct claim_result try(const struct claim_rules *rules,
                               const struct claim_work *w, const char *name)
{
    struct claim_result r = claim_model(rules, w);
    if (in_full())
        printf("| %u | %u %% %s | %s | %.2f | %u | %.2f | %u | %.0f | %.1f "
               "%% |\n",
               w->ranks, w->percent, w->clumped ? "together" : "anywhere", name,
               r.mean, r.most, r.trips, r.trips_max, r.words, 100 * r.failed);
    fflush(stdout);
    return r;
}

static struct claim_result shipped(const struct claim_work *w)
{
    const struct claim_rules rules = claim_rules_shipped();
    return try(&rules, w, "as it is");
}

static void keeps_the_goals(const struct claim_work *w)
{
    struct claim_result r = shipped(w);
    cr_assert(r.failed <= 0, "%u ranks, %u %%", w->ranks, w->percent);
    cr_assert_leq(r.mean, MEAN_MAX, "%u ranks, %u %%: %.3f", w->ranks,
                  w->percent, r.mean);
    cr_assert_leq(r.most, MOST_MAX, "%u ranks, %u %%: %u", w->ranks, w->percent,
                  r.most);
}

/* Ranks that free as much as they claim: what each has it uses for a hundred
 * round trips, as long as some hundred allocations of small chunks take. */
static struct claim_work churn(uint32_t ranks, unsigned percent, bool clumped)
{
    return (struct claim_work){.ranks = ranks,
                               .percent = percent,
                               .clumped = clumped,
                               .churn = true,
                               .think = 100,
                               .gets = ranks > 10000 ? 6 : 12,
                               .warm = ranks > 10000 ? 2 : 4};
}

/* All begin in the same round and only claim. */
static struct claim_work burst(uint32_t ranks, unsigned percent, unsigned gets)
{
    return (struct claim_work){
        .ranks = ranks, .percent = percent, .gets = gets};
}

/* ---- Where there is room ---- */

static const unsigned fill[] = {50, 90, 99};

Test(claims, of_a_thousand_ranks_that_free_as_much)
{
    for (int i = 0; i < 6; i++) {
        struct claim_work w = churn(1000, fill[i % 3], i >= 3);
        keeps_the_goals(&w);
    }
}

Test(claims, of_ten_thousand_ranks_that_free_as_much)
{
    for (int i = 0; i < 6; i++) {
        struct claim_work w = churn(10000, fill[i % 3], i >= 3);
        keeps_the_goals(&w);
    }
}

Test(claims, of_a_hundred_thousand_ranks_that_free_as_much)
{
    struct claim_work w = churn(100000, 50, false);
    keeps_the_goals(&w);
}

Test(claims, of_ranks_that_all_begin_at_once)
{
    const struct claim_work w[] = {burst(1000, 0, 4),   burst(1000, 50, 4),
                                   burst(10000, 50, 4), burst(10000, 90, 1),
                                   burst(100000, 0, 1), burst(100000, 50, 1)};
    for (size_t i = 0; i < sizeof w / sizeof *w; i++)
        keeps_the_goals(&w[i]);
}

/* More ranks than there are extents left: bearable is all that it can be. */
Test(claims, of_ranks_for_which_there_is_no_room)
{
    struct claim_work w = churn(100000, 90, false);
    struct claim_result r = shipped(&w);
    cr_assert_leq(r.mean, 2.5, "%.3f", r.mean);
    cr_assert_leq(r.trips, 5, "%.2f", r.trips);
    w.think = 1000;
    if (in_full())
        shipped(&w);
    w.percent = 99;
    w.gets = 3;
    w.warm = 1;
    if (in_full())
        shipped(&w);
}

/* ---- What each rule is for ---- */

/* Views get old while a rank uses what it has. */
Test(claims, without_reading_again_after_a_loss_are_lost_more_often)
{
    struct claim_rules rules = claim_rules_shipped();
    struct claim_work w = churn(10000, 90, false);
    struct claim_result with = shipped(&w);
    rules.wary = 0;
    struct claim_result without = try(&rules, &w, "never read again");
    cr_assert_lt(with.mean + 0.5, without.mean);
    cr_assert_lt(with.trips * 2, without.trips);
}

/* Who claims ahead takes from others what is short. */
Test(claims, ahead_after_a_loss_leave_others_without)
{
    struct claim_rules rules = claim_rules_shipped();
    struct claim_work w = churn(100000, 50, false);
    struct claim_result with = shipped(&w);
    rules.ahead_kept = true;
    struct claim_result without = try(&rules, &w, "ahead also after a loss");
    cr_assert_lt(with.mean, without.mean);
    cr_assert_lt(with.most * 3 / 2, without.most);
}

/* Extents that are taken lie together: local ranks begin at the start. */
Test(claims, without_probes_pile_up_behind_what_is_taken)
{
    struct claim_rules rules = claim_rules_shipped();
    struct claim_work w = burst(1000, 90, 4);
    w.clumped = true;
    struct claim_result with = shipped(&w);
    rules.probe = false;
    struct claim_result without = try(&rules, &w, "read through");
    cr_assert_lt(with.mean, MEAN_MAX);
    cr_assert_lt(with.mean + 0.5, without.mean);
    cr_assert_lt(with.trips * 10, without.trips);
}

Test(claims, without_starts_of_their_own_meet)
{
    struct claim_rules rules = claim_rules_shipped();
    struct claim_work w = churn(10000, 50, false);
    struct claim_result with = shipped(&w);
    rules.spread = false;
    struct claim_result without = try(&rules, &w, "one start");
    cr_assert_lt(with.trips * 2, without.trips);
    cr_assert_lt(with.mean, without.mean);
}

/* Leaps are for those who know nothing of each other. */
Test(claims, of_ranks_that_all_begin_at_one_place)
{
    struct claim_rules rules = claim_rules_shipped();
    struct claim_work w = burst(1000, 0, 4);
    rules.spread = false;
    struct claim_result leaps = try(&rules, &w, "one start");
    rules.leap = 0;
    struct claim_result steps = try(&rules, &w, "one start, no leaps");
    cr_assert_lt(leaps.mean * 4, steps.mean);
    cr_assert_leq(leaps.most, 32, "%u", leaps.most);
}

Test(claims, ahead_save_round_trips)
{
    struct claim_rules rules = claim_rules_shipped();
    struct claim_work w = churn(10000, 50, false);
    struct claim_result with = shipped(&w);
    rules.ahead = 1;
    struct claim_result without = try(&rules, &w, "one at once");
    cr_assert_lt(with.trips * 2, without.trips);
}

/* ---- Constants ---- */

static void vary_reading(const struct claim_work *w)
{
    struct claim_rules rules = claim_rules_shipped();
    rules.view = 64;
    try(&rules, w, "views of 64 words");
    rules.view = 128;
    try(&rules, w, "views of 128 words");
    rules.view = 2048;
    try(&rules, w, "views of 2048 words");
    rules = claim_rules_shipped();
    rules.wary = 0;
    try(&rules, w, "never read again");
    rules.wary = 4;
    try(&rules, w, "read again 4 times");
    rules.wary = UINT32_MAX;
    try(&rules, w, "once lost, always read again");
    rules = claim_rules_shipped();
    rules.probe = false;
    try(&rules, w, "no probes");
}

static void vary_claiming(const struct claim_work *w)
{
    struct claim_rules rules = claim_rules_shipped();
    rules.ahead = 1;
    try(&rules, w, "one at once");
    rules.ahead = 2;
    try(&rules, w, "two at once");
    rules.ahead = 8;
    try(&rules, w, "eight at once");
    rules = claim_rules_shipped();
    rules.ahead_kept = true;
    try(&rules, w, "ahead also after a loss");
    rules = claim_rules_shipped();
    rules.leap = 0;
    try(&rules, w, "no leaps");
    rules.leap = 4;
    try(&rules, w, "leaps four times as far");
    rules = claim_rules_shipped();
    rules.spread = false;
    try(&rules, w, "one start");
}

static void vary(const struct claim_work *w)
{
    struct claim_rules rules = claim_rules_shipped();
    shipped(w);
    vary_reading(w);
    vary_claiming(w);
    rules.wary = 0;
    rules.ahead_kept = true;
    rules.probe = false;
    try(&rules, w, "never read again, ahead also after a loss, no probes");
}

Test(claims, and_their_constants)
{
    struct claim_work together = burst(1000, 90, 4);
    const struct claim_work w[] = {
        churn(10000, 50, false), churn(10000, 90, false),
        churn(10000, 99, false), churn(1000, 99, true)};
    together.clumped = true;
    for (size_t i = 0; in_full() && i < sizeof w / sizeof *w; i++)
        vary(&w[i]);
    if (in_full())
        vary(&together);
}
