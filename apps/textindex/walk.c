/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * walk.c - reading a whole index, one-sidedly.
 */
#include "walk.h"

#include <stdlib.h>

mega_status_t ti_walk_postings(mega_gptr_t node, const struct ti_visitor *v,
                               struct ti_buf *buf)
{
    uint64_t at;
    mega_status_t st =
        ti_load(mega_add(node, offsetof(struct ti_word, postings)), &at);

    if (st)
        return st;
    while (at) {
        mega_gptr_t p = mega_from_bits(at);
        const struct ti_posting *posting = ti_view(p, sizeof *posting, buf);
        if (!posting)
            return MEGA_ERR_IO;
        uint64_t next = posting->next;
        v->posting(v->arg, p, posting);
        at = next;
    }
    return MEGA_OK;
}

static mega_status_t walk_word(mega_gptr_t node, const struct ti_visitor *v,
                               struct ti_buf *buf, uint64_t *next_p)
{
    const struct ti_word *w = ti_view(node, sizeof *w, buf);

    if (!w)
        return MEGA_ERR_IO;
    *next_p = w->next;
    w = ti_view(node, sizeof *w + w->len, buf);
    if (!w)
        return MEGA_ERR_IO;
    v->word(v->arg, node, w);
    return ti_walk_postings(node, v, buf);
}

mega_status_t ti_walk(const struct ti_index *ix, const struct ti_visitor *v)
{
    uint64_t buckets = ix->nhomes * ix->heads_per_home;
    struct ti_buf buf = {0};
    mega_status_t st = MEGA_OK;

    for (uint64_t b = 0; b < buckets && !st; b++) {
        uint64_t at;
        st = ti_load(ti_head(ix, b), &at);
        while (!st && at)
            st = walk_word(mega_from_bits(at), v, &buf, &at);
    }
    free(buf.bytes);
    return st;
}
