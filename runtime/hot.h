/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * hot.h - the usual cases of alloc and free, inline in their callers: a chunk
 * of the region and home that this thread asked for last, freed last or from
 * the line used last; a chunk of a slab of this thread, in the span of the last
 * free. Some 30 instructions each, no call, no lock. All else is chunk.h's.
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
 * mega__arena_usual. ctx: as it was given. */
typedef mega_status_t mega__other_alloc(uint64_t name, int home, size_t size,
                                        mega_gptr_t *p_p, bool live,
                                        struct mega__ctx *ctx);
typedef mega_status_t mega__other_free(mega_gptr_t p, struct mega__ctx *ctx);

/* Another thread stores 0 when a region is closed that nobody uses: a load
 * that compares at once, which gcc does not make of an atomic one. */
static inline uint64_t mega__hot_units(const struct mega__arena *a)
{
#ifdef __SANITIZE_THREAD__
    return atomic_load_explicit(&a->usual.units, memory_order_relaxed);
#else
    return *(const uint64_t *)(const void *)&a->usual.units;
#endif
}

/* As mega__chunk_alloc. a: this thread's, or mega__arena_none. ctx: for other.
 * live, other: constants. A reservation needs its slab, so it is not taken from
 * what was freed last. */
static inline __attribute__((always_inline)) mega_status_t
mega__hot_take(struct mega__arena *a, struct mega__ctx *ctx, uint64_t name,
               int home, size_t size, bool live, mega_gptr_t *p_p,
               mega__other_alloc *other)
{
    const size_t units = (size - 1) / 16;
    if (__builtin_expect(units >= mega__hot_units(a) || !p_p ||
                             a->usual.name != name || a->usual.home != home,
                         0))
        return other(name, home, size, p_p, live, ctx);
    if (units >= MEGA__CLASS_MAX / 16) /* usual.units is not more */
        __builtin_unreachable();
    struct mega__bin *bin = (struct mega__bin *)((char *)a->usual.heap->bins +
                                                 a->ctx->classes.bin_of[units]);
    struct mega__freed *top = bin->top;
    if (live && !mega__hot_none_freed(top)) { /* its line is noted */
        bin->top = --top;
        *p_p = mega_from_bits(top->p);
        atomic_store_explicit(top->mark, MEGA__MARK_LIVE, memory_order_release);
        return MEGA_OK;
    }
    struct mega__slab *slab = bin->cur;
    const uint32_t line = slab ? slab->line : 0;
    const uint64_t bits = slab ? slab->avail[line] : 0;
    if (__builtin_expect(!bits, 0))
        return other(name, home, size, p_p, live, ctx);
    const uint32_t g = line * 64 + (unsigned)__builtin_ctzll(bits);
    slab->avail[line] = bits & (bits - 1);
    *p_p = mega__hot_gptr(slab, g);
    if (!live) {
        mega__hot_set_rsv(slab, g);
        return MEGA_OK;
    }
    atomic_store_explicit(&slab->marks[g], MEGA__MARK_LIVE,
                          memory_order_release);
    return mega__dirty_note_own(a, slab, g);
}

/* A live chunk of a slab of this thread, which takes it back at once. */
static inline mega_status_t
mega__hot_take_back(struct mega__arena *a, struct mega__slab *slab,
                    mega_gptr_t p, _Atomic uint8_t *mark, uint32_t g)
{
    struct mega__bin *bin = slab->bin;
    struct mega__freed *top = bin->top;
    /* release: what the caller did with the chunk is over before it is free */
    atomic_store_explicit(mark, MEGA__MARK_FREE, memory_order_release);
    if (__builtin_expect(mega__hot_freed_full(top) ||
                             !(slab->noted >> g / MEGA__LINE & 1),
                         0))
        return mega__chunk_list(a, slab, g);
    top->p = p.v;
    top->mark = mark;
    bin->top = top + 1;
    return MEGA_OK;
}

/* Whether a chunk begins there if its mark is LIVE. in: its offset in the
 * extent. A mark stands for a granule; chunks of some classes begin inside. */
static inline bool mega__hot_begins(const struct mega__slab *slab, uint32_t in)
{
    return !(in & slab->within) ||
           (uint32_t)((uint64_t)in * slab->magic >> 32) * slab->size == in;
}

/* As mega__chunk_free; a, ctx, other: as in mega__hot_take. */
static inline __attribute__((always_inline)) mega_status_t
mega__hot_put(struct mega__arena *a, struct mega__ctx *ctx, mega_gptr_t p,
              mega__other_free *other)
{
    const uint64_t off = p.v - a->freed_in.base;
    if (__builtin_expect(off >= a->freed_in.size, 0))
        return other(p, ctx);
    const uint32_t in = (uint32_t)off & (MEGA__EXTENT - 1);
    const uint32_t g = in >> MEGA__GRANULE_SHIFT;
    struct mega__slab *slab = atomic_load_explicit(
        &a->freed_in.slabs[off >> MEGA__EXTENT_SHIFT], memory_order_acquire);
    if (__builtin_expect(
            !slab || slab->arena != a || !mega__hot_begins(slab, in), 0))
        return other(p, ctx);
    _Atomic uint8_t *mark = &slab->marks[g];
    if (__builtin_expect(atomic_load_explicit(mark, memory_order_relaxed) !=
                             MEGA__MARK_LIVE,
                         0))
        return other(p, ctx);
    return mega__hot_take_back(a, slab, p, mark, g);
}

/* ---- For a job that is not the process's only one ---- */

static mega_status_t mega__hot_other(uint64_t region, int home, size_t size,
                                     mega_gptr_t *p_p, bool live,
                                     struct mega__ctx *ctx)
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
    return mega__hot_take(mega__arena_if_mine(ctx), ctx, region, home, size,
                          true, p_p, mega__hot_other);
}

static inline mega_status_t mega__hot_reserve(struct mega__ctx *ctx,
                                              uint32_t region, int home,
                                              size_t size, mega_gptr_t *p_p)
{
    return mega__hot_take(mega__arena_if_mine(ctx), ctx, region, home, size,
                          false, p_p, mega__hot_other);
}

static mega_status_t mega__hot_other_free(mega_gptr_t p, struct mega__ctx *ctx)
{
    return mega__chunk_free(ctx, p);
}

static inline mega_status_t mega__hot_free(struct mega__ctx *ctx, mega_gptr_t p)
{
    return mega__hot_put(mega__arena_if_mine(ctx), ctx, p,
                         mega__hot_other_free);
}

#endif
