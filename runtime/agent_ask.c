/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * agent_ask.c - what the agent does for a request: roots, runs, empty slabs,
 * what only the server knows of its home.
 * All but a growth, which takes time (agent.c). What was asked is checked as
 * what a stranger sent.
 */
#include "agent.h"

#include <stdio.h>
#include <string.h>

#include "arena.h"
#include "chunk.h"
#include "crash_point.h"
#include "directory.h"
#include "far.h"
#include "find.h"
#include "home.h"
#include "log.h"
#include "rma.h"
#include "run.h"
#include "slab.h"

static mega_status_t reclaim(struct mega__ctx *ctx, struct mega__home *home,
                             uint64_t *n_p)
{
    struct mega__arena *a = mega__arena(ctx);
    if (!a)
        return MEGA_ERR_NOMEM;
    *n_p = mega__slab_reclaim(a, home);
    return MEGA_OK;
}

static _Atomic uint8_t *mark_at(struct mega__ctx *ctx, mega_gptr_t p,
                                struct mega__span **span_p)
{
    *span_p = mega__span_of(ctx, p);
    return mega__run_mark(*span_p,
                          (uint32_t)(mega_offset(p) >> MEGA__EXTENT_SHIFT));
}

/* A run that is marked is there to a crash: the mark comes last. */
static mega_status_t claim_run(struct mega__ctx *ctx, struct mega__home *home,
                               struct mega__arena *a,
                               const struct mega__request *req,
                               mega_gptr_t *p_p)
{
    mega_status_t st =
        mega__run_claim(ctx, home, (uint32_t)req->arg[0], (uint32_t)req->arg[1],
                        0, &a->flusher, p_p);
    struct mega__span *span;
    if (st || req->result == 0)
        return st;
    _Atomic uint8_t *mark = mark_at(ctx, *p_p, &span);
    atomic_store_explicit(mark, MEGA__MARK_LIVE, memory_order_release);
    mega__pool_flush(&a->flusher, span->how, (const void *)mark, 1);
    return MEGA_OK;
}

/* Who asked gets none of them: the next open frees what has no mark. */
static void unmark(struct mega__ctx *ctx, const mega_gptr_t *p, uint64_t n)
{
    struct mega__span *span;
    for (uint64_t i = 0; i < n; i++)
        atomic_store_explicit(mark_at(ctx, p[i], &span), MEGA__MARK_FREE,
                              memory_order_relaxed);
}

/* As many as there is room for. HOME_FULL, for none: the asker has the home
 * grow, and asks again. */
static mega_status_t claim_runs(struct mega__ctx *ctx, struct mega__home *home,
                                struct mega__request *req)
{
    struct mega__arena *a = mega__arena(ctx);
    mega_gptr_t p[MEGA__RUNS_AT_ONCE];
    uint64_t n = 0;
    const bool live = req->result > 0;
    const uint64_t most = live ? req->result : 1;
    if (!a)
        return MEGA_ERR_NOMEM;
    if (req->arg[1] == 0 || req->arg[1] >= MEGA__SPAN_EXTENTS_MAX ||
        most > MEGA__RUNS_AT_ONCE)
        return mega__fail(
            MEGA_ERR_TOO_BIG, "%llu runs of %llu extents fit in no span",
            (unsigned long long)most, (unsigned long long)req->arg[1]);
    mega_status_t st = claim_run(ctx, home, a, req, &p[0]);
    if (st == MEGA_ERR_HOME_FULL && mega__slab_reclaim(a, home) > 0)
        st = claim_run(ctx, home, a, req, &p[0]);
    if (st == MEGA_ERR_HOME_FULL)
        return mega__fail(st, "home %u has no hole of %llu extents", home->no,
                          (unsigned long long)req->arg[1]);
    while (!st && ++n < most)
        st = claim_run(ctx, home, a, req, &p[n]);
    if (n == 0)
        return st;
    memcpy(req->text, p, n * sizeof p[0]);
    req->result = n;
    MEGA__CRASH(far_run_live);
    st = live ? mega__pool_drain(&a->flusher) : MEGA_OK;
    if (st)
        unmark(ctx, p, n);
    return st;
}

