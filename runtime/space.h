/* SPDX-License-Identifier: BSD-3-Clause */
/* space.h - opens and closes the space of a job. */
#ifndef MEGA__SPACE_H
#define MEGA__SPACE_H

#include "types.h"

/* Collective. comm as in mega__boot_start. Errors as mega_init. */
mega_status_t mega__space_open(void *comm, struct mega__ctx **ctx_p);

/* Collective. Everything durable, clean, unmapped. Accepts NULL. */
mega_status_t mega__space_close(struct mega__ctx **ctx_p);

/* The same without the collective part: when MPI is gone. */
void mega__space_abandon(struct mega__ctx **ctx_p);

/* The marks that all threads of this process have changed are durable. */
mega_status_t mega__space_drain(struct mega__ctx *ctx);

/* L1's commit: everything of all ranks. Collective. */
mega_status_t mega__space_commit(struct mega__ctx *ctx);

#endif
