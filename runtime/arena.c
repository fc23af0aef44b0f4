/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * arena.c - makes, finds and ends the arenas of threads.
 *
 * An arena belongs to one thread and is used without a lock. When the thread
 * ends its slabs are given up and its marks made durable; the arena waits for
 * the next thread. ctx->arena_lock guards the list. Who ends a region marks its
 * heaps as gone, under heaps_lock; their owner, which may be at work for other
 * regions meanwhile, frees them later.
 */
#include "arena.h"

#include <stdlib.h>
#include <string.h>

#include "agent.h"
#include "count.h"
#include "dirty.h"
#include "far.h"
#include "log.h"
#include "net.h"
#include "slab.h"

struct mega__arena mega__arena_none;
_Thread_local _Atomic(struct mega__arena *) mega__arena_mine =
    &mega__arena_none;
static pthread_key_t exit_key;
static int no_exit_key; /* why there is none */
static pthread_once_t exit_once = PTHREAD_ONCE_INIT;
/* A job that ends may be freed while a thread of it ends too: the job's own
 * locks go with it. Held while a thread looks at its arena for the last time,
 * and while a job resets mega__arena_mine of its threads. */
static pthread_mutex_t exit_lock = PTHREAD_MUTEX_INITIALIZER;

/* ---- Slabs of an arena ---- */

/* A reservation outlives its thread, and a publish that is in doubt the job. No
 * publish has named a chunk of a far slab that its home has not heard of. */
static bool must_stay(const struct mega__slab *slab, bool ends)
{
    return mega__slab_reserved(slab) && !(ends && mega__far_is_unsaid(slab));
}

static void give_up_parked(struct mega__arena *a, struct mega__heap *heap,
                           unsigned class, bool ends)
{
    struct mega__slab *last = heap->parked[class], *slab = NULL;
    struct mega__bin *bin = &heap->bins[class];
    while (slab != last) {
        slab = mega__arena_unpark(heap, class);
        if (must_stay(slab, ends)) {
            mega__arena_park(heap, class, slab);
            continue;
        }
        if (bin->cur == slab)
            bin->cur = NULL;
        mega__slab_give_up(a, slab);
    }
}

/* Gives up what it can. */
static void give_up_bins(struct mega__arena *a, struct mega__heap *heap,
                         bool ends)
{
    for (unsigned c = 0; c < MEGA__CLASSES; c++) {
        struct mega__bin *bin = &heap->bins[c];
        uint16_t kept = 0;
        for (uint16_t i = 0; i < bin->n; i++) {
            if (must_stay(bin->kept[i], ends))
                bin->kept[kept++] = bin->kept[i];
            else
                mega__slab_give_up(a, bin->kept[i]);
        }
        bin->n = kept;
        bin->cur = kept ? bin->kept[0] : NULL;
        give_up_parked(a, heap, c, ends);
    }
}

static void trim_bin(struct mega__arena *a, struct mega__heap *heap,
                     unsigned class)
{
    const uint32_t capacity = a->ctx->classes.of[class].capacity;
    struct mega__bin *bin = &heap->bins[class];
    bool any = false;
    give_up_parked(a, heap, class, false);
    for (uint16_t i = 0; i < bin->n;) {
        struct mega__slab *slab = bin->kept[i];
        mega__slab_sweep(a->ctx, slab);
        if (mega__slab_available(slab) < capacity) {
            i++;
            continue;
        }
        mega__slab_give_up(a, slab);
        bin->kept[i] = bin->kept[--bin->n];
        any = true;
    }
    if (any)
        bin->cur = bin->n ? bin->kept[0] : NULL;
}

/* Any slab that the heap has, of a class; NULL: none is left. */
static struct mega__slab *take_slab(struct mega__heap *heap, unsigned class)
{
    struct mega__bin *bin = &heap->bins[class];
    return bin->n ? bin->kept[--bin->n] : mega__arena_unpark(heap, class);
}

static void heap_free(struct mega__heap *heap)
{
    free(heap->view);
    free(heap);
}

/* Under heaps_lock: frees the heaps of regions that have ended. Their slabs are
 * nobody's: the extents may be another's by now. */
static void discard_gone(struct mega__arena *a)
{
    if (!atomic_load_explicit(&a->gone, memory_order_relaxed))
        return;
    atomic_store_explicit(&a->gone, false, memory_order_relaxed);
    a->last = NULL;
    for (unsigned i = 0; i < MEGA__HEAP_BUCKETS; i++)
        for (struct mega__heap **link = &a->heaps[i], *h; (h = *link);) {
            if (!h->gone) {
                link = &h->next;
                continue;
            }
            *link = h->next;
            struct mega__slab *slab;
            for (unsigned c = 0; c < MEGA__CLASSES; c++)
                while ((slab = take_slab(h, c)))
                    mega__slab_recycle(a, slab);
            heap_free(h);
        }
}

