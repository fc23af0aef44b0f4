/* SPDX-License-Identifier: BSD-3-Clause */
/* boot_threads.h - threads of one process as the ranks of a job. */
#ifndef TEST_BOOT_THREADS_H
#define TEST_BOOT_THREADS_H

#include "boot.h"

/* The job. Hosts are imitated: each rank is told on which one it is. */
struct boot_team;

/* hosts[rank]: any number that names the host; NULL: all on one host. */
struct boot_team *boot_team_new(int nranks, const int *hosts);
void boot_team_free(struct boot_team **team_p);

/* The comm argument of mega__boot_start for one rank. */
void *boot_team_comm(struct boot_team *team, int rank);

/* Runs fn in each rank of a new job, and ends it. */
typedef void boot_team_fn(struct mega__boot *boot, int rank, void *arg);
void boot_team_run(int nranks, const int *hosts, boot_team_fn *fn, void *arg);

/* A rank has died: collectives under way and to come fail with PEER. */
void boot_team_break(struct boot_team *team);
/* The same when this rank comes to its nth collective from now on, 1 the next;
 * 0: it does not. */
void boot_team_break_at(struct boot_team *team, int rank, unsigned n);
/* How many there were. */
unsigned boot_team_collectives(const struct boot_team *team, int rank);
/* Whoever was lost is there again. Nobody is in a collective. */
void boot_team_mend(struct boot_team *team);

/* Does what MPI_Finalize does: calls the functions of mega__boot_at_end. */
void boot_team_end(struct boot_team *team, int rank);

/* A place where net_delay.c keeps the transport of each rank. */
void **boot_team_transport(struct boot_team *team, int rank);
struct boot_team *boot_team_of(struct mega__boot *boot);

#endif
