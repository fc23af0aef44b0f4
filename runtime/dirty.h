/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * dirty.h - the lines of marks that a thread has changed and not yet made
 * durable (struct mega__dirty in types.h). Bounded: a line is noted once, and
 * a displaced one is flushed at once, its fence coming with a later drain.
 */
#ifndef MEGA__DIRTY_H
#define MEGA__DIRTY_H

#include "types.h"

#define MEGA__DIRTY_HOW ((uintptr_t)(MEGA__LINE - 1))

static inline unsigned mega__dirty_slot(uintptr_t entry)
{
    uintptr_t line = entry / MEGA__LINE;
    return (unsigned)(line ^ line / MEGA__DIRTY_SLOTS) % MEGA__DIRTY_SLOTS;
}

static inline uintptr_t mega__dirty_entry(enum mega__how how,
                                          const _Atomic uint8_t *mark)
{
    return ((uintptr_t)mark & ~MEGA__DIRTY_HOW) | (uintptr_t)how;
}

/* A mark of a slab (NULL: of no slab of this thread) has been stored. Marks of
 * far homes are far.h's. Returns MEGA_OK, always: the hot paths end so. */
mega_status_t mega__dirty_add(struct mega__arena *a, enum mega__how how,
                              const _Atomic uint8_t *mark,
                              struct mega__slab *slab);

/* The mark has been stored. MEGA_OK. */
static inline mega_status_t mega__dirty_note(struct mega__arena *a,
                                             enum mega__how how,
                                             const _Atomic uint8_t *mark)
{
    return how == MEGA__HOW_NONE ? MEGA_OK
                                 : mega__dirty_add(a, how, mark, NULL);
}

/* The same of the mark of granule g of a slab of this thread. */
static inline mega_status_t
mega__dirty_note_own(struct mega__arena *a, struct mega__slab *slab, uint32_t g)
{
    return __builtin_expect(slab->noted >> g / MEGA__LINE & 1, 1)
               ? MEGA_OK
               : mega__dirty_add(a, slab->span->how, &slab->marks[g], slab);
}

/* The line of a mark has been flushed by this thread: what is left to do for
 * it is the fence. */
void mega__dirty_forget(struct mega__arena *a, enum mega__how how,
                        const _Atomic uint8_t *mark);

/* All that this thread has flushed is durable. */
mega_status_t mega__dirty_fence(struct mega__arena *a);

/* All marks that this thread has changed are durable. */
mega_status_t mega__dirty_drain(struct mega__arena *a);

/* Begins the flush of what another thread has noted, with f. */
void mega__dirty_flush_of(const struct mega__arena *a, struct mega__flusher *f);

#endif
