/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ahead.c - the words of a batch that lie on other hosts, many at a time.
 *
 * A search goes in rounds. In each, every word that is still looked for asks
 * for one thing: its head, or the next node of its chain; then one quiet brings
 * all.
 *
 * Links are compare-and-swaps, all under way together. Two new words of one
 * bucket would race: so the second is written before the first as its next,
 * and swapped a round later.
 */
#include "ahead.h"

#include <stdlib.h>
#include <string.h>

#include "job.h"

#define LONGEST 4096u /* bytes; longer words are batch.c's */

struct seek { /* a word that is looked for */
    struct ti_touched *t;
    const struct ti_entry *e;
    uint64_t node;        /* the one that is being read; 0: none is left */
    struct ti_word *copy; /* of it, with as much text as the word has */
};

static mega_gptr_t head_of(const struct ti_batch *b, const struct ti_touched *t)
{
    return t->node ? ti_list_of(t->node)
                   : ti_head(b->ix, ti_bucket(b->ix, t->hash));
}

/* ---- Finding ---- */

static mega_status_t quiet(void)
{
    mega_status_t st = mega_quiet();

    return st ? ti_failed("read", st) : MEGA_OK;
}

/* Asks for all heads; returns the words that have no node yet. */
static mega_status_t load_heads(struct ti_batch *b, size_t from, size_t end,
                                struct seek *seek, size_t *n_p)
{
    mega_status_t st = MEGA_OK;

    for (size_t i = from; i < end && !st; i++) {
        struct ti_touched *t = &b->touched[i];
        mega_gptr_t head = head_of(b, t);
        const struct ti_entry *e = ti_dict_at(&b->tally->dict, t->ref);
        if (mega_ptr(head) || e->len > LONGEST)
            continue;
        b->ahead[i].looked = true;
        st = mega_amo_nbi(MEGA_AMO_FETCH, 0, 8, head, 0, 0, &t->expect);
        if (!t->node)
            seek[(*n_p)++] = (struct seek){.t = t, .e = e};
    }
    mega_status_t came = quiet(); /* it writes to touched */
    return st ? ti_failed("read", st) : came;
}

static mega_status_t ask(struct seek *s)
{
    size_t n = sizeof *s->copy + s->e->len;

    if (!s->copy)
        s->copy = ti_realloc(NULL, n);
    return mega_get_nbi(s->copy, mega_from_bits(s->node),
                        ti_readable(s->node, sizeof *s->copy, n));
}

/* What came of it; false: there is nothing more to ask for. */
static bool answered(struct ti_batch *b, struct seek *s)
{
    struct ti_touched *t = s->t;

    if (s->copy->hash != (uint32_t)(t->hash >> 32) ||
        s->copy->len != s->e->len ||
        memcmp(s->copy->text, s->e->text, s->e->len) != 0) {
        s->node = s->copy->next;
        return s->node != 0;
    }
    /* Another rank's link: it may not be durable yet (3). */
    ti_ranges_add(&b->links, head_of(b, t), sizeof(uint64_t));
    t->node = s->node;
    t->expect = s->copy->postings;
    ti_dict_at(&b->tally->dict, t->ref)->node = t->node;
    return false;
}

static mega_status_t walk(struct ti_batch *b, struct seek *seek, size_t n)
{
    mega_status_t st = MEGA_OK;
    size_t left = 0;

    for (size_t i = 0; i < n; i++) {
        seek[i].node = seek[i].t->expect;
        if (seek[i].node)
            seek[left++] = seek[i];
    }
    while (left > 0 && !st) {
        size_t asked = left;
        for (size_t i = 0; i < asked && !st; i++)
            st = ask(&seek[i]);
        st = st ? ti_failed("read", st) : MEGA_OK;
        mega_status_t came = quiet(); /* it writes to the copies */
        st = st ? st : came;
        left = 0;
        for (size_t i = 0; i < asked; i++)
            if (!st && answered(b, &seek[i]))
                seek[left++] = seek[i];
            else
                free(seek[i].copy);
    }
    return st;
}

