/* SPDX-License-Identifier: BSD-3-Clause */
/* text_hash.h - a number for a text, of which few are compared: FNV-1a. */
#ifndef MEGA__TEXT_HASH_H
#define MEGA__TEXT_HASH_H

#include <stdint.h>

static inline uint64_t mega__hash(const char *text)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    for (; *text; text++)
        h = (h ^ (unsigned char)*text) * UINT64_C(0x100000001b3);
    return h;
}

#endif
