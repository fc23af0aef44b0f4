/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * prune.c - taking what a crash left half done out of the index.
 *
 * A link is rewritten past a row of dead chunks at once, so in any image of a
 * crash in here each link still leads to every posting that counts. A posting
 * that does not count, next to one that does, becomes 0. Dead chunks are freed
 * only after the links around them are durable (law L4); between the two a
 * crash leaks them, no more. What decides, the states, is made durable first:
 * after kill -9 a state may be visible and yet not be on the medium (law L7 in
 * our own chunks).
 */
#include "prune.h"

#include <stdlib.h>

#include "job.h"
#include "ranges.h"
#include "scan.h"

#define DEAD_MAX 8192 /* chunks that wait for the links to be durable */

struct pruner {
    struct ti_index *ix;
    uint64_t gap;
    struct ti_ranges links; /* rewritten */
    uint64_t *dead;         /* bits of unlinked chunks */
    size_t ndead, dead_cap;
    uint64_t freed;
    struct ti_scan scan;
};

static void bury(struct pruner *pr, uint64_t bits)
{
    pr->dead =
        ti_room(pr->dead, &pr->dead_cap, pr->ndead + 1, sizeof *pr->dead);
    pr->dead[pr->ndead++] = bits;
}

static mega_status_t free_dead(struct pruner *pr)
{
    mega_status_t st = ti_ranges_persist(&pr->links, pr->gap);

    for (size_t i = 0; i < pr->ndead && !st; i++) {
        st = mega_free(mega_from_bits(pr->dead[i]));
        if (st)
            ti_failed("free", st);
    }
    pr->freed += pr->ndead;
    pr->ndead = 0;
    return st;
}

/* Writes a link, or another word, if it changes. */
static mega_status_t relink(struct pruner *pr, mega_gptr_t link, uint64_t was,
                            uint64_t now)
{
    if (was == now)
        return MEGA_OK;
    ti_ranges_add(&pr->links, link, sizeof now);
    return ti_store(link, now);
}

/* Clears the postings of a chunk that do not count. *left_p: whether any is
 * left; if none, the chunk is as it was. */
static mega_status_t prune_chunk(struct pruner *pr, mega_gptr_t p,
                                 const struct ti_postings *chunk, bool *left_p)
{
    uint32_t live = 0;

    for (uint32_t i = 0; i < chunk->len; i++)
        live += ti_counts(pr->ix, chunk->attempt, chunk->posting[i]);
    *left_p = live > 0;
    for (uint32_t i = 0; live > 0 && i < chunk->len; i++) {
        if (ti_counts(pr->ix, chunk->attempt, chunk->posting[i]))
            continue;
        size_t at = offsetof(struct ti_postings, posting) +
                    i * sizeof chunk->posting[0];
        mega_gptr_t dead = mega_add(p, (int64_t)at);
        mega_status_t st = relink(pr, dead, chunk->posting[i], 0);
        if (st)
            return st;
    }
    return MEGA_OK;
}

/* Takes the dead out of the list at link. *left_p: whether any is left. */
static mega_status_t prune_postings(struct pruner *pr, mega_gptr_t link,
                                    const struct ti_item *first, bool *left_p)
{
    uint64_t was = ti_item_at(first);
    mega_status_t st = MEGA_OK;

    *left_p = false;
    for (const struct ti_item *it = first; it && !st; it = it->next) {
        mega_gptr_t p = mega_from_bits(it->part.at);
        bool left;
        st = prune_chunk(pr, p, ti_postings_of(it), &left);
        if (!st && left) {
            st = relink(pr, link, was, it->part.at);
            link = mega_add(p, offsetof(struct ti_postings, next));
            was = ti_item_at(it->next);
            *left_p = true;
        } else if (!st) {
            bury(pr, it->part.at);
        }
    }
    return st ? st : relink(pr, link, was, 0);
}

static mega_status_t prune_bucket(struct pruner *pr, mega_gptr_t link,
                                  const struct ti_item *first)
{
    uint64_t was = ti_item_at(first);
    mega_status_t st = MEGA_OK;

    for (const struct ti_item *it = first; it && !st; it = it->next) {
        mega_gptr_t p = mega_from_bits(it->part.at);
        bool left;
        st = prune_postings(pr, ti_list_of(it->part.at), it->list, &left);
        if (!st && left) {
            st = relink(pr, link, was, it->part.at);
            link = mega_add(p, offsetof(struct ti_word, next));
            was = ti_item_at(it->next);
        } else if (!st) {
            bury(pr, it->part.at);
        }
    }
    return st ? st : relink(pr, link, was, 0);
}

static mega_status_t prune_share(struct pruner *pr)
{
    uint64_t buckets = pr->ix->nhomes * pr->ix->heads_per_home;
    uint64_t nranks = (uint64_t)mega_nranks();
    uint64_t rank = (uint64_t)mega_rank();
    uint64_t end = buckets * (rank + 1) / nranks;
    mega_status_t st = MEGA_OK;

    for (uint64_t b = buckets * rank / nranks; b < end && !st; b += TI_STRIDE) {
        size_t n = end - b < TI_STRIDE ? (size_t)(end - b) : TI_STRIDE;
        st = ti_scan(pr->ix, b, n, &pr->scan);
        for (size_t i = 0; i < n && !st; i++)
            st = prune_bucket(pr, ti_head(pr->ix, b + i), pr->scan.first[i]);
        if (!st && pr->ndead >= DEAD_MAX)
            st = free_dead(pr);
    }
    if (!st)
        st = free_dead(pr);
    if (!st) {
        st = mega_drain();
        if (st)
            ti_failed("drain", st);
    }
    return st;
}

static mega_status_t persist_states(struct pruner *pr)
{
    for (size_t i = 0; i < pr->ix->nfiles; i++)
        ti_ranges_add(&pr->links, pr->ix->file[i].at, sizeof(uint64_t));
    return ti_ranges_persist(&pr->links, pr->gap);
}

int ti_prune(struct ti_index *ix, uint64_t gap)
{
    struct pruner pr = {.ix = ix, .gap = gap};
    uint64_t freed = 0;
    mega_status_t st = mega_rank() == 0 ? persist_states(&pr) : MEGA_OK;
    int code = ti_agree(st ? TI_FAILED : TI_OK);

    if (code == TI_OK) {
        st = prune_share(&pr);
        code = ti_agree(st ? TI_FAILED : TI_OK);
    }
    if (code == TI_OK && ti_sum(pr.freed, &freed))
        code = TI_FAILED;
    if (code == TI_OK && freed > 0 && mega_rank() == 0)
        ti_say("freed %llu chunks that the former build left half done",
               (unsigned long long)freed);
    ti_ranges_free(&pr.links);
    free(pr.dead);
    ti_scan_close(&pr.scan);
    return code;
}
