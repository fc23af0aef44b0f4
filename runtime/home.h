/* SPDX-License-Identifier: BSD-3-Clause */
/* home.h - one home: its pool files, made, opened, grown, mapped. */
#ifndef MEGA__HOME_H
#define MEGA__HOME_H

#include "roll.h"
#include "types.h"
#include "view.h"
#include "whereabouts.h"

/* What the ranks compare at open. */
struct mega__summary {
    uint32_t home, nhomes;
    int32_t server;
    uint32_t domain;
    uint8_t uuid[16];
    uint64_t born, epoch, clean, reached, lot;
    uint64_t draw; /* by lot; that of the first of all homes counts */
    bool filled;   /* block.h */
    char next_host[MEGA__WHERE_BYTES];
};

/* The name of pool k of a home; suffix "" or ".new". ERRORS: CONF. */
mega_status_t mega__home_path(struct mega__ctx *ctx, uint32_t home,
                              uint32_t pool, const char *suffix,
                              char path[MEGA__PATH]);

/* And of its lock file. */
mega_status_t mega__home_lock_path(struct mega__ctx *ctx, uint32_t home,
                                   char path[MEGA__PATH]);

/* ---- By the server ---- */

/* Takes the home's lock exclusively, making the directory if make. */
mega_status_t mega__home_lock(struct mega__ctx *ctx, struct mega__home *home,
                              bool make);

/* Makes the first pool, unborn. ctx->uuid and nhomes are set. */
mega_status_t mega__home_create(struct mega__ctx *ctx, struct mega__home *home);

/* Opens the first pool and reads its summary. Writes nothing of ours. */
mega_status_t mega__home_open(struct mega__ctx *ctx, struct mega__home *home,
                              struct mega__summary *summary_p);

/* Opens the other pools, maps all spans, removes what is not listed. filled:
 * a home of the space is (block.h). ERRORS: DAMAGED, and others. */
mega_status_t mega__home_open_rest(struct mega__ctx *ctx,
                                   struct mega__home *home, bool filled);

/* How stores reach the medium of a home, by the settings or by its pool 0. */
void mega__home_choose_how(const struct mega__ctx *ctx, struct mega__home *home,
                           const struct mega__pool *pool);

/* Opens pool k with its spans. */
mega_status_t mega__home_open_pool(struct mega__ctx *ctx,
                                   struct mega__home *home, uint32_t k);

/* Removes the pool files of a home that are half-made, or not among the first
 * listed. ERRORS: IO; MISMATCH - one is newer than the block that lists, or of
 * another space. */
mega_status_t mega__home_remove_unlisted(struct mega__ctx *ctx,
                                         struct mega__home *home,
                                         uint64_t listed);

/* Before a home is made, or one that was never finished removed, of which only
 * its first file is (listed 1). ERRORS: IO; MISMATCH - there are files of a
 * former one, whose first is gone. */
mega_status_t mega__home_find_none(struct mega__ctx *ctx,
                                   struct mega__home *home, uint64_t listed);

/* By the first rank of a host, else nothing: removes what a creation by more
 * ranks has left half-made, of homes that this host does not make now. */
void mega__home_remove_stumps(struct mega__ctx *ctx);

/* Removes the files of a home that was never born, or is not to be; durable. */
mega_status_t mega__home_remove(struct mega__ctx *ctx, struct mega__home *home);

/* Fills the home's part of the segment. */
void mega__home_share(struct mega__ctx *ctx, struct mega__home *home);

/* Whether to ask the server of a home of this host for more than seen_spans:
 * not once it has found that MEGALLOC_HOME_MAX allows not even an extent more.
 * ERRORS: HOME_FULL. */
mega_status_t mega__home_may_grow(const struct mega__ctx *ctx,
                                  const struct mega__home *home,
                                  uint32_t seen_spans);

/* Whether mega__home_grow has room to try, by the limits alone.
 * ERRORS: HOME_FULL - MEGALLOC_HOME_MAX; TABLE_FULL; TOO_BIG. */
mega_status_t mega__home_growable(struct mega__ctx *ctx,
                                  struct mega__home *home, uint64_t need);

/* What a growth by need bytes of extents takes of the medium at the least, in
 * *bytes_p; and which medium that is, and what it has left. Takes map_lock.
 * ERRORS: HOME_FULL - MEGALLOC_HOME_MAX; TABLE_FULL. */
mega_status_t mega__home_takes(struct mega__ctx *ctx,
                               const struct mega__home *home, uint64_t need,
                               uint64_t *bytes_p, uint64_t *device_p,
                               uint64_t *left_p);

/* Adds a span that has room for a run of need bytes; or those that an earlier
 * call has made, and failed later.
 * ERRORS: HOME_FULL - MEGALLOC_HOME_MAX; MEDIUM_FULL; TABLE_FULL; IO. */
mega_status_t mega__home_grow(struct mega__ctx *ctx, struct mega__home *home,
                              struct mega__flusher *f, uint64_t need);

/* ---- By the others ---- */

/* Locks the home shared, maps its first span. */
mega_status_t mega__home_join(struct mega__ctx *ctx, struct mega__home *home);

/* Maps span no; under ctx->map_lock. ERRORS: IO, NOMEM, and if it is not what
 * it was: ABSENT, DAMAGED, MISMATCH. */
mega_status_t mega__home_map_span(struct mega__ctx *ctx,
                                  struct mega__home *home, uint32_t no,
                                  struct mega__span **span_p);

/* Unmaps, closes, unlocks. */
void mega__home_close(struct mega__home *home);

/* ---- Words of the block ---- */

/* Reads a sealed word. ERRORS: DAMAGED - names the home and the word. */
mega_status_t mega__home_read(const struct mega__home *home,
                              const uint64_t *word, const char *name,
                              uint64_t *value_p);

/* Stores a sealed word and begins its flush. */
void mega__home_write(const struct mega__home *home, struct mega__flusher *f,
                      uint64_t *word, uint64_t value);

#endif
