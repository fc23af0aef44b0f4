/* SPDX-License-Identifier: BSD-3-Clause */
/* keys.c - what servers have said of their spans, as the ranks of a host hold
 * it: threads of this process, each with a mapping of its own. */
#include "keys.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "test/lib/boot_threads.h"
#include "test/lib/report.h"

#define RANKS 4
#define SPANS 3000
#define LONG 2000 /* bytes of a key */

struct work {
    void (*fn)(struct mega__ctx *ctx, struct mega__keys *keys);
};

static void work(struct mega__boot *boot, int rank, void *arg)
{
    struct mega__ctx *ctx = calloc(1, sizeof *ctx);
    struct mega__keys *keys = NULL;
    (void)rank;
    CHECK(ctx, "no memory");
    ctx->boot = boot;
    ctx->place = mega__boot_place(boot);
    CHECK(mega__keys_open(ctx, &keys) == MEGA_OK, "open");
    ((const struct work *)arg)->fn(ctx, keys);
    mega__keys_close(&keys);
    CHECK(!keys, "closed");
    free(ctx);
}

static void on_ranks(const int *hosts,
                     void (*fn)(struct mega__ctx *, struct mega__keys *))
{
    boot_team_run(RANKS, hosts, work, &(struct work){fn});
    report_settle();
}

static void meet(struct mega__ctx *ctx)
{
    CHECK(mega__boot_barrier(ctx->boot) == MEGA_OK, "barrier");
}

/* ---- Who finds what ---- */

/* Homes and spans as few ranks have them, and many. */
static uint32_t home_of(uint32_t i)
{
    return i % 3 ? i / 7 : i * 349;
}

static uint32_t span_of(uint32_t i)
{
    return i % 1024;
}

static size_t len_of(uint32_t i)
{
    return i % 50 ? i % 200 : LONG;
}

static void keep(struct mega__keys *keys, uint32_t i, int value)
{
    char bytes[LONG];
    memset(bytes, value, sizeof bytes);
    mega__keys_keep(keys, home_of(i), span_of(i), bytes, len_of(i));
}

/* The value that it has throughout; -1: it is not kept. */
static int value_of(const struct mega__keys *keys, uint32_t i)
{
    const char *p = mega__keys_find(keys, home_of(i), span_of(i));
    CHECK((uintptr_t)p % 8 == 0, "%u: at %p", i, (const void *)p);
    for (size_t b = 1; p && b < len_of(i); b++)
        CHECK(p[b] == p[0], "%u: byte %zu of %zu", i, b, len_of(i));
    return p ? p[0] : -1;
}

static void keep_on_one_host(struct mega__ctx *ctx, struct mega__keys *keys)
{
    for (uint32_t i = 1; i < SPANS; i++)
        CHECK(value_of(keys, i) == -1, "%u before", i);
    meet(ctx);
    for (uint32_t i = 1; ctx->place.rank == 2 && i < SPANS; i++)
        keep(keys, i, 7);
    meet(ctx);
    for (uint32_t i = 1; i < SPANS; i++)
        CHECK(value_of(keys, i) == (ctx->place.host == 1 ? 7 : -1), "%u at %d",
              i, ctx->place.rank);
}

Test(keys, ranks_of_one_host_find_what_one_of_them_keeps)
{
    on_ranks((const int[]){0, 1, 1, 0}, keep_on_one_host);
}

static int seen[RANKS][SPANS];

/* Half of them from the other end. */
static void keep_all_at_once(struct mega__ctx *ctx, struct mega__keys *keys)
{
    const int me = ctx->place.rank;
    meet(ctx);
    for (uint32_t k = 1; k < SPANS; k++) {
        uint32_t i = me % 2 ? k : SPANS - k;
        keep(keys, i, me);
        seen[me][i] = value_of(keys, i);
    }
    meet(ctx);
    for (uint32_t i = 1; i < SPANS; i++) {
        CHECK(seen[me][i] >= 0 && seen[me][i] == seen[0][i],
              "%u: %d here, %d there", i, seen[me][i], seen[0][i]);
        CHECK(value_of(keys, i) == seen[me][i], "%u: it was %d", i,
              seen[me][i]);
    }
}

Test(keys, of_those_who_keep_a_span_at_once_one_is_believed_by_all)
{
    on_ranks(NULL, keep_all_at_once);
}

/* ---- No room ---- */

static void keep_too_much(struct mega__ctx *ctx, struct mega__keys *keys)
{
    static const char bytes[1 << 20];
    uint32_t n = 1;
    if (ctx->place.rank == 1) {
        keep(keys, 0, 5);
        while (n < 100 && (mega__keys_keep(keys, n, 0, bytes, sizeof bytes),
                           mega__keys_find(keys, n, 0)))
            n++;
        CHECK(n > 1 && n < 100, "%u kept", n - 1);
    }
    CHECK(mega__boot_bcast(ctx->boot, &n, sizeof n, 1) == MEGA_OK, "bcast");
    CHECK(value_of(keys, 0) == 5 && mega__keys_find(keys, n - 1, 0),
          "the first");
    CHECK(!mega__keys_find(keys, n, 0), "the last");
}

Test(keys, what_has_no_room_is_not_kept)
{
    on_ranks(NULL, keep_too_much);
}

/* A file that may not grow, as one for which there is no memory. */
static void keep_without_memory(struct mega__ctx *ctx, struct mega__keys *keys)
{
    const struct rlimit none = {16384, RLIM_INFINITY};
    const struct rlimit all = {RLIM_INFINITY, RLIM_INFINITY};
    uint32_t n = 0;
    if (ctx->place.rank == 0) {
        signal(SIGXFSZ, SIG_IGN);
        CHECK(setrlimit(RLIMIT_FSIZE, &none) == 0, "no more");
        do
            keep(keys, ++n * 50, 5);
        while (n < 50 && value_of(keys, n * 50) == 5);
        CHECK(n > 1 && n < 50, "%u kept", n - 1);
        CHECK(setrlimit(RLIMIT_FSIZE, &all) == 0, "all");
        keep(keys, n * 50, 6);
    }
    CHECK(mega__boot_bcast(ctx->boot, &n, sizeof n, 0) == MEGA_OK, "bcast");
    for (uint32_t i = 1; i <= n; i++)
        CHECK(value_of(keys, i * 50) == (i < n ? 5 : 6), "%u of %u", i, n);
}

Test(keys, what_there_is_no_memory_for_is_kept_when_there_is)
{
    on_ranks(NULL, keep_without_memory);
}
