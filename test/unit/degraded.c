/* SPDX-License-Identifier: BSD-3-Clause */
/* degraded.c - a space with a home missing, opened read-only by ranks on two
 * hosts: not a byte of the medium changes, whatever is called and asked. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "agent.h"
#include "degraded.h"
#include "hot.h"
#include "log.h"
#include "net.h"
#include "part.h"
#include "rma.h"
#include "stat.h"
#include "test/lib/ops.h"
#include "test/lib/report.h"
#include "test/lib/world.h"

#define HOMES 3

static struct medium *m;
static mega_gptr_t chunk[HOMES];
static const int three_hosts[] = {0, 1, 2};

static void begin(void)
{
    m = world_begin();
}

static void end(void)
{
    world_set("OPEN", NULL);
    world_end(&m);
    report_settle();
}

TestSuite(degraded, .init = begin, .fini = end, .timeout = 120);

static void make(struct mega__ctx *ctx, int rank, void *arg)
{
    uint64_t number = 100 + (uint64_t)rank;
    (void)arg;
    OK(ops_alloc(ctx, OPS_DEFAULT, rank, 64, &chunk[rank]));
    OK(mega__rma_put_persist(ctx, chunk[rank], &number, 8));
    OK(ops_alloc(ctx, OPS_DEFAULT, rank, 64, &(mega_gptr_t){0}));
}

static uint64_t sum_of(const char *bytes, uint64_t n)
{
    uint64_t sum = 14695981039346656037u;
    for (uint64_t i = 0; i < n; i++)
        sum = (sum ^ (unsigned char)bytes[i]) * 1099511628211u;
    return sum;
}

static uint64_t sum_of_all(void)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < m->nfiles; i++) {
        const struct medium_file *f = m->files[i];
        sum = sum * 31 + sum_of(f->cpu + MEDIUM_DATA, f->size - MEDIUM_DATA);
        sum = sum * 31 + sum_of(f->media + MEDIUM_DATA, f->size - MEDIUM_DATA);
        sum = sum * 31 + sum_of(f->cpu, MEDIUM_HEAD);
        sum = sum * 31 + sum_of(f->media, MEDIUM_HEAD);
    }
    return sum;
}

static void refused(mega_status_t st)
{
    CHECK(st == MEGA_ERR_UNSUPPORTED, "status %d: %s", st,
          mega__errmsg_buffer());
}

/* What a rank would do that knows nothing of the setting. */
static void ask_the_server(struct mega__ctx *ctx, struct mega__home *home)
{
    uint64_t word = 1;
    struct mega__part part = {.p = chunk[home->no], .src = &word, .n = 8};
    struct mega__arena *a = mega__arena(ctx);
    for (uint32_t op = 0; op <= MEGA__ASK_RECORD_GIVE; op++) {
        struct mega__request req = {
            .op = op, .home = home->no, .arg = {MEGA__REGION_DEFAULT, 1}};
        if (!mega__agent_only_reads(op))
            refused(mega__agent_ask(ctx, home, &req));
    }
    if (home->local)
        refused(mega__part_apply(ctx, a, &part));
    else
        refused(mega__net_durable(ctx->net, &part, 1));
}

