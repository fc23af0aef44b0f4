/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * megalloc.h - one persistent global address space for SPMD programs.
 *
 * A *space* is a set of *homes*, shards of persistent memory numbered
 * 0..mega_nhomes()-1 for the life of the data. Any rank allocates chunks on
 * any home, reads, writes and updates them one-sidedly, says when they must
 * be durable, and finds them again in the next job, also with another number
 * of ranks. A *region* is a named owner of memory on all homes.
 *
 * CONVENTIONS, not repeated at each call
 * - A call that can fail returns MEGA_OK or a negative status, and leaves a
 *   sentence in mega_errmsg(). Outputs are set only on success. A null or
 *   ill-formed argument gives MEGA_ERR_ARG, a call before mega_init or after
 *   mega_finalize MEGA_ERR_STATE, one that needs a rank which is lost, or does
 *   not answer, PEER or TIMEOUT, one that makes durable IO once the system has
 *   refused to (a sync). Nothing aborts, exits or writes to stdout.
 * - Any thread may make any call. "Collective": all ranks, the same order,
 *   the same arguments, one thread of each at a time.
 * - A process that a rank has forked may exec; each call gives STATE there.
 * - Sizes and offsets are bytes. Local buffers may be reused on return,
 *   except those of the _nbi calls (after mega_quiet).
 *
 * ORDER of two operations of one thread on the same home
 *
 *   first \ then    put   get   amo   signal  persist
 *   put             F     Q     F     -       -
 *   put_nbi         F     Q     F     F       -
 *   get_nbi         Q     Q     Q     Q       -
 *   amo             -     -     -     -       -
 *   amo_nbi         Q     Q     Q     Q       Q
 *   alloc           -     -     -     -       -
 *   free            F     Q     F     F       -
 *
 *   - ordered as written   F mega_fence() between   Q mega_quiet() between
 *
 * LAWS OF DURABILITY
 * L1 mega_persist(p, n): the range, and that the chunks which meet it are
 *    allocated, is durable on return. mega_drain(): every allocation and
 *    free that this thread has made. mega_commit(): everything, data too, of
 *    all threads of all ranks whose calls came before.
 * L2 So data durable => its allocation durable, whoever persists.
 * L3 A pointer may be given to another thread or rank after mega_quiet(),
 *    mega_persist(), mega_barrier(), mega_put_signal(), mega_unlock() or a
 *    mega_amo() with MEGA_AMO_RELEASE.
 * L4 Persist a chunk before you link it. Persist the unlink before you free.
 *    Persist a link that you read before you make durable what rests on it.
 * L5 After a crash at any instant no chunk is handed out twice and no durably
 *    linked chunk is lost. A chunk allocated durably and never linked, or
 *    freed and not yet drained, may be left live: a leak.
 * L6 mega_reserve() takes a chunk that a crash gives back; mega_publish()
 *    makes up to MEGA_PUBLISH_MAX chunks live and stores their links, all or
 *    none. Until the call returns a slot named in it belongs to the caller:
 *    others may read through it, not change it, nor free what it names.
 * L7 Opening a space makes durable whatever it decides on.
 */
#ifndef MEGALLOC_H
#define MEGALLOC_H

#include "megalloc_base.h" /* statuses and global pointers */

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Set-up ------------------------------------------------------------ */

/** Opens the space named by MEGALLOC_DIR, creating it at first use, with one
 *  home per rank. Collective over MPI_COMM_WORLD; starts MPI if nobody has (and
 *  ends it at exit if closed). May be called again after mega_finalize. Reads
 *  MEGALLOC_* (see megalloc(7)). MEGA_ERR_CONF: a value is unreadable; BUSY:
 *  another job maps the space, named in the message, or another thread opens or
 *  closes it; ABSENT: a home's file is missing; MISMATCH, DAMAGED: a file is
 *  not this space's or broken; nothing is written to the others; MEDIUM_FULL,
 *  IO: the system's reason is in the message; TIMEOUT: a rank is not here
 *  within MEGALLOC_START_TIMEOUT (if MPI was not started, no space opens in
 *  this process then); or, and PEER, one is stopped or lost. All ranks return
 *  the same. MEGALLOC_OPEN=degraded: homes may be absent and nothing changes:
 *  what would gives UNSUPPORTED, what needs an absent home ABSENT. */
mega_status_t mega_init(void) MEGA_MUST_CHECK;

