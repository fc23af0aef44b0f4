/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * world.h - a job in one process: its ranks are threads, its homes lie on the
 * medium in use, its hosts are imagined. The public interface holds one space
 * per process, so tests with several ranks call the runtime with its context.
 */
#ifndef TEST_WORLD_H
#define TEST_WORLD_H

#include <stdbool.h>

#include "medium.h"
#include "types.h"

#define WORLD_RANKS_MAX 16

/* A scratch directory for lock files, and small homes that cannot grow, by
 * the environment; a medium, put to use. */
struct medium *world_begin(void);
void world_end(struct medium **m_p);

/* Sets MEGALLOC_<name>; value NULL unsets it. Not while a job runs. */
void world_set(const char *name, const char *value);

/* The file of pool k of a home. */
struct medium_file *world_file(struct medium *m, unsigned home, unsigned k);

/* Pool k of a home is what it was in then (medium_copy). */
void world_put_back(struct medium *m, unsigned home, unsigned k,
                    const struct medium *then);

typedef void (*world_fn)(struct mega__ctx *ctx, int rank, void *arg);

enum world_end_how {
    WORLD_CLOSE, /* as mega_finalize */
    WORLD_KILL   /* as SIGKILL: what the CPU saw stays, nothing is settled */
};

struct world {
    int nranks;
    const int *hosts; /* [nranks], or NULL: all on one */
    world_fn fn;      /* in each rank, after open */
    void *arg;
    enum world_end_how end;
    void (*opened)(void *arg); /* by rank 0, before fn; or NULL */
    bool together;     /* its threads share a processor, one rank this thread */
    char message[512]; /* of rank 0, if the open failed */
};

/* Runs the job; returns the status of the open, which is that of all ranks
 * (CHECKed), or of the close. */
mega_status_t world_run(struct world *w);

/* The usual: so many ranks on one host, closed in the end. */
mega_status_t world_do(int nranks, world_fn fn, void *arg);

/* Each rank on a host of its own; CHECKs the status of world_run. After
 * WORLD_KILL m loses its power as well. */
void world_on_hosts(struct medium *m, int nranks, world_fn fn,
                    enum world_end_how how);

/* All ranks of the job meet. */
void world_barrier(struct mega__ctx *ctx);

#endif
