/* SPDX-License-Identifier: BSD-3-Clause */
/* invariants.c - see invariants.h. */
#include "invariants.h"

#include <stdio.h>
#include <string.h>

#include "directory.h"
#include "medium.h"
#include "report.h"
#include "run.h"
#include "seen.h"
#include "span.h"

#define WHERE(span, e)                                                         \
    (unsigned)(span)->home->no, (unsigned)(span)->no, (unsigned)(e)

static bool is_recorded(const struct mega__span *span, uint32_t e,
                        uint32_t region)
{
    const struct mega__run_record *runs = span->home->block->runs;
    uint64_t base = (uint64_t)span->no << MEGA_OFFSET_BITS |
                    (uint64_t)e << MEGA__EXTENT_SHIFT;
    uint64_t state;
    for (unsigned i = 0; i < MEGA__RUNS_MAX; i++)
        if (runs[i].base == base && mega__unseal(runs[i].state, &state) &&
            state == ((uint64_t)region << 8 | MEGA__REC_LIVE))
            return true;
    return false;
}

static bool has_check(uint64_t w)
{
    return w >> MEGA__RUN_CHECK_SHIFT == mega__word_run_check(w);
}

static void check_run(const struct mega__span *span, uint32_t e, uint64_t w)
{
    uint32_t len = mega__word_len(w);
    CHECK(!(mega__word_flags(w) & MEGA__RUN_RAW) ||
              is_recorded(span, e, mega__word_region(w)),
          "home %u span %u extent %u: a raw run without a record",
          WHERE(span, e));
    CHECK(len >= 1 && len <= span->extents - e,
          "home %u span %u extent %u: a run of %u extents", WHERE(span, e),
          len);
    CHECK(has_check(w), "home %u span %u extent %u: a run without its check",
          WHERE(span, e));
    for (uint32_t i = 1; i < len && e + i < span->extents; i++) {
        uint64_t t = mega__span_word(span, e + i);
        CHECK(mega__word_kind(t) == MEGA__RUN_TAIL && mega__word_len(t) == i &&
                  mega__word_region(t) == mega__word_region(w) &&
                  mega__word_flags(t) == 0 && has_check(t),
              "home %u span %u extent %u: tail %u of the run is %llx",
              WHERE(span, e), i, (unsigned long long)t);
    }
}

static void check_tail(const struct mega__span *span, uint32_t e, uint64_t w)
{
    uint32_t back = mega__word_len(w);
    CHECK(back >= 1 && back <= e - span->first,
          "home %u span %u extent %u: a tail %u behind its head",
          WHERE(span, e), back);
    if (back < 1 || back > e - span->first)
        return;
    uint64_t head = mega__span_word(span, e - back);
    CHECK(mega__word_kind(head) == MEGA__RUN_HEAD &&
              mega__word_len(head) > back,
          "home %u span %u extent %u: a tail of no run", WHERE(span, e));
}

static void check_slab(struct mega__ctx *ctx, const struct mega__span *span,
                       uint32_t e, uint64_t w)
{
    unsigned class = mega__word_class(w);
    CHECK(class < MEGA__CLASSES, "home %u span %u extent %u: class %u",
          WHERE(span, e), class);
    if (class >= MEGA__CLASSES)
        return;
    const struct mega__class *c = &ctx->classes.of[class];
    const _Atomic uint8_t *marks =
        span->marks + (uint64_t)e * MEGA__EXTENT_GRANULES;
    for (unsigned g = 0; g < MEGA__EXTENT_GRANULES; g++)
        CHECK(marks[g] == 0 || c->starts[g / 64] >> g % 64 & 1,
              "home %u span %u extent %u: mark %u where no chunk of %u bytes "
              "begins",
              WHERE(span, e), g, c->size);
}

static void check_word(struct mega__ctx *ctx, const struct mega__span *span,
                       uint32_t e)
{
    uint64_t w = mega__span_word(span, e);
    switch (mega__word_kind(w)) {
    case MEGA__FREE:
        CHECK(w == 0, "home %u span %u extent %u: FREE with bits %llx",
              WHERE(span, e), (unsigned long long)w);
        break;
    case MEGA__SLAB_INIT:
    case MEGA__FREEING:
        break; /* of somebody at work; recovery leaves none */
    case MEGA__SLAB:
        check_slab(ctx, span, e, w);
        break;
    case MEGA__RUN_HEAD:
        check_run(span, e, w);
        break;
    case MEGA__RUN_TAIL:
        check_tail(span, e, w);
        break;
    default:
        CHECK(false, "home %u span %u extent %u: word %llx", WHERE(span, e),
              (unsigned long long)w);
    }
}