/** Makes all durable, marks the space clean, closes it, in any case but BUSY,
 *  THREAD. Collective. Deletes no data. MPI_Finalize calls it if nobody has. */
mega_status_t mega_finalize(void);

int mega_rank(void);   /* of this process, 0..mega_nranks()-1; -1 if closed */
int mega_nranks(void); /* of this job; 0 if closed */
int mega_nhomes(void); /* of the space; 0 if closed */

/** A home on this host for this rank to allocate on: the one it serves, if
 *  any (homes are dealt evenly). -1 if closed. */
int mega_my_home(void);

/** What survives what. */
typedef enum mega_domain {
    MEGA_DOMAIN_PROCESS = 0, /* kill -9, not power loss (tmpfs, page cache) */
    MEGA_DOMAIN_MSYNC = 1,   /* power loss, by msync (a file on a disk) */
    MEGA_DOMAIN_POWER = 2    /* power loss, by cache-line flushes (NVM) */
} mega_domain_t;

typedef struct mega_home_stat {
    int home, server, spans, local; /* local: this host maps it */
    mega_domain_t domain;
    uint64_t size;         /* bytes in extents that can hold chunks */
    uint64_t max;          /* MEGALLOC_HOME_MAX; 0: the medium's end */
    uint64_t free;         /* bytes in free extents */
    uint64_t largest_hole; /* bytes in adjacent free extents */
    uint64_t slabs;        /* bytes in slabs */
    uint64_t runs;         /* bytes in large chunks */
    uint64_t raw;          /* bytes reserved by regions */
    uint64_t live_chunks;  /* in slabs and runs */
    uint64_t live_bytes;   /* their usable sizes */
    char path[256];        /* its first pool file */
} mega_home_stat_t;

/** The state of one home, also of another host: its marks are then read over
 *  the network. Reads every mark: not for hot paths. Exact only while nobody
 *  allocates or frees there, and has called mega_quiet() since. PEER, TIMEOUT:
 *  its server is gone, or does not answer; IO: this rank cannot map it. */
mega_status_t mega_home_stat(int home, mega_home_stat_t *stat_p)
    MEGA_MUST_CHECK;

typedef struct mega_recovery {
    uint64_t epoch;         /* how often the space has been opened */
    int created;            /* this open made the space */
    int clean;              /* the job before ended with mega_finalize */
    uint64_t intents;       /* publish groups completed by this open */
    uint64_t refused;       /* intents that named impossible memory */
    uint64_t extents_freed; /* extents given back by this open */
    uint64_t regions_ended; /* half-made or half-destroyed regions */
} mega_recovery_t;

/** What the open of this job found and did, over all homes. */
mega_status_t mega_recovery(mega_recovery_t *rec_p) MEGA_MUST_CHECK;

/* ---- Regions ----------------------------------------------------------- */

typedef struct mega_region *mega_region_t; /* valid until close or finalize */

#define MEGA_DEFAULT ((mega_region_t)0) /* the region that always exists */
#define MEGA_NAME_MAX 63                /* bytes of a name, without the 0 */
#define MEGA_REGIONS_MAX 512
#define MEGA_ROOTS_MAX 1024

/** Makes a region and reserves bytes_per_home (may be 0) raw zeroed bytes on
 *  every home. flags: 0. Collective; durable, on all homes or on none, even if
 *  a crash comes midway. EXISTS; HOME_FULL, MEDIUM_FULL: a home has no such
 *  room and cannot grow, seen before any file grows if it can be; TABLE_FULL:
 *  MEGA_REGIONS_MAX regions exist, or about a million were ever made, or a home
 *  has all its spans or runs; IO: no shared memory for where the bytes lie. */
mega_status_t mega_region_create(const char *name, uint64_t bytes_per_home,
                                 unsigned flags, mega_region_t *r_p)
    MEGA_MUST_CHECK;

/** Finds a region by name. All handles of a region are equal; each create and
 *  open is closed once. Collective. NOT_FOUND; IO: as create. */
mega_status_t mega_region_open(const char *name, mega_region_t *r_p)
    MEGA_MUST_CHECK;

/** Gives the handle back; the region stays. Collective. */
mega_status_t mega_region_close(mega_region_t *r_p);

/** Ends a region with all its chunks, raw bytes and roots. Collective; no
 *  thread may use the region any more: other handles of it are good for a close
 *  only, also if this fails midway; what is left then, the next open ends. One
 *  durable record decides. ARG: it was destroyed, as all other calls say. */
