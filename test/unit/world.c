/* SPDX-License-Identifier: BSD-3-Clause */
/* world.c - several ranks in one process open, use, close and reopen a space
 * on the medium that loses power. */
#include "test/lib/world.h"

#include <criterion/criterion.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "home.h"
#include "log.h"
#include "roll.h"
#include "span.h"
#include "test/lib/ops.h"
#include "test/lib/oracle.h"
#include "test/lib/report.h"

static struct medium *m;
static struct oracle oracle;

static void begin(void)
{
    m = world_begin();
}

static void end(void)
{
    world_end(&m);
    report_settle();
}

TestSuite(world, .init = begin, .fini = end);

static void one_each(struct mega__ctx *ctx, int rank, void *arg)
{
    struct oracle *o = arg;
    mega_gptr_t p;
    mega_status_t st = ops_alloc(ctx, OPS_DEFAULT, rank, 100, &p);
    CHECK(st == MEGA_OK, "rank %d: %s", rank, mega__errmsg_buffer());
    if (st)
        return;
    ops_fill(ctx, p, 100, (uint64_t)rank + 1);
    unsigned i = oracle_add(o, p, 100, (uint64_t)rank + 1);
    CHECK(ops_persist(ctx, p, 100) == MEGA_OK, "persist");
    oracle_set(o, i, FATE_LIVE);
}

static void look(struct mega__ctx *ctx, int rank, void *arg)
{
    if (rank == 0) {
        oracle_verify(ctx, arg);
        oracle_exhaust(ctx, arg, 1);
    }
    world_barrier(ctx);
}

Test(world, chunks_are_found_again_by_any_number_of_ranks)
{
    cr_assert_eq(world_do(3, one_each, &oracle), MEGA_OK);
    for (int ranks = 1; ranks <= 5; ranks++)
        cr_assert_eq(world_do(ranks, look, &oracle), MEGA_OK);
}

Test(world, persisted_chunks_survive_a_power_loss)
{
    struct world w = {
        .nranks = 2, .fn = one_each, .arg = &oracle, .end = WORLD_KILL};
    cr_assert_eq(world_run(&w), MEGA_OK, "%s", w.message);
    medium_power_loss(m);
    cr_assert_eq(world_do(2, look, &oracle), MEGA_OK);
}

/* ---- Older copies ---- */

static void crash(int nranks)
{
    struct world w = {.nranks = nranks, .end = WORLD_KILL};
    cr_assert_eq(world_run(&w), MEGA_OK, "%s", w.message);
    medium_power_loss(m);
}

static void refused(unsigned home)
{
    char text[40];
    struct world w = {.nranks = 2};
    mega_status_t st = world_run(&w);
    snprintf(text, sizeof text, "home %u is an older copy", home);
    CHECK(st == MEGA_ERR_MISMATCH && strstr(w.message, text),
          "home %u is older: status %d %s", home, st, w.message);
}

/* After a clean end and after a crash, whatever home it is. */
Test(world, an_older_copy_of_a_home_is_refused)
{
    struct medium *older = medium_new(), *newer = medium_new();
    crash(3);
    for (int job = 0; job < 4; job++) {
        medium_copy(older, m);
        if (job % 2)
            cr_assert_eq(world_do(2, NULL, NULL), MEGA_OK);
        else
            crash(2);
        medium_copy(newer, m);
        for (unsigned home = 0; home < 3; home++) {
            world_put_back(m, home, 0, older);
            refused(home);
            world_put_back(m, home, 0, newer);
        }
    }
    cr_assert_eq(world_do(2, NULL, NULL), MEGA_OK);
    medium_free(&older);
    medium_free(&newer);
}

/* Grows the home once by a run. */
static void grow(struct mega__ctx *ctx, int rank, void *arg)
{
    mega_gptr_t p;
    (void)arg;
    if (rank == 0)
        CHECK(ops_alloc(ctx, OPS_DEFAULT, 0, 4 << 20, &p) == MEGA_OK, "%s",
              mega__errmsg_buffer());
}

static void grow_and_crash(void)
{
    struct world w = {.nranks = 1, .fn = grow, .end = WORLD_KILL};
    world_set("HOME_MAX", "64M");
    cr_assert_eq(world_run(&w), MEGA_OK, "%s", w.message);
    medium_power_loss(m);
    world_file(m, 0, 1); /* or it fails */
}

