/* SPDX-License-Identifier: BSD-3-Clause */
/* part.h - what messages of mega__net_durable, and small puts that travel as
 * messages, do at the server. */
#ifndef MEGA__PART_H
#define MEGA__PART_H

#include "net.h"

/* Stores one part (its src holds its n bytes). ERRORS: ARG - no memory of a
 * home that this rank serves. */
mega_status_t mega__part_store(struct mega__ctx *ctx, struct mega__arena *a,
                               const struct mega__part *part);

/* Stores one part (its src, if not NULL, holds its n bytes) and begins its
 * flush with a, the arena of the calling thread. The caller ends all parts of
 * a message with one mega__dirty_fence. Errors as part_store. */
mega_status_t mega__part_apply(struct mega__ctx *ctx, struct mega__arena *a,
                               const struct mega__part *part);

#endif
