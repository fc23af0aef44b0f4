/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * crash.c - see crash.h. A point keeps only what differs from the film's
 * first picture, so hundreds of points cost little. Locks: the medium's
 * mutex, held by whoever reports a point.
 */
#include "crash.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "seen.h"

#define PICTURE_FILES 4096 /* more than a medium has */

/* ---- Recording ---- */

static void grow(void **list, size_t n, size_t each)
{
    if ((n & (n - 1)) == 0) /* full at powers of two */
        *list = realloc(*list, (n ? 2 * n : 1) * each);
}

static uint32_t index_of(const struct medium *m, const struct medium_file *f)
{
    uint32_t i = 0;
    while (m->files[i] != f)
        i++;
    return i;
}

static void record_files(const struct crash_film *film, struct crash_point *p)
{
    const struct medium *m = film->medium;
    p->nfiles = m->nfiles;
    p->files = calloc(m->nfiles + 1, sizeof *p->files);
    for (size_t i = 0; i < m->nfiles; i++) {
        const struct medium_file *f = m->files[i];
        struct crash_file *to = &p->files[i];
        to->name = strdup(f->name);
        to->size = f->size;
        to->made = f->made;
        to->ino = f->ino;
        to->host = f->host;
        to->base = -1;
        for (size_t k = 0; k < film->base->nfiles; k++)
            if (film->base->files[k]->ino == f->ino)
                to->base = (int)k;
    }
}

static void record_delta(const struct crash_film *film, struct crash_point *p,
                         uint32_t i)
{
    unsigned char blank[MEGA__LINE] __attribute__((aligned(8)));
    const struct medium_file *f = film->medium->files[i];
    int b = p->files[i].base;
    memset(blank, film->medium->fill, sizeof blank);
    for (int k = 0; k < 2; k++) {
        uint64_t begin, end = medium_range(f, k, &begin);
        for (uint64_t off = begin; off < end; off += MEGA__LINE) {
            if (!f->seq[off / MEGA__LINE]) /* nothing has come to it */
                continue;
            const void *was =
                b < 0 ? (void *)blank : film->base->files[b]->media + off;
            if (medium_same_line(f->media + off, was))
                continue;
            grow((void **)&p->delta, p->ndelta, sizeof *p->delta);
            struct crash_line *line = &p->delta[p->ndelta++];
            line->file = i;
            line->off = off;
            memcpy(line->bytes, f->media + off, MEGA__LINE);
        }
    }
}

struct waiting { /* pending[i] of the medium, by line */
    const struct medium_file *file;
    uint64_t off;
    size_t i;
};

struct recording {
    const struct crash_film *film;
    struct crash_point *point;
    struct waiting *waiting; /* [npending], sorted */
};

static int by_line(const struct waiting *a, const struct waiting *b)
{
    if (a->file != b->file)
        return a->file < b->file ? -1 : 1;
    return a->off < b->off ? -1 : a->off > b->off;
}

static int by_line_and_age(const void *a, const void *b)
{
    const struct waiting *x = a, *y = b;
    const int order = by_line(x, y);
    return order ? order : x->i < y->i ? -1 : x->i > y->i;
}

/* A growth has thousands of lines under way. */
static struct waiting *sort_waiting(const struct medium *m)
{
    struct waiting *w = calloc(m->npending + 1, sizeof *w);
    for (size_t i = 0; i < m->npending; i++)
        w[i] = (struct waiting){m->pending[i].file, m->pending[i].off, i};
    qsort(w, m->npending, sizeof *w, by_line_and_age);
    return w;
}

static size_t first_of(const struct waiting *w, size_t n,
                       const struct waiting *line)
{
    size_t from = 0;
    while (from < n) {
        const size_t middle = from + (n - from) / 2;
        if (by_line(&w[middle], line) < 0)
            from = middle + 1;
        else
            n = middle;
    }
    return from;
}

static void add_value(struct crash_dirty *d, const void *bytes)
{
    for (unsigned i = 0; i < d->nvalues; i++)
        if (memcmp(d->values[i], bytes, MEGA__LINE) == 0)
            return;
    if (d->nvalues < CRASH_VALUES)
        memcpy(d->values[d->nvalues++], bytes, MEGA__LINE);
}