static void each_span(struct mega__ctx *ctx,
                      void (*fn)(struct mega__ctx *ctx,
                                 struct mega__span *span))
{
    struct mega__span *span;
    for (uint32_t h = 0; h < ctx->nhomes; h++)
        for (uint32_t s = 0; s < MEGA__SPANS_MAX &&
                             (span = mega__span_of(ctx, mega__gptr(h, s, 0)));
             s++)
            fn(ctx, span);
}

static void check_span(struct mega__ctx *ctx, struct mega__span *span)
{
    struct mega__live live;
    mega__dir_live(ctx->homes[0].block, &live);
    for (uint32_t e = 0; e < span->first; e++)
        CHECK(mega__span_word(span, e) == MEGA__UNUSABLE,
              "home %u span %u extent %u: metadata not UNUSABLE",
              WHERE(span, e));
    for (uint32_t e = span->first; e < span->extents; e++) {
        uint32_t region = mega__word_region(mega__span_word(span, e));
        check_word(ctx, span, e);
        CHECK(region == 0 || mega__live_has(&live, region),
              "home %u span %u extent %u: of region %u, which is not live",
              WHERE(span, e), region);
    }
}

/* The id of each region that is not gone is below the next, and no other's. */
static void check_ids(const struct mega__home_block *b)
{
    uint64_t next = 0, state, other;
    CHECK(mega__unseal(b->next_region, &next) && next > MEGA__REGION_DEFAULT,
          "the next region is %llu", (unsigned long long)next);
    for (unsigned i = 0; i < MEGA_REGIONS_MAX; i++) {
        if (!mega__unseal(b->regions[i].state, &state) ||
            (state & 255) <= MEGA__REC_GONE)
            continue;
        CHECK(state >> 8 < next, "region %u has the id of the next one",
              (unsigned)(state >> 8));
        for (unsigned k = 0; k < i; k++)
            CHECK(!mega__unseal(b->regions[k].state, &other) ||
                      (other & 255) <= MEGA__REC_GONE ||
                      other >> 8 != state >> 8,
                  "two regions are %u", (unsigned)(state >> 8));
    }
}

/* A raw run that is recorded has its head, and begins where another of its
 * region ends; at each place one. */
static void check_raw_run(struct mega__ctx *ctx, uint32_t home, uint64_t state,
                          const struct mega__run_record *run)
{
    const struct mega__run_record *all = ctx->homes[home].block->runs;
    mega_gptr_t p = mega__gptr(home, 0, run->base);
    const struct mega__span *span = mega__span_of(ctx, p);
    uint64_t other,
        w = span ? mega__span_word(
                       span, (uint32_t)(mega_offset(p) >> MEGA__EXTENT_SHIFT))
                 : 0;
    unsigned before = run->start == 0, here = 0;
    CHECK(mega__word_kind(w) == MEGA__RUN_HEAD &&
              mega__word_flags(w) == MEGA__RUN_RAW &&
              mega__word_region(w) == state >> 8 &&
              mega__word_len(w) == run->extents,
          "home %u: raw run at %llx is %llx", home,
          (unsigned long long)run->base, (unsigned long long)w);
    for (unsigned i = 0; i < MEGA__RUNS_MAX; i++) {
        if (!mega__unseal(all[i].state, &other) || other != state)
            continue;
        here += all[i].start == run->start;
        before += all[i].start + all[i].extents * (uint64_t)MEGA__EXTENT ==
                  run->start;
    }
    CHECK(before == 1 && here == 1,
          "home %u region %u: %u raw runs begin at %llu, %u end there", home,
          (unsigned)(state >> 8), here, (unsigned long long)run->start, before);
}

