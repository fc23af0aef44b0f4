/* SPDX-License-Identifier: BSD-3-Clause */
/* class.h - the sizes of chunks in slabs. */
#ifndef MEGA__CLASS_H
#define MEGA__CLASS_H

#include "types.h"

void mega__class_init(struct mega__classes *classes);

/* ASSUMPTION: 1 <= size <= MEGA__CLASS_MAX. */
static inline unsigned mega__class_of(const struct mega__classes *classes,
                                      size_t size)
{
    return classes->bin_of[(size - 1) / 16] / MEGA__BIN_BYTES;
}

/* offset / class size, for an offset within an extent: exact, because
 * offset < 2^16 and size < 2^16. */
static inline uint32_t mega__class_index(const struct mega__class *c,
                                         uint32_t offset)
{
    return (uint32_t)((uint64_t)offset * c->magic >> 32);
}

/* Whether a chunk begins at this offset of the extent. */
static inline bool mega__class_is_start(const struct mega__class *c,
                                        uint32_t offset)
{
    uint32_t i = mega__class_index(c, offset);
    return i * c->size == offset && i < c->capacity;
}

/* The offset of the chunk that begins in granule g of the extent: chunks are
 * not smaller than a granule, so there is at most one. */
static inline uint32_t mega__class_chunk_at(const struct mega__class *c,
                                            uint32_t g)
{
    return mega__class_index(c, (g << MEGA__GRANULE_SHIFT) + c->size - 1) *
           c->size;
}

#endif
