/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * turns.h - threads that take turns. Of those that have entered one runs, and
 * before each step of it a seed says who goes on. The steps are where a thread
 * shows others something or may find that one has been faster: a flush, a
 * drain, an operation over the net; and, where atomics go over the net
 * (MEGALLOC_ATOMICS=nic), the swap of each extent word, also of a home that is
 * mapped, after it was read. What lies between two steps nobody sees the
 * middle of: a chunk comes and the oracle knows it.
 *
 * Who waits for another while it has the turn hangs; that is told, and ends
 * the test. Agents take no turns: who has asked one waits for it.
 */
#ifndef TEST_TURNS_H
#define TEST_TURNS_H

#include <stdbool.h>
#include <stdint.h>

#define TURNS_MAX 16

/* By one, before the others come: n threads will enter. */
void turns_start(unsigned n, uint64_t seed);

/* Returns when all have come and it is this one's turn. who: 0 to n - 1. */
void turns_enter(unsigned who);
void turns_leave(void);

/* Does this thread take turns? */
bool turns_mine(void);

/* Another's turn, perhaps; nothing in a thread that takes none. */
void turns_step(void);

#endif
