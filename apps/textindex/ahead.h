/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ahead.h - the words of a batch whose bucket, or node, is on another host:
 * looked for and linked many at a time, so that a round trip serves all of
 * them. What is done here need not be done by batch.c, one by one; what is not
 * (lost races) it does.
 */
#ifndef TEXTINDEX_AHEAD_H
#define TEXTINDEX_AHEAD_H

#include "batch.h"

/* Looks for all words whose head is far: sets looked, expect, and node if there
 * is one. */
mega_status_t ti_ahead_find(struct ti_batch *b) MEGA_MUST_CHECK;

/* A node of a far bucket is to be written, with t->expect as its next: if the
 * batch has one in that bucket already, this one goes before it. */
void ti_ahead_follow(struct ti_batch *b, struct ti_touched *t);

/* Swaps the far heads of all words, once; sets linked where that succeeded. */
mega_status_t ti_ahead_link(struct ti_batch *b) MEGA_MUST_CHECK;

#endif
