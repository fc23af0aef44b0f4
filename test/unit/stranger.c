/* SPDX-License-Identifier: BSD-3-Clause */
/* stranger.c - an agent is asked, and sent, what no build of ours would: it
 * answers each, and what was stored stays; test/cluster/net_fuzz.c does the
 * same over the wire. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "agent.h"
#include "check.h"
#include "chunk.h"

#include "far.h"
#include "hot.h"
#include "log.h"
#include "net.h"
#include "part.h"
#include "roll.h"
#include "span.h"
#include "test/lib/invariants.h"
#include "test/lib/medium.h"
#include "test/lib/ops.h"
#include "test/lib/report.h"
#include "test/lib/world.h"

#define ROUNDS 40000
#define KEPT 8
#define BYTES 100000 /* a run of two extents */

static struct medium *m;
static mega_gptr_t kept[2 * KEPT]; /* chunks and runs of home 0 */

static void begin(void)
{
    m = world_begin();
    world_set("HOME_SIZE", "6M");
    world_set("HOME_MAX", "24M");
}

static void end(void)
{
    world_end(&m);
    report_settle();
}

TestSuite(stranger, .init = begin, .fini = end, .timeout = 120);

static size_t kept_size(unsigned i)
{
    return i % 2 ? BYTES : 64;
}

static void keep_some(struct mega__ctx *ctx, int rank)
{
    for (unsigned i = 0; rank == 0 && i < 2 * KEPT; i++) {
        OK(ops_alloc(ctx, OPS_DEFAULT, 0, kept_size(i), &kept[i]));
        ops_fill(ctx, kept[i], kept_size(i), i);
        OK(ops_persist(ctx, kept[i], kept_size(i)));
    }
    world_barrier(ctx);
}

static void all_is_there(struct mega__ctx *ctx, int rank)
{
    uint64_t bad = 1;
    size_t usable;
    world_barrier(ctx);
    for (unsigned i = 0; rank == 0 && i < 2 * KEPT; i++) {
        CHECK(ops_filled(ctx, kept[i], kept_size(i), i), "bytes of %u", i);
        OK(mega__chunk_usable(ctx, kept[i], &usable));
    }
    if (rank == 0)
        OK(mega__check_home(ctx, mega__home_at(ctx, 0), NULL, NULL, &bad));
    CHECK(rank != 0 || bad == 0, "%d violations", (int)bad);
    world_barrier(ctx);
}

/* ---- Questions ---- */

static uint64_t pick(uint64_t *seed, const uint64_t *of, unsigned n)
{
    return of[(medium_random(seed) >> 20) % n];
}

/* A number as it may be, or just not. */
static uint64_t odd_number(uint64_t *seed)
{
    uint64_t near = kept[(medium_random(seed) >> 20) % (2 * KEPT)].v;
    const uint64_t of[] = {0,
                           1,
                           2,
                           3,
                           MEGA__CLASSES - 1,
                           MEGA__CLASSES,
                           MEGA__INTENTS_MAX - 1,
                           MEGA__INTENTS_MAX,
                           MEGA_ROOTS_MAX,
                           MEGA__REGION_ID_MAX,
                           MEGA__REGION_ID_MAX + UINT64_C(1),
                           UINT32_MAX,
                           UINT64_C(1) << 32 | MEGA__REGION_DEFAULT,
                           MEGA__SPAN_EXTENTS_MAX - 1,
                           MEGA__SPAN_EXTENTS_MAX,
                           UINT64_MAX,
                           UINT64_MAX / 17 * 16,
                           near + 16,
                           near + 8,
                           near ^ UINT64_C(1) << 34,
                           mega__gptr(1, 0, mega_offset((mega_gptr_t){near})).v,
                           mega__gptr(0, 0, MEGA__HOME_BLOCK_OFF).v,
                           medium_random(seed)};
    return pick(seed, of, sizeof of / sizeof of[0]);
}

struct answer {
    pthread_mutex_t lock;
    pthread_cond_t came;
    bool done;
};

static void on_answer(struct mega__request *req, void *arg)
{
    struct answer *a = arg;
    (void)req;
    pthread_mutex_lock(&a->lock);
    a->done = true;
    pthread_cond_signal(&a->came);
    pthread_mutex_unlock(&a->lock);
}

