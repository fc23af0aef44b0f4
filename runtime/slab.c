/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * slab.c - claims, adopts, sweeps and gives up slabs. find.c chooses which.
 *
 * Claim: FREE -> SLAB_INIT, marks zeroed and durable, then SLAB durable, and
 * only then chunks (layout.h, 5). Adopt: a CAS of the owner; the word and the
 * marks are flushed, for what we build on must not hang on a cache. Give up:
 * seen empty under ownership -> FREE, else no owner. No locks: the CAS on the
 * word decides; the slab structure belongs to the arena that owns it.
 */
#include "slab.h"

#include <emmintrin.h>
#include <linux/mman.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "arena.h"
#include "count.h"
#include "crash_point.h"
#include "dirty.h"
#include "far.h"
#include "find.h"
#include "log.h"
#include "seg.h"

#define MARK_BYTES MEGA__EXTENT_GRANULES
#define TURN 8u /* of lines of marks: four take turns (leave_line) */

/* ---- Marks, 64 at a time ---- */

/* Bit i: mark i of the line equals value. acquire: what was written to a
 * chunk before it was freed is over. */
static uint64_t line_equals(const _Atomic uint8_t *line, uint8_t value)
{
    uint64_t bits = 0;
#ifdef __SANITIZE_THREAD__ /* it does not know that vector loads are bytes */
    for (unsigned i = 0; i < MEGA__LINE; i++)
        bits |= (uint64_t)(atomic_load_explicit(&line[i],
                                                memory_order_acquire) == value)
                << i;
#else
    __m128i want = _mm_set1_epi8((char)value);
    for (unsigned i = 0; i < 4; i++) {
        __m128i have = _mm_load_si128((const __m128i *)(const void *)line + i);
        uint32_t mask = (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(have, want));
        bits |= (uint64_t)mask << 16 * i;
    }
    atomic_thread_fence(memory_order_acquire);
#endif
    return bits;
}

/* Chunks of the line that nobody uses: FREE, or DEAD of an older epoch. */
static uint64_t line_unused(const struct mega__ctx *ctx,
                            const _Atomic uint8_t *line, uint64_t starts)
{
    uint64_t unused = starts & line_equals(line, MEGA__MARK_FREE);
    uint64_t others = starts & ~unused & ~line_equals(line, MEGA__MARK_LIVE);
    for (; others; others &= others - 1) {
        unsigned i = (unsigned)__builtin_ctzll(others);
        if (atomic_load_explicit(&line[i], memory_order_relaxed) !=
            ctx->dead_mark)
            unused |= UINT64_C(1) << i;
    }
    return unused;
}

bool mega__slab_has_room(const struct mega__ctx *ctx,
                         const struct mega__span *span, uint32_t extent,
                         unsigned class)
{
    const struct mega__class *c = &ctx->classes.of[class];
    const _Atomic uint8_t *marks = mega__slab_marks(span, extent);
    for (unsigned i = 0; i < MEGA__EXTENT_LINES; i++)
        if (line_unused(ctx, marks + i * MEGA__LINE, c->starts[i]))
            return true;
    return false;
}

static bool extent_empty(const struct mega__ctx *ctx,
                         const struct mega__span *span, uint32_t extent)
{
    /* Not only the starts of chunks: a damaged class must free nothing. */
    const _Atomic uint8_t *marks = mega__slab_marks(span, extent);
    for (unsigned i = 0; i < MEGA__EXTENT_LINES; i++)
        if (line_unused(ctx, marks + i * MEGA__LINE, UINT64_MAX) != UINT64_MAX)
            return false;
    return true;
}

/* ---- The structure ---- */

