/* SPDX-License-Identifier: BSD-3-Clause */
/* collect.h - the pool files that the arguments name. */
#ifndef TOOL_COLLECT_H
#define TOOL_COLLECT_H

#include "homes.h"

/* Opens them all into space->images. False: one cannot be read, or a
 * directory holds none; said on stderr. */
bool collect(char **args, bool writable, struct problems *problems,
             struct space *space);

/* "home-3.1.pool": true, with 3 and 1; rest is what follows. */
bool collect_name(const char *path, uint32_t *home_p, uint32_t *pool_p,
                  const char **rest_p);

#endif
