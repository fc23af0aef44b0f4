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

/* The slow way of mega__dirty_note; marks of far homes are far.h's. Returns
 * MEGA_OK, always: the hot paths end with this call. */
mega_status_t mega__dirty_add(struct mega__arena *a, unsigned slot,
                              uintptr_t entry, const _Atomic uint8_t *mark);

/* A mark in the line of this entry has been stored. MEGA_OK. */
static inline mega_status_t mega__dirty_note_entry(struct mega__arena *a,
                                                   uintptr_t entry,
                                                   const _Atomic uint8_t *mark)
{
    unsigned slot = mega__dirty_slot(entry);
    if (__builtin_expect(atomic_load_explicit(&a->dirty.slots[slot],
                                              memory_order_relaxed) != entry,
                         0))
        return mega__dirty_add(a, slot, entry, mark);
    return MEGA_OK;
}

static inline uintptr_t mega__dirty_entry(enum mega__how how,
                                          const _Atomic uint8_t *mark)
{
    return ((uintptr_t)mark & ~MEGA__DIRTY_HOW) | (uintptr_t)how;
}

/* The mark has been stored. ASSUMPTION: how is not MEGA__HOW_NONE. MEGA_OK. */
static inline mega_status_t mega__dirty_note(struct mega__arena *a,
                                             enum mega__how how,
                                             const _Atomic uint8_t *mark)
{
    return mega__dirty_note_entry(a, mega__dirty_entry(how, mark), mark);
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
