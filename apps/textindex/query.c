/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * query.c - textindex query: "count<TAB>file" for each file that has a word,
 * the largest first (then by name), and "total<TAB>count". Several words:
 * each has a line "word:" before.
 */
#include "commands.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hash.h"
#include "job.h"
#include "walk.h"

struct hit {
    uint64_t count;
    const char *path;
};

struct querier {
    const struct ti_index *ix;
    struct hit *hit;
    size_t nhits, cap;
    uint64_t total;
    struct ti_scan scan;
};

static void on_posting(void *arg, uint32_t file, uint64_t count, bool counts)
{
    struct querier *q = arg;

    if (!counts)
        return;
    q->hit = ti_room(q->hit, &q->cap, q->nhits + 1, sizeof *q->hit);
    q->hit[q->nhits++] = (struct hit){count, q->ix->file[file].path};
    q->total += count;
}

static mega_status_t find(struct querier *q, const char *word)
{
    struct ti_visitor v = {.posting = on_posting, .arg = q};
    size_t len = strlen(word);
    uint64_t hash = ti_hash(word, len);
    mega_status_t st = ti_scan(q->ix, ti_bucket(q->ix, hash), 1, &q->scan);

    q->nhits = 0;
    q->total = 0;
    for (const struct ti_item *it = q->scan.first[0]; it && !st; it = it->next)
        if (ti_word_of(it)->len == len &&
            memcmp(ti_word_of(it)->text, word, len) == 0)
            ti_walk_postings(q->ix, it, &v);
    return st;
}

static int by_count(const void *a, const void *b)
{
    const struct hit *x = a, *y = b;

    if (x->count != y->count)
        return x->count < y->count ? 1 : -1;
    return strcmp(x->path, y->path);
}

static void print(const struct querier *q)
{
    if (q->nhits > 0)
        qsort(q->hit, q->nhits, sizeof *q->hit, by_count);
    for (size_t i = 0; i < q->nhits; i++)
        printf("%llu\t%s\n", (unsigned long long)q->hit[i].count,
               q->hit[i].path);
    printf("total\t%llu\n", (unsigned long long)q->total);
}

static int query(const struct ti_index *ix, const struct ti_options *opt)
{
    struct querier q = {.ix = ix};
    int code = TI_OK;

    for (size_t i = 0; i < opt->nargs && code == TI_OK; i++) {
        if (opt->nargs > 1)
            printf("%s:\n", opt->arg[i]);
        if (find(&q, opt->arg[i]))
            code = TI_FAILED;
        else
            print(&q);
    }
    if (fflush(stdout) != 0 || ferror(stdout)) {
        ti_say("cannot write to standard output");
        code = TI_FAILED;
    }
    free(q.hit);
    ti_scan_close(&q.scan);
    return code;
}

int ti_query(const struct ti_options *opt)
{
    struct ti_index ix;
    int code = ti_index_open(&ix);

    if (code == TI_OK && mega_rank() == 0)
        code = query(&ix, opt);
    ti_index_close(&ix);
    return ti_agree(code);
}
