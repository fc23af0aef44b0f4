/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * verify_words.c - the extent words and marks of a home. Also of a home whose
 * job was killed: what the next open settles is PENDING, not a fault. Marks
 * count under a SLAB word only, and at a head (layout.h, 4).
 */
#include "verify.h"

#include <inttypes.h>

struct words {
    const struct space *space;
    const struct home *home;
    const struct span *span;
    struct problems *problems;
    uint64_t next_region; /* 0: not known */
};

static void say(struct words *v, enum grade grade, uint32_t e, uint64_t w,
                const char *why)
{
    problem(v->problems, grade, v->span->image->path, span_word_off(v->span, e),
            "home %u, span %u, word of extent %u is %#" PRIx64 ": %s",
            v->home->no, v->span->no, e, w, why);
}

/* Epoch numbers of words begin anew after 16383 opens. */
static bool epoch_possible(const struct words *v, uint32_t epoch14)
{
    return v->home->epoch == 0 || v->home->epoch >= MEGA__EPOCH14_MAX ||
           epoch14 <= mega__epoch14(v->home->epoch);
}

/* False: the region is dead, and what is under the word is garbage. */
static bool check_region(struct words *v, uint32_t e, uint64_t w)
{
    uint32_t id = mega__word_region(w);
    if (id == 0 || (v->next_region && id >= v->next_region &&
                    id != MEGA__REGION_DEFAULT)) {
        say(v, FAULT, e, w, "its region was never made");
        return false;
    }
    if (space_region_lives(v->space, id))
        return true;
    say(v, verify_unfinished(v->home), e, w, "its region is dead");
    return false;
}

static void check_slab(struct words *v, uint32_t e, uint64_t w)
{
    unsigned k = mega__word_class(w);
    if (k >= MEGA__CLASSES) {
        say(v, FAULT, e, w, "there is no such class");
        return;
    }
    if (!epoch_possible(v, mega__word_slab_epoch(w)))
        say(v, FAULT, e, w, "its epoch is yet to come");
    else if (mega__word_slab_epoch(w) == 0 && mega__word_owner(w) != 0)
        say(v, FAULT, e, w, "an owner without an epoch");
    if (!check_region(v, e, w))
        return;
    const uint64_t *starts = v->space->classes.of[k].starts;
    uint8_t dead = mega__dead_mark(v->home->epoch);
    bool clean = verify_unfinished(v->home) == FAULT;
    for (unsigned g = 0; g < MEGA__EXTENT_GRANULES; g++) {
        uint8_t mark = span_mark(v->span, e, g);
        if (mark == MEGA__MARK_FREE)
            continue;
        bool start = starts[g / 64] >> g % 64 & 1;
        if (!start || (clean && mark == dead))
            problem(v->problems, FAULT, v->span->image->path,
                    span_mark_off(v->span, e, g),
                    "home %u, span %u, extent %u, mark %u is %u: %s",
                    v->home->no, v->span->no, e, g, mark,
                    start ? "being freed, after a clean end"
                          : "no chunk begins there");
    }
}

static void check_tails(struct words *v, uint32_t e, uint64_t w)
{
    for (uint32_t i = 1; i < mega__word_len(w); i++) {
        uint64_t t = span_word(v->span, e + i);
        bool is_tail = mega__word_kind(t) == MEGA__RUN_TAIL &&
                       mega__word_len(t) == i &&
                       mega__word_region(t) == mega__word_region(w);
        /* FREEING frees its tails first */
        if (!is_tail && mega__word_kind(w) == MEGA__RUN_HEAD)
            say(v, FAULT, e + i, t, "it is no tail of the run before it");
    }
}

static void check_head(struct words *v, uint32_t e, uint64_t w)
{
    bool freeing = mega__word_kind(w) == MEGA__FREEING;
    if (!run_fits(v->span, e, w)) {
        say(v, FAULT, e, w, "the run does not fit its span");
        return;
    }
    if (mega__word_flags(w) & ~MEGA__RUN_RAW)
        say(v, FAULT, e, w, "it has unknown flags");
    if (!epoch_possible(v, mega__word_run_epoch(w)))
        say(v, FAULT, e, w, "its epoch is yet to come");
    if (freeing)
        say(v, verify_unfinished(v->home), e, w, "it is being freed");
    if (check_region(v, e, w) || !freeing)
        check_tails(v, e, w);
    if (!freeing && !(mega__word_flags(w) & MEGA__RUN_RAW) &&
        span_mark(v->span, e, 0) != MEGA__MARK_LIVE)
        say(v, PENDING, e, w, "a run whose mark is not live");
}

static void check_tail(struct words *v, uint32_t e, uint64_t w)
{
    if (mega__word_flags(w))
        say(v, FAULT, e, w, "a tail with flags");
    if (!run_covers(v->span, e, w))
        say(v, verify_unfinished(v->home), e, w, "a tail without a head");
}

static void check_extent(struct words *v, uint32_t e)
{
    uint64_t w = span_word(v->span, e);
    switch (mega__word_kind(w)) {
    case MEGA__FREE:
        if (w != MEGA__FREE)
            say(v, FAULT, e, w, "free, but not all zero");
        break;
    case MEGA__SLAB_INIT:
        say(v, verify_unfinished(v->home), e, w, "its claim was cut off");
        break;
    case MEGA__SLAB:
        check_slab(v, e, w);
        break;
    case MEGA__RUN_HEAD:
    case MEGA__FREEING:
        check_head(v, e, w);
        break;
    case MEGA__RUN_TAIL:
        check_tail(v, e, w);
        break;
    default:
        say(v, FAULT, e, w, "there is no such kind");
    }
}

void verify_words(const struct space *space, const struct home *home,
                  struct problems *problems)
{
    struct words v = {space, home, NULL, problems, 0};
    const struct home *home0 = space_home(space, 0);
    if (home0 && home0->block &&
        !mega__unseal(block_load(&home0->block->next_region), &v.next_region))
        v.next_region = 0;
    for (uint32_t no = 0; no < home->nspans; no++) {
        v.span = home_span(home, no);
        if (!v.span)
            continue;
        for (uint32_t e = 0; e < v.span->first; e++)
            if (span_word(v.span, e) != MEGA__UNUSABLE)
                say(&v, FAULT, e, span_word(v.span, e),
                    "the extent holds metadata");
        for (uint32_t e = v.span->first; e < v.span->extents; e++)
            check_extent(&v, e);
    }
}