/* All of each region that lives, and no other's. */
static void check_raw(struct mega__ctx *ctx, uint32_t home,
                      const struct mega__live *live)
{
    const struct mega__run_record *runs = ctx->homes[home].block->runs;
    uint64_t sums[MEGA_REGIONS_MAX + 1] = {0}, state;
    for (unsigned i = 0; i < MEGA__RUNS_MAX; i++) {
        if (!mega__unseal(runs[i].state, &state) ||
            (state & 255) <= MEGA__REC_GONE)
            continue;
        uint32_t k = 0;
        while (k < live->n && live->ids[k] != state >> 8)
            k++;
        CHECK(k < live->n, "home %u: a raw run of region %u, which is not live",
              home, (unsigned)(state >> 8));
        if (k == live->n)
            continue;
        sums[k] += runs[i].extents;
        check_raw_run(ctx, home, state, &runs[i]);
    }
    for (uint32_t k = 0; k < live->n; k++)
        CHECK(sums[k] == mega__run_extents(live->bytes_per_home[k]),
              "home %u: region %u has %llu raw extents, not %llu bytes", home,
              live->ids[k], (unsigned long long)sums[k],
              (unsigned long long)live->bytes_per_home[k]);
}

void invariants_of_format(struct mega__ctx *ctx)
{
    struct mega__live live;
    mega__dir_live(ctx->homes[0].block, &live);
    check_ids(ctx->homes[0].block);
    for (uint32_t h = 0; h < ctx->nhomes; h++)
        if (ctx->homes[h].block)
            check_raw(ctx, h, &live);
    each_span(ctx, check_span);
}

/* ---- After recovery ---- */

static void check_settled(struct mega__ctx *ctx, struct mega__span *span)
{
    for (uint32_t e = span->first; e < span->extents; e++) {
        uint64_t w = mega__span_word(span, e);
        unsigned kind = mega__word_kind(w);
        CHECK(kind != MEGA__SLAB_INIT && kind != MEGA__FREEING,
              "home %u span %u extent %u: half-made after recovery",
              WHERE(span, e));
        if (kind != MEGA__SLAB)
            continue;
        CHECK(mega__word_slab_epoch(w) != ctx->epoch14,
              "home %u span %u extent %u: owned after recovery",
              WHERE(span, e));
        const _Atomic uint8_t *marks =
            span->marks + (uint64_t)e * MEGA__EXTENT_GRANULES;
        for (unsigned g = 0; g < MEGA__EXTENT_GRANULES; g++)
            CHECK(marks[g] != ctx->dead_mark,
                  "home %u span %u extent %u: mark %u is DEAD of this epoch",
                  WHERE(span, e), g);
    }
}

static void check_block(struct mega__ctx *ctx, const struct mega__home_block *b,
                        unsigned home, const char *image)
{
    uint64_t epoch = 0, clean = 0, born = 0, reached = 0, lot = 0;
    CHECK(mega__unseal(b->epoch, &epoch) && epoch == ctx->epoch,
          "home %u, %s: epoch %llu, not %llu", home, image,
          (unsigned long long)epoch, (unsigned long long)ctx->epoch);
    CHECK(mega__unseal(b->reached, &reached) && reached == ctx->epoch,
          "home %u, %s: all homes have reached %llu, not %llu", home, image,
          (unsigned long long)reached, (unsigned long long)ctx->epoch);
    CHECK(mega__unseal(b->lot, &lot) &&
              lot == (ctx->epoch << MEGA__LOT_BITS | ctx->draw),
          "home %u, %s: lot %llx of epoch %llu", home, image,
          (unsigned long long)lot, (unsigned long long)ctx->epoch);
    CHECK(mega__unseal(b->clean, &clean) && clean == 0,
          "home %u, %s: still clean of %llu", home, image,
          (unsigned long long)clean);
    CHECK(mega__unseal(b->born, &born) && born == 1, "home %u, %s: unborn",
          home, image);
    for (unsigned i = 0; i < MEGA__INTENTS_MAX; i++)
        CHECK(b->intents[i].seq == 0, "home %u, %s: intent %u not cleared",
              home, image, i);
}

static void check_age(const struct mega__ctx *ctx,
                      const struct mega__pool_age *age, const char *name,
                      const char *image)
{
    uint64_t reached = 0, lot = 0;
    CHECK(mega__unseal(age->reached, &reached) && reached == ctx->epoch &&
              mega__unseal(age->lot, &lot) &&
              lot == (ctx->epoch << MEGA__LOT_BITS | ctx->draw),
          "%s, %s: of epoch %llu, lot %llx, not %llu", name, image,
          (unsigned long long)reached, (unsigned long long)lot,
          (unsigned long long)ctx->epoch);
}

