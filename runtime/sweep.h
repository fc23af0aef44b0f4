/* SPDX-License-Identifier: BSD-3-Clause */
/* sweep.h - the server turns dead things into FREE: O(extents), never
 * O(chunks). */
#ifndef MEGA__SWEEP_H
#define MEGA__SWEEP_H

#include "directory.h"

/* At open, before anyone allocates: all owners and claims of former jobs are
 * void; what belongs to no live region, half-made claims, runs that were
 * reserved or half freed go. Sets the free counts of the segment.
 * ASSUMPTION: run records are pruned. *freed_p: extents. */
mega_status_t mega__sweep_open(struct mega__ctx *ctx, struct mega__home *home,
                               const struct mega__live *live,
                               uint64_t *freed_p);

/* All extents of a region that has ended; durable on return. */
mega_status_t mega__sweep_region(struct mega__ctx *ctx, struct mega__home *home,
                                 uint32_t region);

/* All words of the home are on the medium. */
mega_status_t mega__sweep_flush(struct mega__ctx *ctx, struct mega__home *home);

/* All bytes in extents that are in use are on the medium (a home whose stores
 * need flushes: the cost is that of all memory in use). */
mega_status_t mega__sweep_flush_data(struct mega__ctx *ctx,
                                     struct mega__home *home,
                                     struct mega__flusher *f);

#endif
