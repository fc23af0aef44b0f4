/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * table.h - the list of files in the space: written once, read by each job.
 */
#ifndef TEXTINDEX_TABLE_H
#define TEXTINDEX_TABLE_H

#include "index.h"

/* Writes the list, durably. One rank. *first_p gets its first block. */
mega_status_t ti_table_write(struct ti_index *ix, const struct ti_paths *list,
                             mega_gptr_t *first_p) MEGA_MUST_CHECK;

/* Writes working directory and PATHs, durably. One rank. */
mega_status_t ti_origin_write(struct ti_index *ix, char **arg, size_t nargs,
                              mega_gptr_t *p_p) MEGA_MUST_CHECK;

/* Goes to the directory where the build was begun, so that relative paths
 * mean what they meant. Warns if PATHs are given that differ from those of
 * the beginning. Returns an exit status. */
int ti_origin_enter(struct ti_index *ix, char **arg, size_t nargs);

/* Fills ix->file from the blocks at first (bits). */
mega_status_t ti_table_read(struct ti_index *ix, uint64_t first)
    MEGA_MUST_CHECK;

void ti_table_free(struct ti_index *ix);

#endif
