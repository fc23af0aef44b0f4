/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * directory.h - the records in home blocks: regions and roots (home 0), raw
 * runs (every home). Changed by the home's server only, one thread at a time:
 * its collectives, or its agent for roots. State words read by anyone.
 * Every change is durable on return.
 */
#ifndef MEGA__DIRECTORY_H
#define MEGA__DIRECTORY_H

#include "record.h"
#include "types.h"

/* Regions whose memory counts, and those whose end is to be completed. Memory
 * of any other region is damage: a record goes after the last word of it. */
struct mega__live {
    uint32_t n;
    uint32_t ids[MEGA_REGIONS_MAX + 1];
    uint64_t bytes_per_home[MEGA_REGIONS_MAX + 1];
    uint32_t nended; /* CREATING or DYING */
    uint32_t ended[MEGA_REGIONS_MAX];
};
bool mega__live_has(const struct mega__live *live, uint32_t id);
bool mega__live_ended(const struct mega__live *live, uint32_t id);

/* Whether a raw run that begins at this offset of a region counts: the keep
 * of mega__dir_run_prune; live is a struct mega__live. */
bool mega__live_keeps_run(uint32_t region, uint64_t start, void *live);

/* ---- Regions ---- */

/* Verifies all region and root records. ERRORS: DAMAGED. */
mega_status_t mega__dir_verify(const struct mega__home *home0);

/* The live region of this name: its line. ERRORS: NOT_FOUND. */
mega_status_t mega__dir_region_find(const struct mega__home *home0,
                                    const char *name, uint32_t *line_p);

/* Whether a region of this id is live. */
bool mega__dir_region_lives(const struct mega__home *home0, uint32_t id);

/* A CREATING record with a fresh id. ERRORS: EXISTS, TABLE_FULL. */
mega_status_t mega__dir_region_add(const struct mega__home *home0,
                                   struct mega__flusher *f, const char *name,
                                   uint32_t *line_p, uint32_t *id_p);

mega_status_t mega__dir_region_set(const struct mega__home *home0,
                                   struct mega__flusher *f, uint32_t line,
                                   enum mega__record_state state);
mega_status_t mega__dir_region_bytes(const struct mega__home *home0,
                                     struct mega__flusher *f, uint32_t line,
                                     uint64_t bytes_per_home);

/* The regions of the space, the default among them; home 0's block, or a copy
 * of it. */
void mega__dir_live(const struct mega__home_block *block0,
                    struct mega__live *live_p);

/* Regions that are not live and their roots are gone; only: that one, 0: all.
 * Their memory has been given back on all homes, durably. */
mega_status_t mega__dir_bury(const struct mega__home *home0,
                             struct mega__flusher *f, uint32_t only);

/* ---- Roots ---- */

/* The record of a root, or NULL. Any rank of the host. */
struct mega__root_record *mega__dir_root_find(const struct mega__home *home0,
                                              uint32_t region,
                                              const char *name);

/* Finds or makes it, value null. ERRORS: TABLE_FULL. */
mega_status_t mega__dir_root_make(const struct mega__home *home0,
                                  struct mega__flusher *f, uint32_t region,
                                  const char *name, uint32_t *line_p);
mega_status_t mega__dir_root_remove(const struct mega__home *home0,
                                    struct mega__flusher *f, uint32_t region,
                                    const char *name);

/* The first root of a region from line *line_p on; sets it. NULL: none. */
const struct mega__root_record *
mega__dir_root_next(const struct mega__home *home0, uint32_t region,
                    uint32_t *line_p);

/* The line of a root, and above it how many this job has made. Who has found
 * the same before and after a read has read what is the root's: had the line
 * been another's in between, one more were made. */
uint64_t mega__dir_root_place(const struct mega__home *home0,
                              const struct mega__root_record *root);

/* The slot of a root as a pointer. */
mega_gptr_t mega__dir_root_slot(uint32_t line);

/* ---- Raw runs of one home ---- */

/* ERRORS: DAMAGED. */
mega_status_t mega__dir_run_verify(const struct mega__home *home);

/* ERRORS: TABLE_FULL. */
mega_status_t mega__dir_run_add(const struct mega__home *home,
                                struct mega__flusher *f, uint32_t region,
                                uint64_t base, uint64_t start,
                                uint32_t extents);

/* Whether a raw run is recorded that begins at span << 34 | offset. */
bool mega__dir_run_known(const struct mega__home *home, uint32_t region,
                         uint64_t base);

/* Forgets runs of regions that are not live, and those of live ones that begin
 * at or beyond their bytes_per_home (a grow that was not finished): whatever
 * keep says. */
mega_status_t
mega__dir_run_prune(const struct mega__home *home, struct mega__flusher *f,
                    bool (*keep)(uint32_t region, uint64_t start, void *arg),
                    void *arg);

#endif
