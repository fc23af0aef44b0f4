/* SPDX-License-Identifier: BSD-3-Clause */
/* amo.h - what an atomic is to leave in a word. */
#ifndef TEST_AMO_H
#define TEST_AMO_H

#include <stdint.h>

#include "megalloc.h"

static inline uint64_t amo_leaves(mega_amo_op_t op, uint64_t old, uint64_t v,
                                  uint64_t c)
{
    switch (op) {
    case MEGA_AMO_FETCH:
        return old;
    case MEGA_AMO_SET:
    case MEGA_AMO_SWAP:
        return v;
    case MEGA_AMO_ADD:
        return old + v;
    case MEGA_AMO_AND:
        return old & v;
    case MEGA_AMO_OR:
        return old | v;
    case MEGA_AMO_XOR:
        return old ^ v;
    case MEGA_AMO_CSWAP:
        return old == c ? v : old;
    }
    return 0;
}

#endif
