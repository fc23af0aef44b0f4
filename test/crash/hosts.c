/* SPDX-License-Identifier: BSD-3-Clause */
/* hosts.c - homes of other hosts: claims, chunks, runs and frees crashed at
 * every flush and drain of any host, over a transport that delivers late and
 * out of order, or loses a rank. Rank r serves home r, on a host of its own;
 * rank 0 is the one that works far away. hosts_publish.c: publish;
 * hosts_laws.c: what a law says. */
#include <criterion/criterion.h>
#include <pthread.h>

#include "arena.h"
#include "chunk.h"
#include "hot.h"
#include "log.h"
#include "rma.h"
#include "roll.h"
#include "space.h"
#include "test/lib/net_delay.h"
#include "test/lib/ops.h"
#include "test/lib/report.h"
#include "test/lib/scenario.h"
#include "test/lib/steps.h"
#include "test/lib/world.h"

#define FAR 1 /* the home of rank 1 */

static const int host_of[] = {0, 1, 2};

/* ---- Claims ---- */

/* One at a time; then what nobody has persisted. */
static void claim(struct mega__ctx *ctx, int rank, struct scene *s)
{
    static const size_t sizes[] = {32, 1000, 20000};
    for (unsigned k = 0; rank == 0 && k < 3; k++)
        step_keep(ctx, s, step_take(ctx, s, FAR, sizes[k], 100 + k));
    for (unsigned k = 0; rank == 0 && k < 3; k++)
        step_take(ctx, s, FAR, sizes[k], 0);
    if (rank == 0)
        step_drain(ctx);
}

/* As mega_alloc_n, which says what it still needs: four in a message. Marks
 * that wait go with it. */
static void claim_several(struct mega__ctx *ctx, int rank, struct scene *s)
{
    if (rank != 0)
        return;
    unsigned waits = step_take(ctx, s, FAR, 64, 200);
    mega__arena(ctx)->wanted = 12;
    unsigned first = step_take(ctx, s, FAR, 20000, OPS_BRIEF | 201);
    mega__arena(ctx)->wanted = 0;
    CHECK(mega__arena(ctx)->count.claims == 5, "%llu claims",
          (unsigned long long)mega__arena(ctx)->count.claims);
    for (unsigned k = 1; k < 5; k++) /* more than one of them holds */
        step_take(ctx, s, FAR, 20000, k < 4 ? 0 : OPS_BRIEF | 202);
    step_keep(ctx, s, first);
    step_keep(ctx, s, first + 4);
    step_keep(ctx, s, waits);
}

/* Both ranks claim on one home, far and at home. */
static void claim_at_once(struct mega__ctx *ctx, int rank, struct scene *s)
{
    for (unsigned k = 0; k < 6; k++)
        step_keep(ctx, s,
                  step_take(ctx, s, FAR, 32768,
                            250 + 10 * (uint64_t)rank + (uint64_t)k));
}

/* ---- Chunks ---- */

/* A list of far chunks from a far slot, a free, the place again. */
static void alloc_persist_free(struct mega__ctx *ctx, int rank, struct scene *s)
{
    unsigned i[3];
    mega_gptr_t slot = s->p[FAR];
    if (rank != 0)
        return;
    for (unsigned k = 0; k < 3; k++) {
        i[k] = step_take(ctx, s, FAR, 40 + 30 * k, 0);
        mega_gptr_t p = s->o.chunks[i[k]].p;
        ops_store(ctx, p, mega_null());
        step_keep(ctx, s, i[k]);
        step_link_in(ctx, s, i[k], slot);
        slot = p;
    }
    step_drop(ctx, s, i[2]);
    step_drain(ctx);
    oracle_set(&s->o, i[2], FATE_FREE);
    step_keep(ctx, s, step_take(ctx, s, FAR, 100, 300));
    unsigned j = step_take(ctx, s, FAR, 100, 0);
    step_drop(ctx, s, j); /* its mark was never sent */
    step_drain(ctx);
    oracle_set(&s->o, j, FATE_FREE);
}

/* Chunks of the server's slab, freed far away; it takes their places. */
static void some_of_the_server(struct mega__ctx *ctx, int rank, struct scene *s)
{
    for (unsigned k = 0; rank == 1 && k < 4; k++)
        step_keep(ctx, s, step_take(ctx, s, FAR, 20000, 500 + k));
    s->hands_off = true;
}

static void free_of_the_server(struct mega__ctx *ctx, int rank, struct scene *s)
{
    if (rank == 0) {
        step_drop(ctx, s, 0);
        step_drop(ctx, s, 2);
        step_drain(ctx);
        oracle_set(&s->o, 0, FATE_FREE);
        oracle_set(&s->o, 2, FATE_FREE);
        step_drop(ctx, s, 1); /* not drained */
    }
    world_barrier(ctx);
    for (unsigned k = 0; rank == 1 && k < 4; k++)
        step_keep(ctx, s, step_take(ctx, s, FAR, 20000, 510 + k));
}

