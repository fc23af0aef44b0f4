/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * format.h - the chunks of the index in the space, and nothing else.
 *
 *   region "textindex": raw bytes = bucket heads, the same number on every
 *   home; root "index" -> meta; everything else hangs on these two
 *
 *   meta -> block -> block ...            the list of files, in order
 *             |-> file, file, ...         name and state of each
 *   bucket head -> word -> word ...       newest first, per bucket
 *                   |-> postings -> ...   newest first, per word: those of
 *                                         one batch of files in one chunk
 *
 * CRASH INVARIANTS
 * (1) The root is set when the meta chunk, the list of files and their names
 *     are durable. Without the root there is no index, only rubbish.
 * (2) A word or postings are durable before the compare-and-swap that links it,
 *     with its next already in it. So any value of a bucket head or of a
 *     word's list that was ever visible leads to a durable chain.
 * (3) Before a file becomes DONE all links it rests on are durable: the list
 *     head of each of its words, and the bucket head of each of these words
 *     unless this rank has persisted it since the word was in the chain.
 * (4) A posting counts if its file is DONE in the attempt that wrote it. All
 *     others are left by a crash. build --resume, before it goes on, unlinks
 *     and frees chunks with no posting that counts, and sets others to 0. So
 *     a DONE file is counted exactly once.
 * (5) Links change one aligned 8-byte word at a time.
 */
#ifndef TEXTINDEX_FORMAT_H
#define TEXTINDEX_FORMAT_H

#include <stdint.h>

#define TI_REGION "textindex"
#define TI_ROOT "index"
#define TI_MAGIC UINT64_C(0x3278646974786574) /* "textidx2" */

/* All pointers are the bits of a mega_gptr_t. */

struct ti_meta {
    uint64_t magic;
    uint64_t nhomes;
    uint64_t heads_per_home; /* a power of two */
    uint64_t nfiles;
    uint64_t unreadable; /* directories that the walk could not enter */
    uint64_t blocks;     /* -> the first ti_block */
    uint64_t origin;     /* -> ti_origin */
    uint64_t spare;
    /* Of the present job only; void after a crash, never persisted. */
    uint64_t taken;    /* how many files have been given to ranks */
    uint64_t finished; /* how many of these are DONE or SKIPPED */
    uint64_t bytes;    /* of text read */
    uint64_t spare2[5];
};

#define TI_BLOCK_FILES 126

struct ti_block {
    uint64_t next;
    uint64_t count; /* of files here */
    uint64_t file[TI_BLOCK_FILES];
};

enum ti_state { TI_TODO = 0, TI_DONE = 1, TI_SKIPPED = 2 };

struct ti_file {
    uint64_t state; /* ti_state | attempt << 8 */
    uint64_t len;   /* of path, without a 0 */
    char path[];
};

/* Where and with what the build was begun. */
struct ti_origin {
    uint64_t len;
    char text[]; /* working directory, PATHs; each ends with a 0 */
};

struct ti_word {
    uint64_t next;     /* of the bucket */
    uint64_t postings; /* -> the newest ti_postings */
    uint32_t hash;     /* high half of ti_hash, to pass others by quickly */
    uint32_t len;
    char text[];
};

struct ti_postings {
    uint64_t next;    /* of the word */
    uint32_t attempt; /* low half of the epoch of the job that wrote it */
    uint32_t len;     /* of posting */
    uint64_t posting[];
};

/* A posting is count << TI_FILE_BITS | place in the list of files; 0 is none,
 * for a count is not 0. */
#define TI_FILE_BITS 28
#define TI_FILES_MAX (UINT64_C(1) << TI_FILE_BITS)
#define TI_COUNT_MAX ((UINT64_C(1) << (64 - TI_FILE_BITS)) - 1)

static inline uint64_t ti_posting(uint32_t file, uint64_t count)
{
    return count << TI_FILE_BITS | file;
}

static inline uint32_t ti_posting_file(uint64_t posting)
{
    return (uint32_t)(posting & (TI_FILES_MAX - 1));
}

static inline uint64_t ti_posting_count(uint64_t posting)
{
    return posting >> TI_FILE_BITS;
}

static inline uint64_t ti_state_word(enum ti_state state, uint32_t attempt)
{
    return (uint64_t)state | (uint64_t)attempt << 8;
}

static inline enum ti_state ti_state_of(uint64_t word)
{
    return (enum ti_state)(word & 0xff);
}

static inline uint32_t ti_attempt_of(uint64_t word)
{
    return (uint32_t)(word >> 8);
}

#endif
