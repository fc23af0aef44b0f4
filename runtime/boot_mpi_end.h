/* SPDX-License-Identifier: BSD-3-Clause */
/* boot_mpi_end.h - the end of an MPI that we have started. */
#ifndef MEGA__BOOT_MPI_END_H
#define MEGA__BOOT_MPI_END_H

#include <stdint.h>

/* MPI_Finalize, by all ranks, at exit. seconds: after which a rank that has not
 * come is named, and, when all have come, a rank leaves without, so that the
 * launcher ends the job; 0: it waits for ever. */
void mega__boot_mpi_end(uint64_t seconds);

#endif
