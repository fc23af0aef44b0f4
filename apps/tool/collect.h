/* SPDX-License-Identifier: BSD-3-Clause */
/* collect.h - the pool files that the arguments name. */
#ifndef TOOL_COLLECT_H
#define TOOL_COLLECT_H

#include "homes.h"

/* Opens them all into space->images. False: one cannot be read, or a
 * directory holds none; said on stderr. */
bool collect(char **args, bool writable, struct problems *problems,
             struct space *space);

#endif
