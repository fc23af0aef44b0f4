/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * hot.h - the usual cases of alloc and free, inline in their callers: a chunk
 * of this thread's last region and home, freed last or from the line used last;
 * a chunk of a slab of this thread, in the span of the last free. Some 50
 * instructions each, no call, no lock. All else is chunk.h's.
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

/* freed[bytes / sizeof]: an address without arithmetic. */
static inline struct mega__freed *mega__hot_freed(struct mega__bin *bin,
                                                  uint32_t bytes)
{
    return (struct mega__freed *)(void *)((char *)bin->freed + bytes);
}

/* As mega__chunk_alloc, which see. live: a constant. */
static inline __attribute__((always_inline)) mega_status_t
mega__hot_take(struct mega__ctx *ctx, uint32_t region, int home, size_t size,
               bool live, mega_gptr_t *p_p)
{
    const uint32_t on = (uint32_t)(home == MEGA_ANY_HOME ? ctx->my_home : home);
    struct mega__arena *a = mega__arena_mine.arena;
    if (__builtin_expect(size - 1 >= MEGA__CLASS_MAX ||
                             mega__arena_mine.serial != ctx->serial ||
                             !a->last || a->last->region != region ||
                             a->last->on != on,
                         0))
        return mega__chunk_alloc(ctx, region, home, size, live, p_p);
    struct mega__bin *bin = &a->last->bins[mega__class_of(&ctx->classes, size)];
    uint32_t bytes = bin->freed_bytes;
    if (bytes) {
        bytes -= (uint32_t)sizeof(struct mega__freed);
        const struct mega__freed *f = mega__hot_freed(bin, bytes);
        bin->freed_bytes = bytes;
        *p_p = mega_from_bits(f->p);
        return mega__hot_give(a, f->slab, mega__hot_granule(f->p), live);
    }
    struct mega__slab *slab = bin->cur;
    const uint32_t line = slab ? slab->line : 0;
    const uint64_t bits = slab ? slab->avail[line] : 0;
    if (__builtin_expect(!bits, 0))
        return mega__chunk_alloc(ctx, region, home, size, live, p_p);
    const uint32_t g = line * 64 + (unsigned)__builtin_ctzll(bits);
    slab->avail[line] = bits & (bits - 1);
    *p_p = mega__hot_gptr(slab, g);
    return mega__hot_give(a, slab, g, live);
}

static inline __attribute__((always_inline)) mega_status_t
mega__hot_alloc(struct mega__ctx *ctx, uint32_t region, int home, size_t size,
                mega_gptr_t *p_p)
{
    return mega__hot_take(ctx, region, home, size, true, p_p);
}

static inline mega_status_t mega__hot_reserve(struct mega__ctx *ctx,
                                              uint32_t region, int home,
                                              size_t size, mega_gptr_t *p_p)
{
    return mega__hot_take(ctx, region, home, size, false, p_p);
}

/* A live chunk of a slab of this thread, which takes it back at once. in: its
 * offset in the extent. */
static inline mega_status_t mega__hot_take_back(struct mega__arena *a,
                                                struct mega__slab *slab,
                                                mega_gptr_t p, uint32_t in)
{
    const uint32_t g = in >> MEGA__GRANULE_SHIFT, line = g / 64;
    struct mega__bin *bin = slab->bin;
    const uint32_t bytes = bin->freed_bytes;
    /* release: what the caller did with the chunk is over before it is free */
    atomic_store_explicit(&slab->marks[g], MEGA__MARK_FREE,
                          memory_order_release);
    if (bytes < sizeof bin->freed) {
        struct mega__freed *f = mega__hot_freed(bin, bytes);
        bin->freed_bytes = bytes + (uint32_t)sizeof *f;
        f->p = p.v;
        f->slab = slab;
    } else {
        slab->avail[line] |= UINT64_C(1) << g % 64;
        slab->line = (uint16_t)line; /* used again first: it is warm */
        bin->cur = slab;
    }
    return mega__dirty_note_own(a, slab, g);
}

/* As mega__chunk_free. */
static inline __attribute__((always_inline)) mega_status_t
mega__hot_free(struct mega__ctx *ctx, mega_gptr_t p)
{
    struct mega__arena *a = mega__arena_mine.arena;
    if (__builtin_expect(mega__arena_mine.serial != ctx->serial, 0))
        return mega__chunk_free(ctx, p);
    const uint64_t off = p.v - a->freed_in.base;
    if (__builtin_expect(off >= a->freed_in.size, 0))
        return mega__chunk_free(ctx, p);
    const uint32_t in = (uint32_t)off & (MEGA__EXTENT - 1);
    const uint32_t g = in >> MEGA__GRANULE_SHIFT;
    struct mega__slab *slab = atomic_load_explicit(
        &a->freed_in.slabs[off >> MEGA__EXTENT_SHIFT], memory_order_acquire);
    if (__builtin_expect(
            !slab || slab->arena != a ||
                (uint32_t)((uint64_t)in * slab->magic >> 32) * slab->size !=
                    in ||
                atomic_load_explicit(&slab->marks[g], memory_order_relaxed) !=
                    MEGA__MARK_LIVE,
            0))
        return mega__chunk_free(ctx, p);
    return mega__hot_take_back(a, slab, p, in);
}

#endif
