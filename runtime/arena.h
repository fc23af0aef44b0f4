/* SPDX-License-Identifier: BSD-3-Clause */
/* arena.h - a thread's allocation state in one job. */
#ifndef MEGA__ARENA_H
#define MEGA__ARENA_H

#include "types.h"

/* The arena that the calling thread used last, of whatever job; or one that
 * is nobody's and serves nothing. Who ends a job resets that of its threads. */
extern _Thread_local _Atomic(struct mega__arena *) mega__arena_mine;
extern struct mega__arena mega__arena_none;

/* The calling thread's in this job, or mega__arena_none. */
static inline struct mega__arena *
mega__arena_if_mine(const struct mega__ctx *ctx)
{
    struct mega__arena *a =
        atomic_load_explicit(&mega__arena_mine, memory_order_relaxed);
    return __builtin_expect(a->ctx == ctx, 1) ? a : &mega__arena_none;
}

/* Finds or makes the arena of the calling thread. NULL: no memory (see
 * mega_errmsg). */
struct mega__arena *mega__arena_find(struct mega__ctx *ctx);

/* The calling thread has none; of a child that was forked. What it had is the
 * parent's, and so is the lock. */
void mega__arena_forget(void);

/* Forgets what was freed last: a sweep finds it by its marks. */
static inline void mega__bin_forget(struct mega__bin *bin)
{
    bin->top = bin->freed;
}

static inline struct mega__arena *mega__arena(struct mega__ctx *ctx)
{
    struct mega__arena *a = mega__arena_if_mine(ctx);
    return __builtin_expect(a != &mega__arena_none, 1) ? a
                                                       : mega__arena_find(ctx);
}

/* The arena's part of a region on a home; made if need be. NULL: no memory. */
struct mega__heap *mega__arena_heap_find(struct mega__arena *a, uint32_t region,
                                         struct mega__home *home);

static inline struct mega__heap *mega__arena_heap(struct mega__arena *a,
                                                  uint32_t region,
                                                  struct mega__home *home)
{
    struct mega__heap *heap = a->last;
    if (__builtin_expect(
            heap && heap->region == region && heap->on == home->no &&
                !atomic_load_explicit(&a->gone, memory_order_relaxed),
            1))
        return heap;
    return mega__arena_heap_find(a, region, home);
}

/* Puts a slab behind those that are parked; takes the first, NULL: none. */
static inline void mega__arena_park(struct mega__heap *heap, unsigned class,
                                    struct mega__slab *slab)
{
    struct mega__slab *last = heap->parked[class];
    slab->next = last ? last->next : slab;
    if (last)
        last->next = slab;
    heap->parked[class] = slab;
}

static inline struct mega__slab *mega__arena_unpark(struct mega__heap *heap,
                                                    unsigned class)
{
    struct mega__slab *last = heap->parked[class];
    struct mega__slab *first = last ? last->next : NULL;
    if (first == last)
        heap->parked[class] = NULL;
    else
        last->next = first->next;
    return first;
}

/* A chunk has been allocated in a region, by this name of it, and for this
 * home, perhaps MEGA_ANY_HOME: what asks so again is served at once (hot.h),
 * until mega__arena_forget_usual. */
void mega__arena_usual(struct mega__ctx *ctx, uint64_t name, uint32_t region,
                       int home);

/* Frees the extents of the arena's own empty slabs on a home, and what the
 * arenas of threads that have ended can give up; how many. */
unsigned mega__arena_trim(struct mega__arena *a, struct mega__home *home);

/* ---- Over all arenas of the job: collectives ---- */

/* Names of regions may come to mean others. */
void mega__arena_forget_usual(struct mega__ctx *ctx);

/* Forgets all slabs of a region, which is about to end. Threads may be at work
 * for other regions. */
void mega__arena_drop_region(struct mega__ctx *ctx, uint32_t region);

/* ASSUMPTION of what follows: the threads are at rest, or end. */

/* Gives up all slabs without reserved chunks: the next job finds them free. No
 * claim is left half-made. */
void mega__arena_give_up_all(struct mega__ctx *ctx);

/* Makes the marks durable that any thread of this process has changed. */
mega_status_t mega__arena_drain_all(struct mega__ctx *ctx,
                                    struct mega__flusher *f);

void mega__arena_count_all(struct mega__ctx *ctx, mega_counters_t *sum_p);

/* Threads that end from here on leave the job alone, which is about to go. */
void mega__arena_let_go(struct mega__ctx *ctx);
void mega__arena_free_all(struct mega__ctx *ctx);

#endif
