/* SPDX-License-Identifier: BSD-3-Clause */
/* intent.h - groups of changes that a crash does all or none of. */
#ifndef MEGA__INTENT_H
#define MEGA__INTENT_H

#include "directory.h"

/* mega_publish. n >= 1. Errors as there; nothing has changed then. */
mega_status_t mega__intent_publish(struct mega__ctx *ctx,
                                   const mega_publish_item_t *items, size_t n,
                                   unsigned flags);

/* At open: completes the groups that were decided and not finished, on the
 * served homes, durably. */
mega_status_t mega__intent_replay(struct mega__ctx *ctx,
                                  const struct mega__live *live);

/* At open, after all homes are replayed: empties the areas, durably. */
mega_status_t mega__intent_clear(struct mega__ctx *ctx);

#endif
