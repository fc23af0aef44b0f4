/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * keys.h - what servers of other hosts have said of their spans, held once per
 * host: the rank that first needs a span asks and keeps the answer, the others
 * find it. Any thread may call, and none waits for another.
 */
#ifndef MEGA__KEYS_H
#define MEGA__KEYS_H

#include "types.h"

struct mega__keys;

/* Collective over the host's ranks; errors as mega__share. */
mega_status_t mega__keys_open(struct mega__ctx *ctx,
                              struct mega__keys **keys_p);

/* Of this rank; not collective. */
void mega__keys_close(struct mega__keys **keys_p);

/* What is kept of a span, at an address that 8 divides, until the close. NULL:
 * nothing. */
const void *mega__keys_find(const struct mega__keys *keys, uint32_t home,
                            uint32_t span);

/* Keeps it, unless something is kept of that span. Where there is no room it
 * is not kept. */
void mega__keys_keep(struct mega__keys *keys, uint32_t home, uint32_t span,
                     const void *bytes, size_t len);

#endif
