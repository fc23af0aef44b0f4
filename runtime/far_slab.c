/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * far_slab.c - slabs on homes of other hosts, claimed by atomics on their
 * extent words. See slab.c for the same at home; far.h for what follows.
 *
 * A claim is one round trip, for up to MEGA__FAR_AHEAD_MAX slabs: their
 * compare-and-swaps. The words say SLAB_INIT until a mark is sent (far_send.c):
 * chunks are handed out here before, but none of them is there to anybody else.
 */
#include <stdlib.h>
#include <string.h>

#include "arena.h"
#include "count.h"
#include "crash_point.h"
#include "far.h"
#include "find.h"
#include "log.h"
#include "slab.h"

#define MARK_BYTES MEGA__EXTENT_GRANULES

/* ---- The structure ---- */

static struct mega__slab *new_slab(struct mega__arena *a,
                                   struct mega__span *span, uint32_t extent,
                                   unsigned class, uint32_t region)
{
    struct mega__far *far = aligned_alloc(MEGA__FAR_ALIGN, MEGA__FAR_ALIGN);
    if (!far)
        return NULL;
    memset(far, 0, sizeof *far);
    struct mega__slab *slab =
        mega__slab_new(a, span, extent, class, region, far);
    if (!slab)
        free(far);
    return slab;
}

/* ---- Claim, adopt ---- */

/* One round trip for all of them. */
static mega_status_t try_words(struct mega__arena *a,
                               const struct mega__span *span,
                               struct mega__far_claim *c)
{
    struct mega__net *net = a->ctx->net;
    mega_status_t st = MEGA_OK;
    for (unsigned i = 0; !st && i < c->n; i++) {
        c->was[i] = c->init;
        st = mega__net_amo_nbi(net, MEGA_AMO_CSWAP, 8,
                               mega__far_word_at(span, c->extent[i]), c->init,
                               MEGA__FREE, &c->was[i]);
    }
    mega_status_t flushed =
        mega__net_flush_home(net, span->home->no); /* it writes to was */
    MEGA__CRASH(far_init);
    mega__count(&a->count.claim_cas, c->n);
    return st ? st : flushed;
}

/* A claim stays half-made, and the next open frees the extent: not after a
 * clean end (sweep.c). */
static void leave(struct mega__ctx *ctx)
{
    atomic_store_explicit(&ctx->unsettled, true, memory_order_relaxed);
}

/* Their marks and words go with the first mark that is sent (far_send.c). The
 * first is *slab_p, the bin keeps the others. */
static mega_status_t take_won(struct mega__arena *a, struct mega__heap *heap,
                              unsigned class, struct mega__span *span,
                              const struct mega__far_claim *c,
                              struct mega__slab **slab_p)
{
    struct mega__bin *bin = &heap->bins[class];
    mega_status_t st = MEGA_OK;
    for (unsigned i = 0; i < c->n; i++) {
        if (c->was[i] != MEGA__FREE)
            continue;
        struct mega__slab *slab =
            new_slab(a, span, c->extent[i], class, heap->region);
        if (!slab) {
            mega__far_cas_back(a->ctx, span, c->extent[i], c->init, MEGA__FREE);
            st = mega__fail(MEGA_ERR_NOMEM, "no memory for a slab");
            continue;
        }
        atomic_store_explicit(&slab->unsaid, true, memory_order_relaxed);
        memcpy(slab->avail, a->ctx->classes.of[class].starts,
               sizeof slab->avail);
        mega__count(&a->count.claims, 1);
        if (!*slab_p) {
            *slab_p = slab;
            continue;
        }
        slab->bin = bin;
        bin->kept[bin->n++] = slab;
    }
    return st;
}

