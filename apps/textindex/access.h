/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * access.h - reading and writing the space, near and far.
 *
 * Memory of this host is read and written in place (mega_ptr); the rest goes
 * through get, put and the atomics. Callers see no difference.
 */
#ifndef TEXTINDEX_ACCESS_H
#define TEXTINDEX_ACCESS_H

#include <stdint.h>

#include "megalloc.h"

/* Local room for what a view must copy. Starts as all zero. */
struct ti_buf {
    void *bytes;
    size_t cap;
};

/* n bytes at p: in place when near, else copied into buf. NULL on an error,
 * which has been told. In place the bytes are live: words that others change
 * must be read with ti_load. */
const void *ti_view(mega_gptr_t p, size_t n, struct ti_buf *buf);

/* An aligned 8-byte word that others may be changing; what they wrote before
 * it may be read after it. */
mega_status_t ti_load(mega_gptr_t p, uint64_t *value_p) MEGA_MUST_CHECK;

/* n bytes that nobody else uses yet: visible to others only after persist. */
mega_status_t ti_write(mega_gptr_t p, const void *src, size_t n)
    MEGA_MUST_CHECK;

/* An aligned 8-byte word, in one store. */
mega_status_t ti_store(mega_gptr_t p, uint64_t value) MEGA_MUST_CHECK;

#endif