static void ask(struct mega__ctx *ctx, struct mega__request *req)
{
    struct answer a = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0};
    struct mega__post post = {.req = req, .done = on_answer, .arg = &a};
    mega__agent_post(ctx->agent, &post);
    pthread_mutex_lock(&a.lock);
    while (!a.done) /* never: the test's time ends */
        pthread_cond_wait(&a.came, &a.lock);
    pthread_mutex_unlock(&a.lock);
}

static void ask_oddly(struct mega__ctx *ctx, uint64_t *seed, unsigned *refused)
{
    const uint64_t homes[] = {0, 0, 0, 0, 1, 2, UINT32_MAX};
    struct mega__request req = {.op =
                                    (uint32_t)(medium_random(seed) >> 20) % 15,
                                .home = (uint32_t)pick(seed, homes, 7),
                                .arg = {odd_number(seed), odd_number(seed)}};
    if (req.op == 14)
        req.op = (uint32_t)(medium_random(seed) >> 20);
    memset(req.text, 'x', (medium_random(seed) >> 20) % sizeof req.text);
    if (medium_random(seed) >> 40 & 1)
        memset(req.text, 255, sizeof req.text); /* without an end */
    ask(ctx, &req);
    if (req.status) {
        ++*refused;
        CHECK(req.status < 0 && req.text[0] &&
                  memchr(req.text, 0, sizeof req.text),
              "op %u: %d without a sentence", req.op, req.status);
    }
}

static void be_asked(struct mega__ctx *ctx, int rank, void *arg)
{
    uint64_t seed = 7;
    unsigned refused = 0;
    (void)arg;
    keep_some(ctx, rank);
    if (rank == 0) {
        for (unsigned i = 0; i < ROUNDS; i++)
            ask_oddly(ctx, &seed, &refused);
        CHECK(refused > ROUNDS / 2 && refused < ROUNDS, "%u of %u refused",
              refused, ROUNDS);
    }
    all_is_there(ctx, rank);
    if (rank == 1) /* it still answers */
        OK(mega__hot_alloc(ctx, OPS_DEFAULT, 0, 50000, &(mega_gptr_t){0}));
    world_barrier(ctx);
}

static void find_sound(struct mega__ctx *ctx, int rank, void *arg)
{
    (void)arg;
    if (rank == 0)
        invariants_of_format(ctx);
    all_is_there(ctx, rank);
}

Test(stranger, odd_questions_are_refused_and_harm_nothing)
{
    world_on_hosts(m, 2, be_asked, WORLD_KILL);
    world_on_hosts(m, 2, find_sound, WORLD_CLOSE);
}

/* ---- What was wrong ---- */

static void refused_by(struct mega__ctx *ctx, uint32_t op, uint64_t arg0,
                       uint64_t arg1, const char *text, mega_status_t st,
                       const char *why)
{
    struct mega__request req = {.op = op, .arg = {arg0, arg1}};
    memcpy(req.text, text, strlen(text));
    ask(ctx, &req);
    CHECK(req.status == (int)st && strstr(req.text, why), "op %u: %d %s", op,
          req.status, req.text);
}

static void ask_for_what_is_not(struct mega__ctx *ctx, int rank, void *arg)
{
    char name[MEGA_NAME_MAX + 2] = "";
    (void)arg;
    keep_some(ctx, rank);
    if (rank == 0) {
        memset(name, 'n', MEGA_NAME_MAX + 1);
        refused_by(ctx, MEGA__ASK_ROOT_MAKE, 7, 0, "name", MEGA_ERR_ARG,
                   "no region 7");
        refused_by(ctx, MEGA__ASK_ROOT_MAKE, UINT64_C(1) << 32 | 1, 0, "name",
                   MEGA_ERR_ARG, "no region 4294967297");
        refused_by(ctx, MEGA__ASK_ROOT_MAKE, 1, 0, name, MEGA_ERR_ARG,
                   "more than 63 bytes");
        refused_by(ctx, MEGA__ASK_ROOT_MAKE, 1, 0, "", MEGA_ERR_ARG, "0 bytes");
        refused_by(ctx, MEGA__ASK_RUN_CLAIM, 7, 1, "", MEGA_ERR_ARG,
                   "no region 7");
        refused_by(ctx, MEGA__ASK_RUN_FREE, mega__gptr(1, 0, 1 << 20).v,
                   MEGA__RUN_LIVE, "", MEGA_ERR_ARG, "is not on home 0");
        refused_by(ctx, MEGA__ASK_RUN_FREE, 0, MEGA__RUN_LIVE, "", MEGA_ERR_ARG,
                   "is not on home 0");
        refused_by(ctx, MEGA__ASK_GROW, 1, UINT64_MAX / 17 * 16, "",
                   MEGA_ERR_TOO_BIG, "fit in no span");
    }
    all_is_there(ctx, rank);
}

