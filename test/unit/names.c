/* SPDX-License-Identifier: BSD-3-Clause */
/* names.c - roots and regions by the public calls: one rank calls, on home 0's
 * host or on another; the rest serve. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "api/api.h"
#include "directory.h"
#include "test/lib/net_delay.h"
#include "test/lib/ops.h"
#include "test/lib/report.h"
#include "test/lib/world.h"

static struct medium *m;
static void (*calls)(void); /* of the rank that calls */
static int caller;

static void begin(void)
{
    m = world_begin();
}

static void end(void)
{
    world_end(&m);
    report_settle();
}

TestSuite(names, .init = begin, .fini = end, .timeout = 120);

static void call(struct mega__ctx *ctx, int rank, void *arg)
{
    (void)arg;
    if (rank == caller) {
        mega__the = ctx;
        calls();
        mega__the = NULL;
    }
    world_barrier(ctx);
}

static void by_home0(void (*fn)(void), enum world_end_how how)
{
    calls = fn;
    caller = 0;
    world_on_hosts(m, 1, call, how);
}

static void by_another_host(void (*fn)(void), enum world_end_how how)
{
    calls = fn;
    caller = 1;
    world_on_hosts(m, 2, call, how);
}

static void fails(mega_status_t st, mega_status_t with, const char *words)
{
    CHECK(st == with && strstr(mega__errmsg_buffer(), words), "%d, not %d: %s",
          st, with, mega__errmsg_buffer());
}

/* The names of a region's roots, as a set of numbers; those that are met more
 * than once, or are no r<number>, are failures. */
static uint64_t roots_of(mega_region_t r)
{
    char name[MEGA_NAME_MAX + 1];
    uint64_t iter = 0, seen = 0;
    mega_gptr_t p;
    unsigned i;
    mega_status_t st;
    while (!(st = mega_root_next(r, &iter, name, &p))) {
        CHECK(sscanf(name, "r%u", &i) == 1 && i < 64, "a root %s", name);
        CHECK(!(seen >> i & 1), "%s comes twice", name);
        seen |= UINT64_C(1) << i;
    }
    fails(st, MEGA_ERR_NOT_FOUND, "no more roots");
    return seen;
}

static mega_gptr_t chunk(void)
{
    mega_gptr_t p = mega_null();
    OK(mega_alloc(MEGA_DEFAULT, 0, 64, &p));
    return p;
}

/* ---- Roots ---- */

static void set_and_remove(void)
{
    mega_gptr_t p = chunk(), q, slot;
    OK(mega_root_set(MEGA_DEFAULT, "r1", p));
    OK(mega_root_set(MEGA_DEFAULT, "r2", mega_null()));
    OK(mega_root_get(MEGA_DEFAULT, "r1", &q));
    CHECK(q.v == p.v, "r1 has another value");
    OK(mega_root_get(MEGA_DEFAULT, "r2", &q));
    CHECK(mega_is_null(q), "r2 is not null");
    OK(mega_root_slot(MEGA_DEFAULT, "r1", &slot));
    OK(mega_get(&q, slot, 8));
    CHECK(q.v == p.v, "the slot of r1 has another value");
    OK(mega_root_set(MEGA_DEFAULT, "r1", mega_null())); /* replaces */
    OK(mega_root_get(MEGA_DEFAULT, "r1", &q));
    CHECK(mega_is_null(q), "r1 was not replaced");
    OK(mega_free(p));
    for (int i = 0; i < 3; i++) { /* freed; no chunk; the home's own */
        const mega_gptr_t bad[] = {p, mega_add(p, 1 << 19), mega_from_bits(64)};
        fails(mega_root_set(MEGA_DEFAULT, "r3", bad[i]), MEGA_ERR_ARG,
              "is no chunk in use");
    }
    CHECK(roots_of(MEGA_DEFAULT) == 6, "not r1 and r2");
    OK(mega_root_remove(MEGA_DEFAULT, "r1"));
    CHECK(roots_of(MEGA_DEFAULT) == 4, "not r2 alone");
    fails(mega_root_get(MEGA_DEFAULT, "r1", &q), MEGA_ERR_NOT_FOUND, "root r1");
    fails(mega_root_remove(MEGA_DEFAULT, "r1"), MEGA_ERR_NOT_FOUND, "r1");
}

Test(names, roots_are_set_replaced_and_removed)
{
    by_home0(set_and_remove, WORLD_CLOSE);
}

Test(names, also_from_another_host)
{
    by_another_host(set_and_remove, WORLD_CLOSE);
}

static const char longest[] =
    "r7 is as long as a name may be: sixty-three bytes and not a one";