static void use(struct mega__ctx *ctx, int rank, void *arg)
{
    uint64_t number, bytes = 0;
    mega_gptr_t p;
    const uint32_t gone = *(const uint32_t *)arg;
    (void)rank;
    CHECK(ctx->nhomes == HOMES && ctx->nabsent == 1 && ctx->epoch == 1,
          "%u homes, %u absent, epoch %llu", ctx->nhomes, ctx->nabsent,
          (unsigned long long)ctx->epoch);
    for (uint32_t h = 0; h < HOMES; h++) {
        struct mega__home *home = mega__home_at(ctx, h);
        if (h == gone) {
            mega_status_t st = mega__rma_get(ctx, &number, chunk[h], 8);
            CHECK(st == MEGA_ERR_ABSENT, "get of an absent home: %d", st);
            st = mega__stat_region(ctx, home, OPS_DEFAULT, &bytes);
            CHECK(st == MEGA_ERR_ABSENT, "look at an absent home: %d", st);
            continue;
        }
        OK(mega__rma_get(ctx, &number, chunk[h], 8));
        CHECK(number == 100 + h, "home %u says %llu", h,
              (unsigned long long)number);
        number = 0;
        OK(mega__rma_amo(ctx, MEGA_AMO_FETCH, 4, chunk[h], 0, 0, &number));
        CHECK(number == 100 + h, "a fetch of 4 bytes: %llu",
              (unsigned long long)number);
        OK(mega__stat_region(ctx, home, OPS_DEFAULT, &bytes));
        CHECK(bytes > 0, "home %u has no memory", h);
        refused(mega__rma_put(ctx, chunk[h], &number, 8));
        refused(mega__rma_put_nbi(ctx, chunk[h], &number, 8));
        refused(mega__rma_persistv(ctx, &(mega_iov_t){chunk[h], NULL, 8}, 1));
        refused(mega__rma_amo_nbi(ctx, MEGA_AMO_ADD, 8, chunk[h], 1, 0, NULL));
        refused(mega__rma_put_persist(ctx, chunk[h], &number, 8));
        refused(mega__rma_persist(ctx, chunk[h], 8));
        refused(mega__rma_copy(ctx, chunk[h], chunk[h], 8));
        refused(mega__rma_amo(ctx, MEGA_AMO_ADD, 8, chunk[h], 1, 0, NULL));
        refused(mega__hot_free(ctx, chunk[h]));
        refused(mega__hot_alloc(ctx, OPS_DEFAULT, (int)h, 8, &p));
        refused(mega__hot_alloc(ctx, OPS_DEFAULT, (int)h, 1 << 20, &p));
        ask_the_server(ctx, home);
    }
}

/* The hosts of the ranks that are left, so that one home is seen by none. */
static void without(int a, int b, uint32_t gone)
{
    struct world w = {
        .nranks = 3, .hosts = three_hosts, .fn = make, .end = WORLD_KILL};
    cr_assert_eq(world_run(&w), MEGA_OK, "%s", w.message);
    medium_power_loss(m);
    const uint64_t before = sum_of_all();
    const int hosts[] = {a, b};
    w = (struct world){.nranks = 2, .hosts = hosts, .fn = use, .arg = &gone};
    world_set("OPEN", "degraded");
    cr_assert_eq(world_run(&w), MEGA_OK, "%s", w.message);
    CHECK(sum_of_all() == before, "the medium has changed");
    world_set("OPEN", NULL);
    cr_assert_eq(world_run(&w), MEGA_ERR_ABSENT, "%s", w.message);
}

Test(degraded, the_last_home_is_missing)
{
    without(0, 1, 2);
}

Test(degraded, a_home_between_is_missing)
{
    without(0, 2, 1);
}

Test(degraded, home_0_is_missing)
{
    without(1, 2, 0);
}

/* Home 2 knows of the epoch that home 1 has not had. */
Test(degraded, an_older_copy_is_refused_also_without_home_0)
{
    struct medium *older = medium_new();
    struct world w = {
        .nranks = 3, .hosts = three_hosts, .fn = make, .end = WORLD_KILL};
    cr_assert_eq(world_run(&w), MEGA_OK, "%s", w.message);
    medium_power_loss(m);
    medium_copy(older, m);
    w.fn = NULL;
    cr_assert_eq(world_run(&w), MEGA_OK, "%s", w.message);
    medium_power_loss(m);
    world_put_back(m, 1, 0, older);
    const int hosts[] = {1, 2};
    w = (struct world){.nranks = 2, .hosts = hosts};
    world_set("OPEN", "degraded");
    cr_assert_eq(world_run(&w), MEGA_ERR_MISMATCH, "%s", w.message);
    CHECK(strstr(w.message, "home 1 is an older copy"), "%s", w.message);
    world_set("OPEN", NULL);
    medium_free(&older);
}