struct mega__slab *mega__slab_new(struct mega__arena *a,
                                  struct mega__span *span, uint32_t extent,
                                  unsigned class, uint32_t region,
                                  struct mega__far *far)
{
    struct mega__slab *slab = a->spare_slabs;
    const size_t kept = offsetof(struct mega__slab, next);
    if (slab) {
        a->spare_slabs = slab->next;
    } else {
        slab = malloc(sizeof *slab);
        if (!slab) {
            mega__span_error =
                mega__fail(MEGA_ERR_NOMEM, "no memory for a slab");
            return NULL;
        }
        slab->arena = a;
    }
    memset((char *)slab + kept, 0, sizeof *slab - kept);
    atomic_store_explicit(&slab->unsaid, false, memory_order_relaxed);
    slab->span = span;
    slab->marks = far ? far->now : mega__slab_marks(span, extent);
    slab->far = far;
    if (far)
        far->slab = slab;
    slab->base =
        mega__span_gptr(span, (uint64_t)extent << MEGA__EXTENT_SHIFT).v;
    slab->extent = extent;
    slab->class = (uint8_t) class;
    slab->line = 0;
    slab->region = region;
    slab->size = a->ctx->classes.of[class].size;
    slab->magic = a->ctx->classes.of[class].magic;
    slab->within =
        slab->size % MEGA__GRANULE == 0 ? MEGA__GRANULE - 1 : UINT32_MAX;
    if (span->how == MEGA__HOW_NONE)
        slab->noted = UINT32_MAX;
    /* release: publish finds rsv by this table */
    atomic_store_explicit(&span->slabs[extent], slab, memory_order_release);
    return slab;
}

void mega__slab_detach(struct mega__slab *slab)
{
    atomic_store_explicit(&slab->span->slabs[slab->extent], NULL,
                          memory_order_release);
    mega__far_silence(slab);
}

void mega__slab_recycle(struct mega__arena *a, struct mega__slab *slab)
{
    mega__far_forget(slab);
    slab->bin = NULL;
    slab->next = a->spare_slabs;
    a->spare_slabs = slab;
}

void mega__slab_delete(struct mega__arena *a, struct mega__slab *slab)
{
    mega__slab_detach(slab);
    mega__slab_recycle(a, slab);
}

/* The address where line i of the slab's marks hands out its next chunk. */
static const char *next_chunk(const struct mega__slab *slab, unsigned i)
{
    uint64_t bits = slab->avail[i] | UINT64_C(1) << 63;
    uint64_t extent = (uint64_t)slab->extent << MEGA__EXTENT_SHIFT;
    unsigned granule = i * MEGA__LINE + (unsigned)__builtin_ctzll(bits);
    return slab->span->base + extent + (granule << MEGA__GRANULE_SHIFT);
}

/* The line is on its way to the medium: processors that let go of it meanwhile
 * need it back for the next mark, and cannot flush it again before. So some
 * lines take turns, and what the turn after next will store to is asked for.
 * They are far apart: each one's chunks are a stream for the processor's own
 * prefetching, in pages of its own. */
static void leave_line(struct mega__slab *slab)
{
    const unsigned next = (slab->line + TURN) % MEGA__EXTENT_LINES;
    const unsigned then = (next + TURN) % MEGA__EXTENT_LINES;
    if (!slab->avail[next])
        return;
    slab->line = (uint16_t)next;
    __builtin_prefetch((const void *)&slab->marks[then * MEGA__LINE], 1);
    __builtin_prefetch(next_chunk(slab, then), 1);
}

void mega__slab_unnote(struct mega__slab *slab, uint32_t lines)
{
    if (slab->span->how == MEGA__HOW_NONE) /* never to be noted */
        return;
    slab->noted &= ~lines;
    if (lines >> slab->line & 1 && !slab->far)
        leave_line(slab);
    struct mega__bin *bin = slab->bin;
    if (!bin) /* not used yet, or no more */
        return;
    struct mega__freed *kept = bin->freed;
    for (const struct mega__freed *f = bin->freed; f < bin->top; f++) {
        uintptr_t g = (uintptr_t)f->mark - (uintptr_t)slab->marks;
        if (g < MARK_BYTES && lines >> g / MEGA__LINE & 1)
            slab->avail[g / 64] |= UINT64_C(1) << g % 64;
        else
            *kept++ = *f;
    }
    bin->top = kept;
}

