/* SPDX-License-Identifier: BSD-3-Clause */
/* recover.h - settles what the job before left behind. */
#ifndef MEGA__RECOVER_H
#define MEGA__RECOVER_H

#include "types.h"

/* Collective, once, after all homes of the host are mapped. Raises the
 * epochs; on return what the job will build on is settled and durable.
 * ERRORS: DAMAGED, IO. */
mega_status_t mega__recover(struct mega__ctx *ctx);

#endif
