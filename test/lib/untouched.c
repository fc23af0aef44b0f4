/* SPDX-License-Identifier: BSD-3-Clause */
/* untouched.c - see untouched.h. */
#include "untouched.h"

#include <stdlib.h>
#include <string.h>

#include "report.h"
#include "roll.h"
#include "span.h"

struct image_pair {
    struct medium *now, *then;
};

/* What was at an address; NULL: the file is new. */
static const char *then(const struct image_pair *p, const char *now)
{
    const struct medium_file *file = medium_find_addr(p->now, now);
    const struct medium_file *old =
        file ? medium_find(p->then, file->name) : NULL;
    return old ? old->media + (now - file->cpu) : NULL;
}

static bool is_slot(struct mega__ctx *ctx, const struct image_pair *pair,
                    mega_gptr_t p)
{
    for (uint32_t h = 0; h < ctx->nhomes; h++) {
        const struct mega__span *span = mega__span_of(ctx, mega__gptr(h, 0, 0));
        const struct mega__home_block *b =
            (const void *)then(pair, span->base + MEGA__HOME_BLOCK_OFF);
        for (unsigned i = 0; b && i < MEGA__INTENTS_MAX; i++)
            for (uint32_t k = 0; b->intents[i].seq && k < MEGA_PUBLISH_MAX; k++)
                if (b->intents[i].items[k].slot == p.v)
                    return true;
    }
    return false;
}

static void check_span(struct mega__ctx *ctx, const struct image_pair *pair,
                       const struct mega__span *span)
{
    const char *was = then(pair, span->base);
    if (!was || memcmp(was + span->data, span->base + span->data,
                       span->size - span->data) == 0)
        return;
    for (uint64_t off = span->data; off < span->size; off += 8) {
        mega_gptr_t p = mega__span_gptr(span, off);
        if (memcmp(was + off, span->base + off, 8) == 0 ||
            is_slot(ctx, pair, p))
            continue;
        CHECK(false, "the open has stored at %#llx", (unsigned long long)p.v);
        return;
    }
}

void untouched_check(struct mega__ctx *ctx, struct medium *now,
                     struct medium *then)
{
    const struct image_pair pair = {now, then};
    const struct mega__span *span;
    for (uint32_t h = 0; h < ctx->nhomes; h++)
        for (uint32_t no = 0;
             no < MEGA__SPANS_MAX &&
             (span = mega__span_of(ctx, mega__gptr(h, no, 0))) != NULL;
             no++)
            check_span(ctx, &pair, span);
}
