/* SPDX-License-Identifier: BSD-3-Clause */
/* find.h - where the next slab comes from. slab.c does the rest. */
#ifndef MEGA__FIND_H
#define MEGA__FIND_H

#include "slab.h"

/* A slab is worth adopting from so many free chunks on. */
static inline uint32_t mega__find_worth(uint32_t capacity)
{
    return capacity < 8 ? 1 : capacity / 8;
}

/* In a hint: chunks may have been freed that it does not count, since the slab
 * had an owner then. */
#define MEGA__HINT_LOOK 0x8000u

/* An unowned slab has become worth adopting. */
void mega__find_offer(struct mega__span *span, uint32_t extent, unsigned class);

/* An unowned slab of a home of this host that has room now, named once; null:
 * none. class may be anything. */
mega_gptr_t mega__find_named(struct mega__ctx *ctx, struct mega__home *home,
                             uint32_t region, uint64_t class);

/* How many extents to pass over after the lost-th claim in a row that another
 * won, so that those who met do not go on side by side; further each time, for
 * who is far away is always later than who is near. */
static inline uint32_t mega__find_leap(uint32_t *seed, unsigned lost)
{
    *seed = *seed * 1664525 + 1013904223;
    return (*seed >> 16) % (16u << (lost < 8 ? lost : 8));
}

/* Words of a far home that are read at once. */
#define MEGA__VIEW_WORDS 512

/* So many claims after one that was lost, the words are read again before the
 * next: what was seen at the last one is old where others claim too. */
#define MEGA__FIND_WARY 16

/* How many to claim at once: twice as many as last, which is 0 after a loss,
 * for who takes ahead where room is short takes it from others. */
static inline unsigned mega__find_ahead(unsigned last, unsigned most)
{
    return last == 0 ? 1 : 2 * last < most ? 2 * last : most;
}

/* Once nothing was FREE on a far home, but a slab was adopted, so many are
 * adopted before all words are read again. */
#define MEGA__FIND_FULL 32

/* Where a rank begins among n extents of a far home, so that ranks do not
 * meet. */
static inline uint32_t mega__find_start(uint32_t n, uint32_t rank,
                                        uint32_t nranks)
{
    return (uint32_t)((uint64_t)n * rank / nranks);
}

/* Views of a far span, of so many, that are tried here and there before it is
 * read through: what is taken often lies together. */
static inline uint32_t mega__find_probes(uint32_t views)
{
    return views / 8;
}

/* Where among n extents the next of them begins, after one that ends at end:
 * right there, unless it showed nothing FREE; missed: so many in a row. */
static inline uint32_t mega__find_probe(uint32_t *seed, uint32_t n,
                                        uint32_t end, unsigned missed)
{
    uint64_t views = missed ? mega__find_leap(seed, missed - 1) : 0;
    return (uint32_t)((end + views * MEGA__VIEW_WORDS) % n);
}

/* ---- slab.c, for find.c: NULL if another was faster, or without memory ----
 */

struct mega__slab *mega__slab_claim(struct mega__arena *a,
                                    struct mega__span *span, uint32_t extent,
                                    unsigned class, uint32_t region);
struct mega__slab *mega__slab_adopt(struct mega__arena *a,
                                    struct mega__span *span, uint32_t extent,
                                    uint64_t w);

#endif