mega_status_t mega_region_destroy(mega_region_t *r_p) MEGA_MUST_CHECK;

/** Adds raw zeroed bytes on every home, addressed after the former ones, which
 *  other threads may use meanwhile. Collective, durable, all homes or none.
 *  Errors as mega_region_create; STATE: after one that could not be undone. */
mega_status_t mega_region_grow(mega_region_t r, uint64_t more_per_home)
    MEGA_MUST_CHECK;

typedef struct mega_region_stat {
    char name[MEGA_NAME_MAX + 1];
    uint32_t id;
    uint64_t bytes_per_home; /* raw bytes */
    uint64_t extents;        /* bytes of extents held on all homes */
} mega_region_stat_t;

/** The state of a region. Reads the words of all homes. PEER, TIMEOUT, IO: as
 *  mega_home_stat. */
mega_status_t mega_region_stat(mega_region_t r, mega_region_stat_t *stat_p)
    MEGA_MUST_CHECK;

/** The raw byte at offset off on a home: no communication; any thread, also
 *  while the region grows. Null if home or off is out of range. Raw bytes may
 *  consist of several runs: len_p, unless NULL, gets the number of adjacent
 *  bytes from there. */
mega_gptr_t mega_region_at(mega_region_t r, int home, uint64_t off,
                           uint64_t *len_p);

/* ---- Chunks ------------------------------------------------------------ */

#define MEGA_ANY_HOME (-1) /* mine, my host's, others; full or lost: later */

/** A chunk of at least size bytes (>= 1) on a home, contents undefined, aligned
 *  to 16, from a page up to a page. One rank; lock-free but for a thread's
 *  first call, or if another rank has to be asked; durable by L1. NOMEM: of
 *  this process; HOME_FULL: it has MEGALLOC_HOME_MAX, and free is only what
 *  other threads keep (megalloc(7), Limits); MEDIUM_FULL: the medium has no
 *  more; TABLE_FULL: it has all its spans; TOO_BIG: for the largest span;
 *  TIMEOUT, PEER: its server does not answer, or is gone; IO: no map of it. */
mega_status_t mega_alloc(mega_region_t r, int home, size_t size,
                         mega_gptr_t *p_p) MEGA_MUST_CHECK;

/** count chunks of one size, all or none. On an error p_p[] is undefined;
 *  errors as mega_alloc. */
mega_status_t mega_alloc_n(mega_region_t r, int home, size_t size, size_t count,
                           mega_gptr_t *p_p) MEGA_MUST_CHECK;

/** Gives a chunk back; any rank, any thread; null is a no-op. Durable after
 *  mega_drain(); chunks above 32 KiB at once. NOT_LIVE: freed before, or not
 *  the start of a chunk. Undefined: a free while others use the chunk. */
mega_status_t mega_free(mega_gptr_t p);

/** The bytes that the chunk at p can hold. NOT_LIVE. */
mega_status_t mega_usable_size(mega_gptr_t p, size_t *size_p) MEGA_MUST_CHECK;

#define MEGA_PUBLISH_MAX 64

/** Takes a chunk that a crash gives back until it is published. Publish or
 *  cancel it in the same rank: above 32 KiB unchecked. Errors: mega_alloc's. */
mega_status_t mega_reserve(mega_region_t r, int home, size_t size,
                           mega_gptr_t *p_p) MEGA_MUST_CHECK;

/** Gives a reserved chunk back. NOT_LIVE: it is not reserved by this rank. */
mega_status_t mega_cancel(mega_gptr_t p);

typedef enum mega_publish_op {
    MEGA_PUBLISH_ALLOC, /* chunk is reserved; slot is null: slot = chunk */
    MEGA_PUBLISH_FREE,  /* slot holds the live chunk: slot = null, freed */
    MEGA_PUBLISH_SET    /* slot = chunk, a multiple of 16 (ARG if not), which
                         * need not be one; no chunk changes state */
} mega_publish_op_t;

typedef struct mega_publish_item {
    mega_publish_op_t op;
    mega_gptr_t chunk;
    mega_gptr_t slot; /* 8-aligned, in one item: in a root, raw run, live chunk,
                         or chunk of the group; null, not with SET: no link */
} mega_publish_item_t;

#define MEGA_PERSIST_CONTENTS 1u /* first persist the chunks of ALLOC items */

