/* SPDX-License-Identifier: BSD-3-Clause */
/* agent.c - how long one waits for the server of a home of this host. */
#include "agent.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "arena.h"
#include "log.h"
#include "test/lib/report.h"
#include "test/lib/world.h"
#include "watch.h"

#define TIMEOUT_MS 2000

static struct medium *m;

static void begin(void)
{
    m = world_begin();
    world_set("TIMEOUT", "2");
}

static void end(void)
{
    world_set("TIMEOUT", NULL);
    world_end(&m);
    report_settle();
}

TestSuite(agent, .init = begin, .fini = end, .timeout = 60);

/* The threads of this process that let the signal through. */
static int listeners(int sig)
{
    char path[64], line[256];
    unsigned long long blocked;
    int n = 0;
    DIR *dir = opendir("/proc/self/task");
    cr_assert(dir);
    for (struct dirent *d; (d = readdir(dir));) {
        snprintf(path, sizeof path, "/proc/self/task/%.20s/status", d->d_name);
        FILE *file = fopen(path, "r");
        while (file && fgets(line, sizeof line, file))
            if (sscanf(line, "SigBlk: %llx", &blocked) == 1)
                n += !(blocked >> (sig - 1) & 1);
        if (file)
            fclose(file);
    }
    closedir(dir);
    return n;
}

static void listen_after(struct mega__ctx *ctx, int rank, void *arg)
{
    const int before = *(int *)arg;
    world_barrier(ctx);
    if (rank == 0) {
        /* One that is being started hears nothing yet. */
        for (int i = 0; i < 5000 && listeners(SIGSEGV) != before + 4; i++)
            usleep(1000);
        CHECK(listeners(SIGSEGV) == before + 4, "faults are hidden");
        CHECK(listeners(SIGUSR1) == before + 2, "%d threads take a handler",
              listeners(SIGUSR1));
    }
    world_barrier(ctx);
}

/* Two ranks, each with an agent. */
Test(agent, handlers_of_the_program_do_not_run_on_it)
{
    int before = listeners(SIGUSR1);
    cr_assert_eq(world_do(2, listen_after, &before), MEGA_OK);
}

/* Rank 1 asks the server of home 0, which says nothing any more. */
static void ask_in_vain(struct mega__ctx *ctx)
{
    struct mega__request req = {.op = MEGA__ASK_HOME};
    int64_t began = mega__watch_now_ms();
    mega_status_t st = mega__agent_ask(ctx, &ctx->homes[0], &req);
    CHECK(st == MEGA_ERR_TIMEOUT &&
              strstr(mega__errmsg_buffer(), "rank 0, which serves home 0"),
          "%d: %s", st, mega__errmsg_buffer());
    CHECK(mega__watch_now_ms() - began >= TIMEOUT_MS, "after %d ms",
          (int)(mega__watch_now_ms() - began));
}

/* As of a server that is stopped, or killed, while a home grows. */
static void stop_growing(struct mega__ctx *ctx, int rank, void *arg)
{
    (void)arg;
    if (rank == 0) {
        mega__agent_halt(ctx->agent);
        atomic_store(&ctx->seg->ranks[0].growing, 1);
    }
    world_barrier(ctx);
    if (rank == 1)
        ask_in_vain(ctx);
    world_barrier(ctx);
}

Test(agent, a_server_that_is_stopped_while_it_grows_is_given_up)
{
    struct world w = {.nranks = 2, .fn = stop_growing, .end = WORLD_KILL};
    cr_assert_eq(world_run(&w), MEGA_OK, "%s", w.message);
}

/* It grows for longer than the limit, giving signs of life. */
static void grow_long(struct mega__ctx *ctx, int rank, void *arg)
{
    struct mega__request req = {.op = MEGA__ASK_HOME};
    static _Atomic bool done;
    int64_t began = mega__watch_now_ms();
    (void)arg;
    done = false;
    if (rank == 0) {
        mega__agent_halt(ctx->agent);
        atomic_store(&ctx->seg->ranks[0].growing, 1);
    }
    world_barrier(ctx);
    if (rank == 1) {
        mega_status_t st = mega__agent_ask(ctx, &ctx->homes[0], &req);
        CHECK(st == MEGA_ERR_TIMEOUT, "%d", st);
        CHECK(mega__watch_now_ms() - began >= 2 * TIMEOUT_MS, "after %d ms",
              (int)(mega__watch_now_ms() - began));
        done = true;
    }
    while (rank == 0 && !done) {
        if (mega__watch_now_ms() - began < TIMEOUT_MS + 500)
            mega__watch_beat(ctx, mega__watch_now_ms());
        usleep(50000);
    }
    world_barrier(ctx);
}

