/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * layout.h - the bytes on media, and nothing else.
 *
 *   pool file   libpmemobj's own data, in it one root object and the spans
 *   root        struct mega__pool_root: who this file is, where its spans are
 *   span 0      header | home block | extent words | hints | marks | extents
 *   span 1..    header | extent words | hints | marks | extents
 *
 * Offsets in a global pointer count from the start of a span, so granule
 * number = offset >> MEGA__GRANULE_SHIFT indexes the marks and offset >>
 * MEGA__EXTENT_SHIFT the words; the extents that hold a span's own metadata
 * are UNUSABLE, and so are their marks.
 *
 * CRASH INVARIANTS. Every change is one of these two, nothing else:
 * (A) a record: one or more whole lines with a checksum, written while the
 *     8-byte word that makes it valid says it is not;
 * (B) one aligned 8-byte store (words, slots) or 1-byte store (marks).
 * The words of the block and of records are sealed: value in the low 48 bits,
 * check in the high 16, so a damaged one is told from any value. One of zeroes
 * was never written: damage, too, where it must have been (block.h).
 *
 * (1) A born word is set on homes 1..H-1 first, home 0 last, all before the
 *     first epoch; until then a block says no more than npools and next_region.
 * (2) epoch[h] >= epoch[0] >= reached[k] in every image: home 0 is raised last,
 *     then reached on all homes, before anything else changes; on a home in its
 *     later files first.
 * (3) A pool file is renamed, then listed (npools), after all of it is durable.
 * (4) Marks count only under a SLAB word or at a RUN_HEAD.
 * (5) A SLAB word is durable only after its marks were cleared durably; a
 *     RUN_HEAD after its tails and its cleared mark.
 * (6) An extent becomes FREE only when seen empty under ownership, when its
 *     run was freed durably, when a claim of it is taken back before it
 *     counted, or by the server of its home when its region or run is dead.
 * (7) A region id is used once; its record is CREATING before its first
 *     claim, LIVE after the last, DYING before the first give-back.
 * (8) An intent is durable before its first effect and cleared, durably,
 *     before the call returns.
 */
#ifndef MEGA__LAYOUT_H
#define MEGA__LAYOUT_H

#include <stddef.h>
#include <stdint.h>

#include "megalloc.h"

#define MEGA__FORMAT 3
#define MEGA__LAYOUT_NAME "megalloc-3" /* libpmemobj's layout: the format */

#define MEGA__LINE 64
#define MEGA__GRANULE_SHIFT 5
#define MEGA__GRANULE (1u << MEGA__GRANULE_SHIFT)
#define MEGA__EXTENT_SHIFT 16
#define MEGA__EXTENT (1u << MEGA__EXTENT_SHIFT)
#define MEGA__EXTENT_GRANULES (MEGA__EXTENT >> MEGA__GRANULE_SHIFT)
#define MEGA__EXTENT_LINES (MEGA__EXTENT_GRANULES / MEGA__LINE) /* of marks */
#define MEGA__SPAN_ALIGN (UINT64_C(2) << 20) /* of file offset: huge pages */
#define MEGA__HOMES_MAX (1u << 20)
/* of data; 15.9 GiB */
#define MEGA__SPAN_EXTENTS_MAX                                                 \
    ((UINT64_C(1) << (MEGA_OFFSET_BITS - MEGA__EXTENT_SHIFT)) - 63)
#define MEGA__SPANS_MAX (1u << MEGA_SPAN_BITS)
#define MEGA__POOL_SPANS 48

#define MEGA__POOL_MAGIC UINT64_C(0x4c4c4147454d0a1a) /* "..MEGALL" */
#define MEGA__SPAN_MAGIC UINT64_C(0x4e415053454d0a1a) /* "..MESPAN" */

/* ---- Pool file ---- */

