/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * verify.c - textindex verify: count again, without the space, and compare.
 *
 * Rank 0 compares the list of files with what is under the PATHs. Then each
 * rank counts every nranks-th file into a volatile map (word, file) -> count
 * and reads the whole index for its files: a posting that the map does not
 * have, or with another count, or met twice, and a pair of the map that no
 * posting has met, are differences.
 */
#include "commands.h"

#include <stdlib.h>
#include <string.h>

#include "diffs.h"
#include "job.h"
#include "tally.h"
#include "walk.h"

#define TEXT_TOLD 80 /* bytes of a word in a message */

struct pair {
    uint64_t key; /* ref << 32 | file; 0: empty */
    uint64_t count;
    uint64_t met; /* postings that have matched it */
};

struct verifier {
    struct ti_index ix;
    struct ti_tally tally;
    struct ti_diffs diffs;
    unsigned char *compare; /* per file: compare what is in it */
    struct pair *pair;
    size_t npairs, nslots; /* a power of two */
    uint32_t ref;          /* of the present word, or 0 */
    const struct ti_word *word;
};

/* ---- The list of files ---- */

/* Both lists are in byte order. */
static void compare_lists(struct verifier *v, const struct ti_paths *found)
{
    size_t i = 0, j = 0;

    while (i < v->ix.nfiles || j < found->count) {
        int order = i == v->ix.nfiles ? 1
                    : j == found->count
                        ? -1
                        : strcmp(v->ix.file[i].path, found->v[j]);
        if (order < 0)
            ti_diffs_add(&v->diffs, "%s: in the index, not under the paths",
                         v->ix.file[i].path);
        if (order > 0)
            ti_diffs_add(&v->diffs, "%s: not in the index", found->v[j]);
        if (order == 0)
            v->compare[i] = 1;
        i += order <= 0;
        j += order >= 0;
    }
}

static int compare_files(struct verifier *v, const struct ti_options *opt)
{
    v->compare = ti_realloc(NULL, v->ix.nfiles);
    memset(v->compare, 0, v->ix.nfiles);
    if (mega_rank() == 0) {
        struct ti_paths found;
        ti_paths_find(&found, opt->arg, opt->nargs);
        compare_lists(v, &found);
        ti_paths_free(&found);
    }
    mega_status_t st = mega_bcast(v->compare, v->ix.nfiles, 0);
    if (st)
        ti_failed("bcast", st);
    return st ? TI_FAILED : TI_OK;
}

/* ---- Counting again ---- */

static struct pair *find_pair(const struct verifier *v, uint64_t key)
{
    size_t i = ti_hash_mix(key);

    for (;; i++) {
        struct pair *p = &v->pair[i & (v->nslots - 1)];
        if (p->key == key || p->key == 0)
            return p;
    }
}

static void grow(struct verifier *v)
{
    struct pair *old = v->pair;
    size_t nold = v->nslots;

    v->nslots = nold ? nold * 2 : 4096;
    v->pair = ti_realloc(NULL, v->nslots * sizeof *v->pair);
    memset(v->pair, 0, v->nslots * sizeof *v->pair);
    for (size_t i = 0; i < nold; i++)
        if (old[i].key)
            *find_pair(v, old[i].key) = old[i];
    free(old);
}

static void count_file(struct verifier *v, uint32_t file)
{
    const struct ti_listed *f = &v->ix.file[file];
    int err = ti_tally_file(&v->tally, f->path);
    enum ti_state state = ti_state_of(f->state);

    if (state == TI_TODO)
        ti_diffs_add(&v->diffs, "%s: not counted yet", f->path);
    else if (state == TI_SKIPPED && !err)
        ti_diffs_add(&v->diffs, "%s: skipped by the build, readable now",
                     f->path);
    else if (state == TI_DONE && err)
        ti_diffs_add(&v->diffs, "%s: in the index, but now: %s", f->path,
                     strerror(err));
    if (state != TI_DONE || err) {
        v->compare[file] = 0;
        return;
    }
    for (size_t i = 0; i < v->tally.count; i++) {
        uint32_t ref = v->tally.ref[i];
        if (v->npairs * 2 >= v->nslots)
            grow(v);
        *find_pair(v, (uint64_t)ref << 32 | file) =
            (struct pair){(uint64_t)ref << 32 | file,
                          ti_dict_at(&v->tally.dict, ref)->count, 0};
        v->npairs++;
    }
}

