/* SPDX-License-Identifier: BSD-3-Clause */
/* region.h - named owners of memory, and their raw bytes. All but at and usable
 * are collective. Errors as in megalloc.h.
 * ASSUMPTION: handles to grow and destroy are usable. */
#ifndef MEGA__REGION_H
#define MEGA__REGION_H

#include "types.h"

mega_status_t mega__region_create(struct mega__ctx *ctx, const char *name,
                                  uint64_t bytes, struct mega_region **r_p);
mega_status_t mega__region_open(struct mega__ctx *ctx, const char *name,
                                struct mega_region **r_p);
mega_status_t mega__region_grow(struct mega_region *r, uint64_t more);
mega_status_t mega__region_destroy(struct mega_region **r_p);
void mega__region_close(struct mega_region **r_p);
void mega__region_close_all(struct mega__ctx *ctx);

/* ERRORS: ARG - the region was destroyed, by this handle or an equal one. */
mega_status_t mega__region_usable(const struct mega_region *r);

mega_gptr_t mega__region_at(const struct mega_region *r, uint32_t home,
                            uint64_t off, uint64_t *len_p);

#endif
