/* SPDX-License-Identifier: BSD-3-Clause */
/* api.c - the public calls of megalloc.h, from their own entry on, crashed at
 * every flush and drain: by the one rank of a job, and over two hosts. One
 * rank calls, for the public interface holds one space in a process; the other
 * one serves. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "directory.h"
#include "log.h"
#include "roll.h"
#include "test/lib/ops.h"
#include "test/lib/report.h"
#include "test/lib/scenario.h"
#include "test/lib/steps.h"
#include "test/lib/world.h"

#define EXTENT ((size_t)MEGA__EXTENT)
#define LONG 20000 /* a put of so much does not travel in the message */
#define SLOTS 4    /* v[k]: 1 + the number of the chunk in slot k; 0: none */

static const int host_of[] = {0, 1};

/* The home that is worked on: the other host's, if there is one. */
static int far_home(void)
{
    return mega_nhomes() - 1;
}

static mega_gptr_t slot_of(const struct scene *s, int home, unsigned k)
{
    return mega_add(s->p[home], (int64_t)(8 * k));
}

/* ---- One rank calls ---- */

typedef void calls_fn(struct scene *s);

static void call_by(int caller, calls_fn *calls, struct mega__ctx *ctx,
                    int rank, struct scene *s)
{
    if (rank == caller) {
        mega__the = ctx;
        calls(s);
        mega__the = NULL;
    }
    world_barrier(ctx);
}

/* A chunk, and its number; MAYBE. Nothing is flushed between the two. */
static unsigned take(struct scene *s, int home, size_t size, uint64_t tag)
{
    mega_gptr_t p = mega_null();
    OK(mega_alloc(MEGA_DEFAULT, home, size, &p));
    return oracle_add(&s->o, p, size, tag);
}

static void *filled(size_t n, uint64_t tag)
{
    unsigned char *bytes = malloc(n);
    ops_bytes(bytes, n, tag);
    return bytes;
}

static void put(mega_gptr_t p, size_t n, uint64_t tag)
{
    void *bytes = filled(n, tag);
    OK(mega_put(p, bytes, n));
    free(bytes);
}

/* The contents of chunk i are these from now on, in one piece. */
static void put_persist(struct scene *s, unsigned i, uint64_t tag)
{
    const size_t size = s->o.chunks[i].size;
    void *bytes = filled(size, tag);
    s->o.chunks[i].tag = 0; /* neither the old ones nor the new ones */
    OK(mega_put_persist(s->o.chunks[i].p, bytes, size));
    s->o.chunks[i].tag = tag;
    oracle_set(&s->o, i, FATE_LIVE);
    free(bytes);
}

/* ---- alloc_to, free_from ---- */

static void is_about(struct scene *s, unsigned k, uint64_t size)
{
    medium_lock(medium_in_use());
    s->p[16 + k].v = size;
    medium_unlock(medium_in_use());
}

/* The chunk is the slot's before the call has told which it is: until then
 * p[16 + k] has its size, for learn. */
static void alloc_to(struct scene *s, unsigned k, size_t size)
{
    const mega_gptr_t slot = slot_of(s, far_home(), k);
    mega_gptr_t p = mega_null();
    is_about(s, k, size);
    OK(mega_alloc_to(MEGA_DEFAULT, far_home(), size, slot));
    OK(mega_fetch64(slot, &p.v));
    medium_lock(medium_in_use());
    unsigned i = oracle_add(&s->o, p, size, 0);
    is_about(s, k, 0);
    s->v[k] = i + 1;
    oracle_link(&s->o, i, slot);
    oracle_set(&s->o, i, FATE_LIVE);
    medium_unlock(medium_in_use());
}

static void free_from(struct scene *s, unsigned k)
{
    const mega_gptr_t slot = slot_of(s, far_home(), k);
    unsigned i = (unsigned)s->v[k] - 1;
    oracle_link(&s->o, i, mega_null());
    oracle_set(&s->o, i, FATE_MAYBE);
    OK(mega_free_from(slot));
    oracle_set(&s->o, i, FATE_FREE);
}

