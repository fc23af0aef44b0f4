/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * far.c - see far.h.
 *
 * A far home's words and marks are read as they are needed, in one round trip
 * where it can be; nothing of them is kept but the sizes of spans. Runs are
 * taken and freed by the server.
 */
#include "far.h"

#include <stdlib.h>
#include <string.h>

#include "agent.h"
#include "arena.h"
#include "crash_point.h"
#include "degraded.h"
#include "log.h"
#include "roll.h"
#include "run.h"
#include "slab.h"

#define IN_EXTENT ((uint32_t)MEGA__EXTENT - 1)

/* ---- Spans, words ---- */

static _Atomic(struct mega__span *) *far_table(struct mega__ctx *ctx,
                                               struct mega__home *home)
{
    _Atomic(struct mega__span *) *table =
        atomic_load_explicit(&home->far, memory_order_acquire);
    if (table)
        return table;
    pthread_mutex_lock(&ctx->map_lock);
    table = atomic_load_explicit(&home->far, memory_order_relaxed);
    if (!table) {
        table = calloc(MEGA__SPANS_MAX, sizeof *table);
        atomic_store_explicit(&home->far, table, memory_order_release);
    }
    pthread_mutex_unlock(&ctx->map_lock);
    if (!table)
        mega__fail(MEGA_ERR_NOMEM, "no memory for the spans of home %u",
                   home->no);
    return table;
}

static mega_status_t meet(struct mega__ctx *ctx, struct mega__home *home,
                          uint32_t no, _Atomic(struct mega__span *) *slot,
                          struct mega__span **span_p)
{
    uint64_t size;
    mega_status_t st = mega__net_span(ctx->net, home->no, no, &size);
    if (st)
        return st == MEGA_ERR_ABSENT ? MEGA_OK : st;
    struct mega__span *mine =
        mega__span_new(home, no, NULL, size, MEGA__HOW_FAR);
    struct mega__span *other = NULL;
    if (!mine)
        return MEGA_ERR_NOMEM;
    *span_p = mine;
    if (!atomic_compare_exchange_strong(slot, &other, mine)) {
        mega__span_delete(&mine); /* another thread was faster */
        *span_p = other;
    }
    return MEGA_OK;
}

mega_status_t mega__far_span(struct mega__ctx *ctx, mega_gptr_t p,
                             struct mega__span **span_p)
{
    uint32_t home = mega__gptr_home(p), no = mega__gptr_span(p);
    _Atomic(struct mega__span *) *table =
        far_table(ctx, mega__home_at(ctx, home));
    *span_p = NULL;
    if (!table)
        return MEGA_ERR_NOMEM;
    *span_p = atomic_load_explicit(&table[no], memory_order_acquire);
    return *span_p
               ? MEGA_OK
               : meet(ctx, mega__home_at(ctx, home), no, &table[no], span_p);
}

mega_gptr_t mega__far_word_at(const struct mega__span *span, uint32_t extent)
{
    return mega__span_gptr(span, span->words_off + 8 * (uint64_t)extent);
}

mega_gptr_t mega__far_marks_at(const struct mega__slab *slab)
{
    return mega__span_gptr(slab->span,
                           slab->span->marks_off +
                               (uint64_t)slab->extent * MEGA__EXTENT_GRANULES);
}

mega_status_t mega__far_cas(struct mega__ctx *ctx,
                            const struct mega__span *span, uint32_t extent,
                            uint64_t expected, uint64_t desired, bool *won_p)
{
    uint64_t old = 0;
    mega_status_t st =
        mega__net_amo(ctx->net, MEGA_AMO_CSWAP, 8,
                      mega__far_word_at(span, extent), desired, expected, &old);
    *won_p = !st && old == expected;
    return st;
}

void mega__far_cas_back(struct mega__ctx *ctx, const struct mega__span *span,
                        uint32_t extent, uint64_t mine, uint64_t was)
{
    bool done;
    if (mega__far_cas(ctx, span, extent, mine, was, &done) || !done)
        atomic_store_explicit(&ctx->unsettled, true, memory_order_relaxed);
}

