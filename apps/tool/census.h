/* SPDX-License-Identifier: BSD-3-Clause */
/* census.h - what the extents of a home are used for. */
#ifndef TOOL_CENSUS_H
#define TOOL_CENSUS_H

#include "homes.h"

/* What an extent is, as maps show it. */
enum use {
    USE_META,
    USE_FREE,
    USE_SLAB,
    USE_RUN,
    USE_RAW,
    USE_PENDING, /* to be free after the next open */
    USE_BAD,
    USES
};

enum use census_use(const struct space *space, const struct span *s,
                    uint32_t e);
/* Live chunks of a slab. */
uint32_t census_fill(const struct space *space, const struct span *s,
                     uint32_t e, uint64_t w);

struct class_census {
    uint64_t slabs, live, room; /* extents; chunks */
};

struct census {
    uint64_t extents[USES];
    uint64_t largest_hole; /* adjacent free extents */
    uint64_t runs, live_chunks, live_bytes;
    struct class_census classes[MEGA__CLASSES];
};

void census_take(const struct space *space, const struct home *home,
                 struct census *c);

#endif
