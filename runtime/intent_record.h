/* SPDX-License-Identifier: BSD-3-Clause */
/* intent_record.h - the records of publish, taken and given back. */
#ifndef MEGA__INTENT_RECORD_H
#define MEGA__INTENT_RECORD_H

#include "types.h"

struct mega__record { /* that was taken */
    struct mega__home *home;
    uint32_t i;
    struct mega__intent *in; /* NULL: on a far home */
    mega_gptr_t p;           /* there */
};

/* One of this rank's home or, without, of the home of first. Waits while all
 * are taken. ERRORS: TABLE_FULL - for good, or for MEGALLOC_TIMEOUT; those of
 * the transport. */
mega_status_t mega__record_take(struct mega__ctx *ctx, struct mega__arena *a,
                                mega_gptr_t first, struct mega__record *r);

/* It is cleared, durably, or was never written. */
mega_status_t mega__record_give(struct mega__ctx *ctx,
                                const struct mega__record *r);

/* It cannot be cleared in this job: the next open will. */
void mega__record_keep(struct mega__ctx *ctx, const struct mega__record *r);

/* Durable on a far home, here with the next fence. */
mega_status_t mega__record_store(struct mega__ctx *ctx, struct mega__arena *a,
                                 const struct mega__record *r, const void *src,
                                 size_t len);

#endif
