/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * medium.h - persistent memory that can lose power, in memory: named files,
 * each with two images.
 *
 *   cpu     what loads and stores see: one mapping, shared by all openers
 *   media   what a power loss leaves
 *   dirty   a line of 64 bytes in which they differ
 *
 * pool_lossy.c implements pool.h on the medium in use. A flush notes the
 * value of its lines; the drain of the same flusher moves what it noted to
 * media, unless something newer is there. At every flush and drain, and at
 * what changes files, a *point*, the medium calls on_point.
 *
 * THE MODEL: an aligned 8-byte word reaches the medium whole, or not at all;
 * a line may arrive in part, any words of it; in marks, which are written by
 * bytes, any bytes of it. A dirty line may arrive at any time.
 *
 * A file's bytes from MEDIUM_HEAD to MEDIUM_DATA are never used, never copied,
 * nor is its tail.
 */
#ifndef TEST_MEDIUM_H
#define TEST_MEDIUM_H

#include <pthread.h>
#include <stddef.h>

#include "pool.h"

#define MEDIUM_HEAD (UINT64_C(64) << 10)
#define MEDIUM_DATA MEGA__SPAN_ALIGN
#define MEDIUM_ROOT_OFF UINT64_C(4096)
#define MEDIUM_POOL_LEAST (MEDIUM_DATA + (UINT64_C(1) << 20))
#define MEDIUM_LARGE (UINT64_C(8) << 20) /* PMEMOBJ_MIN_POOL */
#define MEDIUM_TAIL (UINT64_C(5) << 20)
#define MEDIUM_NEVER UINT64_MAX
#define MEDIUM_HOSTS 4
#define MEDIUM_BORN                                                            \
    1u /* seq of a line that creation wrote, before any flush                  \
        */

struct medium_file {
    char *name;
    uint64_t size;
    uint64_t made; /* the size it was made with: another is damage */
    uint64_t tail;
    uint64_t ino;
    int host;    /* only this imitated host sees it */
    bool served; /* a server has it open */
    unsigned opens;
    char *cpu, *media;
    uint32_t *seq;    /* per line: the flush whose value is on media; 0: none */
    uint64_t still;   /* from here on, cpu and media are known to be equal */
    uint64_t picture; /* where seq is 0, media are as there (crash.c); 0: no */
};

struct medium_pending { /* a line flushed and not drained */
    const void *owner;  /* the flusher */
    struct medium_file *file;
    uint64_t off;
    uint32_t seq;
    bool late; /* msync: the value at the drain counts */
    _Alignas(8) unsigned char bytes[MEGA__LINE];
};

struct medium;
typedef void (*medium_point_fn)(struct medium *m, const char *what,
                                const void *addr, size_t len, void *arg);

struct medium {
    pthread_mutex_t mutex; /* recursive; of all below */
    struct medium_file **files;
    size_t nfiles;
    struct medium_pending *pending;
    size_t npending, pending_room;
    uint32_t next_seq;
    uint64_t next_ino;

    uint64_t tail; /* of a large file: libpmemobj takes as much for itself */
    uint64_t capacity;  /* bytes of all files; the medium is full beyond */
    enum mega__how how; /* MEGA__HOW_FLUSH unless the test says otherwise */
    unsigned char fill; /* of new files: "contents: anything" */
    bool device;        /* as a DAX device: a sync of a file does nothing */
    bool stale; /* media are not kept any more: nobody looks at them again */

    medium_point_fn on_point; /* NULL: none; called with the mutex held */
    void *on_point_arg;
    uint64_t flushes, drains;        /* calls so far */
    uint64_t drop_flush, drop_drain; /* this call has no effect; or NEVER */
    uint64_t flushes_of[MEDIUM_HOSTS], drains_of[MEDIUM_HOSTS];
    int drop_of;         /* drop_* count the calls of this host; -1: all */
    const void *dropper; /* of this flusher was the drain (pool_lossy.c) */
    char dropped[128];   /* what that call was for */
    uint64_t fail_drain; /* this call reports IO; or NEVER */
    bool fail_map;       /* who does not serve a file cannot map it: IO */
};

struct medium *medium_new(void);
void medium_free(struct medium **m_p);

/* pool.h works on m from now on, in the whole process. NULL: on none. */
void medium_use(struct medium *m);
struct medium *medium_in_use(void);

/* The host on which the calling thread is imagined to be. */
void medium_set_host(int host);
int medium_host(void);

void medium_lock(struct medium *m);
void medium_unlock(struct medium *m);

struct medium_file *medium_find(struct medium *m, const char *name);
struct medium_file *medium_find_addr(struct medium *m, const void *addr);

/* Something happens, at addr if it is a flush: on_point is told. */
void medium_point(struct medium *m, const char *what, const void *addr,
                  size_t len);

/* Of all files. */
uint64_t medium_bytes(const struct medium *m);

/* The file of this name, made with so many bytes: one that was there serves.
 * The bytes, ino and host are the caller's to set. */
struct medium_file *medium_place(struct medium *m, const char *name,
                                 uint64_t made);
void medium_fill(const struct medium *m, struct medium_file *file);

/* A new file of size bytes, both images filled. */
struct medium_file *medium_add(struct medium *m, const char *name,
                               uint64_t size);
void medium_remove(struct medium *m, struct medium_file *file);

/* Copies media and cpu of all files, no pending flushes. to is emptied. */
void medium_copy(struct medium *to, const struct medium *from);
/* Media alone: what cpu holds is nothing. */
void medium_copy_media(struct medium *to, const struct medium *from);

/* The power fails: cpu becomes media, nothing is pending, nothing is open. */
void medium_power_loss(struct medium *m);

/* Both images become the media of from, a file of this picture. */
void medium_load(struct medium_file *file, const struct medium_file *from,
                 uint64_t picture);

/* A line arrives on the medium as it is now. */
void medium_write_back(struct medium *m, struct medium_file *file,
                       uint64_t off);

/* Each dirty line arrives, with probability 1/2. */
void medium_evict(struct medium *m, uint64_t *seed);

/* Damage, in both images. */
void medium_flip(struct medium_file *file, uint64_t off, unsigned char mask);
void medium_cut(struct medium_file *file, uint64_t size);

/* A line is copied or compared although others may store to it. */
void medium_copy_line(void *to, const void *from);
bool medium_same_line(const void *a, const void *b);

/* Calls fn for each line in which cpu and media differ. */
typedef void (*medium_dirty_fn)(struct medium_file *file, uint64_t off,
                                void *arg);
void medium_each_dirty(struct medium *m, medium_dirty_fn fn, void *arg);
/* Those of a file that a sync has to look for: see medium_still. */
void medium_each_to_sync(struct medium_file *file, medium_dirty_fn fn,
                         void *arg);

/* Where what is used of a file ends. */
static inline uint64_t medium_end(const struct medium_file *file)
{
    return file->made - file->tail;
}

/* The two used ranges of a file: i 0 and 1. */
uint64_t medium_range(const struct medium_file *file, int i, uint64_t *begin_p);

/* Nobody stores to chunks and raw memory, which are as on the media, until
 * medium_stirred: a sync need not compare them. */
void medium_still(struct medium *m);
void medium_stirred(struct medium *m);

/* Is this byte of the file one of a span's marks? */
bool medium_is_mark(const struct medium_file *file, uint64_t off);

/* In words, where an address of the cpu image lies on the media. */
void medium_describe(struct medium *m, const void *addr, char *text,
                     size_t size);

/* xorshift: *seed is never 0. */
uint64_t medium_random(uint64_t *seed);

#endif
