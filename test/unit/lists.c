/* SPDX-License-Identifier: BSD-3-Clause */
/* lists.c - lists of as many ranks as a large job has. */
#include "lists.h"

#include <criterion/criterion.h>
#include <stdlib.h>

#define ITEMS ((size_t)1 << 18)
#define LONG 24 /* a list that is found on the way of few */

static struct mega__item *items;

static void fill(struct mega__lists *lists, uint64_t step)
{
    items = calloc(ITEMS, sizeof *items);
    for (size_t i = 0; i < ITEMS; i++) {
        items[i].key = i * step;
        cr_assert(mega__lists_add(lists, &items[i]));
    }
}

static void leave(void *item)
{
    (void)item; /* not allocated one by one */
}

static size_t longest(const struct mega__lists *lists)
{
    size_t most = 0;
    for (size_t i = 0; i < lists->n; i++) {
        size_t n = 0;
        for (struct mega__item *at = lists->first[i]; at; at = at->next)
            n++;
        most = n > most ? n : most;
    }
    return most;
}

Test(lists, what_is_not_there_is_not_found)
{
    struct mega__lists lists = {0};
    struct mega__item one = {.key = 7};
    cr_assert_null(mega__lists_find(&lists, 7));
    cr_assert(mega__lists_add(&lists, &one));
    cr_assert_eq(mega__lists_find(&lists, 7), &one);
    cr_assert_null(mega__lists_find(&lists, 8));
    mega__lists_free(&lists, leave);
    cr_assert_null(mega__lists_find(&lists, 7));
}

/* Ranks; homes, whose first spans are met; an origin of each rank. */
Test(lists, lists_stay_short_however_many_there_are)
{
    static const uint64_t steps[] = {1, UINT64_C(1) << 32, 4096};
    for (size_t k = 0; k < sizeof steps / sizeof *steps; k++) {
        struct mega__lists lists = {0};
        fill(&lists, steps[k]);
        cr_expect_lt(longest(&lists), LONG, "step %llu: a list of %zu",
                     (unsigned long long)steps[k], longest(&lists));
        for (size_t i = 0; i < ITEMS; i++)
            cr_assert_eq(mega__lists_find(&lists, i * steps[k]), &items[i]);
        mega__lists_free(&lists, leave);
        free(items);
    }
}

Test(lists, all_are_met_once_from_the_newest_on)
{
    struct mega__lists lists = {0};
    size_t n = ITEMS;
    fill(&lists, 1);
    for (struct mega__item *i = lists.newest; i; i = i->older)
        cr_assert_eq(i, &items[--n]);
    cr_assert_eq(n, 0);
    mega__lists_free(&lists, leave);
    free(items);
}
