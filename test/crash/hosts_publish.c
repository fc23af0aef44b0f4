/* SPDX-License-Identifier: BSD-3-Clause */
/* hosts_publish.c - publish with slots and chunks on several hosts, crashed at
 * every flush and drain of any of them; see hosts.c. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "intent.h"
#include "log.h"
#include "test/lib/net_delay.h"
#include "test/lib/ops.h"
#include "test/lib/report.h"
#include "test/lib/scenario.h"
#include "test/lib/steps.h"
#include "test/lib/world.h"

#define FAR 1 /* the home of rank 1 */
#define RUN (2 * (size_t)MEGA__EXTENT - 100)

static const int host_of[] = {0, 1, 2};

/* Slot k of a group lies in the table of home k % 2, its chunk on the same home
 * or on the other. v[0]: groups so far, of so many items: */
#define GROUP 4

static void reserve_group(struct mega__ctx *ctx, struct scene *s, bool run,
                          mega_publish_item_t items[GROUP])
{
    const uint64_t g = s->v[0];
    for (unsigned k = 0; k < GROUP; k++) {
        size_t size = run && k == 3 ? RUN : 24 + 16 * k;
        unsigned i = step_reserve(ctx, s, (k + 1) / 2 % 2, size,
                                  k == (run ? 3 : 1) ? 0 : 900 + k);
        s->v[1 + GROUP * g + k] = i;
        items[k] = (mega_publish_item_t){
            MEGA_PUBLISH_ALLOC, s->o.chunks[i].p,
            mega_add(s->p[k % 2], (int64_t)(8 * (GROUP * g + k)))};
    }
    medium_lock(medium_in_use());
    s->v[0]++;
    medium_unlock(medium_in_use());
}

static void set_group(struct scene *s, uint64_t g, enum fate fate,
                      const mega_publish_item_t *links)
{
    for (unsigned k = 0; k < GROUP; k++) {
        unsigned i = (unsigned)s->v[1 + GROUP * g + k];
        oracle_set(&s->o, i, fate);
        if (links)
            oracle_link(&s->o, i, links[k].slot);
    }
}

static void publish_and_undo(struct mega__ctx *ctx, struct scene *s, bool run)
{
    mega_publish_item_t items[GROUP];
    uint64_t g = s->v[0];
    reserve_group(ctx, s, run, items);
    set_group(s, g, FATE_MAYBE, NULL);
    OK(mega__intent_publish(ctx, items, GROUP, MEGA_PERSIST_CONTENTS));
    set_group(s, g, FATE_LIVE, items);
    for (unsigned k = 0; k < GROUP; k++) {
        items[k].op = MEGA_PUBLISH_FREE;
        oracle_link(&s->o, (unsigned)s->v[1 + GROUP * g + k], mega_null());
    }
    set_group(s, g, FATE_MAYBE, NULL);
    OK(mega__intent_publish(ctx, items, GROUP, 0));
    set_group(s, g, FATE_FREE, NULL);
}

static void publish(struct mega__ctx *ctx, int rank, struct scene *s)
{
    if (rank == 0)
        publish_and_undo(ctx, s, true);
}

/* By a record of one of the two homes, lent. */
static void publish_as_guest(struct mega__ctx *ctx, int rank, struct scene *s)
{
    CHECK((rank == 2) == (ctx->my_home < 0), "rank %d has home %d", rank,
          ctx->my_home);
    if (rank == 2)
        publish_and_undo(ctx, s, false);
}

/* After each of the messages of a publish the link breaks once. */
static void publish_over_cuts(struct mega__ctx *ctx, int rank, struct scene *s)
{
    mega_publish_item_t items[GROUP];
    bool done = false;
    for (unsigned n = 0; rank == 0 && n < 3; n++) {
        reserve_group(ctx, s, false, items);
        set_group(s, n, FATE_MAYBE, NULL);
        net_delay_cut_after(ctx->net, n);
        mega_status_t st =
            mega__intent_publish(ctx, items, GROUP, MEGA_PERSIST_CONTENTS);
        CHECK(st == MEGA_ERR_PEER || (st == MEGA_OK && n > 1), "cut %u: %d %s",
              n, st, mega__errmsg_buffer());
        net_delay_cut_after(ctx->net, 1000);
        done = st == MEGA_OK;
        if (done)
            set_group(s, n, FATE_LIVE, items);
    }
    CHECK(rank != 0 || !done || s->v[0] == 3, "it was done too soon");
}

