/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * adoptions.c - many ranks of other hosts want slabs of a home that has none
 * but unowned ones, all at once: its server names them (mega__find_named, the
 * real one, on a real span), ranks look at the word and try their swap, a round
 * trip each. Ranks of the home's host adopt meanwhile what is offered. With
 * MEGA_CLAIMS_TABLE=1 it prints the table of docs/scaling.md.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "class.h"
#include "find.h"
#include "seg.h"
#include "span.h"
#include "test/lib/medium.h"
#include "test/lib/report.h"

#define EXTENTS (UINT32_C(1) << 18)
#define FIRST 8 /* what is before are the span's own */
#define CLASS 3
#define REGION 5
#define MARKS_LEN ((size_t)EXTENTS * MEGA__EXTENT_GRANULES)

static struct mega__ctx *ctx;
static struct mega__home *home;
static struct mega__span *span;
static uint64_t dice;

static void *get(size_t len)
{
    void *p = mmap(NULL, len, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    cr_assert_neq(p, MAP_FAILED);
    return p;
}

/* A rank that serves a home of one span, with room in all that is a slab. */
static void begin(void)
{
    ctx = calloc(1, sizeof *ctx);
    home = calloc(1, sizeof *home);
    span = calloc(1, sizeof *span);
    cr_assert(ctx && home && span);
    mega__class_init(&ctx->classes);
    ctx->epoch14 = 7;
    ctx->nhomes = 1;
    ctx->homes = home;
    home->seg = calloc(1, sizeof *home->seg);
    home->spans = calloc(MEGA__SPANS_MAX, sizeof *home->spans);
    home->met = home->local = true;
    atomic_store(&home->seg->nspans, 1);
    span->home = home;
    span->first = FIRST;
    span->extents = EXTENTS;
    span->words = get(8 * (size_t)EXTENTS);
    span->hints = get(2 * (size_t)EXTENTS);
    span->marks = get(MARKS_LEN); /* all FREE: read, never written */
    atomic_store(&home->spans[0], span);
    dice = 1;
}

static void end(void)
{
    munmap((void *)span->words, 8 * (size_t)EXTENTS);
    munmap((void *)span->hints, 2 * (size_t)EXTENTS);
    munmap((void *)span->marks, MARKS_LEN);
    free((void *)home->spans);
    free(home->seg);
    free(span);
    free(home);
    free(ctx);
    report_settle();
}

TestSuite(adoptions, .init = begin, .fini = end, .timeout = 300);

static uint64_t unowned(void)
{
    return mega__word_slab(MEGA__SLAB, CLASS, REGION, 0, 0);
}

static uint64_t owned(uint32_t rank)
{
    return mega__word_slab(MEGA__SLAB, CLASS, REGION, rank, ctx->epoch14);
}

static uint32_t lot(uint32_t n)
{
    return (uint32_t)(medium_random(&dice) >> 20) % n;
}

/* So many extents of the span, at random places; others have an owner. */
static void disown(uint32_t slabs)
{
    for (uint32_t e = FIRST, left = slabs; e < EXTENTS; e++) {
        bool now = lot(EXTENTS - e) < left;
        left -= now;
        atomic_store(&span->words[e], now ? unowned() : owned(1));
        atomic_store(&span->hints[e], now ? 9 : 0);
    }
}

static mega_gptr_t named(void)
{
    return mega__find_named(ctx, home, REGION, CLASS);
}

static uint32_t extent_of(mega_gptr_t p)
{
    return (uint32_t)(mega_offset(p) >> MEGA__EXTENT_SHIFT);
}

/* ---- Many at once ---- */

struct asker {
    enum { ASKS, LOOKS, SWAPS } does;
    uint32_t extent;
    unsigned cas;
};

struct outcome {
    uint32_t adopted, none, taken; /* taken: by ranks of this host */
    uint64_t cas, trips;
    unsigned most;
};

/* False: it is done. */
static bool act(struct asker *a, struct outcome *o)
{
    uint64_t w = unowned();
    mega_gptr_t p;
    o->trips++;
    switch (a->does) {
    case ASKS:
        p = named();
        if (mega_is_null(p)) {
            o->none++;
            return false;
        }
        a->extent = extent_of(p);
        a->does = LOOKS;
        return true;
    case LOOKS:
        a->does = mega__slab_owned(ctx, mega__span_word(span, a->extent))
                      ? ASKS
                      : SWAPS;
        return true;
    case SWAPS:
        a->does = ASKS;
        a->cas++;
        o->cas++;
        if (!atomic_compare_exchange_strong(&span->words[a->extent], &w,
                                            owned(2)))
            return true;
        o->adopted++;
        o->trips += 2; /* makes it durable, reads its marks */
        o->most = a->cas > o->most ? a->cas : o->most;
        return false;
    }
    return false;
}

/* A rank of this host adopts an unowned slab, any. */
static void take_one(struct outcome *o)
{
    for (uint32_t i = 0; i < 1000; i++) {
        const uint32_t e = FIRST + lot(EXTENTS - FIRST);
        uint64_t w = unowned();
        if (!atomic_compare_exchange_strong(&span->words[e], &w, owned(3)))
            continue;
        atomic_store(&span->hints[e], 0);
        o->taken++;
        return;
    }
}

/* So many ranks ask for one each; others take so many, a tenth in a round. */
static struct outcome rush(uint32_t ranks, uint32_t takers)
{
    struct outcome o = {0};
    struct asker *all = calloc(ranks, sizeof *all);
    cr_assert(all);
    for (uint32_t left = ranks; left > 0;) {
        for (uint32_t i = 0; i < left;) {
            struct asker other, *a = &all[i];
            const uint32_t j = i + lot(left - i); /* who is next */
            other = *a;
            *a = all[j];
            all[j] = other;
            if (act(a, &o))
                i++;
            else
                *a = all[--left];
        }
        for (uint32_t i = 0; i < takers / 10 && o.taken < takers; i++)
            take_one(&o);
    }
    free(all);
    return o;
}

static void print(uint32_t ranks, uint32_t slabs, const struct outcome *o)
{
    if (getenv("MEGA_CLAIMS_TABLE"))
        printf("| %u | %u | %.3f | %u | %.2f | %u |\n", ranks, slabs,
               (double)o->cas / o->adopted, o->most,
               (double)o->trips / o->adopted, o->none);
    fflush(stdout);
}

Test(adoptions, of_many_at_once_are_one_swap_each)
{
    const uint32_t ranks[] = {1000, 10000, 100000};
    for (int i = 0; i < 3; i++) {
        const uint32_t slabs = 2 * ranks[i];
        disown(slabs);
        struct outcome o = rush(ranks[i], ranks[i] / 2);
        print(ranks[i], slabs, &o);
        cr_assert_eq(o.none, 0);
        cr_assert_eq(o.adopted, ranks[i]);
        cr_assert_gt(o.cas, o.adopted); /* some were lost */
        cr_assert_leq(o.cas, o.adopted + o.adopted / 10);
        cr_assert_leq(o.most, 8, "%u", o.most);
    }
}

Test(adoptions, of_more_than_there_are_end)
{
    disown(1000);
    struct outcome o = rush(2000, 0);
    print(2000, 1000, &o);
    cr_assert_eq(o.adopted, 1000);
    cr_assert_eq(o.none, 1000);
    cr_assert_eq(o.cas, 1000);
}

/* ---- The server's search ---- */

Test(adoptions, are_looked_for_from_the_last_one_on)
{
    disown(0);
    for (uint32_t e = 10; e <= 30; e += 10) {
        atomic_store(&span->words[e], unowned());
        atomic_store(&span->hints[e], 1);
    }
    cr_assert_eq(extent_of(named()), 10);
    cr_assert_eq(extent_of(named()), 20);
    atomic_store(&span->hints[10], 1); /* freed in again */
    atomic_store(&span->hints[20], 1);
    cr_assert_eq(extent_of(named()), 20);
    cr_assert_eq(extent_of(named()), 30);
    cr_assert_eq(extent_of(named()), 10);
    cr_assert(mega_is_null(named()));
}
