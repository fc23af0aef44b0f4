/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tally.h - the words of one file and how often each occurs.
 *
 * A token is a maximal run of the bytes [A-Za-z0-9_], case kept. The file is
 * read, not mapped: it may change or shrink while we look.
 */
#ifndef TEXTINDEX_TALLY_H
#define TEXTINDEX_TALLY_H

#include <stdint.h>

#include "dict.h"

struct ti_tally {
    struct ti_dict dict;
    uint32_t stamp; /* of the present file */
    uint64_t bytes; /* of the present file */
    uint32_t *ref;  /* its words: the counts are in the entries */
    size_t count, cap;
    char *buf; /* the piece of the file that is looked at */
    size_t buf_cap;
};

void ti_tally_open(struct ti_tally *t);
void ti_tally_close(struct ti_tally *t);

/* Counts the words of a file. Returns 0 or an errno; then nothing counts. */
int ti_tally_file(struct ti_tally *t, const char *path);

#endif