static void file_refused(const char *older, const char *newer)
{
    char text[60];
    struct world w = {.nranks = 2};
    snprintf(text, sizeof text, "home-0.%s.pool is an older copy", older);
    mega_status_t st = world_run(&w);
    const char *at = strstr(w.message, text);
    snprintf(text, sizeof text, "home-0.%s.pool in ", newer);
    CHECK(st == MEGA_ERR_MISMATCH && at && strstr(at, text),
          "file %s is older: status %d %s", older, st, w.message);
}

/* One file of a home's two, after crashes and after clean ends. */
Test(world, an_older_copy_of_one_file_of_a_home_is_refused)
{
    struct medium *older = medium_new(), *newer = medium_new();
    grow_and_crash();
    for (int job = 0; job < 4; job++) {
        medium_copy(older, m);
        if (job % 2)
            cr_assert_eq(world_do(2, NULL, NULL), MEGA_OK);
        else
            crash(1);
        medium_copy(newer, m);
        for (unsigned k = 0; k < 2; k++) {
            world_put_back(m, 0, k, older);
            file_refused(k ? "1" : "0", k ? "0" : "1");
            world_put_back(m, 0, k, newer);
        }
    }
    cr_assert_eq(world_do(2, NULL, NULL), MEGA_OK);
    medium_free(&older);
    medium_free(&newer);
}

/* The older block does not list the later file, which is not removed. */
Test(world, a_file_that_an_older_copy_does_not_list_is_kept)
{
    struct medium *older = medium_new(), *newer = medium_new();
    crash(1);
    medium_copy(older, m);
    grow_and_crash();
    medium_copy(newer, m);
    world_put_back(m, 0, 0, older);
    file_refused("0", "1");
    world_put_back(m, 0, 0, newer);
    cr_assert_eq(world_do(2, NULL, NULL), MEGA_OK);
    medium_free(&older);
    medium_free(&newer);
}

static void refused_for_file_1(const char *why)
{
    struct world w = {.nranks = 1};
    mega_status_t st = world_run(&w);
    CHECK(st == MEGA_ERR_MISMATCH && strstr(w.message, why) &&
              strstr(w.message, "home-0.1.pool"),
          "status %d %s", st, w.message);
    CHECK(world_file(m, 0, 1), "it is removed");
}

/* Beside a space that does not list it, or alone. */
Test(world, a_file_of_another_space_is_kept)
{
    grow_and_crash();
    struct medium_file *file = world_file(m, 0, 1);
    char *name = file->name, elsewhere[] = "/elsewhere";
    file->name = elsewhere;
    medium_remove(m, world_file(m, 0, 0));
    cr_assert_eq(world_do(1, NULL, NULL), MEGA_OK); /* another one */
    file->name = name;
    refused_for_file_1("another space");
    medium_remove(m, world_file(m, 0, 0));
    refused_for_file_1("put that back");
    cr_assert(!world_file(m, 0, 0), "a space is made");
}

/* An open that a drain ends; false: it had fewer. */
static bool open_cut_at(uint64_t drain)
{
    struct world w = {.nranks = 1, .end = WORLD_KILL};
    m->fail_drain = m->drains + drain;
    mega_status_t st = world_run(&w);
    m->fail_drain = MEDIUM_NEVER;
    CHECK(st == MEGA_OK || st == MEGA_ERR_IO, "%d %s", st, w.message);
    return st != MEGA_OK;
}

/* So that home 1 is ahead of home 0, by one or more. */
Test(world, opens_that_are_cut_off_do_not_make_home_0_an_older_copy)
{
    struct medium *older = medium_new(), *newer = medium_new();
    crash(2);
    medium_copy(older, m);
    crash(2);
    for (uint64_t drain = 0; open_cut_at(drain); drain++) {
        open_cut_at(drain);
        medium_power_loss(m);
        medium_copy(newer, m);
        world_put_back(m, 0, 0, older);
        refused(0);
        world_put_back(m, 0, 0, newer);
        crash(1);
        medium_copy(older, newer);
    }
    medium_free(&older);
    medium_free(&newer);
}

/* A file that is ahead of its home's block, after an open that was cut off, is
 * no reason to refuse; nor is what is torn. */
Test(world, opens_that_are_cut_off_make_no_file_an_older_copy)
{
    grow_and_crash();
    for (uint64_t drain = 0; open_cut_at(drain); drain++) {
        open_cut_at(drain);
        medium_power_loss(m);
        crash(1);
    }
}

