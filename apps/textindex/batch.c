/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * batch.c - some files' words on their way into the index.
 *
 * The order is what makes a crash harmless; format.h has the invariants:
 *   1 write each word's postings as a chunk; find its node or write a new one;
 *     read the heads that will be swapped
 *   2 persist all these chunks                       (2)
 *   3 swap the heads; who loses a race writes the new next, persists it, and
 *     tries again                                    (2)
 *   4 persist the heads                              (3)
 *   5 set the files' states, persist them            (4)
 * A file's postings count from 5 on, all at once.
 *
 * Nothing is unlinked during a build, so a head never returns to a former
 * value and compare-and-swap needs no counter against ABA.
 */
#include "batch.h"

#include <stdlib.h>

#include "ahead.h"
#include "job.h"

#define RECORDS 32768
#define AHEAD 8              /* words */
#define RECORDS_MSYNC 262144 /* an msync costs milliseconds */

void ti_batch_open(struct ti_batch *b, struct ti_index *ix,
                   struct ti_tally *tally, uint64_t gap)
{
    *b = (struct ti_batch){.ix = ix, .tally = tally, .gap = gap};
    for (uint64_t h = 0; h < ix->nhomes; h++)
        b->far |= mega_ptr(ti_head(ix, h)) == NULL;
}

void ti_batch_close(struct ti_batch *b)
{
    free(b->record);
    free(b->touched);
    free(b->settled);
    free(b->image);
    free(b->ahead);
    free(b->last);
    free(b->buf.bytes);
    ti_ranges_free(&b->fresh);
    ti_ranges_free(&b->links);
    *b = (struct ti_batch){0};
}

static void settle(struct ti_batch *b, uint32_t file, enum ti_state state)
{
    b->settled = ti_room(b->settled, &b->settled_cap, b->nsettled + 1,
                         sizeof *b->settled);
    b->settled[b->nsettled++] = (struct ti_settled){file, state};
}

/* The word's place in the batch; entries say where, the place says whether. */
static uint32_t touch(struct ti_batch *b, uint32_t ref, struct ti_entry *e)
{
    if (e->touch < b->ntouched && b->touched[e->touch].ref == ref)
        return e->touch;
    b->touched = ti_room(b->touched, &b->touched_cap, b->ntouched + 1,
                         sizeof *b->touched);
    e->touch = (uint32_t)b->ntouched;
    b->touched[b->ntouched++] = (struct ti_touched){
        .ref = ref,
        .hash = e->node ? 0 : ti_hash(e->text, e->len),
        .node = e->node,
    };
    return e->touch;
}

void ti_batch_add(struct ti_batch *b, uint32_t file)
{
    const struct ti_tally *t = b->tally;

    b->record = ti_room(b->record, &b->record_cap, b->nrecords + t->count,
                        sizeof *b->record);
    for (size_t i = 0; i < t->count; i++) {
        struct ti_entry *e = ti_dict_at(&t->dict, t->ref[i]);
        struct ti_record *r = &b->record[b->nrecords++];
        *r = (struct ti_record){touch(b, t->ref[i], e),
                                ti_posting(file, e->count)};
        b->touched[r->touch].len++;
    }
    b->bytes += t->bytes;
    settle(b, file, TI_DONE);
}

void ti_batch_skip(struct ti_batch *b, uint32_t file)
{
    settle(b, file, TI_SKIPPED);
}

bool ti_batch_full(const struct ti_batch *b)
{
    size_t most = b->gap > 4096 ? RECORDS_MSYNC : RECORDS;

    return b->nrecords >= most || b->nsettled >= most;
}

/* ---- 1: write ---- */

#define IMAGE_WORDS (sizeof(struct ti_postings) / sizeof(uint64_t))

static struct ti_postings *image_of(const struct ti_batch *b,
                                    const struct ti_touched *t)
{
    return (struct ti_postings *)(void *)(b->image + t->image);
}

/* Groups the records by word: the new chunks as they will be in the space. */
static void make_image(struct ti_batch *b)
{
    size_t size = b->ntouched * IMAGE_WORDS + b->nrecords;
    size_t used = 0;

    b->image = ti_room(b->image, &b->image_cap, size, sizeof *b->image);
    for (size_t i = 0; i < b->ntouched; i++) {
        struct ti_touched *t = &b->touched[i];
        t->image = used;
        used += IMAGE_WORDS + t->len;
        *image_of(b, t) = (struct ti_postings){.attempt = b->ix->attempt};
    }
    for (size_t i = 0; i < b->nrecords; i++) {
        struct ti_postings *p = image_of(b, &b->touched[b->record[i].touch]);
        p->posting[p->len++] = b->record[i].posting;
    }
}

static mega_status_t write_fresh(struct ti_batch *b, mega_gptr_t p,
                                 const void *src, size_t n)
{
    ti_ranges_add(&b->fresh, p, n);
    return ti_write(p, src, n);
}

