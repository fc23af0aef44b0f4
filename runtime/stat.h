/* SPDX-License-Identifier: BSD-3-Clause */
/* stat.h - what is where: reads words and marks, changes nothing. Of homes of
 * other hosts too, with the errors PEER and TIMEOUT. */
#ifndef MEGA__STAT_H
#define MEGA__STAT_H

#include "types.h"

/* Bytes in free extents of a home, and in the largest hole. */
mega_status_t mega__stat_room(struct mega__ctx *ctx, struct mega__home *home,
                              uint64_t *free_p, uint64_t *hole_p);

mega_status_t mega__stat_home(struct mega__ctx *ctx, struct mega__home *home,
                              mega_home_stat_t *stat_p);

/* Bytes of the extents that a region holds on a home. */
mega_status_t mega__stat_region(struct mega__ctx *ctx, struct mega__home *home,
                                uint32_t region, uint64_t *bytes_p);

/* mega_walk for one home; region 0: of all regions. stop_p may be NULL. */
mega_status_t mega__stat_walk(struct mega__ctx *ctx, struct mega__home *home,
                              uint32_t region, mega_walk_fn fn, void *arg,
                              int *stop_p);

#endif
