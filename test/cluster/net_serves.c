/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * net_serves.c - rank program of two hosts, from inside its library: rank 0
 * serves rank 1 when it has no memory for an answer, nor for who has just come,
 * and when somebody of another job has introduced himself as rank 1; and leaves
 * without it.
 */
#include <pthread.h>
#include <stdatomic.h>

#include "api/api.h"
#include "arena.h"
#include "crc.h"
#include "log.h"
#include "net_ucx.h"
#include "rank.h"

static mega_gptr_t chunk; /* of home 0 */

static void begin(void)
{
    MUST(mega_init());
    if (mega_rank() == 0)
        MUST(mega_alloc(MEGA_DEFAULT, 0, 4096, &chunk));
    MUST(mega_bcast(&chunk, sizeof chunk, 0));
    HOLDS(mega__the->homes[0].local == !mega_rank());
}

static void end(const char *what)
{
    MUST(mega_barrier());
    if (mega_rank() == 0)
        printf("passed: %s\n", what);
    MUST(mega_finalize());
}

/* ---- No memory ---- */

static atomic_bool none;    /* for an answer, and all of its thread */
static atomic_uint refused; /* so often */

void *__real_calloc(size_t count, size_t n);
void *__wrap_calloc(size_t count, size_t n);

void *__wrap_calloc(size_t count, size_t n)
{
    if (!none || (!mega__arena_mine->serves &&
                  (count != 1 || n < MEGA__WIRE_PAYLOAD_MAX)))
        return __real_calloc(count, n);
    refused++;
    return NULL;
}

void *__real_malloc(size_t n);
void *__wrap_malloc(size_t n);

void *__wrap_malloc(size_t n)
{
    return none && mega__arena_mine->serves ? NULL : __real_malloc(n);
}

/* The first time that a thread asks for some. */
static _Thread_local bool first;

void *__real_aligned_alloc(size_t align, size_t n);
void *__wrap_aligned_alloc(size_t align, size_t n);

void *__wrap_aligned_alloc(size_t align, size_t n)
{
    if (!first)
        return __real_aligned_alloc(align, n);
    first = false;
    return NULL;
}

static void *flush_without(void *arg)
{
    first = true;
    REFUSED(MEGA_ERR_NOMEM, mega__net_flush(mega__the->net));
    MUST(mega__net_flush(mega__the->net));
    return arg;
}

static void no_arena(int argc, char **argv)
{
    pthread_t thread;
    (void)argc, (void)argv;
    begin();
    HOLDS(pthread_create(&thread, NULL, flush_without, NULL) == 0);
    HOLDS(pthread_join(thread, NULL) == 0);
    end("a thread that has no memory to begin with may try again");
}

static void work(void)
{
    mega_gptr_t p;
    uint64_t seen, one = 1;
    MUST(mega_root_slot(MEGA_DEFAULT, "a name", &p));
    for (int i = 0; i < 300; i++) /* no flush in between */
        MUST(mega_put(mega_add(chunk, 8 * (i % 9)), &one, 8));
    MUST(mega_quiet());
    MUST(mega_put_persist(chunk, &one, 8));
    MUST(mega_get(&seen, chunk, 8));
    HOLDS(seen == 1);
    MUST(mega_alloc(MEGA_DEFAULT, 0, 200000, &p));
    MUST(mega_free(p));
}

static void *work_as_another(void *arg)
{
    work();
    return arg;
}

static void no_memory(int argc, char **argv)
{
    pthread_t thread;
    (void)argc, (void)argv;
    begin();
    none = mega_rank() == 0;
    MUST(mega_barrier());
    if (mega_rank() == 1) {
        work();
        HOLDS(pthread_create(&thread, NULL, work_as_another, NULL) == 0);
        HOLDS(pthread_join(thread, NULL) == 0);
    }
    MUST(mega_barrier());
    none = false;
    HOLDS(mega_rank() != 0 || refused > 0);
    end("who has no memory for an answer gives one");
}

/* ---- Greetings ---- */

#define NOBODYS 1000 /* no origin has this number yet */

static struct mega__origin *second;

static void *has_one(void *arg)
{
    MUST(mega__ucx_enter(mega__the->net, &second));
    mega__ucx_leave(second);
    return arg;
}