unsigned mega__slab_sweep_line(struct mega__ctx *ctx, struct mega__slab *slab,
                               unsigned i)
{
    if (slab->bin)
        mega__bin_forget(slab->bin); /* what was there is found by its mark */
    /* rsv before the marks: publish stores LIVE, then clears rsv */
    uint64_t rsv = atomic_load_explicit(&slab->rsv[i], memory_order_acquire);
    uint64_t live =
        ctx->classes.of[slab->class].starts[i] & ~slab->avail[i] & ~rsv;
    if (!live)
        return 0;
    uint64_t freed =
        live & line_equals(slab->marks + i * MEGA__LINE, MEGA__MARK_FREE);
    slab->avail[i] |= freed;
    return (unsigned)__builtin_popcountll(freed);
}

unsigned mega__slab_sweep(struct mega__ctx *ctx, struct mega__slab *slab)
{
    unsigned gained = 0;
    if (slab->far && mega__far_refresh(slab) != MEGA_OK)
        return 0;
    for (unsigned i = 0; i < MEGA__EXTENT_LINES; i++)
        gained += mega__slab_sweep_line(ctx, slab, i);
    return gained;
}

/* ---- Claim and adopt ---- */

uint64_t mega__slab_owned_word(const struct mega__ctx *ctx,
                               enum mega__kind kind, unsigned class,
                               uint32_t region)
{
    return mega__word_slab(kind, class, region, (uint32_t)ctx->place.rank,
                           ctx->epoch14);
}

/* Brings the pages of an extent that is used for the first time, and of some
 * behind it, in one call instead of a fault each. A hint: it may fail. */
#define TOUCH_EXTENTS 8
static void touch(struct mega__span *span, uint32_t extent)
{
    uint32_t end = extent + TOUCH_EXTENTS;
    if (extent < atomic_load_explicit(&span->touched, memory_order_relaxed))
        return;
    end = end < span->extents ? end : span->extents;
    atomic_store_explicit(&span->touched, end, memory_order_relaxed);
    madvise(span->base + ((uint64_t)extent << MEGA__EXTENT_SHIFT),
            (size_t)(end - extent) << MEGA__EXTENT_SHIFT, MADV_POPULATE_WRITE);
}

struct mega__slab *mega__slab_claim(struct mega__arena *a,
                                    struct mega__span *span, uint32_t extent,
                                    unsigned class, uint32_t region)
{
    struct mega__ctx *ctx = a->ctx;
    _Atomic uint8_t *marks = mega__slab_marks(span, extent);
    uint64_t init = mega__slab_owned_word(ctx, MEGA__SLAB_INIT, class, region);
    mega__count(&a->count.claim_cas, 1);
    if (!mega__span_cas(span, extent, MEGA__FREE, init))
        return NULL;
    struct mega__slab *slab =
        mega__slab_new(a, span, extent, class, region, NULL);
    if (!slab) {
        mega__span_cas(span, extent, init, MEGA__FREE);
        return NULL;
    }
    MEGA__CRASH(slab_init);
    touch(span, extent);
    memset((void *)marks, MEGA__MARK_FREE, MARK_BYTES);
    mega__pool_flush(&a->flusher, span->how, (const void *)marks, MARK_BYTES);
    bool failed = mega__dirty_fence(a) != MEGA_OK;
    MEGA__CRASH(slab_marks);
    if (!mega__span_cas(
            span, extent, init,
            mega__slab_owned_word(ctx, MEGA__SLAB, class, region))) {
        mega__slab_delete(a, slab); /* its region is gone, or the net */
        a->flusher.failed |= failed;
        return NULL;
    }
    MEGA__CRASH(slab_word);
    mega__pool_flush(&a->flusher, span->how, (const void *)&span->words[extent],
                     8);
    failed |= mega__dirty_fence(a) != MEGA_OK;
    a->flusher.failed |= failed;
    atomic_store_explicit(&span->hints[extent], 0, memory_order_relaxed);
    memcpy(slab->avail, ctx->classes.of[class].starts, sizeof slab->avail);
    atomic_fetch_sub_explicit(&span->home->seg->spans[span->no].free, 1,
                              memory_order_relaxed);
    mega__count(&a->count.claims, 1);
    return slab;
}

/* A mark where no chunk of the class begins: the word's class is damaged, and
 * what we took for free may be somebody's. */
