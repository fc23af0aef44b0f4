/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check.c - verifies a home: sealed words, records, every extent word, every
 * mark. A sentence names the home, the span, the byte and what is wrong.
 * Exact only while nobody allocates or frees. A home of another host is read
 * from here, with copies of home 0's block and its own.
 */
#include "check.h"

#include <stdarg.h>
#include <stdio.h>

#include "block.h"
#include "chunk.h"
#include "degraded.h"
#include "directory.h"
#include "far.h"
#include "home.h"
#include "run.h"
#include "sight.h"
#include "slab.h"

struct check {
    struct mega__ctx *ctx;
    struct mega__home *home;
    struct mega__sight sight;
    const struct mega__home_block *block;
    const struct mega__span *span; /* that sight looks at */
    mega_check_fn fn;
    void *arg;
    uint64_t bad;
    uint64_t accounted; /* extents of the span that belong to something */
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
           (unsigned long long)(c->span->words_off + 8 * (uint64_t)e), e,
           (unsigned long long)w, why);
}

/* ---- The block ---- */

/* Of a part of the block, from the start of span 0. */
static unsigned long long block_off(const struct check *c, const void *part)
{
    return (unsigned long long)((const char *)part - (const char *)c->block +
                                MEGA__HOME_BLOCK_OFF);
}

static void check_sealed(struct check *c, const uint64_t *word,
                         const char *name)
{
    uint64_t value;
    if (!mega__unseal(*word, &value))
        report(c, "offset %#llx, the %s word %#llx is damaged",
               block_off(c, word), name, (unsigned long long)*word);
}

static void report_begin(const uint64_t *word, const char *what, void *arg)
{
    struct check *c = arg;
    report(c, "offset %#llx, %s", block_off(c, word), what);
}

/* Only a job that looks leaves what was there. */
static void check_begin(struct check *c)
{
    const struct mega__home_block *b = c->block;
    uint64_t value;
    mega__block_judge(b, !c->ctx->readonly || mega__block_filled(b, NULL, 0),
                      report_begin, c);
    if (b->born != mega__seal(1))
        report(c, "offset %#llx, the home was never finished",
               block_off(c, &b->born));
    if (!c->ctx->readonly && mega__unseal(b->epoch, &value) &&
        value != c->ctx->epoch)
        report(c, "offset %#llx, the epoch word says %llu, the job is in %llu",
               block_off(c, &b->epoch), (unsigned long long)value,
               (unsigned long long)c->ctx->epoch);
}

static void check_block(struct check *c)
{
    const struct mega__home_block *b = c->block;
    check_begin(c);
    for (unsigned k = 0; k < sizeof b->next_host / 8; k++)
        check_sealed(c, &b->next_host[k], "next host");
    for (unsigned i = 0; i < MEGA_REGIONS_MAX; i++)
        check_sealed(c, &b->regions[i].state, "region state");
    for (unsigned i = 0; i < MEGA_ROOTS_MAX; i++)
        check_sealed(c, &b->roots[i].state, "root state");
    for (unsigned i = 0; i < MEGA__RUNS_MAX; i++)
        check_sealed(c, &b->runs[i].state, "run state");
}

/* A record of a region or root that is not gone. */
static bool check_named(struct check *c, const uint64_t *state_word,
                        const char *name, uint32_t crc, const char *what,
                        unsigned i, uint32_t *id_p)
{
    enum mega__record_state state;
    if (!mega__record_state(*state_word, &state, id_p) ||
        state < MEGA__REC_CREATING)
        return false;
    if (crc != mega__record_name_crc(*id_p, name) || name[MEGA_NAME_MAX])
        report(c, "offset %#llx, the name or checksum of %s record %u",
               block_off(c, name), what, i);
    return true;
}

/* Of home 0. */
static void check_names(struct check *c)
{
    const struct mega__home_block *b = c->block;
    uint64_t next, bytes;
    uint32_t id;
    bool known = mega__unseal(b->next_region, &next) && next;
    for (unsigned i = 0; i < MEGA_REGIONS_MAX; i++) {
        const struct mega__region_record *r = &b->regions[i];
        if (!check_named(c, &r->state, r->name, r->crc, "region", i, &id))
            continue;
        if (id <= MEGA__REGION_DEFAULT || (known && id >= next))
            report(c, "offset %#llx, region %u was never made",
                   block_off(c, &r->state), id);
        if (!mega__unseal_written(r->bytes_per_home, &bytes))
            report(c, "offset %#llx, the region size word is damaged",
                   block_off(c, &r->bytes_per_home));
    }
    for (unsigned i = 0; i < MEGA_ROOTS_MAX; i++) {
        const struct mega__root_record *r = &b->roots[i];
        if (!check_named(c, &r->state, r->name, r->crc, "root", i, &id))
            continue;
        for (unsigned k = 0; k < i; k++)
            if (mega__record_same_root(&b->roots[k], r))
                report(c,
                       "offset %#llx, root records %u and %u have one region "
                       "and name",
                       block_off(c, r), k, i);
    }
}

