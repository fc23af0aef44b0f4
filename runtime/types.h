/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * types.h - THE MAP: every volatile structure. For the bytes on media see
 * layout.h.
 *
 *   space > home > span > extent > slab > chunk
 *
 *   space    one persistent global address space: a directory of pool files
 *   home     one shard of it, one or more pool files, served by one rank
 *   span     one large libpmemobj object in a pool; Megalloc manages inside
 *   extent   the unit of coarse memory; one word says what it is
 *   run      adjacent extents owned as one: a large chunk, or raw memory
 *   slab     an extent cut into chunks of one class
 *   granule  the smallest chunk; mark: its byte, the truth about the chunk
 *   arena    a thread's allocation state; region: a named owner of memory
 *   epoch    how often the space was opened; voids all older owners
 *   agent    the thread of a rank that serves its homes to others
 */
#ifndef MEGA__TYPES_H
#define MEGA__TYPES_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "boot.h"
#include "conf.h"
#include "gptr.h"
#include "pool.h"

#define MEGA__CLASSES 32
#define MEGA__CLASS_MAX 32768u /* bytes; larger chunks are runs */

struct mega__net;
struct mega__far;
struct mega__view;
struct mega__origin;
struct mega__seg;
struct mega__seg_home;
struct mega__roll;
struct mega__agent;
struct mega__request;

/* ---- Size classes (class.c): constant after init ---- */

struct mega__class {
    uint32_t size;     /* bytes, a multiple of 16, >= MEGA__GRANULE */
    uint32_t capacity; /* chunks in a slab */
    uint32_t magic;    /* offset / size == offset * magic >> 32 */
    uint32_t spare;
    /* Bit b of word w: granule w*64+b of the extent begins a chunk. One word
     * stands for one line of marks. */
    uint64_t starts[MEGA__EXTENT_LINES];
};

struct mega__classes {
    struct mega__class of[MEGA__CLASSES];
    uint16_t bin_of[MEGA__CLASS_MAX / 16]; /* of (size - 1) / 16: how far in
                                            * a heap's bins its bin lies */
};

/* ---- Homes ---- */

/* A span as this process sees it. Never freed before finalize. Of a far home
 * (far.h) base, words, marks and hints are NULL: net.h reaches them. */
struct mega__span {
    char *base;
    uint64_t size;
    uint64_t data; /* offset of the first extent that can hold data */
    uint64_t words_off, marks_off; /* from the start of the span */
    _Atomic uint64_t *words;
    _Atomic uint8_t *marks;
    _Atomic uint16_t *hints;  /* frees in an unowned slab; may be wrong */
    uint32_t first, extents;  /* usable: [first, extents) */
    _Atomic uint32_t touched; /* extents below have their pages, about */
    enum mega__how how;
    uint32_t no;
    struct mega__home *home;
    /* The slabs of this process, by extent; NULL: not owned here. */
    _Atomic(struct mega__slab *) *slabs;
};

/* A rank keeps a place for each home of the job, but touches those it meets. */
struct mega__home {
    uint32_t no;
    _Atomic bool met; /* set up: see roll.h */
    bool local;       /* this host maps it: spans and block are valid */
    bool serving;     /* this rank is the server */
    enum mega__how how;
    mega_domain_t domain;
    int lock_fd;                     /* -1: not held */
    _Atomic(struct mega__net *) nic; /* of a local home: as ctx->nic */
    _Atomic bool lost;               /* nic: its server, once */
    struct mega__home_block *block;  /* in span 0 */
    struct mega__seg_home *seg;      /* what the ranks of the host share */
    struct mega__pool **pools;       /* by pool number; under ctx->map_lock */
    uint32_t npools, pools_room;
    _Atomic(struct mega__span *)
        *spans; /* [MEGA__SPANS_MAX]; NULL: not local */
    /* Of a far home, instead: [MEGA__SPANS_MAX], made when it is needed. */
    _Atomic(_Atomic(struct mega__span *) *) far;
};

/* ---- Allocation ---- */

/* A slab that this process owns. Per chunk (at its start granule):
 *   in list   avail bit set
 *   reserved  rsv bit set
 *   live      neither: handed out; the mark tells when it was freed
 * INVARIANTS: avail & rsv == 0; avail, rsv within starts; a chunk whose mark
 * is LIVE is not in the list. The owner's thread alone changes avail; rsv bits
 * are set by it and cleared by any thread of the process, after the mark of a
 * published chunk is LIVE. */
