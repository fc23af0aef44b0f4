/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * dict.h - the words that this rank has met: volatile, for speed only.
 *
 * Entries lie one after another in an arena and are named by their place in
 * it (a ref), because the arena moves when it grows. An entry stays until
 * ti_dict_reset.
 */
#ifndef TEXTINDEX_DICT_H
#define TEXTINDEX_DICT_H

#include <stdint.h>
#include <string.h>

#include "hash.h"

struct ti_entry {
    uint64_t node;  /* bits of the pointer to its ti_word; 0: not known yet */
    uint64_t count; /* in the file of stamp */
    uint32_t stamp; /* the last file of this rank that had the word */
    uint32_t touch; /* its place in the batch, if it is in the batch */
    uint32_t len;
    char text[];
};

struct ti_dict_slot {
    uint32_t hash; /* high half; its low bits say where to begin to look */
    uint32_t ref;  /* 0: empty */
};

struct ti_dict {
    struct ti_dict_slot *slot;
    size_t nslots; /* a power of two */
    size_t count;
    char *arena;
    size_t used, cap; /* bytes */
};

#define TI_DICT_UNIT 8u /* bytes per step of a ref */

void ti_dict_open(struct ti_dict *d);
void ti_dict_close(struct ti_dict *d);

/* Forgets all words: refs are void. */
void ti_dict_reset(struct ti_dict *d);

/* Adds a word that is not there. */
uint32_t ti_dict_add(struct ti_dict *d, const char *text, uint32_t len,
                     uint64_t hash);

static inline struct ti_entry *ti_dict_at(const struct ti_dict *d, uint32_t ref)
{
    return (struct ti_entry *)(void *)(d->arena + (size_t)ref * TI_DICT_UNIT);
}

/* Asks for the memory that ti_dict_find will look at first. */
static inline void ti_dict_prefetch(const struct ti_dict *d, uint64_t hash)
{
    __builtin_prefetch(&d->slot[hash >> 32 & (d->nslots - 1)]);
}

/* And then for what it will look at next. */
static inline void ti_dict_prefetch_entry(const struct ti_dict *d,
                                          uint64_t hash)
{
    __builtin_prefetch(
        ti_dict_at(d, d->slot[hash >> 32 & (d->nslots - 1)].ref));
}

/* The ref of a word, or 0. */
static inline uint32_t ti_dict_find(const struct ti_dict *d, const char *text,
                                    uint32_t len, uint64_t hash)
{
    uint32_t high = (uint32_t)(hash >> 32);

    for (size_t i = high & (d->nslots - 1);; i = (i + 1) & (d->nslots - 1)) {
        struct ti_dict_slot s = d->slot[i];
        if (s.ref == 0)
            return 0;
        if (s.hash != high)
            continue;
        const struct ti_entry *e = ti_dict_at(d, s.ref);
        if (e->len == len && memcmp(e->text, text, len) == 0)
            return s.ref;
    }
}

#endif
