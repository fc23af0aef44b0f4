/* SPDX-License-Identifier: BSD-3-Clause */
/* boot_mpi_end.h - the end of an MPI that we have started. */
#ifndef MEGA__BOOT_MPI_END_H
#define MEGA__BOOT_MPI_END_H

#include <stdbool.h>
#include <stdint.h>

/* MPI_Finalize, by all ranks, at exit, if it is sure to return. seconds: after
 * which a rank that has not come is named, and, when all have come, a rank
 * leaves without, so that the launcher ends the job; 0: it waits for ever.
 * tells: true of one rank of a host, which says that some are late. */
void mega__boot_mpi_end(uint64_t seconds, bool tells);

#endif
