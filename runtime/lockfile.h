/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lockfile.h - who may use a home. Every process that maps a home holds the
 * home's lock file shared for as long as it does; opening takes it
 * exclusively first, so that a rank of a dying job, which still maps the
 * pool though its server is gone, keeps the next job out. Who only reads a
 * space (degraded.h) locks the first byte of the file, others all of it.
 */
#ifndef MEGA__LOCKFILE_H
#define MEGA__LOCKFILE_H

#include "megalloc.h"

/* Creates the file if needed and takes it exclusively, trying for patience
 * seconds. ERRORS: BUSY - the message names the processes that hold it; IO;
 * UNSUPPORTED - a network file system, whose locks may not reach others. */
mega_status_t mega__lockfile_exclusive(const char *path, unsigned patience,
                                       int *fd_p);

/* Turns the exclusive lock into a shared one, with no gap. ERRORS: IO. */
mega_status_t mega__lockfile_share(int fd);

/* Takes a shared lock. ERRORS: BUSY, IO. */
mega_status_t mega__lockfile_shared(const char *path, int *fd_p);

/* Keeps jobs that change the home out, and fails while one has it, trying for
 * patience seconds; readers may be many. Needs no more than to read the file;
 * where there is none and none can be made, *fd_p is -1. ERRORS: as exclusive.
 */
mega_status_t mega__lockfile_reader(const char *path, unsigned patience,
                                    int *fd_p);

/* Gives it back; accepts -1. */
void mega__lockfile_release(int *fd_p);

#endif