/* By o's link: somebody, whose worker is that of at, is origin NOBODYS. */
static void greet(struct mega__origin *o, struct mega__link *link,
                  const struct mega__origin *at, uint64_t epoch)
{
    struct mega__wire_head head = mega__ucx_head(o, MEGA__WIRE_HELLO);
    head.origin = NOBODYS;
    head.epoch = epoch;
    head.crc = mega__crc(at->address, at->address_len);
    MUST(mega__ucx_send(o, link, &head, at->address, at->address_len));
}

static void ask(struct mega__origin *o, struct mega__link *link)
{
    struct mega__call call;
    call.look = false;
    struct mega__wire_head head = mega__ucx_head(o, MEGA__WIRE_ALIVE);
    head.origin = NOBODYS;
    MUST(mega__ucx_request(o, link, &head, NULL, 0, &call));
}

static void greeting(int argc, char **argv)
{
    pthread_t thread;
    struct mega__link *link;
    struct mega__origin *o;
    (void)argc, (void)argv;
    begin();
    if (mega_rank() == 1) {
        const uint64_t epoch = mega__the->epoch;
        HOLDS(pthread_create(&thread, NULL, has_one, NULL) == 0);
        HOLDS(pthread_join(thread, NULL) == 0);
        MUST(mega__ucx_enter(mega__the->net, &o));
        HOLDS(o != second);
        MUST(mega__ucx_server(o, 0, &link));
        greet(o, link, second, epoch - 1);
        greet(o, link, o, epoch);
        ask(o, link);
        mega__ucx_leave(o);
    }
    end("a greeting of another epoch takes nobody's place");
}

/* ---- An answer that comes late ---- */

static bool doubts;      /* whether the server is alive */
static const bool *came; /* the answer */

mega_status_t __real_mega__ucx_await(struct mega__origin *o,
                                     struct mega__link *link, const bool *done,
                                     uint64_t seconds, bool whole);
mega_status_t __wrap_mega__ucx_await(struct mega__origin *o,
                                     struct mega__link *link, const bool *done,
                                     uint64_t seconds, bool whole);

/* The first wait is too short; in the next, for a sign of life, the answer to
 * the question comes, and word of another rank that is lost. */
mega_status_t __wrap_mega__ucx_await(struct mega__origin *o,
                                     struct mega__link *link, const bool *done,
                                     uint64_t seconds, bool whole)
{
    if (!doubts)
        return __real_mega__ucx_await(o, link, done, seconds, whole);
    if (!came) {
        came = done;
        return MEGA_ERR_TIMEOUT;
    }
    doubts = false;
    MUST(__real_mega__ucx_await(o, link, came, 60, true));
    return mega__fail(MEGA_ERR_PEER, "another rank is lost");
}

static void late(int argc, char **argv)
{
    mega_gptr_t slot;
    (void)argc, (void)argv;
    begin();
    doubts = mega_rank() == 1;
    if (mega_rank() == 1)
        MUST(mega_root_slot(MEGA_DEFAULT, "late", &slot));
    HOLDS(!doubts);
    end("an answer counts that comes while its server is in doubt");
}

/* ---- The end of an open that failed ---- */

static bool stays; /* where the others meet for the last time */

void __real_mega__net_stop(struct mega__net **net_p);
void __wrap_mega__net_stop(struct mega__net **net_p);

void __wrap_mega__net_stop(struct mega__net **net_p)
{
    if (stays)
        pause();
    __real_mega__net_stop(net_p);
}

/* Rank 1 never comes to it; the launcher ends it. */
static void refused_open(int argc, char **argv)
{
    (void)argc, (void)argv;
    setenv("MEGALLOC_OPEN", "open", 1); /* there is no space */
    stays = strcmp(getenv("MEGALLOC_HOST"), "host1") == 0;
    REFUSED(MEGA_ERR_NOT_FOUND, mega_init());
    rank_told("there is no space");
    printf("told: rank 1 on host host1 is not waited for: %s\n", mega_errmsg());
    fflush(stdout);
    _exit(75);
}

int main(int argc, char **argv)
{
    static const struct rank_case cases[] = {
        {"no_memory", no_memory},       {"no_arena", no_arena},
        {"greeting", greeting},         {"late", late},
        {"refused_open", refused_open}, {NULL, NULL}};
    return rank_main(cases, argc, argv);
}
