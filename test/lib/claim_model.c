/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * claim_model.c - see claim_model.h. A round is a round trip: in it each rank
 * that is not using what it has reads a view of the words, or tries its swaps
 * on what the view shows as FREE, or sends the message of a claim. Who comes
 * first in a round is drawn by lot, always in the same way. Words are a bit
 * each, set for FREE; a view is a copy, and becomes old.
 */
#include "claim_model.h"

#include <stdlib.h>
#include <string.h>

#include "far.h"
#include "find.h"
#include "test/lib/medium.h"
#include "test/lib/report.h"

#define EXTENTS CLAIM_EXTENTS
#define AHEAD_MAX 8
#define NOBODY UINT32_MAX

enum todo { USE, READ, READ_AGAIN, SWAP, MESSAGE, ASK };

struct claimer {
    enum todo todo;
    uint32_t next; /* of those of the same round */
    uint32_t start, seed;
    uint32_t first, n, at; /* the view */
    uint64_t *seen;        /* a bit for each of its words */
    unsigned lost, wary;
    unsigned passes, probes, missed; /* views of this search */
    uint32_t trying[AHEAD_MAX];
    unsigned ntrying, far_ahead;
    unsigned cas, won, trips; /* of this search */
    unsigned bin, gets;
    uint32_t *own, nown;
};

struct model {
    const struct claim_rules *rules;
    const struct claim_work *work;
    struct claimer *all;
    uint32_t *owned;  /* theirs, in one piece, */
    uint64_t *seen;   /* and so their views */
    uint32_t *rounds; /* lists of who acts in the next ones */
    uint32_t nrounds;
    uint64_t dice;
    uint64_t claims, cas, trips, words, searches, failed;
    unsigned most, trips_max;
};

static uint64_t is_free[EXTENTS / 64 + 1];

struct claim_rules claim_rules_shipped(void)
{
    return (struct claim_rules){.view = MEGA__VIEW_WORDS,
                                .ahead = MEGA__FAR_AHEAD_MAX,
                                .wary = MEGA__FIND_WARY,
                                .leap = 1,
                                .spread = true,
                                .probe = true};
}

static uint32_t lot(struct model *m, uint32_t n)
{
    return (uint32_t)(medium_random(&m->dice) >> 20) % n;
}

/* ---- Words ---- */

static void set_free(uint32_t e)
{
    is_free[e / 64] |= UINT64_C(1) << e % 64;
}

static bool swap(uint32_t e)
{
    const uint64_t bit = UINT64_C(1) << e % 64;
    bool won = is_free[e / 64] & bit;
    is_free[e / 64] &= ~bit;
    return won;
}

/* The words of the view, from word at on. */
static void read_view(struct model *m, struct claimer *c)
{
    const unsigned shift = c->first % 64;
    const uint64_t *from = &is_free[c->first / 64];
    for (uint32_t i = 0; i < (c->n + 63) / 64; i++)
        c->seen[i] =
            shift ? from[i] >> shift | from[i + 1] << (64 - shift) : from[i];
    if (c->n % 64)
        c->seen[c->n / 64] &= (UINT64_C(1) << c->n % 64) - 1;
    if (c->gets >= m->work->warm)
        m->words += c->first + c->n - c->at;
}

static bool shows_free(const struct claimer *c)
{
    for (uint32_t i = 0; i < (c->n + 63) / 64; i++)
        if (c->seen[i])
            return true;
    return false;
}

/* ---- What a rank does next, as try_kept, try_span and try_some ---- */

static bool next_free(struct claimer *c)
{
    while (c->at < c->first + c->n) {
        const uint32_t i = c->at - c->first;
        const uint64_t rest = c->seen[i / 64] >> i % 64;
        if (rest) {
            c->at += (uint32_t)__builtin_ctzll(rest);
            return true;
        }
        c->at += 64 - i % 64;
    }
    c->at = c->first + c->n;
    return false;
}

static void view_at(const struct model *m, struct claimer *c, uint32_t e)
{
    c->first = c->at = e;
    c->n = EXTENTS - e < m->rules->view ? EXTENTS - e : m->rules->view;
    c->todo = READ;
}

