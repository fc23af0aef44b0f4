/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * whereabouts.h - on which host a home was last served, for whoever misses it.
 * Each home knows it of the next one, the last of home 0: so the bytes do not
 * grow with the homes, and who opens all but one can tell. Advice only: a
 * crash may leave a mix of two names, damage none.
 */
#ifndef MEGA__WHEREABOUTS_H
#define MEGA__WHEREABOUTS_H

#include "types.h"

#define MEGA__WHERE_BYTES 20 /* of a name, cut short, with its end */

/* Reads what a home says of the next one; "": nothing. */
void mega__where_read(const struct mega__home_block *block,
                      char name[MEGA__WHERE_BYTES]);

/* Every home is told where the next one is served now, durably. Collective;
 * writes only what has changed. */
mega_status_t mega__where_write(struct mega__ctx *ctx);

#endif
