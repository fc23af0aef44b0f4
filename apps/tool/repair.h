/* SPDX-License-Identifier: BSD-3-Clause */
/* repair.h - mends what can be mended without guessing. */
#ifndef TOOL_REPAIR_H
#define TOOL_REPAIR_H

#include "homes.h"

/* Frees tails without a head, claims that were cut off and runs half freed,
 * and clears marks where no chunk begins; each is told. The homes must be
 * locked and mapped for writing. False: the medium refused; said on stderr. */
bool repair(const struct space *space, struct problems *problems);

/* Makes all changes of the files durable. */
bool repair_sync(const struct space *space);

#endif