/** Does n <= MEGA_PUBLISH_MAX items, all or none if a crash comes; durable on
 *  return. Readers see the slots change one by one. Contents must be durable
 *  before, or flags has MEGA_PERSIST_CONTENTS. EXISTS: an ALLOC slot is not
 *  null; NOT_LIVE: a chunk is not reserved, or a FREE slot does not hold it;
 *  TOO_BIG: n; TABLE_FULL: all records of the home are taken, for good or for
 *  MEGALLOC_TIMEOUT, by publishes that lost a host. On an error nothing has
 *  changed, but PEER, TIMEOUT: a host of the items is gone, or a medium did not
 *  sync, and the next open may complete them: do not cancel, nor free a chunk
 *  of theirs again, and leave the slots as they are. To hand over by a slot:
 *  who empties it, or frees what it names, waits for more than the slot, such
 *  as a flag that the caller stores after the return, or a mega_barrier (L6).
 *  Source: libpmemobj's pmemobj_publish; the intents are Megalloc's. */
mega_status_t mega_publish(const mega_publish_item_t *items, size_t n,
                           unsigned flags) MEGA_MUST_CHECK;

/** alloc and link in one step that a crash cannot split. The chunk's contents
 *  are undefined. EXISTS: the slot is not null. PEER, TIMEOUT: as
 *  mega_publish. */
mega_status_t mega_alloc_to(mega_region_t r, int home, size_t size,
                            mega_gptr_t slot) MEGA_MUST_CHECK;

/** unlink and free in one step that a crash cannot split. A null slot is a
 *  no-op. Errors as mega_publish. */
mega_status_t mega_free_from(mega_gptr_t slot) MEGA_MUST_CHECK;

/* ---- Data -------------------------------------------------------------- */

/** Copies n bytes to p. Visible after mega_quiet(), durable by L1. ARG: null,
 *  or beyond the span; ABSENT. */
mega_status_t mega_put(mega_gptr_t p, const void *src, size_t n)
    MEGA_MUST_CHECK;

/** Copies n bytes from p; they are in dst on return. */
mega_status_t mega_get(void *dst, mega_gptr_t p, size_t n) MEGA_MUST_CHECK;

/** The same, but the buffer is free, or filled, only after mega_quiet(). */
mega_status_t mega_put_nbi(mega_gptr_t p, const void *src, size_t n)
    MEGA_MUST_CHECK;
mega_status_t mega_get_nbi(void *dst, mega_gptr_t p, size_t n) MEGA_MUST_CHECK;

typedef struct mega_iov {
    mega_gptr_t p;
    void *buf; /* only read by mega_putv, unused by mega_persistv */
    size_t len;
} mega_iov_t;

/** count puts or gets; complete on return like mega_put and mega_get. Stops
 *  at the first that fails. */
mega_status_t mega_putv(const mega_iov_t *iov, size_t count) MEGA_MUST_CHECK;
mega_status_t mega_getv(const mega_iov_t *iov, size_t count) MEGA_MUST_CHECK;

/** Copies n bytes between chunks anywhere; the ranges may not overlap. */
mega_status_t mega_copy(mega_gptr_t dst, mega_gptr_t src, size_t n)
    MEGA_MUST_CHECK;

/** A put, then an 8-byte store of signal to sig: who sees the signal sees the
 *  data and may use the pointers in it (L3). Source: OpenSHMEM 1.5, 9.8. */
mega_status_t mega_put_signal(mega_gptr_t p, const void *src, size_t n,
                              mega_gptr_t sig, uint64_t signal) MEGA_MUST_CHECK;

/** This thread's puts before are seen by others before those after. */
mega_status_t mega_fence(void);

/** This thread's operations are complete and visible; its pointers may be
 *  given away (L3). */
mega_status_t mega_quiet(void);

/* ---- Atomics ----------------------------------------------------------- */

/* The processor's, or with MEGALLOC_ATOMICS=nic a network card's: then atomic
 * instructions of the program, by mega_ptr, are not atomic against these. */

typedef enum mega_amo_op {
    MEGA_AMO_FETCH, /* read */
    MEGA_AMO_SET,   /* write */
    MEGA_AMO_ADD,
    MEGA_AMO_AND,
    MEGA_AMO_OR,
    MEGA_AMO_XOR,
    MEGA_AMO_SWAP,
    MEGA_AMO_CSWAP /* write value if the old one equals compare */
} mega_amo_op_t;