static bool class_fits(const struct mega__ctx *ctx,
                       const _Atomic uint8_t *marks, unsigned class)
{
    const struct mega__class *c = &ctx->classes.of[class];
    for (unsigned i = 0; i < MEGA__EXTENT_LINES; i++)
        if (~line_equals(marks + i * MEGA__LINE, MEGA__MARK_FREE) &
            ~c->starts[i])
            return false;
    return true;
}

/* DEAD by an older epoch, from here on FREE: now a mark alone tells of its
 * chunk, also if that is reserved. */
static void end_dead(struct mega__slab *slab, _Atomic uint8_t *line,
                     uint64_t dead)
{
    for (; dead; dead &= dead - 1) {
        _Atomic uint8_t *mark = &line[__builtin_ctzll(dead)];
        atomic_store_explicit(mark, MEGA__MARK_FREE, memory_order_relaxed);
        if (slab->far)
            mega__far_note(slab->arena, mark);
    }
}

bool mega__slab_first_scan(struct mega__ctx *ctx, struct mega__slab *slab)
{
    const struct mega__class *c = &ctx->classes.of[slab->class];
    if (!class_fits(ctx, slab->marks, slab->class))
        return false;
    for (unsigned i = 0; i < MEGA__EXTENT_LINES; i++) {
        _Atomic uint8_t *line = slab->marks + i * MEGA__LINE;
        slab->avail[i] = line_unused(ctx, line, c->starts[i]);
        end_dead(slab, line,
                 slab->avail[i] & ~line_equals(line, MEGA__MARK_FREE));
    }
    return true;
}

struct mega__slab *mega__slab_adopt(struct mega__arena *a,
                                    struct mega__span *span, uint32_t extent,
                                    uint64_t w)
{
    struct mega__ctx *ctx = a->ctx;
    unsigned class = mega__word_class(w);
    uint32_t region = mega__word_region(w);
    const _Atomic uint8_t *marks = mega__slab_marks(span, extent);
    mega__count(&a->count.claim_cas, 1);
    if (!class_fits(ctx, marks, class) ||
        !mega__span_cas(span, extent, w,
                        mega__slab_owned_word(ctx, MEGA__SLAB, class, region)))
        return NULL;
    struct mega__slab *slab =
        mega__slab_new(a, span, extent, class, region, NULL);
    if (!slab) {
        atomic_store_explicit(&span->hints[extent], MEGA__HINT_LOOK,
                              memory_order_relaxed); /* it was named once */
        mega__span_cas(span, extent,
                       mega__slab_owned_word(ctx, MEGA__SLAB, class, region),
                       mega__word_slab(MEGA__SLAB, class, region, 0, 0));
        return NULL;
    }
    MEGA__CRASH(slab_adopted);
    mega__pool_flush(&a->flusher, span->how, (const void *)&span->words[extent],
                     8);
    mega__pool_flush(&a->flusher, span->how, (const void *)marks, MARK_BYTES);
    a->flusher.failed |= mega__dirty_fence(a) != MEGA_OK;
    atomic_store_explicit(&span->hints[extent], 0, memory_order_relaxed);
    mega__slab_first_scan(ctx, slab);
    mega__count(&a->count.adoptions, 1);
    return slab;
}

/* ---- Give up, reclaim ---- */

static void note_released(struct mega__arena *a, const struct mega__span *span,
                          uint32_t extent)
{
    a->released[a->nreleased++ % MEGA__RELEASED] =
        mega__span_gptr(span, (uint64_t)extent << MEGA__EXTENT_SHIFT).v;
}

