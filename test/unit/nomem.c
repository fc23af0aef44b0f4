/* SPDX-License-Identifier: BSD-3-Clause */
/* nomem.c - the process has no memory, once or from then on, at each place
 * where the library asks for some. The call says so, if it cannot do without;
 * nothing is lost by it, and what follows works. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdlib.h>

#include "api/api.h"
#include "far.h"
#include "home.h"
#include "log.h"
#include "net.h"
#include "test/lib/ops.h"
#include "test/lib/oracle.h"
#include "test/lib/world.h"

/* ---- Allocations that fail ---- */

static _Atomic unsigned asked;        /* how often since it was armed */
static _Atomic unsigned fail_at;      /* 0: not armed */
static bool all_after;                /* fail, too */
static bool of_far;                   /* only copies of far marks */
static pthread_t tester;              /* has always memory */
static _Thread_local unsigned inside; /* what stands for the world: so has it */
static struct mega__home *grows;      /* or NULL */

/* Others may have met what is shown, so nothing may fail behind it. */
static void look_at_growth(void)
{
    if (grows)
        CHECK(!atomic_load(&grows->spans[1]), "a span is shown too early");
}

static bool fails(size_t align)
{
    const unsigned at = atomic_load(&fail_at);
    if (!at || inside > 0 || pthread_equal(pthread_self(), tester) ||
        (of_far && align != MEGA__FAR_ALIGN))
        return false;
    const unsigned n = atomic_fetch_add(&asked, 1) + 1;
    look_at_growth();
    return n == at || (all_after && n > at);
}

void *__real_malloc(size_t n);
void *__real_calloc(size_t count, size_t n);
void *__real_realloc(void *p, size_t n);
void *__real_aligned_alloc(size_t align, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t count, size_t n);
void *__wrap_realloc(void *p, size_t n);
void *__wrap_aligned_alloc(size_t align, size_t n);

void *__wrap_malloc(size_t n)
{
    return fails(0) ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t count, size_t n)
{
    return fails(0) ? NULL : __real_calloc(count, n);
}

void *__wrap_realloc(void *p, size_t n)
{
    return fails(0) ? NULL : __real_realloc(p, n);
}

void *__wrap_aligned_alloc(size_t align, size_t n)
{
    return fails(align) ? NULL : __real_aligned_alloc(align, n);
}

void __real_medium_lock(struct medium *of);
void __real_medium_unlock(struct medium *of);
mega_status_t __real_mega__net_start(struct mega__ctx *ctx,
                                     struct mega__net **net_p);
void __wrap_medium_lock(struct medium *of);
void __wrap_medium_unlock(struct medium *of);
mega_status_t __wrap_mega__net_start(struct mega__ctx *ctx,
                                     struct mega__net **net_p);

void __wrap_medium_lock(struct medium *of)
{
    __real_medium_lock(of);
    inside++;
}

void __wrap_medium_unlock(struct medium *of)
{
    inside--;
    __real_medium_unlock(of);
}

mega_status_t __wrap_mega__net_start(struct mega__ctx *ctx,
                                     struct mega__net **net_p)
{
    inside++;
    mega_status_t st = __real_mega__net_start(ctx, net_p);
    inside--;
    return st;
}

static void arm(unsigned at)
{
    atomic_store(&asked, 0);
    atomic_store(&fail_at, at);
}

/* Whether it came. */
static bool disarm(void)
{
    const unsigned at = atomic_exchange(&fail_at, 0);
    return at > 0 && atomic_load(&asked) >= at;
}

/* ---- The work ---- */

static struct medium *m;
static const struct oracle nothing;
static const int host_of[] = {0, 1};

static bool done(mega_status_t st, int line)
{
    CHECK(st == MEGA_OK || (st == MEGA_ERR_NOMEM && atomic_load(&fail_at)),
          "line %d: %d %s", line, st, mega_errmsg());
    return st == MEGA_OK;
}
#define DONE(call) done((call), __LINE__)

static void chunks(mega_region_t r, int home)
{
    static const size_t sizes[] = {32, 48, 1000, 32768, 200000};
    mega_gptr_t p[5][5], many[12];
    for (int k = 0; k < 25; k++)
        if (!DONE(mega_alloc(r, home, sizes[k / 5], &p[k / 5][k % 5])))
            p[k / 5][k % 5] = mega_null();
    for (int k = 0; k < 25; k++)
        DONE(mega_free(p[k / 5][k % 5]));
    if (DONE(mega_alloc_n(r, home, 20000, 12, many)))
        for (int i = 0; i < 12; i++)
            DONE(mega_free(many[i]));
    DONE(mega_drain());
}

