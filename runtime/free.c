/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * free.c - from a pointer to its chunk: free, cancel, usable size, and the
 * marks that a range needs to be durable (L1). See chunk.h; chunk.c is the
 * other direction.
 */
#include "arena.h"
#include "chunk.h"
#include "class.h"
#include "degraded.h"
#include "dirty.h"
#include "far.h"
#include "hot.h"
#include "log.h"
#include "rma.h"
#include "run.h"
#include "slab.h"

#define IN_EXTENT ((uint32_t)MEGA__EXTENT - 1)

/* ---- What lies around a pointer ---- */

void mega__chunk_place_run(struct mega__place *at)
{
    at->start = (uint64_t)at->extent << MEGA__EXTENT_SHIFT;
    at->size = (uint64_t)mega__word_len(at->word) << MEGA__EXTENT_SHIFT;
    at->mark = NULL;
    at->mark_off = 0;
    if (!(mega__word_flags(at->word) & MEGA__RUN_RAW))
        mega__chunk_place_mark(at);
}

bool mega__chunk_place(struct mega__ctx *ctx, mega_gptr_t p,
                       struct mega__place *at)
{
    uint64_t off = mega_offset(p);
    at->span = mega__span_of(ctx, p);
    if (!at->span || off < at->span->data || off >= at->span->size)
        return false;
    at->extent = (uint32_t)(off >> MEGA__EXTENT_SHIFT);
    at->word = mega__span_word(at->span, at->extent);
    switch (mega__word_kind(at->word)) {
    case MEGA__SLAB:
        return mega__chunk_place_in_slab(ctx, at, (uint32_t)off & IN_EXTENT);
    case MEGA__RUN_TAIL:
        if (!mega__run_covers(at->span, at->extent, at->word))
            return false;
        at->extent -= mega__word_len(at->word);
        at->word = mega__span_word(at->span, at->extent);
        break;
    case MEGA__RUN_HEAD:
        break;
    default:
        return false;
    }
    if (mega__word_kind(at->word) != MEGA__RUN_HEAD ||
        !mega__run_fits(at->span, at->extent, at->word)) /* damaged */
        return false;
    mega__chunk_place_run(at);
    return true;
}

mega_status_t mega__chunk_look(struct mega__ctx *ctx, mega_gptr_t p,
                               struct mega__place *at, uint8_t *mark_p,
                               bool *in_p)
{
    if (!mega__rma_is_remote(ctx, p)) {
        *in_p = mega__chunk_place(ctx, p, at);
        *mark_p = *in_p && at->mark
                      ? atomic_load_explicit(at->mark, memory_order_acquire)
                      : MEGA__MARK_FREE;
        return *in_p ? MEGA_OK : mega__span_why_none(ctx, p);
    }
    return mega__far_look(ctx, p, at, mark_p, in_p);
}

mega_status_t mega__chunk_not_live(mega_gptr_t p, const char *why)
{
    return mega__fail(MEGA_ERR_NOT_LIVE, "%#llx (home %d, offset %#llx): %s",
                      (unsigned long long)p.v, mega_home(p),
                      (unsigned long long)mega_offset(p), why);
}

static mega_status_t find_live(struct mega__ctx *ctx, mega_gptr_t p,
                               struct mega__place *at)
{
    uint8_t mark;
    bool in;
    if (mega__gptr_home(p) >= ctx->nhomes)
        return mega__fail(MEGA_ERR_ARG, "%#llx is no pointer of this space",
                          (unsigned long long)p.v);
    mega_status_t st = mega__chunk_look(ctx, p, at, &mark, &in);
    if (st)
        return st;
    if (!in || at->start != mega_offset(p) || !at->mark_off)
        return mega__chunk_not_live(p, "no chunk begins there");
    if (mark == MEGA__MARK_LIVE)
        return MEGA_OK;
    return mega__chunk_not_live(p, mega__chunk_is_reserved(ctx, at, mark)
                                       ? "it is reserved: publish or cancel it"
                                       : "it is not allocated, or was freed "
                                         "before");
}

/* ---- Free ---- */

/* A run, or nothing that can be freed. */
static __attribute__((noinline)) mega_status_t free_other(struct mega__ctx *ctx,
                                                          mega_gptr_t p)
{
    struct mega__place at;
    if (mega__rma_is_remote(ctx, p))
        return mega__far_free(ctx, p);
    mega_status_t st = find_live(ctx, p, &at);
    if (st)
        return st;
    if (mega__word_is_slab(at.word)) /* live now, it was not just before */
        return mega__chunk_not_live(p, "another thread allocates or frees it");
    struct mega__arena *a = mega__arena(ctx);
    return a ? mega__run_free(ctx, at.span, at.extent, at.word, &a->flusher)
             : MEGA_ERR_NOMEM;
}

