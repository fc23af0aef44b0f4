/* SPDX-License-Identifier: BSD-3-Clause */
/* persistv.c - many ranges made durable by one call: of this host by one fence,
 * of others by one message for each home. */
#include <criterion/criterion.h>

#include "chunk.h"
#include "log.h"
#include "rma.h"
#include "span.h"
#include "test/lib/net_delay.h"
#include "test/lib/ops.h"
#include "test/lib/report.h"
#include "test/lib/world.h"

#define RANKS 3
#define RANGES 300

static struct medium *m;
static mega_gptr_t chunk[RANGES];

static void begin(void)
{
    m = world_begin();
}

static void end(void)
{
    world_end(&m);
    report_settle();
}

TestSuite(persistv, .init = begin, .fini = end, .timeout = 120);

static uint64_t value(int i)
{
    return 1000003u * (uint64_t)i + 17;
}

/* Rank 1 writes chunks on all homes, in turn. */
static void persist(struct mega__ctx *ctx, int rank, void *arg)
{
    static mega_iov_t iov[RANGES];
    (void)arg;
    if (rank == 1) {
        for (int i = 0; i < RANGES; i++) {
            uint64_t v = value(i);
            OK(ops_alloc(ctx, OPS_DEFAULT, i % RANKS, 24, &chunk[i]));
            OK(mega__rma_put(ctx, mega_add(chunk[i], 8), &v, 8));
            iov[i] = (mega_iov_t){mega_add(chunk[i], 8), NULL, i % 7 ? 8 : 0};
        }
        OK(mega__rma_quiet(ctx)); /* the marks: else they go along */
        const unsigned long before = net_delay_counts(ctx->net).messages;
        const uint64_t drains = m->drains;
        OK(mega__rma_persistv(ctx, iov, RANGES));
        unsigned homes = 0;
        for (int h = 0; h < RANKS; h++)
            homes += !ctx->homes[h].local;
        CHECK(net_delay_counts(ctx->net).messages - before == homes,
              "%lu messages to %u homes",
              (unsigned long)net_delay_counts(ctx->net).messages - before,
              homes);
        CHECK(m->drains - drains == 1 + homes, "%u fences",
              (unsigned)(m->drains - drains));
    }
    world_barrier(ctx);
}

static void look(struct mega__ctx *ctx, int rank, void *arg)
{
    size_t usable;
    uint64_t v;
    (void)arg;
    for (int i = rank; i < RANGES; i += RANKS) {
        if (i % 7 == 0)
            continue;
        OK(mega__chunk_usable(ctx, chunk[i], &usable));
        OK(mega__rma_get(ctx, &v, mega_add(chunk[i], 8), 8));
        CHECK(v == value(i), "range %d is lost: %llu", i,
              (unsigned long long)v);
    }
    world_barrier(ctx);
}

Test(persistv, ranges_of_many_hosts_survive)
{
    world_on_hosts(m, RANKS, persist, WORLD_KILL); /* the power fails, too */
    world_on_hosts(m, RANKS, look, WORLD_CLOSE);
}

Test(persistv, ranges_of_one_host_survive)
{
    struct world w = {.nranks = RANKS, .fn = persist, .end = WORLD_KILL};
    cr_assert_eq(world_run(&w), MEGA_OK, "%s", w.message);
    medium_power_loss(m);
    cr_assert_eq(world_do(RANKS, look, NULL), MEGA_OK);
}

/* L2: whose allocation it is does not matter. */
static void persist_for_another(struct mega__ctx *ctx, int rank, void *arg)
{
    uint64_t v = value(1);
    (void)arg;
    if (rank == 0) /* its home's own: visible there, and not durable */
        OK(ops_alloc(ctx, OPS_DEFAULT, 0, 24, &chunk[1]));
    world_barrier(ctx);
    if (rank == 1) {
        OK(mega__rma_put(ctx, mega_add(chunk[1], 8), &v, 8));
        OK(mega__rma_persistv(
            ctx, &(mega_iov_t){mega_add(chunk[1], 8), NULL, 8}, 1));
    }
    world_barrier(ctx);
}

static void look_at_one(struct mega__ctx *ctx, int rank, void *arg)
{
    size_t usable;
    uint64_t v;
    (void)arg;
    if (rank == 0) {
        OK(mega__chunk_usable(ctx, chunk[1], &usable));
        OK(mega__rma_get(ctx, &v, mega_add(chunk[1], 8), 8));
        CHECK(v == value(1), "lost: %llu", (unsigned long long)v);
    }
    world_barrier(ctx);
}

Test(persistv, makes_the_allocations_of_others_durable)
{
    world_on_hosts(m, RANKS, persist_for_another, WORLD_KILL);
    world_on_hosts(m, RANKS, look_at_one, WORLD_CLOSE);
}

static void misuse(struct mega__ctx *ctx, int rank, void *arg)
{
    mega_iov_t iov[3];
    mega_gptr_t p;
    (void)arg;
    for (int h = 0; rank == 1 && h < RANKS; h++) {
        OK(ops_alloc(ctx, OPS_DEFAULT, h, 64, &p));
        iov[0] = iov[1] = iov[2] = (mega_iov_t){p, NULL, 64};
        OK(mega__rma_persistv(ctx, iov, 0));
        iov[1].p = mega_null();
        CHECK(mega__rma_persistv(ctx, iov, 3) == MEGA_ERR_ARG, "null");
        iov[1].p = mega_add(p, INT64_C(1) << 33);
        CHECK(mega__rma_persistv(ctx, iov, 3) == MEGA_ERR_ARG, "beyond, %d", h);
        iov[1].p = p;
        OK(mega__rma_persistv(ctx, iov, 3));
    }
    world_barrier(ctx);
}

Test(persistv, what_is_no_range_is_refused)
{
    world_on_hosts(m, RANKS, misuse, WORLD_CLOSE);
}

/* A word that is damaged: a run of no length, or of too much. */
static void over_damage(struct mega__ctx *ctx, int rank, void *arg)
{
    (void)arg;
    if (rank == 0) {
        OK(ops_alloc(ctx, OPS_DEFAULT, 0, 4 * MEGA__EXTENT, &chunk[0]));
        struct mega__span *span = mega__span_of(ctx, chunk[0]);
        const uint32_t e =
            (uint32_t)(mega_offset(chunk[0]) >> MEGA__EXTENT_SHIFT);
        const uint64_t word = mega__span_word(span, e);
        for (int i = 0; i < 2; i++) { /* or beyond the end of the span */
            const uint32_t n = i ? span->extents - e + 1 : 0;
            atomic_store(&span->words[e],
                         mega__word_run(MEGA__RUN_HEAD, n,
                                        mega__word_region(word), ctx->epoch14,
                                        0));
            OK(mega__rma_persist(ctx, chunk[0], 4 * MEGA__EXTENT));
            CHECK(ops_free(ctx, chunk[0]) == MEGA_ERR_NOT_LIVE, "free %d", i);
        }
        atomic_store(&span->words[e], word);
        OK(ops_free(ctx, chunk[0]));
    }
    world_barrier(ctx);
}

Test(persistv, a_persist_over_a_damaged_word_ends, .timeout = 20)
{
    world_on_hosts(m, 1, over_damage, WORLD_CLOSE);
}
