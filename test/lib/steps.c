/* SPDX-License-Identifier: BSD-3-Clause */
/* steps.c - see steps.h. */
#include "steps.h"

#include <stdlib.h>

#include "hot.h"
#include "log.h"
#include "ops.h"
#include "report.h"
#include "roll.h"
#include "turns.h"

unsigned step_take(struct mega__ctx *ctx, struct scene *s, int home,
                   size_t size, uint64_t tag)
{
    mega_gptr_t p = mega_null();
    struct medium *m = medium_in_use();
    /* No point of another rank between the two; by turns there is none. A far
     * mark nobody sees until this thread sends it; and the server may have to
     * work for a far chunk. */
    bool here = !turns_mine() &&
                (home < 0 || mega__home_at(ctx, (uint32_t)home)->local);
    if (here)
        medium_lock(m);
    mega_status_t st = ops_alloc(ctx, OPS_DEFAULT, home, size, &p);
    unsigned i = oracle_add(&s->o, p, size, tag);
    if (here)
        medium_unlock(m);
    if (st) {
        oracle_set(&s->o, i, FATE_NONE);
        CHECK(false, "alloc of %zu: %s", size, mega__errmsg_buffer());
        abort(); /* nothing that follows would make sense */
    }
    if (tag)
        ops_fill(ctx, p, size, tag);
    return i;
}

unsigned step_reserve(struct mega__ctx *ctx, struct scene *s, int home,
                      size_t size, uint64_t tag)
{
    mega_gptr_t p = mega_null();
    OK(mega__hot_reserve(ctx, OPS_DEFAULT, home, size, &p));
    unsigned i = oracle_add(&s->o, p, size, tag);
    oracle_set(&s->o, i, FATE_FREE);
    if (tag)
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

void step_table(struct mega__ctx *ctx, int rank, struct scene *s)
{
    unsigned i = step_take(ctx, s, rank, 256, 0);
    s->p[rank] = s->o.chunks[i].p;
    for (int k = 0; k < 32; k++)
        ops_store(ctx, mega_add(s->p[rank], 8 * k), mega_null());
    step_keep(ctx, s, i);
    s->hands_off = true;
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
