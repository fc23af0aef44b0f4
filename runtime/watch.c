/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * watch.c - see watch.h. Each agent raises a number in memory of its host, and
 * looks at those of the others; whose number stays, of that rank's process the
 * system is asked: it may only be slow, or in a debugger. A job on one host has
 * no more than that. Over several, who waits for a collective asks the rank 1,
 * 2, 4, ... after it: each asks few, whoever is lost is asked by the one
 * before, which waits too or will, and who knows of one answers so. Who waits
 * for a word or a lock may be alone in that, so it asks one host after the
 * other.
 *
 * What can fail: a rank that is stopped, or lost, of which all these tell.
 * Nothing here is locked: a number has one writer, news have the first.
 */
#include "watch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "net.h"
#include "share.h"

#define TICK_MS 1000
#define LATE_LOOKS 4 /* at the next rank, before the end is given up */
#define WRITING 1    /* news */
#define STEPS_MAX 30 /* powers of two that an int has */

struct place { /* of a rank */
    int32_t host, rank;
};

struct host_watch { /* once per host */
    struct mega__shared shared;
    _Atomic int news; /* 0, WRITING, or a status: then text is set */
    char text[MEGA__ERRMSG_MAX];
    _Alignas(8) struct place places[]; /* of all, by host; then the pulses */
};

struct pulse {             /* of a rank of this host */
    _Atomic uint32_t beat; /* its agent raises it; 0: there is none yet */
    _Atomic int32_t pid;   /* 0: it has left */
    uint64_t born;         /* a PID is used again; 0: not known */
};

struct mega__watch {
    struct host_watch *host;
    struct pulse *pulses; /* by host_rank */
    unsigned looks, late;
    _Atomic int silent;  /* host_rank of one that gives no sign; -1: nobody */
    atomic_flag ticking; /* one thread is, with what follows */
    int64_t ticked;      /* ms */
    struct {
        uint32_t beat;
        _Atomic uint32_t ticks; /* since it has changed, or was seen to run */
    } seen[];                   /* by host_rank */
};

/* ---- Processes ---- */

/* A short file, which there may not be: errno. */
static bool read_file(const char *path, char *text, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, size - 1);
    const int why = errno;
    if (fd >= 0)
        close(fd);
    errno = why;
    text[n > 0 ? n : 0] = '\0';
    return n >= 0;
}

/* The state, as ps shows it, and when it was born; X: there is none, 0: nobody
 * can tell. */
static char state_of(int32_t pid, uint64_t *born_p)
{
    char path[32], text[512], state;
    unsigned long long born;
    snprintf(path, sizeof path, "/proc/%ld/stat", (long)pid);
    if (!read_file(path, text, sizeof text))
        return errno == ENOENT || errno == ESRCH ? 'X' : 0;
    char *name_end = strrchr(text, ')'); /* a name may hold anything */
    if (!name_end || sscanf(name_end,
                            ") %c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s "
                            "%*s %*s %*s %*s %*s %*s %*s %llu",
                            &state, &born) != 2)
        return 0;
    *born_p = born;
    return state;
}

/* By a cgroup: of version 2 it sleeps where the system looks for signals, of
 * version 1 the group says so. */
static bool is_frozen(int32_t pid)
{
    char path[4096], text[4096], *end;
    snprintf(path, sizeof path, "/proc/%ld/wchan", (long)pid);
    (void)read_file(path, text, sizeof text);
    if (strcmp(text, "get_signal") == 0 || strcmp(text, "do_freezer_trap") == 0)
        return true;
    snprintf(path, sizeof path, "/proc/%ld/cgroup", (long)pid);
    (void)read_file(path, text, sizeof text);
    char *group = strstr(text, ":freezer:");
    if (!group)
        return false;
    group += strlen(":freezer:");
    if ((end = strchr(group, '\n')) != NULL)
        *end = '\0';
    snprintf(path, sizeof path, "/sys/fs/cgroup/freezer%.4000s/freezer.state",
             group);
    (void)read_file(path, text, sizeof text);
    return strncmp(text, "FROZEN", 6) == 0;
}

/* Stopped, but not by a debugger, or gone. */
static bool is_lost(const struct pulse *p)
{
    const int32_t pid = p->pid;
    uint64_t born = p->born;
    if (pid == 0)
        return false;
    const char state = state_of(pid, &born);
    return state == 'T' || state == 'Z' || state == 'X' ||
           (p->born && born != p->born) || is_frozen(pid);
}

/* ---- Open ---- */

static struct mega__watch *watch_of(const struct mega__ctx *ctx)
{
    /* acquire pairs with the release in mega__watch_open: the service runs */
    return atomic_load_explicit(&ctx->watch, memory_order_acquire);
}

