/* SPDX-License-Identifier: BSD-3-Clause */
/* sync.h - waiting for a word, and locks that a restart voids. */
#ifndef MEGA__SYNC_H
#define MEGA__SYNC_H

#include "types.h"

mega_status_t mega__sync_wait(struct mega__ctx *ctx, mega_gptr_t p,
                              mega_cmp_t cmp, uint64_t value, int timeout_ms);

/* BUSY: held by others. */
mega_status_t mega__sync_trylock(struct mega__ctx *ctx, mega_gptr_t p,
                                 unsigned flags);
mega_status_t mega__sync_lock(struct mega__ctx *ctx, mega_gptr_t p,
                              unsigned flags);
mega_status_t mega__sync_unlock(struct mega__ctx *ctx, mega_gptr_t p,
                                unsigned flags);

#endif
