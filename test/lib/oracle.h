/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * oracle.h - what a program has been promised, and whether a space keeps it.
 * Plain bytes, so that a film can copy it; changed under the medium's lock by
 * oracle_set, in the order: before what may break the promise, after what
 * makes it.
 */
#ifndef TEST_ORACLE_H
#define TEST_ORACLE_H

#include "types.h"

#define ORACLE_MAX 160

enum fate {
    FATE_NONE,  /* not used */
    FATE_LIVE,  /* is live with its contents, whatever comes */
    FATE_MAYBE, /* may be live */
    FATE_FREE   /* is not live */
};

struct oracle_chunk {
    mega_gptr_t p, slot; /* slot: holds p while LIVE; null: no link */
    uint64_t size, tag;
    enum fate fate;
};

struct oracle {
    unsigned n;
    struct oracle_chunk chunks[ORACLE_MAX];
};

/* A chunk that is being allocated: MAYBE. Its number. */
unsigned oracle_add(struct oracle *o, mega_gptr_t p, uint64_t size,
                    uint64_t tag);
void oracle_set(struct oracle *o, unsigned i, enum fate fate);
void oracle_link(struct oracle *o, unsigned i, mega_gptr_t slot);

/* CHECKs the promises: chunks, contents, links, no phantom. By one rank that
 * maps all homes, nobody else at work. */
void oracle_verify(struct mega__ctx *ctx, const struct oracle *o);

/* Allocates all there is, in every class: CHECKs that nothing comes twice,
 * that nothing is left over, that promised contents stand. Then frees it. */
void oracle_exhaust(struct mega__ctx *ctx, const struct oracle *o,
                    uint64_t seed);

/* The live chunks of all mapped homes, read from words and marks alone. */
struct oracle_live {
    mega_gptr_t p;
    uint64_t size;
    uint32_t region;
};
size_t oracle_walk(struct mega__ctx *ctx, struct oracle_live **list_p);
bool oracle_is_live(struct mega__ctx *ctx, mega_gptr_t p); /* by a walk */

#endif
