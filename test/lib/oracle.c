/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * oracle.c - see oracle.h. Reads words and marks by itself: a walk of the
 * library's own would share its errors.
 */
#include "oracle.h"

#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "medium.h"
#include "ops.h"
#include "report.h"
#include "span.h"

/* ---- Promises ---- */

static bool over(const struct oracle_chunk *c, mega_gptr_t p, uint64_t size)
{
    return p.v < c->p.v + c->size && c->p.v < p.v + size;
}

unsigned oracle_add(struct oracle *o, mega_gptr_t p, uint64_t size,
                    uint64_t tag)
{
    struct medium *m = medium_in_use();
    medium_lock(m);
    unsigned i = o->n++;
    if (i >= ORACLE_MAX)
        abort();
    for (unsigned k = 0; k < i; k++)
        CHECK(o->chunks[k].fate != FATE_LIVE || !over(&o->chunks[k], p, size),
              "chunk %llx of %llu bytes is handed out over %llx, which lives",
              (unsigned long long)p.v, (unsigned long long)size,
              (unsigned long long)o->chunks[k].p.v);
    o->chunks[i] = (struct oracle_chunk){
        .p = p, .size = size, .tag = tag, .fate = FATE_MAYBE};
    medium_unlock(m);
    return i;
}

/* A promise has been made: a crash now must keep it. */
static void promise_point(struct medium *m)
{
    if (m->on_point)
        m->on_point(m, "promise", NULL, 0, m->on_point_arg);
}

void oracle_set(struct oracle *o, unsigned i, enum fate fate)
{
    struct medium *m = medium_in_use();
    medium_lock(m);
    o->chunks[i].fate = fate;
    if (fate == FATE_LIVE || fate == FATE_FREE)
        promise_point(m);
    medium_unlock(m);
}

void oracle_link(struct oracle *o, unsigned i, mega_gptr_t slot)
{
    struct medium *m = medium_in_use();
    medium_lock(m);
    o->chunks[i].slot = slot;
    if (!mega_is_null(slot))
        promise_point(m);
    medium_unlock(m);
}

/* ---- The walk ---- */

struct list {
    struct oracle_live *at;
    size_t n, room;
};

static void push(struct list *l, mega_gptr_t p, uint64_t size, uint32_t region)
{
    if (l->n == l->room) {
        l->room = l->room ? 2 * l->room : 64;
        l->at = realloc(l->at, l->room * sizeof *l->at);
    }
    l->at[l->n++] = (struct oracle_live){p, size, region};
}

static void walk_slab(struct mega__ctx *ctx, struct mega__span *span,
                      uint32_t e, uint64_t w, struct list *l)
{
    const struct mega__class *c = &ctx->classes.of[mega__word_class(w)];
    uint64_t base = (uint64_t)e << MEGA__EXTENT_SHIFT;
    for (uint32_t k = 0; k < c->capacity; k++) {
        uint64_t off = base + k * c->size;
        if (span->marks[off >> MEGA__GRANULE_SHIFT] == MEGA__MARK_LIVE)
            push(l, mega__span_gptr(span, off), c->size, mega__word_region(w));
    }
}

static void walk_span(struct mega__ctx *ctx, struct mega__span *span,
                      struct list *l)
{
    for (uint32_t e = span->first; e < span->extents; e++) {
        uint64_t w = mega__span_word(span, e);
        uint64_t off = (uint64_t)e << MEGA__EXTENT_SHIFT;
        if (mega__word_kind(w) == MEGA__SLAB &&
            mega__word_class(w) < MEGA__CLASSES)
            walk_slab(ctx, span, e, w, l);
        if (mega__word_kind(w) == MEGA__RUN_HEAD &&
            !(mega__word_flags(w) & MEGA__RUN_RAW) &&
            span->marks[off >> MEGA__GRANULE_SHIFT] == MEGA__MARK_LIVE)
            push(l, mega__span_gptr(span, off),
                 (uint64_t)mega__word_len(w) << MEGA__EXTENT_SHIFT,
                 mega__word_region(w));
    }
}

static struct mega__span *span_of(struct mega__ctx *ctx, uint32_t home,
                                  uint32_t no)
{
    return mega__span_of(ctx, mega__gptr(home, no, 0));
}

size_t oracle_walk(struct mega__ctx *ctx, struct oracle_live **list_p)
{
    struct list l = {NULL, 0, 0};
    struct mega__span *span;
    for (uint32_t h = 0; h < ctx->nhomes; h++)
        for (uint32_t s = 0; (span = span_of(ctx, h, s)); s++)
            walk_span(ctx, span, &l);
    *list_p = l.at;
    return l.n;
}