/* The space is copied as a whole, and both copies are used. */
Test(world, copies_that_went_apart_are_not_mixed)
{
    struct medium *before = medium_new(), *one = medium_new(),
                  *other = medium_new();
    crash(3);
    medium_copy(before, m);
    crash(3);
    medium_copy(one, m);
    medium_copy(m, before);
    crash(3);
    medium_copy(other, m);
    for (unsigned home = 0; home < 3; home++) {
        struct world w = {.nranks = 2};
        world_put_back(m, home, 0, one);
        cr_assert_eq(world_run(&w), MEGA_ERR_MISMATCH, "%s", w.message);
        CHECK(strstr(w.message, "went apart"), "%s", w.message);
        world_put_back(m, home, 0, other);
    }
    cr_assert_eq(world_do(2, NULL, NULL), MEGA_OK);
    medium_free(&before);
    medium_free(&one);
    medium_free(&other);
}

/* ---- A creation that was killed ---- */

#define SHOTS 8

struct shots {
    unsigned n;
    struct medium *of[SHOTS];
};

static void shoot(struct medium *now, const char *what, const void *addr,
                  size_t len, void *arg)
{
    struct shots *shots = arg;
    (void)addr, (void)len;
    if (strcmp(what, "unlinked") != 0 || shots->n == SHOTS)
        return;
    shots->of[shots->n] = medium_new();
    medium_copy(shots->of[shots->n++], now);
}

/* All are born but home 0, and none was ever open. */
static void unbear_home0(unsigned nhomes)
{
    for (unsigned home = 0; home < nhomes; home++) {
        struct mega__home_block b = {.born = home ? mega__seal(1) : 0,
                                     .npools = mega__seal(1),
                                     .next_region = mega__seal(2)};
        struct medium_file *file = world_file(m, home, 0);
        const struct mega__pool_root *root =
            (const void *)(file->cpu + MEDIUM_ROOT_OFF);
        const uint64_t off = root->spans[0].base + MEGA__HOME_BLOCK_OFF;
        memcpy(file->cpu + off, &b, 2 * MEGA__LINE);
        memcpy(file->media + off, &b, 2 * MEGA__LINE);
    }
}

/* The open removes them, and is cut off after each. */
Test(world, a_removal_of_unborn_homes_that_was_cut_off_goes_on)
{
    for (int nranks = 1; nranks <= 3; nranks += 2) {
        struct shots shots = {0};
        while (m->nfiles > 0)
            medium_remove(m, m->files[0]);
        crash(3);
        unbear_home0(3);
        m->on_point = shoot;
        m->on_point_arg = &shots;
        cr_assert_eq(world_do(nranks, NULL, NULL), MEGA_OK);
        m->on_point = NULL;
        CHECK(shots.n >= 3, "%u files were removed", shots.n);
        for (unsigned i = 0; i < shots.n; i++) {
            struct world w = {.nranks = nranks};
            medium_use(shots.of[i]);
            CHECK(world_run(&w) == MEGA_OK, "after removal %u: %s", i,
                  w.message);
            medium_use(m);
            medium_free(&shots.of[i]);
        }
    }
}

/* A creation makes only first files: another one was put there. */
Test(world, a_later_file_beside_an_unborn_home_is_kept)
{
    struct medium *first = medium_new();
    struct world w = {.nranks = 1};
    crash(1);
    medium_copy(first, m);
    grow_and_crash();
    world_put_back(m, 0, 0, first);
    unbear_home0(1);
    cr_assert_eq(world_run(&w), MEGA_ERR_MISMATCH, "%s", w.message);
    CHECK(strstr(w.message, "but no finished home-0.0.pool"), "%s", w.message);
    world_file(m, 0, 1); /* is there, or it fails */
    medium_free(&first);
}

/* ---- A pool that cannot be opened ---- */

/* Its second span record is damaged, the first is not. */
static void open_damaged_pool(struct mega__ctx *ctx, int rank, void *arg)
{
    struct mega__home *home = mega__home_at(ctx, 0);
    (void)rank, (void)arg;
    CHECK(home->npools == 2, "%u pools", home->npools);
    struct mega__span *span = atomic_exchange(&home->spans[1], NULL);
    mega__span_delete(&span);
    mega__pool_root(home->pools[1])->spans[1].listed = 1;
    mega__pool_close(&home->pools[1]);
    home->npools = 1;
    CHECK(mega__home_open_pool(ctx, home, 1) == MEGA_ERR_DAMAGED, "%s",
          mega__errmsg_buffer());
    CHECK(home->npools == 1 && !atomic_load(&home->spans[1]),
          "a span of it is left");
}

Test(world, a_pool_that_cannot_be_opened_leaves_no_span)
{
    struct world w = {.nranks = 1, .fn = open_damaged_pool, .end = WORLD_KILL};
    grow_and_crash();
    cr_assert_eq(world_run(&w), MEGA_OK, "%s", w.message);
}
