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

#define TI_AT_ONCE 512u  /* operations before a quiet */
#define TI_EXTENT 65536u /* no chunk of such a size crosses its boundary */

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

/* How many bytes may be read at (bits of a pointer to a chunk of at least so
 * many bytes) when n are asked for: those beyond its end may be anything, but a
 * span may end behind it. */
static inline size_t ti_readable(uint64_t at, size_t least, size_t n)
{
    size_t left = TI_EXTENT - at % TI_EXTENT;

    return n < left || left < least ? n : left;
}

/* A chunk for ti_fetch; all else of it is 0 at first. */
struct ti_part {
    uint64_t at;                      /* bits of the pointer to it */
    size_t head;                      /* its least size, bytes */
    size_t (*size)(const void *head); /* its size, by these */
    const void *view;                 /* all of it: in place, or the copy */
    void *copy;                       /* to be freed by the caller */
    size_t have;                      /* bytes of the copy */
};

/* Brings n chunks, all under way together: two round trips, whatever n is, and
 * one if none is long. An error has been told. */
mega_status_t ti_fetch(struct ti_part *const *part, size_t n) MEGA_MUST_CHECK;

/* n bytes that nobody else uses yet: visible to others only after persist. */
mega_status_t ti_write(mega_gptr_t p, const void *src, size_t n)
    MEGA_MUST_CHECK;

/* An aligned 8-byte word, in one store. */
mega_status_t ti_store(mega_gptr_t p, uint64_t value) MEGA_MUST_CHECK;

#endif