/* on: a home, or NULL for all. ends: the job does. */
static void give_up_heaps(struct mega__arena *a, const struct mega__home *on,
                          bool ends)
{
    pthread_mutex_lock(&a->heaps_lock);
    discard_gone(a);
    for (unsigned i = 0; i < MEGA__HEAP_BUCKETS; i++)
        for (struct mega__heap *h = a->heaps[i]; h; h = h->next)
            if (!on || h->home == on)
                give_up_bins(a, h, ends);
    mega__far_end(a);
    pthread_mutex_unlock(&a->heaps_lock);
}

/* What threads that have ended had to keep on a home, for chunks that were
 * reserved, and now are not. Returns how many extents are free by that. */
static uint64_t trim_idle(struct mega__ctx *ctx, const struct mega__home *on)
{
    uint64_t freed = 0;
    pthread_mutex_lock(&ctx->arena_lock);
    for (struct mega__arena *a = ctx->arenas; a; a = a->next) {
        if (a->in_use)
            continue;
        freed -= a->count.extents_released;
        a->in_use = true;
        a->thread = pthread_self();
        pthread_mutex_unlock(&ctx->arena_lock);
        give_up_heaps(a, on, false);
        pthread_mutex_lock(&ctx->arena_lock);
        a->in_use = false;
        freed += a->count.extents_released;
    }
    pthread_mutex_unlock(&ctx->arena_lock);
    return freed;
}

unsigned mega__arena_trim(struct mega__arena *a, struct mega__home *home)
{
    const uint64_t before = a->count.extents_released;
    const uint64_t idle = trim_idle(a->ctx, home);
    pthread_mutex_lock(&a->heaps_lock);
    discard_gone(a);
    for (unsigned i = 0; i < MEGA__HEAP_BUCKETS; i++)
        for (struct mega__heap *h = a->heaps[i]; h; h = h->next)
            for (unsigned c = 0; h->home == home && c < MEGA__CLASSES; c++)
                trim_bin(a, h, c);
    mega__far_end(a);
    pthread_mutex_unlock(&a->heaps_lock);
    return (unsigned)(a->count.extents_released - before + idle);
}

/* ---- Threads ---- */

/* Its thread ends, which may take as long as other hosts do: no lock is held
 * meanwhile, and who ends the job waits. */
static void leave(struct mega__arena *a)
{
    struct mega__ctx *ctx = a->ctx;
    give_up_heaps(a, NULL, false);
    if (mega__dirty_drain(a) != MEGA_OK || mega__far_send_all(a) != MEGA_OK ||
        mega__net_flush(ctx->net) != MEGA_OK) /* what it has put */
        a->flusher.failed = true;
    mega__arena_mine = &mega__arena_none;
    pthread_mutex_lock(&ctx->arena_lock);
    a->in_use = false;
    a->mine = NULL;
    if (--ctx->leaving == 0)
        pthread_cond_broadcast(&ctx->left);
    pthread_mutex_unlock(&ctx->arena_lock);
}

void mega__arena_forget(void)
{
    mega__arena_mine = &mega__arena_none;
}

static void at_thread_exit(void *arg)
{
    (void)arg; /* perhaps gone already, with its job */
    pthread_mutex_lock(&exit_lock);
    struct mega__arena *a = mega__arena_mine;
    const bool mine = a != &mega__arena_none;
    if (mine) {
        pthread_mutex_lock(&a->ctx->arena_lock);
        a->ctx->leaving++;
        pthread_mutex_unlock(&a->ctx->arena_lock);
    }
    pthread_mutex_unlock(&exit_lock);
    if (mine)
        leave(a);
}

static void make_exit_key(void)
{
    no_exit_key = pthread_key_create(&exit_key, at_thread_exit);
}

static struct mega__arena *arena_new(struct mega__ctx *ctx)
{
    static _Atomic uint32_t seeds;
    const size_t size =
        (sizeof(struct mega__arena) + MEGA__LINE - 1) / MEGA__LINE * MEGA__LINE;
    struct mega__arena *a = aligned_alloc(MEGA__LINE, size);
    if (!a)
        return NULL;
    memset(a, 0, sizeof *a);
    a->ctx = ctx;
    pthread_mutex_init(&a->far_lock, NULL);
    pthread_mutex_init(&a->heaps_lock, NULL);
    a->seed = (uint32_t)ctx->place.rank * 17 + atomic_fetch_add(&seeds, 1) * 5;
    a->record = a->seed % MEGA__INTENTS_MAX;
    a->next = ctx->arenas;
    ctx->arenas = a;
    return a;
}

