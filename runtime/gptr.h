/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * gptr.h - the global pointer as a bit ruler, the extent word, the seal.
 *
 *   63            44 43      34 33                                 0
 *   |  home : 20    | span : 10 |            offset : 34            |
 */
#ifndef MEGA__GPTR_H
#define MEGA__GPTR_H

#include <stdbool.h>

#include "layout.h"

_Static_assert(sizeof(mega_gptr_t) == 8, "fits a compare-and-swap");

static inline uint32_t mega__gptr_home(mega_gptr_t p)
{
    return (uint32_t)(p.v >> (MEGA_OFFSET_BITS + MEGA_SPAN_BITS));
}

static inline uint32_t mega__gptr_span(mega_gptr_t p)
{
    return (uint32_t)(p.v >> MEGA_OFFSET_BITS) & (MEGA__SPANS_MAX - 1);
}

static inline mega_gptr_t mega__gptr(uint32_t home, uint32_t span, uint64_t off)
{
    return mega_from_bits(
        ((uint64_t)home << (MEGA_OFFSET_BITS + MEGA_SPAN_BITS)) |
        ((uint64_t)span << MEGA_OFFSET_BITS) | off);
}

/* ---- Extent word: see the table in layout.h ---- */

static inline unsigned mega__word_kind(uint64_t w)
{
    return (unsigned)(w & 15);
}

static inline uint64_t mega__word_slab(enum mega__kind kind, unsigned class,
                                       uint32_t region, uint32_t owner,
                                       uint32_t epoch14)
{
    return (uint64_t)kind | (uint64_t) class << 4 | (uint64_t)region << 10 |
           (uint64_t)owner << 30 | (uint64_t)epoch14 << 50;
}

static inline unsigned mega__word_class(uint64_t w)
{
    return (unsigned)(w >> 4) & 63;
}

static inline uint32_t mega__word_owner(uint64_t w)
{
    return (uint32_t)(w >> 30) & 0xfffff;
}

static inline uint32_t mega__word_slab_epoch(uint64_t w)
{
    return (uint32_t)(w >> 50);
}

/* What the top bits of a run's word hold about those below: another number for
 * each bit that flips, and for any few that lie together. Never 0. */
static inline uint64_t mega__word_run_check(uint64_t w)
{
    return (w & ((UINT64_C(1) << MEGA__RUN_CHECK_SHIFT) - 1)) % 127 + 1;
}

/* kind is RUN_HEAD, FREEING (len: extents, flags) or RUN_TAIL (len: distance
 * to the head, flags 0). */
static inline uint64_t mega__word_run(enum mega__kind kind, uint32_t len,
                                      uint32_t region, uint32_t epoch14,
                                      unsigned flags)
{
    uint64_t w = (uint64_t)kind | (uint64_t)len << 4 | (uint64_t)region << 22 |
                 (uint64_t)epoch14 << 42 | (uint64_t)flags << 56;
    return w | mega__word_run_check(w) << MEGA__RUN_CHECK_SHIFT;
}

/* False: damaged. */
static inline bool mega__word_run_sound(uint64_t w)
{
    return w >> MEGA__RUN_CHECK_SHIFT == mega__word_run_check(w);
}

static inline uint32_t mega__word_len(uint64_t w)
{
    return (uint32_t)(w >> 4) & 0x3ffff;
}

static inline uint32_t mega__word_run_epoch(uint64_t w)
{
    return (uint32_t)(w >> 42) & 0x3fff;
}

static inline unsigned mega__word_flags(uint64_t w)
{
    return (unsigned)(w >> 56) & MEGA__RUN_RAW;
}

static inline bool mega__word_is_slab(uint64_t w)
{
    return mega__word_kind(w) == MEGA__SLAB;
}

/* The region of a word that has one, else 0, also of a damaged run. */
static inline uint32_t mega__word_region(uint64_t w)
{
    switch (mega__word_kind(w)) {
    case MEGA__SLAB:
    case MEGA__SLAB_INIT:
        return (uint32_t)(w >> 10) & 0xfffff;
    case MEGA__RUN_HEAD:
    case MEGA__RUN_TAIL:
    case MEGA__FREEING:
        return mega__word_run_sound(w) ? (uint32_t)(w >> 22) & 0xfffff : 0;
    default:
        return 0;
    }
}

/* ---- Words of a run beside each other ---- */

/* A RUN_HEAD or FREEING word; rest: the extents from it to the span's end. */
static inline bool mega__word_head_fits(uint64_t head, uint32_t rest)
{
    uint32_t len = mega__word_len(head);
    return len >= 1 && len <= rest && mega__word_run_sound(head);
}

/* A RUN_TAIL word; before: the extents before it that can be its head. */
static inline bool mega__word_tail_fits(uint64_t tail, uint32_t before)
{
    uint32_t distance = mega__word_len(tail);
    return distance >= 1 && distance <= before && mega__word_run_sound(tail);
}

/* Whether the word where a tail that fits has its head covers it; rest: from
 * there. */
static inline bool mega__word_covers(uint64_t head, uint64_t tail,
                                     uint32_t rest)
{
    unsigned kind = mega__word_kind(head);
    return (kind == MEGA__RUN_HEAD || kind == MEGA__FREEING) &&
           mega__word_head_fits(head, rest) &&
           mega__word_len(head) > mega__word_len(tail) &&
           mega__word_region(head) == mega__word_region(tail);
}

/* Whether that word is one that no job has left: it does not decode, or is a
 * damaged run, or one that does not fit. The tail may hold live data then. */
static inline bool mega__word_head_damaged(uint64_t head, uint32_t rest)
{
    switch (mega__word_kind(head)) {
    case MEGA__FREE:
        return head != MEGA__FREE;
    case MEGA__SLAB_INIT:
    case MEGA__SLAB:
    case MEGA__RUN_TAIL:
        return false;
    case MEGA__RUN_HEAD:
    case MEGA__FREEING:
        return !mega__word_head_fits(head, rest);
    default:
        return true;
    }
}

/* ---- Epochs ---- */

/* 1..16383: 0 in a word means "no owner". */
static inline uint32_t mega__epoch14(uint64_t epoch)
{
    return (uint32_t)(epoch % MEGA__EPOCH14_MAX) + 1;
}

static inline uint8_t mega__dead_mark(uint64_t epoch)
{
    return (uint8_t)(MEGA__MARK_DEAD + epoch % 254);
}

/* ---- Seal: a 48-bit value that tells damage ---- */

static inline uint64_t mega__seal(uint64_t value)
{
    uint64_t h =
        (value ^ UINT64_C(0x6d65676131)) * UINT64_C(0x9e3779b97f4a7c15);
    return (value & UINT64_C(0xffffffffffff)) | (h >> 48) << 48;
}

/* False: damaged. A word of zeroes reads as 0: never written. */
static inline bool mega__unseal(uint64_t word, uint64_t *value_p)
{
    uint64_t value = word & UINT64_C(0xffffffffffff);
    *value_p = value;
    return word == 0 || word == mega__seal(value);
}

/* Of a word that must have been written: zeroes are damage, too. */
static inline bool mega__unseal_written(uint64_t word, uint64_t *value_p)
{
    return mega__unseal(word, value_p) && word != 0;
}

#endif
