/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * publish.c - allocations that a crash cannot split from their links, against
 * those of libpmemobj, on as many slots in persistent memory each:
 *   one by one    mega_alloc_to, mega_free_from
 *                 pmemobj_alloc, pmemobj_free with the oid in the pool
 *   in groups     mega_reserve and mega_publish, and the group's end
 *                 pmemobj_reserve and pmemobj_publish, and the group's end by
 *                 pmemobj_defer_free: no links at all, the peer's best case;
 *                 and linked: with pmemobj_set_value of the oid's two words
 * Times are for one chunk.
 */
#include "bench.h"
#include "pmem_pool.h"

#define SLOTS 4096
#define GROUP 32
#define BYTES 64

enum side { MEGA, PMEMOBJ, LINKED, SIDES };

static PMEMobjpool *pool;
static mega_gptr_t slots; /* SLOTS words of a raw run */
static uint64_t *words;   /* their addresses */
static PMEMoid *oids;     /* SLOTS of them in the pool */
static PMEMoid unlinked[SLOTS];

static double seconds[SIDES][2][BENCH_REPS]; /* of making, of ending */

static mega_gptr_t slot_at(int i)
{
    return mega_add(slots, 8 * (int64_t)i);
}

/* ---- One by one ---- */

static void mega_make(void)
{
    for (int i = 0; i < SLOTS; i++) {
        BENCH_MUST(mega_alloc_to(MEGA_DEFAULT, 0, BYTES, slot_at(i)));
    }
}

static void mega_end(void)
{
    for (int i = 0; i < SLOTS; i++) {
        BENCH_MUST(mega_free_from(slot_at(i)));
    }
}

static void pmemobj_make(void)
{
    for (int i = 0; i < SLOTS; i++) {
        bench_check(pmemobj_alloc(pool, &oids[i], BYTES, 0, NULL, NULL) == 0,
                    "pmemobj_alloc");
    }
}

static void pmemobj_end(void)
{
    for (int i = 0; i < SLOTS; i++) {
        pmemobj_free(&oids[i]);
    }
}

/* ---- In groups ---- */

static void mega_make_groups(void)
{
    mega_publish_item_t item[GROUP];
    for (int i = 0; i < SLOTS; i += GROUP) {
        for (int j = 0; j < GROUP; j++) {
            item[j].op = MEGA_PUBLISH_ALLOC;
            item[j].slot = slot_at(i + j);
            BENCH_MUST(mega_reserve(MEGA_DEFAULT, 0, BYTES, &item[j].chunk));
        }
        BENCH_MUST(mega_publish(item, GROUP, 0));
    }
}

static void mega_end_groups(void)
{
    mega_publish_item_t item[GROUP];
    for (int i = 0; i < SLOTS; i += GROUP) {
        for (int j = 0; j < GROUP; j++) {
            item[j].op = MEGA_PUBLISH_FREE;
            item[j].slot = slot_at(i + j);
            item[j].chunk = mega_from_bits(words[i + j]);
        }
        BENCH_MUST(mega_publish(item, GROUP, 0));
    }
}

static void linked_make_groups(void)
{
    struct pobj_action action[3 * GROUP];
    for (int i = 0; i < SLOTS; i += GROUP) {
        struct pobj_action *a = action;
        for (int j = 0; j < GROUP; j++) {
            PMEMoid oid = pmemobj_reserve(pool, a++, BYTES, 0);
            PMEMoid *slot = &oids[i + j];
            pmemobj_set_value(pool, a++, &slot->off, oid.off);
            pmemobj_set_value(pool, a++, &slot->pool_uuid_lo, oid.pool_uuid_lo);
        }
        bench_check(pmemobj_publish(pool, action, 3 * GROUP) == 0,
                    "pmemobj_publish");
    }
}

static void linked_end_groups(void)
{
    struct pobj_action action[3 * GROUP];
    for (int i = 0; i < SLOTS; i += GROUP) {
        struct pobj_action *a = action;
        for (int j = 0; j < GROUP; j++) {
            PMEMoid *slot = &oids[i + j];
            pmemobj_defer_free(pool, *slot, a++);
            pmemobj_set_value(pool, a++, &slot->off, 0);
            pmemobj_set_value(pool, a++, &slot->pool_uuid_lo, 0);
        }
        bench_check(pmemobj_publish(pool, action, 3 * GROUP) == 0,
                    "pmemobj_publish");
    }
}

static void pmemobj_make_groups(void)
{
    struct pobj_action action[GROUP];
    for (int i = 0; i < SLOTS; i += GROUP) {
        for (int j = 0; j < GROUP; j++) {
            unlinked[i + j] = pmemobj_reserve(pool, &action[j], BYTES, 0);
        }
        bench_check(pmemobj_publish(pool, action, GROUP) == 0,
                    "pmemobj_publish");
    }
}