static void to_and_from(struct scene *s)
{
    alloc_to(s, 0, 100);
    put_persist(s, (unsigned)s->v[0] - 1, 100);
    alloc_to(s, 1, 3000);
    free_from(s, 0);
    OK(mega_free_from(slot_of(s, far_home(), 0))); /* null: nothing */
    alloc_to(s, 0, 100);                           /* the place again */
    put_persist(s, (unsigned)s->v[0] - 1, 101);
    alloc_to(s, 2, EXTENT + 1);
    free_from(s, 2);
    free_from(s, 1);
}

static void alloc_to_free_from(struct mega__ctx *ctx, int rank, struct scene *s)
{
    call_by(0, to_and_from, ctx, rank, s);
}

/* The home of the slots that are worked on; rank 0 maps all of them now. */
static int home_of_slots(const struct scene *s)
{
    return mega_is_null(s->p[1]) ? 0 : 1;
}

static void learn(struct mega__ctx *ctx, struct scene *s)
{
    for (unsigned k = 0; k < SLOTS; k++) {
        mega_gptr_t p = ops_load(ctx, slot_of(s, home_of_slots(s), k));
        if (s->p[16 + k].v != 0 && !mega_is_null(p))
            s->v[k] = 1 + oracle_add(&s->o, p, s->p[16 + k].v, 0);
    }
}

/* A chunk that may be live is so if and only if its slot says so. */
static void verify_slots(struct mega__ctx *ctx, const struct scene *s)
{
    struct oracle_live *live;
    size_t n = oracle_walk(ctx, &live);
    for (unsigned k = 0; k < SLOTS; k++) {
        const unsigned i = (unsigned)s->v[k] - 1;
        bool is_live = false;
        if (s->v[k] == 0 || s->o.chunks[i].fate != FATE_MAYBE)
            continue;
        mega_gptr_t slot = slot_of(s, home_of_slots(s), k);
        for (size_t j = 0; j < n; j++)
            is_live |= live[j].p.v == s->o.chunks[i].p.v;
        mega_gptr_t holds = ops_load(ctx, slot);
        CHECK(is_live == !mega_is_null(holds), "slot %u: %#llx, live %d", k,
              (unsigned long long)holds.v, is_live);
    }
    free(live);
}

/* ---- persistv ---- */

/* Chunks, links to them, nothing, and of several homes, by one call. */
static void many_ranges(struct scene *s)
{
    mega_iov_t iov[6];
    unsigned i[2], n = 0;
    for (unsigned k = 0; k < 2; k++) {
        int home = k ? far_home() : 0;
        i[k] = take(s, home, 100 + 2900 * k, 200 + k);
        put(s->o.chunks[i[k]].p, s->o.chunks[i[k]].size, 200 + k);
        OK(mega_put(slot_of(s, home, k), &s->o.chunks[i[k]].p, 8));
        iov[n++] = (mega_iov_t){s->o.chunks[i[k]].p, NULL, 60};
        iov[n++] = (mega_iov_t){mega_add(s->o.chunks[i[k]].p, 60), NULL,
                                s->o.chunks[i[k]].size - 60};
        iov[n++] = (mega_iov_t){slot_of(s, home, k), NULL, 8 * (1 - k) + 8};
    }
    iov[0].len = 0;
    iov[1] = (mega_iov_t){s->o.chunks[i[0]].p, NULL, s->o.chunks[i[0]].size};
    OK(mega_persistv(iov, n));
    for (unsigned k = 0; k < 2; k++) {
        oracle_link(&s->o, i[k], slot_of(s, k ? far_home() : 0, k));
        oracle_set(&s->o, i[k], FATE_LIVE);
    }
    OK(mega_persistv(NULL, 0));
}

static void persistv(struct mega__ctx *ctx, int rank, struct scene *s)
{
    call_by(0, many_ranges, ctx, rank, s);
}

/* ---- put_persist, and what else makes durable ---- */

static void puts_that_last(struct scene *s)
{
    unsigned a = take(s, far_home(), 100, 0), b = take(s, 0, LONG, 0);
    put_persist(s, a, 300);
    put_persist(s, b, 301);
    unsigned c = take(s, far_home(), LONG, 0);
    put_persist(s, c, 302);
    put_persist(s, a, 303); /* others in its place */
    const mega_gptr_t slot = slot_of(s, far_home(), 0);
    OK(mega_put_persist(slot, &s->o.chunks[c].p, 8));
    oracle_link(&s->o, c, slot);
}

static void put_persist_twice(struct mega__ctx *ctx, int rank, struct scene *s)
{
    call_by(0, puts_that_last, ctx, rank, s);
}