mega_status_t mega__far_claim(struct mega__arena *a, struct mega__heap *heap,
                              unsigned class, struct mega__span *span,
                              struct mega__far_claim *c,
                              struct mega__slab **slab_p)
{
    c->init =
        mega__slab_owned_word(a->ctx, MEGA__SLAB_INIT, class, heap->region);
    mega_status_t st = try_words(a, span, c);
    if (st)
        leave(a->ctx); /* won, or who knows */
    else
        st = take_won(a, heap, class, span, c, slab_p);
    return *slab_p ? MEGA_OK : st;
}

static mega_status_t read_marks(struct mega__slab *slab, uint8_t *to)
{
    return mega__net_get(slab->arena->ctx->net, to, mega__far_marks_at(slab),
                         MARK_BYTES);
}

mega_status_t mega__far_adopt(struct mega__arena *a, struct mega__span *span,
                              uint32_t extent, uint64_t w,
                              struct mega__slab **slab_p)
{
    struct mega__ctx *ctx = a->ctx;
    unsigned class = mega__word_class(w);
    uint32_t region = mega__word_region(w);
    const uint64_t owned =
        mega__slab_owned_word(ctx, MEGA__SLAB, class, region);
    bool won;
    mega__count(&a->count.claim_cas, 1);
    mega_status_t st = mega__far_cas(ctx, span, extent, w, owned, &won);
    if (st || !won)
        return st;
    MEGA__CRASH(far_adopted);
    struct mega__slab *slab = new_slab(a, span, extent, class, region);
    if (!slab) {
        mega__far_cas_back(ctx, span, extent, owned, w);
        return mega__fail(MEGA_ERR_NOMEM, "no memory for a slab");
    }
    /* What we build on must not hang on a cache there. */
    struct mega__part parts[2] = {
        {.p = mega__far_marks_at(slab), .n = MARK_BYTES},
        {.p = mega__far_word_at(span, extent), .n = 8}};
    st = mega__net_durable(ctx->net, parts, 2);
    MEGA__CRASH(far_adoption);
    if (!st)
        st = read_marks(slab, (uint8_t *)slab->far->now);
    if (st == MEGA_ERR_NOMEM) { /* nothing was done */
        mega__slab_delete(a, slab);
        mega__far_cas_back(ctx, span, extent, owned, w);
        return st;
    }
    memcpy((void *)slab->far->sent, (void *)slab->far->now, MARK_BYTES);
    if (st || !mega__slab_first_scan(ctx, slab)) {
        mega__slab_delete(a, slab); /* a damaged one stays owned, unused */
        return st;
    }
    mega__count(&a->count.adoptions, 1);
    if (mega__slab_available(slab) == 0) {
        mega__far_give_up(a, slab);
        mega__far_end(a);
    } else {
        *slab_p = slab;
    }
    return MEGA_OK;
}

/* ---- Sweep, give up ---- */

mega_status_t mega__far_refresh(struct mega__slab *slab)
{
    struct mega__far *far = slab->far;
    uint64_t rsv[MEGA__EXTENT_LINES];
    uint8_t marks[MARK_BYTES];
    /* before the marks are read: what is published meanwhile stays as is */
    for (unsigned i = 0; i < MEGA__EXTENT_LINES; i++)
        rsv[i] = atomic_load_explicit(&slab->rsv[i], memory_order_acquire);
    mega_status_t st = mega__far_send_slab(slab);
    if (st ||
        mega__far_is_unsaid(slab)) /* nobody has freed what nobody knows */
        return st;
    st = read_marks(slab, marks);
    pthread_mutex_lock(&slab->arena->far_lock); /* who sends sees both stores */
    for (unsigned g = 0; !st && g < MARK_BYTES; g++) {
        if (rsv[g / 64] >> g % 64 & 1)
            continue;
        atomic_store_explicit(&far->sent[g], marks[g], memory_order_relaxed);
        atomic_store_explicit(&far->now[g], marks[g], memory_order_relaxed);
    }
    pthread_mutex_unlock(&slab->arena->far_lock);
    return st;
}

void mega__far_give_up(struct mega__arena *a, struct mega__slab *slab)
{
    slab->next = a->far_ending;
    a->far_ending = slab;
}