mega_status_t mega__chunk_list(struct mega__arena *a, struct mega__slab *slab,
                               uint32_t g)
{
    slab->avail[g / 64] |= UINT64_C(1) << g % 64;
    slab->line = (uint16_t)(g / 64); /* used again first: it is warm */
    slab->bin->cur = slab;
    return mega__dirty_note_own(a, slab, g);
}

/* A chunk of a slab that is not this thread's: one byte. Its owner's next sweep
 * finds it; a slab without owner is offered. */
mega_status_t mega__chunk_free(struct mega__ctx *ctx, mega_gptr_t p)
{
    if (mega_is_null(p))
        return MEGA_OK;
    if (ctx->readonly)
        return mega__degraded_refuse();
    struct mega__arena *a = mega__arena(ctx);
    struct mega__span *span = mega__span_of(ctx, p);
    uint64_t off = mega_offset(p);
    if (!a)
        return MEGA_ERR_NOMEM;
    if (!span || off >= span->size)
        return free_other(ctx, p);
    a->freed_in.base = mega__span_gptr(span, 0).v;
    a->freed_in.size = span->size;
    a->freed_in.slabs = span->slabs;
    uint32_t extent = (uint32_t)(off >> MEGA__EXTENT_SHIFT);
    uint64_t w = mega__span_word(span, extent);
    unsigned class = mega__word_class(w);
    _Atomic uint8_t *mark = &span->marks[off >> MEGA__GRANULE_SHIFT];
    if (!mega__word_is_slab(w) || class >= MEGA__CLASSES ||
        !mega__class_is_start(&ctx->classes.of[class],
                              (uint32_t)off & IN_EXTENT) ||
        atomic_load_explicit(mark, memory_order_acquire) != MEGA__MARK_LIVE)
        return free_other(ctx, p);
    struct mega__slab *slab =
        atomic_load_explicit(&span->slabs[extent], memory_order_acquire);
    if (slab && slab->arena == a)
        return mega__hot_take_back(a, slab, p, mark,
                                   ((uint32_t)off & IN_EXTENT) >>
                                       MEGA__GRANULE_SHIFT);
    /* release: what the caller did with the chunk is over before it is free */
    atomic_store_explicit(mark, MEGA__MARK_FREE, memory_order_release);
    if (!mega__slab_owned(ctx, w))
        mega__slab_hint(a, span, extent, w);
    return mega__dirty_note(a, span->how, mark);
}

mega_status_t mega__chunk_usable(struct mega__ctx *ctx, mega_gptr_t p,
                                 size_t *size_p)
{
    struct mega__place at;
    mega_status_t st = find_live(ctx, p, &at);
    if (!st)
        *size_p = at.size;
    return st;
}

/* ---- Reservations ---- */

/* The rsv word and bit of a chunk in a slab that this process owns. */
static _Atomic uint64_t *rsv_of(const struct mega__place *at, uint64_t *bit_p)
{
    struct mega__slab *slab = atomic_load_explicit(&at->span->slabs[at->extent],
                                                   memory_order_acquire);
    if (!slab)
        return NULL;
    uint32_t g = (uint32_t)(at->start & IN_EXTENT) >> MEGA__GRANULE_SHIFT;
    *bit_p = UINT64_C(1) << g % 64;
    return &slab->rsv[g / 64];
}

bool mega__chunk_is_reserved(struct mega__ctx *ctx,
                             const struct mega__place *at, uint8_t mark)
{
    uint64_t bit;
    if (!at->mark_off || mark != MEGA__MARK_FREE)
        return false;
    if (!mega__word_is_slab(at->word)) /* a run of a former job is swept */
        return mega__word_run_epoch(at->word) == ctx->epoch14;
    _Atomic uint64_t *rsv = rsv_of(at, &bit);
    return rsv && atomic_load_explicit(rsv, memory_order_acquire) & bit;
}

void mega__chunk_unreserve(struct mega__unreserve *u,
                           const struct mega__place *at)
{
    uint64_t bit;
    _Atomic uint64_t *rsv =
        mega__word_is_slab(at->word) ? rsv_of(at, &bit) : NULL;
    if (!rsv)
        return;
    if (rsv != u->word)
        mega__chunk_unreserve_end(u);
    u->word = rsv;
    u->bits |= bit;
}

