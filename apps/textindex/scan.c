/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * scan.c - reading buckets in rounds: all heads, then all words and postings
 * that these lead to, then all that those do.
 */
#include "scan.h"

#include <stdlib.h>
#include <string.h>

#include "job.h"

static size_t size_of_word(const void *head)
{
    const struct ti_word *w = head;
    return sizeof *w + w->len;
}

static size_t size_of_postings(const void *head)
{
    const struct ti_postings *p = head;
    return sizeof *p + p->len * sizeof p->posting[0];
}

static void forget(struct ti_scan *s)
{
    for (size_t i = 0; i < s->count; i++) {
        free(s->item[i]->part.copy);
        free(s->item[i]);
    }
    s->count = 0;
    memset(s->first, 0, sizeof s->first);
}

void ti_scan_close(struct ti_scan *s)
{
    forget(s);
    free(s->item);
    *s = (struct ti_scan){0};
}

/* The next of its chain, or the first: before is NULL. */
static mega_status_t number(struct ti_item *it, const struct ti_item *before)
{
    it->number = before ? before->number + 1 : 0;
    it->behind = before ? before->behind : 0;
    if (it->part.at == it->behind) {
        ti_say("the index is damaged: its chain at 0x%llx leads back to "
               "itself; restore the space from a copy, or begin anew with "
               "textindex build --force",
               (unsigned long long)it->part.at);
        return MEGA_ERR_DAMAGED;
    }
    if ((it->number & (it->number - 1)) == 0)
        it->behind = it->part.at;
    return MEGA_OK;
}

/* The item at, if it is one, is to be read; *it_p will be it. */
static mega_status_t add(struct ti_scan *s, uint64_t at, bool word,
                         const struct ti_item *before, struct ti_item **it_p)
{
    if (!at)
        return MEGA_OK;
    struct ti_item *it = ti_realloc(NULL, sizeof *it);
    *it = (struct ti_item){
        .part = {.at = at,
                 .head =
                     word ? sizeof(struct ti_word) : sizeof(struct ti_postings),
                 .size = word ? size_of_word : size_of_postings}};
    s->item = ti_room(s->item, &s->cap, s->count + 1, sizeof(void *));
    s->item[s->count++] = it;
    *it_p = it;
    return number(it, before);
}

/* A home has every nhomes-th head, one behind the other. */
static mega_status_t read_heads(const struct ti_index *ix, uint64_t from,
                                size_t n, struct ti_scan *s)
{
    uint64_t row[TI_STRIDE]; /* home by home */
    const size_t homes = ix->nhomes < n ? (size_t)ix->nhomes : n;
    mega_status_t st = MEGA_OK;

    for (size_t k = 0, at = 0; k < homes && !st; k++) {
        size_t count = (n - k + homes - 1) / homes;
        st = mega_get_nbi(&row[at], ti_head(ix, from + k),
                          count * sizeof row[0]);
        at += count;
    }
    mega_status_t came = mega_quiet(); /* it writes to row */
    if (st || came)
        return ti_failed("read", st ? st : came);
    for (size_t k = 0, at = 0; k < homes; k++)
        for (size_t i = k; i < n; i += homes)
            st = st ? st : add(s, row[at++], true, NULL, &s->first[i]);
    return st;
}

static mega_status_t follow(struct ti_scan *s, struct ti_item *it)
{
    if (it->part.size != size_of_word)
        return add(s, ti_postings_of(it)->next, false, it, &it->next);
    mega_status_t st = add(s, ti_word_of(it)->next, true, it, &it->next);
    return st ? st : add(s, ti_word_of(it)->postings, false, NULL, &it->list);
}

static mega_status_t read_items(struct ti_scan *s, size_t begin, size_t end)
{
    struct ti_part **part = ti_realloc(NULL, (end - begin) * sizeof *part);

    for (size_t i = begin; i < end; i++)
        part[i - begin] = &s->item[i]->part;
    mega_status_t st = ti_fetch(part, end - begin);
    free(part);
    return st;
}

mega_status_t ti_scan(const struct ti_index *ix, uint64_t from, size_t n,
                      struct ti_scan *s)
{
    forget(s);
    mega_status_t st = read_heads(ix, from, n, s);

    for (size_t begin = 0; begin < s->count && !st;) {
        size_t end = s->count;
        st = read_items(s, begin, end);
        for (; begin < end && !st; begin++)
            st = follow(s, s->item[begin]);
    }
    return st;
}
