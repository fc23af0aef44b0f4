/* SPDX-License-Identifier: BSD-3-Clause */
/* count.h - a count that one thread raises and others may read meanwhile. It
 * orders nothing, so it costs what a plain one does. */
#ifndef MEGA__COUNT_H
#define MEGA__COUNT_H

#include <stdint.h>

/* By its thread. */
static inline void mega__count(uint64_t *n, uint64_t more)
{
    __atomic_store_n(n, *n + more, __ATOMIC_RELAXED);
}

static inline uint64_t mega__counted(const uint64_t *n)
{
    return __atomic_load_n(n, __ATOMIC_RELAXED);
}

#endif