static void record_dirty(struct medium_file *file, uint64_t off, void *arg)
{
    const struct recording *r = arg;
    const struct medium *m = r->film->medium;
    struct crash_point *p = r->point;
    unsigned char seen[MEGA__LINE] __attribute__((aligned(8)));
    grow((void **)&p->dirty, p->ndirty, sizeof *p->dirty);
    struct crash_dirty *d = &p->dirty[p->ndirty++];
    memset(d, 0, sizeof *d);
    d->file = index_of(m, file);
    d->off = off;
    d->marks = medium_is_mark(file, off);
    medium_copy_line(seen, file->cpu + off);
    add_value(d, file->media + off);
    /* A line that has arrived is not undone by what was flushed before it. */
    const struct waiting line = {.file = file, .off = off};
    for (size_t i = first_of(r->waiting, m->npending, &line);
         i < m->npending && by_line(&r->waiting[i], &line) == 0; i++) {
        const struct medium_pending *w = &m->pending[r->waiting[i].i];
        if (w->seq > file->seq[off / MEGA__LINE] &&
            d->nvalues < CRASH_VALUES - 1)
            add_value(d, w->bytes);
    }
    add_value(d, seen);
    if (d->nvalues < 2)
        p->ndirty--; /* it was stored to meanwhile */
}

static void point_free(struct crash_point *p)
{
    for (size_t i = 0; i < p->nfiles; i++)
        free(p->files[i].name);
    free(p->files);
    free(p->delta);
    free(p->dirty);
    free(p->oracle);
}

static bool same_point(const struct crash_film *film,
                       const struct crash_point *a, const struct crash_point *b)
{
    if (a->nfiles != b->nfiles || a->ndelta != b->ndelta ||
        a->ndirty != b->ndirty)
        return false;
    for (size_t i = 0; i < a->nfiles; i++)
        if (strcmp(a->files[i].name, b->files[i].name) != 0)
            return false;
    for (size_t i = 0; i < a->ndelta; i++)
        if (a->delta[i].file != b->delta[i].file ||
            a->delta[i].off != b->delta[i].off ||
            memcmp(a->delta[i].bytes, b->delta[i].bytes, MEGA__LINE) != 0)
            return false;
    for (size_t i = 0; i < a->ndirty; i++)
        if (a->dirty[i].file != b->dirty[i].file ||
            a->dirty[i].off != b->dirty[i].off ||
            a->dirty[i].nvalues != b->dirty[i].nvalues ||
            memcmp(a->dirty[i].values, b->dirty[i].values,
                   sizeof a->dirty[i].values) != 0)
            return false;
    return memcmp(a->oracle, b->oracle, film->oracle_size) == 0;
}

static void on_point(struct medium *m, const char *what, const void *addr,
                     size_t len, void *arg)
{
    struct crash_film *film = arg;
    struct crash_point p = {.number = film->seen++};
    char where[96] = "";
    if (film->evict_seed)
        medium_evict(m, &film->evict_seed);
    if (film->of_drop && !m->dropped[0])
        return;
    if (film->only && film->only != p.number)
        return;
    if (addr)
        medium_describe(m, addr, where, sizeof where);
    snprintf(p.what, sizeof p.what, "%s %.90s %zu", what, where, len);
    p.oracle = malloc(film->oracle_size + 1);
    memcpy(p.oracle, film->oracle, film->oracle_size);
    record_files(film, &p);
    for (uint32_t i = 0; i < p.nfiles; i++)
        record_delta(film, &p, i);
    struct recording r = {film, &p, sort_waiting(m)};
    medium_each_dirty(m, record_dirty, &r);
    free(r.waiting);
    if (film->npoints > 0 &&
        same_point(film, &p, &film->points[film->npoints - 1])) {
        point_free(&p);
        return;
    }
    grow((void **)&film->points, film->npoints, sizeof *film->points);
    film->points[film->npoints++] = p;
}

/* With first, another film of which m holds an image: its picture serves. */
static void start(struct crash_film *film, struct medium *m,
                  const struct crash_film *first)
{
    static uint64_t pictures;
    film->medium = m;
    film->borrowed = first != NULL;
    film->base = first ? first->base : medium_new();
    film->picture = first ? first->picture : (pictures += PICTURE_FILES);
    medium_lock(m);
    if (!first)
        medium_copy_media(film->base, m);
    m->on_point = on_point;
    m->on_point_arg = film;
    on_point(m, "start", NULL, 0, film);
    medium_unlock(m);
}

void crash_film_start(struct crash_film *film, struct medium *m,
                      const void *oracle, size_t oracle_size)
{
    film->oracle = oracle;
    film->oracle_size = oracle_size;
    start(film, m, NULL);
}

void crash_film_again(struct crash_film *film, const struct crash_film *first,
                      struct medium *m, const void *oracle)
{
    film->oracle = oracle;
    film->oracle_size = first->oracle_size;
    start(film, m, first);
}

void crash_film_stop(struct crash_film *film)
{
    struct medium *m = film->medium;
    medium_lock(m);
    if (m->on_point) {
        if (film->only && film->npoints == 0)
            film->only = film->seen;
        on_point(m, "stop", NULL, 0, film);
        m->on_point = NULL;
        m->on_point_arg = NULL;
    }
    medium_unlock(m);
}

void crash_film_free(struct crash_film *film)
{
    for (size_t i = 0; i < film->npoints; i++)
        point_free(&film->points[i]);
    free(film->points);
    if (!film->borrowed)
        medium_free(&film->base);
    memset(film, 0, sizeof *film);
}

