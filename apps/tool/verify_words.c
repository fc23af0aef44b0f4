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
    if (span_word(v->span, e) != w)
        return; /* a job has changed it meanwhile */
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

static uint64_t next_region(const struct space *space)
{
    uint64_t next;
    const struct home *home0 = space_home(space, 0);
    return home0 && home0->block &&
                   mega__unseal(block_load(&home0->block->next_region), &next)
               ? next
               : 0;
}

/* False: the region does not live, and what is under the word is garbage. The
 * record of a region goes after its last word, so one that is neither alive
 * nor about to end is damage. */
static bool check_region(struct words *v, uint32_t e, uint64_t w)
{
    uint32_t id = mega__word_region(w);
    if (id != 0 && space_region_lives(v->space, id))
        return true;
    if (v->next_region != next_region(v->space))
        return false; /* made since: a job is running */
    if (id != 0 && space_region_ended(v->space, id))
        say(v, verify_unfinished(v->home), e, w, "its region is dead");
    else if (id == 0 || (v->next_region && id >= v->next_region))
        say(v, FAULT, e, w, "its region was never made");
    else
        say(v, FAULT, e, w, "its region is gone");
    return false;
}

/* What a mark is that no job can have made, or NULL. */
static const char *judge_mark(const struct words *v, uint8_t mark, bool start)
{
    uint64_t epoch = v->home->epoch;
    if (mark == MEGA__MARK_FREE)
        return NULL;
    if (!start)
        return "no chunk begins there";
    if (mark == MEGA__MARK_LIVE)
        return NULL;
    if (verify_unfinished(v->home) == FAULT && mark == mega__dead_mark(epoch))
        return "being freed, after a clean end";
    if (epoch && epoch < 254 && mark > mega__dead_mark(epoch))
        return "freed in an epoch that is yet to come";
    return NULL;
}

static void say_mark(struct words *v, uint32_t e, uint64_t w, unsigned g,
                     uint8_t mark, const char *why)
{
    if (span_word(v->span, e) == w)
        problem(v->problems, FAULT, v->span->image->path,
                span_mark_off(v->span, e, g),
                "home %u, span %u, extent %u, mark %u is %u: %s", v->home->no,
                v->span->no, e, g, mark, why);
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
    for (unsigned g = 0; g < MEGA__EXTENT_GRANULES; g++) {
        uint8_t mark = span_mark(v->span, e, g);
        const char *wrong = judge_mark(v, mark, starts[g / 64] >> g % 64 & 1);
        if (wrong)
            say_mark(v, e, w, g, mark, wrong);
    }
}

static void check_tails(struct words *v, uint32_t e, uint64_t w)
{
    for (uint32_t i = 1; i < mega__word_len(w); i++) {
        uint64_t t = span_word(v->span, e + i);
        bool is_tail = mega__word_kind(t) == MEGA__RUN_TAIL &&
                       mega__word_len(t) == i &&
                       mega__word_region(t) == mega__word_region(w) &&
                       mega__word_run_epoch(t) == mega__word_run_epoch(w);
        /* FREEING frees its tails first */
        if (!is_tail && mega__word_kind(w) == MEGA__RUN_HEAD &&
            span_word(v->span, e) == w)
            say(v, FAULT, e + i, t, "it is no tail of the run before it");
    }
}

/* The mark of raw memory was cleared by its claim, and stays so. */
static void check_head_mark(struct words *v, uint32_t e, uint64_t w)
{
    uint8_t mark = span_mark(v->span, e, 0);
    const char *wrong = judge_mark(v, mark, true);
    if (mega__word_flags(w) & MEGA__RUN_RAW)
        wrong = mark == MEGA__MARK_FREE ? NULL : "raw memory has no mark";
    if (wrong)
        say_mark(v, e, w, 0, mark, wrong);
    else if (!(mega__word_flags(w) & MEGA__RUN_RAW) && mark != MEGA__MARK_LIVE)
        say(v, PENDING, e, w, "a run whose mark is not live");
}

static void check_head(struct words *v, uint32_t e, uint64_t w)
{
    bool freeing = mega__word_kind(w) == MEGA__FREEING;
    if (!mega__word_run_sound(w)) {
        say(v, FAULT, e, w, "the word of a run is damaged");
        return;
    }
    if (!run_fits(v->span, e, w)) {
        say(v, FAULT, e, w, "the run does not fit its span");
        return;
    }
    if (!epoch_possible(v, mega__word_run_epoch(w)))
        say(v, FAULT, e, w, "its epoch is yet to come");
    if (freeing)
        say(v, verify_unfinished(v->home), e, w, "it is being freed");
    if (check_region(v, e, w) || !freeing)
        check_tails(v, e, w);
    if (!freeing)
        check_head_mark(v, e, w);
}

static void check_tail(struct words *v, uint32_t e, uint64_t w)
{
    if (mega__word_flags(w))
        say(v, FAULT, e, w, "a tail with flags");
    if (run_covers(v->span, e, w))
        return;
    if (run_head_damaged(v->span, e, w))
        say(v, FAULT, e, w, "a tail whose head, or distance, is damaged");
    else
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
        say(v, verify_unfinished(v->home), e, w, "its claim is not complete");
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
    struct words v = {space, home, NULL, problems, next_region(space)};
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
