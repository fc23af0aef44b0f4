/* SPDX-License-Identifier: BSD-3-Clause */
/* untouched.h - whether an open has stored to what it must leave alone. */
#ifndef TEST_UNTOUCHED_H
#define TEST_UNTOUCHED_H

#include "medium.h"
#include "types.h"

struct untouched;

/* All files as they are. */
struct untouched *untouched_new(const struct medium *m);
void untouched_free(struct untouched **u_p);

/* CHECKs that the data of all mapped spans, which is chunks and raw memory, is
 * what it was, but for slots that intents named then. */
void untouched_check(struct mega__ctx *ctx, const struct untouched *u);

#endif