/* ---- Adoption, giving up ---- */

/* The far home full of slabs. */
static void fill(struct mega__ctx *ctx, struct scene *s, size_t size)
{
    mega_gptr_t p;
    mega_status_t st;
    while (!(st = ops_alloc(ctx, OPS_DEFAULT, FAR, size, &p)))
        step_keep(ctx, s, oracle_add(&s->o, p, size, 0));
    CHECK(st == MEGA_ERR_HOME_FULL, "%d %s", st, mega__errmsg_buffer());
    CHECK(s->o.n > 8, "the home was full at once");
}

/* Three of them have room. */
static void server_fills(struct mega__ctx *ctx, int rank, struct scene *s)
{
    if (rank != 1)
        return;
    fill(ctx, s, 20000);
    for (unsigned k = 0; k < 3; k++)
        step_drop(ctx, s, 4 * k);
    step_drain(ctx);
    for (unsigned k = 0; k < 3; k++)
        oracle_set(&s->o, 4 * k, FATE_FREE);
}

/* Two are adopted, and given up again at the end. */
static void adopt(struct mega__ctx *ctx, int rank, struct scene *s)
{
    if (rank != 0)
        return;
    step_keep(ctx, s, step_take(ctx, s, FAR, 20000, 600));
    step_keep(ctx, s, step_take(ctx, s, FAR, 20000, 601));
    CHECK(mega__arena(ctx)->count.adoptions >= 2, "nothing was adopted");
    step_drop(ctx, s, 5); /* of a slab that may have no owner */
    step_drain(ctx);
    oracle_set(&s->o, 5, FATE_FREE);
}

/* A thread's slabs are given up with it: one in use, nothing of it durable
 * yet, one empty. */
static void *claim_and_end(void *arg)
{
    struct scene *s = ((void **)arg)[1];
    struct mega__ctx *ctx = ((void **)arg)[0];
    step_take(ctx, s, FAR, 64, 650);
    step_drop(ctx, s, step_take(ctx, s, FAR, 3000, 651));
    return NULL;
}

static void give_up(struct mega__ctx *ctx, int rank, struct scene *s)
{
    pthread_t thread;
    if (rank != 0)
        return;
    pthread_create(&thread, NULL, claim_and_end, (void *[]){ctx, s});
    pthread_join(thread, NULL);
    for (unsigned k = 0; k < 3; k++)
        step_keep(ctx, s, step_take(ctx, s, FAR, 64, 652 + k));
}

static void all_free(struct scene *s, unsigned from, unsigned to)
{
    medium_lock(medium_in_use()); /* one point for all of them */
    for (unsigned k = from + 1; k < to; k++)
        s->o.chunks[k].fate = FATE_FREE;
    medium_unlock(medium_in_use());
    oracle_set(&s->o, from, FATE_FREE);
}

/* More slabs than a thread keeps: the oldest is given up while it is in use;
 * its chunks are persisted after that. Then the newest ones are given up empty,
 * before their frees were sent. */
static void give_up_unsent(struct mega__ctx *ctx, int rank, struct scene *s)
{
    if (rank != 0)
        return;
    for (unsigned k = 0; k < 32; k++) {
        mega_gptr_t p = mega_null();
        OK(ops_alloc(ctx, OPS_DEFAULT, FAR, 20000, &p));
        oracle_add(&s->o, p, 20000, 0);
    }
    CHECK(mega__arena(ctx)->count.disowned > 0, "no slab was given up");
    for (unsigned k = 0; k < 3; k++)
        step_keep(ctx, s, k);
    step_drain(ctx);
    for (unsigned k = 24; k < 32; k++)
        step_drop(ctx, s, k);
    CHECK(mega__arena_trim(mega__arena(ctx), mega__home_at(ctx, FAR)) > 1,
          "no slab was empty");
    step_drain(ctx);
    all_free(s, 24, 32);
}

static void fill_far(struct mega__ctx *ctx, int rank, struct scene *s)
{
    if (rank == 0)
        fill(ctx, s, 32768);
}

/* Slabs of them freed, given up, and the room used otherwise. */
static void change_class(struct mega__ctx *ctx, int rank, struct scene *s)
{
    const unsigned n = 8;
    if (rank != 0)
        return;
    for (unsigned k = 0; k < n; k++)
        step_drop(ctx, s, k);
    for (unsigned k = 0; k < 8; k++)
        step_keep(ctx, s, step_take(ctx, s, FAR, 8192, 700 + k));
    step_drain(ctx);
    all_free(s, 0, n);
}