static void alloc_put_free(struct scene *s)
{
    unsigned a = take(s, far_home(), 100, 310), b = take(s, 0, 100, 0);
    put(s->o.chunks[a].p, 100, 310);
    OK(mega_persist(s->o.chunks[a].p, 100));
    oracle_set(&s->o, a, FATE_LIVE);
    OK(mega_drain());
    oracle_set(&s->o, b, FATE_LIVE);
    oracle_set(&s->o, a, FATE_MAYBE);
    OK(mega_free(s->o.chunks[a].p));
    OK(mega_drain());
    oracle_set(&s->o, a, FATE_FREE);
    unsigned c = take(s, far_home(), 100, 311); /* the place again */
    put(s->o.chunks[c].p, 100, 311);
    OK(mega_persist(s->o.chunks[c].p, 100));
    oracle_set(&s->o, c, FATE_LIVE);
}

static void usual_calls(struct mega__ctx *ctx, int rank, struct scene *s)
{
    call_by(0, alloc_put_free, ctx, rank, s);
}

/* ---- L3: the other rank makes durable what it is given ---- */

typedef mega_status_t give_fn(mega_gptr_t slot, mega_gptr_t p,
                              mega_gptr_t other);

static mega_status_t by_quiet(mega_gptr_t slot, mega_gptr_t p,
                              mega_gptr_t other)
{
    (void)other;
    OK(mega_quiet());
    return mega_amo(MEGA_AMO_SET, 0, 8, slot, p.v, 0, NULL);
}

static mega_status_t by_release(mega_gptr_t slot, mega_gptr_t p,
                                mega_gptr_t other)
{
    (void)other;
    return mega_amo(MEGA_AMO_SET, MEGA_AMO_RELEASE, 8, slot, p.v, 0, NULL);
}

static mega_status_t by_signal(mega_gptr_t slot, mega_gptr_t p,
                               mega_gptr_t other)
{
    return mega_put_signal(other, &p, 8, slot, p.v);
}

static mega_status_t by_unlock(mega_gptr_t slot, mega_gptr_t p,
                               mega_gptr_t other)
{
    OK(mega_lock(other, 0));
    OK(mega_put(slot, &p, 8));
    return mega_unlock(other, 0);
}

static mega_status_t by_barrier(mega_gptr_t slot, mega_gptr_t p,
                                mega_gptr_t other)
{
    (void)other;
    OK(mega_put(slot, &p, 8));
    return mega_barrier();
}

static give_fn *const ways[] = {by_quiet, by_release, by_signal, by_unlock,
                                by_barrier};
static unsigned way; /* rank 0's alone */

/* The claim of the slab must not take a mark along. */
static void warm_up(struct scene *s)
{
    unsigned i = take(s, far_home(), 64, 0);
    OK(mega_persist(s->o.chunks[i].p, 64));
    oracle_set(&s->o, i, FATE_LIVE);
}

static void give_one(struct scene *s)
{
    unsigned i = take(s, far_home(), 64, 320 + way);
    put(s->o.chunks[i].p, 64, 320 + way);
    OK(ways[way](slot_of(s, far_home(), way), s->o.chunks[i].p,
                 slot_of(s, far_home(), 16 + way)));
}

/* Rank 0 does no more for it: what goes along with the next comes too late. */
static void given(struct mega__ctx *ctx, int rank, struct scene *s)
{
    call_by(0, warm_up, ctx, rank, s);
    for (unsigned k = 0; k < sizeof ways / sizeof *ways; k++) {
        if (rank == 0)
            way = k;
        else if (ways[k] == by_barrier)
            world_barrier(ctx);
        call_by(0, give_one, ctx, rank, s);
        if (rank == 1) {
            CHECK(ops_load(ctx, slot_of(s, 1, k)).v ==
                      s->o.chunks[s->o.n - 1].p.v,
                  "it was not given");
            step_keep(ctx, s, s->o.n - 1);
        }
        world_barrier(ctx);
    }
}

/* ---- Roots by name: p[8] was set, p[9] is being set ---- */

#define ABSENT mega_from_bits(UINT64_MAX) /* there is no such name */
#define ROOT "a root"

static void root_is_about(struct scene *s, mega_gptr_t p)
{
    medium_lock(medium_in_use());
    s->p[9] = p;
    medium_unlock(medium_in_use());
}