Test(agent, a_server_that_grows_is_waited_for_while_it_gives_signs_of_life)
{
    struct world w = {.nranks = 2, .fn = grow_long, .end = WORLD_KILL};
    cr_assert_eq(world_run(&w), MEGA_OK, "%s", w.message);
}

/* ---- After a server that is stopped ---- */

static mega_status_t ask(struct mega__ctx *ctx, uint32_t home)
{
    struct mega__request req = {.op = MEGA__ASK_HOME, .home = home};
    return mega__agent_ask(ctx, &ctx->homes[home], &req);
}

static void names_rank_1(mega_status_t st)
{
    CHECK(st == MEGA_ERR_TIMEOUT &&
              strstr(mega__errmsg_buffer(), "rank 1, which serves home 1"),
          "%d: %s", st, mega__errmsg_buffer());
}

/* arg: MEGA__MAIL_POSTED, or SERVING, as if it was stopped at work. */
static void stop_rank_1(struct mega__ctx *ctx, int rank, void *arg)
{
    const enum mega__mail_state state = *(enum mega__mail_state *)arg;
    struct mega__mail *mail = &ctx->seg->ranks[0].mail;
    if (rank == 1)
        mega__agent_halt(ctx->agent);
    world_barrier(ctx);
    if (rank == 1 && state != MEGA__MAIL_POSTED) {
        const uint32_t one = MEGA__MAIL_STEP;
        while (atomic_load(&mail->state) != MEGA__MAIL_POSTED + one)
            usleep(1000);
        atomic_store(&mail->state, state + one);
    }
    if (rank == 0) {
        names_rank_1(ask(ctx, 1));
        CHECK(ask(ctx, 2) == MEGA_OK, "%s", mega__errmsg_buffer());
        CHECK(ask(ctx, 0) == MEGA_OK, "%s", mega__errmsg_buffer());
    }
    world_barrier(ctx);
}

Test(agent, who_has_waited_in_vain_may_ask_others)
{
    enum mega__mail_state state = MEGA__MAIL_POSTED;
    struct world w = {
        .nranks = 3, .fn = stop_rank_1, .arg = &state, .end = WORLD_KILL};
    cr_assert_eq(world_run(&w), MEGA_OK, "%s", w.message);
    state = MEGA__MAIL_SERVING;
    cr_assert_eq(world_run(&w), MEGA_OK, "%s", w.message);
}

/* As of a server that is stopped while it takes the request. */
static void stop_serving(struct mega__ctx *ctx, int rank, void *arg)
{
    struct mega__mail *mail = &ctx->seg->ranks[0].mail;
    (void)arg;
    if (rank == 0) {
        mail->req.home = 1;
        atomic_store(&mail->state, MEGA__MAIL_COPYING + MEGA__MAIL_STEP * 1);
        names_rank_1(ask(ctx, 0));
        atomic_store(&mail->state, MEGA__MAIL_DONE); /* it goes on */
        CHECK(ask(ctx, 0) == MEGA_OK, "%s", mega__errmsg_buffer());
    }
    world_barrier(ctx);
}

Test(agent, the_server_that_keeps_a_request_is_named)
{
    struct world w = {.nranks = 2, .fn = stop_serving, .end = WORLD_KILL};
    cr_assert_eq(world_run(&w), MEGA_OK, "%s", w.message);
}

static void make_root(struct mega__ctx *ctx, int rank, void *arg)
{
    struct mega__request req = {.op = MEGA__ASK_ROOT_MAKE,
                                .arg = {MEGA__REGION_DEFAULT}};
    mega_counters_t before, after;
    (void)arg;
    strcpy(req.text, "root");
    mega__arena_count_all(ctx, &before);
    world_barrier(ctx);
    if (rank == 1)
        CHECK(mega__agent_ask(ctx, &ctx->homes[0], &req) == MEGA_OK, "%s",
              mega__errmsg_buffer());
    world_barrier(ctx);
    mega__arena_count_all(ctx, &after);
    CHECK((after.fences > before.fences) == (rank == 0), "%d fences of rank %d",
          (int)(after.fences - before.fences), rank);
}