#define ENDING MEGA__BIN_KEEP

/* What the home is to know of a slab that nobody here uses any more. */
struct ending {
    struct mega__slab *slab;
    uint64_t word;
    uint16_t hint;
};

/* Not swept first: what others have freed the server's reclaim finds. */
static void end_one(struct mega__arena *a, struct ending *e,
                    struct mega__part *parts, size_t *n_p)
{
    struct mega__slab *slab = e->slab;
    const struct mega__span *span = slab->span;
    const struct mega__span_plan plan = mega__span_plan(span->no, span->size);
    for (unsigned i = 0; i < MEGA__EXTENT_LINES; i++)
        mega__slab_sweep_line(a->ctx, slab, i); /* what was freed last, here */
    const unsigned available = mega__slab_available(slab);
    /* From here on no other thread sends its word. */
    atomic_store_explicit(&slab->span->slabs[slab->extent], NULL,
                          memory_order_release);
    const bool empty = available == a->ctx->classes.of[slab->class].capacity ||
                       mega__far_is_unused(slab);
    e->word =
        empty ? MEGA__FREE
              : mega__word_slab(MEGA__SLAB, slab->class, slab->region, 0, 0);
    e->hint = (uint16_t)(available | MEGA__HINT_LOOK); /* of others' frees it
                                                        * knows nothing */
    if (!empty)
        parts[(*n_p)++] = (struct mega__part){
            .p = mega__span_gptr(span,
                                 plan.hints_off + 2 * (uint64_t)slab->extent),
            .src = &e->hint,
            .n = sizeof e->hint};
    parts[(*n_p)++] =
        (struct mega__part){.p = mega__far_word_at(span, slab->extent),
                            .src = &e->word,
                            .n = sizeof e->word};
}

/* Nothing was sent: it is used on, for its marks are not there yet, and a
 * persist is to send them. */
static void keep(struct mega__slab *slab)
{
    struct mega__bin *bins = slab->bin - slab->class;
    struct mega__heap *heap =
        (void *)((char *)bins - offsetof(struct mega__heap, bins));
    atomic_store_explicit(&slab->span->slabs[slab->extent], slab,
                          memory_order_release);
    mega__arena_park(heap, slab->class, slab);
}

/* Some of one home, by a message: their marks, then their last words. Nobody
 * else changes what has an owner. */
static void end_some(struct mega__arena *a)
{
    struct ending ending[ENDING];
    struct mega__part parts[2 * ENDING];
    size_t n = 0, nparts = 0;
    const struct mega__home *home = a->far_ending->span->home;
    struct mega__slab **link = &a->far_ending, *slab;
    while ((slab = *link) != NULL && n < ENDING) {
        if (slab->span->home != home) {
            link = &slab->next;
            continue;
        }
        *link = slab->next;
        ending[n].slab = slab;
        end_one(a, &ending[n++], parts, &nparts);
    }
    mega_status_t st = mega__far_send(a, home->no, parts, nparts);
    MEGA__CRASH(far_given_up);
    if (st) { /* they stay owned: nobody may build on what the home shows */
        a->flusher.failed = true; /* the next drain tells, and commit */
        atomic_store_explicit(&a->ctx->marks_lost, true, memory_order_relaxed);
        leave(a->ctx);
    }
    for (size_t i = 0; i < n; i++) {
        const bool empty = ending[i].word == MEGA__FREE;
        if (st == MEGA_ERR_NOMEM && ending[i].slab->bin) {
            keep(ending[i].slab);
            continue;
        }
        mega__count(&a->count.disowned, !st && !empty);
        mega__count(&a->count.extents_released, !st && empty);
        /* Not deleted: where its place in the table is, there may be the slab
         * of another thread by now. */
        mega__slab_recycle(a, ending[i].slab);
    }
}

void mega__far_end(struct mega__arena *a)
{
    while (a->far_ending)
        end_some(a);
}
