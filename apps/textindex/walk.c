/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * walk.c - reading a whole index, one-sidedly.
 */
#include "walk.h"

#include <stdlib.h>

const struct ti_postings *ti_view_postings(mega_gptr_t p, struct ti_buf *buf)
{
    const struct ti_postings *view = ti_view(p, sizeof *view, buf);

    if (!view)
        return NULL;
    return ti_view(p, sizeof *view + view->len * sizeof view->posting[0], buf);
}

mega_status_t ti_walk_postings(const struct ti_index *ix, mega_gptr_t node,
                               const struct ti_visitor *v, struct ti_buf *buf)
{
    uint64_t at;
    mega_status_t st =
        ti_load(mega_add(node, offsetof(struct ti_word, postings)), &at);

    if (st)
        return st;
    while (at) {
        const struct ti_postings *p = ti_view_postings(mega_from_bits(at), buf);
        if (!p)
            return MEGA_ERR_IO;
        if (v->chunk)
            v->chunk(v->arg, mega_from_bits(at));
        for (uint32_t i = 0; i < p->len; i++)
            if (p->posting[i])
                v->posting(v->arg, ti_posting_file(p->posting[i]),
                           ti_posting_count(p->posting[i]),
                           ti_counts(ix, p->attempt, p->posting[i]));
        at = p->next;
    }
    return MEGA_OK;
}

/* The word's view outlives those of its postings: each has a buffer. */
struct bufs {
    struct ti_buf word, postings;
};

static mega_status_t walk_word(const struct ti_index *ix, mega_gptr_t node,
                               const struct ti_visitor *v, struct bufs *bufs,
                               uint64_t *next_p)
{
    const struct ti_word *w = ti_view(node, sizeof *w, &bufs->word);

    if (!w)
        return MEGA_ERR_IO;
    *next_p = w->next;
    w = ti_view(node, sizeof *w + w->len, &bufs->word);
    if (!w)
        return MEGA_ERR_IO;
    if (v->word)
        v->word(v->arg, node, w);
    return ti_walk_postings(ix, node, v, &bufs->postings);
}

mega_status_t ti_walk(const struct ti_index *ix, const struct ti_visitor *v)
{
    uint64_t buckets = ix->nhomes * ix->heads_per_home;
    struct bufs bufs = {0};
    mega_status_t st = MEGA_OK;

    for (uint64_t b = 0; b < buckets && !st; b++) {
        uint64_t at;
        st = ti_load(ti_head(ix, b), &at);
        while (!st && at)
            st = walk_word(ix, mega_from_bits(at), v, &bufs, &at);
    }
    free(bufs.word.bytes);
    free(bufs.postings.bytes);
    return st;
}
