/* SPDX-License-Identifier: BSD-3-Clause */
/* deal.h - finds the homes of the space and deals them to ranks. */
#ifndef MEGA__DEAL_H
#define MEGA__DEAL_H

#include "types.h"

/* Collective. Finds or makes the space; on success ctx->homes is set, served
 * homes are locked exclusively and open with all their pools, and ctx->epoch
 * is the highest that any home has had. Errors as mega_init. */
mega_status_t mega__deal(struct mega__ctx *ctx);

#endif
