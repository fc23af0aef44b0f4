/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pool.h - persistent memory: pool files, flush and drain. The bottom of the
 * runtime; pool_pmem.c (libpmemobj), pool_flush.c and pool_files.c implement
 * it, and for tests test/lib/pool_lossy.c, which loses what was not fenced.
 *
 * ASSUMPTIONS: paths are absolute or relative to the working directory and
 * fit; the caller holds the home's lock file.
 */
#ifndef MEGA__POOL_H
#define MEGA__POOL_H

#include <stdbool.h>

#include "layout.h"

struct mega__pool; /* one pool file, open (by its server) or only mapped */

struct mega__file { /* which of the files of this host */
    uint64_t device, inode;
};

/* How a store reaches the medium. */
enum mega__how {
    MEGA__HOW_NONE = 0, /* nothing to do: domain process, or eADR */
    MEGA__HOW_FLUSH,    /* a cache-line flush and a fence */
    MEGA__HOW_MSYNC,    /* msync of the pages */
    MEGA__HOW_FAR       /* by the server, on another host: far.h's */
};

/* What a thread has flushed and not fenced yet. Used by one thread. */
#define MEGA__FLUSH_RANGES 16
struct mega__flusher {
    uint64_t flushes; /* lines, or msync ranges; by count.h */
    uint64_t fences;
    bool unfenced; /* flush instructions since the last drain */
    bool failed;   /* something before the drain did, which is to tell it */
    unsigned nranges;
    struct mega__flush_range {
        uintptr_t begin, end;
    } ranges[MEGA__FLUSH_RANGES];
};

/* Begins to write the lines of [addr, addr+len) to the medium. */
void mega__pool_flush(struct mega__flusher *f, enum mega__how how,
                      const void *addr, size_t len);

/* Copies len bytes and begins to write them to the medium: cheaper than a store
 * and a flush where nobody reads them soon, for they may go past the caches.
 * They are seen in any order before the drain.
 * ASSUMPTION: to, from and len are multiples of 8. */
void mega__pool_write(struct mega__flusher *f, enum mega__how how, void *to,
                      const void *from, size_t len);

/* All that f has flushed or written is on the medium. ERRORS: IO - a sync has
 * failed: the data may not be durable; from then on always, for nobody knows
 * what the system has forgotten to write. */
mega_status_t mega__pool_drain(struct mega__flusher *f);

/* From now on each drain of this process fails. */
void mega__pool_distrust(void);

/* CONF - no pool file is as small as that. */
mega_status_t mega__pool_check_size(uint64_t size);

/* Makes a pool file of size bytes under path, allocated on the medium, with
 * an empty root whose ident is *ident (self and crc are filled in).
 * ERRORS: EXISTS; MEDIUM_FULL; IO; CONF - as check_size. */
mega_status_t mega__pool_create(const char *path, uint64_t size,
                                const struct mega__pool_ident *ident,
                                struct mega__pool **pool_p);

/* Opens a pool file as its server: libpmemobj recovers what is its own, and it
 * gets room for all of it, if a copy has holes. ERRORS: ABSENT - no such file;
 * DAMAGED; MISMATCH - not a Megalloc pool of this version; MEDIUM_FULL; BUSY;
 * IO. */
mega_status_t mega__pool_open(const char *path, struct mega__pool **pool_p);

/* Maps a pool file that a server of this host has open. root_off is its
 * mega__pool_root_off there. ERRORS: ABSENT; MISMATCH - another file;
 * IO. */
mega_status_t mega__pool_map(const char *path, struct mega__file file,
                             uint64_t root_off, struct mega__pool **pool_p);

/* Maps a pool file to be read only; no store to it is possible, no flush of it
 * is needed. libpmemobj has no part in it, so what it has to recover stays as
 * it is. ERRORS: ABSENT; DAMAGED - no root of Megalloc in it; IO. */
mega_status_t mega__pool_view(const char *path, struct mega__pool **pool_p);

/* Closes or unmaps. Accepts a pointer to NULL. */
void mega__pool_close(struct mega__pool **pool_p);

struct mega__pool_root *mega__pool_root(const struct mega__pool *pool);
uint64_t mega__pool_root_off(const struct mega__pool *pool);
char *mega__pool_base(const struct mega__pool *pool); /* of file offset 0 */
uint64_t mega__pool_size(const struct mega__pool *pool);
struct mega__file mega__pool_file(const struct mega__pool *pool);

/* Allocates the largest object that fits as root->oids[slot] and returns
 * where a span may lie in it: file offset aligned to MEGA__SPAN_ALIGN, size
 * in whole extents. Contents: anything. Only the server.
 * ERRORS: MEDIUM_FULL - no room for min bytes. */
mega_status_t mega__pool_add_span(struct mega__pool *pool, unsigned slot,
                                  uint64_t min, uint64_t *base_p,
                                  uint64_t *size_p);

/* Frees the object again (creation that failed). */
void mega__pool_drop_span(struct mega__pool *pool, unsigned slot);

/* What the medium of this pool needs. */
enum mega__how mega__pool_how(const struct mega__pool *pool);
mega_domain_t mega__pool_domain(const struct mega__pool *pool);

/* Writes all that the system still holds of the file to the medium (L7).
 * ERRORS: IO - and no drain succeeds any more. */
mega_status_t mega__pool_sync(struct mega__pool *pool);

/* ---- Files by name ---- */

/* Calls fn for each pool file whose path matches a shell pattern (glob(7);
 * a backslash quotes). ERRORS: IO, NOMEM. */
mega_status_t mega__pool_find(const char *pattern,
                              void (*fn)(const char *path, void *arg),
                              void *arg);

/* That there is a file or directory of this name is durable on return.
 * ERRORS: IO. */
mega_status_t mega__pool_sync_name(const char *path);

/* Renames within a directory; durable on return. ERRORS: IO. */
mega_status_t mega__pool_rename(const char *from, const char *to);

/* Removes a file; absent is fine. ERRORS: IO. */
mega_status_t mega__pool_unlink(const char *path);

/* Which file of this kernel a path names; never 0 but: the process may not
 * read it, or, write, write it. */
uint64_t mega__pool_number(const char *path, bool write);

/* The bytes that the medium of a file has left; UINT64_MAX: it does not say. */
uint64_t mega__pool_left(const char *path);

#endif