static void *of_a_thread(void *arg)
{
    chunks(MEGA_DEFAULT, *(int *)arg);
    return NULL;
}

static void publish(int home)
{
    mega_gptr_t slot, p;
    if (DONE(mega_reserve(MEGA_DEFAULT, home, 100, &p)))
        DONE(mega_cancel(p));
    if (DONE(mega_reserve(MEGA_DEFAULT, home, 100000, &p)))
        DONE(mega_cancel(p));
    if (!DONE(mega_root_slot(MEGA_DEFAULT, "nomem", &slot)))
        return;
    if (DONE(mega_alloc_to(MEGA_DEFAULT, home, 64, slot)))
        OK(mega_free_from(slot));
    DONE(mega_root_remove(MEGA_DEFAULT, "nomem"));
}

static void regions(int home)
{
    mega_region_t r, again;
    mega_region_stat_t s;
    if (!DONE(mega_region_create("nomem", 100000, 0, &r)))
        return;
    chunks(r, home);
    DONE(mega_region_grow(r, 300000));
    if (DONE(mega_region_open("nomem", &again)))
        DONE(mega_region_close(&again));
    DONE(mega_region_stat(r, &s));
    DONE(mega_region_destroy(&r));
}

static void work(int home, bool alone)
{
    uint64_t bad = 0;
    pthread_t t;
    chunks(MEGA_DEFAULT, home);
    pthread_create(&t, NULL, of_a_thread, &home);
    pthread_join(t, NULL);
    publish(home);
    if (alone) { /* these are calls of all ranks */
        regions(home);
        DONE(mega_commit());
    }
    DONE(mega_check(home, NULL, NULL, &bad));
    CHECK(bad == 0, "%llu faults", (unsigned long long)bad);
}

/* ThreadSanitizer takes 30 s for a second of the rest, and sees in each fifth
 * what it is for. */
#ifdef __SANITIZE_THREAD__
#define STRIDE 5
#else
#define STRIDE 1
#endif

static unsigned which, most;

/* What fails is followed by the same, which does not. */
static void fail_one(struct mega__ctx *ctx, int rank, void *arg)
{
    const int home = ctx->place.nranks - 1;
    mega_home_stat_t s;
    (void)arg;
    if (rank == 0) {
        mega__the = ctx;
        arm(which);
        work(home, home == 0);
        most = disarm() ? which : 0;
        work(home, home == 0);
        OK(mega_home_stat(home, &s));
        CHECK(s.live_chunks == 0 && s.free + s.slabs == s.size,
              "allocation %u: %llu chunks live, %llu bytes of %llu gone", which,
              (unsigned long long)s.live_chunks,
              (unsigned long long)(s.size - s.free - s.slabs),
              (unsigned long long)s.size);
        mega__the = NULL;
    }
    world_barrier(ctx);
}

static void exhaust(struct mega__ctx *ctx, int rank, void *arg)
{
    (void)rank;
    (void)arg;
    oracle_exhaust(ctx, &nothing, 1);
}

/* The files, carried to one host, and as large as they are. */
static void look_again(void)
{
    struct medium_file *f;
    for (unsigned h = 0; h < 2; h++)
        for (unsigned k = 0; (f = world_file(m, h, k)) != NULL; k++)
            f->host = 0;
    world_set("HOME_MAX", "3M");
    OK(world_do(1, exhaust, NULL));
}

static void each(struct world *w)
{
    most = 1;
    for (which = 1; most && report_failures() == 0; which += STRIDE) {
        m = world_begin();
        world_set("HOME_MAX", "24M");
        OK(world_run(w));
        if (w->end == WORLD_KILL)
            medium_power_loss(m);
        look_again();
        world_end(&m);
    }
    report_note("up to %u allocations", which - 1 - STRIDE);
    cr_assert(which > 8, "only %u allocations", which);
}

static void begin(void)
{
    tester = pthread_self();
    all_after = of_far = false;
}

static void end(void)
{
    report_settle();
}

TestSuite(nomem, .init = begin, .fini = end, .timeout = 120);

Test(nomem, once_in_a_call)
{
    each(&(struct world){.nranks = 1, .fn = fail_one, .end = WORLD_CLOSE});
}

Test(nomem, once_in_a_call_before_a_loss_of_power)
{
    each(&(struct world){.nranks = 1, .fn = fail_one, .end = WORLD_KILL});
}

