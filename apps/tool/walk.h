/* SPDX-License-Identifier: BSD-3-Clause */
/* walk.h - all live chunks of a home, in order. */
#ifndef TOOL_WALK_H
#define TOOL_WALK_H

#include "homes.h"

typedef void (*walk_fn)(const struct chunk *c, void *arg);

/* Chunks of regions that live, in slabs and runs; no raw runs. */
void walk_home(const struct space *space, const struct home *home, walk_fn fn,
               void *arg);

#endif
