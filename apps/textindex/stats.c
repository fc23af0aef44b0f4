/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * stats.c - textindex stats: what the index consists of, where it lies, and
 * which chunks a crash has left behind.
 *
 * A chunk of the region that is live and that nothing in the index leads to
 * is leaked; one that the index leads to and that is not live is lost, which
 * must never be. Both are found exactly, by comparing two sorted lists.
 */
#include "commands.h"

#include <stdio.h>
#include <stdlib.h>

#include "job.h"
#include "walk.h"

struct chunks {
    uint64_t *v; /* bits of pointers */
    size_t count, cap;
};

struct counter {
    const struct ti_index *ix;
    struct chunks reached, live;
    uint64_t live_bytes;
    uint64_t words, postings, stale;
    bool word_counts; /* the present word has a posting that counts */
};

static void add(struct chunks *c, uint64_t bits)
{
    c->v = ti_room(c->v, &c->cap, c->count + 1, sizeof *c->v);
    c->v[c->count++] = bits;
}

static int by_bits(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

static void sort(struct chunks *c)
{
    if (c->count > 0)
        qsort(c->v, c->count, sizeof *c->v, by_bits);
}

/* ---- What the index leads to ---- */

static void on_word(void *arg, mega_gptr_t at, const struct ti_word *w)
{
    struct counter *c = arg;

    (void)w;
    add(&c->reached, at.v);
    c->word_counts = false;
}

static void on_chunk(void *arg, mega_gptr_t at)
{
    struct counter *c = arg;

    add(&c->reached, at.v);
}

static void on_posting(void *arg, uint32_t file, uint64_t count, bool counts)
{
    struct counter *c = arg;

    (void)file, (void)count;
    if (!counts) {
        c->stale++;
        return;
    }
    c->postings++;
    c->words += !c->word_counts;
    c->word_counts = true;
}

static mega_status_t reach_table(struct counter *c)
{
    struct ti_buf buf = {0};
    struct ti_meta meta;
    mega_status_t st = mega_get(&meta, c->ix->meta, sizeof meta);

    if (st)
        return ti_failed("read the index", st);
    add(&c->reached, c->ix->meta.v);
    add(&c->reached, meta.origin);
    for (size_t i = 0; i < c->ix->nfiles; i++)
        add(&c->reached, c->ix->file[i].at.v);
    for (uint64_t at = meta.blocks; at;) {
        const struct ti_block *b = ti_view(mega_from_bits(at), sizeof *b, &buf);
        if (!b)
            return MEGA_ERR_IO;
        add(&c->reached, at);
        at = b->next;
    }
    free(buf.bytes);
    return MEGA_OK;
}

/* ---- What is live ---- */

static int on_live(mega_gptr_t p, size_t usable, void *arg)
{
    struct counter *c = arg;

    add(&c->live, p.v);
    c->live_bytes += usable;
    return 0;
}

static double percent(uint64_t part, uint64_t whole)
{
    return whole ? 100.0 * (double)part / (double)whole : 0.0;
}

/* One line: the home's bytes, and how full its slabs are. A run is one chunk
 * and full by itself. */
static void print_home(const mega_home_stat_t *s, uint64_t index_chunks,
                       uint64_t index_bytes)
{
    uint64_t in_slabs = s->live_bytes > s->runs ? s->live_bytes - s->runs : 0;

    printf("home\t%d\tindex_chunks %llu\tindex_bytes %llu\theads %llu\t"
           "slabs %llu\tslabs_full %.1f%%\tfree %llu\tsize %llu\n",
           s->home, (unsigned long long)index_chunks,
           (unsigned long long)index_bytes, (unsigned long long)s->raw,
           (unsigned long long)s->slabs, percent(in_slabs, s->slabs),
           (unsigned long long)s->free, (unsigned long long)s->size);
}

static mega_status_t count_homes(struct counter *c)
{
    for (int home = 0; home < mega_nhomes(); home++) {
        mega_home_stat_t stat;
        uint64_t chunks = c->live.count, bytes = c->live_bytes;
        mega_status_t st = mega_home_stat(home, &stat);
        if (!st)
            st = mega_walk(c->ix->region, home, on_live, c, NULL);
        if (st)
            return ti_failed("home", st);
        print_home(&stat, c->live.count - chunks, c->live_bytes - bytes);
    }
    return MEGA_OK;
}

/* ---- Both together ---- */

/* Items of a that b does not have; both sorted. */
static uint64_t missing(const struct chunks *a, const struct chunks *b)
{
    uint64_t count = 0;
    size_t j = 0;

    for (size_t i = 0; i < a->count; i++) {
        while (j < b->count && b->v[j] < a->v[i])
            j++;
        count += j == b->count || b->v[j] != a->v[i];
    }
    return count;
}

static uint64_t doubles(const struct chunks *c)
{
    uint64_t count = 0;

    for (size_t i = 1; i < c->count; i++)
        count += c->v[i] == c->v[i - 1];
    return count;
}

static void row(const char *name, uint64_t value)
{
    printf("%s\t%llu\n", name, (unsigned long long)value);
}

static int print(struct counter *c)
{
    const struct ti_index *ix = c->ix;
    uint64_t lost, twice;

    row("files", ti_index_count(ix, TI_DONE));
    row("files_todo", ti_index_count(ix, TI_TODO));
    row("files_skipped", ti_index_count(ix, TI_SKIPPED) + ix->unreadable);
    row("words", c->words);
    row("postings", c->postings);
    row("stale_postings", c->stale);
    row("buckets", ix->nhomes * ix->heads_per_home);
    if (count_homes(c))
        return TI_FAILED;
    sort(&c->reached);
    sort(&c->live);
    lost = missing(&c->reached, &c->live);
    twice = doubles(&c->reached);
    row("live_chunks", c->live.count);
    row("leaked_chunks", missing(&c->live, &c->reached));
    row("lost_chunks", lost);
    row("chunks_used_twice", twice);
    if (lost > 0 || twice > 0)
        ti_say("the index is damaged");
    return lost > 0 || twice > 0 ? TI_DIFFERS : TI_OK;
}

static int stats(const struct ti_index *ix)
{
    struct counter c = {.ix = ix};
    struct ti_visitor v = {on_word, on_chunk, on_posting, &c};
    int code = TI_FAILED;

    if (reach_table(&c) == MEGA_OK && ti_walk(ix, &v) == MEGA_OK)
        code = print(&c);
    free(c.reached.v);
    free(c.live.v);
    return code;
}

int ti_stats(const struct ti_options *opt)
{
    struct ti_index ix;
    int code = ti_index_open(&ix);

    (void)opt;
    if (code == TI_OK && mega_rank() == 0) {
        code = stats(&ix);
        fflush(stdout);
    }
    ti_index_close(&ix);
    return ti_agree(code);
}
