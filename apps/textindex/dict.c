/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * dict.c - the words that this rank has met: open addressing over an arena.
 */
#include "dict.h"

#include <stdlib.h>

#include "job.h"

#define FIRST_SLOTS 16384u
#define GROWTH 4u
#define FIRST_BYTES (512u << 10)

void ti_dict_open(struct ti_dict *d)
{
    d->nslots = FIRST_SLOTS;
    d->slot = ti_realloc(NULL, d->nslots * sizeof *d->slot);
    d->cap = FIRST_BYTES;
    d->arena = ti_realloc(NULL, d->cap);
    ti_dict_reset(d);
}

void ti_dict_close(struct ti_dict *d)
{
    free(d->slot);
    free(d->arena);
    *d = (struct ti_dict){0};
}

void ti_dict_reset(struct ti_dict *d)
{
    memset(d->slot, 0, d->nslots * sizeof *d->slot);
    d->count = 0;
    d->used = TI_DICT_UNIT; /* ref 0 means none */
}

static void put_slot(struct ti_dict *d, struct ti_dict_slot s)
{
    size_t i = s.hash & (d->nslots - 1);

    while (d->slot[i].ref != 0)
        i = (i + 1) & (d->nslots - 1);
    d->slot[i] = s;
}

/* Slots have all that it takes: the entries are not looked at. */
static void grow(struct ti_dict *d)
{
    struct ti_dict_slot *old = d->slot;
    size_t nold = d->nslots;

    d->nslots = nold * GROWTH;
    d->slot = ti_realloc(NULL, d->nslots * sizeof *d->slot);
    memset(d->slot, 0, d->nslots * sizeof *d->slot);
    for (size_t i = 0; i < nold; i++)
        if (old[i].ref != 0)
            put_slot(d, old[i]);
    free(old);
}

uint32_t ti_dict_add(struct ti_dict *d, const char *text, uint32_t len,
                     uint64_t hash)
{
    size_t size = sizeof(struct ti_entry) + len;

    size = (size + TI_DICT_UNIT - 1) / TI_DICT_UNIT * TI_DICT_UNIT;
    if (d->count * 2 >= d->nslots)
        grow(d);
    d->arena = ti_room(d->arena, &d->cap, d->used + size, 1);

    uint32_t ref = (uint32_t)(d->used / TI_DICT_UNIT);
    struct ti_entry *e = ti_dict_at(d, ref);
    d->used += size;
    d->count++;
    memset(e, 0, sizeof *e);
    e->len = len;
    memcpy(e->text, text, len);
    put_slot(d, (struct ti_dict_slot){(uint32_t)(hash >> 32), ref});
    return ref;
}