void mega__far_close(struct mega__home *home)
{
    _Atomic(struct mega__span *) *far = atomic_load(&home->far);
    for (uint32_t i = 0; far && i < MEGA__SPANS_MAX; i++) {
        struct mega__span *span = atomic_load(&far[i]);
        mega__span_delete(&span);
    }
    free((void *)far);
    atomic_store(&home->far, NULL);
}

/* ---- Looking ---- */

/* The word that covers p and the mark at p, in one round trip. */
static mega_status_t read_both(struct mega__ctx *ctx, struct mega__place *at,
                               uint64_t off, uint8_t *mark_p)
{
    mega_status_t st = mega__net_get_nbi(
        ctx->net, &at->word, mega__far_word_at(at->span, at->extent), 8);
    if (!st)
        st = mega__net_get_nbi(
            ctx->net, mark_p,
            mega__span_gptr(at->span,
                            at->span->marks_off + (off >> MEGA__GRANULE_SHIFT)),
            1);
    mega_status_t flushed = mega__net_flush_home(ctx->net, at->span->home->no);
    return st ? st : flushed;
}

static mega_status_t look_at_tail(struct mega__ctx *ctx, struct mega__place *at,
                                  bool *in_p)
{
    uint32_t distance = mega__word_len(at->word);
    if (distance == 0 || distance > at->extent - at->span->first ||
        !mega__word_run_sound(at->word))
        return MEGA_OK;
    at->extent -= distance;
    mega_status_t st = mega__net_get(
        ctx->net, &at->word, mega__far_word_at(at->span, at->extent), 8);
    *in_p = mega__word_kind(at->word) == MEGA__RUN_HEAD &&
            mega__word_len(at->word) > distance;
    return st;
}

static mega_status_t look(struct mega__ctx *ctx, mega_gptr_t p,
                          struct mega__place *at, uint8_t *mark_p, bool *in_p)
{
    uint64_t off = mega_offset(p);
    *in_p = false;
    at->mark = NULL;
    at->mark_off = 0;
    mega_status_t st = mega__far_span(ctx, p, &at->span);
    if (st || !at->span || off >= at->span->size || off < at->span->data)
        return st;
    at->extent = (uint32_t)(off >> MEGA__EXTENT_SHIFT);
    st = mega__far_say(&at->span->slabs[at->extent]);
    if (!st)
        st = read_both(ctx, at, off, mark_p);
    if (st)
        return st;
    switch (mega__word_kind(at->word)) {
    case MEGA__SLAB:
        *in_p = mega__chunk_place_in_slab(ctx, at, (uint32_t)off & IN_EXTENT);
        break;
    case MEGA__RUN_TAIL:
        st = look_at_tail(ctx, at, in_p);
        break;
    case MEGA__RUN_HEAD:
        *in_p = true;
        break;
    default:
        break;
    }
    if (*in_p && !mega__word_is_slab(at->word)) {
        mega__chunk_place_run(at);
        *in_p = mega__run_fits(at->span, at->extent, at->word);
    }
    if (!st && *in_p && at->start != off && at->mark_off)
        st = mega__net_get(ctx->net, mark_p,
                           mega__span_gptr(at->span, at->mark_off), 1);
    return st;
}

mega_status_t mega__far_look(struct mega__ctx *ctx, mega_gptr_t p,
                             struct mega__place *at, uint8_t *mark_p,
                             bool *in_p)
{
    struct mega__arena *a = mega__arena(ctx);
    if (!a)
        return MEGA_ERR_NOMEM;
    mega_status_t st = mega__degraded_reach(ctx, mega__gptr_home(p));
    if (!st)
        st = mega__far_send(a, mega__gptr_home(p), NULL, 0);
    return st ? st : look(ctx, p, at, mark_p, in_p);
}

/* ---- Free ---- */

static bool own_start(const struct mega__ctx *ctx,
                      const struct mega__slab *slab, uint32_t in)
{
    const struct mega__class *c = &ctx->classes.of[slab->class];
    uint32_t i = mega__class_index(c, in);
    return i < c->capacity && i * c->size == in;
}

