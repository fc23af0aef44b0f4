/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ucx_peer.h - what net.c is measured against: UCX itself, without Megalloc,
 * by the same transport, with the same features, workers that are served by a
 * thread which looks on for 100 us and then sleeps in epoll, and the CPU's
 * atomics. Rank 1 is the target, rank 0 the origin; open and close are for
 * both.
 */
#ifndef UCX_PEER_H
#define UCX_PEER_H

#include <stddef.h>
#include <stdint.h>

#define UCX_PEER_BYTES ((size_t)32 << 20) /* of the target's memory */

void ucx_peer_open(void);
void ucx_peer_close(void);

/* ---- Rank 0 only ---- */

void ucx_peer_put8(uint64_t value); /* put and flush */
uint64_t ucx_peer_get8(void);
uint64_t ucx_peer_add8(uint64_t value);

/** From now on the target's thread polls and never sleeps, or as before. */
void ucx_peer_poll(uint64_t yes);

/** n operations of size bytes each, begun together and completed together. */
void ucx_peer_puts(const void *from, size_t size, unsigned n);
void ucx_peer_gets(void *to, size_t size, unsigned n);

/** The target allocates size bytes for us: a request and its reply. */
uint64_t ucx_peer_alloc(size_t size);

#endif
