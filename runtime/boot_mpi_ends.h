/* SPDX-License-Identifier: BSD-3-Clause */
/* boot_mpi_ends.h - the start and the end of an MPI that nobody else starts. */
#ifndef MEGA__BOOT_MPI_ENDS_H
#define MEGA__BOOT_MPI_ENDS_H

#include <stdbool.h>

#include "boot_mpi.h"

/* MPI_Init_thread, unless it was called. At exit, if all spaces are closed, all
 * ranks wait for each other, then MPI_Finalize is called. Both have bounds, by
 * limits: MPI would wait for ever.
 * ERRORS: IO, NOMEM; TIMEOUT - it does not return; STATE - it did not, earlier;
 * THREAD - only one thread may call this MPI. */
mega_status_t mega__boot_mpi_begin(const struct mega__boot_limits *limits);

/* When a space is closed: whether its communicator is kept, to wait at exit. */
bool mega__boot_mpi_keep(const struct mega__boot *boot);

/* A program that fails calls exit() in one rank only: ending MPI would then
 * wait for the others for ever. Implemented by boot_mpi.c. */
bool mega__boot_mpi_spaces_closed(void);

/* That ranks have not called mega_init: a warning, or why it is given up. */
void mega__boot_mpi_tell_late(const struct mega__boot_limits *limits);
mega_status_t mega__boot_mpi_too_late(const struct mega__boot_limits *limits);

#endif
