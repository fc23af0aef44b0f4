/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * net_inside.c - rank program of two hosts, from inside its library: what a
 * server answers to requests that make no sense, and what a rank does where a
 * link has a network card, which is only said here.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "agent.h"
#include "api/api.h"
#include "arena.h"
#include "net_ucx.h"
#include "rank.h"

static mega_gptr_t chunk; /* of home 0, which is far for rank 1 */

static void begin(void)
{
    MUST(mega_init());
    if (mega_rank() == 0) {
        MUST(mega_alloc(MEGA_DEFAULT, 0, 4096, &chunk));
        MUST(mega_put_persist(chunk, "untouched", 10));
    }
    MUST(mega_bcast(&chunk, sizeof chunk, 0));
    HOLDS(mega__the->homes[0].local == !mega_rank());
}

static void end(const char *what)
{
    MUST(mega_barrier());
    if (mega_rank() == 0) {
        HOLDS(strcmp(mega_ptr(chunk), "untouched") == 0);
        printf("passed: %s\n", what);
    }
    rank_check_all();
    MUST(mega_finalize());
}

/* ---- Requests ---- */

struct odd {
    uint32_t op, nparts;
    struct mega__wire_part part;
    size_t len; /* of what is sent behind the head */
    const char *told;
};

static void send_odd(const struct odd *odd)
{
    struct {
        struct mega__wire_part part[2];
        char bytes[64];
    } out = {.part = {odd->part}, .bytes = "overwritten"};
    struct mega__origin *o;
    struct mega__link *link;
    struct mega__call call;
    MUST(mega__ucx_enter(mega__the->net, &o));
    MUST(mega__ucx_server(o, 0, &link));
    struct mega__wire_head head = mega__ucx_head(o, odd->op);
    head.nparts = odd->nparts;
    REFUSED(MEGA_ERR_ARG,
            mega__ucx_request(o, link, &head, &out, odd->len, &call));
    rank_told(odd->told);
    mega__ucx_leave(o);
}

static void answered(int argc, char **argv)
{
    const size_t one = sizeof(struct mega__wire_part);
    (void)argc, (void)argv;
    begin();
    const uint64_t p = chunk.v, far = UINT64_C(1) << 40;
    const uint64_t mine = mega__gptr(1, 0, mega_offset(chunk)).v;
    const struct odd odds[] = {
        {MEGA__WIRE_DURABLE, MEGA__PARTS_MAX + 1, {p, 8, 0, 0}, one, "short"},
        {MEGA__WIRE_DURABLE, UINT32_MAX, {p, 8, 0, 0}, one, "short"},
        {MEGA__WIRE_DURABLE, 2, {p, 8, 0, 0}, one, "short"},
        {MEGA__WIRE_DURABLE, 1, {p, 8, 0, 0}, one - 1, "short"},
        {MEGA__WIRE_DURABLE, 1, {p, 65, 0, 1}, one + 64, "short"},
        {MEGA__WIRE_DURABLE, 1, {p, UINT64_MAX, 0, 1}, one + 64, "short"},
        {MEGA__WIRE_DURABLE, 1, {p, UINT64_MAX, 1, 0}, one, "too many bytes"},
        {MEGA__WIRE_DURABLE,
         1,
         {p, MEGA__WIRE_COVERED_MAX + 1, 1, 0},
         one,
         "too many bytes"},
        {MEGA__WIRE_DURABLE, 1, {p + far, 8, 0, 1}, one + 8, "no such memory"},
        {MEGA__WIRE_DURABLE, 1, {mine, 8, 0, 1}, one + 8, "no such memory"},
        {MEGA__WIRE_DURABLE, 1, {UINT64_MAX, 8, 0, 1}, one + 8, "no such"},
        {MEGA__WIRE_PUT, 1, {p, 65, 0, 1}, one + 64, "short"},
        {MEGA__WIRE_PUT, 1, {p, 8, 0, 0}, one, "has none"},
        {MEGA__WIRE_PUT, 1, {mine, 8, 0, 1}, one + 8, "no such memory"},
        {MEGA__WIRE_ASK, 0, {p, 8, 0, 0}, one, "short"},
        {77, 0, {p, 8, 0, 0}, one, "77"},
    };
    for (size_t i = 0; mega_rank() == 1 && i < sizeof odds / sizeof *odds; i++)
        send_odd(&odds[i]);
    end("requests that make no sense are refused, with what is wrong");
}

