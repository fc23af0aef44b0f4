/* SPDX-License-Identifier: BSD-3-Clause */
/* ops.h - the calls of megalloc.h on a given rank of a world. */
#ifndef TEST_OPS_H
#define TEST_OPS_H

#include "log.h"
#include "test/lib/report.h"
#include "types.h"

#define OPS_DEFAULT MEGA__REGION_DEFAULT

/* CHECKs (report.h) that a call has succeeded. */
#define OK(call)                                                               \
    do {                                                                       \
        mega_status_t ok_st = (call);                                          \
        CHECK(ok_st == MEGA_OK, "%s: %d %s", #call, ok_st,                     \
              mega__errmsg_buffer());                                          \
    } while (0)

mega_status_t ops_alloc(struct mega__ctx *ctx, uint32_t region, int home,
                        size_t size, mega_gptr_t *p_p);
/* As mega_alloc_n, in the default region. */
mega_status_t ops_alloc_n(struct mega__ctx *ctx, int home, size_t size,
                          size_t count, mega_gptr_t *p_p);
/* As mega_reserve, in a slab that its home knows: then publish sends no claim.
 */
mega_status_t ops_reserve_said(struct mega__ctx *ctx, int home, size_t size,
                               mega_gptr_t *p_p);
mega_status_t ops_free(struct mega__ctx *ctx, mega_gptr_t p);
mega_status_t ops_persist(struct mega__ctx *ctx, mega_gptr_t p, size_t n);
mega_status_t ops_drain(struct mega__ctx *ctx);

/* The address of p; aborts the test if there is none. */
void *ops_at(struct mega__ctx *ctx, mega_gptr_t p);

/* An 8-byte slot: load, plain store. On a far home the store, as what fill
 * writes, is a put: it may arrive as late as at the next flush. */
mega_gptr_t ops_load(struct mega__ctx *ctx, mega_gptr_t slot);
void ops_store(struct mega__ctx *ctx, mega_gptr_t slot, mega_gptr_t p);

/* Bytes that tell the chunk they belong to; into memory of the caller. */
void ops_bytes(unsigned char *at, size_t n, uint64_t tag);

/* A tag with this: of more than 256 bytes only the last have contents. Each
 * line waits for its own, and where that is not what is looked at, a point of a
 * film would have more images than can be tried. */
#define OPS_BRIEF (UINT64_C(1) << 63)

/* The same into p. */
void ops_fill(struct mega__ctx *ctx, mega_gptr_t p, size_t n, uint64_t tag);
/* False, too: p names no memory here. */
bool ops_filled(struct mega__ctx *ctx, mega_gptr_t p, size_t n, uint64_t tag);

/* The slot of a root, made if need be. Null: CHECKed. */
mega_gptr_t ops_root(struct mega__ctx *ctx, const char *name);

/* Of a region that home 0's directory, mapped here, says to live: its id and
 * size per home. CHECKs that its raw memory is zero, as it is made. */
bool ops_region(struct mega__ctx *ctx, const char *name, uint32_t *id_p,
                uint64_t *bytes_p);

#endif
