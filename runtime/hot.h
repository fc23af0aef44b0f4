/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * hot.h - the usual cases of alloc and free, inline in their callers: a chunk
 * of the region and home that this thread asked for last, freed last or from
 * the line used last; a chunk of a slab of this thread, in the span of the last
 * free. Some 40 instructions each, no call, no lock. All else is chunk.h's.
 */
#ifndef MEGA__HOT_H
#define MEGA__HOT_H

#include "arena.h"
#include "chunk.h"
#include "class.h"
#include "dirty.h"

static inline mega_gptr_t mega__hot_gptr(const struct mega__slab *slab,
                                         uint32_t g)
{
    uint32_t in = g << MEGA__GRANULE_SHIFT, size = slab->size;
    if (size % MEGA__GRANULE != 0) /* a chunk may begin inside a granule */
        in = (uint32_t)((uint64_t)(in + size - 1) * slab->magic >> 32) * size;
    return mega_from_bits(slab->base + in);
}

/* Others may clear bits of the same word. */
static inline void mega__hot_set_rsv(struct mega__slab *slab, uint32_t g)
{
    atomic_fetch_or_explicit(&slab->rsv[g / 64], UINT64_C(1) << g % 64,
                             memory_order_release);
}

/* What a thread has taken from its bin becomes the caller's. live: a constant.
 */
static inline __attribute__((always_inline)) mega_status_t
mega__hot_give(struct mega__arena *a, struct mega__slab *slab, uint32_t g,
               bool live)
{
    if (!live) {
        mega__hot_set_rsv(slab, g);
        return MEGA_OK;
    }
    atomic_store_explicit(&slab->marks[g], MEGA__MARK_LIVE,
                          memory_order_release);
    return mega__dirty_note_own(a, slab, g);
}

static inline uint32_t mega__hot_granule(uint64_t p)
{
    return ((uint32_t)p & (MEGA__EXTENT - 1)) >> MEGA__GRANULE_SHIFT;
}

_Static_assert(sizeof(struct mega__bin) == MEGA__BIN_BYTES &&
                   offsetof(struct mega__bin, freed) +
                           MEGA__BIN_FREED * sizeof(struct mega__freed) ==
                       MEGA__BIN_BYTES,
               "the low bits of a bin's top tell that it is empty or full");

static inline bool mega__hot_none_freed(const struct mega__freed *top)
{
    return (uintptr_t)top % MEGA__BIN_BYTES ==
           offsetof(struct mega__bin, freed);
}

static inline bool mega__hot_freed_full(const struct mega__freed *top)
{
    return (uintptr_t)top % MEGA__BIN_BYTES == 0;
}

/* What does the rest of an allocation, and of a free. name: see
 * mega__arena_usual. */
typedef mega_status_t mega__other_alloc(struct mega__ctx *ctx, uint64_t name,
                                        int home, size_t size, bool live,
                                        mega_gptr_t *p_p);
typedef mega_status_t mega__other_free(struct mega__ctx *ctx, mega_gptr_t p);

/* As mega__chunk_alloc. serial: of ctx, which is not looked at before this
 * thread's arena has the same. live, other: constants. */
static inline __attribute__((always_inline)) mega_status_t
mega__hot_take(struct mega__ctx *ctx, uint64_t serial, uint64_t name, int home,
               size_t size, bool live, mega_gptr_t *p_p,
               mega__other_alloc *other)
{
    struct mega__arena *a = mega__arena_mine.arena;
    if (__builtin_expect(size - 1 >= MEGA__CLASS_MAX || !p_p ||
                             mega__arena_mine.serial != serial ||
                             a->usual.name != name || a->usual.home != home,
                         0))
        return other(ctx, name, home, size, live, p_p);
    struct mega__bin *bin =
        &a->usual.heap->bins[mega__class_of(&ctx->classes, size)];
    struct mega__freed *top = bin->top;
    if (!mega__hot_none_freed(top)) {
        const struct mega__freed *f = bin->top = top - 1;
        *p_p = mega_from_bits(f->p);
        return mega__hot_give(a, f->slab, mega__hot_granule(f->p), live);
    }
    struct mega__slab *slab = bin->cur;
    const uint32_t line = slab ? slab->line : 0;
    const uint64_t bits = slab ? slab->avail[line] : 0;
    if (__builtin_expect(!bits, 0))
        return other(ctx, name, home, size, live, p_p);
    const uint32_t g = line * 64 + (unsigned)__builtin_ctzll(bits);
    slab->avail[line] = bits & (bits - 1);
    *p_p = mega__hot_gptr(slab, g);
    return mega__hot_give(a, slab, g, live);
}

