/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * invariants.h - what holds of any space, whatever it is used for; read from
 * the bytes of layout.h alone, apart from the library's own check.
 */
#ifndef TEST_INVARIANTS_H
#define TEST_INVARIANTS_H

#include "medium.h"
#include "types.h"

/* CHECKs every mapped home: words decode, runs are whole, marks lie at chunk
 * starts, regions of words exist; each region has its raw runs on all of them.
 * Nobody may be at work. */
void invariants_of_format(struct mega__ctx *ctx);

/* CHECKs what recovery has to leave, before anybody allocates: no owner, no
 * half-made claim, no DEAD of this epoch; intents empty, epochs equal and
 * known to be, not clean, all that in the media, too. */
void invariants_of_recovery(struct mega__ctx *ctx);

/* CHECKs the bytes of the media, before they are opened: a clean word names its
 * home's epoch; where all homes are clean of one epoch, nothing is half-made or
 * half-freed, no intent is left and no mark is DEAD of that epoch. No home's
 * epoch is below home 0's, nor that below what any home says that all have
 * reached (layout.h, 2); all say so of epoch, of an open that has returned, or
 * of a later one. */
void invariants_of_image(const struct medium *m, uint64_t epoch);

/* A number, never 0, of all that recovery decides: regions, roots and what they
 * hold, raw runs, words, marks, and the begin of each live chunk. What only
 * tells owner or epoch is left out, and DEAD is FREE. Nobody may have allocated
 * since. */
uint64_t invariants_decided(struct mega__ctx *ctx);

#endif
