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
    MEGA__ASK_SLAB,    /* arg: region, class; result: the pointer of an unowned
                        * slab that may have room, named once, or null */
    MEGA__ASK_RECLAIM, /* frees empty slabs. result: how many */
    MEGA__ASK_RUN_CLAIM,   /* arg: region, extents; result: how many are to be
                            * had, LIVE durably; 0: one, not marked. result:
                            * how many; text comes back: their pointers */
    MEGA__ASK_RUN_FREE,    /* arg: global pointer, mega__run_why */
    MEGA__ASK_ROOT_FIND,   /* arg[0]: region; text: name. result: place */
    MEGA__ASK_ROOT_NEXT,   /* arg: region, line to begin at; text comes back:
                              the name. result: place (directory.h) */
    MEGA__ASK_HOME,        /* arg comes back: domain, MEGALLOC_HOME_MAX; text:
                              the path of its first pool file */
    MEGA__ASK_RECORD_TAKE, /* of an intent. result: which. BUSY: none is free */
    MEGA__ASK_RECORD_GIVE, /* arg[0]: which, cleared */
    MEGA__ASK_ROOT_SET,    /* arg: region, pointer; text: name */
};

#define MEGA__RUNS_AT_ONCE 32
_Static_assert(MEGA__RUNS_AT_ONCE * sizeof(mega_gptr_t) <= MEGA__REQUEST_TEXT,
               "they come back in the text");

/* Whether what is asked changes nothing. */
bool mega__agent_only_reads(uint32_t op);

/* Does what is asked of a home served here, but for GROW. */
mega_status_t mega__agent_do(struct mega__ctx *ctx, struct mega__home *home,
                             struct mega__flusher *f,
                             struct mega__request *req);

mega_status_t mega__agent_start(struct mega__ctx *ctx,
                                struct mega__agent **agent_p);
/* The thread ends; what is asked from now on is refused. Then it is freed. */
void mega__agent_halt(struct mega__agent *agent);
void mega__agent_stop(struct mega__agent **agent_p);

/* Adds what the agent, and its growths, have flushed and fenced. NULL: nothing.
 */
void mega__agent_count(const struct mega__agent *agent, mega_counters_t *sum);

/* A request of another host, and whom to tell that it is answered: req->status
 * is set (and, of a failure, req->text). done is called on the agent's thread,
 * and must not wait. */
struct mega__post {
    struct mega__post *next;
    struct mega__request *req;
    void (*done)(struct mega__request *req, void *arg);
    void *arg;
};

/* Hands it to this rank's agent, without waiting, whose post and req are until
 * it calls done. agent NULL, or halted: done is called at once. */
void mega__agent_post(struct mega__agent *agent, struct mega__post *post);

/* Asks the server of a home and waits for the answer. ERRORS: what the server
 * says, with its sentence; TIMEOUT; UNSUPPORTED. */
mega_status_t mega__agent_ask(struct mega__ctx *ctx, struct mega__home *home,
                              struct mega__request *req);

#endif