static void fill_there(struct mega__ctx *ctx, int rank, struct scene *s)
{
    if (rank == FAR)
        fill(ctx, s, 20000);
}

/* The server releases them, which need not be durable; so the medium has their
 * words when marks of others come there, where no chunk of theirs begins. */
static void change_hands(struct mega__ctx *ctx, int rank, struct scene *s)
{
    const unsigned n = s->o.n;
    world_barrier(ctx);
    if (rank == FAR) {
        for (unsigned k = 0; k < n; k++)
            step_drop(ctx, s, k);
        step_drain(ctx);
        all_free(s, 0, n);
        mega__arena_trim(mega__arena(ctx), mega__home_at(ctx, FAR));
    }
    world_barrier(ctx);
    if (rank != 0)
        return;
    for (unsigned k = 0; k < 4; k++)
        step_take(ctx, s, FAR, 32768, 750 + k);
    for (unsigned k = 0; k < 4; k++)
        step_keep(ctx, s, n + k);
}

/* ---- Runs ---- */

#define RUN(extents) ((extents) * (size_t)MEGA__EXTENT - 100)

/* Runs are live before the call returns: where they come was tried before. */
static void where_runs_come(struct mega__ctx *ctx, int rank, struct scene *s)
{
    if (rank != 0)
        return;
    OK(ops_alloc(ctx, OPS_DEFAULT, FAR, RUN(2), &s->p[2]));
    OK(ops_alloc(ctx, OPS_DEFAULT, FAR, RUN(3), &s->p[3]));
    OK(ops_free(ctx, s->p[3]));
    OK(ops_free(ctx, s->p[2]));
}

static unsigned take_run(struct mega__ctx *ctx, struct scene *s, size_t size,
                         mega_gptr_t p, uint64_t tag)
{
    mega_gptr_t q = mega_null();
    unsigned i = oracle_add(&s->o, p, 100, tag); /* so much has the tag */
    OK(ops_alloc(ctx, OPS_DEFAULT, FAR, size, &q));
    CHECK(q.v == p.v, "the run came to %#llx", (unsigned long long)q.v);
    ops_fill(ctx, q, 100, tag);
    return i;
}

static void runs(struct mega__ctx *ctx, int rank, struct scene *s)
{
    mega_gptr_t p = mega_null();
    if (rank != 0)
        return;
    unsigned a = take_run(ctx, s, RUN(2), s->p[2], 800);
    step_keep(ctx, s, a);
    unsigned b = take_run(ctx, s, RUN(3), s->p[3], 801);
    step_drop(ctx, s, a);
    oracle_set(&s->o, a, FATE_FREE);
    step_keep(ctx, s, take_run(ctx, s, RUN(2), s->p[2], 802));
    step_drop(ctx, s, b);
    oracle_set(&s->o, b, FATE_FREE);
    OK(mega__hot_reserve(ctx, OPS_DEFAULT, FAR, RUN(3), &p));
    OK(mega__chunk_cancel(ctx, p));
    step_keep(ctx, s, step_take(ctx, s, FAR, 3000, 803));
}

#define SOME 3

static void where_some_come(struct mega__ctx *ctx, int rank, struct scene *s)
{
    if (rank != 0)
        return;
    OK(ops_alloc_n(ctx, FAR, RUN(2), SOME, &s->p[2]));
    for (unsigned k = 0; k < SOME; k++)
        OK(ops_free(ctx, s->p[2 + k]));
}

/* By one message, as mega_alloc_n: live, durably, when all are. */
static void some_runs(struct mega__ctx *ctx, int rank, struct scene *s)
{
    mega_gptr_t p[SOME];
    unsigned i[SOME];
    if (rank != 0)
        return;
    for (unsigned k = 0; k < SOME; k++)
        i[k] = oracle_add(&s->o, s->p[2 + k], RUN(2), 0);
    OK(ops_alloc_n(ctx, FAR, RUN(2), SOME, p));
    for (unsigned k = 0; k < SOME; k++) {
        CHECK(p[k].v == s->p[2 + k].v, "a run came to %#llx",
              (unsigned long long)p[k].v);
        oracle_set(&s->o, i[k], FATE_LIVE);
    }
    step_drop(ctx, s, i[1]);
    oracle_set(&s->o, i[1], FATE_FREE);
}

/* ---- Anything ---- */

static unsigned any_live(const struct scene *s, uint64_t r)
{
    for (unsigned k = 0; k < s->o.n; k++)
        if (s->o.chunks[(r + k) % s->o.n].fate == FATE_LIVE)
            return (unsigned)((r + k) % s->o.n);
    return s->o.n;
}