static void refuse(void)
{
    char too_long[sizeof longest + 1];
    mega_gptr_t p;
    _Static_assert(sizeof longest == MEGA_NAME_MAX + 1, "the longest name");
    snprintf(too_long, sizeof too_long, "%s!", longest);
    OK(mega_root_set(MEGA_DEFAULT, longest, mega_null()));
    OK(mega_root_get(MEGA_DEFAULT, longest, &p));
    CHECK(roots_of(MEGA_DEFAULT) == 1 << 7, "not the longest name alone");
    fails(mega_root_set(MEGA_DEFAULT, too_long, mega_null()), MEGA_ERR_ARG,
          "more than 63 bytes");
    fails(mega_root_get(MEGA_DEFAULT, too_long, &p), MEGA_ERR_ARG, "more than");
    fails(mega_root_set(MEGA_DEFAULT, "", mega_null()), MEGA_ERR_ARG, "a name");
    fails(mega_root_get(MEGA_DEFAULT, NULL, &p), MEGA_ERR_ARG, "a name");
    fails(mega_root_remove(MEGA_DEFAULT, NULL), MEGA_ERR_ARG, "a name");
    fails(mega_root_get(MEGA_DEFAULT, longest, NULL), MEGA_ERR_ARG, "no place");
    fails(mega_root_slot(MEGA_DEFAULT, "r8", NULL), MEGA_ERR_ARG, "no place");
    CHECK(roots_of(MEGA_DEFAULT) == 1 << 7, "a refused call made a root");
}

Test(names, what_is_no_name_is_refused)
{
    by_home0(refuse, WORLD_CLOSE);
}

/* The mark of what a durable name points to is made durable first. */
static void make_roots(void)
{
    uint64_t number = 5;
    mega_gptr_t p = chunk();
    OK(mega_put(p, &number, 8));
    OK(mega_persist(p, 8));
    OK(mega_root_set(MEGA_DEFAULT, "r1", p));
    OK(mega_root_set(MEGA_DEFAULT, "r2", p));
    OK(mega_root_remove(MEGA_DEFAULT, "r2"));
}

static void find_roots(void)
{
    uint64_t number = 0;
    size_t usable;
    mega_gptr_t p;
    CHECK(roots_of(MEGA_DEFAULT) == 2, "not r1 alone");
    OK(mega_root_get(MEGA_DEFAULT, "r1", &p));
    OK(mega_usable_size(p, &usable));
    OK(mega_get(&number, p, 8));
    CHECK(number == 5, "what r1 points to is lost");
}

Test(names, roots_survive_a_power_loss)
{
    by_home0(make_roots, WORLD_KILL);
    by_home0(find_roots, WORLD_KILL);
    by_home0(find_roots, WORLD_CLOSE);
}

Test(names, roots_set_by_another_host_survive_a_power_loss)
{
    by_another_host(make_roots, WORLD_KILL);
    by_another_host(find_roots, WORLD_CLOSE);
}

/* The next job, which is told otherwise, does not sync after a clean end. */
Test(names, a_clean_end_makes_durable_what_the_job_did_not)
{
    world_set("DURABILITY", "process");
    by_home0(make_roots, WORLD_CLOSE);
    world_set("DURABILITY", "auto");
    by_home0(find_roots, WORLD_KILL);
    by_home0(find_roots, WORLD_CLOSE);
}

static void fill_the_table(void)
{
    char name[20];
    unsigned n = 0;
    mega_status_t st;
    mega_gptr_t p;
    do {
        snprintf(name, sizeof name, "r%u", n);
        st = mega_root_set(MEGA_DEFAULT, name, mega_null());
    } while (!st && ++n <= MEGA_ROOTS_MAX);
    fails(st, MEGA_ERR_TABLE_FULL, "root");
    CHECK(n == MEGA_ROOTS_MAX, "%u roots", n);
    fails(mega_root_get(MEGA_DEFAULT, name, &p), MEGA_ERR_NOT_FOUND, name);
    OK(mega_root_set(MEGA_DEFAULT, "r0", mega_null()));
    OK(mega_root_remove(MEGA_DEFAULT, "r3"));
    OK(mega_root_set(MEGA_DEFAULT, name, mega_null()));
}

Test(names, a_full_table_of_roots_says_so)
{
    by_home0(fill_the_table, WORLD_CLOSE);
}

/* Thread 0 sets r1 again and again and is stopped anywhere, by a signal; then
 * r1 goes and r2 may come in its place. */
static struct {
    mega_gptr_t p;
    _Atomic bool stopped, go, end;
    _Atomic unsigned sets, stops;
} race;

static void stop_here(int sig)
{
    (void)sig;
    race.stopped = true;
    race.stops++;
    for (int i = 0; i < 3000 && !race.go; i++) /* it may hold a lock */
        sched_yield();
    race.stopped = false;
}

