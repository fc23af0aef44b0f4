/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * watch.h - whether the ranks that one waits for are still there. The agents
 * of a host give signs of life in memory that they share, so a rank that is
 * asked answers for all of its host.
 */
#ifndef MEGA__WATCH_H
#define MEGA__WATCH_H

#include "rest.h"
#include "types.h"

/* Of this host, set in ctx. Collective; the transport has started. */
mega_status_t mega__watch_open(struct mega__ctx *ctx);
void mega__watch_close(struct mega__ctx *ctx);

/* ---- Who waits. ERRORS: PEER, TIMEOUT - a rank was found not to answer, which
 * the sentence names; by this rank, or by one that it has asked. ---- */

/* The links that look_around needs are made: no new one can be made while a
 * cable is out, and a cut that is shorter than the limit ends no job. */
mega_status_t mega__watch_link(struct mega__ctx *ctx);

/* In a collective, where all wait for all: one look, at this host and a rank
 * that is farther off each time. What it finds is told here. ctx as void, for
 * mega__boot_watch. */
mega_status_t mega__watch_look_around(void *ctx);

/* How many ns pass between two looks; this host has news once a second. */
static inline uint64_t mega__watch_period(const struct mega__ctx *ctx)
{
    return ctx->net ? mega__conf_period(&ctx->conf) : 1000000000;
}

/* How many ranks further look n goes: powers of two, by turns, so that news
 * are everywhere after about as many looks as there are. */
int mega__watch_step(unsigned n, int nranks);

/* For anybody: one look, at this host and some of the others by turns, at all
 * in an eighth of MEGALLOC_TIMEOUT. *turn_p: 0 at first. */
mega_status_t mega__watch_look_farther(struct mega__ctx *ctx, unsigned *turn_p);

/* In the last collective, to which all have come, and which a rank leaves
 * without a word: who has gone may be through. Called four times in
 * MEGALLOC_TIMEOUT; fails in the end. */
mega_status_t mega__watch_look_late(void *ctx);

/* ---- Who is asked ---- */

/* What a rank answers: that it has found one lost, or one of its host has, or
 * one of its host gives no sign of life. */
mega_status_t mega__watch_answer(struct mega__ctx *ctx);

/* Whether a rank of this host gives none, as far as this one has seen.
 * ERRORS: TIMEOUT - it was stopped, or gone, for mega__conf_silence; PEER - it
 * has left the job. */
mega_status_t mega__watch_silent(const struct mega__ctx *ctx, int host_rank);

/* ---- Signs of life, by the agent ---- */

/* At least once a second. Each second of its own it looks who has given none
 * for mega__conf_silence, and was seen stopped, or gone, each time: so a job
 * that was stopped as a whole goes on. */
void mega__watch_beat(struct mega__ctx *ctx, int64_t now_ms);

/* Changes with each sign of life of a rank of this host. */
uint32_t mega__watch_pulse(const struct mega__ctx *ctx, uint32_t host_rank);

static inline int64_t mega__watch_now_ms(void)
{
    return (int64_t)(mega__rest_now() / 1000000);
}

#endif