void invariants_of_recovery(struct mega__ctx *ctx)
{
    struct medium *m = medium_in_use();
    each_span(ctx, check_settled);
    for (uint32_t h = 0; h < ctx->nhomes; h++) {
        const struct mega__home_block *seen = ctx->homes[h].block;
        if (!ctx->homes[h].local || ctx->homes[h].how == MEGA__HOW_NONE)
            continue;
        struct medium_file *file = medium_find_addr(m, seen);
        check_block(ctx, seen, h, "as seen");
        check_block(
            ctx, (const void *)(file->media + ((const char *)seen - file->cpu)),
            h, "on the medium");
    }
    for (size_t i = 0; i < m->nfiles && m->how != MEGA__HOW_NONE; i++) {
        const struct medium_file *file = m->files[i];
        const struct mega__pool_root *seen =
            (const void *)(file->cpu + MEDIUM_ROOT_OFF);
        const struct mega__pool_root *kept =
            (const void *)(file->media + MEDIUM_ROOT_OFF);
        if (seen->ident.pool == 0 || strstr(file->name, ".new"))
            continue;
        check_age(ctx, &seen->age, file->name, "as seen");
        check_age(ctx, &kept->age, file->name, "on the medium");
    }
}

/* ---- Decided ---- */

static uint64_t add_block(const struct mega__home_block *b, uint64_t sum)
{
    uint64_t state;
    for (unsigned i = 0; i < MEGA_REGIONS_MAX; i++)
        if (mega__unseal(b->regions[i].state, &state) &&
            (state & 255) > MEGA__REC_GONE)
            sum = seen_hash(&b->regions[i], sizeof b->regions[i], sum + i);
    for (unsigned i = 0; i < MEGA_ROOTS_MAX; i++)
        if (mega__unseal(b->roots[i].state, &state) &&
            (state & 255) > MEGA__REC_GONE)
            sum = seen_hash(&b->roots[i], sizeof b->roots[i], sum + i);
    for (unsigned i = 0; i < MEGA__RUNS_MAX; i++)
        if (mega__unseal(b->runs[i].state, &state) &&
            (state & 255) > MEGA__REC_GONE)
            sum = seen_hash(&b->runs[i], sizeof b->runs[i], sum + i);
    return sum;
}

#define BEGIN 1024 /* of a chunk: holds the slots of what is published here */

static uint64_t add_chunk(const struct mega__span *span, uint64_t off,
                          uint64_t size, uint64_t sum)
{
    if (span->marks[off >> MEGA__GRANULE_SHIFT] != MEGA__MARK_LIVE)
        return sum;
    return seen_hash(span->base + off, size < BEGIN ? size : BEGIN, sum + off);
}

static uint64_t add_extent(struct mega__ctx *ctx, const struct mega__span *span,
                           uint32_t e, uint64_t sum)
{
    uint64_t w = mega__span_word(span, e);
    uint64_t off = (uint64_t)e << MEGA__EXTENT_SHIFT;
    uint64_t is[] = {mega__word_kind(w), mega__word_region(w), 0};
    if (mega__word_kind(w) == MEGA__SLAB && mega__word_class(w) < MEGA__CLASSES)
        is[2] = mega__word_class(w);
    else if (mega__word_kind(w) != MEGA__FREE)
        is[2] = mega__word_len(w);
    sum = seen_hash(is, sizeof is, sum + e);
    if (is[0] == MEGA__SLAB && is[2] < MEGA__CLASSES)
        for (uint32_t k = 0; k < ctx->classes.of[is[2]].capacity; k++)
            sum = add_chunk(span, off + k * ctx->classes.of[is[2]].size,
                            ctx->classes.of[is[2]].size, sum);
    if (is[0] == MEGA__RUN_HEAD && !(mega__word_flags(w) & MEGA__RUN_RAW))
        sum = add_chunk(span, off, BEGIN, sum);
    return sum;
}

uint64_t invariants_decided(struct mega__ctx *ctx)
{
    struct mega__span *span;
    uint64_t sum = 1;
    for (uint32_t h = 0; h < ctx->nhomes; h++) {
        sum = add_block(ctx->homes[h].block, sum);
        for (uint32_t s = 0; s < MEGA__SPANS_MAX &&
                             (span = mega__span_of(ctx, mega__gptr(h, s, 0)));
             s++)
            for (uint32_t e = span->first; e < span->extents; e++)
                sum = add_extent(ctx, span, e, sum);
    }
    return sum ? sum : 1;
}

/* ---- Before it is opened ---- */