/* Leaves in compare only the files of this rank that could be counted. */
static void count_share(struct verifier *v)
{
    grow(v);
    for (size_t i = 0; i < v->ix.nfiles; i++) {
        if (i % (size_t)mega_nranks() != (size_t)mega_rank())
            v->compare[i] = 0;
        if (v->compare[i])
            count_file(v, (uint32_t)i);
    }
}

/* ---- Comparing ---- */

static void differ(struct verifier *v, uint32_t file, const char *text,
                   uint32_t len, uint64_t counted, uint64_t indexed)
{
    ti_diffs_add(&v->diffs, "%s: %.*s: counted %llu, the index has %llu",
                 v->ix.file[file].path, len > TEXT_TOLD ? TEXT_TOLD : (int)len,
                 text, (unsigned long long)counted,
                 (unsigned long long)indexed);
}

static void on_word(void *arg, mega_gptr_t at, const struct ti_word *w)
{
    struct verifier *v = arg;

    (void)at;
    v->word = w;
    v->ref =
        ti_dict_find(&v->tally.dict, w->text, w->len, ti_hash(w->text, w->len));
}

static void on_posting(void *arg, uint32_t file, uint64_t count, bool counts)
{
    struct verifier *v = arg;
    struct pair none = {0};

    if (!counts || !v->compare[file])
        return;
    struct pair *pair =
        v->ref ? find_pair(v, (uint64_t)v->ref << 32 | file) : &none;
    pair->met++;
    if (pair->met > 1)
        ti_diffs_add(&v->diffs, "%s: %.*s: in the index %llu times",
                     v->ix.file[file].path,
                     v->word->len > TEXT_TOLD ? TEXT_TOLD : (int)v->word->len,
                     v->word->text, (unsigned long long)pair->met);
    else if (pair->count != count)
        differ(v, file, v->word->text, v->word->len, pair->count, count);
    if (pair->key == 0)
        *pair = (struct pair){0}; /* it was an empty slot */
}

static int compare_words(struct verifier *v)
{
    struct ti_visitor visitor = {
        .word = on_word, .posting = on_posting, .arg = v};

    if (ti_walk(&v->ix, &visitor))
        return TI_FAILED;
    for (size_t i = 0; i < v->nslots; i++) {
        const struct pair *p = &v->pair[i];
        if (p->key == 0 || p->met > 0)
            continue;
        const struct ti_entry *e =
            ti_dict_at(&v->tally.dict, (uint32_t)(p->key >> 32));
        differ(v, (uint32_t)p->key, e->text, e->len, p->count, 0);
    }
    return TI_OK;
}

static int verify(struct verifier *v, const struct ti_options *opt)
{
    int code = compare_files(v, opt);

    if (ti_agree(code) != TI_OK)
        return TI_FAILED;
    count_share(v);
    code = ti_agree(compare_words(v));
    if (code == TI_OK)
        code = ti_diffs_tell(&v->diffs);
    if (code == TI_OK && mega_rank() == 0)
        ti_say("verified: %zu files agree, %zu skipped",
               ti_index_count(&v->ix, TI_DONE),
               ti_index_count(&v->ix, TI_SKIPPED));
    return code;
}

int ti_verify(const struct ti_options *opt)
{
    struct verifier v = {0};
    int code = ti_index_open(&v.ix);

    if (code == TI_OK) {
        ti_tally_open(&v.tally);
        code = verify(&v, opt);
        ti_tally_close(&v.tally);
    }
    free(v.compare);
    free(v.pair);
    ti_index_close(&v.ix);
    return code;
}
