/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * boot_threads.c - boot.h for tests: threads of one process are the ranks.
 *
 * Every collective is: show what I give, meet, read what the others showed. Who
 * goes on shows elsewhere, and is held up at the next meeting by whoever still
 * reads. Happy path: all ranks call the same collective with the same length.
 * What can fail: a rank died (boot_team_break), then all calls give PEER; a
 * rank calls something else, then all get DIFFERS and the test sees it.
 * Locks: one mutex per meeting point, held for no call of ours.
 */
#include "boot_threads.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "report.h"

enum call { BARRIER = 1, BCAST, GATHER, LEAST };

struct shown { /* by one rank, for the time of one collective */
    enum call call;
    size_t n;
    int root;
    const void *in;
    void *copy; /* of in, which its owner may change when it has met */
    size_t room;
};

/* Where count ranks meet. */
struct meeting {
    pthread_mutex_t mutex;
    pthread_cond_t all_here;
    int count, arrived;
    unsigned generation;
    bool broken;
    struct shown *shown; /* [2][count]: in turn */
};

struct mega__boot {
    struct boot_team *team;
    struct mega__boot_place place;
    struct meeting *host;
    void (*at_end)(void *);
    void *at_end_arg;
    bool alone;         /* its team is its own */
    unsigned calls;     /* collectives so far */
    unsigned breaks_in; /* so many more; 0: never */
};

struct boot_team {
    int nranks, nhosts;
    struct meeting all;
    struct meeting firsts;
    struct meeting *hosts; /* [nhosts] */
    struct mega__boot *ranks;
    void **transports;
};

/* ---- Meetings ---- */

static void meeting_init(struct meeting *m, int count)
{
    memset(m, 0, sizeof *m);
    pthread_mutex_init(&m->mutex, NULL);
    pthread_cond_init(&m->all_here, NULL);
    m->count = count;
    m->shown = calloc(2 * (size_t)count, sizeof *m->shown);
}

static void meeting_end(struct meeting *m)
{
    pthread_mutex_destroy(&m->mutex);
    pthread_cond_destroy(&m->all_here);
    for (int i = 0; m->shown && i < 2 * m->count; i++)
        free(m->shown[i].copy);
    free(m->shown);
}

static void meeting_break(struct meeting *m)
{
    pthread_mutex_lock(&m->mutex);
    m->broken = true;
    pthread_cond_broadcast(&m->all_here);
    pthread_mutex_unlock(&m->mutex);
}

/* On one processor the others come when they get it, and sleeping costs more.
 */
#define YIELDS 16

/* Returns when all are here, or false when one never will be. */
static bool meet(struct meeting *m)
{
    pthread_mutex_lock(&m->mutex);
    unsigned generation = m->generation;
    if (!m->broken && ++m->arrived == m->count) {
        m->arrived = 0;
        m->generation++;
        pthread_mutex_unlock(&m->mutex); /* or all wake up to wait for it */
        pthread_cond_broadcast(&m->all_here);
        return true;
    }
    for (int i = 0; i < YIELDS && !m->broken && generation == m->generation;
         i++) {
        pthread_mutex_unlock(&m->mutex);
        sched_yield();
        pthread_mutex_lock(&m->mutex);
    }
    while (!m->broken && generation == m->generation)
        pthread_cond_wait(&m->all_here, &m->mutex);
    bool met = generation != m->generation;
    pthread_mutex_unlock(&m->mutex);
    return met;
}

static void show(struct shown *at, struct shown mine)
{
    mine.copy = at->copy;
    mine.room = at->room;
    if (mine.n > mine.room) { /* no malloc: unit/nomem refuses those */
        free(mine.copy);
        CHECK(posix_memalign(&mine.copy, 64, mine.n) == 0, "no memory");
        mine.room = mine.n;
    }
    if (mine.n > 0)
        mine.in = memcpy(mine.copy, mine.in, mine.n);
    *at = mine;
}

static bool all_agree(const struct shown *shown, int count)
{
    for (int i = 1; i < count; i++)
        if (shown[i].call != shown[0].call || shown[i].n != shown[0].n ||
            shown[i].root != shown[0].root)
            return false;
    return true;
}

static mega_status_t peer_died(void)
{
    return mega__fail(MEGA_ERR_PEER, "a rank of the team has died");
}

/* out: NULL takes nothing. */
static void take(const struct shown *shown, int count, int me, void *out)
{
    const struct shown *mine = &shown[me];
    if (!out || mine->n == 0)
        return;
    if (mine->call == BCAST && me != mine->root)
        memcpy(out, shown[mine->root].in, mine->n);
    for (int i = 0; i < count; i++) {
        if (mine->call == GATHER)
            memcpy((char *)out + (size_t)i * mine->n, shown[i].in, mine->n);
        const int *value = shown[i].in;
        if (mine->call == LEAST && (i == 0 || *value < *(int *)out))
            *(int *)out = *value;
    }
}

