/* SPDX-License-Identifier: BSD-3-Clause */
/* world.c - see world.h. */
#include "world.h"

#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "boot_threads.h"
#include "log.h"
#include "report.h"
#include "space.h"

struct rank {
    struct world *world;
    struct boot_team *team;
    int rank, host;
    mega_status_t opened, closed;
    char message[512];
    pthread_t thread;
};

static char scratch[64];

void world_set(const char *name, const char *value)
{
    char full[64];
    snprintf(full, sizeof full, "MEGALLOC_%s", name);
    if (value)
        setenv(full, value, 1);
    else
        unsetenv(full);
}

/* Thousands of jobs allocate and free the same: keep it. */
static void keep_memory(void)
{
    mallopt(M_ARENA_MAX, 1);
    mallopt(M_MMAP_THRESHOLD, 32 << 20);
    mallopt(M_TRIM_THRESHOLD, 1 << 30);
}

struct medium *world_begin(void)
{
    keep_memory();
    struct medium *m = medium_new();
    strcpy(scratch, "/dev/shm/megalloc-test-XXXXXX");
    if (!mkdtemp(scratch)) {
        perror(scratch);
        abort();
    }
    world_set("DIR", scratch);
    world_set("HOME_SIZE", "3M");
    world_set("HOME_MAX", "3M");
    world_set("LOG", "error");
    world_set("DURABILITY", "auto");
    medium_use(m);
    return m;
}

void world_end(struct medium **m_p)
{
    char command[96];
    snprintf(command, sizeof command, "rm -rf %s", scratch);
    if (system(command) != 0)
        fprintf(stderr, "world: %s failed\n", command);
    medium_use(NULL);
    medium_free(m_p);
}

struct medium_file *world_file(struct medium *m, unsigned home, unsigned k)
{
    char name[128];
    snprintf(name, sizeof name, "%s/home-%u.%u.pool", scratch, home, k);
    return medium_find(m, name);
}

void world_put_back(struct medium *m, unsigned home, unsigned k,
                    const struct medium *then)
{
    struct medium_file *f = world_file(m, home, k);
    for (size_t i = 0; i < then->nfiles; i++) {
        const struct medium_file *old = then->files[i];
        for (int r = 0; r < 2 && strcmp(old->name, f->name) == 0; r++) {
            uint64_t begin, end = medium_range(f, r, &begin);
            memcpy(f->cpu + begin, old->cpu + begin, end - begin);
            memcpy(f->media + begin, old->media + begin, end - begin);
        }
    }
}

static void *run_rank(void *arg)
{
    struct rank *r = arg;
    struct mega__ctx *ctx = NULL;
    medium_set_host(r->host);
    r->opened = mega__space_open(boot_team_comm(r->team, r->rank), &ctx);
    if (r->opened) {
        snprintf(r->message, sizeof r->message, "%s", mega__errmsg_buffer());
        return NULL;
    }
    if (r->rank == 0 && r->world->opened)
        r->world->opened(r->world->arg);
    if (r->world->fn)
        r->world->fn(ctx, r->rank, r->world->arg);
    if (r->world->end == WORLD_KILL) {
        world_barrier(ctx); /* the others may still use its memory */
        mega__space_abandon(&ctx);
    } else {
        r->closed = mega__space_close(&ctx);
        CHECK(r->closed == MEGA_OK, "close on rank %d: %s", r->rank,
              mega__errmsg_buffer());
    }
    return NULL;
}

/* The threads that this one starts stay where it is now: a wakeup that crosses
 * processors takes longer than what most of them are woken for. */
static void start_here(cpu_set_t *before)
{
    cpu_set_t here;
    CPU_ZERO(&here);
    CPU_SET((size_t)sched_getcpu(), &here);
    sched_getaffinity(0, sizeof *before, before);
    sched_setaffinity(0, sizeof here, &here);
}

mega_status_t world_run(struct world *w)
{
    struct rank ranks[WORLD_RANKS_MAX];
    struct boot_team *team = boot_team_new(w->nranks, w->hosts);
    cpu_set_t everywhere;
    /* Who is killed leaves a thread's things behind: not those of this one. */
    const bool by_itself =
        w->together && w->nranks == 1 && w->end == WORLD_CLOSE;
    if (w->together)
        start_here(&everywhere);
    memset(ranks, 0, sizeof ranks);
    for (int r = 0; r < w->nranks; r++) {
        ranks[r].world = w;
        ranks[r].team = team;
        ranks[r].rank = r;
        ranks[r].host = w->hosts ? w->hosts[r] : 0;
        if (by_itself)
            run_rank(&ranks[r]);
        else
            pthread_create(&ranks[r].thread, NULL, run_rank, &ranks[r]);
    }
    if (w->together)
        sched_setaffinity(0, sizeof everywhere, &everywhere);
    for (int r = 0; r < w->nranks && !by_itself; r++)
        pthread_join(ranks[r].thread, NULL);
    boot_team_free(&team);
    for (int r = 1; r < w->nranks; r++)
        CHECK(ranks[r].opened == ranks[0].opened,
              "open: rank %d says %d (%s), rank 0 %d (%s)", r, ranks[r].opened,
              ranks[r].message, ranks[0].opened, ranks[0].message);
    memcpy(w->message, ranks[0].message, sizeof w->message);
    return ranks[0].opened ? ranks[0].opened : ranks[0].closed;
}

mega_status_t world_do(int nranks, world_fn fn, void *arg)
{
    struct world w = {.nranks = nranks, .fn = fn, .arg = arg};
    return world_run(&w);
}

void world_on_hosts(struct medium *m, int nranks, world_fn fn,
                    enum world_end_how how)
{
    int hosts[WORLD_RANKS_MAX];
    struct world w = {.nranks = nranks, .hosts = hosts, .fn = fn, .end = how};
    for (int r = 0; r < nranks; r++)
        hosts[r] = r;
    mega_status_t st = world_run(&w);
    CHECK(st == MEGA_OK, "%d %s", st, w.message);
    if (how == WORLD_KILL)
        medium_power_loss(m);
}

void world_barrier(struct mega__ctx *ctx)
{
    mega_status_t st = mega__boot_barrier(ctx->boot);
    CHECK(st == MEGA_OK, "barrier: %d", st);
}