static void *set_again(void *arg)
{
    (void)arg;
    for (bool last = false; !last; race.sets++) {
        last = race.end; /* once more after it has gone */
        OK(mega_root_set(MEGA_DEFAULT, "r1", race.p));
    }
    return NULL;
}

static void await_sets(void)
{
    for (unsigned from = race.sets; race.sets < from + 10;)
        sched_yield();
}

static void set_while_removed(void)
{
    struct sigaction action = {.sa_handler = stop_here};
    pthread_t thread;
    mega_gptr_t mine = chunk(), got;
    race.p = chunk();
    race.end = false;
    sigaction(SIGUSR1, &action, NULL);
    OK(mega_root_set(MEGA_DEFAULT, "r1", race.p));
    CHECK(!pthread_create(&thread, NULL, set_again, NULL), "no thread");
    for (int i = 0; i < 200; i++) {
        race.go = false;
        await_sets(); /* r1 is there */
        const unsigned stops = race.stops;
        pthread_kill(thread, SIGUSR1);
        while (race.stops == stops) /* it may have gone on since */
            sched_yield();
        mega_status_t st = mega_root_remove(MEGA_DEFAULT, "r1");
        CHECK(!st || st == MEGA_ERR_NOT_FOUND, "remove: %d", st);
        OK(mega_root_set(MEGA_DEFAULT, "r2", mine));
        race.go = true;
        while (race.stopped)
            sched_yield();
        OK(mega_root_set(MEGA_DEFAULT, "r3", mine)); /* it went on */
        OK(mega_root_get(MEGA_DEFAULT, "r2", &got));
        CHECK(got.v == mine.v, "r2 has what r1 was set to");
        OK(mega_root_remove(MEGA_DEFAULT, "r2"));
    }
    await_sets();
    race.end = true;
    pthread_join(thread, NULL);
    OK(mega_root_get(MEGA_DEFAULT, "r1", &got));
    CHECK(got.v == race.p.v, "r1 is lost");
}

Test(names, what_is_set_goes_to_no_other_name)
{
    by_home0(set_while_removed, WORLD_CLOSE);
}

static void *list_again(void *arg)
{
    char name[MEGA_NAME_MAX + 1];
    const uint64_t mine = *(uint64_t *)arg;
    mega_gptr_t p;
    for (; !race.end; race.sets++) {
        uint64_t iter = 0;
        while (mega_root_next(MEGA_DEFAULT, &iter, name, &p) == MEGA_OK)
            CHECK(!p.v || p.v == (strcmp(name, "r1") ? mine : race.p.v),
                  "%s has another's value", name);
    }
    return NULL;
}

static void list_while_removed(void)
{
    struct sigaction action = {.sa_handler = stop_here};
    pthread_t thread;
    mega_gptr_t mine = chunk();
    race.p = chunk();
    race.end = false;
    sigaction(SIGUSR1, &action, NULL);
    CHECK(!pthread_create(&thread, NULL, list_again, &mine.v), "no thread");
    for (int i = 0; i < 200; i++) {
        race.go = false;
        OK(mega_root_set(MEGA_DEFAULT, "r1", race.p));
        await_sets();
        const unsigned stops = race.stops;
        pthread_kill(thread, SIGUSR1);
        while (race.stops == stops)
            sched_yield();
        OK(mega_root_remove(MEGA_DEFAULT, "r1"));
        OK(mega_root_set(MEGA_DEFAULT, "r2", mine));
        race.go = true;
        await_sets();
        OK(mega_root_remove(MEGA_DEFAULT, "r2"));
    }
    race.end = true;
    pthread_join(thread, NULL);
}

Test(names, what_is_listed_has_its_own_value)
{
    by_home0(list_while_removed, WORLD_CLOSE);
}

/* r1's line is r2's while it is read, and r1's again, null, when it is looked
 * at for the second time. */
static void give_back(void *arg)
{
    (void)arg;
    OK(mega_root_remove(MEGA_DEFAULT, "r2"));
    OK(mega_root_set(MEGA_DEFAULT, "r1", mega_null()));
}

static void lend(void *mine)
{
    OK(mega_root_remove(MEGA_DEFAULT, "r1"));
    OK(mega_root_set(MEGA_DEFAULT, "r2", *(mega_gptr_t *)mine));
    net_delay_before_ask(mega__the->net, give_back, NULL);
}

