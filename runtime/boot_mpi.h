/* SPDX-License-Identifier: BSD-3-Clause */
/* boot_mpi.h - what the files of boot_mpi*.c share. */
#ifndef MEGA__BOOT_MPI_H
#define MEGA__BOOT_MPI_H

#include <mpi.h>

#include "boot.h"
#include "boot_mpi_life.h"
#include "log.h"

enum mega__boot_tag { /* of messages on comm */
                      MEGA__TAG_HOST,
                      MEGA__TAG_FIRSTS,
                      MEGA__TAG_LIFE,
                      MEGA__TAG_END
};

struct mega__boot {
    MPI_Comm comm; /* a duplicate: our messages meet nobody's */
    MPI_Comm user; /* of the same processes, for the program */
    struct mega__boot_place place;
    int *host_ranks; /* of this host; the first is that of host_rank 0 */
    int *firsts;     /* of the hosts; NULL on other ranks */
    struct mega__boot_limits limits;
    struct mega__life life; /* till somebody else looks after the others */
    unsigned late;          /* seconds that others are late to mega_init */
    bool met;               /* all have come: there is comm */
    bool world;             /* it is of all processes */
    bool main_thread_only;
    /* Of mega__boot_least: MPI has them as it has what is lent, and no memory
     * is needed to agree that there is none. */
    int mine, least;
    bool mpi_ends; /* inside the callback: the attribute is going */
    void (*at_end)(void *);
    void *at_end_arg;
    mega_status_t (*watch)(void *);
    void *watch_arg;
    uint64_t watch_ns;
    _Atomic int given_up; /* what the watch said; its sentence is there first */
    char given_up_text[MEGA__ERRMSG_MAX];
};

mega_status_t mega__boot_mpi_status(int rc, const char *what);

/* Waits for the end of what has begun with rc; if it fails this rank has given
 * up. */
mega_status_t mega__boot_mpi_complete(struct mega__boot *boot, int rc,
                                      int count, MPI_Request *requests,
                                      const char *what);

/* This rank takes part in no collective any more: the others, which wait for it
 * in one, are told when they ask. */
mega_status_t mega__boot_mpi_give_up(struct mega__boot *boot, mega_status_t st);

/* A buffer of n bytes for MPI, a copy of from unless that is NULL. NULL: no
 * memory, and this rank has given up. MPI has it until its requests are
 * complete, and of what is given up they never are: so it is freed only if st
 * says that all went well. */
void *mega__boot_mpi_lend(struct mega__boot *boot, const void *from, size_t n);
void mega__boot_mpi_take_back(void *lent, mega_status_t st);

/* A collective may be called, by this thread. */
mega_status_t mega__boot_mpi_may_call(const struct mega__boot *boot);

#endif