struct mega__pool_ident { /* one record, written once */
    uint64_t magic;
    uint8_t uuid[16];
    uint32_t format;
    uint32_t home;
    uint32_t nhomes;
    uint32_t pool;         /* k of home-<n>.<k>.pool */
    uint32_t extent_shift; /* geometry: the same in the whole space */
    uint32_t granule_shift;
    uint64_t self; /* file offset of this record, for tools */
    uint32_t spare;
    uint32_t crc;
};

struct mega__span_record { /* a record; listed when crc is right */
    uint64_t base;         /* file offset, aligned to MEGA__SPAN_ALIGN */
    uint64_t size;         /* bytes, whole extents */
    uint32_t span;         /* number within the home */
    uint32_t listed;       /* 1 */
    uint64_t spare[4];
    uint32_t spare32;
    uint32_t crc;
};

struct mega__oid { /* libpmemobj's PMEMoid, which must own the span objects */
    uint64_t pool_uuid_lo;
    uint64_t off;
};

/* Of a home's files but the first: what its block said when it was open last,
 * so that an older copy of one file of a home is told. */
struct mega__pool_age {
    uint64_t reached, lot; /* sealed */
    uint64_t spare[6];
};

struct mega__pool_root {
    struct mega__pool_ident ident;
    struct mega__span_record spans[MEGA__POOL_SPANS];
    struct mega__oid oids[MEGA__POOL_SPANS];
    struct mega__pool_age age;
};

/* ---- Span ---- */

struct mega__span_header { /* one record, written once */
    uint64_t magic;
    uint8_t uuid[16];
    uint64_t size;
    uint64_t words_off; /* from the start of the span */
    uint64_t marks_off;
    uint32_t home;
    uint32_t span;
    uint32_t first; /* extents before it hold metadata */
    uint32_t crc;
};

/* Extent word: [0,4) kind, the rest by kind; FREE is all zero.
 *   SLAB, SLAB_INIT     class 6 | region 20 | owner rank 20 | epoch 14
 *   RUN_HEAD, FREEING   length 18 | region 20 | epoch 14 | raw 1 | check 7
 *   RUN_TAIL            distance 18 | region 20 | epoch 14 | 0 1 | check 7
 * Changed by compare-and-swap, desired != expected (or stored, for the owner of
 * a SLAB_INIT, or of a far slab):
 *   FREE -> SLAB_INIT -> SLAB           claim (slab.c)
 *   SLAB(owned) <-> SLAB(no owner)      disown, adopt (slab.c)
 *   SLAB(owned, seen empty) -> FREE     release (slab.c)
 *   FREE -> RUN_TAIL.., then FREE -> SLAB_INIT -> RUN_HEAD  claim (run.c)
 *   RUN_HEAD -> FREEING -> FREE         tails first to FREE (run.c)
 *   whatever is dead -> FREE            by the server only (sweep.c)
 * An owner counts only if the epoch is the current one; 0 is nobody's. */
enum mega__kind { /* even parity: one flipped bit makes no other kind */
                  MEGA__FREE = 0,
                  MEGA__SLAB_INIT = 3,
                  MEGA__SLAB = 5,
                  MEGA__RUN_HEAD = 6,
                  MEGA__RUN_TAIL = 9,
                  MEGA__FREEING = 10,
                  MEGA__UNUSABLE = 15
};

#define MEGA__RUN_RAW 1u /* flag: reserved by a region, has no mark */
#define MEGA__RUN_CHECK_SHIFT 57
#define MEGA__EPOCH14_MAX 16383u

/* Mark: one byte per granule, of the chunk that begins there. */
#define MEGA__MARK_FREE 0u
#define MEGA__MARK_LIVE 1u
#define MEGA__MARK_DEAD 2u /* + epoch mod 254: free after a crash, now busy */

/* ---- Home block: in span 0, behind the header ---- */

#define MEGA__HOME_BLOCK_OFF 4096u
#define MEGA__NAME_BYTES (MEGA_NAME_MAX + 1)
#define MEGA__RUNS_MAX 2048
#define MEGA__INTENTS_MAX 128
#define MEGA__LOT_BITS 24 /* drawn, and of the epoch */
#define MEGA__REGION_DEFAULT 1u
#define MEGA__REGION_ID_MAX ((1u << 20) - 1)