struct mega__slab {
    struct mega__arena *arena; /* for ever: others may read it at any time, */
    _Atomic bool unsaid; /* and this. Far: the home's word is SLAB_INIT yet */
    uint8_t class;
    uint16_t line; /* where the next chunk is looked for */
    uint32_t extent;
    struct mega__slab *next; /* in the arena's spare list, or parked */
    struct mega__bin *bin;   /* that keeps it */
    struct mega__span *span;
    _Atomic uint8_t *marks; /* of the extent; of a far slab: far's */
    struct mega__far *far;  /* NULL: of this host */
    uint64_t base;          /* global pointer of the extent */
    uint32_t region;
    uint32_t size, magic; /* of the class, for the hot paths */
    uint32_t within;      /* bits by which an offset is looked at again */
    uint32_t noted; /* bit: a line of marks that need not be noted as dirty */
    uint64_t avail[MEGA__EXTENT_LINES];
    _Atomic uint64_t rsv[MEGA__EXTENT_LINES];
};

#define MEGA__BIN_KEEP 8
#define MEGA__BIN_FREED 10
#define MEGA__BIN_BYTES 256
struct mega__bin { /* the slabs an arena owns of one region, home, class */
    struct mega__slab *cur;  /* drawn from now: kept, parked, or NULL */
    struct mega__freed *top; /* end of what is used of freed */
    uint16_t n;
    uint8_t far_skip, far_pause; /* sweeps of far slabs to leave out */
    uint8_t far_ahead;           /* far slabs that were claimed at once */
    struct mega__slab *kept[MEGA__BIN_KEEP];
    /* Freed last, handed out first, and in no list: to a sweep these look
     * like chunks that others have freed, so it forgets them first. Their
     * lines are noted (struct mega__slab): what clears that puts them into the
     * list. They end where the bin does: the low bits of top tell whether it
     * is full. */
    _Alignas(16) struct mega__freed {
        uint64_t p;
        _Atomic uint8_t *mark;
    } freed[MEGA__BIN_FREED];
};

/* Chunks of MEGA_ANY_HOME that go to other homes before this one, which was
 * full, is asked again; how many did the last time. */
struct mega__shun {
    uint16_t left, last;
};

struct mega__heap { /* an arena's part of one region on one home */
    struct mega__heap *next;
    uint32_t region, on; /* on: the number of the home */
    bool gone;           /* its region has ended: nothing of it is used */
    struct mega__home *home;
    uint32_t cursor_span, cursor; /* where the last claim succeeded */
    struct mega__view *view;      /* words of a far home, seen last */
    /* By class: slabs whose chunks are in use or reserved, for which the bin
     * has no room. A ring by next; this is the last, or NULL. */
    struct mega__slab *parked[MEGA__CLASSES];
    struct mega__shun shun[MEGA__CLASSES];
    _Alignas(MEGA__BIN_BYTES) struct mega__bin bins[MEGA__CLASSES];
};

/* Lines of marks that this thread has changed and not made durable: a
 * direct-mapped set, so that a line is noted once, and what it displaced.
 * An entry is a line's address with its enum mega__how in the low bits.
 * Others may read it and flush the lines; only the owner removes.
 * INVARIANT: where a slab of this arena has its noted bit set, the line is in
 * the set, or its home needs no flush. The reverse need not be. */
#define MEGA__DIRTY_SLOTS 1024
#define MEGA__DIRTY_SPILL 64
struct mega__dirty {
    _Atomic uintptr_t slots[MEGA__DIRTY_SLOTS];
    _Atomic uintptr_t spill[MEGA__DIRTY_SPILL]; /* flushed, not fenced */
    _Atomic unsigned nspill;
    /* The owner's: bit, slot is set; the slab that has noted it, or NULL. */
    uint64_t used[MEGA__DIRTY_SLOTS / 64];
    struct mega__slab *by[MEGA__DIRTY_SLOTS];
};