/* The next view of the search. False: there is none. */
static bool next_view(const struct model *m, struct claimer *c)
{
    const uint32_t view = m->rules->view;
    const uint32_t up = (EXTENTS - c->start + view - 1) / view;
    const uint32_t around = (c->start + view - 1) / view;
    if (m->rules->probe && c->probes < mega__find_probes(EXTENTS / view)) {
        uint32_t e = c->start;
        if (c->probes++ > 0) {
            c->missed = shows_free(c) ? 0 : c->missed + 1;
            e = mega__find_probe(&c->seed, EXTENTS, c->first + c->n, c->missed);
        }
        view_at(m, c, e);
        return true;
    }
    if (c->passes >= up + around)
        return false;
    view_at(m, c,
            c->passes < up ? c->start + view * c->passes
                           : view * (c->passes - up));
    c->passes++;
    return true;
}

static void begin_search(struct claimer *c)
{
    c->passes = c->probes = c->missed = 0;
    c->lost = 0;
}

static void go_on(const struct model *m, struct claimer *c)
{
    const unsigned most = mega__find_ahead(c->far_ahead, m->rules->ahead);
    c->ntrying = 0;
    while (c->ntrying < most && next_free(c))
        c->trying[c->ntrying++] = c->at++;
    if (c->ntrying > 0) {
        c->far_ahead = most;
        c->todo = SWAP;
    } else if (!next_view(m, c)) {
        c->todo = ASK;
        if (c->lost) { /* once more, over what is left */
            begin_search(c);
            next_view(m, c);
        }
    }
}

static void try_swaps(const struct model *m, struct claimer *c)
{
    unsigned won = 0;
    c->cas += c->ntrying;
    for (unsigned i = 0; i < c->ntrying; i++)
        if (swap(c->trying[i])) {
            c->own[c->nown++] = c->trying[i];
            won++;
        }
    c->won += won;
    if (won < c->ntrying) {
        c->far_ahead = m->rules->ahead_kept ? c->far_ahead : 0;
        c->wary = m->rules->wary;
    }
    c->todo = MESSAGE;
    if (won > 0)
        return;
    c->at += m->rules->leap * mega__find_leap(&c->seed, c->lost++);
    c->todo = READ_AGAIN;
    if (c->at >= c->first + c->n) {
        c->at = c->first + c->n;
        go_on(m, c);
    }
}

/* ---- Its life ---- */

static void end_search(struct model *m, struct claimer *c)
{
    if (c->gets++ >= m->work->warm) {
        unsigned each = c->won ? (c->cas + c->won - 1) / c->won : 0;
        m->most = each > m->most ? each : m->most;
        m->trips_max = c->trips > m->trips_max ? c->trips : m->trips_max;
        m->cas += c->cas;
        m->claims += c->won;
        m->trips += c->trips;
        m->searches++;
        m->failed += c->won == 0;
    }
    c->bin = c->won;
    c->cas = c->won = c->trips = 0;
    c->todo = USE;
}

static void free_one(struct model *m, struct claimer *c)
{
    const uint32_t i = lot(m, c->nown);
    set_free(c->own[i]);
    c->own[i] = c->own[--c->nown];
}

/* Begins to use an extent that it has. How many rounds that takes. */
static uint32_t use(struct model *m, struct claimer *c)
{
    if (c->bin > 0) {
        c->bin--;
        if (m->work->churn)
            free_one(m, c);
    }
    return 1 + (m->work->think ? lot(m, 2 * m->work->think) : 0);
}

/* A round of one rank; in how many it acts again. 0: its work is done. */
static uint32_t act(struct model *m, struct claimer *c)
{
    c->trips += c->todo != USE;
    switch (c->todo) {
    case USE:
        if (c->bin > 0)
            return use(m, c);
        if (c->gets == m->work->gets)
            return 0;
        begin_search(c);
        if (c->wary > 0 && c->at < c->first + c->n)
            c->todo = READ_AGAIN;
        else
            go_on(m, c);
        c->wary -= c->wary > 0;
        return 1;
    case READ:
    case READ_AGAIN:
        read_view(m, c);
        go_on(m, c);
        return 1;
    case SWAP:
        try_swaps(m, c);
        return 1;
    case MESSAGE:
    case ASK:
        end_search(m, c);
        return use(m, c);
    }
    return 0;
}

