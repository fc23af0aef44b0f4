/* SPDX-License-Identifier: BSD-3-Clause */
/* watch.c - whom ranks ask that wait, how news spread, signs of life. */
#include "watch.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "log.h"
#include "test/lib/boot_threads.h"
#include "test/lib/medium.h"
#include "test/lib/net_delay.h"
#include "test/lib/report.h"

#define RANKS 5
#define MANY 40
#define TIMEOUT 3 /* s */

/* ---- How news spread ---- */

/* A job of which rank 0 is lost and all others wait, in a model: a period is
 * 1, each rank looks at some time in it, having looked so often before. What a
 * rank has found the others of its host know at their next look. */
#define GIVES_UP (7 * MEGA__CONF_LOOKS) /* periods from the question on */
#define LIMIT (8 * MEGA__CONF_LOOKS)    /* MEGALLOC_TIMEOUT */

struct teller {
    int turn; /* a rank: they look in this order */
    unsigned looks, next;
    bool asks_it, knows;
};

struct job {
    int nranks, per_host;
    struct teller *all;
    bool *told; /* by host */
};

static void start(struct job *job, uint64_t seed)
{
    job->all = calloc((size_t)job->nranks, sizeof *job->all);
    job->told = calloc((size_t)job->nranks, sizeof *job->told);
    cr_assert(job->all && job->told);
    for (int i = 0; i < job->nranks; i++) {
        const int k = (int)((medium_random(&seed) >> 33) % (unsigned)(i + 1));
        job->all[i].turn = job->all[k].turn;
        job->all[k].turn = i;
        job->all[i].looks = (unsigned)(medium_random(&seed) >> 32) % 64;
    }
}

static void look(struct job *job, int rank, unsigned period)
{
    struct teller *t = &job->all[rank];
    bool *told = &job->told[rank / job->per_host];
    const int step = mega__watch_step(t->looks + period, job->nranks);
    const int whom = (rank + step) % job->nranks;
    t->knows = *told || t->asks_it || (whom && job->told[whom / job->per_host]);
    *told = t->knows;
    t->asks_it = whom == 0;
    t->next = period + (t->asks_it ? GIVES_UP : 1);
}

/* Before one of these knows, the others have nothing to hear: in a large job
 * to pass over them saves most of the time. */
static bool can_ask_it(int nranks, int rank)
{
    const int distance = nranks - rank;
    return (distance & (distance - 1)) == 0;
}

/* Periods until one knows, and all, after the first has waited one. */
struct spread {
    double first, last;
};

static struct spread spread(int nranks, int per_host, uint64_t seed)
{
    struct job job = {.nranks = nranks, .per_host = per_host};
    struct spread s = {0};
    int know = 1;
    start(&job, seed);
    for (unsigned period = 0; know < nranks; period++)
        for (int i = 0; i < nranks; i++) {
            const int rank = job.all[i].turn;
            const struct teller *t = &job.all[rank];
            if (rank == 0 || (know == 1 && !can_ask_it(nranks, rank)))
                continue;
            if (t->knows || t->next > period)
                continue;
            look(&job, rank, period);
            if (!t->knows)
                continue;
            s.last = period + (double)i / nranks;
            if (know++ == 1)
                s.first = s.last;
        }
    free(job.all);
    free(job.told);
    return s;
}

static unsigned doublings(int nranks)
{
    unsigned n = 0;
    while (1 << n < nranks)
        n++;
    return n;
}

/* The most of ten runs: docs/scaling.md has these. */
static double expect_spread(int nranks, int per_host)
{
    struct spread most = {0};
    for (uint64_t seed = 1; seed <= 10; seed++) {
        struct spread s = spread(nranks, per_host, seed);
        most.first = s.first > most.first ? s.first : most.first;
        most.last = s.last > most.last ? s.last : most.last;
    }
    report_note("%d ranks, %d a host: one knows after %.1f periods, all after "
                "%.1f",
                nranks, per_host, most.first, most.last);
    CHECK(most.last <= GIVES_UP + 5 + doublings(nranks), "%d ranks: %.1f",
          nranks, most.last);
    return most.last;
}

