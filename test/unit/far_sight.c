/* SPDX-License-Identifier: BSD-3-Clause */
/* far_sight.c - what ranks see of homes of other hosts: the state, the live
 * chunks, what is wrong. Always the same as the home's own server sees. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "check.h"
#include "hot.h"
#include "log.h"
#include "rma.h"
#include "roll.h"
#include "slab.h"
#include "stat.h"
#include "test/lib/ops.h"
#include "test/lib/report.h"
#include "test/lib/world.h"

static struct medium *m;

static void begin(void)
{
    m = world_begin();
    world_set("HOME_SIZE", "6M");
    world_set("HOME_MAX", "24M");
}

static void end(void)
{
    world_end(&m);
    report_settle();
}

TestSuite(far_sight, .init = begin, .fini = end, .timeout = 120);

static const int two_hosts[] = {0, 1};

static void run(world_fn fn)
{
    struct world w = {.nranks = 2, .hosts = two_hosts, .fn = fn};
    mega_status_t st = world_run(&w);
    CHECK(st == MEGA_OK, "%d %s", st, w.message);
}

/* ---- Chunks of all kinds on home 1, made by both ranks ---- */

#define MADE 400 /* by each rank; every third is freed */

static mega_gptr_t made[2][MADE];

static size_t size_of(unsigned i)
{
    return i % 50 == 7 ? 70000 + 1000 * (size_t)i : 16 + i % 40 * 40;
}

static bool is_kept(unsigned i)
{
    return i % 3 != 1;
}

static void make(struct mega__ctx *ctx, int rank)
{
    mega_gptr_t reserved;
    for (unsigned i = 0; i < MADE; i++)
        OK(ops_alloc(ctx, OPS_DEFAULT, 1, size_of(i), &made[rank][i]));
    for (unsigned i = 0; i < MADE; i++)
        if (!is_kept(i))
            OK(ops_free(ctx, made[rank][i]));
    OK(mega__hot_reserve(ctx, OPS_DEFAULT, 1, 100, &reserved));
}

struct seen {
    unsigned count, strange;
    uint64_t bytes;
    int stop_at; /* 0: never */
    int ranks;
};

static int see(mega_gptr_t p, size_t usable, void *arg)
{
    struct seen *s = arg;
    bool known = false;
    for (int r = 0; r < s->ranks; r++)
        for (unsigned i = 0; i < MADE; i++)
            known = known ||
                    (made[r][i].v == p.v && is_kept(i) && usable >= size_of(i));
    s->strange += !known;
    s->bytes += usable;
    return (int)++s->count == s->stop_at ? 42 : 0;
}

static unsigned kept(void)
{
    unsigned n = 0;
    for (unsigned i = 0; i < MADE; i++)
        n += is_kept(i);
    return n;
}

/* ---- Walk ---- */

static void walk_own(struct mega__ctx *ctx, int rank, void *arg)
{
    struct seen s = {.ranks = 1};
    int stop = -1;
    (void)arg;
    if (rank != 0)
        return;
    make(ctx, 0);
    OK(mega__stat_walk(ctx, mega__home_at(ctx, 1), 0, see, &s, &stop));
    CHECK(s.count == kept() && s.strange == 0 && stop == 0,
          "%u chunks of %u, %u strange", s.count, kept(), s.strange);
    s = (struct seen){.ranks = 1, .stop_at = 5};
    OK(mega__stat_walk(ctx, mega__home_at(ctx, 1), OPS_DEFAULT, see, &s,
                       &stop));
    CHECK(s.count == 5 && stop == 42, "stopped after %u by %d", s.count, stop);
    s = (struct seen){.ranks = 1};
    OK(mega__stat_walk(ctx, mega__home_at(ctx, 1), 77, see, &s, &stop));
    CHECK(s.count == 0, "%u chunks of a region that is not", s.count);
}

Test(far_sight, walk_sees_own_chunks_that_were_not_sent_yet)
{
    run(walk_own);
}

/* All have made their chunks, in a home that has grown, and are quiet. */
static void settle(struct mega__ctx *ctx, int rank)
{
    make(ctx, rank);
    OK(mega__rma_quiet(ctx));
    world_barrier(ctx);
}

static void walk_both(struct mega__ctx *ctx, int rank, void *arg)
{
    struct seen s = {.ranks = 2};
    (void)arg;
    settle(ctx, rank);
    OK(mega__stat_walk(ctx, mega__home_at(ctx, 1), 0, see, &s, NULL));
    CHECK(s.count == 2 * kept() && s.strange == 0,
          "rank %d: %u chunks of %u, %u strange", rank, s.count, 2 * kept(),
          s.strange);
    world_barrier(ctx);
}

Test(far_sight, walk_sees_the_chunks_of_all_ranks)
{
    run(walk_both);
}

/* ---- Stat ---- */

static mega_home_stat_t stats[2];
static uint64_t region_bytes[2];