/* ---- A card, a loss ---- */

static uint64_t trips(void)
{
    return mega__net_counts(mega__the->net).round_trips;
}

static void on_card(bool yes)
{
    struct mega__origin *o;
    struct mega__link *link;
    MUST(mega__ucx_enter(mega__the->net, &o));
    MUST(mega__ucx_server(o, 0, &link));
    link->hardware = yes;
    mega__ucx_leave(o);
}

/* An origin is given up, as when UCX does not end what a lost rank keeps. */
static void kill_origin(void)
{
    struct mega__origin *o;
    struct mega__link *link;
    MUST(mega__ucx_enter(mega__the->net, &o));
    MUST(mega__ucx_server(o, 0, &link));
    mega__ucx_break(link, UCS_ERR_CONNECTION_RESET);
    o->dead = true;
    mega__ucx_leave(o);
}

static void end_lost(const char *what)
{
    char met = 0;
    MUST(mega_bcast(&met, 1, mega_nranks() - 1)); /* a barrier is a quiet */
    if (mega_rank() == 0)
        printf("passed: %s\n", what);
    REFUSED(MEGA_ERR_PEER, mega_finalize());
}

/* What was complete is of no interest any more. */
static void dead(int argc, char **argv)
{
    static const char word[8];
    (void)argc, (void)argv;
    begin();
    if (mega_rank() == 1) {
        MUST(mega_put(mega_add(chunk, 64), word, sizeof word));
        MUST(mega_quiet());
        kill_origin();
        MUST(mega_quiet());
    }
    end_lost("what was complete when an origin was given up is not missed");
}

static void lost(mega_status_t got)
{
    HOLDS(got == MEGA_ERR_PEER);
    rank_told("rank 0 on host host0");
}

static void undone(int argc, char **argv)
{
    static const char word[8];
    (void)argc, (void)argv;
    begin();
    const mega_gptr_t p = mega_add(chunk, 64);
    if (mega_rank() == 1) {
        MUST(mega_put_nbi(p, word, sizeof word));
        kill_origin();
        lost(mega_quiet());
        lost(mega_quiet()); /* and it stays so: an unlock is one (L3) */
        lost(mega_put_nbi(p, word, sizeof word));
        lost(mega_persist(p, sizeof word));
        lost(mega__net_flush_all(mega__the->net));
        lost(mega__net_flush_all(mega__the->net));
    }
    end_lost("what was under way when an origin was given up is told");
}

/* A link breaks while an atomic is under way: after the flush nothing is
 * written where its result was to come. */
static void pending(int argc, char **argv)
{
    struct mega__link *link;
    struct mega__origin *o;
    uint64_t old = 77;
    (void)argc, (void)argv;
    begin();
    if (mega_rank() == 1) {
        MUST(mega__net_get(mega__the->net, &old, chunk, 8)); /* it is met */
        MUST(mega__net_amo_nbi(mega__the->net, MEGA_AMO_ADD, 8,
                               mega_add(chunk, 64), 1, 0, &old));
        MUST(mega__ucx_enter(mega__the->net, &o));
        link = mega__ucx_met(o, 0);
        HOLDS(link->pending == 1);
        mega__ucx_break(link, UCS_ERR_CONNECTION_RESET);
        mega__ucx_leave(o);
        lost(mega__net_flush_home(mega__the->net, 0));
        HOLDS(link->pending == 0 || o->dead); /* then UCX writes nothing */
    }
    end_lost("no result comes after a flush that failed");
}

