/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * verify_intents.c - the intents of a home: one that is there waits for the
 * next open, which believes nothing in it. What it would leave out is a fault:
 * a chunk that is none, a slot that is not in memory in use.
 */
#include "verify.h"

#include <inttypes.h>
#include <stddef.h>

struct intents {
    const struct space *space;
    const struct home *home;
    struct problems *problems;
};

static uint64_t offset_of(const struct intents *v, unsigned i)
{
    return v->home->span0->off + MEGA__HOME_BLOCK_OFF +
           offsetof(struct mega__home_block, intents) +
           i * sizeof(struct mega__intent);
}

/* Of a home that is not given nothing can be said. */
static bool at_hand(const struct intents *v, uint64_t p)
{
    uint32_t home = mega__gptr_home(mega_from_bits(p));
    return home >= v->space->of || space_home(v->space, home);
}

/* The slot of a root that is there. */
static bool is_root_slot(const struct home *home, mega_gptr_t p)
{
    const uint64_t roots =
        MEGA__HOME_BLOCK_OFF + offsetof(struct mega__home_block, roots);
    const uint64_t size = sizeof(struct mega__root_record);
    enum mega__record_state state;
    uint64_t off = mega_offset(p) - roots;
    uint32_t id;
    return home->no == 0 && mega__gptr_span(p) == 0 && home->block &&
           mega_offset(p) >= roots && off < MEGA_ROOTS_MAX * size &&
           off % size == offsetof(struct mega__root_record, slot) &&
           mega__record_state(block_load(&home->block->roots[off / size].state),
                              &state, &id) &&
           state == MEGA__REC_LIVE;
}

/* Anywhere in a chunk or in raw memory. */
static bool in_use(const struct space *space, const struct span *s,
                   uint64_t off)
{
    uint32_t e = (uint32_t)(off >> MEGA__EXTENT_SHIFT);
    uint64_t w = span_word(s, e);
    unsigned k = mega__word_class(w);
    if (e < s->first || !space_region_lives(space, mega__word_region(w)))
        return false;
    switch (mega__word_kind(w)) {
    case MEGA__SLAB:
        return k < MEGA__CLASSES &&
               (off & (MEGA__EXTENT - 1)) / space->classes.of[k].size <
                   space->classes.of[k].capacity;
    case MEGA__RUN_HEAD:
        return run_fits(s, e, w);
    case MEGA__RUN_TAIL:
        return run_covers(s, e, w);
    default:
        return false;
    }
}

static bool slot_right(const struct space *space, uint64_t slot)
{
    mega_gptr_t p = mega_from_bits(slot);
    const struct home *home = space_home(space, mega__gptr_home(p));
    const struct span *s = home ? home_span(home, mega__gptr_span(p)) : NULL;
    return s && slot % 8 == 0 && mega_offset(p) < s->size &&
           (is_root_slot(home, p) || in_use(space, s, mega_offset(p)));
}

/* seq: if it is another now, a job has gone on. */
static void check_item(const struct intents *v, unsigned i, uint64_t seq,
                       uint32_t k, const struct mega__intent_item *item)
{
    unsigned op = item->chunk & 15;
    uint64_t p = item->chunk & ~UINT64_C(15);
    const char *wrong = NULL;
    struct chunk c;
    if (op > MEGA_PUBLISH_SET)
        wrong = "there is no such operation";
    else if ((item->slot || op == MEGA_PUBLISH_SET) && at_hand(v, item->slot) &&
             !slot_right(v->space, item->slot))
        wrong = "its slot is not in memory in use";
    else if (op != MEGA_PUBLISH_SET && at_hand(v, p) &&
             (!space_find(v->space, p, &c) || c.raw))
        wrong = "no chunk begins there";
    if (wrong && block_load(&v->home->block->intents[i].seq) == seq)
        problem(v->problems, FAULT, v->home->span0->image->path,
                offset_of(v, i) + offsetof(struct mega__intent, items) +
                    k * sizeof *item,
                "home %u: intent %u, item %u, chunk %#" PRIx64
                ", slot %#" PRIx64 ": %s",
                v->home->no, i, k, item->chunk, item->slot, wrong);
}

void verify_intents(const struct space *space, const struct home *home,
                    struct problems *problems)
{
    const struct intents v = {space, home, problems};
    struct mega__intent copy;
    for (unsigned i = 0; i < MEGA__INTENTS_MAX; i++) {
        if (intent_pending(home, i, &copy)) {
            problem(problems, verify_unfinished(home), home->span0->image->path,
                    offset_of(&v, i),
                    "home %u: intent %u of %u items waits to be completed",
                    home->no, i, copy.n);
            for (uint32_t k = 0; k < copy.n; k++)
                check_item(&v, i, copy.seq, k, &copy.items[k]);
        } else if (block_load(&home->block->intents[i].seq) != 0) {
            problem(problems, verify_unfinished(home), home->span0->image->path,
                    offset_of(&v, i),
                    "home %u: intent %u is torn, so it is void", home->no, i);
        }
    }
}
