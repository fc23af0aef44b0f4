/* SPDX-License-Identifier: BSD-3-Clause */
/* find.c - a FREE extent is found wherever it lies. Linked so that all claims
 * of slabs, and all looks for memory that others have freed, come by here. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "arena.h"
#include "find.h"
#include "log.h"
#include "roll.h"
#include "seg.h"
#include "span.h"
#include "test/lib/net_delay.h"
#include "test/lib/ops.h"
#include "test/lib/world.h"

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

TestSuite(find, .init = begin, .fini = end, .timeout = 120);

/* ---- Behind claims that are lost ---- */

static int rivals; /* so many claims in a row are another rank's */

struct mega__slab *__real_mega__slab_claim(struct mega__arena *a,
                                           struct mega__span *span,
                                           uint32_t extent, unsigned class,
                                           uint32_t region);
struct mega__slab *__wrap_mega__slab_claim(struct mega__arena *a,
                                           struct mega__span *span,
                                           uint32_t extent, unsigned class,
                                           uint32_t region);

/* Another rank comes between the look at a word and the swap. */
struct mega__slab *__wrap_mega__slab_claim(struct mega__arena *a,
                                           struct mega__span *span,
                                           uint32_t extent, unsigned class,
                                           uint32_t region)
{
    const uint64_t theirs =
        mega__word_slab(MEGA__SLAB, class, region, 1, a->ctx->epoch14);
    if (rivals > 0 && rivals--)
        mega__span_cas(span, extent, MEGA__FREE, theirs);
    return __real_mega__slab_claim(a, span, extent, class, region);
}

static void all_free(struct mega__span *span)
{
    for (uint32_t e = span->first; e < span->extents; e++)
        mega__span_cas(span, e, mega__span_word(span, e), MEGA__FREE);
}

static void lose(struct mega__ctx *ctx, int rank, void *arg)
{
    (void)arg;
    if (rank != 0)
        return;
    struct mega__span *span = mega__span_of(ctx, mega__gptr(0, 0, 0));
    struct mega__arena *a = mega__arena(ctx);
    struct mega__heap *heap =
        mega__arena_heap(a, OPS_DEFAULT, mega__home_at(ctx, 0));
    for (uint32_t i = 0; i < 4000; i++) {
        struct mega__slab *slab = NULL;
        all_free(span);
        atomic_store(&span->home->seg->spans[0].free,
                     (int32_t)(span->extents - span->first));
        a->seed = i * 2654435761u;
        heap->cursor = a->seed % (span->extents - span->first);
        rivals = 1 + (int)(i % 10);
        OK(mega__slab_get(a, heap, 5, &slab));
        rivals = 0;
        if (slab)
            mega__slab_delete(a, slab);
    }
    all_free(span);
}

Test(find, what_was_leapt_over_is_looked_at)
{
    struct world w = {.nranks = 2, .fn = lose, .end = WORLD_KILL};
    world_set("HOME_SIZE", "8M");
    world_set("HOME_MAX", "8M");
    cr_assert_eq(world_run(&w), MEGA_OK, "%s", w.message);
}

/* ---- In the last of several spans ---- */

#define LARGE ((size_t)1 << 20)

static void *alloc_one(void *arg)
{
    mega_gptr_t p;
    OK(ops_alloc(arg, OPS_DEFAULT, 0, 100, &p));
    return NULL;
}

static bool full_but_for_the_last(struct mega__seg_home *seg, uint32_t spans)
{
    if (atomic_load(&seg->nspans) < spans)
        return false;
    for (uint32_t i = 0; i < spans - 1; i++)
        if (atomic_load(&seg->spans[i].free) > 0)
            return false;
    return true;
}

/* Runs fill all spans but the last; who looks for a slab there first is this
 * thread, in region 1, and another. */
static void fill_all_but_the_last(struct mega__ctx *ctx, int rank, void *arg)
{
    const uint32_t spans = *(const uint32_t *)arg;
    struct mega__seg_home *seg = ctx->homes[0].seg;
    mega_gptr_t p;
    pthread_t thread;
    (void)rank;
    for (size_t size = LARGE; size >= MEGA__EXTENT; size /= 2)
        while (!full_but_for_the_last(seg, spans) &&
               !ops_alloc(ctx, OPS_DEFAULT, 0, size, &p))
            if (mega__gptr_span(p) == spans - 1)
                break;
    CHECK(full_but_for_the_last(seg, spans) &&
              atomic_load(&seg->nspans) == spans &&
              atomic_load(&seg->spans[spans - 1].free) > 1,
          "%u spans", atomic_load(&seg->nspans));
    OK(ops_alloc(ctx, OPS_DEFAULT, 0, 100, &p));
    CHECK(mega__gptr_span(p) == spans - 1, "a chunk in span %u",
          mega__gptr_span(p));
    pthread_create(&thread, NULL, alloc_one, ctx);
    pthread_join(thread, NULL);
    CHECK(atomic_load(&seg->nspans) == spans, "grown without need");
}