Test(stranger, is_told_what_was_wrong)
{
    world_on_hosts(m, 2, ask_for_what_is_not, WORLD_CLOSE);
}

/* ---- Parts ---- */

/* Bytes for memory that is not there, or not all of it. */
static void send_oddly(struct mega__ctx *ctx, uint64_t *seed)
{
    static const char bytes[64];
    struct mega__span *span = mega__span_of(ctx, mega__gptr(0, 0, 0));
    uint64_t r = medium_random(seed) >> 8;
    const mega_gptr_t of[] = {mega__gptr(0, 0, span->size - r % 64),
                              mega__gptr(0, 0, span->size + r % (1 << 20)),
                              mega__gptr(0, 200, r % span->size),
                              mega__gptr(1, 0, r % span->size),
                              mega__gptr(2, 0, r % span->size),
                              mega_from_bits(UINT64_MAX),
                              mega_from_bits(medium_random(seed) | 1u << 30)};
    const uint64_t lengths[] = {65, UINT64_MAX, UINT64_MAX - 64,
                                UINT64_C(1) << 63};
    struct mega__part part = {
        .p = of[(medium_random(seed) >> 20) % (sizeof of / sizeof of[0])],
        .n = pick(seed, lengths, 4),
        .marks = medium_random(seed) >> 40 & 1};
    struct mega__arena *a = mega__arena(ctx);
    if (medium_random(seed) >> 41 & 1 && part.n == 65) {
        part.src = bytes;
        part.n = 64;
        part.p = mega_add(part.p, mega_offset(part.p) < span->size ? 1 : 0);
        if (mega__span_range(ctx, part.p, 64))
            return; /* it would be right */
    }
    mega_status_t st = part.src ? mega__part_store(ctx, a, &part)
                                : mega__part_apply(ctx, a, &part);
    CHECK(st == MEGA_ERR_ARG, "%d for %#llx bytes at %#llx", st,
          (unsigned long long)part.n, (unsigned long long)part.p.v);
}

static void be_sent(struct mega__ctx *ctx, int rank, void *arg)
{
    uint64_t seed = 9;
    (void)arg;
    keep_some(ctx, rank);
    for (unsigned i = 0; rank == 0 && i < ROUNDS; i++)
        send_oddly(ctx, &seed);
    if (rank == 0) /* nothing to put, at a good place */
        CHECK(mega__part_store(ctx, mega__arena(ctx),
                               &(struct mega__part){.p = kept[0], .n = 8}) ==
                  MEGA_ERR_ARG,
              "a put without bytes");
    all_is_there(ctx, rank);
}

Test(stranger, parts_that_fit_nowhere_are_refused)
{
    world_on_hosts(m, 2, be_sent, WORLD_KILL);
    world_on_hosts(m, 2, find_sound, WORLD_CLOSE);
}

/* Mapped here, and served by the other rank of the host, whose agent knows what
 * waits there. */
static void be_sent_anothers(struct mega__ctx *ctx, int rank, void *arg)
{
    static const char bytes[64];
    (void)arg;
    keep_some(ctx, rank);
    world_barrier(ctx);
    if (!ctx->homes[0].serving) {
        struct mega__part part = {.p = kept[0], .n = 64, .src = bytes};
        CHECK(mega__span_range(ctx, part.p, 64), "it is not mapped");
        CHECK(mega__part_store(ctx, mega__arena(ctx), &part) == MEGA_ERR_ARG &&
                  mega__part_apply(ctx, mega__arena(ctx), &part) ==
                      MEGA_ERR_ARG &&
                  strstr(mega__errmsg_buffer(), "serves no such memory"),
              "%s", mega__errmsg_buffer());
    }
    all_is_there(ctx, rank);
}

Test(stranger, parts_for_another_of_the_host_are_refused)
{
    OK(world_do(2, be_sent_anothers, NULL));
}
