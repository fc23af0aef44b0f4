/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * build.c - textindex build: begin or resume, count all files, tell.
 *
 * Ranks take the files that are still to do from a counter in the space. A
 * rank that fails empties the counter, so that the others stop soon; what is
 * done stays done.
 */
#include "commands.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "batch.h"
#include "job.h"
#include "prune.h"
#include "table.h"

#define DICT_MAX (UINT64_C(256) << 20) /* bytes of words kept at hand */
#define PROGRESS_SECONDS 0.25

struct builder {
    struct ti_index ix;
    struct ti_tally tally;
    struct ti_batch batch;
    uint32_t *todo; /* files, in order */
    size_t ntodo;
    bool progress; /* this rank tells it */
    bool told_of_some;
    double told; /* when */
};

/* ---- Beginning ---- */

static int begin(struct ti_index *ix, const struct ti_options *opt)
{
    struct ti_paths list = {0};
    uint64_t count;

    if (opt->nargs == 0) {
        if (mega_rank() == 0)
            ti_say("nothing to resume, and no PATH to begin with");
        return TI_USAGE;
    }
    if (mega_rank() == 0)
        ti_paths_find(&list, opt->arg, opt->nargs);
    count = list.count;
    mega_status_t st = mega_bcast(&count, sizeof count, 0);
    int code = st ? TI_FAILED : TI_OK;
    if (st)
        ti_failed("bcast", st);
    if (code == TI_OK && (count == 0 || count > TI_FILES_MAX)) {
        if (mega_rank() == 0)
            ti_say("%llu files: nothing that can be indexed",
                   (unsigned long long)count);
        code = TI_USAGE;
    }
    if (code == TI_OK && ti_index_begin(ix, &list, opt->arg, opt->nargs))
        code = TI_FAILED;
    if (code == TI_OK && ti_index_load(ix))
        code = TI_FAILED;
    ti_paths_free(&list);
    return code;
}

static int resume(struct ti_index *ix, const struct ti_options *opt,
                  uint64_t gap)
{
    int code = TI_OK;

    if (!opt->resume) {
        if (mega_rank() == 0)
            ti_say("this space has an index: build --resume goes on with it, "
                   "build --force begins anew");
        return TI_USAGE;
    }
    if (ti_index_load(ix))
        return TI_FAILED;
    code = ti_agree(ti_origin_enter(ix, opt->arg, opt->nargs));
    return code == TI_OK ? ti_prune(ix, gap) : code;
}

/* An index of this job to work on. */
static int open_index(struct ti_index *ix, const struct ti_options *opt,
                      uint64_t gap)
{
    enum ti_found found;
    mega_status_t st = ti_index_look(ix, &found);

    if (!st && (found == TI_STUB || (found == TI_BEGUN && opt->force))) {
        st = ti_index_drop(ix);
        found = TI_NONE;
    }
    if (st)
        return TI_FAILED;
    return found == TI_BEGUN ? resume(ix, opt, gap) : begin(ix, opt);
}

/* Files that are not DONE; those SKIPPED before get another chance. */
static void list_todo(struct builder *bd)
{
    bd->todo = ti_realloc(NULL, bd->ix.nfiles * sizeof *bd->todo);
    for (size_t i = 0; i < bd->ix.nfiles; i++)
        if (ti_state_of(bd->ix.file[i].state) != TI_DONE)
            bd->todo[bd->ntodo++] = (uint32_t)i;
}

/* The counters are of this job; zero before anybody takes a file. */
static int reset_counters(const struct ti_index *ix)
{
    mega_status_t st = MEGA_OK;

    if (mega_rank() == 0) {
        st = ti_store(mega_add(ix->meta, offsetof(struct ti_meta, taken)), 0);
        if (!st)
            st = ti_store(
                mega_add(ix->meta, offsetof(struct ti_meta, finished)), 0);
        if (!st)
            st = ti_store(mega_add(ix->meta, offsetof(struct ti_meta, bytes)),
                          0);
    }
    return ti_agree(st ? TI_FAILED : TI_OK);
}

/* ---- Working ---- */

