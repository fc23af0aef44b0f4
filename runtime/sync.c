/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * sync.c - waits and locks on 8 bytes anywhere in the space, by mega_amo.
 *
 * A lock word is [epoch : 32 | holders : 32], holders being a number of
 * readers, or WRITER and its rank. A word of another epoch is free, whatever it
 * says: who held it is gone. 32 bits of epoch, for a word that wrapped would
 * hang. Who waits long looks now and then whether all ranks are there: over
 * hosts it asks the writer, or else one host after the other.
 */
#include "sync.h"

#include "log.h"
#include "net.h"
#include "rest.h"
#include "rma.h"
#include "watch.h"

#define WRITER (UINT32_C(1) << 31)
#define SPINS 64 /* before the processor is given away */

struct patience {
    unsigned spins, turn;
    uint64_t began, waited; /* ns */
    uint64_t next;          /* when to look after others */
};

/* After each try in vain. Who: the rank that it waits for, or ANY, or NOBODY:
 * it is not looked after. ERRORS: PEER, TIMEOUT - it does not answer. */
#define ANY (-1)
#define NOBODY (-2)
static mega_status_t wait_on(struct mega__ctx *ctx, struct patience *w, int who)
{
    const uint64_t period = mega__watch_period(ctx);
    mega_status_t st = MEGA_OK;
    if (++w->spins % SPINS != 0 && !mega__rest_is_long(w->waited))
        return MEGA_OK;
    mega__rest(w->waited);
    uint64_t now = mega__rest_now();
    w->began = w->began ? w->began : now;
    w->waited = now - w->began;
    w->next = w->next ? w->next : now + period;
    if (who == NOBODY || now < w->next)
        return MEGA_OK;
    st = who == ANY || !ctx->net ? mega__watch_look_farther(ctx, &w->turn)
                                 : mega__net_alive(ctx->net, who);
    w->next = mega__rest_now() + period;
    return st;
}

static bool holds(uint64_t have, mega_cmp_t cmp, uint64_t want)
{
    switch (cmp) {
    case MEGA_CMP_EQ:
        return have == want;
    case MEGA_CMP_NE:
        return have != want;
    case MEGA_CMP_GT:
        return have > want;
    case MEGA_CMP_GE:
        return have >= want;
    case MEGA_CMP_LT:
        return have < want;
    case MEGA_CMP_LE:
        return have <= want;
    }
    return false;
}

mega_status_t mega__sync_wait(struct mega__ctx *ctx, mega_gptr_t p,
                              mega_cmp_t cmp, uint64_t value, int timeout_ms)
{
    const bool endless = timeout_ms < 0;
    const uint64_t limit =
        endless ? UINT64_MAX : 1000000 * (uint64_t)timeout_ms;
    struct patience patience = {0};
    if ((unsigned)cmp > MEGA_CMP_LE)
        return mega__fail(MEGA_ERR_ARG, "comparison %d", (int)cmp);
    for (;;) {
        uint64_t have;
        mega_status_t st =
            mega__rma_amo(ctx, MEGA_AMO_FETCH, 8, p, 0, 0, &have);
        if (st || holds(have, cmp, value))
            return st;
        if (patience.began && patience.waited >= limit)
            return mega__fail(
                MEGA_ERR_TIMEOUT, "the word at %#llx is still %llu after %d ms",
                (unsigned long long)p.v, (unsigned long long)have, timeout_ms);
        /* It ends in time by itself: to ask may take longer. */
        st = wait_on(ctx, &patience, endless ? ANY : NOBODY);
        if (st)
            return st;
    }
}

/* ---- Locks ---- */

static uint32_t holders(const struct mega__ctx *ctx, uint64_t word)
{
    return word >> 32 == (uint32_t)ctx->epoch ? (uint32_t)word : 0;
}

static uint64_t lock_word(const struct mega__ctx *ctx, uint32_t n)
{
    return ctx->epoch << 32 | n;
}

/* Changes the holders from what it was; BUSY: may not, or another was faster
 * (then *raced_p). */
static mega_status_t change(struct mega__ctx *ctx, mega_gptr_t p, uint64_t word,
                            uint32_t n, bool *raced_p)
{
    uint64_t old;
    mega_status_t st =
        mega__rma_amo(ctx, MEGA_AMO_CSWAP, 8, p, lock_word(ctx, n), word, &old);
    *raced_p = !st && old != word;
    return st;
}

static uint32_t writer(const struct mega__ctx *ctx)
{
    return WRITER | (uint32_t)ctx->place.rank;
}

/* Who has to be there for the lock to come free; a word may be nonsense. */
static int waited_for(const struct mega__ctx *ctx, uint32_t n)
{
    uint32_t rank = n & ~WRITER;
    return n & WRITER && rank < (uint32_t)ctx->place.nranks ? (int)rank : ANY;
}

/* BUSY comes without a sentence; *holder_p: who is waited for then. */
static mega_status_t attempt(struct mega__ctx *ctx, mega_gptr_t p,
                             unsigned flags, int *holder_p)
{
    bool shared = flags & MEGA_LOCK_SHARED, raced = true;
    mega_status_t st = MEGA_OK;
    while (!st && raced) {
        uint64_t word;
        st = mega__rma_amo(ctx, MEGA_AMO_FETCH, 8, p, 0, 0, &word);
        if (st)
            return st;
        uint32_t n = holders(ctx, word);
        *holder_p = waited_for(ctx, n);
        if (shared ? n >= WRITER - 1 : n != 0)
            return MEGA_ERR_BUSY;
        st = change(ctx, p, word, shared ? n + 1 : writer(ctx), &raced);
    }
    return st;
}

mega_status_t mega__sync_trylock(struct mega__ctx *ctx, mega_gptr_t p,
                                 unsigned flags)
{
    int holder;
    mega_status_t st = attempt(ctx, p, flags, &holder);
    if (st == MEGA_ERR_BUSY)
        return mega__fail(MEGA_ERR_BUSY, "the lock at %#llx is held",
                          (unsigned long long)p.v);
    return st;
}

mega_status_t mega__sync_lock(struct mega__ctx *ctx, mega_gptr_t p,
                              unsigned flags)
{
    struct patience patience = {0};
    for (;;) {
        int holder;
        mega_status_t st = attempt(ctx, p, flags, &holder);
        if (st != MEGA_ERR_BUSY)
            return st;
        st = wait_on(ctx, &patience, holder);
        if (st)
            return st;
    }
}

mega_status_t mega__sync_unlock(struct mega__ctx *ctx, mega_gptr_t p,
                                unsigned flags)
{
    bool shared = flags & MEGA_LOCK_SHARED, raced = true;
    mega_status_t st = mega__rma_quiet(ctx); /* L3 */
    while (!st && raced) {
        uint64_t word;
        st = mega__rma_amo(ctx, MEGA_AMO_FETCH, 8, p, 0, 0, &word);
        if (st)
            return st;
        uint32_t n = holders(ctx, word);
        if (shared ? n == 0 || n >= WRITER : n != writer(ctx))
            return mega__fail(MEGA_ERR_STATE,
                              "the lock at %#llx is not held so by this rank",
                              (unsigned long long)p.v);
        st = change(ctx, p, word, shared ? n - 1 : 0, &raced);
    }
    return st;
}