static void forget(struct ti_batch *b)
{
    size_t slots = 1024;

    while (slots < 2 * b->ntouched)
        slots *= 2;
    b->ahead = ti_room(b->ahead, &b->ahead_cap, b->ntouched, sizeof *b->ahead);
    memset(b->ahead, 0, b->ntouched * sizeof *b->ahead);
    b->last = ti_room(b->last, &b->last_room, slots, sizeof *b->last);
    memset(b->last, 0, slots * sizeof *b->last);
    b->last_slots = slots;
    b->rounds = 0;
}

mega_status_t ti_ahead_find(struct ti_batch *b)
{
    struct seek *seek = ti_realloc(NULL, TI_AT_ONCE * sizeof *seek);
    const size_t end = b->ntouched;
    mega_status_t st = MEGA_OK;

    if (end > 0)
        forget(b);
    for (size_t from = 0; from < end && !st; from += TI_AT_ONCE) {
        size_t to = from + TI_AT_ONCE < end ? from + TI_AT_ONCE : end, n = 0;
        st = load_heads(b, from, to, seek, &n);
        if (!st)
            st = walk(b, seek, n);
    }
    free(seek);
    return st;
}

/* ---- Linking ---- */

/* The last new word of each bucket, by an open hash of their places. */
static uint32_t *last_in(struct ti_batch *b, mega_gptr_t head)
{
    for (size_t i = (size_t)(head.v / 8 * UINT64_C(0x9e3779b97f4a7c15) >> 20);;
         i++) {
        uint32_t *last = &b->last[i & (b->last_slots - 1)];
        if (*last == 0 || head_of(b, &b->touched[*last - 1]).v == head.v)
            return last;
    }
}

void ti_ahead_follow(struct ti_batch *b, struct ti_touched *t)
{
    const size_t place = (size_t)(t - b->touched);
    uint32_t *last = last_in(b, head_of(b, t));
    uint32_t round = 0;

    if (*last) {
        round = b->ahead[*last - 1].round + 1;
        t->expect = b->touched[*last - 1].fresh;
    }
    b->ahead[place].round = round;
    b->rounds = round > b->rounds ? round : b->rounds;
    *last = (uint32_t)place + 1;
}

/* Whether it won is known when all have come back. */
static mega_status_t begin_swap(struct ti_batch *b, size_t i)
{
    const struct ti_touched *t = &b->touched[i];
    mega_gptr_t head = head_of(b, t);

    ti_ranges_add(&b->links, head, sizeof(uint64_t));
    b->ahead[i].old = ~t->expect;
    return mega_amo_nbi(MEGA_AMO_CSWAP, 0, 8, head,
                        t->fresh ? t->fresh : t->chunk, t->expect,
                        &b->ahead[i].old);
}

static void end_swap(struct ti_batch *b, size_t i)
{
    const struct ti_touched *t = &b->touched[i];

    b->ahead[i].linked = b->ahead[i].old == t->expect;
    if (b->ahead[i].linked && t->fresh)
        ti_dict_at(&b->tally->dict, t->ref)->node = t->fresh;
}

mega_status_t ti_ahead_link(struct ti_batch *b)
{
    size_t under_way[TI_AT_ONCE];
    mega_status_t st = MEGA_OK;

    for (uint32_t round = 0; round <= b->rounds && !st; round++)
        for (size_t i = 0; i < b->ntouched && !st;) {
            size_t n = 0;
            for (; i < b->ntouched && n < TI_AT_ONCE && !st; i++) {
                if (!b->ahead[i].looked || b->ahead[i].round != round)
                    continue;
                under_way[n++] = i;
                st = begin_swap(b, i);
            }
            mega_status_t came = mega_quiet(); /* it writes to ahead */
            st = st ? st : came;
            for (size_t k = 0; k < n && !st; k++)
                end_swap(b, under_way[k]);
        }
    return st ? ti_failed("compare and swap", st) : MEGA_OK;
}