/* ---- Images ---- */

static void load_file(const struct crash_film *film,
                      const struct crash_file *from, struct medium *to)
{
    struct medium_file *file = medium_place(to, from->name, from->made);
    file->size = from->size;
    file->ino = from->ino;
    file->host = from->host;
    if (from->base < 0) {
        medium_fill(film->base, file);
        return;
    }
    const uint64_t picture = film->picture + (uint64_t)from->base;
    medium_load(file, film->base->files[from->base], picture);
}

static void put_line(struct medium_file *file, uint64_t off, const void *bytes)
{
    memcpy(file->cpu + off, bytes, MEGA__LINE);
    memcpy(file->media + off, bytes, MEGA__LINE);
    file->seq[off / MEGA__LINE] = MEDIUM_BORN;
}

static void load_files(const struct crash_film *film,
                       const struct crash_point *p, struct medium *to)
{
    to->npending = 0;
    to->stale = false;
    to->tail = film->medium->tail;
    for (size_t i = 0; i < to->nfiles; i++) {
        bool wanted = false;
        for (size_t k = 0; k < p->nfiles; k++)
            wanted |= strcmp(p->files[k].name, to->files[i]->name) == 0;
        if (!wanted)
            medium_remove(to, to->files[i--]);
    }
    for (size_t i = 0; i < p->nfiles; i++)
        load_file(film, &p->files[i], to);
    to->next_ino = film->medium->next_ino + 1000;
    to->how = film->medium->how;
    to->fill = film->medium->fill;
    to->capacity = film->medium->capacity;
    to->flushes = to->drains = 0;
}

/* Each word, or byte of marks, of a random one of the line's values. */
static void tear(const struct crash_dirty *d, uint64_t *seed,
                 unsigned char bytes[MEGA__LINE])
{
    unsigned unit = d->marks ? 1 : 8;
    for (unsigned i = 0; i < MEGA__LINE; i += unit) {
        unsigned v = (unsigned)((medium_random(seed) >> 32) % d->nvalues);
        memcpy(bytes + i, d->values[v] + i, unit);
    }
}

void crash_image(const struct crash_film *film, const struct crash_point *p,
                 const struct crash_pick *pick, struct medium *to)
{
    uint64_t seed = pick->seed | 1;
    unsigned char bytes[MEGA__LINE];
    load_files(film, p, to);
    for (size_t i = 0; i < p->ndelta; i++) {
        const struct crash_line *l = &p->delta[i];
        struct medium_file *f = medium_find(to, p->files[l->file].name);
        put_line(f, l->off, l->bytes);
    }
    for (size_t i = 0; i < p->ndirty; i++) {
        const struct crash_dirty *d = &p->dirty[i];
        struct medium_file *f = medium_find(to, p->files[d->file].name);
        if (pick->kind == CRASH_TORN)
            tear(d, &seed, bytes);
        else
            memcpy(bytes,
                   d->values[pick->kind == CRASH_KILL ? d->nvalues - 1
                                                      : pick->choice[i]],
                   MEGA__LINE);
        if (pick->kind == CRASH_KILL)
            memcpy(f->cpu + d->off, bytes, MEGA__LINE);
        else
            put_line(f, d->off, bytes);
    }
}

/* ---- Fingerprints ---- */

static uint64_t line_print(const struct crash_film *film,
                           const struct crash_file *file, uint64_t off,
                           const void *bytes)
{
    unsigned char blank[MEGA__LINE];
    const void *was = blank;
    memset(blank, film->base->fill, sizeof blank);
    if (file->base >= 0)
        was = film->base->files[file->base]->media + off;
    if (memcmp(bytes, was, MEGA__LINE) == 0)
        return 0; /* as in the first picture */
    return seen_hash(bytes, MEGA__LINE, file->ino << 40 ^ off);
}

uint64_t crash_fingerprint(const struct crash_film *film,
                           const struct crash_point *p,
                           const struct crash_pick *pick)
{
    uint64_t sum = seen_hash(p->oracle, film->oracle_size, 0);
    for (size_t i = 0; i < p->nfiles; i++)
        sum += seen_hash(p->files[i].name, strlen(p->files[i].name),
                         p->files[i].ino ^ p->files[i].size);
    for (size_t i = 0; i < p->ndelta; i++)
        sum += line_print(film, &p->files[p->delta[i].file], p->delta[i].off,
                          p->delta[i].bytes);
    for (size_t i = 0; i < p->ndirty; i++) {
        const struct crash_dirty *d = &p->dirty[i];
        const struct crash_file *f = &p->files[d->file];
        sum -= line_print(film, f, d->off, d->values[0]);
        sum += line_print(film, f, d->off, d->values[pick->choice[i]]);
    }
    return sum;
}
