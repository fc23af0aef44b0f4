/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check.c - verifies a home: sealed words, records, every extent word, every
 * mark. A sentence names the home, the span, the byte and what is wrong.
 * Exact only while nobody allocates or frees.
 */
#include "check.h"

#include <stdarg.h>
#include <stdio.h>

#include "chunk.h"
#include "directory.h"
#include "home.h"
#include "run.h"
#include "slab.h"

struct check {
    struct mega__ctx *ctx;
    struct mega__home *home;
    struct mega__span *span;
    mega_check_fn fn;
    void *arg;
    uint64_t bad;
    uint64_t accounted; /* extents of the span that belong to something */
    bool have_live;     /* live is known: home 0 is mapped */
    struct mega__live live;
};

__attribute__((format(printf, 2, 3))) static void
report(struct check *c, const char *format, ...)
{
    char what[256], text[400];
    va_list args;
    c->bad++;
    if (!c->fn)
        return;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    snprintf(text, sizeof text, "home %u%s: %s", c->home->no,
             c->span ? "" : " block", what);
    c->fn(text, c->arg);
}

/* "span 1, offset 0x..., extent 5": where a word of the span lies. */
static void report_word(struct check *c, uint32_t e, uint64_t w,
                        const char *why)
{
    report(c, "span %u, offset %#llx, word of extent %u is %#llx: %s",
           c->span->no,
           (unsigned long long)((char *)&c->span->words[e] - c->span->base), e,
           (unsigned long long)w, why);
}

/* ---- The block ---- */

static void check_sealed(struct check *c, const uint64_t *word,
                         const char *name)
{
    uint64_t value;
    if (!mega__unseal(*word, &value))
        report(c, "offset %#llx, the %s word %#llx is damaged",
               (unsigned long long)((const char *)word -
                                    (const char *)c->home->block +
                                    MEGA__HOME_BLOCK_OFF),
               name, (unsigned long long)*word);
}

static void check_block(struct check *c)
{
    const struct mega__home_block *b = c->home->block;
    check_sealed(c, &b->born, "born");
    check_sealed(c, &b->epoch, "epoch");
    check_sealed(c, &b->clean, "clean");
    check_sealed(c, &b->npools, "npools");
    check_sealed(c, &b->next_region, "next region");
    for (unsigned i = 0; i < MEGA_REGIONS_MAX; i++)
        check_sealed(c, &b->regions[i].state, "region state");
    for (unsigned i = 0; i < MEGA_ROOTS_MAX; i++)
        check_sealed(c, &b->roots[i].state, "root state");
    for (unsigned i = 0; i < MEGA__RUNS_MAX; i++)
        check_sealed(c, &b->runs[i].state, "run state");
}

/* Every recorded raw run of a live region is there. */
static void check_runs(struct check *c)
{
    for (unsigned i = 0; i < MEGA__RUNS_MAX; i++) {
        const struct mega__run_record *r = &c->home->block->runs[i];
        enum mega__record_state state;
        uint32_t id;
        mega_gptr_t p = mega__gptr(c->home->no, 0, r->base);
        if (!mega__record_state(r->state, &state, &id) ||
            state != MEGA__REC_LIVE)
            continue;
        struct mega__span *span = mega__span_of(c->ctx, p);
        uint64_t e = mega_offset(p) >> MEGA__EXTENT_SHIFT;
        uint64_t w = span && e >= span->first && e < span->extents
                         ? mega__span_word(span, (uint32_t)e)
                         : 0;
        if (mega__word_kind(w) != MEGA__RUN_HEAD ||
            !(mega__word_flags(w) & MEGA__RUN_RAW) ||
            mega__word_region(w) != id || mega__word_len(w) != r->extents)
            report(c,
                   "run record %u names span offset %#llx, where there is "
                   "no such raw run of region %u",
                   i, (unsigned long long)r->base, id);
    }
}

/* Every root's value is null, or a live chunk or raw memory. */
static void check_roots(struct check *c)
{
    for (unsigned i = 0; i < MEGA_ROOTS_MAX; i++) {
        const struct mega__root_record *r = &c->home->block->roots[i];
        enum mega__record_state state;
        uint32_t id;
        struct mega__place at;
        mega_gptr_t p = mega_from_bits(r->slot);
        if (!mega__record_state(r->state, &state, &id) ||
            state != MEGA__REC_LIVE || mega_is_null(p) ||
            (mega__gptr_home(p) < c->ctx->nhomes &&
             !c->ctx->homes[mega__gptr_home(p)].local))
            continue;
        if (!mega__chunk_place(c->ctx, p, &at) ||
            (at.mark && atomic_load(at.mark) != MEGA__MARK_LIVE))
            report(c, "root %.63s is %#llx, which is no live chunk", r->name,
                   (unsigned long long)p.v);
    }
}

