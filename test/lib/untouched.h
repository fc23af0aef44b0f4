/* SPDX-License-Identifier: BSD-3-Clause */
/* untouched.h - whether an open has stored to what it must leave alone. */
#ifndef TEST_UNTOUCHED_H
#define TEST_UNTOUCHED_H

#include "medium.h"
#include "types.h"

/* CHECKs that the data of all mapped spans, which is chunks and raw memory, is
 * what the media of then held, but for slots that intents named there. */
void untouched_check(struct mega__ctx *ctx, struct medium *now,
                     struct medium *then);

#endif
