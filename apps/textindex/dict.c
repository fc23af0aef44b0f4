/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * dict.c - the words that this rank has met: open addressing over an arena.
 */
#include "dict.h"

#include <stdlib.h>

#include "job.h"

#define FIRST_SLOTS 4096u
#define FIRST_BYTES (256u << 10)

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

static void put_slot(struct ti_dict_slot *slot, size_t nslots, size_t start,
                     struct ti_dict_slot s)
{
    size_t i = start & (nslots - 1);

    while (slot[i].ref != 0)
        i = (i + 1) & (nslots - 1);
    slot[i] = s;
}

/* The low half of the hash is not kept, so it is computed again. */
static void grow(struct ti_dict *d)
{
    size_t nslots = d->nslots * 2;
    struct ti_dict_slot *slot = ti_realloc(NULL, nslots * sizeof *slot);

    memset(slot, 0, nslots * sizeof *slot);
    for (size_t i = 0; i < d->nslots; i++) {
        if (d->slot[i].ref == 0)
            continue;
        const struct ti_entry *e = ti_dict_at(d, d->slot[i].ref);
        put_slot(slot, nslots, ti_hash(e->text, e->len), d->slot[i]);
    }
    free(d->slot);
    d->slot = slot;
    d->nslots = nslots;
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
    put_slot(d->slot, d->nslots, hash,
             (struct ti_dict_slot){(uint32_t)(hash >> 32), ref});
    return ref;
}