Test(agent, what_it_makes_durable_is_counted)
{
    cr_assert_eq(world_do(2, make_root, NULL), MEGA_OK);
}

/* ---- Growth ---- */

/* No growth would satisfy it. */
static void ask_for_more(struct mega__ctx *ctx, int rank, void *arg)
{
    struct mega__request req = {.op = MEGA__ASK_GROW, .arg = {1000, 1}};
    (void)rank, (void)arg;
    CHECK(mega__agent_ask(ctx, &ctx->homes[0], &req) == MEGA_ERR_ARG, "%s",
          mega__errmsg_buffer());
    CHECK(ctx->homes[0].seg->nspans == 1, "it has grown");
}

Test(agent, a_growth_beyond_spans_that_nobody_has_seen_is_refused)
{
    cr_assert_eq(world_do(1, ask_for_more, NULL), MEGA_OK);
}

/* ---- One that has ended ---- */

static void count(struct mega__request *req, void *arg)
{
    (void)req;
    ++*(int *)arg;
}

/* A rank of another host that has not heard of it yet asks it. */
static void post_to_ended(struct mega__ctx *ctx, int rank, void *arg)
{
    struct mega__request req = {.op = MEGA__ASK_HOME};
    (void)arg;
    if (rank == 0) {
        int answers = 0;
        struct mega__post post = {.req = &req, .done = count, .arg = &answers};
        mega__agent_halt(ctx->agent);
        mega__agent_post(ctx->agent, &post);
        CHECK(answers == 1, "%d answers", answers);
        CHECK(req.status == MEGA_ERR_PEER && strstr(req.text, "rank 0"),
              "%d: %s", req.status, req.text);
    }
    world_barrier(ctx);
}

Test(agent, one_that_has_ended_is_a_rank_that_is_gone)
{
    struct world w = {.nranks = 2, .fn = post_to_ended, .end = WORLD_KILL};
    cr_assert_eq(world_run(&w), MEGA_OK, "%s", w.message);
}

/* One of this host does: its request is not served any more, or has come too
 * late. */
static void ask_ended(struct mega__ctx *ctx, int rank, void *arg)
{
    (void)arg;
    if (rank == 0)
        mega__agent_halt(ctx->agent);
    world_barrier(ctx);
    if (rank == 0) {
        usleep(200000);
        mega__watch_close(ctx);
    }
    for (int i = 0; rank == 1 && i < 2; i++) {
        const int64_t began = mega__watch_now_ms();
        mega_status_t st = ask(ctx, 0);
        CHECK(st == MEGA_ERR_PEER &&
                  strstr(mega__errmsg_buffer(), "rank 0 has ended"),
              "%d: %s", st, mega__errmsg_buffer());
        CHECK(mega__watch_now_ms() - began < TIMEOUT_MS, "after %d ms",
              (int)(mega__watch_now_ms() - began));
    }
    world_barrier(ctx);
}

Test(agent, one_of_this_host_that_has_ended_is_not_waited_for)
{
    struct world w = {.nranks = 2, .fn = ask_ended, .end = WORLD_KILL};
    cr_assert_eq(world_run(&w), MEGA_OK, "%s", w.message);
}

/* ---- Signals ---- */

static void nothing(int signal)
{
    (void)signal;
}

static pthread_t asker;
static _Atomic bool has_asked;

static void interrupt(struct mega__ctx *ctx, int rank, void *arg)
{
    (void)arg;
    if (rank == 0) {
        mega__agent_halt(ctx->agent);
    } else {
        asker = pthread_self();
    }
    world_barrier(ctx);
    if (rank == 1) {
        ask_in_vain(ctx);
        has_asked = true;
    }
    while (rank == 0 && !has_asked) { /* as a profiler does */
        pthread_kill(asker, SIGUSR1);
        usleep(2000);
    }
    world_barrier(ctx);
}

Test(agent, signals_do_not_make_the_wait_shorter)
{
    struct sigaction act = {.sa_handler = nothing};
    struct world w = {.nranks = 2, .fn = interrupt, .end = WORLD_KILL};
    sigaction(SIGUSR1, &act, NULL);
    cr_assert_eq(world_run(&w), MEGA_OK, "%s", w.message);
}
