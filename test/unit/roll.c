/* SPDX-License-Identifier: BSD-3-Clause */
/* roll.c - the homes of a large job, as one rank and its host know them. */
#include "roll.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "home.h"
#include "log.h"
#include "seg.h"
#include "test/lib/report.h"

/* docs/scaling.md counts with these. */
_Static_assert(sizeof(struct mega__home) == 88, "places of homes");
_Static_assert(sizeof(struct mega__sighting) == 80, "where homes lie");
_Static_assert(sizeof(struct mega__summary) == 104, "their state");
_Static_assert(sizeof(mega_recovery_t) == 48, "what was recovered");
_Static_assert(sizeof(struct mega__raw_run) == 24, "raw runs");
_Static_assert(sizeof(struct mega__slab) == 600, "a slab");
_Static_assert(sizeof(struct mega__heap) == 8704, "a region and home");
_Static_assert(sizeof(struct mega__arena) / 1000 == 20, "a thread: 21 KB");
_Static_assert(sizeof(struct mega__seg_rank) == 568, "mail");
_Static_assert(sizeof(struct mega__seg_home) / 1000 == 74, "hints: 75 KB");

#define HOMES (UINT32_C(1) << 18) /* each served by the rank of its number */
#define HOSTS (HOMES / 64)
#define MET 100

static struct mega__ctx *ctx;
static struct mega__sighting *seen;

/* A rank alone, that takes itself for one of HOMES. */
static void begin(void)
{
    ctx = calloc(1, sizeof *ctx);
    seen = calloc(HOMES, sizeof *seen);
    pthread_mutex_init(&ctx->map_lock, NULL);
    cr_assert_eq(mega__boot_start(NULL, "", NULL, &ctx->boot), MEGA_OK);
    ctx->place = mega__boot_place(ctx->boot);
    ctx->place.rank = 64 * 5 + 1;
    ctx->place.host = 5;
    for (uint32_t h = 0; h < HOMES; h++) {
        seen[h] = (struct mega__sighting){
            .home = h, .host = (int32_t)h / 64, .server = (int32_t)h};
        snprintf(seen[h].name, sizeof seen[h].name, "host-%u", h / 64);
    }
}

static void end(void)
{
    mega__roll_drop(ctx);
    mega__boot_stop(&ctx->boot);
    pthread_mutex_destroy(&ctx->map_lock);
    free(seen);
    free(ctx);
    report_settle();
}

TestSuite(roll, .init = begin, .fini = end, .timeout = 120);

/* Pages of the places of homes that have memory of their own. */
static size_t pages_in_memory(void)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    const uintptr_t from = (uintptr_t)ctx->homes & ~(page - 1);
    const uintptr_t to = (uintptr_t)(ctx->homes + ctx->nhomes);
    size_t n = 0;
    FILE *f = fopen("/proc/self/pagemap", "rb");
    if (!f || fseek(f, (long)(from / page * 8), SEEK_SET) != 0)
        return 0;
    for (uintptr_t at = from; at < to; at += page) {
        uint64_t entry = 0;
        cr_assert_eq(fread(&entry, sizeof entry, 1, f), 1u);
        n += entry >> 63;
    }
    fclose(f);
    return n;
}

Test(roll, tells_who_serves_what_and_what_is_here)
{
    cr_assert_eq(mega__roll_make(ctx, HOMES, seen, HOMES), MEGA_OK);
    cr_assert_eq(ctx->nhomes, HOMES);
    for (uint32_t h = 0; h < HOMES; h++)
        cr_assert_eq(mega__home_server(ctx, h), (int)h);
    uint32_t i = 0, n = 0;
    for (struct mega__home *home; (home = mega__home_next_here(ctx, &i)); n++) {
        cr_assert_eq(home->no, 64 * 5 + n);
        cr_assert(home->local && home->spans);
        cr_assert_eq(home->serving, (int)home->no == ctx->place.rank);
    }
    cr_assert_eq(n, 64u);
    cr_assert_str_eq(mega__roll_here(ctx->roll)[0].next_host, "host-5");
    cr_assert_str_eq(mega__roll_here(ctx->roll)[63].next_host, "host-6");
    i = 0;
    cr_assert_eq((int)mega__home_next_served(ctx, &i)->no, ctx->place.rank);
    cr_assert_null(mega__home_next_served(ctx, &i));
}

/* docs/scaling.md has what this notes. */
static void meet_some_of(uint32_t nhomes)
{
    cr_assert_eq(mega__roll_make(ctx, nhomes, seen, nhomes), MEGA_OK);
    const size_t before = pages_in_memory();
    for (uint32_t k = 0; k < MET; k++) {
        struct mega__home *home = mega__home_at(ctx, k * (nhomes / MET));
        cr_assert(home->no == k * (nhomes / MET) &&
                  (home->local || !home->spans));
    }
    const size_t after = pages_in_memory();
    report_note("%u homes: %zu KiB once per host, %zu KiB of places, of which "
                "%zu pages have memory, %zu with %d homes met",
                nhomes, (size_t)ctx->roll->shared.bytes >> 10,
                nhomes * sizeof *ctx->homes >> 10, before, after, MET);
    cr_assert_leq(before, 16u);
    cr_assert_leq(after, before + 2 * MET); /* a place may lie on two */
}

Test(roll, a_rank_holds_only_the_homes_that_it_meets)
{
    meet_some_of(HOMES);
}

Test(roll, a_rank_of_a_smaller_job_does_so_too)
{
    meet_some_of(4096);
}

Test(roll, an_absent_home_has_no_server)
{
    seen[7].home = HOMES; /* and this one is at the end */
    cr_assert_eq(mega__roll_make(ctx, HOMES + 1, seen, HOMES), MEGA_OK);
    cr_assert_eq(mega__home_server(ctx, 7), -1);
    cr_assert_eq(mega__home_server(ctx, HOMES), 7);
}

Test(roll, two_hosts_with_one_home_are_told_apart)
{
    seen[7].home = 700;
    cr_assert_eq(mega__roll_make(ctx, HOMES, seen, HOMES), MEGA_ERR_MISMATCH);
    cr_assert(strstr(mega__errmsg_buffer(), "home 700 lies on two hosts, "
                                            "host-0 and host-10"),
              "%s", mega__errmsg_buffer());
}