struct mega__arena *mega__arena_find(struct mega__ctx *ctx)
{
    struct mega__arena *a, *idle = NULL;
    pthread_once(&exit_once, make_exit_key);
    if (no_exit_key) {
        mega__fail(MEGA_ERR_NOMEM, "make a key of threads: %s",
                   strerror(no_exit_key));
        return NULL;
    }
    pthread_mutex_lock(&ctx->arena_lock);
    for (a = ctx->arenas; a; a = a->next) {
        if (a->in_use && pthread_equal(a->thread, pthread_self()))
            break;
        if (!a->in_use)
            idle = a;
    }
    if (!a)
        a = idle ? idle : arena_new(ctx);
    if (a) {
        a->thread = pthread_self();
        a->in_use = true;
        a->mine = &mega__arena_mine;
    }
    pthread_mutex_unlock(&ctx->arena_lock);
    if (!a) {
        mega__fail(MEGA_ERR_NOMEM, "no memory for this thread's arena");
        return NULL;
    }
    struct mega__arena *before = mega__arena_mine;
    if (before != &mega__arena_none) { /* of another job: it resets no more */
        pthread_mutex_lock(&before->ctx->arena_lock);
        before->mine = NULL;
        pthread_mutex_unlock(&before->ctx->arena_lock);
    }
    mega__arena_mine = a;
    pthread_setspecific(exit_key, a);
    return a;
}

struct mega__heap *mega__arena_heap_find(struct mega__arena *a, uint32_t region,
                                         struct mega__home *home)
{
    struct mega__heap **bucket =
        &a->heaps[(region * 31 + home->no) % MEGA__HEAP_BUCKETS];
    if (atomic_load_explicit(&a->gone, memory_order_relaxed)) {
        pthread_mutex_lock(&a->heaps_lock);
        discard_gone(a);
        pthread_mutex_unlock(&a->heaps_lock);
    }
    struct mega__heap *heap = *bucket;
    while (heap && (heap->region != region || heap->on != home->no))
        heap = heap->next;
    if (!heap) {
        heap = aligned_alloc(_Alignof(struct mega__heap), sizeof *heap);
        if (!heap) {
            mega__fail(MEGA_ERR_NOMEM, "no memory for a heap");
            return NULL;
        }
        memset(heap, 0, sizeof *heap);
        for (unsigned c = 0; c < MEGA__CLASSES; c++)
            mega__bin_forget(&heap->bins[c]);
        heap->on = home->no;
        heap->home = home;
        heap->region = region;
        heap->cursor = a->seed % 64;
        pthread_mutex_lock(&a->heaps_lock);
        heap->next = *bucket;
        *bucket = heap;
        pthread_mutex_unlock(&a->heaps_lock);
    }
    a->last = heap;
    return heap;
}

void mega__arena_usual(struct mega__ctx *ctx, uint64_t name, uint32_t region,
                       int home)
{
    struct mega__arena *a = mega__arena(ctx);
    int on = home == MEGA_ANY_HOME ? ctx->my_home : home;
    if (!a || !a->last || a->last->region != region || (int)a->last->on != on)
        return;
    a->usual.name = name;
    a->usual.home = home;
    a->usual.heap = a->last;
    atomic_store_explicit(&a->usual.units, MEGA__CLASS_MAX / 16,
                          memory_order_relaxed);
}

/* ---- Over all arenas ---- */

/* To be walked without the lock: arenas come in front, and none goes. */
static struct mega__arena *first(struct mega__ctx *ctx)
{
    pthread_mutex_lock(&ctx->arena_lock);
    struct mega__arena *a = ctx->arenas;
    pthread_mutex_unlock(&ctx->arena_lock);
    return a;
}

void mega__arena_forget_usual(struct mega__ctx *ctx)
{
    for (struct mega__arena *a = first(ctx); a; a = a->next)
        atomic_store_explicit(&a->usual.units, 0, memory_order_relaxed);
}

static void detach_slabs(const struct mega__heap *heap, unsigned class)
{
    const struct mega__bin *bin = &heap->bins[class];
    struct mega__slab *last = heap->parked[class], *slab = last;
    for (uint16_t k = 0; k < bin->n; k++)
        mega__slab_detach(bin->kept[k]);
    if (last)
        do
            mega__slab_detach(slab = slab->next);
        while (slab != last);
}

static void drop_from(struct mega__arena *a, uint32_t region)
{
    pthread_mutex_lock(&a->heaps_lock);
    for (unsigned i = 0; i < MEGA__HEAP_BUCKETS; i++)
        for (struct mega__heap *h = a->heaps[i]; h; h = h->next) {
            if (h->region != region || h->gone)
                continue;
            for (unsigned c = 0; c < MEGA__CLASSES; c++)
                detach_slabs(h, c);
            h->gone = true;
            atomic_store_explicit(&a->gone, true, memory_order_relaxed);
        }
    pthread_mutex_unlock(&a->heaps_lock);
}

