/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * walk.c - reading a whole index, one-sidedly.
 */
#include "walk.h"

void ti_walk_postings(const struct ti_index *ix, const struct ti_item *word,
                      const struct ti_visitor *v)
{
    for (const struct ti_item *it = word->list; it; it = it->next) {
        const struct ti_postings *p = ti_postings_of(it);
        if (v->chunk)
            v->chunk(v->arg, mega_from_bits(it->part.at));
        for (uint32_t i = 0; i < p->len; i++)
            if (p->posting[i])
                v->posting(v->arg, ti_posting_file(p->posting[i]),
                           ti_posting_count(p->posting[i]),
                           ti_counts(ix, p->attempt, p->posting[i]));
    }
}

static void walk_bucket(const struct ti_index *ix, const struct ti_item *first,
                        const struct ti_visitor *v)
{
    for (const struct ti_item *it = first; it; it = it->next) {
        if (v->word)
            v->word(v->arg, mega_from_bits(it->part.at), ti_word_of(it));
        ti_walk_postings(ix, it, v);
    }
}

mega_status_t ti_walk(const struct ti_index *ix, const struct ti_visitor *v)
{
    const uint64_t buckets = ix->nhomes * ix->heads_per_home;
    struct ti_scan scan = {0};
    mega_status_t st = MEGA_OK;

    for (uint64_t b = 0; b < buckets && !st; b += TI_STRIDE) {
        size_t n = buckets - b < TI_STRIDE ? (size_t)(buckets - b) : TI_STRIDE;
        st = ti_scan(ix, b, n, &scan);
        for (size_t i = 0; i < n && !st; i++)
            walk_bucket(ix, scan.first[i], v);
    }
    ti_scan_close(&scan);
    return st;
}
