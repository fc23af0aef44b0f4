/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * boot_mpi_life.h - signs of life by MPI, where there is nothing else yet, or
 * no more: each rank gives them to the one before it, in a ring. Who finds the
 * next one silent tells the one before, and so all are told.
 */
#ifndef MEGA__BOOT_MPI_LIFE_H
#define MEGA__BOOT_MPI_LIFE_H

#include <mpi.h>
#include <stdbool.h>

#include "megalloc.h"

#define MEGA__LIFE_HOST 64

enum mega__life_kind {
    MEGA__LIFE_HERE,
    MEGA__LIFE_AT_END, /* waits for the others, with nothing else to do */
    MEGA__LIFE_LOST,   /* another rank is */
    MEGA__LIFE_LEFT    /* the last that a rank says */
};

struct mega__life_sign {
    int kind, rank;
    char host[MEGA__LIFE_HOST]; /* of that rank; empty: not known */
};

struct mega__life {
    MPI_Comm comm;
    int tag, next, before;
    bool on;                      /* there is another rank */
    unsigned seconds, per_second; /* of silence, that is allowed; looks */
    unsigned silent;              /* looks since the next one's last sign */
    struct mega__life_sign mine, heard; /* heard: the next one's last */
    struct mega__life_sign in, out, news;
    MPI_Request receive, send, tell;
};

/* Collective, but waits for nobody. comm: of MPI_ERRORS_RETURN. seconds: after
 * which the next rank is lost, at so many looks per second. */
void mega__life_begin(struct mega__life *life, MPI_Comm comm, int tag,
                      const char *host, unsigned seconds, unsigned per_second);

/* A sign, and a look. Only looks are counted, so a rank that was stopped itself
 * finds nobody lost. ERRORS: TIMEOUT - a rank is lost, the sentence names it.
 */
mega_status_t mega__life_look(struct mega__life *life);

/* No more signs; nobody is lost from now on. */
void mega__life_leave(struct mega__life *life);

/* After leave: whether the next one has left too, and nothing of ours is under
 * way. */
bool mega__life_is_over(struct mega__life *life);

/* At once, for MPI ends. */
void mega__life_drop(struct mega__life *life);

#endif
