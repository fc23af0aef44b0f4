/* SPDX-License-Identifier: BSD-3-Clause */
/* raw.h - the raw runs of regions, on all homes. */
#ifndef MEGA__RAW_H
#define MEGA__RAW_H

#include "types.h"

/* Each server reserves the raw bytes [from, to) of a region on its homes:
 * zeroed, recorded. from: a multiple of an extent. Collective; what is recorded
 * already stays on an error. ERRORS: as mega_region_create. */
mega_status_t mega__raw_reserve(struct mega__ctx *ctx, uint32_t id,
                                uint64_t from, uint64_t to);

/* Gives back what this rank serves of a region's runs that begin at or beyond
 * from, as far as it can: the next open frees the rest. */
void mega__raw_give_back(struct mega__ctx *ctx, uint32_t id, uint64_t from);

/* ERRORS: STATE - this rank serves runs that begin at or beyond from: of a grow
 * that failed, and could not be undone. */
mega_status_t mega__raw_none_from(struct mega__ctx *ctx, uint32_t id,
                                  uint64_t from);

/* Where the runs of a region lie that begin at or beyond from, one copy per
 * host. It lies over a layer of those before, NULL if from is 0, and may hold
 * some of these too. Collective. ERRORS: NOMEM; IO - no shared memory. */
mega_status_t mega__raw_gather(struct mega__ctx *ctx, uint32_t id,
                               uint64_t from, struct mega__raw_layer *over,
                               struct mega__raw_layer **layer_p);

/* Frees a layer and all older ones. Accepts NULL. */
void mega__raw_forget(struct mega__raw_layer *layer);

/* The raw byte at off of a home, and how many lie behind it; or null. Any
 * thread, as long as the layer is there. */
mega_gptr_t mega__raw_at(const struct mega__raw_layer *layer, uint32_t home,
                         uint64_t off, uint64_t *len_p);

#endif