void mega__slab_give_up(struct mega__arena *a, struct mega__slab *slab)
{
    struct mega__ctx *ctx = a->ctx;
    struct mega__span *span = slab->span;
    uint32_t extent = slab->extent;
    if (slab->far) {
        mega__far_give_up(a, slab);
        return;
    }
    unsigned class = slab->class;
    uint32_t capacity = ctx->classes.of[class].capacity;
    uint64_t owned =
        mega__slab_owned_word(ctx, MEGA__SLAB, class, slab->region);
    mega__slab_sweep(ctx, slab);
    unsigned available = mega__slab_available(slab);
    bool empty = available == capacity;
    uint64_t next =
        empty ? MEGA__FREE
              : mega__word_slab(MEGA__SLAB, class, slab->region, 0, 0);
    mega__slab_delete(a, slab);
    /* Who frees a chunk between the sweep and the swap still sees an owner. */
    atomic_store_explicit(&span->hints[extent],
                          (uint16_t)(available | MEGA__HINT_LOOK),
                          memory_order_relaxed);
    /* Fails only if the region is gone meanwhile, and then rightly. */
    bool done = mega__span_cas(span, extent, owned, next);
    if (done && empty)
        atomic_fetch_add_explicit(&span->home->seg->spans[span->no].free, 1,
                                  memory_order_relaxed);
    else if (done && available >= mega__find_worth(capacity))
        mega__find_offer(span, extent, class);
    if (done && empty)
        note_released(a, span, extent);
    mega__count(&a->count.disowned, done && !empty);
    mega__count(&a->count.extents_released, done && empty);
}

/* Frees the extent of an unowned slab if it is empty: owned while we look. */
static bool release_if_empty(struct mega__arena *a, struct mega__span *span,
                             uint32_t extent, uint64_t w)
{
    struct mega__ctx *ctx = a->ctx;
    unsigned class = mega__word_class(w);
    uint64_t owned =
        mega__slab_owned_word(ctx, MEGA__SLAB, class, mega__word_region(w));
    if (class >= MEGA__CLASSES || !extent_empty(ctx, span, extent) ||
        !mega__span_cas(span, extent, w, owned))
        return false;
    bool empty = extent_empty(ctx, span, extent);
    uint64_t next =
        empty ? MEGA__FREE
              : mega__word_slab(MEGA__SLAB, class, mega__word_region(w), 0, 0);
    if (!mega__span_cas(span, extent, owned, next) || !empty)
        return false;
    atomic_fetch_add_explicit(&span->home->seg->spans[span->no].free, 1,
                              memory_order_relaxed);
    note_released(a, span, extent);
    mega__count(&a->count.extents_released, 1);
    return true;
}

/* Ranks of other hosts free extents and do not count them. A count that says
 * none keeps those of this host away: it is set right. How many they missed. */
static unsigned count_again(struct mega__span *span, unsigned free)
{
    _Atomic int64_t *count = &span->home->seg->spans[span->no].free;
    if (free == 0 || atomic_load_explicit(count, memory_order_relaxed) > 0)
        return 0;
    atomic_store_explicit(count, free, memory_order_relaxed);
    return free;
}

unsigned mega__slab_reclaim(struct mega__arena *a, struct mega__home *home)
{
    unsigned freed = 0;
    const uint32_t nspans =
        atomic_load_explicit(&home->seg->nspans, memory_order_acquire);
    for (uint32_t no = 0; no < nspans; no++) {
        struct mega__span *span =
            mega__span_of(a->ctx, mega__gptr(home->no, no, 0));
        if (!span) /* it cannot be mapped */
            continue;
        unsigned was_free = 0;
        for (uint32_t e = span->first; e < span->extents; e++) {
            uint64_t w = mega__span_word(span, e);
            was_free += w == MEGA__FREE;
            if (mega__word_is_slab(w) && !mega__slab_owned(a->ctx, w))
                freed += release_if_empty(a, span, e, w);
        }
        freed += count_again(span, was_free);
    }
    return freed;
}

void mega__slab_hint(struct mega__arena *a, struct mega__span *span,
                     uint32_t extent, uint64_t w)
{
    unsigned class = mega__word_class(w);
    uint32_t capacity = a->ctx->classes.of[class].capacity;
    /* Not atomic: a lost count is found by the search before a growth. */
    uint16_t n = (uint16_t)(atomic_load_explicit(&span->hints[extent],
                                                 memory_order_relaxed) +
                            1);
    atomic_store_explicit(&span->hints[extent], n, memory_order_relaxed);
    n &= (uint16_t)~MEGA__HINT_LOOK;
    if (n == capacity) {
        if (!(a->serves && span->home->nic)) /* else it is found by a search */
            release_if_empty(a, span, extent, w);
    } else if (n == mega__find_worth(capacity)) {
        mega__find_offer(span, extent, class);
    }
}