static mega_status_t share(struct mega__ctx *ctx, const void *places, size_t n,
                           struct mega__watch *w)
{
    const size_t count = (size_t)ctx->place.host_nranks;
    void *p;
    mega_status_t st = mega__share(
        ctx,
        sizeof *w->host + (size_t)ctx->place.nranks * sizeof(struct place) +
            count * sizeof *w->pulses,
        &p);
    if (st)
        return st;
    w->host = p;
    w->pulses = (void *)&w->host->places[ctx->place.nranks];
    struct pulse *mine = &w->pulses[ctx->place.host_rank];
    (void)state_of(getpid(), &mine->born);
    mine->pid = getpid();
    if (ctx->place.host_rank == 0)
        memcpy(w->host->places, places, n);
    return MEGA_OK;
}

mega_status_t mega__watch_open(struct mega__ctx *ctx)
{
    const struct place mine = {ctx->place.host, ctx->place.rank};
    struct mega__watch *w =
        calloc(1, sizeof *w + (size_t)ctx->place.host_nranks * sizeof *w->seen);
    void *places = NULL;
    size_t n = 0;
    mega_status_t st =
        w ? MEGA_OK : mega__fail(MEGA_ERR_NOMEM, "no memory for a watch");
    st = mega__boot_agree(ctx->boot, st);
    if (!st)
        st = mega__boot_gather(ctx->boot, &mine, sizeof mine, &places, &n);
    if (!st)
        st = mega__boot_agree(ctx->boot, share(ctx, places, n, w));
    free(places);
    if (st) {
        if (w && w->host)
            mega__unshare(w->host);
        free(w);
        return st;
    }
    w->silent = -1;
    atomic_flag_clear(&w->ticking);
    atomic_store_explicit(&ctx->watch, w, memory_order_release);
    return MEGA_OK;
}

/* ---- News ---- */

/* That this rank takes part in no collective any more: others wait for it in
 * one. It may be for a reason of its own, such as no memory. */
static mega_status_t given_up(const struct mega__ctx *ctx)
{
    char why[MEGA__ERRMSG_MAX], host[64];
    mega_status_t st = mega__boot_given_up(ctx->boot);
    if (!st || st == MEGA_ERR_PEER || st == MEGA_ERR_TIMEOUT)
        return st;
    memcpy(why, mega__errmsg_buffer(), sizeof why);
    mega__conf_host(&ctx->conf, host, sizeof host);
    return mega__fail(MEGA_ERR_PEER,
                      "rank %d on host %s has left a collective call: %.300s",
                      ctx->place.rank, host, why);
}

/* The first that is told stays. */
static void tell_host(struct mega__watch *w, mega_status_t st)
{
    int none = 0;
    if (!atomic_compare_exchange_strong(&w->host->news, &none, WRITING))
        return;
    memcpy(w->host->text, mega__errmsg_buffer(), sizeof w->host->text);
    /* release pairs with the acquire in news */
    atomic_store_explicit(&w->host->news, st, memory_order_release);
}

static void tell_if_given_up(const struct mega__ctx *ctx)
{
    mega_status_t st = given_up(ctx);
    if (st)
        tell_host(watch_of(ctx), st);
}

static mega_status_t news(const struct mega__watch *w)
{
    int st = atomic_load_explicit(&w->host->news, memory_order_acquire);
    return st && st != WRITING
               ? mega__fail((mega_status_t)st, "%s", w->host->text)
               : MEGA_OK;
}

void mega__watch_close(struct mega__ctx *ctx)
{
    struct mega__watch *w = watch_of(ctx);
    if (!w)
        return;
    tell_if_given_up(ctx);
    ctx->watch = NULL;
    w->pulses[ctx->place.host_rank].pid = 0;
    mega__unshare(w->host);
    free(w);
}