mega_status_t mega__far_complete_puts(struct mega__arena *a, uint32_t home)
{
    struct mega__net *net = a->ctx->net;
    if (a->far_puts) /* to any: then the next one need not ask */
        a->far_puts = mega__net_flush(net) != MEGA_OK;
    return a->far_puts ? mega__net_flush_home(net, home) : MEGA_OK;
}

/* A chunk of an own slab: all that counts is here. */
static mega_status_t free_own(struct mega__arena *a, struct mega__slab *slab,
                              mega_gptr_t p)
{
    uint32_t in = (uint32_t)mega_offset(p) & IN_EXTENT;
    uint32_t g = in >> MEGA__GRANULE_SHIFT;
    uint64_t bit = UINT64_C(1) << g % 64;
    if (!own_start(a->ctx, slab, in) || slab->avail[g / 64] & bit ||
        atomic_load_explicit(&slab->marks[g], memory_order_relaxed) !=
            MEGA__MARK_LIVE)
        return mega__chunk_not_live(p,
                                    "it is not allocated, or was freed before");
    mega_status_t st = mega__far_complete_puts(a, mega__gptr_home(p));
    if (st)
        return st;
    atomic_store_explicit(&slab->marks[g], MEGA__MARK_FREE,
                          memory_order_relaxed);
    slab->avail[g / 64] |= bit;
    slab->line = (uint16_t)(g / 64);
    slab->bin->cur = slab;
    mega__far_note(a, &slab->marks[g]);
    return MEGA_OK;
}

/* Who sends it for another thread may put back what was in it, no more. */
static bool list_is_full(struct mega__arena *a)
{
    pthread_mutex_lock(&a->far_lock);
    const bool full = a->nfar_frees == MEGA__FAR_FREES;
    pthread_mutex_unlock(&a->far_lock);
    return full;
}

/* For one more free in the list. Drains tell what became of those in it. */
static mega_status_t make_room(struct mega__arena *a)
{
    if (!list_is_full(a))
        return MEGA_OK;
    mega_status_t st = mega__far_send_all(a);
    return list_is_full(a) ? st : MEGA_OK;
}

/* False: it is in the list already. */
static bool list_free(struct mega__arena *a, mega_gptr_t mark)
{
    bool is_new = true;
    pthread_mutex_lock(&a->far_lock);
    for (unsigned i = 0; is_new && i < a->nfar_frees; i++)
        is_new = a->far_frees[i] != mark.v;
    if (is_new)
        a->far_frees[a->nfar_frees++] = mark.v;
    pthread_mutex_unlock(&a->far_lock);
    return is_new;
}

mega_status_t mega__far_free(struct mega__ctx *ctx, mega_gptr_t p)
{
    struct mega__arena *a = mega__arena(ctx);
    struct mega__place at;
    uint8_t mark;
    bool in;
    if (!a)
        return MEGA_ERR_NOMEM;
    struct mega__span *span;
    mega_status_t st = mega__far_span(ctx, p, &span);
    if (st)
        return st;
    if (!span || mega_offset(p) >= span->size)
        return mega__chunk_not_live(p, "no chunk begins there");
    struct mega__slab *slab =
        atomic_load_explicit(&span->slabs[mega_offset(p) >> MEGA__EXTENT_SHIFT],
                             memory_order_acquire);
    if (slab && slab->arena == a)
        return free_own(a, slab, p);
    st = make_room(a);
    if (!st) /* with a flush: what this thread did with the chunk comes first */
        st = look(ctx, p, &at, &mark, &in);
    if (st)
        return st;
    if (!in || at.start != mega_offset(p) || !at.mark_off)
        return mega__chunk_not_live(p, "no chunk begins there");
    if (mark != MEGA__MARK_LIVE)
        return mega__chunk_not_live(p,
                                    "it is not allocated, or was freed before");
    if (!mega__word_is_slab(at.word))
        return mega__far_run_free(ctx, p, MEGA__RUN_LIVE);
    return list_free(a, mega__span_gptr(span, at.mark_off))
               ? MEGA_OK
               : mega__chunk_not_live(p, "it was freed before");
}