#define MEGA_AMO_RELEASE 1u /* who sees the value may use what went before */

/** One atomic operation on the size (4 or 8, aligned) bytes at p. old_p gets
 *  the value before, or is NULL (not of FETCH). Complete on return; atomic
 *  against all other mega_amo, not against put. Durable by L1. */
mega_status_t mega_amo(mega_amo_op_t op, unsigned flags, size_t size,
                       mega_gptr_t p, uint64_t value, uint64_t compare,
                       uint64_t *old_p) MEGA_MUST_CHECK;

/** The same, begun: old_p is set, and the operation has happened, after
 *  mega_quiet(), which waits for many of them as long as for one. With
 *  MEGA_AMO_RELEASE it begins with a quiet itself. Source: OpenSHMEM 1.5. */
mega_status_t mega_amo_nbi(mega_amo_op_t op, unsigned flags, size_t size,
                           mega_gptr_t p, uint64_t value, uint64_t compare,
                           uint64_t *old_p) MEGA_MUST_CHECK;

MEGA_MUST_CHECK
static inline mega_status_t mega_fetch_add64(mega_gptr_t p, uint64_t v,
                                             uint64_t *old_p)
{
    return mega_amo(MEGA_AMO_ADD, MEGA_AMO_RELEASE, 8, p, v, 0, old_p);
}

MEGA_MUST_CHECK
static inline mega_status_t mega_cswap64(mega_gptr_t p, uint64_t expect,
                                         uint64_t v, uint64_t *old_p)
{
    return mega_amo(MEGA_AMO_CSWAP, MEGA_AMO_RELEASE, 8, p, v, expect, old_p);
}

MEGA_MUST_CHECK
static inline mega_status_t mega_swap64(mega_gptr_t p, uint64_t v,
                                        uint64_t *old_p)
{
    return mega_amo(MEGA_AMO_SWAP, MEGA_AMO_RELEASE, 8, p, v, 0, old_p);
}

MEGA_MUST_CHECK
static inline mega_status_t mega_fetch64(mega_gptr_t p, uint64_t *value_p)
{
    return mega_amo(MEGA_AMO_FETCH, 0, 8, p, 0, 0, value_p);
}

MEGA_MUST_CHECK
static inline mega_status_t mega_set64(mega_gptr_t p, uint64_t v)
{
    return mega_amo(MEGA_AMO_SET, MEGA_AMO_RELEASE, 8, p, v, 0, NULL);
}

/* ---- Durability -------------------------------------------------------- */

/** L1 for n bytes (0 is legal) at p, in one span. */
mega_status_t mega_persist(mega_gptr_t p, size_t n) MEGA_MUST_CHECK;

/** L1 for count ranges, of any homes: one fence, and for each home of another
 *  host one message for 256 ranges. On an error some may not be durable. */
mega_status_t mega_persistv(const mega_iov_t *iov, size_t count)
    MEGA_MUST_CHECK;

/** A put that is durable on return. */
mega_status_t mega_put_persist(mega_gptr_t p, const void *src, size_t n)
    MEGA_MUST_CHECK;

/** L1: all allocations and frees of this thread are durable. */
mega_status_t mega_drain(void) MEGA_MUST_CHECK;

/** L1, of all threads of all ranks. Collective. A checkpoint, not for inner
 *  loops: in domain power it flushes all memory in use, on a disk all files. */
mega_status_t mega_commit(void) MEGA_MUST_CHECK;

/* ---- Named roots ------------------------------------------------------- */

/** Binds a name of region r to p (null allowed), durably; creates the name if
 *  needed. One rank. TABLE_FULL: MEGA_ROOTS_MAX names exist. ARG: p is not in a
 *  chunk in use, nor raw memory, of a home on home 0's host. */
mega_status_t mega_root_set(mega_region_t r, const char *name, mega_gptr_t p)
    MEGA_MUST_CHECK;

/** The pointer bound to a name. NOT_FOUND. */
mega_status_t mega_root_get(mega_region_t r, const char *name, mega_gptr_t *p_p)
    MEGA_MUST_CHECK;

/** The 8-byte slot of a name (created, null, if new): for mega_publish,
 *  mega_amo and their kin. After mega_root_remove it may be another name's:
 *  who removes sees to it that nobody stores there any more. */
mega_status_t mega_root_slot(mega_region_t r, const char *name,
                             mega_gptr_t *slot_p) MEGA_MUST_CHECK;

