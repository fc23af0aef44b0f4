/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * index.h - the index of this space, open: its region, its list of files (a
 * volatile copy) and the way from a word to its bucket.
 */
#ifndef TEXTINDEX_INDEX_H
#define TEXTINDEX_INDEX_H

#include <stdbool.h>
#include <stddef.h>

#include "access.h"
#include "format.h"
#include "paths.h"

struct ti_listed {
    char *path;
    mega_gptr_t at; /* its ti_file */
    uint64_t state; /* its state word when the index was opened */
};

struct ti_index {
    mega_region_t region;
    mega_gptr_t meta;
    mega_gptr_t origin;
    uint64_t nhomes;
    uint64_t heads_per_home;
    uint64_t unreadable;
    uint32_t attempt; /* of this job */
    struct ti_listed *file;
    size_t nfiles;
};

/* ---- The life of an index; all collective ---- */

enum ti_found {
    TI_NONE, /* the space has no index */
    TI_STUB, /* a build was killed before the index began: rubbish */
    TI_BEGUN /* an index, finished or not */
};

/* Opens the region, if there is one, and says what is in it. */
mega_status_t ti_index_look(struct ti_index *ix, enum ti_found *found_p)
    MEGA_MUST_CHECK;

/* Drops the region with all that is in it. */
mega_status_t ti_index_drop(struct ti_index *ix) MEGA_MUST_CHECK;

/* Begins an index of the files in list (of rank 0 alone): afterwards it is
 * found as TI_BEGUN, whatever happens. arg: the PATHs, to be remembered. */
mega_status_t ti_index_begin(struct ti_index *ix, const struct ti_paths *list,
                             char **arg, size_t nargs) MEGA_MUST_CHECK;

/* Reads the list of files of an index that ti_index_look found. */
mega_status_t ti_index_load(struct ti_index *ix) MEGA_MUST_CHECK;

/* Looks for an index, loads it. Returns an exit status; tells what is wrong. */
int ti_index_open(struct ti_index *ix);

void ti_index_close(struct ti_index *ix);

/* ---- Files ---- */

/* Files in a state. */
size_t ti_index_count(const struct ti_index *ix, enum ti_state state);

/* Format invariant (4). */
static inline bool ti_counts(const struct ti_index *ix, uint32_t attempt,
                             uint64_t posting)
{
    uint32_t file = ti_posting_file(posting);
    uint64_t state = file < ix->nfiles ? ix->file[file].state : 0;

    return posting != 0 && ti_state_of(state) == TI_DONE &&
           ti_attempt_of(state) == attempt;
}

/* ---- Words ---- */

/* The bucket head with a number below nhomes * heads_per_home. */
static inline mega_gptr_t ti_head(const struct ti_index *ix, uint64_t bucket)
{
    return mega_region_at(ix->region, (int)(bucket % ix->nhomes),
                          bucket / ix->nhomes * sizeof(uint64_t), NULL);
}

/* The bucket of a hash. */
static inline uint64_t ti_bucket(const struct ti_index *ix, uint64_t hash)
{
    return hash % ix->nhomes +
           (hash / ix->nhomes & (ix->heads_per_home - 1)) * ix->nhomes;
}

/* Where a word (bits) has its list of postings. */
static inline mega_gptr_t ti_list_of(uint64_t node)
{
    return mega_from_bits(node + offsetof(struct ti_word, postings));
}

/* Looks for a word in the chain from first (bits) up to, not including, the
 * node last (0: to the end). *node_p gets its bits, or 0. */
mega_status_t ti_chain_find(uint64_t first, uint64_t last, const char *text,
                            uint32_t len, uint64_t hash, struct ti_buf *buf,
                            uint64_t *node_p) MEGA_MUST_CHECK;

#endif