static mega_status_t free_run(struct mega__ctx *ctx,
                              const struct mega__home *home, mega_gptr_t p,
                              enum mega__run_why why)
{
    struct mega__arena *a = mega__arena(ctx);
    struct mega__place at;
    if (!a)
        return MEGA_ERR_NOMEM;
    if (mega__gptr_home(p) != home->no || mega_is_null(p))
        return mega__fail(MEGA_ERR_ARG, "%#llx is not on home %u",
                          (unsigned long long)p.v, home->no);
    if (why == MEGA__RUN_LIVE)
        return mega__chunk_free(ctx, p);
    if (why == MEGA__RUN_RESERVED)
        return mega__chunk_cancel(ctx, p);
    if (!mega__chunk_place(ctx, p, &at) || mega__word_is_slab(at.word) ||
        at.start != mega_offset(p) || !at.mark ||
        atomic_load_explicit(at.mark, memory_order_acquire) != ctx->dead_mark)
        return mega__chunk_not_live(p, "no run that is dead begins there");
    return mega__run_free(ctx, at.span, at.extent, at.word, &a->flusher);
}

static mega_status_t find_root(const struct mega__home *home,
                               struct mega__request *req)
{
    const struct mega__root_record *r =
        mega__dir_root_find(home, (uint32_t)req->arg[0], req->text);
    if (!r)
        return mega__fail(MEGA_ERR_NOT_FOUND, "there is no root %.63s",
                          req->text);
    req->result = mega__dir_root_place(home, r);
    return MEGA_OK;
}

/* Null, or memory in use: a live chunk, or raw. Of other hosts the asker, which
 * has made the mark durable, is believed. */
static mega_status_t check_pointer(struct mega__ctx *ctx, mega_gptr_t p)
{
    struct mega__place at;
    uint8_t mark = MEGA__MARK_FREE;
    bool in = mega_is_null(p);
    mega_status_t st = MEGA_OK;
    if (!in && mega__rma_is_remote(ctx, p))
        return MEGA_OK;
    if (!in)
        st = mega__chunk_look(ctx, p, &at, &mark, &in);
    if (st || mega_is_null(p) ||
        (in && (!at.mark_off || mark == MEGA__MARK_LIVE)))
        return st;
    return mega__fail(MEGA_ERR_ARG, "%#llx is no chunk in use",
                      (unsigned long long)p.v);
}

/* Here, so that the line cannot become that of another name in between. */
static mega_status_t set_root(struct mega__ctx *ctx,
                              const struct mega__home *home,
                              struct mega__flusher *f,
                              const struct mega__request *req)
{
    uint32_t line;
    mega_status_t st = check_pointer(ctx, mega_from_bits(req->arg[1]));
    if (!st)
        st = mega__dir_root_make(home, f, (uint32_t)req->arg[0], req->text,
                                 &line);
    if (!st)
        st = mega__rma_amo(ctx, MEGA_AMO_SET, 8, mega__dir_root_slot(line),
                           req->arg[1], 0, NULL);
    if (st)
        return st;
    mega__pool_flush(f, home->how, &home->block->roots[line].slot, 8);
    return mega__pool_drain(f);
}

static mega_status_t next_root(const struct mega__home *home,
                               struct mega__request *req)
{
    uint32_t line =
        req->arg[1] < MEGA_ROOTS_MAX ? (uint32_t)req->arg[1] : MEGA_ROOTS_MAX;
    const struct mega__root_record *r =
        mega__dir_root_next(home, (uint32_t)req->arg[0], &line);
    if (!r)
        return mega__fail(MEGA_ERR_NOT_FOUND, "there are no more roots");
    memcpy(req->text, r->name, MEGA__NAME_BYTES);
    req->result = mega__dir_root_place(home, r);
    return MEGA_OK;
}

static mega_status_t tell_home(struct mega__ctx *ctx,
                               const struct mega__home *home,
                               struct mega__request *req)
{
    char path[MEGA__PATH];
    mega_status_t st = mega__home_path(ctx, home->no, 0, "", path);
    if (st)
        return st;
    req->arg[0] = home->domain;
    req->arg[1] = ctx->conf.home_max.v.number;
    snprintf(req->text, sizeof req->text, "%.255s", path);
    return MEGA_OK;
}

/* Lent to another host, which has no home. Unlike 1, of a rank here. */
#define LENT 2

static mega_status_t lend_record(struct mega__home *home,
                                 struct mega__request *req)
{
    for (uint32_t i = 0; i < MEGA__INTENTS_MAX; i++) {
        uint32_t no = 0;
        /* acquire: the former user's clear is over */
        if (atomic_compare_exchange_strong_explicit(
                &home->seg->intent_taken[i], &no, LENT, memory_order_acquire,
                memory_order_relaxed)) {
            req->result = i;
            return MEGA_OK;
        }
    }
    return mega__fail(MEGA_ERR_BUSY, "all records of home %u are taken",
                      home->no);
}

