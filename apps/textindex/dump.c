/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * dump.c - textindex dump: "count<TAB>word" for all words, in byte order.
 *
 * Rank 0 reads everything; the others have nothing to do.
 */
#include "commands.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "job.h"
#include "walk.h"

struct row {
    size_t text; /* its place in texts */
    uint32_t len;
    uint64_t count;
};

struct dumper {
    const struct ti_index *ix;
    struct row *row;
    size_t nrows, cap;
    char *texts;
    size_t used, texts_cap;
};

static void on_word(void *arg, mega_gptr_t at, const struct ti_word *w)
{
    struct dumper *d = arg;

    (void)at;
    d->row = ti_room(d->row, &d->cap, d->nrows + 1, sizeof *d->row);
    d->texts = ti_room(d->texts, &d->texts_cap, d->used + w->len, 1);
    memcpy(d->texts + d->used, w->text, w->len);
    d->row[d->nrows++] = (struct row){d->used, w->len, 0};
    d->used += w->len;
}

static void on_posting(void *arg, uint32_t file, uint64_t count, bool counts)
{
    struct dumper *d = arg;

    (void)file;
    if (counts)
        d->row[d->nrows - 1].count += count;
}

static int by_text(const void *a, const void *b, void *arg)
{
    const struct row *x = a, *y = b;
    const char *texts = arg;
    size_t common = x->len < y->len ? x->len : y->len;
    int order = memcmp(texts + x->text, texts + y->text, common);

    return order ? order : (x->len > y->len) - (x->len < y->len);
}

static int print(struct dumper *d)
{
    if (d->nrows > 0)
        qsort_r(d->row, d->nrows, sizeof *d->row, by_text, d->texts);
    for (size_t i = 0; i < d->nrows; i++) {
        if (d->row[i].count == 0)
            continue; /* only postings that do not count */
        printf("%llu\t", (unsigned long long)d->row[i].count);
        fwrite(d->texts + d->row[i].text, 1, d->row[i].len, stdout);
        putchar('\n');
    }
    if (fflush(stdout) == 0 && !ferror(stdout))
        return TI_OK;
    ti_say("cannot write to standard output");
    return TI_FAILED;
}

static int dump(const struct ti_index *ix)
{
    struct dumper d = {.ix = ix};
    struct ti_visitor v = {.word = on_word, .posting = on_posting, .arg = &d};
    int code = ti_walk(ix, &v) ? TI_FAILED : print(&d);

    free(d.row);
    free(d.texts);
    return code;
}

int ti_dump(const struct ti_options *opt)
{
    struct ti_index ix;
    int code = ti_index_open(&ix);

    (void)opt;
    if (code == TI_OK && mega_rank() == 0)
        code = dump(&ix);
    ti_index_close(&ix);
    return ti_agree(code);
}
