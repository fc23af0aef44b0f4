/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * job.h - what the commands share as processes of one job: exit status,
 * messages, agreement between the ranks, volatile memory.
 */
#ifndef TEXTINDEX_JOB_H
#define TEXTINDEX_JOB_H

#include "megalloc.h"

enum {
    TI_OK = 0,
    TI_DIFFERS = 1, /* verify found a difference */
    TI_USAGE = 2,   /* the command cannot be carried out as given */
    TI_FAILED = 3,  /* megalloc or the system refused something */
    TI_LOST = 75    /* another rank is gone; megarun --restarts knows it */
};

/* One line "textindex: ..." to stderr, in one write. */
void ti_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Names what failed and why, with the library's own sentence. Returns
 * status, so that it can stand in a return; of a lost peer it does not
 * return but ends this rank. */
mega_status_t ti_failed(const char *what, mega_status_t status);

/* The largest code of all ranks, on all ranks. Collective. TI_FAILED when the
 * ranks cannot even agree. */
int ti_agree(int code);

/* The sum over all ranks, on all ranks. Collective. */
mega_status_t ti_sum(uint64_t mine, uint64_t *sum_p);

/* Monotonic seconds. */
double ti_seconds(void);

/* realloc that ends the process with TI_FAILED when there is no memory left;
 * mpirun then ends the job, and the space stays as after a crash. */
void *ti_realloc(void *old, size_t size);

/* Room for need items of size bytes in a vector of *cap_p items at old. */
void *ti_room(void *old, size_t *cap_p, size_t need, size_t size);

#endif
