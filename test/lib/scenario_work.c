/* SPDX-License-Identifier: BSD-3-Clause */
/* scenario_work.c - see scenario_work.h. */
#include "scenario_work.h"
#include "roll.h"

#include "check.h"
#include "log.h"
#include "ops.h"
#include "report.h"
#include "scenario.h"

#define NEW_CHUNKS 4

static void make_one(struct mega__ctx *ctx, struct oracle *o, size_t size,
                     uint64_t tag)
{
    mega_gptr_t p;
    mega_status_t st = ops_alloc(ctx, OPS_DEFAULT, MEGA_ANY_HOME, size, &p);
    if (st == MEGA_ERR_HOME_FULL)
        return;
    CHECK(st == MEGA_OK, "alloc after the kill: %s", mega__errmsg_buffer());
    unsigned i = oracle_add(o, p, size, tag);
    ops_fill(ctx, p, size, tag);
    CHECK(ops_persist(ctx, p, size) == MEGA_OK, "persist after the kill");
    oracle_set(o, i, FATE_LIVE);
}

static void free_one(struct mega__ctx *ctx, struct oracle *o, unsigned i)
{
    struct oracle_chunk *c = &o->chunks[i];
    oracle_set(o, i, FATE_MAYBE);
    if (!mega_is_null(c->slot)) {
        ops_store(ctx, c->slot, mega_null());
        CHECK(ops_persist(ctx, c->slot, 8) == MEGA_OK, "persist the unlink");
    }
    CHECK(ops_free(ctx, c->p) == MEGA_OK, "free after the kill: %s",
          mega__errmsg_buffer());
    CHECK(ops_drain(ctx) == MEGA_OK, "drain after the kill");
    oracle_set(o, i, FATE_FREE);
}

void scenario_work(struct mega__ctx *ctx, int rank, void *arg)
{
    struct scene *s = arg;
    if (rank != 0)
        return;
    for (unsigned i = 0; i < NEW_CHUNKS; i++)
        make_one(ctx, &s->o, 64, 9000 + i);
    for (unsigned i = 0; !s->hands_off && i < s->o.n; i++)
        if (s->o.chunks[i].fate == FATE_LIVE && s->o.chunks[i].tag < 9000) {
            free_one(ctx, &s->o, i);
            break;
        }
    make_one(ctx, &s->o, 200, 9100);
}

static void tell(const char *what, void *arg)
{
    (void)arg;
    report_fail(__FILE__, __LINE__, "check: %s", what);
}

void scenario_library_check(struct mega__ctx *ctx)
{
    uint64_t bad;
    for (uint32_t h = 0; h < ctx->nhomes; h++)
        if (mega__check_home(ctx, mega__home_at(ctx, h), tell, NULL, &bad) !=
            MEGA_OK)
            tell(mega__errmsg_buffer(), NULL);
}
