/* SPDX-License-Identifier: BSD-3-Clause */
/* seen.h - a set of 64-bit fingerprints: which images were looked at. */
#ifndef TEST_SEEN_H
#define TEST_SEEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct seen {
    uint64_t *slots; /* 0: empty */
    size_t n, room;  /* room: a power of two, or 0 */
};

/* False: it was there already. */
bool seen_add(struct seen *s, uint64_t fingerprint);
void seen_free(struct seen *s);

/* Of n bytes, and a key that tells them from equal ones elsewhere. */
uint64_t seen_hash(const void *bytes, size_t n, uint64_t key);

#endif