/** Forgets a name, durably. NOT_FOUND. */
mega_status_t mega_root_remove(mega_region_t r, const char *name)
    MEGA_MUST_CHECK;

/** The name after position *iter_p (start with 0) of region r, copied to name.
 *  NOT_FOUND: no more. */
mega_status_t mega_root_next(mega_region_t r, uint64_t *iter_p,
                             char name[MEGA_NAME_MAX + 1], mega_gptr_t *p_p)
    MEGA_MUST_CHECK;

/* ---- Synchronisation --------------------------------------------------- */

/** All ranks have arrived; a quiet of the calling threads. Collective. PEER,
 *  TIMEOUT, as of every collective call: a rank that is waited for is lost or
 *  stopped; later ones then fail at once. */
mega_status_t mega_barrier(void) MEGA_MUST_CHECK;

/** n bytes of root's buf to all. Collective. */
mega_status_t mega_bcast(void *buf, size_t n, int root) MEGA_MUST_CHECK;

typedef enum mega_cmp {
    MEGA_CMP_EQ,
    MEGA_CMP_NE,
    MEGA_CMP_GT,
    MEGA_CMP_GE,
    MEGA_CMP_LT,
    MEGA_CMP_LE
} mega_cmp_t; /* unsigned comparison */

/** Waits until the 8 bytes at p compare so with value. timeout_ms < 0: for
 *  ever; then PEER, TIMEOUT: a rank of the job is lost or stopped. TIMEOUT:
 *  else, after timeout_ms. Yields the processor, and sleeps, after 10 ms, for
 *  1 ms at most. PEER: the server of p is lost. */
mega_status_t mega_wait_until(mega_gptr_t p, mega_cmp_t cmp, uint64_t value,
                              int timeout_ms) MEGA_MUST_CHECK;

/** Reader/writer lock in the 8 zeroed, aligned bytes at p. Not recursive. Void
 *  after a restart: nobody holds it. BUSY (try only); STATE: unlock of a lock
 *  that no rank reads, or not this one writes; PEER, TIMEOUT: the writer,
 *  or while readers hold it any rank is lost or stopped. */
#define MEGA_LOCK_SHARED 1u
mega_status_t mega_lock(mega_gptr_t p, unsigned flags) MEGA_MUST_CHECK;
mega_status_t mega_trylock(mega_gptr_t p, unsigned flags) MEGA_MUST_CHECK;
mega_status_t mega_unlock(mega_gptr_t p, unsigned flags);

/* ---- Sight ------------------------------------------------------------- */

/** Calls fn for each live chunk of region r (MEGA_DEFAULT: of the default
 *  region) on a home, until fn returns not 0; that value goes to *stop_p unless
 *  NULL. Exact only while nobody allocates or frees there, and who has done so
 *  from another host has called mega_quiet() since. PEER, TIMEOUT, IO: as
 *  mega_home_stat; fn may have been called before. */
typedef int (*mega_walk_fn)(mega_gptr_t p, size_t usable, void *arg);
mega_status_t mega_walk(mega_region_t r, int home, mega_walk_fn fn, void *arg,
                        int *stop_p) MEGA_MUST_CHECK;

/** Verifies the invariants of a home; *bad_p gets the number of violations,
 *  each of them a sentence for fn (may be NULL). Exact as mega_walk is. It asks
 *  home 0, too. IO: as mega_home_stat. */
typedef void (*mega_check_fn)(const char *what, void *arg);
mega_status_t mega_check(int home, mega_check_fn fn, void *arg, uint64_t *bad_p)
    MEGA_MUST_CHECK;

typedef struct mega_counters {
    uint64_t flushes, fences;          /* lines and fences, this process */
    uint64_t claims, claim_cas;        /* extents claimed, CAS tried */
    uint64_t adoptions, disowned;      /* slabs taken over, given up */
    uint64_t extents_released, sweeps; /* empty slabs freed, slabs swept */
    uint64_t grown;                    /* spans added by this process */
    uint64_t claim_cas_max;            /* CAS tried for one claim, the most */
    uint64_t messages;                 /* and operations, sent to other hosts */
    uint64_t round_trips; /* answers of other hosts that were waited for */
} mega_counters_t;

/** Counts since mega_init, of all threads of this process, also of those that
 *  serve other ranks. */
mega_status_t mega_counters(mega_counters_t *counters_p) MEGA_MUST_CHECK;

#ifdef __cplusplus
}
#endif
#endif