bool oracle_is_live(struct mega__ctx *ctx, mega_gptr_t p)
{
    struct oracle_live *live;
    size_t n = oracle_walk(ctx, &live), i = 0;
    while (i < n && live[i].p.v != p.v)
        i++;
    free(live);
    return i < n;
}

/* ---- Verification ---- */

static const struct oracle_live *find_live(const struct oracle_live *list,
                                           size_t n, mega_gptr_t p)
{
    for (size_t i = 0; i < n; i++)
        if (list[i].p.v == p.v)
            return &list[i];
    return NULL;
}

/* What the newest entry about p says. */
static enum fate fate_of(const struct oracle *o, mega_gptr_t p)
{
    for (unsigned i = o->n; i-- > 0;)
        if (o->chunks[i].p.v == p.v && o->chunks[i].fate != FATE_NONE)
            return o->chunks[i].fate;
    return FATE_NONE;
}

static void verify_chunk(struct mega__ctx *ctx, const struct oracle_chunk *c,
                         const struct oracle_live *live)
{
    unsigned long long bits = c->p.v;
    if (c->fate == FATE_FREE)
        CHECK(!live, "chunk %llx is live; it was freed durably", bits);
    if (c->fate != FATE_LIVE)
        return;
    CHECK(live, "chunk %llx is not live; it was promised", bits);
    CHECK(!live || live->size >= c->size, "chunk %llx has shrunk to %llu", bits,
          live ? (unsigned long long)live->size : 0);
    if (live && c->tag)
        CHECK(ops_filled(ctx, c->p, c->size, c->tag),
              "chunk %llx has other contents", bits);
    if (!mega_is_null(c->slot))
        CHECK(ops_load(ctx, c->slot).v == c->p.v,
              "the link to %llx is lost: the slot holds %llx", bits,
              (unsigned long long)ops_load(ctx, c->slot).v);
}

void oracle_verify(struct mega__ctx *ctx, const struct oracle *o)
{
    struct oracle_live *list;
    size_t n = oracle_walk(ctx, &list);
    for (unsigned i = 0; i < o->n; i++) {
        const struct oracle_chunk *c = &o->chunks[i];
        bool newest = true; /* of several about one place, the last counts */
        for (unsigned k = i + 1; k < o->n; k++)
            newest &=
                o->chunks[k].p.v != c->p.v || o->chunks[k].fate == FATE_NONE;
        if (newest)
            verify_chunk(ctx, c, find_live(list, n, c->p));
    }
    for (size_t i = 0; i < n; i++) {
        enum fate fate = fate_of(o, list[i].p);
        CHECK(fate == FATE_LIVE || fate == FATE_MAYBE,
              "phantom: %llx of %llu bytes is live",
              (unsigned long long)list[i].p.v,
              (unsigned long long)list[i].size);
    }
    free(list);
}

/* ---- Exhaustion ---- */

struct cover { /* by half a granule, of one span */
    struct mega__span *span;
    unsigned char *used;
};

/* Half a granule is the least that a chunk ends at, which may be one that holds
 * no other's start. */
static void cover_chunk(unsigned char *used, mega_gptr_t p, uint64_t begin,
                        uint64_t end)
{
    const uint64_t half = MEGA__GRANULE / 2;
    unsigned char taken = 0;
    begin /= half;
    end = (end + half - 1) / half;
    for (uint64_t h = begin; h < end; h++)
        taken |= used[h];
    memset(used + begin, 1, end - begin);
    CHECK(!taken, "chunk %llx overlaps another", (unsigned long long)p.v);
}

static void take(struct cover *covers, size_t ncovers, mega_gptr_t p,
                 uint64_t size)
{
    for (size_t i = 0; i < ncovers; i++) {
        struct mega__span *span = covers[i].span;
        if (mega__gptr(span->home->no, span->no, 0).v !=
            (p.v & ~((UINT64_C(1) << MEGA_OFFSET_BITS) - 1)))
            continue;
        uint64_t off = mega_offset(p);
        CHECK(off >= (uint64_t)span->first << MEGA__EXTENT_SHIFT &&
                  off + size <= span->size,
              "chunk %llx lies outside its span's extents",
              (unsigned long long)p.v);
        if (off + size > span->size)
            return;
        cover_chunk(covers[i].used, p, off, off + size);
        return;
    }
    CHECK(false, "chunk %llx lies in no span", (unsigned long long)p.v);
}

