/* SPDX-License-Identifier: BSD-3-Clause */
/* lists.h - what is found by a number, and stays; lists whose number
 * grows with it, so that they stay short. Not locked. */
#ifndef MEGA__LISTS_H
#define MEGA__LISTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mega__item {           /* begins what is found */
    struct mega__item *next;  /* in its list */
    struct mega__item *older; /* of all; new ones come in front */
    uint64_t key;
};

struct mega__lists { /* 0: it is empty */
    struct mega__item **first, *newest;
    size_t n, count;
};

/* NULL: there is none. */
void *mega__lists_find(const struct mega__lists *lists, uint64_t key);

/* The key is set, and new. False: no memory. */
bool mega__lists_add(struct mega__lists *lists, struct mega__item *item);

/* Calls end for each item, the newest first. */
void mega__lists_free(struct mega__lists *lists, void (*end)(void *item));

#endif