static mega_status_t check_run(struct check *c, unsigned i,
                               const struct mega__run_record *r, uint32_t id)
{
    uint64_t w;
    mega_status_t st =
        mega__sight_word(&c->sight, mega__gptr(c->home->no, 0, r->base), &w);
    if (!st && (mega__word_kind(w) != MEGA__RUN_HEAD ||
                !(mega__word_flags(w) & MEGA__RUN_RAW) ||
                mega__word_region(w) != id || mega__word_len(w) != r->extents))
        report(c,
               "run record %u names span offset %#llx, where there is "
               "no such raw run of region %u",
               i, (unsigned long long)r->base, id);
    return st;
}

/* Those of a region hold its bytes. Where no open has been completed, a growth
 * that was cut off may have left more. */
static void check_reserved(struct check *c, const uint64_t *held)
{
    for (uint32_t k = 0; k < c->live.n; k++) {
        const uint64_t want = mega__run_extents(c->live.bytes_per_home[k]);
        if (held[k] < want || (held[k] > want && !c->ctx->readonly))
            report(c,
                   "region %u has %llu raw bytes per home, its runs hold %llu "
                   "extents",
                   c->live.ids[k],
                   (unsigned long long)c->live.bytes_per_home[k],
                   (unsigned long long)held[k]);
    }
}

static void count_run(const struct check *c, uint32_t id, uint32_t extents,
                      uint64_t *held)
{
    for (uint32_t k = 0; k < c->live.n; k++)
        if (c->live.ids[k] == id)
            held[k] += extents;
}

/* Every recorded raw run is there, and all of a live region's are recorded. */
static mega_status_t check_runs(struct check *c)
{
    mega_status_t st = MEGA_OK;
    uint64_t held[MEGA_REGIONS_MAX + 1] = {0};
    for (unsigned i = 0; !st && i < MEGA__RUNS_MAX; i++) {
        const struct mega__run_record *r = &c->block->runs[i];
        enum mega__record_state state;
        uint32_t id;
        if (mega__record_state(r->state, &state, &id) &&
            state == MEGA__REC_LIVE) {
            st = check_run(c, i, r, id);
            count_run(c, id, r->extents, held);
        }
    }
    if (!st) /* none of absent home 0 */
        check_reserved(c, held);
    return st;
}

/* *live_p: p is in a live chunk, or in raw memory. */
static mega_status_t look(struct check *c, mega_gptr_t p, bool *live_p)
{
    struct mega__place at;
    uint8_t mark;
    mega_status_t st = mega__chunk_look(c->ctx, p, &at, &mark, live_p);
    *live_p = *live_p && (!at.mark_off || mark == MEGA__MARK_LIVE);
    return st;
}

static bool on_absent(const struct mega__ctx *ctx, mega_gptr_t p)
{
    uint32_t home = mega__gptr_home(p);
    return home < ctx->nhomes && mega__degraded_is_absent(ctx, home);
}

/* Every root's value is null, or a live chunk or raw memory. */
static mega_status_t check_roots(struct check *c)
{
    mega_status_t st = MEGA_OK;
    for (unsigned i = 0; !st && i < MEGA_ROOTS_MAX; i++) {
        const struct mega__root_record *r = &c->block->roots[i];
        enum mega__record_state state;
        uint32_t id;
        bool live = false;
        mega_gptr_t p = mega_from_bits(r->slot);
        if (!mega__record_state(r->state, &state, &id) ||
            state != MEGA__REC_LIVE || mega_is_null(p) || on_absent(c->ctx, p))
            continue;
        st = look(c, p, &live);
        if (!st && !live)
            report(c, "root %.63s is %#llx, which is no live chunk", r->name,
                   (unsigned long long)p.v);
    }
    return st;
}

/* ---- Words and marks ---- */

static void check_region(struct check *c, uint32_t e, uint64_t w)
{
    if (mega__degraded_is_absent(c->ctx, 0))
        return; /* home 0 knows them */
    if (!mega__live_has(&c->live, mega__word_region(w)))
        report_word(c, e, w, "its region does not exist");
}

