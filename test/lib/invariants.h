/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * invariants.h - what holds of any space, whatever it is used for; read from
 * the bytes of layout.h alone, apart from the library's own check.
 */
#ifndef TEST_INVARIANTS_H
#define TEST_INVARIANTS_H

#include "types.h"

/* CHECKs every mapped home: words decode, runs are whole, marks lie at chunk
 * starts, regions of words exist. Nobody may be at work. */
void invariants_of_format(struct mega__ctx *ctx);

/* CHECKs what recovery has to leave, before anybody allocates: no owner, no
 * half-made claim, no DEAD of this epoch; intents empty, epochs equal, not
 * clean, all that in the media, too. */
void invariants_of_recovery(struct mega__ctx *ctx);

#endif
