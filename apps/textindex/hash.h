/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * hash.h - the hash of a word. Part of the format: it says where a word lies.
 */
#ifndef TEXTINDEX_HASH_H
#define TEXTINDEX_HASH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint64_t ti_hash_mix(uint64_t h)
{
    h *= UINT64_C(0x9fb21c651e98df25); /* odd, half of its bits set */
    return h ^ h >> 32;
}

/* Eight bytes a step; the last 1 to 7 as one or two overlapping reads. */
static inline uint64_t ti_hash(const char *text, size_t len)
{
    uint64_t h = (uint64_t)len + 1;
    uint64_t w = 0;
    uint32_t first = 0, last = 0;

    for (; len >= 8; len -= 8, text += 8) {
        memcpy(&w, text, 8);
        h = ti_hash_mix(h ^ w);
    }
    if (len >= 4) {
        memcpy(&first, text, 4);
        memcpy(&last, text + len - 4, 4);
    } else if (len > 0) {
        first = (unsigned char)text[0];
        last = (uint32_t)(unsigned char)text[len / 2] << 8 |
               (unsigned char)text[len - 1];
    }
    h = ti_hash_mix(h ^ ((uint64_t)first << 32 | last));
    return ti_hash_mix(h);
}

#endif