static bool is_live(const struct oracle_live *list, size_t n, mega_gptr_t p)
{
    for (size_t i = 0; i < n; i++)
        if (list[i].p.v == p.v)
            return true;
    return false;
}

/* Of each group, all slots are set and all chunks live, or none. */
static void verify_groups(struct mega__ctx *ctx, const struct scene *s)
{
    struct oracle_live *list;
    size_t n = oracle_walk(ctx, &list);
    for (uint64_t g = 0; g < s->v[0]; g++) {
        unsigned set = 0, live = 0, others = 0;
        for (unsigned k = 0; k < GROUP; k++) {
            unsigned i = (unsigned)s->v[1 + GROUP * g + k];
            mega_gptr_t p = s->o.chunks[i].p;
            mega_gptr_t slot =
                mega_add(s->p[k % 2], (int64_t)(8 * (GROUP * g + k)));
            bool newest = true; /* else a later chunk is there, or may be */
            for (unsigned j = i + 1; j < s->o.n; j++)
                newest &= s->o.chunks[j].p.v != p.v;
            set += ops_load(ctx, slot).v == p.v;
            CHECK(mega_is_null(ops_load(ctx, slot)) ||
                      ops_load(ctx, slot).v == p.v,
                  "slot %u of group %u holds %llx", k, (unsigned)g,
                  (unsigned long long)ops_load(ctx, slot).v);
            live += newest && is_live(list, n, p);
            others += !newest;
        }
        CHECK(set == 0 || set == GROUP, "group %u: %u slots are set",
              (unsigned)g, set);
        CHECK(live + (set ? others : 0) == set,
              "group %u: %u slots are set, %u chunks live", (unsigned)g, set,
              live);
    }
    free(list);
}

/* ---- Freed by publish, wanted by the owner of its slab ---- */

/* All of a slab is in use; chunk 1 is linked from another host. */
static void link_one(struct mega__ctx *ctx, int rank, struct scene *s)
{
    step_table(ctx, rank, s);
    world_barrier(ctx);
    for (unsigned k = 0; rank == 1 && k < 3; k++)
        s->v[k] = step_take(ctx, s, FAR, 20000, 1100 + k);
    for (unsigned k = 0; rank == 1 && k < 3; k++)
        step_keep(ctx, s, (unsigned)s->v[k]);
    world_barrier(ctx);
    if (rank == 0)
        step_link_in(ctx, s, (unsigned)s->v[1], s->p[0]);
}

static void let_the_owner_take(void *arg)
{
    world_barrier(arg);
    world_barrier(arg);
}

/* It looks for room when the mark has changed, and the record still stands. */
static void free_far_from(struct mega__ctx *ctx, int rank, struct scene *s)
{
    unsigned i = (unsigned)s->v[1];
    if (rank == 1) {
        world_barrier(ctx);
        step_keep(ctx, s, step_take(ctx, s, FAR, 20000, 1110));
        world_barrier(ctx);
        return;
    }
    mega_publish_item_t item = {MEGA_PUBLISH_FREE, s->o.chunks[i].p, s->p[0]};
    oracle_link(&s->o, i, mega_null());
    oracle_set(&s->o, i, FATE_MAYBE);
    net_delay_after(ctx->net, let_the_owner_take, ctx);
    OK(mega__intent_publish(ctx, &item, 1, 0));
    step_drain(ctx);
    oracle_set(&s->o, i, FATE_FREE);
}

SCENARIO_TEST(hosts_publish, publish_over_hosts, .nranks = 2, .hosts = host_of,
              .setup = step_table, .act = publish, .verify = verify_groups)
SCENARIO_TEST(hosts_publish, F20_publish_without_a_home, .nranks = 3,
              .hosts = host_of, .founders = 2, .setup = step_table,
              .act = publish_as_guest, .verify = verify_groups,
              .film = FILM_JOB)
SCENARIO_TEST(hosts_publish, publish_over_a_cut, .nranks = 2, .hosts = host_of,
              .setup = step_table, .act = publish_over_cuts,
              .verify = verify_groups)
SCENARIO_TEST(hosts_publish, F1_freed_and_wanted_at_once, .nranks = 2,
              .hosts = host_of, .setup = link_one, .act = free_far_from)