/* One collective: out gets what the call's kind says. */
static mega_status_t together(struct mega__boot *boot, struct meeting *m,
                              int me, struct shown mine, void *out)
{
    boot->calls++;
    if (boot->breaks_in > 0 && --boot->breaks_in == 0)
        boot_team_break(boot->team);
    /* Nobody raises the generation before this rank has arrived. */
    struct shown *shown = m->shown + (m->generation % 2) * (size_t)m->count;
    show(&shown[me], mine);
    if ((m->count > 1 || m->broken) && !meet(m))
        return peer_died();
    if (!all_agree(shown, m->count))
        return mega__fail(MEGA_ERR_DIFFERS,
                          "ranks are in different collective calls");
    take(shown, m->count, me, out);
    return MEGA_OK;
}

/* ---- The team ---- */

static void place_rank(struct boot_team *team, int rank, const int *hosts)
{
    struct mega__boot_place *p = &team->ranks[rank].place;
    memset(p, 0, sizeof *p);
    p->rank = rank;
    p->nranks = team->nranks;
    for (int i = 0; i < team->nranks; i++) {
        bool first_of_its_host = true;
        for (int j = 0; hosts && j < i; j++)
            first_of_its_host &= hosts[j] != hosts[i];
        first_of_its_host &= hosts || i == 0;
        bool mine = !hosts || hosts[i] == hosts[rank];
        if (mine && first_of_its_host)
            p->host = p->nhosts; /* numbered in order of lowest rank */
        p->nhosts += first_of_its_host;
        p->host_nranks += mine;
        p->host_rank += mine && i < rank;
    }
}

struct boot_team *boot_team_new(int nranks, const int *hosts)
{
    struct boot_team *team = calloc(1, sizeof *team);
    team->nranks = nranks;
    team->ranks = calloc((size_t)nranks, sizeof *team->ranks);
    team->transports = calloc((size_t)nranks, sizeof *team->transports);
    meeting_init(&team->all, nranks);
    for (int r = 0; r < nranks; r++)
        place_rank(team, r, hosts);
    team->nhosts = team->ranks[0].place.nhosts;
    meeting_init(&team->firsts, team->nhosts);
    team->hosts = calloc((size_t)team->nhosts, sizeof *team->hosts);
    for (int r = 0; r < nranks; r++) {
        struct mega__boot *boot = &team->ranks[r];
        boot->team = team;
        boot->host = &team->hosts[boot->place.host];
        if (boot->place.host_rank == 0)
            meeting_init(boot->host, boot->place.host_nranks);
    }
    return team;
}

void boot_team_free(struct boot_team **team_p)
{
    struct boot_team *team = *team_p;
    if (!team)
        return;
    *team_p = NULL; /* may lie in what is freed now */
    for (int h = 0; h < team->nhosts; h++)
        meeting_end(&team->hosts[h]);
    meeting_end(&team->firsts);
    meeting_end(&team->all);
    free(team->hosts);
    free(team->ranks);
    free(team->transports);
    free(team);
}

void boot_team_break_at(struct boot_team *team, int rank, unsigned n)
{
    team->ranks[rank].breaks_in = n;
}

unsigned boot_team_collectives(const struct boot_team *team, int rank)
{
    return team->ranks[rank].calls;
}

static void meeting_mend(struct meeting *m)
{
    m->broken = false;
    m->arrived = 0;
}

void boot_team_mend(struct boot_team *team)
{
    meeting_mend(&team->all);
    meeting_mend(&team->firsts);
    for (int h = 0; h < team->nhosts; h++)
        meeting_mend(&team->hosts[h]);
}

void *boot_team_comm(struct boot_team *team, int rank)
{
    return &team->ranks[rank];
}

void boot_team_break(struct boot_team *team)
{
    meeting_break(&team->all);
    meeting_break(&team->firsts);
    for (int h = 0; h < team->nhosts; h++)
        meeting_break(&team->hosts[h]);
}

void boot_team_end(struct boot_team *team, int rank)
{
    struct mega__boot *boot = &team->ranks[rank];
    if (boot->at_end)
        boot->at_end(boot->at_end_arg);
}

void **boot_team_transport(struct boot_team *team, int rank)
{
    return &team->transports[rank];
}

struct boot_team *boot_team_of(struct mega__boot *boot)
{
    return boot->team;
}

/* ---- boot.h ---- */

