/* SPDX-License-Identifier: BSD-3-Clause */
/* seen.c - see seen.h. An open hash table, at most half full. */
#include "seen.h"

#include <stdlib.h>
#include <string.h>

#define MULTIPLIER UINT64_C(0x9e3779b97f4a7c15)

static uint64_t mix(uint64_t x)
{
    x ^= x >> 32;
    x *= MULTIPLIER;
    x ^= x >> 29;
    x *= MULTIPLIER;
    return x ^ x >> 32;
}

uint64_t seen_hash(const void *bytes, size_t n, uint64_t key)
{
    const unsigned char *at = bytes;
    uint64_t h = mix(key + MULTIPLIER);
    for (; n > 0; at += 8) {
        uint64_t word = 0;
        size_t len = n < 8 ? n : 8;
        memcpy(&word, at, len);
        h = mix(h ^ word) + n;
        n -= len;
    }
    return h;
}

static bool put(struct seen *s, uint64_t f)
{
    size_t i = (size_t)f & (s->room - 1);
    for (; s->slots[i]; i = (i + 1) & (s->room - 1))
        if (s->slots[i] == f)
            return false;
    s->slots[i] = f;
    s->n++;
    return true;
}

static void grow(struct seen *s)
{
    struct seen old = *s;
    s->room = old.room ? 2 * old.room : 1024;
    s->slots = calloc(s->room, sizeof *s->slots);
    s->n = 0;
    for (size_t i = 0; i < old.room; i++)
        if (old.slots[i])
            put(s, old.slots[i]);
    free(old.slots);
}

bool seen_add(struct seen *s, uint64_t f)
{
    if (2 * s->n >= s->room)
        grow(s);
    return put(s, f ? f : 1);
}

void seen_free(struct seen *s)
{
    free(s->slots);
    *s = (struct seen){NULL, 0, 0};
}
