/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * net_ucx_wire.h - the messages between a rank that asks and the rank that
 * serves a home. A request is a head and, behind it, what its op says; an
 * answer is a head and a payload, or, if its status is an error, the sentence.
 * All ranks of a job run the same build on the same kind of machine.
 */
#ifndef MEGA__NET_UCX_WIRE_H
#define MEGA__NET_UCX_WIRE_H

#include "net.h"
#include "seg.h"

enum mega__wire_id { MEGA__WIRE_REQUEST = 1, MEGA__WIRE_ANSWER = 2 };

enum mega__wire_op {
    MEGA__WIRE_HELLO = 1, /* the address of the caller's worker; no answer */
    MEGA__WIRE_KEY,       /* of a span: struct mega__wire_key and the key */
    MEGA__WIRE_DURABLE,   /* parts, then the bytes of those that have any */
    MEGA__WIRE_PUT,       /* the same, but visible only */
    MEGA__WIRE_ASK,       /* struct mega__request; it comes back */
    MEGA__WIRE_ALIVE      /* value: whether a home is being grown */
};

struct mega__wire_head {
    uint32_t op;
    int32_t rank;     /* who asks */
    uint64_t origin;  /* and by which origin of that rank */
    uint64_t call;    /* the answer names it */
    uint64_t epoch;   /* a job asks itself only, not the one before */
    uint8_t uuid[16]; /* of the space */
    uint32_t home, span;
    uint32_t nparts;
    uint32_t crc; /* HELLO: of the address */
};

struct mega__wire_part {
    uint64_t p;
    uint64_t n;
    uint32_t marks;
    uint32_t has_bytes; /* its n bytes follow the parts */
};

struct mega__wire_answer {
    uint64_t call;
    uint64_t value;
    int32_t status;
    uint32_t spare;
};

struct mega__wire_key { /* as it is kept, too (keys.h) */
    uint64_t size;
    uint64_t address;
    char packed[]; /* the key */
};

#define MEGA__WIRE_KEY_MAX 2048
#define MEGA__WIRE_PAYLOAD_MAX                                                 \
    (sizeof(struct mega__wire_key) + MEGA__WIRE_KEY_MAX) /* of an answer */
#define MEGA__WIRE_BYTES_MAX 16384u /* of all parts of a message */
/* What a server flushes for a message, before it looks at others. */
#define MEGA__WIRE_COVERED_MAX (UINT64_C(16) << 20)
#define MEGA__WIRE_ORIGINS_MAX 4096u /* of a rank, in its life */

#endif