static void compare_stats(struct mega__ctx *ctx, int rank, void *arg)
{
    (void)arg;
    settle(ctx, rank);
    OK(mega__stat_home(ctx, mega__home_at(ctx, 1), &stats[rank]));
    OK(mega__stat_region(ctx, mega__home_at(ctx, 1), OPS_DEFAULT,
                         &region_bytes[rank]));
    world_barrier(ctx);
    if (rank != 0)
        return;
    CHECK(stats[0].local == 0 && stats[1].local == 1, "who maps it");
    CHECK(stats[0].spans > 1, "the home has not grown");
    CHECK(stats[0].live_chunks == 2 * kept(), "%llu chunks",
          (unsigned long long)stats[0].live_chunks);
    CHECK(stats[0].max == 24 << 20, "the limit of the server");
    stats[0].local = 1;
    CHECK(memcmp(&stats[0], &stats[1], sizeof stats[0]) == 0,
          "free %llu %llu, live %llu %llu, domain %d %d, path %s %s",
          (unsigned long long)stats[0].free, (unsigned long long)stats[1].free,
          (unsigned long long)stats[0].live_bytes,
          (unsigned long long)stats[1].live_bytes, (int)stats[0].domain,
          (int)stats[1].domain, stats[0].path, stats[1].path);
    CHECK(region_bytes[0] == region_bytes[1] && region_bytes[0] > 0,
          "%llu bytes of the region, or %llu",
          (unsigned long long)region_bytes[0],
          (unsigned long long)region_bytes[1]);
}

Test(far_sight, stat_is_what_the_server_says)
{
    run(compare_stats);
}

/* ---- Check ---- */

#define TOLD 10

static struct told {
    unsigned n;
    char what[TOLD][400];
} told[2];

static void tell(const char *what, void *arg)
{
    struct told *t = arg;
    if (t->n < TOLD)
        snprintf(t->what[t->n], sizeof t->what[0], "%s", what);
    t->n++;
}

/* Both look; returns how many violations both see. */
static uint64_t look(struct mega__ctx *ctx, int rank, uint32_t home)
{
    uint64_t bad = 0;
    told[rank].n = 0;
    world_barrier(ctx);
    OK(mega__check_home(ctx, mega__home_at(ctx, home), tell, &told[rank],
                        &bad));
    CHECK(bad == told[rank].n, "rank %d was told %u of %llu", rank,
          told[rank].n, (unsigned long long)bad);
    world_barrier(ctx);
    CHECK(told[0].n == told[1].n, "home %u: rank 0 sees %u, rank 1 %u", home,
          told[0].n, told[1].n);
    for (unsigned i = 0; i < told[0].n && i < told[1].n && i < TOLD; i++)
        CHECK(strcmp(told[0].what[i], told[1].what[i]) == 0, "%s / %s",
              told[0].what[i], told[1].what[i]);
    world_barrier(ctx); /* both have read what both were told */
    return bad;
}

/* A mark where no chunk begins, a word of no kind, a record that is damaged;
 * the server puts it right again. */
static void damage(struct mega__ctx *ctx, int rank, void *arg)
{
    struct mega__home *home = mega__home_at(ctx, 1);
    struct mega__span *span = NULL;
    uint64_t word = 0;
    uint32_t e = 0;
    (void)arg;
    settle(ctx, rank);
    CHECK(look(ctx, rank, 1) == 0 && look(ctx, rank, 0) == 0, "sound: %s",
          told[rank].what[0]);
    if (rank == 1) {
        /* of 96 bytes: not every granule begins one */
        span = mega__span_of(ctx, made[1][2]);
        e = (uint32_t)(mega_offset(made[1][2]) >> MEGA__EXTENT_SHIFT);
        word = mega__span_word(span, e);
        mega__slab_marks(span, e)[MEGA__EXTENT_GRANULES - 1] = 1;
        home->block->runs[3].state ^= 1;
    }
    CHECK(look(ctx, rank, 1) == 2, "a mark, a record: %s", told[rank].what[0]);
    if (rank == 1)
        atomic_store(&span->words[e], 7);
    CHECK(look(ctx, rank, 1) >= 2, "a word: %s", told[rank].what[0]);
    if (rank == 1) {
        atomic_store(&span->words[e], word);
        mega__slab_marks(span, e)[MEGA__EXTENT_GRANULES - 1] = 0;
        home->block->runs[3].state ^= 1;
    }
    CHECK(look(ctx, rank, 1) == 0, "mended: %s", told[rank].what[0]);
}

Test(far_sight, check_finds_what_the_server_finds)
{
    run(damage);
}

/* Of home 0, whose roots name chunks of both. */
static void stale_root(struct mega__ctx *ctx, int rank, void *arg)
{
    static mega_gptr_t slot[2], chunk[2];
    (void)arg;
    for (int i = 0; rank == 0 && i < 2; i++) {
        slot[i] = ops_root(ctx, i ? "there" : "here");
        OK(ops_alloc(ctx, OPS_DEFAULT, i, 64, &chunk[i]));
        OK(mega__rma_put(ctx, slot[i], &chunk[i], 8));
        OK(mega__rma_quiet(ctx));
    }
    CHECK(look(ctx, rank, 0) == 0, "sound: %s", told[rank].what[0]);
    for (int i = 0; rank == 0 && i < 2; i++)
        OK(ops_free(ctx, chunk[i]));
    if (rank == 0)
        OK(mega__rma_quiet(ctx));
    CHECK(look(ctx, rank, 0) == 2, "two roots: %s", told[rank].what[0]);
    const uint64_t null = 0;
    for (int i = 0; rank == 0 && i < 2; i++)
        OK(mega__rma_put(ctx, slot[i], &null, 8));
    world_barrier(ctx);
}

Test(far_sight, check_follows_roots_to_other_hosts)
{
    run(stale_root);
}
