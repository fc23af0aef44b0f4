/* SPDX-License-Identifier: BSD-3-Clause */
/* check.h - verifies what layout.h and types.h promise. */
#ifndef MEGA__CHECK_H
#define MEGA__CHECK_H

#include "types.h"

/* Counts the violations on a home; each is a sentence for fn, which may be
 * NULL. Reads only; believes nothing before it is checked. ERRORS: NOMEM; if
 * the home, or home 0, is of another host, PEER, TIMEOUT. */
mega_status_t mega__check_home(struct mega__ctx *ctx, struct mega__home *home,
                               mega_check_fn fn, void *arg, uint64_t *bad_p);

#endif
