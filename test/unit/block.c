/* SPDX-License-Identifier: BSD-3-Clause */
/* block.c - words at the begin of a home's block that became zero: what no
 * crash leaves is refused by the open, and nothing is made anew over it. */
#include <criterion/criterion.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "check.h"
#include "home.h"
#include "log.h"
#include "region.h"
#include "test/lib/ops.h"
#include "test/lib/report.h"
#include "test/lib/world.h"

#define WORD(name) offsetof(struct mega__home_block, name)

static struct medium *m;

static void begin(void)
{
    m = world_begin();
}

static void end(void)
{
    world_end(&m);
    report_settle();
}

TestSuite(block, .init = begin, .fini = end, .timeout = 60);

static void set(unsigned home, size_t off, uint64_t value)
{
    struct medium_file *file = world_file(m, home, 0);
    const struct mega__pool_root *root =
        (const void *)(file->cpu + MEDIUM_ROOT_OFF);
    off += root->spans[0].base + MEGA__HOME_BLOCK_OFF;
    memcpy(file->cpu + off, &value, sizeof value);
    memcpy(file->media + off, &value, sizeof value);
}

/* The word as value: the open is refused, names it, and removes nothing. */
static void refused(unsigned home, size_t off, uint64_t value,
                    const char *message)
{
    struct medium *before = medium_new();
    struct world w = {.nranks = 2};
    medium_copy(before, m);
    set(home, off, value);
    mega_status_t st = world_run(&w);
    CHECK(st == MEGA_ERR_DAMAGED && strstr(w.message, message),
          "home %u, word %zu: status %d %s", home, off / 8, st, w.message);
    for (unsigned k = 0; k < before->nfiles; k++) {
        CHECK(medium_find(m, before->files[k]->name) != NULL, "%s is gone",
              before->files[k]->name);
    }
    medium_copy(m, before);
    medium_free(&before);
}

static void use(struct mega__ctx *ctx, int rank, void *arg)
{
    mega_gptr_t p;
    (void)arg;
    OK(ops_alloc(ctx, OPS_DEFAULT, rank, 100, &p));
    OK(ops_persist(ctx, p, 100));
}

static void job(unsigned nranks, world_fn fn, enum world_end_how how)
{
    struct world w = {.nranks = (int)nranks, .fn = fn, .end = how};
    cr_assert_eq(world_run(&w), MEGA_OK, "%s", w.message);
    if (how == WORLD_KILL)
        medium_power_loss(m);
}

/* Of a home alone, and of one of two; never used, after a crash; used. */
Test(block, a_space_that_was_open_is_not_made_anew)
{
    for (unsigned homes = 1; homes <= 2; homes++) {
        while (m->nfiles > 0)
            medium_remove(m, m->files[0]);
        for (int i = 0; i < 3; i++) {
            job(homes, i < 2 ? NULL : use, i ? WORLD_KILL : WORLD_CLOSE);
            refused(0, WORD(born), 0,
                    "home 0: its born word, at offset 0x1000");
            refused(0, WORD(born), mega__seal(0), "home 0: its born word");
            if (homes == 2)
                refused(1, WORD(born), 0, "home 1 was never finished");
        }
    }
    job(2, NULL, WORLD_CLOSE);
}

/* Nor if all its words became zero with that one. */
Test(block, a_space_that_holds_something_is_not_made_anew)
{
    job(1, use, WORLD_CLOSE);
    for (size_t off = WORD(epoch); off <= WORD(lot); off += 8)
        set(0, off, 0);
    refused(0, WORD(born), 0, "home 0: its born word");
}

/* Nor if the whole record of its first span did. */
Test(block, a_file_that_lists_no_span_is_not_made_anew)
{
    struct world w = {.nranks = 1};
    job(1, use, WORLD_CLOSE);
    struct medium_file *file = world_file(m, 0, 0);
    const size_t at = MEDIUM_ROOT_OFF + offsetof(struct mega__pool_root, spans);
    memset(file->cpu + at, 0, sizeof(struct mega__span_record));
    memset(file->media + at, 0, sizeof(struct mega__span_record));
    mega_status_t st = world_run(&w);
    CHECK(st == MEGA_ERR_DAMAGED && strstr(w.message, "lists no span 0"),
          "status %d %s", st, w.message);
}