/* Now and then, and when the first files are durable. */
static void tell_progress(struct builder *bd, bool last)
{
    uint64_t finished;
    double now;

    if (!bd->progress)
        return;
    now = ti_seconds();
    const bool soon = !last && now - bd->told < PROGRESS_SECONDS;
    if (soon && bd->told_of_some)
        return;
    if (ti_load(mega_add(bd->ix.meta, offsetof(struct ti_meta, finished)),
                &finished) ||
        (soon && finished == 0))
        return;
    bd->told = now;
    bd->told_of_some = finished > 0;
    ti_say("%llu/%zu files",
           (unsigned long long)(bd->ix.nfiles - bd->ntodo + finished),
           bd->ix.nfiles);
}

static mega_status_t commit(struct builder *bd)
{
    mega_status_t st = ti_batch_commit(&bd->batch);

    if (bd->tally.dict.used > DICT_MAX)
        ti_dict_reset(&bd->tally.dict);
    return st;
}

static mega_status_t count_file(struct builder *bd, uint32_t file)
{
    const char *path = bd->ix.file[file].path;
    int err = ti_tally_file(&bd->tally, path);

    if (err) {
        ti_say("%s: %s; skipped", path, strerror(err));
        ti_batch_skip(&bd->batch, file);
    } else {
        ti_batch_add(&bd->batch, file);
    }
    return ti_batch_full(&bd->batch) ? commit(bd) : MEGA_OK;
}

static mega_status_t count_files(struct builder *bd)
{
    mega_gptr_t taken = mega_add(bd->ix.meta, offsetof(struct ti_meta, taken));
    uint64_t i;

    for (;;) {
        mega_status_t st = mega_fetch_add64(taken, 1, &i);
        if (st)
            return ti_failed("take a file", st);
        if (i >= bd->ntodo)
            return commit(bd);
        st = count_file(bd, bd->todo[i]);
        if (st) {
            /* The others stop, too; if not even this works, they finish. */
            mega_status_t stop = ti_store(taken, bd->ntodo);
            return stop ? stop : st;
        }
        tell_progress(bd, false);
    }
}

/* ---- Telling ---- */

static int tell_result(struct builder *bd, double began)
{
    struct ti_meta meta;
    size_t skipped = 0;
    double seconds = ti_seconds() - began;
    mega_status_t st = mega_get(&meta, bd->ix.meta, sizeof meta);

    if (st) {
        ti_failed("read the counters", st);
        return TI_FAILED;
    }
    for (size_t i = 0; i < bd->ix.nfiles; i++) {
        uint64_t state;
        if (ti_load(bd->ix.file[i].at, &state))
            return TI_FAILED;
        skipped += ti_state_of(state) == TI_SKIPPED;
    }
    ti_say("%zu files indexed, %llu skipped; this run: %llu files, %.1f MB in "
           "%.3f s, %.1f MB/s",
           bd->ix.nfiles - skipped,
           (unsigned long long)(skipped + bd->ix.unreadable),
           (unsigned long long)meta.finished, (double)meta.bytes * 1e-6,
           seconds, (double)meta.bytes * 1e-6 / seconds);
    return TI_OK;
}

static int work(struct builder *bd, uint64_t gap)
{
    double began = ti_seconds();

    ti_tally_open(&bd->tally);
    ti_batch_open(&bd->batch, &bd->ix, &bd->tally, gap);
    tell_progress(bd, false);
    int code = ti_agree(count_files(bd) ? TI_FAILED : TI_OK);
    if (code == TI_OK && mega_rank() == 0) {
        tell_progress(bd, true);
        code = tell_result(bd, began);
    }
    ti_batch_close(&bd->batch);
    ti_tally_close(&bd->tally);
    return ti_agree(code);
}

int ti_build(const struct ti_options *opt)
{
    struct builder bd = {0};
    uint64_t gap = 0;
    int code = ti_agree(ti_ranges_gap(&gap) ? TI_FAILED : TI_OK);

    bd.progress = mega_rank() == 0 && (opt->progress || isatty(STDERR_FILENO));
    if (code == TI_OK)
        code = open_index(&bd.ix, opt, gap);
    if (code == TI_OK)
        code = reset_counters(&bd.ix);
    if (code == TI_OK) {
        list_todo(&bd);
        code = work(&bd, gap);
    }
    free(bd.todo);
    ti_index_close(&bd.ix);
    return code;
}