/* The last rank has put to ranks 0 and 1, and gives up for what rank 0 does. */
static void healthy(int argc, char **argv)
{
    struct mega__origin *o;
    mega_gptr_t other;
    (void)argc, (void)argv;
    begin();
    if (mega_rank() == 1)
        MUST(mega_alloc(MEGA_DEFAULT, 1, 64, &other));
    MUST(mega_bcast(&other, sizeof other, 1));
    if (mega_rank() == 2) {
        for (int turn = 0; turn < 2; turn++) { /* the first meets them */
            MUST(mega_quiet());
            MUST(mega_put(mega_add(chunk, 64), "", 1));
            MUST(mega_put(other, "", 1));
        }
        kill_origin();
        o = mega__arena(mega__the)->origin;
        pthread_mutex_lock(&o->mutex);
        mega_status_t st = mega__ucx_flush(o);
        pthread_mutex_unlock(&o->mutex);
        lost(st);
        lost(mega_put(other, "", 1)); /* it may come after what was given up */
    }
    end_lost("who does not answer is told, not who shares its fate");
}

/* A thread needs a worker of its own, for which there are no descriptors. */
static void *put_without_files(void *arg)
{
    struct rlimit before, none;
    HOLDS(getrlimit(RLIMIT_NOFILE, &before) == 0);
    none = before;
    none.rlim_cur = 3;
    HOLDS(setrlimit(RLIMIT_NOFILE, &none) == 0);
    mega_status_t st = mega_put(mega_add(chunk, 64), "", 1);
    HOLDS(setrlimit(RLIMIT_NOFILE, &before) == 0);
    REFUSED(MEGA_ERR_NOMEM, st);
    rank_told("a worker of UCX: ");
    MUST(mega_put(mega_add(chunk, 64), "", 1));
    MUST(mega_quiet());
    return arg;
}

static void no_worker(int argc, char **argv)
{
    pthread_t thread;
    (void)argc, (void)argv;
    begin();
    if (mega_rank() == 1) {
        MUST(mega_put(mega_add(chunk, 64), "", 1)); /* the span is known */
        HOLDS(pthread_create(&thread, NULL, put_without_files, NULL) == 0);
        HOLDS(pthread_join(thread, NULL) == 0);
    }
    end("why a thread gets no worker is told, and it may try again");
}

/* Instead of UCX's, which cannot be made to fail. */
static _Thread_local bool no_address;

ucs_status_t ucp_worker_get_address(ucp_worker_h worker,
                                    ucp_address_t **address_p, size_t *len_p)
{
    ucs_status_t (*get)(ucp_worker_h, ucp_address_t **, size_t *);
    void *next = dlsym(RTLD_NEXT, "ucp_worker_get_address");
    HOLDS(next);
    memcpy(&get, &next, sizeof get); /* C has no such cast */
    return no_address ? UCS_ERR_NO_MEMORY : get(worker, address_p, len_p);
}

static void *put_without_address(void *arg)
{
    no_address = true;
    HOLDS(mega_put(mega_add(chunk, 64), "", 1) != MEGA_OK);
    rank_told("the address of an origin");
    no_address = false;
    MUST(mega_put(mega_add(chunk, 64), "", 1));
    MUST(mega_quiet());
    return arg;
}

static void unnamed(int argc, char **argv)
{
    pthread_t thread;
    (void)argc, (void)argv;
    begin();
    if (mega_rank() == 1) {
        MUST(mega_put(mega_add(chunk, 64), "", 1)); /* the span is known */
        HOLDS(pthread_create(&thread, NULL, put_without_address, NULL) == 0);
        HOLDS(pthread_join(thread, NULL) == 0);
    }
    end("a thread that could not say who it is may try again");
}

/* How many round trips a persist takes after what has been put and flushed, by
 * this rank or, as far as it knows, by another; and a drain of all. */
static void settle(uint64_t reads)
{
    uint64_t word = 1, before;
    mega_gptr_t p = mega_add(chunk, 64);
    MUST(mega_put(p, &word, sizeof word));
    MUST(mega_quiet());
    before = trips();
    MUST(mega_persist(p, sizeof word));
    HOLDS(trips() == before + 1 + reads);
    before = trips();
    MUST(mega_persist(p, sizeof word)); /* another may have put there */
    HOLDS(trips() == before + 1 + reads);
    MUST(mega_put(p, &word, sizeof word));
    MUST(mega_quiet());
    before = trips();
    MUST(mega__net_flush_all(mega__the->net)); /* as a commit does */
    HOLDS(trips() == before + reads);
    MUST(mega__net_flush_all(mega__the->net));
    HOLDS(trips() == before + reads); /* nothing new */
}

