/* SPDX-License-Identifier: BSD-3-Clause */
/* scenario_work.h - what is done in other jobs than the one that is filmed
 * (scenario.c). */
#ifndef TEST_SCENARIO_WORK_H
#define TEST_SCENARIO_WORK_H

#include "scenario.h"
#include "types.h"

/* A world_fn; arg: struct scene *. New chunks, and some of the promised ones
 * freed, with the promises kept up. */
void scenario_work(struct mega__ctx *ctx, int rank, void *arg);

/* The open of this job has returned. */
void scenario_opened(const struct mega__ctx *ctx, struct scene *s);

/* The image of a scenario over hosts, number count, for a job on one host: see
 * scenario.h. */
void scenario_over_hosts(const struct scenario *sc, struct medium *image,
                         uint64_t count);

/* The library's own check of all homes of the host: each fault is reported. */
void scenario_library_check(struct mega__ctx *ctx);

#endif
