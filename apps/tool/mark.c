/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * mark.c - see mark.h. Threads keep chunks to be scanned on stacks of their
 * own; one with many gives half to the common stack, where one with none
 * waits. All wait: it is done. A chunk is pushed by the thread that sets its
 * bit, so once.
 */
#include "mark.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PIECE (UINT64_C(1) << 20) /* long runs are scanned in pieces */
#define GIVE 256

struct piece {
    const char *at;
    uint64_t bytes;
};

struct stack {
    struct piece *pieces;
    size_t n, room;
};

struct reach {
    const struct space *space;
    _Atomic uint64_t ***bits; /* [home][span]: words of 64 granules */
    struct stack common;      /* under lock, as all below */
    pthread_mutex_t lock;
    pthread_cond_t more;
    unsigned threads, waiting;
    bool failed;
};

struct worker {
    struct reach *r;
    struct stack own;
};

static bool push(struct stack *s, const char *at, uint64_t bytes)
{
    if (s->n == s->room) {
        size_t room = s->room ? 2 * s->room : 1024;
        struct piece *more = realloc(s->pieces, room * sizeof *more);
        if (!more)
            return false;
        s->pieces = more;
        s->room = room;
    }
    s->pieces[s->n++] = (struct piece){at, bytes};
    return true;
}

static bool push_all(struct stack *s, const char *at, uint64_t bytes)
{
    for (; bytes > PIECE; at += PIECE, bytes -= PIECE)
        if (!push(s, at, PIECE))
            return false;
    return push(s, at, bytes);
}

static _Atomic uint64_t *bits_of(const struct reach *r, const struct chunk *c,
                                 uint64_t *bit_p)
{
    uint64_t g = (uint64_t)c->extent * MEGA__EXTENT_GRANULES + c->granule;
    *bit_p = UINT64_C(1) << g % 64;
    return &r->bits[c->home - r->space->homes][c->span->no][g / 64];
}

bool reach_has(const struct reach *r, const struct chunk *c)
{
    uint64_t bit, bits = atomic_load(bits_of(r, c, &bit));
    return bits & bit;
}

/* True: the word was no pointer, or is taken care of. */
static bool follow(struct reach *r, struct stack *s, uint64_t p)
{
    struct chunk c;
    uint64_t bit;
    if (!space_find_live(r->space, p, &c) || c.raw)
        return true;
    _Atomic uint64_t *bits = bits_of(r, &c, &bit);
    if (atomic_fetch_or_explicit(bits, bit, memory_order_relaxed) & bit)
        return true;
    return push_all(s, span_at(c.span, c.off), c.bytes);
}

static bool scan(struct reach *r, struct stack *s, struct piece piece)
{
    bool ok = true;
    for (uint64_t i = 0; ok && i + 8 <= piece.bytes; i += 8) {
        uint64_t word;
        memcpy(&word, piece.at + i, 8);
        if (word)
            ok = follow(r, s, word);
    }
    return ok;
}

/* ---- Threads ---- */

static void give(struct worker *w)
{
    pthread_mutex_lock(&w->r->lock);
    while (!w->r->failed && w->own.n > GIVE / 2) {
        struct piece p = w->own.pieces[--w->own.n];
        if (!push(&w->r->common, p.at, p.bytes))
            w->r->failed = true;
    }
    pthread_cond_broadcast(&w->r->more);
    pthread_mutex_unlock(&w->r->lock);
}

/* False: nobody has anything. */
static bool take(struct worker *w)
{
    struct reach *r = w->r;
    pthread_mutex_lock(&r->lock);
    r->waiting++;
    while (r->common.n == 0 && r->waiting < r->threads && !r->failed)
        pthread_cond_wait(&r->more, &r->lock);
    bool some = r->common.n > 0 && !r->failed;
    for (unsigned i = 0; some && i < GIVE / 4 && r->common.n > 0; i++) {
        struct piece p = r->common.pieces[--r->common.n];
        if (!push(&w->own, p.at, p.bytes))
            r->failed = true;
    }
    if (some)
        r->waiting--;
    else
        pthread_cond_broadcast(&r->more);
    pthread_mutex_unlock(&r->lock);
    return some;
}

static void *work(void *arg)
{
    struct worker w = {.r = arg};
    while (take(&w))
        while (w.own.n > 0) {
            if (!scan(w.r, &w.own, w.own.pieces[--w.own.n])) {
                pthread_mutex_lock(&w.r->lock);
                w.r->failed = true;
                pthread_mutex_unlock(&w.r->lock);
                break;
            }
            if (w.own.n > GIVE)
                give(&w);
        }
    free(w.own.pieces);
    return NULL;
}