/* Where the ranks of a host begin in places. */
static int first_of(const struct mega__ctx *ctx, int host)
{
    const struct place *places = watch_of(ctx)->host->places;
    int low = 0, high = ctx->place.nranks;
    while (low < high) {
        int middle = low + (high - low) / 2;
        if (places[middle].host < host)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static int rank_of(const struct mega__ctx *ctx, int host_rank)
{
    return watch_of(ctx)
        ->host->places[first_of(ctx, ctx->place.host) + host_rank]
        .rank;
}

static mega_status_t gives_none(const struct mega__ctx *ctx, int host_rank)
{
    char host[64];
    mega__conf_host(&ctx->conf, host, sizeof host);
    return mega__fail(
        MEGA_ERR_TIMEOUT,
        "rank %d on host %s has given no sign of life for %llu s: is it "
        "stopped, or lost? MEGALLOC_TIMEOUT sets how long to wait",
        rank_of(ctx, host_rank), host,
        (unsigned long long)mega__conf_silence(&ctx->conf));
}

mega_status_t mega__watch_silent(const struct mega__ctx *ctx, int host_rank)
{
    const struct mega__watch *w = watch_of(ctx);
    if (w->pulses[host_rank].pid == 0)
        return mega__fail(MEGA_ERR_PEER, "rank %d has ended",
                          rank_of(ctx, host_rank));
    return w->seen[host_rank].ticks > mega__conf_silence(&ctx->conf)
               ? gives_none(ctx, host_rank)
               : MEGA_OK;
}

mega_status_t mega__watch_answer(struct mega__ctx *ctx)
{
    const struct mega__watch *w = watch_of(ctx);
    mega_status_t st = given_up(ctx);
    if (!st && w)
        st = news(w);
    const int silent = w ? w->silent : -1;
    return st || silent < 0 ? st : gives_none(ctx, silent);
}

/* ---- Signs of life ---- */

static void look_at_host(struct mega__ctx *ctx)
{
    struct mega__watch *w = watch_of(ctx);
    int silent = -1;
    for (int i = 0; i < ctx->place.host_nranks; i++) {
        const struct pulse *p = &w->pulses[i];
        uint32_t beat = p->beat;
        bool gives = beat != w->seen[i].beat || !is_lost(p);
        w->seen[i].beat = beat;
        const uint32_t ticks = gives ? 0 : w->seen[i].ticks + 1;
        w->seen[i].ticks = ticks;
        if (ticks > mega__conf_silence(&ctx->conf))
            silent = i;
    }
    w->silent = silent;
}

/* Once a second, whoever comes. */
static void tick(struct mega__ctx *ctx, int64_t now_ms)
{
    struct mega__watch *w = watch_of(ctx);
    if (atomic_flag_test_and_set(&w->ticking))
        return;
    if (!w->ticked || now_ms - w->ticked >= TICK_MS) {
        look_at_host(ctx);
        tell_if_given_up(ctx);
        w->ticked = now_ms;
    }
    atomic_flag_clear(&w->ticking);
}

void mega__watch_beat(struct mega__ctx *ctx, int64_t now_ms)
{
    _Atomic uint32_t *mine = &watch_of(ctx)->pulses[ctx->place.host_rank].beat;
    uint32_t next = *mine + 1;
    *mine = next ? next : 1;
    tick(ctx, now_ms);
}

uint32_t mega__watch_pulse(const struct mega__ctx *ctx, uint32_t host_rank)
{
    return watch_of(ctx)->pulses[host_rank].beat;
}

/* ---- Looks ---- */

int mega__watch_step(unsigned n, int nranks)
{
    unsigned steps = 1;
    while (steps < STEPS_MAX && 1 << steps < nranks)
        steps++;
    return 1 << n % steps;
}

static mega_status_t look_at_step(struct mega__ctx *ctx, unsigned n)
{
    const int nranks = ctx->place.nranks;
    const int64_t rank = (int64_t)ctx->place.rank + mega__watch_step(n, nranks);
    return mega__net_alive(ctx->net, (int)(rank % nranks));
}

mega_status_t mega__watch_link(struct mega__ctx *ctx)
{
    mega_status_t st = look_at_step(ctx, 0);
    for (unsigned n = 1; !st && mega__watch_step(n, ctx->place.nranks) > 1; n++)
        st = look_at_step(ctx, n);
    return st;
}

mega_status_t mega__watch_look_around(void *arg)
{
    struct mega__ctx *ctx = arg;
    struct mega__watch *w = watch_of(ctx);
    tick(ctx, mega__watch_now_ms()); /* in mega_init no agent does yet */
    mega_status_t st = mega__watch_answer(ctx);
    if (!st && ctx->net)
        st = look_at_step(ctx, w->looks++);
    if (st)
        tell_host(w, st);
    return st;
}

static mega_status_t look_at_host_of(struct mega__ctx *ctx, unsigned turn)
{
    const struct mega__boot_place *p = &ctx->place;
    const unsigned nhosts = (unsigned)p->nhosts;
    const int host =
        (int)(((unsigned)p->host + 1 + turn % (nhosts - 1)) % nhosts);
    const int first = first_of(ctx, host);
    /* By its own number, so that no rank is asked by all. */
    const int which = p->rank % (first_of(ctx, host + 1) - first);
    return mega__net_alive(ctx->net,
                           watch_of(ctx)->host->places[first + which].rank);
}

mega_status_t mega__watch_look_farther(struct mega__ctx *ctx, unsigned *turn_p)
{
    mega_status_t st = mega__watch_answer(ctx);
    if (ctx->place.nhosts < 2)
        return st;
    const unsigned others = (unsigned)ctx->place.nhosts - 1;
    const unsigned some = (others + MEGA__CONF_LOOKS - 1) / MEGA__CONF_LOOKS;
    for (unsigned i = 0; !st && i < some; i++)
        st = look_at_host_of(ctx, (*turn_p)++);
    return st;
}

mega_status_t mega__watch_look_late(void *arg)
{
    struct mega__ctx *ctx = arg;
    struct mega__watch *w = watch_of(ctx);
    mega_status_t st = look_at_step(ctx, 0);
    if (w->late++ < LATE_LOOKS && st != MEGA_ERR_TIMEOUT)
        return MEGA_OK;
    return st ? st
              : mega__fail(
                    MEGA_ERR_TIMEOUT,
                    "not all ranks left the space within MEGALLOC_TIMEOUT"
                    " (%llu s): one is stopped, or lost",
                    (unsigned long long)ctx->conf.timeout.v.number);
}