Test(watch, all_hear_of_a_lost_rank_in_about_as_many_looks_as_doublings)
{
    static const int sizes[] = {2, 3, 4, 16, 64, 256, 1000, 4096};
    for (unsigned i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        CHECK(expect_spread(sizes[i], 1) + 1 <= LIMIT, "%d ranks", sizes[i]);
    CHECK(expect_spread(4096, 64) + 1 <= LIMIT, "64 hosts");
    report_settle();
}

/* Some periods later than LIMIT: who is the last to ask the lost rank itself
 * begins with that after as many periods as there are doublings. */
Test(watch, the_largest_job_hears_in_as_many_looks)
{
    (void)expect_spread(1 << 18, 64);
    (void)expect_spread(1 << 18, 1);
    report_settle();
}

Test(watch, a_rank_looks_at_few)
{
    CHECK(mega__watch_step(7, 1) == 1 && mega__watch_step(7, 2) == 1, "few");
    for (unsigned n = 0; n < 40; n++)
        CHECK(mega__watch_step(n, 4096) == 1 << n % 12, "look %u", n);
    report_settle();
}

/* ---- Ranks of several hosts ---- */

static struct mega__ctx *contexts[MANY];
static pid_t stand_in; /* the process of rank 3, if any: ranks are threads */
static _Thread_local bool has_stand_in;

pid_t getpid(void)
{
    return has_stand_in ? stand_in : (pid_t)syscall(SYS_getpid);
}

struct work {
    void (*fn)(struct mega__ctx *ctx, int rank);
};

static void work(struct mega__boot *boot, int rank, void *arg)
{
    struct mega__ctx *ctx = calloc(1, sizeof *ctx);
    CHECK(ctx, "no memory");
    contexts[rank] = ctx;
    has_stand_in = stand_in && rank == 3;
    ctx->boot = boot;
    ctx->place = mega__boot_place(boot);
    ctx->conf.timeout.v.number = TIMEOUT;
    snprintf(ctx->conf.host.v.text, sizeof ctx->conf.host.v.text, "h%d",
             ctx->place.host);
    CHECK(mega__net_start(ctx, &ctx->net) == MEGA_OK, "net");
    CHECK(mega__watch_open(ctx) == MEGA_OK, "open");
    CHECK(mega__boot_barrier(boot) == MEGA_OK, "barrier");
    ((const struct work *)arg)->fn(ctx, rank);
    CHECK(mega__boot_barrier(boot) == MEGA_OK, "barrier");
    mega__net_stop(&ctx->net);
    mega__watch_close(ctx);
    CHECK(!ctx->watch, "closed");
    free(ctx);
}

static void on_ranks(const int *hosts, void (*fn)(struct mega__ctx *, int))
{
    boot_team_run(RANKS, hosts, work, &(struct work){fn});
    report_settle();
}

static void expect(mega_status_t st, mega_status_t want, const char *words)
{
    CHECK(st == want && strstr(mega__errmsg_buffer(), words), "%d, not %d: %s",
          st, want, mega__errmsg_buffer());
}

/* Whoever is lost, who looks at all hosts asks one of each, by turns. */
static void look_at_each_host(struct mega__ctx *ctx, int rank)
{
    static const int hosts[RANKS] = {0, 0, 1, 2, 2};
    int asked[3] = {0};
    for (int lost = 0; lost < RANKS; lost++) {
        unsigned turn = 0;
        net_delay_lose_rank(ctx->net, lost);
        for (int looks = 0; looks < 2; looks++)
            asked[hosts[lost]] +=
                mega__watch_look_farther(ctx, &turn) == MEGA_ERR_PEER;
        CHECK(turn == 2, "%u turns", turn);
    }
    for (int host = 0; host < 3; host++)
        CHECK(asked[host] == (host != hosts[rank]), "%d ranks of host %d",
              asked[host], host);
}

Test(watch, each_host_is_asked_by_turns)
{
    on_ranks((const int[]){0, 0, 1, 2, 2}, look_at_each_host);
}

/* However many they are: in the time that is left to hear of it. */
static void look_at_many(struct mega__ctx *ctx, int rank)
{
    unsigned turn = 0;
    int asked = 0;
    if (rank != 0)
        return;
    for (int lost = 1; lost < MANY; lost++) {
        net_delay_lose_rank(ctx->net, lost);
        for (int looks = 0; looks < MEGA__CONF_LOOKS; looks++)
            if (mega__watch_look_farther(ctx, &turn)) {
                asked++;
                break;
            }
    }
    CHECK(asked == MANY - 1, "%d of %d hosts were asked", asked, MANY - 1);
}

Test(watch, all_of_many_hosts_are_asked_in_time)
{
    int hosts[MANY];
    for (int i = 0; i < MANY; i++)
        hosts[i] = i;
    boot_team_run(MANY, hosts, work, &(struct work){look_at_many});
    report_settle();
}

/* Rank 1 looks at its host for so many seconds more. */
static mega_status_t look_for(int seconds)
{
    static int64_t now = 5000;
    for (; seconds > 0; seconds--, now += 1000)
        mega__watch_beat(contexts[1], now);
    return mega__watch_answer(contexts[1]);
}

static void expect_lost(const char *how)
{
    unsigned turn = 0;
    CHECK(look_for(TIMEOUT) == MEGA_OK, "%s for %d s", how, TIMEOUT);
    expect(look_for(1), MEGA_ERR_TIMEOUT, "rank 3 on host h1");
    expect(mega__watch_look_farther(contexts[1], &turn), MEGA_ERR_TIMEOUT,
           "rank 3 on host h1");
    CHECK(mega__watch_answer(contexts[0]) == MEGA_OK, "another host's");
}

static void signalled(int sig, int options)
{
    int status;
    CHECK(kill(stand_in, sig) == 0, "kill");
    if (options)
        CHECK(waitpid(stand_in, &status, options) == stand_in, "waitpid");
    else
        CHECK(waitid(P_PID, (id_t)stand_in, &(siginfo_t){0},
                     WEXITED | WNOWAIT) == 0,
              "waitid");
}

/* Rank 3 is the second of host 1; each knows it through its own host. */
static void tell_of_lost(struct mega__ctx *ctx, int rank)
{
    (void)ctx;
    if (rank != 1)
        return;
    CHECK(look_for(3 * TIMEOUT) == MEGA_OK, "it gives no sign, but works");
    signalled(SIGSTOP, WUNTRACED);
    expect_lost("stopped");
    mega__watch_beat(contexts[3], 1000000);
    CHECK(look_for(1) == MEGA_OK, "a sign of life");
    expect_lost("stopped again");
    signalled(SIGCONT, WCONTINUED);
    CHECK(look_for(1) == MEGA_OK, "it goes on");
    if (ptrace(PTRACE_SEIZE, stand_in, NULL, NULL) == 0) {
        ptrace(PTRACE_INTERRUPT, stand_in, NULL, NULL);
        CHECK(waitpid(stand_in, NULL, 0) == stand_in, "waitpid");
        CHECK(look_for(3 * TIMEOUT) == MEGA_OK, "in a debugger");
        ptrace(PTRACE_DETACH, stand_in, NULL, NULL);
    }
    signalled(SIGKILL, 0);
    expect_lost("killed");
    waitpid(stand_in, NULL, 0);
    expect(look_for(1), MEGA_ERR_TIMEOUT, "rank 3 on host h1");
    mega__watch_close(contexts[3]);
    CHECK(look_for(1) == MEGA_OK, "it has left");
}

Test(watch, a_rank_tells_of_those_of_its_host)
{
    stand_in = fork();
    cr_assert(stand_in >= 0);
    while (stand_in == 0)
        pause();
    on_ranks((const int[]){0, 1, 0, 1, 2}, tell_of_lost);
}

/* A second before all are stopped is the last that is seen. */
static void go_on_alone(struct mega__ctx *ctx, int rank)
{
    if (rank != 1)
        return;
    signalled(SIGSTOP, WUNTRACED);
    mega__watch_beat(ctx, 1000);
    mega__watch_beat(ctx, 86400000);
    signalled(SIGCONT, WCONTINUED);
    mega__watch_beat(ctx, 86401000);
    CHECK(mega__watch_answer(ctx) == MEGA_OK, "after a day");
    signalled(SIGKILL, 0);
    waitpid(stand_in, NULL, 0);
}

Test(watch, a_job_that_was_stopped_as_a_whole_goes_on)
{
    stand_in = fork();
    cr_assert(stand_in >= 0);
    while (stand_in == 0)
        pause();
    on_ranks((const int[]){0, 1, 0, 1, 2}, go_on_alone);
}

/* One finds a rank lost in a collective; the others of its host know. */
static void tell_host(struct mega__ctx *ctx, int rank)
{
    if (rank == 0) {
        net_delay_lose_rank(ctx->net, 1);
        expect(mega__watch_look_around(ctx), MEGA_ERR_PEER, "rank 1 is lost");
        expect(mega__watch_answer(contexts[2]), MEGA_ERR_PEER,
               "rank 1 is lost");
        expect(mega__watch_look_around(contexts[2]), MEGA_ERR_PEER,
               "rank 1 is lost");
        CHECK(mega__watch_answer(contexts[4]) == MEGA_OK, "another host");
    }
}

Test(watch, what_one_has_found_its_host_knows)
{
    on_ranks((const int[]){0, 1, 0, 1, 2}, tell_host);
}

static void end_late(struct mega__ctx *ctx, int rank)
{
    if (rank > 1)
        return;
    if (rank == 0)
        net_delay_lose_rank(ctx->net, 1);
    for (int look = 1; look <= 4; look++)
        CHECK(mega__watch_look_late(ctx) == MEGA_OK, "it may be through");
    expect(mega__watch_look_late(ctx),
           rank == 0 ? MEGA_ERR_PEER : MEGA_ERR_TIMEOUT,
           rank == 0 ? "rank 1 is lost" : "not all ranks left");
}

Test(watch, who_does_not_leave_the_end_is_named_by_the_one_before)
{
    on_ranks((const int[]){0, 1, 2, 3, 4}, end_late);
}
