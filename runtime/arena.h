/* SPDX-License-Identifier: BSD-3-Clause */
/* arena.h - a thread's allocation state in one job. */
#ifndef MEGA__ARENA_H
#define MEGA__ARENA_H

#include "types.h"

struct mega__arena_tls {
    uint64_t serial; /* of the job; 0: none yet */
    struct mega__arena *arena;
};
extern _Thread_local struct mega__arena_tls mega__arena_mine;

/* A number that no other job of this process has. */
uint64_t mega__arena_serial(void);

/* Finds or makes the arena of the calling thread. NULL: no memory (see
 * mega_errmsg). */
struct mega__arena *mega__arena_find(struct mega__ctx *ctx);

/* Forgets what was freed last: a sweep finds it by its marks. */
static inline void mega__bin_forget(struct mega__bin *bin)
{
    bin->top = bin->freed;
}

static inline struct mega__arena *mega__arena(struct mega__ctx *ctx)
{
    if (__builtin_expect(mega__arena_mine.serial == ctx->serial, 1))
        return mega__arena_mine.arena;
    return mega__arena_find(ctx);
}

/* The arena's part of a region on a home; made if need be. NULL: no memory. */
struct mega__heap *mega__arena_heap_find(struct mega__arena *a, uint32_t region,
                                         struct mega__home *home);

static inline struct mega__heap *mega__arena_heap(struct mega__arena *a,
                                                  uint32_t region,
                                                  struct mega__home *home)
{
    struct mega__heap *heap = a->last;
    if (__builtin_expect(heap && heap->region == region && heap->on == home->no,
                         1))
        return heap;
    return mega__arena_heap_find(a, region, home);
}

/* A chunk has been allocated in a region, by this name of it, and for this
 * home, perhaps MEGA_ANY_HOME: what asks so again is served at once (hot.h),
 * until mega__arena_forget_usual. */
void mega__arena_usual(struct mega__ctx *ctx, uint64_t name, uint32_t region,
                       int home);

/* Frees the extents of the arena's own empty slabs on a home; how many. */
unsigned mega__arena_trim(struct mega__arena *a, struct mega__home *home);

/* ---- Over all arenas of the job: collectives, with the threads at rest ----
 */

/* Names of regions may come to mean others. */
void mega__arena_forget_usual(struct mega__ctx *ctx);

/* Forgets all slabs of a region, which is about to end. */
void mega__arena_drop_region(struct mega__ctx *ctx, uint32_t region);

/* Gives up all slabs without reserved chunks: the next job finds them free. */
void mega__arena_give_up_all(struct mega__ctx *ctx);

/* Makes the marks durable that any thread of this process has changed. */
mega_status_t mega__arena_drain_all(struct mega__ctx *ctx,
                                    struct mega__flusher *f);

void mega__arena_count_all(struct mega__ctx *ctx, mega_counters_t *sum_p);
void mega__arena_free_all(struct mega__ctx *ctx);

#endif
