/* SPDX-License-Identifier: BSD-3-Clause */
/* verify.h - whether a space keeps the invariants of layout.h. */
#ifndef TOOL_VERIFY_H
#define TOOL_VERIFY_H

#include "homes.h"

/* All that can be seen of the homes given; opening has reported the files and
 * the spans already. */
void verify(const struct space *space, struct problems *problems);

/* Of one home that has a block: sealed words, regions, roots. */
void verify_block(const struct space *space, const struct home *home,
                  struct problems *problems);

/* Its records of raw runs. */
void verify_runs(const struct space *space, const struct home *home,
                 struct problems *problems);

/* Its intents. */
void verify_intents(const struct space *space, const struct home *home,
                    struct problems *problems);

/* The words and marks of one home. */
void verify_words(const struct space *space, const struct home *home,
                  struct problems *problems);

/* After a clean end nothing is left half done. */
static inline enum grade verify_unfinished(const struct home *home)
{
    return home->clean && home->clean == home->epoch ? FAULT : PENDING;
}

#endif
