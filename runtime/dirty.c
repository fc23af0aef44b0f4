/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * dirty.c - see dirty.h. The owner alone adds and removes. Others read: a
 * slot is stored with release after its mark, so who sees the entry flushes
 * the mark; the owner empties a slot only after its own fence, so who does
 * not see it need not.
 */
#include "dirty.h"

#include "far.h"
#include "slab.h"

static void flush_entry(struct mega__flusher *f, uintptr_t entry)
{
    mega__pool_flush(f, (enum mega__how)(entry & MEGA__DIRTY_HOW),
                     (const void *)(entry & ~MEGA__DIRTY_HOW), MEGA__LINE);
}

mega_status_t mega__dirty_fence(struct mega__arena *a)
{
    mega_status_t st = mega__pool_drain(&a->flusher);
    atomic_store_explicit(&a->dirty.nspill, 0, memory_order_release);
    return st;
}

/* A line that was flushed is remembered until it is fenced, for another
 * thread's fence does not order our flush. */
static void spill(struct mega__arena *a, uintptr_t entry)
{
    struct mega__dirty *d = &a->dirty;
    unsigned n = atomic_load_explicit(&d->nspill, memory_order_relaxed);
    atomic_store_explicit(&d->spill[n], entry, memory_order_relaxed);
    atomic_store_explicit(&d->nspill, n + 1, memory_order_release);
    if (n + 1 == MEGA__DIRTY_SPILL && mega__dirty_fence(a) != MEGA_OK)
        a->flusher.failed = true; /* the next drain tells */
}

/* Whoever noted the slot must note it again. by may since have become another
 * slab of the arena: then a bit too many is cleared, which costs it a call. */
static void unnote(struct mega__dirty *d, unsigned slot, uintptr_t entry)
{
    struct mega__slab *by = d->by[slot];
    if (by)
        mega__slab_unnote(by, UINT32_C(1) << (entry - (uintptr_t)by->marks) /
                                                 MEGA__LINE %
                                                 MEGA__EXTENT_LINES);
}

mega_status_t mega__dirty_add(struct mega__arena *a, enum mega__how how,
                              const _Atomic uint8_t *mark,
                              struct mega__slab *slab)
{
    struct mega__dirty *d = &a->dirty;
    if (how == MEGA__HOW_NONE)
        return MEGA_OK;
    if (how == MEGA__HOW_FAR) {
        mega__far_note(a, mark);
        return MEGA_OK;
    }
    uintptr_t entry = mega__dirty_entry(how, mark);
    unsigned slot = mega__dirty_slot(entry);
    uintptr_t old = atomic_load_explicit(&d->slots[slot], memory_order_relaxed);
    if (old && old != entry) { /* make room */
        unnote(d, slot, old);
        flush_entry(&a->flusher, old);
        spill(a, old);
    }
    if (old != entry) {
        d->by[slot] = NULL;
        d->used[slot / 64] |= UINT64_C(1) << slot % 64;
        atomic_store_explicit(&d->slots[slot], entry, memory_order_release);
    }
    if (slab) {
        d->by[slot] = slab;
        slab->noted |= UINT32_C(1) << (mark - slab->marks) / MEGA__LINE;
    }
    return MEGA_OK;
}

void mega__dirty_forget(struct mega__arena *a, enum mega__how how,
                        const _Atomic uint8_t *mark)
{
    struct mega__dirty *d = &a->dirty;
    uintptr_t entry = mega__dirty_entry(how, mark);
    unsigned slot = mega__dirty_slot(entry);
    if (atomic_load_explicit(&d->slots[slot], memory_order_relaxed) != entry)
        return;
    spill(a, entry); /* before the slot is emptied: it is always in one */
    unnote(d, slot, entry);
    d->used[slot / 64] &= ~(UINT64_C(1) << slot % 64);
    atomic_store_explicit(&d->slots[slot], 0, memory_order_release);
}

mega_status_t mega__dirty_drain(struct mega__arena *a)
{
    struct mega__dirty *d = &a->dirty;
    for (unsigned w = 0; w < MEGA__DIRTY_SLOTS / 64; w++)
        for (uint64_t bits = d->used[w]; bits; bits &= bits - 1)
            flush_entry(&a->flusher,
                        atomic_load_explicit(
                            &d->slots[w * 64 + (unsigned)__builtin_ctzll(bits)],
                            memory_order_relaxed));
    mega_status_t st = mega__dirty_fence(a);
    for (unsigned w = 0; w < MEGA__DIRTY_SLOTS / 64; d->used[w++] = 0)
        for (uint64_t bits = d->used[w]; bits; bits &= bits - 1) {
            unsigned slot = w * 64 + (unsigned)__builtin_ctzll(bits);
            unnote(d, slot,
                   atomic_load_explicit(&d->slots[slot], memory_order_relaxed));
            atomic_store_explicit(&d->slots[slot], 0, memory_order_release);
        }
    return st;
}

void mega__dirty_flush_of(const struct mega__arena *a, struct mega__flusher *f)
{
    const struct mega__dirty *d = &a->dirty;
    for (unsigned i = 0; i < MEGA__DIRTY_SLOTS; i++) {
        uintptr_t entry =
            atomic_load_explicit(&d->slots[i], memory_order_acquire);
        if (entry)
            flush_entry(f, entry);
    }
    unsigned n = atomic_load_explicit(&d->nspill, memory_order_acquire);
    for (unsigned i = 0; i < n && i < MEGA__DIRTY_SPILL; i++)
        flush_entry(f,
                    atomic_load_explicit(&d->spill[i], memory_order_relaxed));
}