static const struct mega__home_block *block_of(const struct medium_file *file)
{
    const char *slash = strrchr(file->name, '/');
    unsigned home;
    int end = 0;
    sscanf(slash ? slash : file->name, "/home-%u.0.pool%n", &home, &end);
    const struct mega__pool_root *root =
        (const void *)(file->media + MEDIUM_ROOT_OFF);
    if (!end || (slash ? slash : file->name)[end] ||
        root->spans[0].listed != 1 || root->spans[0].base >= file->size)
        return NULL;
    return (const void *)(file->media + root->spans[0].base +
                          MEGA__HOME_BLOCK_OFF);
}

/* 0: not clean. */
static uint64_t clean_epoch(const struct medium *m)
{
    uint64_t of_all = 0;
    for (size_t i = 0; i < m->nfiles; i++) {
        const struct mega__home_block *b = block_of(m->files[i]);
        uint64_t clean, epoch;
        if (!b || !mega__unseal(b->clean, &clean) ||
            !mega__unseal(b->epoch, &epoch))
            continue; /* not born yet, or no home's first file */
        CHECK(clean == 0 || clean == epoch,
              "%s: clean of epoch %llu, in epoch %llu", m->files[i]->name,
              (unsigned long long)clean, (unsigned long long)epoch);
        if (clean == 0 || (of_all && of_all != clean))
            return 0;
        of_all = clean;
    }
    return of_all;
}

static void check_clean_span(const struct medium_file *file, uint64_t base,
                             uint64_t epoch)
{
    const char *at = file->media + base;
    const struct mega__span_header *h = (const void *)at;
    const uint64_t *words = (const void *)(at + h->words_off);
    for (uint64_t e = h->first; e < h->size >> MEGA__EXTENT_SHIFT; e++) {
        unsigned kind = mega__word_kind(words[e]);
        CHECK(kind != MEGA__SLAB_INIT && kind != MEGA__FREEING,
              "%s: extent %u is half-made after a clean end", file->name,
              (unsigned)e);
        CHECK(kind != MEGA__SLAB ||
                  !memchr(at + h->marks_off + e * MEGA__EXTENT_GRANULES,
                          mega__dead_mark(epoch), MEGA__EXTENT_GRANULES),
              "%s: extent %u has a mark DEAD of the epoch that ended cleanly",
              file->name, (unsigned)e);
    }
}

static void check_clean(const struct medium *m)
{
    uint64_t epoch = clean_epoch(m);
    for (size_t i = 0; epoch && i < m->nfiles; i++) {
        const struct medium_file *file = m->files[i];
        const struct mega__home_block *b = block_of(file);
        const struct mega__pool_root *root =
            (const void *)(file->media + MEDIUM_ROOT_OFF);
        for (unsigned k = 0; b && k < MEGA__INTENTS_MAX; k++)
            CHECK(b->intents[k].seq == 0, "%s: intent %u after a clean end",
                  file->name, k);
        for (unsigned k = 0; k < MEGA__POOL_SPANS; k++)
            if (root->spans[k].listed == 1)
                check_clean_span(file, root->spans[k].base, epoch);
    }
}

/* False: not born yet, or no home's first file. */
static bool read_epochs(const struct medium_file *file, uint64_t *epoch_p,
                        uint64_t *reached_p)
{
    const struct mega__home_block *b = block_of(file);
    uint64_t born;
    return b && mega__unseal(b->born, &born) && born == 1 &&
           mega__unseal(b->epoch, epoch_p) &&
           mega__unseal(b->reached, reached_p);
}

static void check_epochs(const struct medium *m, uint64_t epoch)
{
    uint64_t least = UINT64_MAX, of_all = 0, of_home0 = 0, own, reached;
    for (size_t i = 0; i < m->nfiles; i++) {
        const char *name = m->files[i]->name;
        if (!read_epochs(m->files[i], &own, &reached))
            continue;
        least = own < least ? own : least;
        of_all = reached > of_all ? reached : of_all;
        of_home0 = strstr(name, "/home-0.0.pool") ? own : of_home0;
        CHECK(reached >= epoch,
              "%s: all homes have reached epoch %llu, it says %llu", name,
              (unsigned long long)epoch, (unsigned long long)reached);
    }
    CHECK(least >= of_home0 && of_home0 >= of_all,
          "epochs: the least is %llu, home 0's %llu, of all %llu",
          (unsigned long long)least, (unsigned long long)of_home0,
          (unsigned long long)of_all);
}

void invariants_of_image(const struct medium *m, uint64_t epoch)
{
    check_clean(m);
    check_epochs(m, epoch);
}
