/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ranges.h - byte ranges of the space to be made durable together.
 *
 * A fence costs some 200 ns on persistent memory and an msync milliseconds on
 * a disk, so ranges are collected, joined across small gaps (what lies in a
 * gap may become durable at any time anyway) and persisted as few long ones.
 * Chunks of several sizes fill several extents side by side, so a new range is
 * tried on the last one of its extent. Where it pays the rest is sorted.
 */
#ifndef TEXTINDEX_RANGES_H
#define TEXTINDEX_RANGES_H

#include <stdint.h>

#include "megalloc.h"

struct ti_range {
    uint64_t begin; /* the bits of a pointer */
    uint64_t len;
};

#define TI_RANGES_RECENT 64u

struct ti_ranges {
    struct ti_range *v;
    size_t count, cap;
    size_t recent[TI_RANGES_RECENT]; /* the last one in some extent, perhaps */
};

/* How far apart two ranges may lie to be persisted as one, for the weakest
 * medium of the space; 0: not worth sorting. Reads every mark of this host:
 * once per job. */
mega_status_t ti_ranges_gap(uint64_t *gap_p) MEGA_MUST_CHECK;

void ti_ranges_add(struct ti_ranges *r, mega_gptr_t p, uint64_t len);

/* All ranges are durable; r is empty. */
mega_status_t ti_ranges_persist(struct ti_ranges *r, uint64_t gap)
    MEGA_MUST_CHECK;

void ti_ranges_free(struct ti_ranges *r);

#endif