enum mega__record_state { /* low 8 bits of a state word; id << 8 above */
                          MEGA__REC_NEVER =
                              0, /* and none after it was ever used */
                          MEGA__REC_GONE = 1,
                          MEGA__REC_CREATING = 2,
                          MEGA__REC_LIVE = 3,
                          MEGA__REC_DYING = 4
};

struct mega__region_record { /* home 0's count */
    uint64_t state;          /* sealed: region id << 8 | state */
    uint64_t bytes_per_home; /* sealed: grows by one store */
    char name[MEGA__NAME_BYTES];
    uint64_t spare[5];
    uint32_t spare32;
    uint32_t crc; /* over id and name */
};

struct mega__root_record { /* home 0's count */
    uint64_t state;        /* sealed: region id << 8 | state */
    uint64_t slot;         /* a global pointer: the root's value */
    char name[MEGA__NAME_BYTES];
    uint64_t spare[5];
    uint32_t spare32;
    uint32_t crc; /* over id and name */
};

struct mega__run_record { /* a raw run of a region on this home */
    uint64_t state;       /* sealed: region id << 8 | state */
    uint64_t base;        /* span << MEGA_OFFSET_BITS | offset */
    uint64_t start;       /* the region's offset where it begins */
    uint32_t extents;
    uint32_t crc; /* over id, base, start, extents */
};

struct mega__intent_item {
    uint64_t chunk; /* the low 4 bits hold a mega_publish_op_t */
    uint64_t slot;
};

struct mega__intent {
    uint64_t seq;   /* 0: none. Never used twice in an epoch */
    uint64_t epoch; /* of the job that wrote it */
    uint32_t n;
    uint32_t crc; /* over seq, epoch, n and the items */
    uint64_t spare;
    /* Two of them in the first line: a group of one or two is one line. */
    struct mega__intent_item items[MEGA_PUBLISH_MAX];
    uint64_t end[4];
};

struct mega__home_block {
    uint64_t born;        /* sealed: 1 */
    uint64_t epoch;       /* sealed */
    uint64_t clean;       /* sealed: the epoch that ended cleanly, or 0 */
    uint64_t npools;      /* sealed: pool files listed */
    uint64_t next_region; /* sealed: home 0's counts */
    uint64_t reached;     /* sealed: the last epoch that all homes had */
    uint64_t lot;         /* sealed: reached's low bits | drawn for its open */
    uint64_t spare;
    uint64_t next_host[3]; /* sealed: where the next home was (whereabouts.h) */
    uint64_t spare_host[5];
    struct mega__region_record regions[MEGA_REGIONS_MAX];
    struct mega__root_record roots[MEGA_ROOTS_MAX];
    struct mega__run_record runs[MEGA__RUNS_MAX];
    struct mega__intent intents[MEGA__INTENTS_MAX];
};

#ifndef __cplusplus
_Static_assert(sizeof(struct mega__pool_ident) == 64, "one line");
_Static_assert(sizeof(struct mega__span_record) == 64, "one line");
_Static_assert(sizeof(struct mega__oid) == 16, "as PMEMoid");
_Static_assert(sizeof(struct mega__pool_age) == 64, "one line");
_Static_assert(sizeof(struct mega__pool_root) == 128 + 48 * 80, "no padding");
_Static_assert(sizeof(struct mega__span_header) == 64, "one line");
_Static_assert(sizeof(struct mega__region_record) == 128, "two lines");
_Static_assert(sizeof(struct mega__root_record) == 128, "two lines");
_Static_assert(sizeof(struct mega__run_record) == 32, "two in a line");
_Static_assert(sizeof(struct mega__intent) == 64 + 16 * 64, "17 lines");
_Static_assert(offsetof(struct mega__intent, items) == 32, "room for two");
_Static_assert(sizeof(struct mega__home_block) % MEGA__LINE == 0, "lines");
#endif

#endif
