/* SPDX-License-Identifier: BSD-3-Clause */
/* untouched.c - see untouched.h. */
#include "untouched.h"

#include <stdlib.h>
#include <string.h>

#include "report.h"
#include "roll.h"
#include "span.h"

struct untouched {
    size_t n;
    struct copy {
        const struct medium_file *file;
        char *bytes;
    } of[];
};

struct untouched *untouched_new(const struct medium *m)
{
    struct untouched *u = calloc(1, sizeof *u + m->nfiles * sizeof u->of[0]);
    for (; u->n < m->nfiles; u->n++) {
        struct copy *c = &u->of[u->n];
        c->file = m->files[u->n];
        c->bytes = malloc(c->file->size);
        memcpy(c->bytes, c->file->cpu, c->file->size);
    }
    return u;
}

void untouched_free(struct untouched **u_p)
{
    struct untouched *u = *u_p;
    *u_p = NULL;
    for (size_t i = 0; u && i < u->n; i++)
        free(u->of[i].bytes);
    free(u);
}

/* What was at an address; NULL: the file is new. */
static const char *then(const struct untouched *u, const char *now)
{
    for (size_t i = 0; i < u->n; i++) {
        const struct medium_file *file = u->of[i].file;
        if (now >= file->cpu && now < file->cpu + file->size)
            return u->of[i].bytes + (now - file->cpu);
    }
    return NULL;
}

static bool is_slot(struct mega__ctx *ctx, const struct untouched *u,
                    mega_gptr_t p)
{
    for (uint32_t h = 0; h < ctx->nhomes; h++) {
        const struct mega__span *span = mega__span_of(ctx, mega__gptr(h, 0, 0));
        const struct mega__home_block *b =
            (const void *)then(u, span->base + MEGA__HOME_BLOCK_OFF);
        for (unsigned i = 0; b && i < MEGA__INTENTS_MAX; i++)
            for (uint32_t k = 0; b->intents[i].seq && k < MEGA_PUBLISH_MAX; k++)
                if (b->intents[i].items[k].slot == p.v)
                    return true;
    }
    return false;
}

static void check_span(struct mega__ctx *ctx, const struct untouched *u,
                       const struct mega__span *span)
{
    const char *was = then(u, span->base);
    if (!was || memcmp(was + span->data, span->base + span->data,
                       span->size - span->data) == 0)
        return;
    for (uint64_t off = span->data; off < span->size; off += 8) {
        mega_gptr_t p = mega__span_gptr(span, off);
        if (memcmp(was + off, span->base + off, 8) == 0 || is_slot(ctx, u, p))
            continue;
        CHECK(false, "the open has stored at %#llx", (unsigned long long)p.v);
        return;
    }
}

void untouched_check(struct mega__ctx *ctx, const struct untouched *u)
{
    const struct mega__span *span;
    for (uint32_t h = 0; h < ctx->nhomes; h++)
        for (uint32_t no = 0;
             no < MEGA__SPANS_MAX &&
             (span = mega__span_of(ctx, mega__gptr(h, no, 0))) != NULL;
             no++)
            check_span(ctx, u, span);
}
