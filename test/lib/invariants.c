/* SPDX-License-Identifier: BSD-3-Clause */
/* invariants.c - see invariants.h. */
#include "invariants.h"

#include <string.h>

#include "directory.h"
#include "medium.h"
#include "report.h"
#include "span.h"

#define WHERE(span, e)                                                         \
    (unsigned)(span)->home->no, (unsigned)(span)->no, (unsigned)(e)

static void check_run(const struct mega__span *span, uint32_t e, uint64_t w)
{
    uint32_t len = mega__word_len(w);
    CHECK(len >= 1 && len <= span->extents - e,
          "home %u span %u extent %u: a run of %u extents", WHERE(span, e),
          len);
    CHECK((mega__word_flags(w) & ~MEGA__RUN_RAW) == 0,
          "home %u span %u extent %u: flags", WHERE(span, e));
    for (uint32_t i = 1; i < len && e + i < span->extents; i++) {
        uint64_t t = mega__span_word(span, e + i);
        CHECK(mega__word_kind(t) == MEGA__RUN_TAIL && mega__word_len(t) == i &&
                  mega__word_region(t) == mega__word_region(w) &&
                  mega__word_flags(t) == 0,
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

void invariants_of_format(struct mega__ctx *ctx)
{
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
    uint64_t epoch = 0, clean = 0, born = 0;
    CHECK(mega__unseal(b->epoch, &epoch) && epoch == ctx->epoch,
          "home %u, %s: epoch %llu, not %llu", home, image,
          (unsigned long long)epoch, (unsigned long long)ctx->epoch);
    CHECK(mega__unseal(b->clean, &clean) && clean == 0,
          "home %u, %s: still clean of %llu", home, image,
          (unsigned long long)clean);
    CHECK(mega__unseal(b->born, &born) && born == 1, "home %u, %s: unborn",
          home, image);
    for (unsigned i = 0; i < MEGA__INTENTS_MAX; i++)
        CHECK(b->intents[i].seq == 0, "home %u, %s: intent %u not cleared",
              home, image, i);
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
}
