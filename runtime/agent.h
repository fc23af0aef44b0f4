/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * agent.h - the thread of a rank that serves its homes to others. It never
 * waits for another rank and never works for long: what takes seconds, a
 * growth, is done by a helper thread.
 */
#ifndef MEGA__AGENT_H
#define MEGA__AGENT_H

#include "seg.h"

enum mega__ask {
    MEGA__ASK_GROW = 1,    /* arg: spans seen, bytes needed */
    MEGA__ASK_ROOT_MAKE,   /* arg[0]: region; text: name. result: line */
    MEGA__ASK_ROOT_REMOVE, /* arg[0]: region; text: name */
    MEGA__ASK_RECLAIM,     /* frees empty slabs. result: how many */
    MEGA__ASK_RUN_CLAIM,   /* arg: region, extents. result: global pointer */
    MEGA__ASK_RUN_FREE,    /* arg: global pointer, mega__run_why */
};

mega_status_t mega__agent_start(struct mega__ctx *ctx,
                                struct mega__agent **agent_p);
void mega__agent_stop(struct mega__agent **agent_p);

/* Asks the server of a home and waits for the answer. ERRORS: what the server
 * says, with its sentence; TIMEOUT; UNSUPPORTED. */
mega_status_t mega__agent_ask(struct mega__ctx *ctx, struct mega__home *home,
                              struct mega__request *req);

#endif