Test(block, what_all_homes_had_is_known_in_a_space_that_was_used)
{
    job(2, NULL, WORLD_CLOSE);
    for (int i = 0; i < 2; i++) {
        for (unsigned home = 0; home < 2; home++) {
            refused(home, WORD(reached), 0, "the reached word");
            refused(home, WORD(lot), 0, "the lot word");
        }
        job(2, use, WORLD_KILL);
    }
    job(2, NULL, WORLD_CLOSE);
}

/* ---- Region ids ---- */

static void make_two(struct mega__ctx *ctx, int rank, void *arg)
{
    struct mega_region *r;
    (void)rank, (void)arg;
    OK(mega__region_create(ctx, "a", 0, &r));
    OK(mega__region_create(ctx, "b", 0, &r));
}

Test(block, an_id_is_not_given_twice)
{
    job(1, make_two, WORLD_CLOSE);
    refused(0, WORD(next_region), 0, "the next region word is 0");
    refused(0, WORD(next_region), mega__seal(1), "the next region word is 1");
    refused(0, WORD(next_region), mega__seal(3), "has id 3, the next one");
    refused(0, WORD(regions[1].bytes_per_home), 0,
            "size of region 3 was never");
    refused(0, WORD(npools), 0, "the npools word lists 0");
    job(1, NULL, WORLD_CLOSE);
}

/* ---- The same by mega_check ---- */

static void tell(const char *what, void *arg)
{
    char *all = arg;
    strncat(all, what, 1999 - strlen(all));
    strncat(all, "\n", 1999 - strlen(all));
}

/* One word as value: one sentence, with the word's place. */
static void told(struct mega__ctx *ctx, uint64_t *word, uint64_t value,
                 const char *what)
{
    const struct mega__home *home = mega__home_at(ctx, 0);
    const uint64_t before = *word;
    uint64_t bad = 0;
    char all[2000] = "", where[40];
    snprintf(where, sizeof where, "offset %#zx",
             (size_t)((const char *)word - (const char *)home->block) +
                 MEGA__HOME_BLOCK_OFF);
    *word = value;
    OK(mega__check_home(ctx, mega__home_at(ctx, 0), tell, all, &bad));
    *word = before;
    CHECK(bad == 1 && strstr(all, what) && strstr(all, where),
          "%d violations, not %s: %s", (int)bad, what, all);
}

static void check_words(struct mega__ctx *ctx, int rank, void *arg)
{
    struct mega__home_block *b = mega__home_at(ctx, 0)->block;
    struct mega_region *r;
    uint64_t bad;
    char all[2000] = "";
    (void)rank, (void)arg;
    OK(mega__region_create(ctx, "a", 3 * MEGA__EXTENT, &r));
    ops_root(ctx, "one");
    ops_root(ctx, "two");
    told(ctx, &b->born, 0, "never finished");
    told(ctx, &b->epoch, mega__seal(ctx->epoch + 1), "the job is in");
    told(ctx, &b->clean, mega__seal(ctx->epoch + 1), "the clean word");
    told(ctx, &b->reached, 0, "the reached word");
    told(ctx, &b->lot, 0, "the lot word");
    told(ctx, &b->npools, 0, "the npools word");
    told(ctx, &b->next_region, 0, "the next region word");
    OK(mega__check_home(ctx, mega__home_at(ctx, 0), NULL, NULL, &bad));
    CHECK(bad == 0, "%d violations", (int)bad);
    struct mega__root_record before = b->roots[1];
    b->roots[1] = b->roots[0];
    OK(mega__check_home(ctx, mega__home_at(ctx, 0), tell, all, &bad));
    CHECK(bad == 1 && strstr(all, "root records 0 and 1"), "%s", all);
    b->roots[1] = before;
    b->roots[1].name[0]++;
    OK(mega__check_home(ctx, mega__home_at(ctx, 0), tell, all, &bad));
    CHECK(bad == 1 && strstr(all, "the name or checksum of root"), "%s", all);
    b->roots[1] = before;
    const uint64_t bytes = b->regions[0].bytes_per_home;
    b->regions[0].bytes_per_home = mega__seal(2 * MEGA__EXTENT);
    OK(mega__check_home(ctx, mega__home_at(ctx, 0), tell, all, &bad));
    CHECK(bad == 1 && strstr(all, "its runs hold 3 extents"), "%s", all);
    b->regions[0].bytes_per_home = bytes;
}

Test(block, check_tells_each_word)
{
    job(1, check_words, WORLD_CLOSE);
}
