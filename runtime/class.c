/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * class.c - the sizes of chunks in slabs: four to a doubling, so at most a
 * fifth is lost from 128 bytes to a page; from there whole pages, so such
 * chunks are page aligned. The list is part of the media format: a SLAB word
 * holds an index into it.
 */
#include "class.h"

#include <string.h>

static const uint32_t sizes[MEGA__CLASSES] = {
    32,   48,   64,   80,   96,   112,  128,   160,   192,   224,  256,
    320,  384,  448,  512,  640,  768,  896,   1024,  1280,  1536, 1792,
    2048, 2560, 3072, 3584, 4096, 8192, 12288, 16384, 20480, 32768};

static void init_one(struct mega__class *c, uint32_t size)
{
    memset(c, 0, sizeof *c);
    c->size = size;
    c->capacity = MEGA__EXTENT / size;
    c->magic = (uint32_t)(((UINT64_C(1) << 32) + size - 1) / size);
    for (uint32_t i = 0; i < c->capacity; i++) {
        uint32_t g = i * size >> MEGA__GRANULE_SHIFT;
        c->starts[g / 64] |= UINT64_C(1) << g % 64;
    }
}

void mega__class_init(struct mega__classes *classes)
{
    unsigned k = 0;
    for (unsigned i = 0; i < MEGA__CLASSES; i++) {
        init_one(&classes->of[i], sizes[i]);
    }
    for (uint32_t i = 0; i < MEGA__CLASS_MAX / 16; i++) {
        if ((i + 1) * 16 > sizes[k])
            k++;
        classes->bin_of[i] = (uint16_t)(k * MEGA__BIN_BYTES);
    }
}