#define MEGA__HEAP_BUCKETS 64
#define MEGA__RELEASED 256
#define MEGA__FAR_FREES 64
struct mega__arena {
    /* The hot paths (hot.h) look at these alone. */
    struct {           /* what was asked for last, and its heap */
        uint64_t name; /* of the region */
        int home;      /* perhaps MEGA_ANY_HOME */
        /* of 16 bytes, that a slab's chunk has; 0, by any thread: nothing */
        _Atomic uint64_t units;
        struct mega__heap *heap;
    } usual;
    struct {           /* the span in which a chunk was freed last */
        uint64_t base; /* its first global pointer */
        uint64_t size; /* 0: none */
        _Atomic(struct mega__slab *) *slabs;
    } freed_in;
    struct mega__ctx *ctx;
    struct mega__heap *last; /* most recently used */
    uint32_t seed;           /* spreads the start positions of claims */
    uint32_t record;         /* of an intent: the last taken */
    struct mega__dirty dirty;
    struct mega__flusher flusher;
    /* The owner's; who ends a region reads the lists, and which slabs the heaps
     * keep. So heaps_lock is held by both, by the owner where it changes a list
     * or gives up slabs of any region. */
    pthread_mutex_t heaps_lock;
    struct mega__heap *heaps[MEGA__HEAP_BUCKETS];
    _Atomic bool gone; /* some heap is, to be discarded by the owner */
    struct mega__slab *spare_slabs;
    /* Extents that were freed last, to be claimed first: their pages are
     * here already. A ring of global pointers; may be wrong. */
    uint64_t released[MEGA__RELEASED];
    unsigned nreleased;
    bool serves;   /* of the service thread: it must not wait for itself */
    size_t wanted; /* chunks that the running mega_alloc_n still needs: who has
                    * more than one takes off the others */
    /* What is to be sent to far homes: far slabs with changed marks, and
     * marks of others' slabs to be freed. */
    pthread_mutex_t far_lock;
    struct mega__far *far_dirty;
    struct mega__slab *far_ending;       /* given up; the thread's own */
    uint64_t far_frees[MEGA__FAR_FREES]; /* global pointers of marks */
    unsigned nfar_frees;
    mega_status_t far_doubt; /* of a free that was sent and not answered */
    uint32_t far_doubt_on;   /* its home */
    bool far_puts;           /* of this thread, perhaps still on their way */
    mega_counters_t count;   /* by count.h; all but flushes, fences */
    struct mega__origin *origin; /* the transport's, for its thread */
    struct mega__origin *undone; /* one that died with what it had begun */
    struct mega__arena *next;    /* in ctx->arenas */
    /* Under ctx->arena_lock: */
    pthread_t thread;
    bool in_use;                         /* false: its thread has ended */
    _Atomic(struct mega__arena *) *mine; /* that thread's mega__arena_mine */
};

/* ---- What the ranks of a host hold once (seg.h) ---- */

struct mega__shared {
    uint64_t bytes;
};

/* The raw runs of a region, in the order of home and start. */
struct mega__raw_run {
    uint64_t start; /* region offset */
    uint64_t bytes;
    mega_gptr_t base;
};

struct mega__run_map {
    struct mega__shared shared;
    uint64_t nruns;
    struct mega__raw_run runs[];
};

struct mega__raw_layer {           /* of a region: the runs from an offset on */
    struct mega__raw_layer *below; /* those before it; NULL: from is 0 */
    struct mega__raw_layer *older; /* published before; some look at it yet */
    uint64_t from;
    uint32_t grows; /* in one layer */
    struct mega__run_map *map;
};

/* ---- Regions ---- */

struct mega_region {          /* all handles of one region are this one */
    struct mega_region *next; /* open ones of ctx */
    struct mega__ctx *ctx;
    uint32_t opens;     /* and creates, without a close yet */
    _Atomic bool ended; /* destroyed; its id and line may be no one's */
    uint32_t id;
    uint32_t line; /* of its record in home 0 */
    _Atomic uint64_t bytes_per_home;
    char name[MEGA__NAME_BYTES];
    _Atomic(struct mega__raw_layer *) places; /* NULL: no bytes_per_home */
};

/* ---- The job ---- */

struct mega__ctx {
    struct mega__conf conf;
    struct mega__boot *boot;
    struct mega__boot_place place;
    struct mega__net *net;
    /* Does all atomics on the space, also on homes that are mapped here; NULL:
     * the processor does those. One or the other from the end of the open on,
     * in all ranks: the two do not see each other's as whole. */
    struct mega__net *nic;
    struct mega__seg *seg;
    struct mega__agent *agent;
    _Atomic(struct mega__watch *) watch; /* NULL: not open yet */

    uint8_t uuid[16];
    uint64_t epoch;
    uint64_t draw; /* tells this open from that of a copy in the same epoch */
    uint32_t epoch14;
    uint8_t dead_mark;
    uint32_t nhomes;
    bool readonly;    /* MEGALLOC_OPEN=degraded (degraded.h) */
    uint32_t nabsent; /* homes without a server: only if readonly */
    int my_home;      /* preferred by MEGA_ANY_HOME; -1: none local */
    struct mega__roll *roll;
    struct mega__home *homes; /* by number; all 0: not met (roll.h) */
    struct mega__classes classes;
    mega_recovery_t recovery;
    bool fresh; /* created by this job */

    pthread_mutex_t map_lock;   /* spans, pools of a home */
    pthread_mutex_t arena_lock; /* arenas, their in_use, leaving */
    unsigned leaving;           /* threads that end just now */
    pthread_cond_t left;        /* none does */
    struct mega__arena *arenas;
    struct mega_region *regions; /* open ones; collectives only */
    struct mega_region def;      /* the default region */
    _Atomic uint64_t grown;      /* spans added to the homes served */
    _Atomic uint64_t intent_seq;
    _Atomic bool in_collective;
    _Atomic bool unsettled;       /* this rank has left work to the next open */
    _Atomic bool marks_lost;      /* of far slabs: the next commit tells */
    struct mega__flusher flusher; /* of collectives */
};

#endif