/* ---- All of them ---- */

static void add(struct model *m, uint32_t i, uint32_t round)
{
    m->all[i].next = m->rounds[round % m->nrounds];
    m->rounds[round % m->nrounds] = i;
}

static void shuffle(struct model *m, uint32_t *what, uint32_t n)
{
    for (uint32_t i = n; i > 1; i--) {
        uint32_t j = lot(m, i), other = what[j];
        what[j] = what[i - 1];
        what[i - 1] = other;
    }
}

/* Fills the span and deals what is taken. */
static void deal(struct model *m)
{
    const struct claim_work *w = m->work;
    uint32_t *taken = malloc(EXTENTS * sizeof *taken), n = 0, dealt = 0;
    const uint32_t more = w->churn ? 2 * AHEAD_MAX : w->gets * AHEAD_MAX;
    CHECK(taken, "no memory");
    memset(is_free, 0, sizeof is_free);
    for (uint32_t e = 0; e < EXTENTS; e++) {
        uint32_t where = w->clumped ? (uint32_t)(UINT64_C(1000) * e / EXTENTS)
                                    : lot(m, 1000);
        if (where < 10 * w->percent)
            taken[n++] = e;
        else
            set_free(e);
    }
    shuffle(m, taken, n);
    const size_t room = n / w->ranks + 1 + more;
    m->owned = malloc(w->ranks * room * sizeof *m->owned);
    CHECK(m->owned, "no memory");
    for (uint32_t i = 0; i < w->ranks; i++) {
        struct claimer *c = &m->all[i];
        c->nown = (uint32_t)((uint64_t)n * (i + 1) / w->ranks) - dealt;
        c->own = m->owned + i * room;
        memcpy(c->own, taken + dealt, c->nown * sizeof *taken);
        dealt += c->nown;
    }
    free(taken);
}

static void begin(struct model *m)
{
    const struct claim_work *w = m->work;
    m->all = calloc(w->ranks, sizeof *m->all);
    m->seen = calloc(w->ranks, m->rules->view / 8);
    m->nrounds = 2 * w->think + 2;
    m->rounds = malloc(m->nrounds * sizeof *m->rounds);
    CHECK(m->all && m->seen && m->rounds, "no memory");
    memset(m->rounds, 0xff, m->nrounds * sizeof *m->rounds);
    deal(m);
    for (uint32_t i = 0; i < w->ranks; i++) {
        struct claimer *c = &m->all[i];
        c->seen = m->seen + (size_t)i * (m->rules->view / 64);
        c->seed = i * 17 + 1;
        c->start =
            m->rules->spread ? mega__find_start(EXTENTS, i, w->ranks) : i % 64;
        add(m, i, w->think ? lot(m, 2 * w->think) : 0);
    }
}

static void run(struct model *m)
{
    uint32_t left = m->work->ranks;
    uint32_t *order = malloc(left * sizeof *order);
    CHECK(order, "no memory");
    for (uint32_t round = 0; left > 0; round++) {
        uint32_t *list = &m->rounds[round % m->nrounds], n = 0;
        for (uint32_t i = *list; i != NOBODY; i = m->all[i].next)
            order[n++] = i;
        *list = NOBODY;
        shuffle(m, order, n);
        for (uint32_t i = 0; i < n; i++) {
            uint32_t wait = act(m, &m->all[order[i]]);
            left -= wait == 0;
            if (wait > 0)
                add(m, order[i], round + wait);
        }
    }
    free(order);
}

struct claim_result claim_model(const struct claim_rules *rules,
                                const struct claim_work *work)
{
    struct model m = {.rules = rules, .work = work, .dice = 1};
    begin(&m);
    run(&m);
    const double claims = m.claims ? (double)m.claims : 1;
    free(m.all);
    free(m.owned);
    free(m.seen);
    free(m.rounds);
    return (struct claim_result){.mean = (double)m.cas / claims,
                                 .most = m.most,
                                 .trips = (double)m.trips / claims,
                                 .words = (double)m.words / claims,
                                 .trips_max = m.trips_max,
                                 .failed =
                                     (double)m.failed / (double)m.searches};
}