static void pmemobj_end_groups(void)
{
    struct pobj_action action[GROUP];
    for (int i = 0; i < SLOTS; i += GROUP) {
        for (int j = 0; j < GROUP; j++) {
            pmemobj_defer_free(pool, unlinked[i + j], &action[j]);
        }
        bench_check(pmemobj_publish(pool, action, GROUP) == 0,
                    "pmemobj_publish");
    }
}

/* ---- Comparing ---- */

typedef void (*step_fn)(void);

static void by_turns(int sides, const step_fn fn[][2])
{
    for (int rep = -1; rep < BENCH_REPS; rep++) { /* -1: warm up */
        for (int s = 0; s < sides; s++) {
            for (int k = 0; k < 2; k++) {
                double begin = bench_now();
                fn[s][k]();
                if (rep >= 0) {
                    seconds[s][k][rep] = bench_now() - begin;
                }
            }
        }
    }
}

static void print_ns(const char *name, enum side side, int step)
{
    bench_row(name, 1e9 * bench_median(seconds[side][step], BENCH_REPS) / SLOTS,
              "ns");
}

/** Of both steps together, Megalloc against a side. */
static double pair_ratio(enum side side)
{
    double mega[BENCH_REPS], peer[BENCH_REPS];
    for (int i = 0; i < BENCH_REPS; i++) {
        mega[i] = seconds[MEGA][0][i] + seconds[MEGA][1][i];
        peer[i] = seconds[side][0][i] + seconds[side][1][i];
    }
    return bench_ratio(peer, mega, BENCH_REPS);
}

static void compare_singles(void)
{
    const step_fn fn[][2] = {{mega_make, mega_end},
                             {pmemobj_make, pmemobj_end}};
    by_turns(2, fn);
    print_ns("alloc_to.mega", MEGA, 0);
    print_ns("alloc_to.pmemobj", PMEMOBJ, 0);
    print_ns("free_from.mega", MEGA, 1);
    print_ns("free_from.pmemobj", PMEMOBJ, 1);
    bench_row("ratio.alloc_to.vs_pmemobj",
              bench_ratio(seconds[PMEMOBJ][0], seconds[MEGA][0], BENCH_REPS),
              "x");
    bench_row("ratio.free_from.vs_pmemobj",
              bench_ratio(seconds[PMEMOBJ][1], seconds[MEGA][1], BENCH_REPS),
              "x");
    bench_row("ratio.publish1.vs_pmemobj", pair_ratio(PMEMOBJ), "x");
}

static void compare_groups(void)
{
    const step_fn fn[][2] = {{mega_make_groups, mega_end_groups},
                             {pmemobj_make_groups, pmemobj_end_groups},
                             {linked_make_groups, linked_end_groups}};
    by_turns(3, fn);
    print_ns("publish32.mega", MEGA, 0);
    print_ns("publish32.pmemobj", PMEMOBJ, 0);
    print_ns("publish32.pmemobj_linked", LINKED, 0);
    print_ns("unpublish32.mega", MEGA, 1);
    print_ns("unpublish32.pmemobj", PMEMOBJ, 1);
    print_ns("unpublish32.pmemobj_linked", LINKED, 1);
    bench_row("ratio.publish32.vs_pmemobj", pair_ratio(PMEMOBJ), "x");
    bench_row("ratio.publish32.vs_pmemobj_linked", pair_ratio(LINKED), "x");
}

/** Flushed lines and fences of one chunk that is published in a group. */
static void count_lines(void)
{
    mega_counters_t before, after;
    BENCH_MUST(mega_counters(&before));
    mega_make_groups();
    BENCH_MUST(mega_counters(&after));
    bench_row("flushes.publish32",
              (double)(after.flushes - before.flushes) / SLOTS, "lines");
    bench_row("fences.publish32",
              (double)(after.fences - before.fences) / SLOTS, "fences");
    before = after;
    mega_end_groups();
    BENCH_MUST(mega_counters(&after));
    bench_row("flushes.unpublish32",
              (double)(after.flushes - before.flushes) / SLOTS, "lines");
    bench_row("fences.unpublish32",
              (double)(after.fences - before.fences) / SLOTS, "fences");
}

int main(void)
{
    mega_region_t region;
    PMEMoid array;
    BENCH_MUST(mega_init());
    BENCH_MUST(mega_region_create("publish", 8 * SLOTS, 0, &region));
    slots = mega_region_at(region, 0, 0, NULL);
    words = mega_ptr(slots);
    pool = bench_pool_open((size_t)64 << 20);
    bench_check(pmemobj_zalloc(pool, &array, SLOTS * sizeof(PMEMoid), 0) == 0,
                "pmemobj_zalloc");
    oids = pmemobj_direct(array);
    compare_singles();
    compare_groups();
    count_lines();
    bench_pool_close(pool);
    BENCH_MUST(mega_region_destroy(&region));
    BENCH_MUST(mega_finalize());
    return 0;
}