static size_t make_covers(struct mega__ctx *ctx, struct cover *covers,
                          size_t room)
{
    size_t n = 0;
    struct mega__span *span;
    for (uint32_t h = 0; h < ctx->nhomes; h++)
        for (uint32_t s = 0; n < room && (span = span_of(ctx, h, s)); s++)
            covers[n++] = (struct cover){
                span, calloc(2 * span->size >> MEGA__GRANULE_SHIFT, 1)};
    return n;
}

static bool may_be_full(mega_status_t st)
{
    return st == MEGA_ERR_HOME_FULL || st == MEGA_ERR_MEDIUM_FULL;
}

static void fill_home(struct mega__ctx *ctx, uint32_t home, size_t size,
                      struct list *l)
{
    mega_status_t st;
    mega_gptr_t p;
    while ((st = ops_alloc(ctx, OPS_DEFAULT, (int)home, size, &p)) == MEGA_OK) {
        memset(ops_at(ctx, p), 0xee, size);
        push(l, p, size, OPS_DEFAULT);
    }
    CHECK(may_be_full(st), "alloc of %zu bytes on home %u: %d, %s", size, home,
          st, mega__errmsg_buffer());
}

/* Every extent is taken, every chunk of the default region's slabs is live. */
static void verify_full(struct mega__ctx *ctx, const struct cover *cover)
{
    struct mega__span *span = cover->span;
    for (uint32_t e = span->first; e < span->extents; e++) {
        uint64_t w = mega__span_word(span, e);
        unsigned kind = mega__word_kind(w);
        CHECK(kind == MEGA__SLAB || kind == MEGA__RUN_HEAD ||
                  kind == MEGA__RUN_TAIL,
              "home %u span %u extent %u cannot be had: word %llx",
              span->home->no, span->no, e, (unsigned long long)w);
        if (kind != MEGA__SLAB || mega__word_region(w) != OPS_DEFAULT)
            continue;
        const struct mega__class *c = &ctx->classes.of[mega__word_class(w)];
        uint64_t base = (uint64_t)e << MEGA__EXTENT_SHIFT;
        unsigned lost = 0;
        for (uint32_t k = 0; k < c->capacity; k++)
            lost += !cover->used[2 * (base + k * c->size) / MEGA__GRANULE];
        CHECK(lost == 0, "home %u span %u extent %u class %u: %u chunks lost",
              span->home->no, span->no, e, c->size, lost);
    }
}

static void verify_contents(struct mega__ctx *ctx, const struct oracle *o)
{
    for (unsigned i = 0; i < o->n; i++) {
        const struct oracle_chunk *c = &o->chunks[i];
        if (c->fate == FATE_LIVE && c->tag)
            CHECK(ops_filled(ctx, c->p, c->size, c->tag),
                  "chunk %llx was overwritten: it was handed out again",
                  (unsigned long long)c->p.v);
    }
}

void oracle_exhaust(struct mega__ctx *ctx, const struct oracle *o,
                    uint64_t seed)
{
    struct cover covers[16];
    struct oracle_live *live;
    struct list l = {NULL, 0, 0};
    /* What is free goes to the first: by the least each time it takes long. */
    const unsigned begin = (unsigned)(seed / 2 % MEGA__CLASSES);
    size_t n = oracle_walk(ctx, &live);
    size_t ncovers = make_covers(ctx, covers, 16);
    for (size_t i = 0; i < n; i++)
        take(covers, ncovers, live[i].p, live[i].size);
    for (uint32_t h = 0; h < ctx->nhomes; h++) {
        if (seed % 3 == 0)
            fill_home(ctx, h, 3 * MEGA__EXTENT, &l);
        for (unsigned k = 0; k < MEGA__CLASSES; k++) {
            unsigned i = (begin + k) % MEGA__CLASSES;
            if (!(seed & 1))
                i = MEGA__CLASSES - 1 - i;
            fill_home(ctx, h, ctx->classes.of[i].size, &l);
        }
    }
    for (size_t i = 0; i < l.n; i++)
        take(covers, ncovers, l.at[i].p, l.at[i].size);
    for (size_t i = 0; i < ncovers; i++)
        verify_full(ctx, &covers[i]);
    verify_contents(ctx, o);
    for (size_t i = 0; i < l.n; i++)
        CHECK(ops_free(ctx, l.at[i].p) == MEGA_OK, "free of %llx: %s",
              (unsigned long long)l.at[i].p.v, mega__errmsg_buffer());
    CHECK(ops_drain(ctx) == MEGA_OK, "drain");
    for (size_t i = 0; i < ncovers; i++)
        free(covers[i].used);
    free(l.at);
    free(live);
}
