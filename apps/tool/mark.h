/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * mark.h - which live chunks can be reached from the named roots, the raw
 * runs and the intents. Conservative: any aligned word that is the start of
 * a live chunk reaches it.
 */
#ifndef TOOL_MARK_H
#define TOOL_MARK_H

#include "homes.h"

struct reach; /* a bit per granule: the chunk that begins there is reached */

/* NULL: no memory. By as many threads as there are processors. */
struct reach *reach_new(const struct space *space);
void reach_delete(struct reach **reach_p);
bool reach_has(const struct reach *reach, const struct chunk *c);

#endif