void mega__arena_drop_region(struct mega__ctx *ctx, uint32_t region)
{
    mega__arena_forget_usual(ctx);
    for (struct mega__arena *a = first(ctx); a; a = a->next)
        drop_from(a, region);
}

/* Not the service's thread: it goes on, and must not wait for the lock to find
 * its arena again. */
void mega__arena_let_go(struct mega__ctx *ctx)
{
    pthread_mutex_lock(&exit_lock);
    pthread_mutex_lock(&ctx->arena_lock);
    while (ctx->leaving > 0)
        pthread_cond_wait(&ctx->left, &ctx->arena_lock);
    for (struct mega__arena *a = ctx->arenas; a; a = a->next)
        if (a->mine && a->mine != &mega__arena_mine && !a->serves) {
            *a->mine = &mega__arena_none;
            a->mine = NULL;
        }
    pthread_mutex_unlock(&ctx->arena_lock);
    pthread_mutex_unlock(&exit_lock);
}

void mega__arena_give_up_all(struct mega__ctx *ctx)
{
    if (!mega__arena(ctx)) /* the net asks for one */
        return;            /* slabs stay owned: the next open settles that */
    for (struct mega__arena *a = first(ctx); a; a = a->next)
        give_up_heaps(a, NULL, true);
}

mega_status_t mega__arena_drain_all(struct mega__ctx *ctx,
                                    struct mega__flusher *f)
{
    mega_status_t st = MEGA_OK;
    if (!mega__arena(ctx)) /* see above */
        return MEGA_ERR_NOMEM;
    for (struct mega__arena *a = first(ctx); a; a = a->next) {
        mega_status_t sent = mega__far_send_all(a);
        st = st ? st : sent;
        mega__dirty_flush_of(a, f);
    }
    if (atomic_exchange(&ctx->marks_lost, false))
        f->failed = true;
    mega_status_t drained = mega__pool_drain(f);
    return st ? st : drained;
}

void mega__arena_count_all(struct mega__ctx *ctx, mega_counters_t *sum)
{
    memset(sum, 0, sizeof *sum);
    pthread_mutex_lock(&ctx->arena_lock);
    for (struct mega__arena *a = ctx->arenas; a; a = a->next) {
        sum->flushes += mega__counted(&a->flusher.flushes);
        sum->fences += mega__counted(&a->flusher.fences);
        sum->claims += mega__counted(&a->count.claims);
        sum->claim_cas += mega__counted(&a->count.claim_cas);
        const uint64_t most = mega__counted(&a->count.claim_cas_max);
        sum->claim_cas_max =
            sum->claim_cas_max < most ? most : sum->claim_cas_max;
        sum->adoptions += mega__counted(&a->count.adoptions);
        sum->disowned += mega__counted(&a->count.disowned);
        sum->extents_released += mega__counted(&a->count.extents_released);
        sum->sweeps += mega__counted(&a->count.sweeps);
    }
    pthread_mutex_unlock(&ctx->arena_lock);
    sum->flushes += mega__counted(&ctx->flusher.flushes);
    sum->fences += mega__counted(&ctx->flusher.fences);
    mega__agent_count(ctx->agent, sum);
    sum->grown = atomic_load_explicit(&ctx->grown, memory_order_relaxed);
    const struct mega__net_counts net = mega__net_counts(ctx->net);
    sum->messages = net.messages;
    sum->round_trips = net.round_trips;
}

static void free_slabs(struct mega__arena *a)
{
    for (unsigned i = 0; i < MEGA__HEAP_BUCKETS; i++)
        for (struct mega__heap *h = a->heaps[i], *next; h; h = next) {
            next = h->next;
            struct mega__slab *slab;
            for (unsigned c = 0; c < MEGA__CLASSES; c++)
                while ((slab = take_slab(h, c))) {
                    mega__far_forget(slab);
                    free(slab);
                }
            heap_free(h);
        }
    for (struct mega__slab *s = a->spare_slabs, *next; s; s = next) {
        next = s->next;
        free(s);
    }
}

void mega__arena_free_all(struct mega__ctx *ctx)
{
    pthread_mutex_lock(&exit_lock);
    for (struct mega__arena *a = ctx->arenas, *next; a; a = next) {
        next = a->next;
        if (a->mine && *a->mine == a)
            *a->mine = &mega__arena_none;
        free_slabs(a);
        pthread_mutex_destroy(&a->far_lock);
        pthread_mutex_destroy(&a->heaps_lock);
        free(a);
    }
    ctx->arenas = NULL;
    pthread_mutex_unlock(&exit_lock);
}