/* The new postings, before the list as found. */
static mega_status_t write_postings(struct ti_batch *b, struct ti_touched *t,
                                    uint64_t next)
{
    struct ti_postings *image = image_of(b, t);
    size_t size = sizeof *image + t->len * sizeof image->posting[0];
    mega_gptr_t p;
    mega_status_t st = mega_alloc(b->ix->region, MEGA_ANY_HOME, size, &p);

    if (st)
        return ti_failed("alloc", st);
    t->chunk = p.v;
    image->next = next;
    return write_fresh(b, p, image, size);
}

/* A word's node goes to the home of its bucket, or where there is room. */
static mega_status_t alloc_node(struct ti_batch *b, int home, size_t size,
                                mega_gptr_t *p_p)
{
    mega_status_t st = mega_alloc(b->ix->region, home, size, p_p);

    if (st == MEGA_ERR_HOME_FULL || st == MEGA_ERR_MEDIUM_FULL)
        st = mega_alloc(b->ix->region, MEGA_ANY_HOME, size, p_p);
    return st ? ti_failed("alloc", st) : MEGA_OK;
}

static mega_status_t write_node(struct ti_batch *b, struct ti_touched *t,
                                const struct ti_entry *e, int home)
{
    struct ti_word word = {t->expect, t->chunk, (uint32_t)(t->hash >> 32),
                           e->len};
    mega_gptr_t p;
    mega_status_t st = alloc_node(b, home, sizeof word + e->len, &p);

    if (st)
        return st;
    t->fresh = p.v;
    st = write_fresh(b, p, &word, sizeof word);
    if (st)
        return st;
    return write_fresh(b, mega_add(p, sizeof word), e->text, e->len);
}

static struct ti_ahead *ahead_of(const struct ti_batch *b,
                                 const struct ti_touched *t)
{
    return &b->ahead[t - b->touched];
}

static bool looked(const struct ti_batch *b, const struct ti_touched *t)
{
    return b->far && ahead_of(b, t)->looked;
}

static bool linked(const struct ti_batch *b, const struct ti_touched *t)
{
    return b->far && ahead_of(b, t)->linked;
}

/* Postings for a word that is linked. */
static mega_status_t extend(struct ti_batch *b, struct ti_touched *t)
{
    mega_status_t st =
        looked(b, t) ? MEGA_OK : ti_load(ti_list_of(t->node), &t->expect);

    return st ? st : write_postings(b, t, t->expect);
}

static mega_status_t prepare(struct ti_batch *b, struct ti_touched *t)
{
    if (t->node)
        return extend(b, t);

    struct ti_entry *e = ti_dict_at(&b->tally->dict, t->ref);
    mega_gptr_t head = ti_head(b->ix, ti_bucket(b->ix, t->hash));
    mega_status_t st = MEGA_OK;
    if (!looked(b, t)) {
        st = ti_load(head, &t->expect);
        if (!st)
            st = ti_chain_find(t->expect, 0, e->text, e->len, t->hash, &b->buf,
                               &t->node);
    }
    if (st)
        return st;
    if (t->node) {
        /* Another rank's link: it may not be durable yet (3). */
        e->node = t->node;
        ti_ranges_add(&b->links, head, sizeof(uint64_t));
        return extend(b, t);
    }
    st = write_postings(b, t, 0);
    if (!st && looked(b, t))
        ti_ahead_follow(b, t);
    return st ? st : write_node(b, t, e, mega_home(head));
}

/* Words lie anywhere, so each is a cache miss: ask for it some words ahead. */
static void look_ahead(const struct ti_batch *b, size_t i)
{
    if (i >= b->ntouched)
        return;
    const struct ti_touched *t = &b->touched[i];
    mega_gptr_t p = mega_from_bits(t->node);
    if (!t->node) {
        __builtin_prefetch(ti_dict_at(&b->tally->dict, t->ref));
        p = ti_head(b->ix, ti_bucket(b->ix, t->hash));
    }
    const void *near = mega_ptr(p);
    if (near)
        __builtin_prefetch(near, 1);
}

static mega_status_t write_all(struct ti_batch *b)
{
    mega_status_t st = MEGA_OK;

    make_image(b);
    if (b->far)
        st = ti_ahead_find(b);
    for (size_t i = 0; i < b->ntouched && !st; i++) {
        look_ahead(b, i + AHEAD);
        st = prepare(b, &b->touched[i]);
    }
    return st ? st : ti_ranges_persist(&b->fresh, b->gap);
}

/* ---- 3: link ---- */

static mega_status_t persist_word(mega_gptr_t p)
{
    mega_status_t st = mega_persist(p, sizeof(uint64_t));

    return st ? ti_failed("persist", st) : MEGA_OK;
}

/* Swaps the head for first. If others were quicker, the new next is written
 * to the word at tail, durably, and *won_p is false. */
