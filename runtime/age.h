/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * age.h - which copy of a file is the current one: an older copy of a home, or
 * of one of its files, is refused, and so are copies that went apart.
 *
 * Each open raises the epoch; when all homes have it durably, each file notes
 * that (reached) and what its job drew for itself (lot), before anything else
 * changes (layout.h, 2). So a file that says less than another knows of all is
 * an older copy, and two that say the same of different jobs were used one
 * without the other.
 */
#ifndef MEGA__AGE_H
#define MEGA__AGE_H

#include "home.h"

/* The homes of a space, by what their blocks say. ERRORS: MISMATCH. */
mega_status_t mega__age_homes(const struct mega__summary *all, size_t n);

/* Pool k > 0 of a home against the home's block. ERRORS: MISMATCH; DAMAGED. */
mega_status_t mega__age_pool(struct mega__ctx *ctx,
                             const struct mega__home *home, uint32_t k);

/* A file that the home's block does not list is what a killed growth left. If
 * not, the block is an older copy, or the file, whole, is another space's.
 * ERRORS: MISMATCH. */
mega_status_t mega__age_leftover(struct mega__ctx *ctx,
                                 const struct mega__home *home,
                                 const char *path, bool whole);

/* All homes have ctx->epoch, durably: notes it in the home's later files, which
 * is durable on return, then in its block, which the caller is to flush. */
mega_status_t mega__age_note(struct mega__ctx *ctx, struct mega__home *home);

/* A later file that is being made; the caller drains. */
void mega__age_begin(const struct mega__home *home, struct mega__pool *pool,
                     struct mega__flusher *f);

#endif
