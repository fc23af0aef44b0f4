/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * megalloc_mpi.h - the calls of Megalloc that need MPI's types.
 * Conventions as in megalloc.h.
 */
#ifndef MEGALLOC_MPI_H
#define MEGALLOC_MPI_H

#include <megalloc.h>
#include <mpi.h>

#ifdef __cplusplus
extern "C" {
#endif

/** mega_init over the processes of comm, which is duplicated and may be freed.
 *  Collective over comm. Errors as mega_init; STATE: MPI is not initialised;
 *  ARG: an intercommunicator. */
mega_status_t mega_init_comm(MPI_Comm comm) MEGA_MUST_CHECK;

/** A communicator of the ranks of the open space, for the program alone: that
 *  of all processes, or a duplicate of what mega_init_comm was given.
 *  MPI_COMM_NULL if closed. Do not free it. */
MPI_Comm mega_comm(void);

#ifdef __cplusplus
}
#endif
#endif