mega_status_t mega__boot_start(void *comm, const char *shown,
                               const struct mega__boot_limits *limits,
                               struct mega__boot **boot_p)
{
    (void)shown, (void)limits;
    struct mega__boot *boot = comm;
    if (!boot) { /* "all processes": this one alone */
        struct boot_team *alone = boot_team_new(1, NULL);
        boot = &alone->ranks[0];
        boot->alone = true;
    }
    boot->at_end = NULL;
    *boot_p = boot;
    return MEGA_OK;
}

mega_status_t mega__boot_find_hosts(struct mega__boot *boot, const char *host)
{
    (void)boot, (void)host; /* the team says who is where */
    return MEGA_OK;
}

void mega__boot_stop(struct mega__boot **boot_p)
{
    struct mega__boot *boot = *boot_p;
    *boot_p = NULL;
    if (boot)
        boot->at_end = NULL;
    if (boot && boot->alone)
        boot_team_free(&boot->team);
}

struct mega__boot_place mega__boot_place(const struct mega__boot *boot)
{
    return boot->place;
}

void *mega__boot_comm(struct mega__boot *boot)
{
    return boot;
}

/* Threads are not stopped alone. */
void mega__boot_watch(struct mega__boot *boot, uint64_t ns,
                      mega_status_t (*fn)(void *), void *arg)
{
    (void)boot, (void)ns, (void)fn, (void)arg;
}

mega_status_t mega__boot_given_up(const struct mega__boot *boot)
{
    (void)boot;
    return MEGA_OK;
}

mega_status_t mega__boot_right_thread(const struct mega__boot *boot)
{
    (void)boot;
    return MEGA_OK;
}

void mega__boot_at_end(struct mega__boot *boot, void (*fn)(void *), void *arg)
{
    boot->at_end = fn;
    boot->at_end_arg = arg;
}

mega_status_t mega__boot_barrier(struct mega__boot *boot)
{
    return together(boot, &boot->team->all, boot->place.rank,
                    (struct shown){.call = BARRIER}, NULL);
}

mega_status_t mega__boot_bcast(struct mega__boot *boot, void *buf, size_t n,
                               int root)
{
    return together(
        boot, &boot->team->all, boot->place.rank,
        (struct shown){.call = BCAST, .n = n, .root = root, .in = buf}, buf);
}

mega_status_t mega__boot_least(struct mega__boot *boot, int value, int *least_p)
{
    return together(
        boot, &boot->team->all, boot->place.rank,
        (struct shown){
            .call = LEAST, .n = sizeof value, .root = 0, .in = &value},
        least_p);
}

mega_status_t mega__boot_host_gather(struct mega__boot *boot, const void *in,
                                     size_t n, void *out)
{
    return together(boot, boot->host, boot->place.host_rank,
                    (struct shown){.call = GATHER, .n = n, .root = 0, .in = in},
                    boot->place.host_rank == 0 ? out : NULL);
}

mega_status_t mega__boot_firsts_allgather(struct mega__boot *boot,
                                          const void *in, size_t n, void *out)
{
    return together(boot, &boot->team->firsts, boot->place.host,
                    (struct shown){.call = GATHER, .n = n, .root = 0, .in = in},
                    out);
}

mega_status_t mega__boot_host_bcast(struct mega__boot *boot, void *buf,
                                    size_t n)
{
    return together(boot, boot->host, boot->place.host_rank,
                    (struct shown){.call = BCAST, .n = n, .root = 0, .in = buf},
                    buf);
}

mega_status_t mega__boot_host_barrier(struct mega__boot *boot)
{
    return together(boot, boot->host, boot->place.host_rank,
                    (struct shown){.call = BARRIER}, NULL);
}

/* ---- Ranks ---- */

struct team_rank {
    struct boot_team *team;
    int rank;
    boot_team_fn *fn;
    void *arg;
    pthread_t thread;
};

static void *run_rank(void *arg)
{
    struct team_rank *r = arg;
    struct mega__boot *boot = NULL;
    CHECK(mega__boot_start(boot_team_comm(r->team, r->rank), "", NULL, &boot) ==
              MEGA_OK,
          "start");
    r->fn(boot, r->rank, r->arg);
    mega__boot_stop(&boot);
    return NULL;
}

void boot_team_run(int nranks, const int *hosts, boot_team_fn *fn, void *arg)
{
    struct boot_team *team = boot_team_new(nranks, hosts);
    struct team_rank *ranks = calloc((size_t)nranks, sizeof *ranks);
    CHECK(ranks, "no memory");
    for (int r = 0; r < nranks; r++) {
        ranks[r] = (struct team_rank){team, r, fn, arg, 0};
        pthread_create(&ranks[r].thread, NULL, run_rank, &ranks[r]);
    }
    for (int r = 0; r < nranks; r++)
        pthread_join(ranks[r].thread, NULL);
    free(ranks);
    boot_team_free(&team);
}