static void root_is(struct scene *s)
{
    struct medium *m = medium_in_use();
    medium_lock(m);
    s->p[8] = s->p[9];
    if (m->on_point)
        m->on_point(m, "promise", NULL, 0, m->on_point_arg);
    medium_unlock(m);
}

static void root_set(struct scene *s, mega_gptr_t p)
{
    mega_gptr_t got = mega_null();
    root_is_about(s, p);
    OK(mega_root_set(MEGA_DEFAULT, ROOT, p));
    root_is(s);
    OK(mega_root_get(MEGA_DEFAULT, ROOT, &got));
    CHECK(got.v == p.v, "the root has %#llx", (unsigned long long)got.v);
}

static void set_replace_remove(struct scene *s)
{
    /* A durable name makes its chunk durable, too; contents are another's. */
    unsigned a = take(s, 0, 100, 0), b = take(s, 0, 3000, 0);
    root_set(s, s->o.chunks[a].p);
    oracle_set(&s->o, a, FATE_LIVE);
    root_set(s, s->o.chunks[b].p);
    oracle_set(&s->o, b, FATE_LIVE);
    root_set(s, mega_null());
    oracle_set(&s->o, a, FATE_MAYBE);
    OK(mega_free(s->o.chunks[a].p));
    root_is_about(s, ABSENT);
    OK(mega_root_remove(MEGA_DEFAULT, ROOT));
    root_is(s);
    OK(mega_drain());
    oracle_set(&s->o, a, FATE_FREE);
    root_set(s, s->o.chunks[b].p); /* in the same line of the directory */
}

static void no_root(struct mega__ctx *ctx, int rank, struct scene *s)
{
    (void)ctx;
    if (rank == 0)
        s->p[8] = s->p[9] = ABSENT;
    s->hands_off = true;
}

static void root_by_name(struct mega__ctx *ctx, int rank, struct scene *s)
{
    call_by(ctx->place.nranks - 1, set_replace_remove, ctx, rank, s);
}

/* A name that is new may be there and null, before it is set. */
static void verify_root(struct mega__ctx *ctx, const struct scene *s)
{
    const struct mega__root_record *r =
        mega__dir_root_find(mega__home_at(ctx, 0), OPS_DEFAULT, ROOT);
    const mega_gptr_t is = r ? mega_from_bits(r->slot) : ABSENT;
    CHECK(is.v == s->p[8].v || is.v == s->p[9].v ||
              (s->p[8].v == ABSENT.v && s->p[9].v != ABSENT.v && is.v == 0),
          "the root has %#llx, not %#llx, nor %#llx", (unsigned long long)is.v,
          (unsigned long long)s->p[8].v, (unsigned long long)s->p[9].v);
}

#define FAR .nranks = 2, .hosts = host_of

SCENARIO_TEST(api, alloc_to_free_from, .nranks = 1, .setup = step_table,
              .act = alloc_to_free_from, .learn = learn, .verify = verify_slots)
SCENARIO_TEST(api, alloc_to_free_from_far, FAR, .setup = step_table,
              .act = alloc_to_free_from, .learn = learn, .verify = verify_slots)
SCENARIO_TEST(api, persistv, .nranks = 1, .setup = step_table, .act = persistv)
SCENARIO_TEST(api, persistv_over_hosts, FAR, .setup = step_table,
              .act = persistv)
SCENARIO_TEST(api, put_persist, .nranks = 1, .setup = step_table,
              .act = put_persist_twice)
SCENARIO_TEST(api, put_persist_over_hosts, FAR, .setup = step_table,
              .act = put_persist_twice)
SCENARIO_TEST(api, alloc_persist_drain_free, .nranks = 1, .setup = step_table,
              .act = usual_calls)
SCENARIO_TEST(api, alloc_persist_drain_free_far, FAR, .setup = step_table,
              .act = usual_calls)
SCENARIO_TEST(api, L3_given_over_hosts, FAR, .setup = step_table, .act = given)
SCENARIO_TEST(api, root_set_replace_remove, .nranks = 1, .setup = no_root,
              .act = root_by_name, .verify = verify_root)
SCENARIO_TEST(api, root_set_of_another_host, FAR, .setup = no_root,
              .act = root_by_name, .verify = verify_root)
