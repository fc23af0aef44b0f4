/* SPDX-License-Identifier: BSD-3-Clause */
/* lists.c - see lists.h. */
#include "lists.h"

#include <stdlib.h>

#define LISTS_FIRST 16 /* a power of two, as all that follow */

static struct mega__item **list_of(const struct mega__lists *lists,
                                   uint64_t key)
{
    const uint64_t spread = key * UINT64_C(0x9e3779b97f4a7c15);
    return &lists->first[(spread >> 32) & (lists->n - 1)];
}

void *mega__lists_find(const struct mega__lists *lists, uint64_t key)
{
    struct mega__item *item = lists->n ? *list_of(lists, key) : NULL;
    while (item && item->key != key)
        item = item->next;
    return item;
}

static void enlist(struct mega__lists *lists, struct mega__item *item)
{
    struct mega__item **list = list_of(lists, item->key);
    item->next = *list;
    *list = item;
}

/* Without memory for more lists they get longer. */
static void grow(struct mega__lists *lists)
{
    const size_t n = lists->n ? 2 * lists->n : LISTS_FIRST;
    struct mega__item **first = calloc(n, sizeof(struct mega__item *));
    if (!first)
        return;
    free(lists->first);
    lists->first = first;
    lists->n = n;
    for (struct mega__item *i = lists->newest; i; i = i->older)
        enlist(lists, i);
}

bool mega__lists_add(struct mega__lists *lists, struct mega__item *item)
{
    if (lists->count >= lists->n)
        grow(lists);
    if (lists->n == 0)
        return false;
    item->older = lists->newest;
    lists->newest = item;
    lists->count++;
    enlist(lists, item);
    return true;
}

void mega__lists_free(struct mega__lists *lists, void (*end)(void *item))
{
    for (struct mega__item *i = lists->newest, *older; i; i = older) {
        older = i->older;
        end(i);
    }
    free(lists->first);
    *lists = (struct mega__lists){0};
}