static void check_marks(struct check *c, uint32_t e, unsigned class,
                        const _Atomic uint8_t *marks)
{
    for (unsigned g = 0; g < MEGA__EXTENT_GRANULES; g++) {
        uint8_t mark = atomic_load_explicit(&marks[g], memory_order_relaxed);
        bool start = c->ctx->classes.of[class].starts[g / 64] >> g % 64 & 1;
        if (mark != MEGA__MARK_FREE && !start)
            report(c,
                   "span %u, offset %#llx, mark %u is %u where no chunk of "
                   "class %u begins",
                   c->span->no,
                   (unsigned long long)(c->span->marks_off +
                                        (uint64_t)e * MEGA__EXTENT_GRANULES +
                                        g),
                   g, mark, class);
    }
}

static mega_status_t check_slab(struct check *c, uint32_t e, uint64_t w)
{
    unsigned class = mega__word_class(w);
    const _Atomic uint8_t *marks;
    c->accounted++;
    check_region(c, e, w);
    if (class >= MEGA__CLASSES) {
        report_word(c, e, w, "there is no such class");
        return MEGA_OK;
    }
    mega_status_t st = mega__sight_marks(&c->sight, e, &marks);
    if (!st)
        check_marks(c, e, class, marks);
    return st;
}

static void check_head(struct check *c, uint32_t e, uint64_t w)
{
    uint32_t n = mega__word_len(w);
    c->accounted++;
    if (!mega__word_run_sound(w))
        return report_word(c, e, w, "the word of a run is damaged");
    check_region(c, e, w);
    if (!mega__run_fits(c->span, e, w))
        return report_word(c, e, w, "the run does not fit its span");
    for (uint32_t i = 1; i < n; i++) {
        uint64_t t = mega__span_word(c->span, e + i);
        if (mega__word_kind(t) != MEGA__RUN_TAIL || mega__word_len(t) != i ||
            mega__word_region(t) != mega__word_region(w))
            report_word(c, e + i, t, "it is not a tail of the run before it");
    }
}

static mega_status_t check_extent(struct check *c, uint32_t e)
{
    uint64_t w = mega__span_word(c->span, e);
    switch (mega__word_kind(w)) {
    case MEGA__FREE:
        if (w != MEGA__FREE)
            report_word(c, e, w, "FREE, but not all zero");
        c->accounted++;
        break;
    case MEGA__SLAB:
        return check_slab(c, e, w);
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
    return MEGA_OK;
}

static mega_status_t check_span(struct check *c)
{
    mega_status_t st = MEGA_OK;
    c->accounted = 0;
    for (uint32_t e = 0; e < c->span->first; e++)
        if (mega__span_word(c->span, e) != MEGA__UNUSABLE)
            report_word(c, e, mega__span_word(c->span, e),
                        "the extent holds metadata");
    for (uint32_t e = c->span->first; !st && e < c->span->extents; e++)
        st = check_extent(c, e);
    if (!st && c->accounted != c->span->extents - c->span->first)
        report(c, "span %u: %llu of %u extents belong to something",
               c->span->no, (unsigned long long)c->accounted,
               c->span->extents - c->span->first);
    return st;
}

static mega_status_t check_spans(struct check *c)
{
    mega_status_t st = MEGA_OK;
    for (uint32_t no = 0; !st; no++) {
        st = mega__sight_span(&c->sight, no);
        c->span = c->sight.span;
        if (st || !c->span)
            break;
        st = check_span(c);
    }
    return st;
}

static mega_status_t read_live(struct mega__ctx *ctx, struct mega__live *live)
{
    const struct mega__home_block *zero;
    if (mega__degraded_is_absent(ctx, 0))
        return MEGA_OK;
    mega_status_t st = mega__sight_block(ctx, mega__home_at(ctx, 0), &zero);
    if (st)
        return st;
    mega__dir_live(zero, live);
    mega__sight_drop(mega__home_at(ctx, 0), &zero);
    return MEGA_OK;
}

mega_status_t mega__check_home(struct mega__ctx *ctx, struct mega__home *home,
                               mega_check_fn fn, void *arg, uint64_t *bad_p)
{
    struct check c = {.ctx = ctx, .home = home, .fn = fn, .arg = arg};
    mega_status_t st = mega__sight_begin(&c.sight, ctx, home);
    if (!st)
        st = read_live(ctx, &c.live);
    if (!st)
        st = mega__sight_block(ctx, home, &c.block);
    if (st)
        goto end;
    check_block(&c);
    st = check_runs(&c);
    if (!st && home->no == 0)
        check_names(&c);
    if (!st && home->no == 0)
        st = check_roots(&c);
    if (!st)
        st = check_spans(&c);
    mega__sight_drop(home, &c.block);
    if (!st)
        *bad_p = c.bad;
end:
    mega__sight_end(&c.sight);
    return st;
}