static void turn(struct mega__ctx *ctx, struct scene *s, uint64_t r)
{
    static const size_t sizes[] = {48, 48, 100, 20000};
    unsigned i = s->o.n;
    if (r % 8 < 4)
        i = step_take(ctx, s, (int)(r >> 8 & 1), sizes[r >> 12 & 3],
                      r % 8 < 3 ? r | OPS_BRIEF : 0);
    else
        i = any_live(s, r >> 8); /* also what the other has made */
    if (i == s->o.n)
        return;
    if (r % 8 < 3)
        step_keep(ctx, s, i);
    if (r % 8 >= 4)
        step_drop(ctx, s, i);
    if (r % 8 >= 6) {
        step_drain(ctx);
        oracle_set(&s->o, i, FATE_FREE);
    }
}

/* Both ranks, in turns: the same again with the same seed. What waits is
 * drained before it has more images than can be looked at. */
static void random_work(struct mega__ctx *ctx, int rank, struct scene *s)
{
    uint64_t seed = s->seed * 7919 + 1;
    for (int k = 0; k < 32; k++) {
        uint64_t r = medium_random(&seed) >> 20;
        if (k % 2 == rank)
            turn(ctx, s, r);
        if (k % 8 == 6 + rank)
            step_drain(ctx);
        world_barrier(ctx);
    }
}

/* ---- A rank is lost ---- */

/* With a claim, marks, frees and puts that have not got there. */
static void lose_a_rank(struct mega__ctx *ctx, int rank, struct scene *s)
{
    mega_gptr_t p;
    if (rank == 0) {
        step_keep(ctx, s, step_take(ctx, s, FAR, 200, 1000));
        step_take(ctx, s, FAR, 200, 1001);
        step_drop(ctx, s, 0);
        net_delay_lose(ctx->net);
        CHECK(ops_drain(ctx) == MEGA_ERR_PEER, "a drain to a lost host");
        CHECK(ops_alloc(ctx, OPS_DEFAULT, FAR, 9000, &p) == MEGA_ERR_PEER,
              "alloc on a lost host");
        step_keep(ctx, s, step_take(ctx, s, 0, 200, 1002));
    }
    world_barrier(ctx);
    if (rank == 1) {
        step_drop(ctx, s, 1);
        step_drain(ctx);
        oracle_set(&s->o, 1, FATE_FREE);
        step_keep(ctx, s, step_take(ctx, s, FAR, 200, 1003));
        step_keep(ctx, s, step_take(ctx, s, FAR, 20000, 1004));
    }
}

SCENARIO_TEST(hosts, claim_far_slabs, .nranks = 2, .hosts = host_of,
              .act = claim)
SCENARIO_TEST(hosts, claim_several_far_slabs, .nranks = 2, .hosts = host_of,
              .act = claim_several)
SCENARIO_TEST(hosts, claim_far_and_at_home, .nranks = 2, .hosts = host_of,
              .act = claim_at_once)
SCENARIO_TEST(hosts, F23_alloc_persist_free, .nranks = 2, .hosts = host_of,
              .setup = step_table, .act = alloc_persist_free)
SCENARIO_TEST(hosts, far_free_of_the_servers_chunks, .nranks = 2,
              .hosts = host_of, .setup = some_of_the_server,
              .act = free_of_the_server)
SCENARIO_TEST(hosts, F10_adopt_far_after_a_clean_end, .nranks = 2,
              .hosts = host_of, .setup = server_fills, .act = adopt,
              .film = FILM_JOB)
SCENARIO_TEST(hosts, F3_adopt_far_after_a_kill, .nranks = 2, .hosts = host_of,
              .setup = server_fills, .act = adopt, .film = FILM_JOB,
              .unclean = true)
SCENARIO_TEST(hosts, give_up_far_slabs, .nranks = 2, .hosts = host_of,
              .act = give_up)
SCENARIO_TEST(hosts, give_up_what_was_not_sent, .nranks = 2, .hosts = host_of,
              .home_size = "4M", .home_max = "4M", .act = give_up_unsent)
SCENARIO_TEST(hosts, F9_change_class_far, .nranks = 2, .hosts = host_of,
              .setup = fill_far, .act = change_class)
SCENARIO_TEST(hosts, F9_change_hands, .nranks = 2, .hosts = host_of,
              .setup = fill_there, .act = change_hands)
SCENARIO_TEST(hosts, F11_far_runs, .nranks = 2, .hosts = host_of,
              .setup = where_runs_come, .act = runs)
SCENARIO_TEST(hosts, F11_some_far_runs, .nranks = 2, .hosts = host_of,
              .setup = where_some_come, .act = some_runs)
SCENARIO_TEST(hosts, random_work, .nranks = 2, .hosts = host_of,
              .act = random_work)
SCENARIO_TEST(hosts, lose_a_rank, .nranks = 2, .hosts = host_of,
              .setup = some_of_the_server, .act = lose_a_rank)