void mega__chunk_unreserve_end(struct mega__unreserve *u)
{
    /* release pairs with the acquire in mega__slab_sweep: LIVE came before */
    if (u->bits)
        atomic_fetch_and_explicit(u->word, ~u->bits, memory_order_release);
    u->bits = 0;
}

mega_status_t mega__chunk_cancel(struct mega__ctx *ctx, mega_gptr_t p)
{
    struct mega__place at;
    uint8_t mark = MEGA__MARK_LIVE;
    bool in = false;
    mega_status_t st = mega__degraded_write(ctx);
    if (!st && mega__gptr_home(p) < ctx->nhomes)
        st = mega__chunk_look(ctx, p, &at, &mark, &in);
    if (st)
        return st;
    if (!in || at.start != mega_offset(p) ||
        !mega__chunk_is_reserved(ctx, &at, mark))
        return mega__chunk_not_live(p, "this rank has not reserved it");
    struct mega__arena *a = mega__arena(ctx);
    st = a ? MEGA_OK : MEGA_ERR_NOMEM;
    if (!st && !at.mark) /* far */
        st = mega__far_complete_puts(a, mega__gptr_home(p));
    if (st)
        return st;
    if (mega__word_is_slab(at.word)) {
        struct mega__unreserve u = {0};
        mega__chunk_unreserve(&u, &at); /* the next sweep takes it back */
        mega__chunk_unreserve_end(&u);
        return MEGA_OK;
    }
    if (!at.mark)
        return mega__far_run_free(ctx, p, MEGA__RUN_RESERVED);
    return mega__run_free(ctx, at.span, at.extent, at.word, &a->flusher);
}

/* ---- Durability of a range ---- */

static void flush_mark(struct mega__arena *a, const struct mega__span *span,
                       const _Atomic uint8_t *mark)
{
    mega__pool_flush(&a->flusher, span->how, (const void *)mark, 1);
    mega__dirty_forget(a, span->how, mark);
}

/* The usual case: the range lies in one chunk of a slab of this thread. */
static inline bool flush_own_mark(struct mega__arena *a,
                                  const struct mega__span *span, uint64_t off,
                                  size_t n)
{
    const struct mega__slab *slab = atomic_load_explicit(
        &span->slabs[off >> MEGA__EXTENT_SHIFT], memory_order_acquire);
    if (!slab || slab->arena != a)
        return false;
    uint32_t in = (uint32_t)off & IN_EXTENT;
    uint32_t start = (uint32_t)((uint64_t)in * slab->magic >> 32) * slab->size;
    if (n > slab->size - (in - start) || start + slab->size > MEGA__EXTENT)
        return false;
    flush_mark(a, span, &slab->marks[start >> MEGA__GRANULE_SHIFT]);
    return true;
}

void mega__chunk_flush_marks(struct mega__arena *a, struct mega__span *span,
                             uint64_t off, size_t n)
{
    struct mega__place at;
    const _Atomic uint8_t *flushed = NULL; /* start of a line */
    uint64_t end = off + n;
    if (n > 0 && flush_own_mark(a, span, off, n))
        return;
    while (off < end) {
        if (!mega__chunk_place(a->ctx, mega__span_gptr(span, off), &at)) {
            off = (off | IN_EXTENT) + 1; /* nothing allocated here */
            continue;
        }
        const _Atomic uint8_t *line =
            (const _Atomic uint8_t *)((uintptr_t)at.mark &
                                      ~(uintptr_t)(MEGA__LINE - 1));
        if (at.mark && line != flushed) {
            flush_mark(a, span, at.mark);
            flushed = line;
        }
        off = at.start + at.size;
    }
}

mega_status_t mega__chunk_flush(struct mega__ctx *ctx, struct mega__arena *a,
                                mega_gptr_t p, size_t n)
{
    struct mega__span *span = mega__span_range(ctx, p, n);
    if (!span)
        return mega__fail(MEGA_ERR_ARG,
                          "%zu bytes at %#llx are not in one span of the space",
                          n, (unsigned long long)p.v);
    if (span->how == MEGA__HOW_NONE || n == 0)
        return MEGA_OK;
    mega__pool_flush(&a->flusher, span->how, span->base + mega_offset(p), n);
    mega__chunk_flush_marks(a, span, mega_offset(p), n);
    return MEGA_OK;
}