static mega_status_t try_swap(mega_gptr_t head, uint64_t first,
                              uint64_t *expect, mega_gptr_t tail, bool *won_p)
{
    uint64_t old;
    mega_status_t st = mega_cswap64(head, *expect, first, &old);

    if (st)
        return ti_failed("compare and swap", st);
    *won_p = old == *expect;
    if (*won_p)
        return MEGA_OK;
    *expect = old;
    st = ti_write(tail, &old, sizeof old);
    return st ? st : persist_word(tail);
}

static mega_status_t link_postings(struct ti_batch *b, struct ti_touched *t)
{
    mega_gptr_t chunk = mega_from_bits(t->chunk);
    bool won = false;

    ti_ranges_add(&b->links, ti_list_of(t->node), sizeof(uint64_t));
    while (!won) {
        mega_status_t st =
            try_swap(ti_list_of(t->node), t->chunk, &t->expect, chunk, &won);
        if (st)
            return st;
    }
    return MEGA_OK;
}

/* Another rank has linked the same word first: ours was never seen. */
static mega_status_t use_theirs(struct ti_batch *b, struct ti_touched *t)
{
    mega_gptr_t chunk = mega_from_bits(t->chunk);
    mega_status_t st = mega_free(mega_from_bits(t->fresh));

    if (st)
        return ti_failed("free", st);
    t->fresh = 0;
    st = ti_load(ti_list_of(t->node), &t->expect);
    if (!st)
        st = ti_write(chunk, &t->expect, sizeof t->expect);
    if (!st)
        st = persist_word(chunk);
    return st ? st : link_postings(b, t);
}

static mega_status_t link_node(struct ti_batch *b, struct ti_touched *t)
{
    struct ti_entry *e = ti_dict_at(&b->tally->dict, t->ref);
    mega_gptr_t head = ti_head(b->ix, ti_bucket(b->ix, t->hash));
    mega_gptr_t fresh = mega_from_bits(t->fresh);

    ti_ranges_add(&b->links, head, sizeof(uint64_t));
    for (;;) {
        uint64_t before = t->expect;
        bool won;
        mega_status_t st = try_swap(head, t->fresh, &t->expect, fresh, &won);
        if (!st && won)
            e->node = t->fresh;
        if (st || won)
            return st;
        st = ti_chain_find(t->expect, before, e->text, e->len, t->hash, &b->buf,
                           &t->node);
        if (st)
            return st;
        if (t->node) {
            e->node = t->node;
            return use_theirs(b, t);
        }
    }
}

static mega_status_t link_all(struct ti_batch *b)
{
    mega_status_t st = b->far ? ti_ahead_link(b) : MEGA_OK;

    for (size_t i = 0; i < b->ntouched && !st; i++) {
        struct ti_touched *t = &b->touched[i];
        look_ahead(b, i + AHEAD);
        if (!linked(b, t))
            st = t->fresh ? link_node(b, t) : link_postings(b, t);
    }
    return st ? st : ti_ranges_persist(&b->links, b->gap);
}

/* ---- 5: settle ---- */

static mega_status_t settle_all(struct ti_batch *b)
{
    struct ti_index *ix = b->ix;

    for (size_t i = 0; i < b->nsettled; i++) {
        struct ti_listed *f = &ix->file[b->settled[i].file];
        uint64_t state = ti_state_word(b->settled[i].state, ix->attempt);
        mega_status_t st =
            mega_amo_nbi(MEGA_AMO_SET, 0, sizeof state, f->at, state, 0, NULL);
        if (st)
            return ti_failed("write", st);
        f->state = state;
        ti_ranges_add(&b->links, f->at, sizeof state);
    }
    mega_status_t st = mega_quiet();
    return st ? ti_failed("write", st) : ti_ranges_persist(&b->links, b->gap);
}

/* Nothing is linked yet: no chunk may stay behind. */
static void give_back(struct ti_batch *b)
{
    for (size_t i = 0; i < b->ntouched; i++) {
        mega_free(mega_from_bits(b->touched[i].chunk));
        mega_free(mega_from_bits(b->touched[i].fresh));
    }
}

static mega_status_t count_up(struct ti_batch *b)
{
    mega_gptr_t meta = b->ix->meta;
    mega_status_t st = mega_fetch_add64(
        mega_add(meta, offsetof(struct ti_meta, finished)), b->nsettled, NULL);

    if (!st)
        st = mega_fetch_add64(mega_add(meta, offsetof(struct ti_meta, bytes)),
                              b->bytes, NULL);
    return st ? ti_failed("count", st) : MEGA_OK;
}

mega_status_t ti_batch_commit(struct ti_batch *b)
{
    mega_status_t st = write_all(b);

    if (st)
        give_back(b);
    if (!st)
        st = link_all(b);
    if (!st)
        st = settle_all(b);
    if (!st)
        st = count_up(b);
    b->nrecords = b->ntouched = b->nsettled = 0;
    b->bytes = 0;
    return st;
}