Test(nomem, from_then_on)
{
    all_after = true;
    each(&(struct world){.nranks = 1, .fn = fail_one, .end = WORLD_CLOSE});
}

Test(nomem, for_slabs_of_another_host)
{
    of_far = true;
    each(&(struct world){
        .nranks = 2, .hosts = host_of, .fn = fail_one, .end = WORLD_CLOSE});
}

/* ---- Adopting slabs of another host ---- */

static unsigned nfreed;

/* Home 1 is full of chunks, then half of them go. */
static void leave_half(struct mega__ctx *ctx, int rank, void *arg)
{
    static mega_gptr_t p[8000];
    unsigned n = 0;
    (void)arg;
    if (rank == 1) {
        nfreed = 0;
        while (n < 8000 && !ops_alloc(ctx, OPS_DEFAULT, 1, 1000, &p[n]))
            n++;
        for (; n > 1; n -= 2, nfreed++)
            OK(ops_free(ctx, p[n - 1]));
    }
    world_barrier(ctx);
}

static void adopt_all(struct mega__ctx *ctx, int rank, void *arg)
{
    mega_gptr_t p;
    unsigned n = 0;
    (void)arg;
    if (rank == 0) {
        arm(which);
        for (bool came = false; !came && n < nfreed; n++) {
            mega_status_t st = ops_alloc(ctx, OPS_DEFAULT, 1, 1000, &p);
            CHECK(!st || st == MEGA_ERR_NOMEM, "%d %s", st,
                  mega__errmsg_buffer());
            came = st != MEGA_OK;
            n -= came;
        }
        most = disarm() ? which : 0;
        while (!ops_alloc(ctx, OPS_DEFAULT, 1, 1000, &p))
            n++;
        CHECK(n == nfreed, "allocation %u: %u chunks where %u were freed",
              which, n, nfreed);
    }
    world_barrier(ctx);
}

Test(nomem, loses_no_slab_that_was_named_to_another_host)
{
    struct world w = {.nranks = 2, .hosts = host_of};
    most = 1;
    for (which = 1; most && report_failures() == 0; which += STRIDE) {
        m = world_begin();
        w.fn = leave_half;
        w.end = WORLD_CLOSE;
        OK(world_run(&w));
        w.fn = adopt_all;
        w.end = WORLD_KILL; /* a close may tell that a message was lost */
        OK(world_run(&w));
        CHECK(nfreed > 100, "%u", nfreed);
        world_end(&m);
    }
    report_note("up to %u allocations", which - 1 - STRIDE);
}

/* ---- Growing ---- */

static void fail_growth(struct mega__ctx *ctx, int rank, void *arg)
{
    struct mega__flusher f = {0};
    mega_status_t st = MEGA_ERR_NOMEM;
    (void)rank, (void)arg;
    grows = mega__home_at(ctx, 0);
    grows->pools_room = grows->npools; /* its list is to grow, too */
    CHECK(grows->npools == 1, "%u pools", grows->npools);
    for (which = 1; st == MEGA_ERR_NOMEM; which++) {
        arm(which);
        st = mega__home_grow(ctx, grows, &f, MEGA__EXTENT);
        disarm();
    }
    OK(st);
    CHECK(which > 3 && atomic_load(&grows->spans[1]), "%u", which);
    grows = NULL;
}

Test(nomem, in_a_growth_that_shows_no_span_before_all_are_there)
{
    m = world_begin();
    world_set("HOME_MAX", "24M");
    OK(world_run(
        &(struct world){.nranks = 1, .fn = fail_growth, .end = WORLD_CLOSE}));
    look_again();
    world_end(&m);
}

/* ---- Opening ---- */

static void opened(struct mega__ctx *ctx, int rank, void *arg)
{
    (void)rank;
    (void)arg;
    world_barrier(ctx);
    disarm();
}

Test(nomem, once_in_an_open)
{
    struct world w = {.nranks = 2, .fn = opened};
    most = 1;
    m = world_begin();
    for (which = 1; most && report_failures() == 0; which += STRIDE) {
        arm(which);
        mega_status_t st = world_run(&w);
        most = atomic_load(&asked) >= which ? which : 0;
        CHECK(st == MEGA_OK || (most && st == MEGA_ERR_NOMEM),
              "allocation %u: %d %s", which, st, w.message);
        disarm();
        OK(world_run(&w));
    }
    look_again();
    world_end(&m);
    report_note("up to %u allocations", which - 1 - STRIDE);
    cr_assert(which > 30, "only %u allocations", which);
}