Test(find, threads_look_into_all_spans)
{
    world_set("HOME_MAX", "1G");
    for (uint32_t spans = 2; spans <= 6; spans++) {
        struct world w = {.nranks = 1,
                          .fn = fill_all_but_the_last,
                          .arg = &spans,
                          .end = WORLD_KILL};
        struct medium *fresh = medium_new();
        medium_use(fresh);
        cr_assert_eq(world_run(&w), MEGA_OK, "%s", w.message);
        medium_use(m);
        medium_free(&fresh);
    }
}

/* ---- Of a home that is full for good ---- */

static void fill_up_and_ask(struct mega__ctx *ctx, int rank, void *arg)
{
    static char first[MEGA__ERRMSG_MAX];
    static mega_gptr_t p[4096];
    unsigned n = 0;
    mega_status_t st;
    (void)arg;
    if (rank == 0) {
        while (!(st = ops_alloc(ctx, OPS_DEFAULT, 0, 32768, &p[n])))
            n++;
        CHECK(st == MEGA_ERR_HOME_FULL, "%d", st);
        snprintf(first, sizeof first, "%s", mega__errmsg_buffer());
    }
    world_barrier(ctx);
    if (rank == 1) {
        uint32_t bell = ctx->seg->ranks[0].bell;
        CHECK(ops_alloc(ctx, OPS_DEFAULT, 0, 32768, &p[n]) ==
                      MEGA_ERR_HOME_FULL &&
                  strcmp(first, mega__errmsg_buffer()) == 0,
              "%s", mega__errmsg_buffer());
        CHECK(ctx->seg->ranks[0].bell == bell, "the server was asked");
    }
    world_barrier(ctx);
    if (rank == 0 && n > 0) {
        OK(ops_free(ctx, p[--n]));
        OK(ops_alloc(ctx, OPS_DEFAULT, 0, 32768, &p[n]));
    }
}

Test(find, a_home_that_is_full_for_good_is_not_asked_again)
{
    cr_assert_eq(world_do(2, fill_up_and_ask, NULL), MEGA_OK);
}

/* ---- Of a file that was made in vain ---- */

static void grow_in_vain(struct mega__ctx *ctx, int rank, void *arg)
{
    const size_t size = (size_t)16 << 20;
    const size_t files = m->nfiles;
    mega_gptr_t p;
    (void)rank, (void)arg;
    net_delay_refuse_spans(3);
    for (int i = 0; i < 3; i++)
        CHECK(ops_alloc(ctx, OPS_DEFAULT, 0, size, &p) == MEGA_ERR_IO, "grown");
    OK(ops_alloc(ctx, OPS_DEFAULT, 0, size, &p));
    CHECK(m->nfiles == files + 1, "%zu files more", m->nfiles - files);
    OK(ops_free(ctx, p));
}

Test(find, a_span_that_others_cannot_reach_yet_is_used_before_one_is_made)
{
    world_set("HOME_MAX", "1G");
    cr_assert_eq(world_do(1, grow_in_vain, NULL), MEGA_OK);
}

/* ---- On any home, of which one is full ---- */

static unsigned searches;

unsigned __real_mega__slab_reclaim(struct mega__arena *a,
                                   struct mega__home *home);
unsigned __wrap_mega__slab_reclaim(struct mega__arena *a,
                                   struct mega__home *home);

unsigned __wrap_mega__slab_reclaim(struct mega__arena *a,
                                   struct mega__home *home)
{
    searches++;
    return __real_mega__slab_reclaim(a, home);
}

static unsigned fill_on(struct mega__ctx *ctx, int home, mega_gptr_t *p)
{
    unsigned n = 0;
    mega_status_t st;
    while (!(st = ops_alloc(ctx, OPS_DEFAULT, home, 4096, &p[n])))
        n++;
    CHECK(st == MEGA_ERR_HOME_FULL, "home %d: %d", home, st);
    return n;
}

static unsigned number_on(unsigned home, const mega_gptr_t *p, unsigned n)
{
    unsigned count = 0;
    for (unsigned i = 0; i < n; i++)
        count += mega__gptr_home(p[i]) == home;
    return count;
}

static void go_elsewhere(struct mega__ctx *ctx, int rank, void *arg)
{
    enum { SOME = 100 };
    static mega_gptr_t p[4096], any[4096];
    (void)arg;
    if (rank != 0)
        return;
    const unsigned full = fill_on(ctx, 0, p);
    searches = 0;
    for (unsigned i = 0; i < SOME; i++)
        OK(ops_alloc(ctx, OPS_DEFAULT, MEGA_ANY_HOME, 4096, &any[i]));
    CHECK(number_on(1, any, SOME) == SOME, "home 0 was full");
    CHECK(searches < SOME / 4, "home 0 was searched %u times", searches);
    for (unsigned i = 0; i < full; i++)
        OK(ops_free(ctx, p[i]));
    const unsigned more = SOME + fill_on(ctx, MEGA_ANY_HOME, any + SOME);
    CHECK(number_on(0, any, more) == full, "%u of %u chunks of home 0",
          number_on(0, any, more), full);
    CHECK(number_on(0, any, more) < more &&
              ops_alloc(ctx, OPS_DEFAULT, 1, 4096, p) == MEGA_ERR_HOME_FULL,
          "home 1 has room");
}

Test(find, a_full_home_is_not_searched_for_each_chunk)
{
    cr_assert_eq(world_do(2, go_elsewhere, NULL), MEGA_OK);
}
