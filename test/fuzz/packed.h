/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * packed.h - a small space in few bytes, as the fuzzer changes them: what to
 * do with it, then of each pool file where its root is, then stretches of
 * bytes, all else being zero.
 *
 *   command 1 | flags 1 | repair of checksums 1 | for each of three files:
 *   size in units of 64 KiB 2, offset of its root 4 | stretches: file 1,
 *   offset 4, length 2, bytes
 */
#ifndef FUZZ_PACKED_H
#define FUZZ_PACKED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PACKED_FILES 3 /* home-0.0.pool, home-1.0.pool, home-0.1.pool */

/* Which checksums are put right after the stretches are in place, so that
 * what lies behind them is reached. */
enum packed_fix {
    LEAVE_IDENT = 1,
    FIX_SPANS = 2,
    FIX_HEADER = 4,
    FIX_SEALS = 8,
    FIX_NAMES = 16, /* regions and roots */
    FIX_RUNS = 32,
    FIX_INTENTS = 64
};

enum packed_flag {
    PACKED_JSON = 1,
    PACKED_ALL = 2,
    PACKED_FILE = 4 /* home 0's first pool alone, not the directory */
};

struct packed {
    uint8_t command, flags;
};

/* Makes the files in dir. False: the bytes are too few, or no room. */
bool packed_open(const uint8_t *bytes, size_t n, const char *dir,
                 struct packed *packed);

/* The space in dir as one document. NULL: it is not small enough, or has none
 * of the files. */
uint8_t *packed_make(const char *dir, size_t *n_p);

const char *packed_name(unsigned file);

#endif