static void run_threads(struct reach *r)
{
    pthread_t ids[64];
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    unsigned want = cpus < 1 ? 1 : cpus > 64 ? 64 : (unsigned)cpus, n = 0;
    pthread_mutex_lock(&r->lock); /* until their number is known */
    while (n + 1 < want && pthread_create(&ids[n], NULL, work, r) == 0)
        n++;
    r->threads = n + 1;
    pthread_mutex_unlock(&r->lock);
    work(r);
    while (n > 0)
        pthread_join(ids[--n], NULL);
}

/* ---- Where it begins ---- */

static bool from_raw_runs(struct reach *r, const struct span *s)
{
    bool ok = true;
    for (uint32_t e = s->first; ok && e < s->extents; e++) {
        uint64_t w = span_word(s, e);
        if (mega__word_kind(w) == MEGA__RUN_HEAD &&
            mega__word_flags(w) & MEGA__RUN_RAW && run_fits(s, e, w) &&
            space_region_lives(r->space, mega__word_region(w)))
            ok = push_all(&r->common,
                          span_at(s, (uint64_t)e << MEGA__EXTENT_SHIFT),
                          (uint64_t)mega__word_len(w) << MEGA__EXTENT_SHIFT);
    }
    return ok;
}

/* A root may point into a chunk. */
static bool from_root(struct reach *r, uint64_t p)
{
    struct chunk c;
    return !space_find_around(r->space, p, &c) ||
           follow(r, &r->common, mega__gptr(c.home->no, c.span->no, c.off).v);
}

static bool from_block(struct reach *r, const struct home *home)
{
    bool ok = true;
    struct mega__intent copy;
    for (unsigned i = 0; ok && home->no == 0 && i < MEGA_ROOTS_MAX; i++) {
        const struct mega__root_record *root = &home->block->roots[i];
        enum mega__record_state state;
        uint32_t id;
        if (mega__record_state(block_load(&root->state), &state, &id) &&
            state == MEGA__REC_LIVE && space_region_lives(r->space, id))
            ok = from_root(r, block_load(&root->slot));
    }
    for (unsigned i = 0; ok && i < MEGA__INTENTS_MAX; i++)
        for (uint32_t k = 0; ok && intent_pending(home, i, &copy) && k < copy.n;
             k++)
            ok = follow(r, &r->common, copy.items[k].chunk & ~UINT64_C(15));
    return ok;
}

static bool begin(struct reach *r)
{
    const struct space *space = r->space;
    r->bits = calloc(space->nhomes + 1, sizeof *r->bits);
    for (size_t i = 0; r->bits && i < space->nhomes; i++) {
        const struct home *home = &space->homes[i];
        r->bits[i] = calloc(home->nspans + 1, sizeof *r->bits[i]);
        for (uint32_t no = 0; r->bits[i] && no < home->nspans; no++) {
            const struct span *s = home_span(home, no);
            if (s && !(r->bits[i][no] =
                           calloc(s->extents, MEGA__EXTENT_GRANULES / 8)))
                return false;
        }
        if (!r->bits[i])
            return false;
    }
    bool ok = r->bits != NULL;
    for (size_t i = 0; ok && i < space->nhomes; i++) {
        const struct home *home = &space->homes[i];
        ok = !home->block || from_block(r, home);
        for (uint32_t no = 0; ok && no < home->nspans; no++)
            ok = !home_span(home, no) || from_raw_runs(r, home_span(home, no));
    }
    return ok;
}

struct reach *reach_new(const struct space *space)
{
    struct reach *r = calloc(1, sizeof *r);
    if (!r)
        return NULL;
    r->space = space;
    pthread_mutex_init(&r->lock, NULL);
    pthread_cond_init(&r->more, NULL);
    if (begin(r))
        run_threads(r);
    else
        r->failed = true;
    if (r->failed)
        reach_delete(&r);
    return r;
}

void reach_delete(struct reach **reach_p)
{
    struct reach *r = *reach_p;
    if (!r)
        return;
    for (size_t i = 0; r->bits && i < r->space->nhomes; i++) {
        for (uint32_t no = 0; r->bits[i] && no < r->space->homes[i].nspans;
             no++)
            free((void *)r->bits[i][no]);
        free(r->bits[i]);
    }
    free(r->bits);
    free(r->common.pieces);
    pthread_mutex_destroy(&r->lock);
    pthread_cond_destroy(&r->more);
    free(r);
    *reach_p = NULL;
}