/* Atomics that nobody waited for: their answers are all that a flush needs. */
static void swap_later(void)
{
    uint64_t old[4];
    mega_gptr_t p = mega_add(chunk, 64);
    const struct mega__net_counts before = mega__net_counts(mega__the->net);
    for (int i = 0; i < 4; i++)
        MUST(mega_amo_nbi(MEGA_AMO_ADD, 0, 8, p, 1, 0, &old[i]));
    MUST(mega_quiet());
    const struct mega__net_counts after = mega__net_counts(mega__the->net);
    HOLDS(after.messages == before.messages + 4);
    HOLDS(after.round_trips == before.round_trips + 1);
}

static void card(int argc, char **argv)
{
    (void)argc, (void)argv;
    begin();
    if (mega_rank() == 1) {
        MUST(mega_put(mega_add(chunk, 64), "", 1)); /* meets the server */
        MUST(mega_quiet());
        on_card(false);
        settle(0);
        swap_later();
        const struct mega__net_counts before = mega__net_counts(mega__the->net);
        MUST(mega_put_persist(mega_add(chunk, 64), "", 1));
        const struct mega__net_counts after = mega__net_counts(mega__the->net);
        HOLDS(after.messages == before.messages + 1);
        HOLDS(after.round_trips == before.round_trips + 1);
        on_card(true);
        settle(1);
        on_card(false);
    }
    end("what a card has put is read back before it is made durable");
}

/* ---- Many that were met ---- */

enum { CROWD = 4096 };

/* As if new, but those of the crowd first: the others lead their lists. */
static void enlist_again(struct mega__lists *links, struct mega__link *crowd)
{
    const struct mega__lists were = *links;
    *links = (struct mega__lists){0};
    for (int i = 0; crowd && i < CROWD; i++)
        HOLDS(mega__lists_add(links, &crowd[i].item));
    for (struct mega__item *i = were.newest, *older; i; i = older) {
        older = i->older;
        if (i->key < (uint64_t)mega_nranks())
            HOLDS(mega__lists_add(links, i));
    }
    free(were.first);
}

/* A rank that has as many links as a large job has ranks: no flush so much
 * as looks at one along which nothing was put. */
static void crowd(int argc, char **argv)
{
    (void)argc, (void)argv;
    begin();
    if (mega_rank() == 1) {
        struct mega__origin *o;
        const size_t size = CROWD * sizeof(struct mega__link);
        MUST(mega_put_persist(mega_add(chunk, 64), "", 1)); /* meets all */
        struct mega__link *links = mmap(NULL, size, PROT_READ | PROT_WRITE,
                                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        HOLDS(links != MAP_FAILED);
        MUST(mega__ucx_enter(mega__the->net, &o));
        for (int i = 0; i < CROWD; i++) {
            links[i].origin = o;
            links[i].quiet = true;
            links[i].item.key = (uint64_t)(mega_nranks() + i);
        }
        enlist_again(&o->links, links);
        HOLDS(mprotect(links, size, PROT_NONE) == 0);
        mega__ucx_leave(o);
        for (int i = 0; i < 10; i++) {
            MUST(mega_put(mega_add(chunk, 64), &i, sizeof i));
            MUST(mega_quiet());
            MUST(mega_put_persist(mega_add(chunk, 64), &i, sizeof i));
        }
        HOLDS(mprotect(links, size, PROT_READ | PROT_WRITE) == 0);
        MUST(mega__ucx_enter(mega__the->net, &o));
        enlist_again(&o->links, NULL);
        mega__ucx_leave(o);
        HOLDS(munmap(links, size) == 0);
    }
    end("who has met many flushes only where it has put");
}

int main(int argc, char **argv)
{
    static const struct rank_case cases[] = {
        {"answered", answered},   {"card", card},
        {"dead", dead},           {"undone", undone},
        {"pending", pending},     {"healthy", healthy},
        {"no_worker", no_worker}, {"unnamed", unnamed},
        {"crowd", crowd},         {NULL, NULL}};
    return rank_main(cases, argc, argv);
}
