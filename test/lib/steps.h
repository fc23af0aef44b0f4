/* SPDX-License-Identifier: BSD-3-Clause */
/* steps.h - what scenarios are made of: calls with the oracle kept up. */
#ifndef TEST_STEPS_H
#define TEST_STEPS_H

#include "scenario.h"

/* A chunk filled with its tag (0: contents do not matter); MAYBE. Not a far
 * run: that is live before the oracle can know where. */
unsigned step_take(struct mega__ctx *ctx, struct scene *s, int home,
                   size_t size, uint64_t tag);

/* As step_take, reserved: a crash gives it back. */
unsigned step_reserve(struct mega__ctx *ctx, struct scene *s, int home,
                      size_t size, uint64_t tag);

/* Persisted: LIVE. */
void step_keep(struct mega__ctx *ctx, struct scene *s, unsigned i);

/* By each rank: p[rank] is a live chunk of 32 null slots on home rank, which
 * scenario_work leaves alone. */
void step_table(struct mega__ctx *ctx, int rank, struct scene *s);

/* Persisted before (L4); slot holds it, durably. */
void step_link_in(struct mega__ctx *ctx, struct scene *s, unsigned i,
                  mega_gptr_t slot);

/* Unlinked durably and freed: MAYBE until drained. */
void step_drop(struct mega__ctx *ctx, struct scene *s, unsigned i);
void step_drain(struct mega__ctx *ctx);

#endif
