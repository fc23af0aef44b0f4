/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * record.h - state words and checksums of the records of a home block
 * (layout.h). What is read may be damaged.
 */
#ifndef MEGA__RECORD_H
#define MEGA__RECORD_H

#include <string.h>

#include "crc.h"
#include "gptr.h"

/* A state word as its parts. False: damaged, or no such state. */
static inline bool mega__record_state(uint64_t word,
                                      enum mega__record_state *state_p,
                                      uint32_t *id_p)
{
    uint64_t value;
    if (!mega__unseal(word, &value) || (value & 255) > MEGA__REC_DYING ||
        value >> 8 > MEGA__REGION_ID_MAX)
        return false;
    *state_p = (enum mega__record_state)(value & 255);
    *id_p = (uint32_t)(value >> 8);
    return true;
}

/* Two records of roots that both count, of one region and name. */
static inline bool mega__record_same_root(const struct mega__root_record *a,
                                          const struct mega__root_record *b)
{
    enum mega__record_state state;
    uint32_t id;
    const uint64_t word = __atomic_load_n(&a->state, __ATOMIC_ACQUIRE);
    return word == __atomic_load_n(&b->state, __ATOMIC_ACQUIRE) &&
           mega__record_state(word, &state, &id) && state == MEGA__REC_LIVE &&
           strncmp(a->name, b->name, MEGA__NAME_BYTES) == 0;
}

/* Of a region or a root. */
static inline uint32_t mega__record_name_crc(uint32_t id, const char *name)
{
    return mega__crc_end(mega__crc_more(~id, name, MEGA__NAME_BYTES));
}

static inline uint32_t mega__record_run_crc(uint32_t id,
                                            const struct mega__run_record *r)
{
    uint32_t crc = mega__crc_more(~id, &r->base, 8);
    crc = mega__crc_more(crc, &r->start, 8);
    return mega__crc_end(mega__crc_more(crc, &r->extents, 4));
}

/* ASSUMPTION: in->n <= MEGA_PUBLISH_MAX. */
static inline uint32_t mega__record_intent_crc(const struct mega__intent *in)
{
    uint32_t crc = mega__crc_more(UINT32_MAX, &in->seq, 20);
    return mega__crc_end(mega__crc_more(
        crc, in->items, in->n * sizeof(struct mega__intent_item)));
}

/* To be replayed. A record is written once per publish: no job can die in the
 * middle of one and leave a right crc. */
static inline bool mega__record_intent_decided(const struct mega__intent *in)
{
    return in->seq != 0 && in->n >= 1 && in->n <= MEGA_PUBLISH_MAX &&
           in->crc == mega__record_intent_crc(in);
}

#endif
