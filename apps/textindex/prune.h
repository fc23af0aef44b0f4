/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * prune.h - taking what a crash left half done out of the index.
 */
#ifndef TEXTINDEX_PRUNE_H
#define TEXTINDEX_PRUNE_H

#include "index.h"

/* Makes the states of all files durable, then unlinks and frees the postings
 * that do not count and the words without postings. Collective: each rank
 * does its share of the buckets. Returns an exit status, the same on all. */
int ti_prune(struct ti_index *ix, uint64_t gap);

#endif
