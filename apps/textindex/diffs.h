/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * diffs.h - the differences that verify finds: counted all, the first told.
 */
#ifndef TEXTINDEX_DIFFS_H
#define TEXTINDEX_DIFFS_H

#include <stdint.h>

#define TI_DIFFS_TOLD 10
#define TI_DIFF_LEN 512 /* longer sentences are cut */

struct ti_diffs {
    uint64_t count;
    char line[TI_DIFFS_TOLD][TI_DIFF_LEN];
};

void ti_diffs_add(struct ti_diffs *d, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Rank 0 tells the first differences, of rank 0 first, to stderr. Collective.
 * Returns an exit status, the same on all ranks. */
int ti_diffs_tell(const struct ti_diffs *mine);

#endif