/* ---- Words and marks ---- */

static void check_region(struct check *c, uint32_t e, uint64_t w)
{
    if (c->have_live && !mega__live_has(&c->live, mega__word_region(w)))
        report_word(c, e, w, "its region does not exist");
}

static void check_slab(struct check *c, uint32_t e, uint64_t w)
{
    unsigned class = mega__word_class(w);
    const _Atomic uint8_t *marks = mega__slab_marks(c->span, e);
    c->accounted++;
    check_region(c, e, w);
    if (class >= MEGA__CLASSES) {
        report_word(c, e, w, "there is no such class");
        return;
    }
    for (unsigned g = 0; g < MEGA__EXTENT_GRANULES; g++) {
        uint8_t mark = atomic_load_explicit(&marks[g], memory_order_relaxed);
        bool start = c->ctx->classes.of[class].starts[g / 64] >> g % 64 & 1;
        if (mark != MEGA__MARK_FREE && !start)
            report(
                c,
                "span %u, offset %#llx, mark %u is %u where no chunk of "
                "class %u begins",
                c->span->no,
                (unsigned long long)((const char *)&marks[g] - c->span->base),
                g, mark, class);
    }
}

static void check_head(struct check *c, uint32_t e, uint64_t w)
{
    uint32_t n = mega__word_len(w);
    check_region(c, e, w);
    if (!mega__run_fits(c->span, e, w)) {
        report_word(c, e, w, "the run does not fit its span");
        c->accounted++;
        return;
    }
    for (uint32_t i = 1; i < n; i++) {
        uint64_t t = mega__span_word(c->span, e + i);
        if (mega__word_kind(t) != MEGA__RUN_TAIL || mega__word_len(t) != i ||
            mega__word_region(t) != mega__word_region(w))
            report_word(c, e + i, t, "it is not a tail of the run before it");
    }
    c->accounted++;
}

static void check_extent(struct check *c, uint32_t e)
{
    uint64_t w = mega__span_word(c->span, e);
    switch (mega__word_kind(w)) {
    case MEGA__FREE:
        if (w != MEGA__FREE)
            report_word(c, e, w, "FREE, but not all zero");
        c->accounted++;
        break;
    case MEGA__SLAB:
        check_slab(c, e, w);
        break;
    case MEGA__RUN_HEAD:
    case MEGA__FREEING:
        check_head(c, e, w);
        break;
    case MEGA__RUN_TAIL:
        if (!mega__run_covers(c->span, e, w))
            report_word(c, e, w, "a tail without a head");
        c->accounted++;
        break;
    case MEGA__SLAB_INIT:
        c->accounted++;
        break;
    default:
        report_word(c, e, w, "there is no such kind");
    }
}

static void check_span(struct check *c)
{
    c->accounted = 0;
    for (uint32_t e = 0; e < c->span->first; e++)
        if (mega__span_word(c->span, e) != MEGA__UNUSABLE)
            report_word(c, e, mega__span_word(c->span, e),
                        "the extent holds metadata");
    for (uint32_t e = c->span->first; e < c->span->extents; e++)
        check_extent(c, e);
    if (c->accounted != c->span->extents - c->span->first)
        report(c, "span %u: %llu of %u extents belong to something",
               c->span->no, (unsigned long long)c->accounted,
               c->span->extents - c->span->first);
}

uint64_t mega__check_home(struct mega__ctx *ctx, struct mega__home *home,
                          mega_check_fn fn, void *arg)
{
    struct check c = {.ctx = ctx, .home = home, .fn = fn, .arg = arg};
    check_block(&c);
    if (ctx->homes[0].local) {
        mega__dir_live(&ctx->homes[0], &c.live);
        c.have_live = true;
    }
    check_runs(&c);
    if (home->no == 0)
        check_roots(&c);
    for (uint32_t no = 0; no < MEGA__SPANS_MAX; no++) {
        c.span = mega__span_of(ctx, mega__gptr(home->no, no, 0));
        if (!c.span)
            break;
        check_span(&c);
    }
    return c.bad;
}
