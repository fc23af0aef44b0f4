/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * boot.h - start-up and collectives. boot_mpi.c implements it; for tests
 * test/lib/boot_threads.c, where threads of one process are the ranks.
 * All but start are collective over all ranks (or, _host_, those of a host;
 * _firsts_, the first of each host) and called by one thread at a time. What
 * grows with the ranks of the job is gathered once per host, by its first.
 */
#ifndef MEGA__BOOT_H
#define MEGA__BOOT_H

#include <stdbool.h>

#include "megalloc.h"

struct mega__boot;

struct mega__boot_place {
    int rank, nranks;
    int host, nhosts;           /* hosts are numbered by their lowest rank */
    int host_rank, host_nranks; /* among the ranks of this host */
};

struct mega__boot_limits {
    uint64_t silence_s; /* a rank that is there is silent for so long: lost */
    uint64_t answer_s;  /* and all others have heard of it */
    uint64_t start_s;   /* for ranks that have not come */
};

/* Joins the job. comm: an MPI_Comm *, or NULL for all processes, starting MPI
 * if nobody has. shown: the name of this host, for people. Till
 * mega__boot_watch is called ranks look after each other by MPI, if they are in
 * collectives.
 * ERRORS: STATE - MPI is finalised, or comm is given and MPI not initialised;
 * ARG - comm is an intercommunicator; THREAD; IO; TIMEOUT. */
mega_status_t mega__boot_start(void *comm, const char *shown,
                               const struct mega__boot_limits *limits,
                               struct mega__boot **boot_p);

/* The first collective, which sets the place: ranks are on one host if they
 * give the same text. All have come, so what they see is of one time. */
mega_status_t mega__boot_find_hosts(struct mega__boot *boot, const char *host);

void mega__boot_stop(struct mega__boot **boot_p);

struct mega__boot_place mega__boot_place(const struct mega__boot *boot);
mega_status_t mega__boot_barrier(struct mega__boot *boot);
mega_status_t mega__boot_bcast(struct mega__boot *boot, void *buf, size_t n,
                               int root);
mega_status_t mega__boot_least(struct mega__boot *boot, int value,
                               int *least_p);
mega_status_t mega__boot_host_bcast(struct mega__boot *boot, void *buf,
                                    size_t n); /* from host_rank 0 */
mega_status_t mega__boot_host_barrier(struct mega__boot *boot);

/* n bytes of each, by host_rank. out: of host_rank 0, else not looked at. */
mega_status_t mega__boot_host_gather(struct mega__boot *boot, const void *in,
                                     size_t n, void *out);

/* n bytes of each host_rank 0, by host, for each of them. */
mega_status_t mega__boot_firsts_allgather(struct mega__boot *boot,
                                          const void *in, size_t n, void *out);

/* While a collective waits for others, fn(arg) is called now and then by the
 * thread that waits, from the first so many ns on. A status ends the collective
 * with it, and all that come later at once. fn NULL: no more. */
void mega__boot_watch(struct mega__boot *boot, uint64_t ns,
                      mega_status_t (*fn)(void *), void *arg);

/* The status with which the watch has ended a collective, and its sentence;
 * MEGA_OK: it has not. Any thread may ask. */
mega_status_t mega__boot_given_up(const struct mega__boot *boot);

/* ERRORS: THREAD - this thread may not call a collective. */
mega_status_t mega__boot_right_thread(const struct mega__boot *boot);

/* Calls fn(arg) when MPI is about to end and the job has not left. */
void mega__boot_at_end(struct mega__boot *boot, void (*fn)(void *), void *arg);

/* A communicator of the ranks, as an MPI_Comm, for megalloc_mpi.h: no message
 * of ours goes by it. */
void *mega__boot_comm(struct mega__boot *boot);

/* ---- agree.c: built on the calls above ---- */

/* The same answer on all ranks: MEGA_OK if each rank gave MEGA_OK; else the
 * status and sentence of the lowest rank that failed. */
mega_status_t mega__boot_agree(struct mega__boot *boot, mega_status_t mine);

/* DIFFERS - what is not the same n bytes on all ranks, named by what. */
mega_status_t mega__boot_same(struct mega__boot *boot, const void *value,
                              size_t n, const char *what);

/* Gathers n bytes (n may differ) of each rank, by host, then host_rank, on
 * host_rank 0 of each host: into one buffer of *n_p bytes that the caller
 * frees. On the others it is NULL, and *n_p 0. */
mega_status_t mega__boot_gather(struct mega__boot *boot, const void *in,
                                size_t n, void **out_p, size_t *n_p);

#endif