static void read_while_lent(void)
{
    char name[MEGA_NAME_MAX + 1];
    uint64_t iter = 0;
    mega_gptr_t mine = chunk(), got;
    OK(mega_root_set(MEGA_DEFAULT, "r1", mega_null()));
    net_delay_before(mega__the->net, lend, &mine);
    OK(mega_root_get(MEGA_DEFAULT, "r1", &got));
    CHECK(mega_is_null(got), "r1 has what was r2's");
    net_delay_before(mega__the->net, lend, &mine);
    OK(mega_root_next(MEGA_DEFAULT, &iter, name, &got));
    CHECK(strcmp(name, "r1") == 0 && mega_is_null(got),
          "%s is listed with what was r2's", name);
}

Test(names, a_line_that_was_lent_meanwhile_is_read_again)
{
    by_another_host(read_while_lent, WORLD_CLOSE);
}

/* ---- Regions ---- */

static uint64_t bytes_free(void)
{
    mega_home_stat_t s;
    OK(mega_home_stat(0, &s));
    return s.free;
}

static void regions_and_roots(void)
{
    mega_region_t a, b;
    mega_region_stat_t sa, sb;
    mega_gptr_t p;
    const uint64_t before = bytes_free();
    OK(mega_region_create("a", 100000, 0, &a));
    OK(mega_root_set(a, "r1", mega_region_at(a, 0, 99999, NULL)));
    OK(mega_root_set(MEGA_DEFAULT, "r2", mega_null()));
    CHECK(roots_of(a) == 2 && roots_of(MEGA_DEFAULT) == 4,
          "each region has its own roots");
    fails(mega_root_get(MEGA_DEFAULT, "r1", &p), MEGA_ERR_NOT_FOUND, "r1");
    fails(mega_region_create("a", 1, 0, &b), MEGA_ERR_EXISTS, "a");
    CHECK(mega_is_null(mega_region_at(a, 0, 100000, NULL)), "beyond its end");
    OK(mega_region_stat(a, &sa));
    OK(mega_region_destroy(&a));
    CHECK(!a, "the handle stays");
    fails(mega_region_open("a", &b), MEGA_ERR_NOT_FOUND, "a");
    CHECK(bytes_free() == before, "%llu bytes were free, now %llu",
          (unsigned long long)before, (unsigned long long)bytes_free());

    OK(mega_region_create("a", 0, 0, &b)); /* the name, not the region */
    OK(mega_region_stat(b, &sb));
    CHECK(sb.id != sa.id, "an id is used twice");
    CHECK(roots_of(b) == 0, "roots outlive their region");
    OK(mega_region_destroy(&b));
    OK(mega_root_remove(MEGA_DEFAULT, "r2"));
}

Test(names, a_region_has_its_own_roots_and_takes_them_along)
{
    by_home0(regions_and_roots, WORLD_CLOSE);
    by_home0(regions_and_roots, WORLD_CLOSE);
}

static void fill_regions(void)
{
    mega_region_t r;
    char name[20];
    unsigned n = 0;
    mega_status_t st;
    do {
        snprintf(name, sizeof name, "region %u", n);
        st = mega_region_create(name, 0, 0, &r);
    } while (!st && ++n <= MEGA_REGIONS_MAX);
    fails(st, MEGA_ERR_TABLE_FULL, "region");
    OK(mega_region_open("region 0", &r));
    OK(mega_region_destroy(&r));
    OK(mega_region_create(name, 0, 0, &r));
}

Test(names, a_full_table_of_regions_says_so)
{
    by_home0(fill_regions, WORLD_CLOSE);
}

static void region_that_does_not_fit(void)
{
    mega_region_t r = NULL;
    const uint64_t before = bytes_free();
    fails(mega_region_create("big", UINT64_C(1) << 30, 0, &r),
          MEGA_ERR_HOME_FULL, "home 0");
    fails(mega_region_create("big", UINT64_C(1) << 47, 0, &r), MEGA_ERR_TOO_BIG,
          "raw bytes");
    fails(mega_region_create("big", 1, 1, &r), MEGA_ERR_ARG, "flags");
    fails(mega_region_create("big", 1, 0, NULL), MEGA_ERR_ARG, "no place");
    fails(mega_region_destroy(&r), MEGA_ERR_ARG, "default region");
    fails(mega_region_close(&r), MEGA_ERR_ARG, "no region");
    fails(mega_region_open("big", &r), MEGA_ERR_NOT_FOUND, "big");
    CHECK(bytes_free() == before, "a refused region keeps memory");
    OK(mega_region_create("small", 1, 0, &r));
    fails(mega_region_grow(r, UINT64_C(1) << 30), MEGA_ERR_HOME_FULL, "home 0");
    CHECK(!mega_is_null(mega_region_at(r, 0, 0, NULL)), "it is gone");
}

Test(names, a_region_that_does_not_fit_leaves_nothing)
{
    by_home0(region_that_does_not_fit, WORLD_CLOSE);
}
