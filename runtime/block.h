/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * block.h - what must hold of the words at the begin of a home's block, for the
 * open, the check and the tool. A word of zeroes was never written (gptr.h), so
 * damage that leaves zeroes is told where the word must have been written.
 */
#ifndef MEGA__BLOCK_H
#define MEGA__BLOCK_H

#include "gptr.h"

/* Whether a job has had it open: no creation stores these words. */
bool mega__block_opened(const struct mega__home_block *b);

/* Whether it holds what a job stores only after all homes knew of its epoch,
 * durably (layout.h, 2). words: n of span 0, from its first extent on that can
 * hold data. */
bool mega__block_filled(const struct mega__home_block *b, const uint64_t *words,
                        size_t n);

typedef void (*mega__block_fn)(const uint64_t *word, const char *what,
                               void *arg);

/* Calls fn for each word that is wrong. filled: a home of the space is. b may
 * be a copy, and a job may be opening it. Whether it has to be born depends on
 * the other homes: the caller's. */
void mega__block_judge(const struct mega__home_block *b, bool filled,
                       mega__block_fn fn, void *arg);

#endif