static mega_status_t take_back(struct mega__home *home,
                               const struct mega__request *req)
{
    uint32_t lent = LENT;
    if (req->arg[0] < MEGA__INTENTS_MAX &&
        atomic_compare_exchange_strong_explicit(
            &home->seg->intent_taken[req->arg[0]], &lent, 0,
            memory_order_release, memory_order_relaxed))
        return MEGA_OK;
    return mega__fail(MEGA_ERR_ARG, "record %llu of home %u was not lent",
                      (unsigned long long)req->arg[0], home->no);
}

/* ---- What a stranger may ask ---- */

static bool of_roots(uint32_t op)
{
    return op == MEGA__ASK_ROOT_MAKE || op == MEGA__ASK_ROOT_REMOVE ||
           op == MEGA__ASK_ROOT_FIND || op == MEGA__ASK_ROOT_NEXT ||
           op == MEGA__ASK_ROOT_SET;
}

/* Regions are known on the host of home 0. Elsewhere the asker is believed:
 * that its number is one, no more, or words and records could not hold it. */
static mega_status_t check_region(const struct mega__ctx *ctx, uint64_t id)
{
    if (id <= MEGA__REGION_ID_MAX &&
        (id == MEGA__REGION_DEFAULT || !ctx->homes[0].block ||
         mega__dir_region_lives(&ctx->homes[0], (uint32_t)id)))
        return MEGA_OK;
    return mega__fail(MEGA_ERR_ARG, "there is no region %llu",
                      (unsigned long long)id);
}

static mega_status_t check(const struct mega__ctx *ctx,
                           const struct mega__home *home,
                           const struct mega__request *req)
{
    size_t len = strnlen(req->text, MEGA__NAME_BYTES);
    if (of_roots(req->op) && home->no != 0)
        return mega__fail(MEGA_ERR_ARG, "home %u holds no roots", home->no);
    if (of_roots(req->op) && req->op != MEGA__ASK_ROOT_NEXT &&
        (len == 0 || len > MEGA_NAME_MAX))
        return mega__fail(MEGA_ERR_ARG, "no name has %s%zu bytes",
                          len ? "more than " : "", len ? len - 1 : len);
    if (of_roots(req->op) || req->op == MEGA__ASK_SLAB ||
        req->op == MEGA__ASK_RUN_CLAIM)
        return check_region(ctx, req->arg[0]);
    return MEGA_OK;
}

bool mega__agent_only_reads(uint32_t op)
{
    return op == MEGA__ASK_ROOT_FIND || op == MEGA__ASK_ROOT_NEXT ||
           op == MEGA__ASK_HOME;
}

mega_status_t mega__agent_do(struct mega__ctx *ctx, struct mega__home *home,
                             struct mega__flusher *f, struct mega__request *req)
{
    uint32_t line = 0;
    mega_gptr_t p;
    mega_status_t st = check(ctx, home, req);
    if (st)
        return st;
    switch (req->op) {
    case MEGA__ASK_ROOT_MAKE:
        st = mega__dir_root_make(home, f, (uint32_t)req->arg[0], req->text,
                                 &line);
        req->result = line;
        break;
    case MEGA__ASK_ROOT_SET:
        st = set_root(ctx, home, f, req);
        break;
    case MEGA__ASK_ROOT_REMOVE:
        st = mega__dir_root_remove(home, f, (uint32_t)req->arg[0], req->text);
        break;
    case MEGA__ASK_RECLAIM:
        st = reclaim(ctx, home, &req->result);
        break;
    case MEGA__ASK_SLAB:
        p = mega__find_named(ctx, home, (uint32_t)req->arg[0], req->arg[1]);
        req->result = p.v;
        break;
    case MEGA__ASK_RUN_CLAIM:
        st = claim_runs(ctx, home, req);
        break;
    case MEGA__ASK_RUN_FREE:
        p = mega_from_bits(req->arg[0]);
        st = free_run(ctx, home, p, (enum mega__run_why)req->arg[1]);
        break;
    case MEGA__ASK_ROOT_FIND:
        st = find_root(home, req);
        break;
    case MEGA__ASK_ROOT_NEXT:
        st = next_root(home, req);
        break;
    case MEGA__ASK_RECORD_TAKE:
        st = lend_record(home, req);
        break;
    case MEGA__ASK_RECORD_GIVE:
        st = take_back(home, req);
        break;
    case MEGA__ASK_HOME:
        st = tell_home(ctx, home, req);
        break;
    default:
        st = mega__fail(MEGA_ERR_ARG, "unknown request %u", req->op);
    }
    return st;
}