mega_status_t mega__far_free_mark(struct mega__arena *a, mega_gptr_t mark)
{
    mega_status_t st = make_room(a);
    if (!st)
        list_free(a, mark);
    return st;
}

/* ---- Runs: by the server, whatever their length ---- */

static mega_status_t count_spans(struct mega__ctx *ctx,
                                 const struct mega__home *home, uint32_t *n_p)
{
    mega_status_t st = MEGA_OK;
    struct mega__span *span = NULL;
    for (*n_p = 0; *n_p < MEGA__SPANS_MAX; ++*n_p) {
        st = mega__far_span(ctx, mega__gptr(home->no, *n_p, 0), &span);
        if (st || !span)
            break;
    }
    return st;
}

mega_status_t mega__far_run_claim(struct mega__arena *a, uint32_t region,
                                  struct mega__home *home, size_t size,
                                  bool live, mega_gptr_t *p_p)
{
    struct mega__ctx *ctx = a->ctx;
    const uint64_t wanted = a->wanted ? a->wanted : 1;
    const uint64_t most =
        wanted < MEGA__RUNS_AT_ONCE ? wanted : MEGA__RUNS_AT_ONCE;
    struct mega__request req = {.op = MEGA__ASK_RUN_CLAIM,
                                .home = home->no,
                                .arg = {region, mega__run_extents(size)},
                                .result = live ? most : 0};
    mega_status_t st = mega__agent_ask(ctx, home, &req);
    if (st == MEGA_ERR_HOME_FULL) {
        mega__arena_trim(a, home); /* what this thread can do without */
        st = mega__far_complete(a, home->no);
        if (!st)
            st = mega__agent_ask(ctx, home, &req);
    }
    for (; st == MEGA_ERR_HOME_FULL; st = mega__agent_ask(ctx, home, &req)) {
        uint32_t seen = 0;
        st = count_spans(ctx, home, &seen);
        if (!st)
            st = mega__slab_grow(ctx, home, seen,
                                 req.arg[1] << MEGA__EXTENT_SHIFT);
        if (st)
            return st;
    }
    if (st)
        return st;
    MEGA__CRASH(far_run_taken);
    if (req.result == 0 || req.result > most)
        return mega__fail(MEGA_ERR_PEER, "an answer of %llu runs",
                          (unsigned long long)req.result);
    memcpy(p_p, req.text, req.result * sizeof *p_p);
    if (a->wanted)
        a->wanted -= req.result - 1;
    return MEGA_OK;
}

mega_status_t mega__far_run_free(struct mega__ctx *ctx, mega_gptr_t p,
                                 enum mega__run_why why)
{
    struct mega__home *home = mega__home_at(ctx, mega__gptr_home(p));
    struct mega__request req = {
        .op = MEGA__ASK_RUN_FREE, .home = home->no, .arg = {p.v, why}};
    mega_status_t st = mega__agent_ask(ctx, home, &req);
    MEGA__CRASH(far_run_freed);
    return st;
}

void mega__far_has(const struct mega__place *at, uint8_t mark)
{
    _Atomic(struct mega__slab *) *entry = &at->span->slabs[at->extent];
    struct mega__slab *slab = atomic_load_explicit(entry, memory_order_acquire);
    uint32_t g = (uint32_t)(at->start & IN_EXTENT) >> MEGA__GRANULE_SHIFT;
    if (!mega__word_is_slab(at->word) || !slab)
        return;
    pthread_mutex_lock(&slab->arena->far_lock); /* who sends sees both stores */
    if (atomic_load_explicit(entry, memory_order_acquire) == slab) {
        /* not given up: that takes the lock, after it has left the table */
        atomic_store_explicit(&slab->far->sent[g], mark, memory_order_relaxed);
        atomic_store_explicit(&slab->far->now[g], mark, memory_order_release);
    }
    pthread_mutex_unlock(&slab->arena->far_lock);
}
