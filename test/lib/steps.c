/* SPDX-License-Identifier: BSD-3-Clause */
/* steps.c - see steps.h. */
#include "steps.h"

#include <stdlib.h>

#include "log.h"
#include "ops.h"
#include "report.h"

unsigned step_take(struct mega__ctx *ctx, struct scene *s, int home,
                   size_t size, uint64_t tag)
{
    mega_gptr_t p = mega_null();
    struct medium *m = medium_in_use();
    medium_lock(m); /* no point of another rank between the two */
    mega_status_t st = ops_alloc(ctx, OPS_DEFAULT, home, size, &p);
    unsigned i = oracle_add(&s->o, p, size, tag);
    medium_unlock(m);
    if (st) {
        oracle_set(&s->o, i, FATE_NONE);
        CHECK(false, "alloc of %zu: %s", size, mega__errmsg_buffer());
        abort(); /* nothing that follows would make sense */
    }
    ops_fill(ctx, p, size, tag);
    return i;
}

void step_keep(struct mega__ctx *ctx, struct scene *s, unsigned i)
{
    const struct oracle_chunk *c = &s->o.chunks[i];
    CHECK(ops_persist(ctx, c->p, c->size) == MEGA_OK, "persist: %s",
          mega__errmsg_buffer());
    oracle_set(&s->o, i, FATE_LIVE);
}

void step_link_in(struct mega__ctx *ctx, struct scene *s, unsigned i,
                  mega_gptr_t slot)
{
    ops_store(ctx, slot, s->o.chunks[i].p);
    CHECK(ops_persist(ctx, slot, 8) == MEGA_OK, "persist a link");
    oracle_link(&s->o, i, slot);
}

void step_drop(struct mega__ctx *ctx, struct scene *s, unsigned i)
{
    oracle_set(&s->o, i, FATE_MAYBE);
    if (!mega_is_null(s->o.chunks[i].slot)) {
        ops_store(ctx, s->o.chunks[i].slot, mega_null());
        CHECK(ops_persist(ctx, s->o.chunks[i].slot, 8) == MEGA_OK, "unlink");
        oracle_link(&s->o, i, mega_null());
    }
    CHECK(ops_free(ctx, s->o.chunks[i].p) == MEGA_OK, "free: %s",
          mega__errmsg_buffer());
}

void step_drain(struct mega__ctx *ctx)
{
    CHECK(ops_drain(ctx) == MEGA_OK, "drain: %s", mega__errmsg_buffer());
}