/* A live chunk of a slab of this thread, which takes it back at once. in: its
 * offset in the extent. */
static inline mega_status_t mega__hot_take_back(struct mega__arena *a,
                                                struct mega__slab *slab,
                                                mega_gptr_t p, uint32_t in)
{
    const uint32_t g = in >> MEGA__GRANULE_SHIFT, line = g / 64;
    struct mega__bin *bin = slab->bin;
    struct mega__freed *top = bin->top;
    /* release: what the caller did with the chunk is over before it is free */
    atomic_store_explicit(&slab->marks[g], MEGA__MARK_FREE,
                          memory_order_release);
    if (!mega__hot_freed_full(top)) {
        top->p = p.v;
        top->slab = slab;
        bin->top = top + 1;
    } else {
        slab->avail[line] |= UINT64_C(1) << g % 64;
        slab->line = (uint16_t)line; /* used again first: it is warm */
        bin->cur = slab;
    }
    return mega__dirty_note_own(a, slab, g);
}

/* Whether a chunk begins there if its mark is LIVE. in: its offset in the
 * extent. A mark stands for a granule; chunks of some classes begin inside. */
static inline bool mega__hot_begins(const struct mega__slab *slab, uint32_t in)
{
    return !(in & slab->within) ||
           (uint32_t)((uint64_t)in * slab->magic >> 32) * slab->size == in;
}

/* As mega__chunk_free; serial, other: as in mega__hot_take. */
static inline __attribute__((always_inline)) mega_status_t
mega__hot_put(struct mega__ctx *ctx, uint64_t serial, mega_gptr_t p,
              mega__other_free *other)
{
    struct mega__arena *a = mega__arena_mine.arena;
    if (__builtin_expect(mega__arena_mine.serial != serial, 0))
        return other(ctx, p);
    const uint64_t off = p.v - a->freed_in.base;
    if (__builtin_expect(off >= a->freed_in.size, 0))
        return other(ctx, p);
    const uint32_t in = (uint32_t)off & (MEGA__EXTENT - 1);
    struct mega__slab *slab = atomic_load_explicit(
        &a->freed_in.slabs[off >> MEGA__EXTENT_SHIFT], memory_order_acquire);
    if (__builtin_expect(
            !slab || slab->arena != a || !mega__hot_begins(slab, in) ||
                atomic_load_explicit(&slab->marks[in >> MEGA__GRANULE_SHIFT],
                                     memory_order_relaxed) != MEGA__MARK_LIVE,
            0))
        return other(ctx, p);
    return mega__hot_take_back(a, slab, p, in);
}

/* ---- For a job that is not the process's only one ---- */

static mega_status_t mega__hot_other(struct mega__ctx *ctx, uint64_t region,
                                     int home, size_t size, bool live,
                                     mega_gptr_t *p_p)
{
    uint32_t id = (uint32_t)region;
    mega_status_t st = mega__chunk_alloc(ctx, id, home, size, live, p_p);
    if (!st)
        mega__arena_usual(ctx, region, id, home);
    return st;
}

static inline mega_status_t mega__hot_alloc(struct mega__ctx *ctx,
                                            uint32_t region, int home,
                                            size_t size, mega_gptr_t *p_p)
{
    return mega__hot_take(ctx, ctx->serial, region, home, size, true, p_p,
                          mega__hot_other);
}

static inline mega_status_t mega__hot_reserve(struct mega__ctx *ctx,
                                              uint32_t region, int home,
                                              size_t size, mega_gptr_t *p_p)
{
    return mega__hot_take(ctx, ctx->serial, region, home, size, false, p_p,
                          mega__hot_other);
}

static inline mega_status_t mega__hot_free(struct mega__ctx *ctx, mega_gptr_t p)
{
    return mega__hot_put(ctx, ctx->serial, p, mega__chunk_free);
}

#endif
