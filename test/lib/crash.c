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

struct recording {
    const struct crash_film *film;
    struct crash_point *point;
};

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
    for (size_t i = 0; i < m->npending; i++)
        if (m->pending[i].file == file && m->pending[i].off == off &&
            m->pending[i].seq > file->seq[off / MEGA__LINE] &&
            d->nvalues < CRASH_VALUES - 1)
            add_value(d, m->pending[i].bytes);
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
    struct recording r = {film, &p};
    medium_each_dirty(m, record_dirty, &r);
    if (film->npoints > 0 &&
        same_point(film, &p, &film->points[film->npoints - 1])) {
        point_free(&p);
        return;
    }
    grow((void **)&film->points, film->npoints, sizeof *film->points);
    film->points[film->npoints++] = p;
}

void crash_film_start(struct crash_film *film, struct medium *m,
                      const void *oracle, size_t oracle_size)
{
    uint64_t evict_seed = film->evict_seed;
    bool of_drop = film->of_drop;
    unsigned only = film->only;
    memset(film, 0, sizeof *film);
    film->evict_seed = evict_seed;
    film->of_drop = of_drop;
    film->only = only;
    film->medium = m;
    film->base = medium_new();
    film->oracle = oracle;
    film->oracle_size = oracle_size;
    medium_lock(m);
    medium_copy_media(film->base, m);
    m->on_point = on_point;
    m->on_point_arg = film;
    on_point(m, "start", NULL, 0, film);
    medium_unlock(m);
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
    const char *old = film->base->files[from->base]->media;
    for (int k = 0; k < 2; k++) {
        uint64_t begin, end = medium_range(file, k, &begin);
        memcpy(file->cpu + begin, old + begin, end - begin);
        memcpy(file->media + begin, old + begin, end - begin);
    }
}

static void load_files(const struct crash_film *film,
                       const struct crash_point *p, struct medium *to)
{
    to->npending = 0;
    to->stale = false;
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
        memcpy(f->cpu + l->off, l->bytes, MEGA__LINE);
        memcpy(f->media + l->off, l->bytes, MEGA__LINE);
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
        memcpy(f->cpu + d->off, bytes, MEGA__LINE);
        if (pick->kind != CRASH_KILL)
            memcpy(f->media + d->off, bytes, MEGA__LINE);
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

/* ---- Picks ---- */

uint64_t crash_subsets(const struct crash_point *p, uint64_t limit)
{
    uint64_t n = 1;
    for (size_t i = 0; i < p->ndirty && n <= limit; i++)
        n *= p->dirty[i].nvalues;
    return n;
}

/* Can any line be torn at all? */
static bool tearable(const struct crash_point *p)
{
    for (size_t i = 0; i < p->ndirty; i++) {
        const struct crash_dirty *d = &p->dirty[i];
        unsigned units = 0, unit = d->marks ? 1 : 8;
        for (unsigned k = 0; k < MEGA__LINE; k += unit)
            units += memcmp(d->values[0] + k, d->values[d->nvalues - 1] + k,
                            unit) != 0;
        if (units > 1)
            return true;
    }
    return false;
}

static void choose(const struct crash_point *p, struct crash_pick *pick,
                   uint64_t number, bool exhaustive, uint64_t *seed)
{
    for (size_t i = 0; i < p->ndirty; i++) {
        unsigned n = p->dirty[i].nvalues;
        if (exhaustive) {
            pick->choice[i] = (unsigned char)(number % n);
            number /= n;
        } else if (number < 2) {
            pick->choice[i] = (unsigned char)(number ? n - 1 : 0);
        } else {
            pick->choice[i] = (unsigned char)((medium_random(seed) >> 32) % n);
        }
    }
}

uint64_t crash_each_pick(const struct crash_point *p,
                         const struct crash_limits *limits, uint64_t seed,
                         crash_pick_fn fn, void *arg)
{
    struct crash_pick pick = {.kind = CRASH_SUBSET};
    uint64_t all = crash_subsets(p, limits->exhaustive), done = 0;
    bool exhaustive = all <= limits->exhaustive, go_on = true;
    uint64_t n = exhaustive ? all : limits->sampled;
    pick.choice = calloc(p->ndirty + 1, 1);
    seed = seed * 2 + 1;
    for (uint64_t i = 0; go_on && i < n; i++, done++) {
        choose(p, &pick, i, exhaustive, &seed);
        go_on = fn(p, &pick, arg);
    }
    pick.kind = CRASH_TORN;
    for (uint64_t i = 0; go_on && tearable(p) && i < limits->torn;
         i++, done++) {
        pick.seed = medium_random(&seed);
        go_on = fn(p, &pick, arg);
    }
    free(pick.choice);
    return done;
}

void crash_any_pick(const struct crash_point *p, uint64_t seed,
                    struct crash_pick *pick)
{
    uint64_t kind = seed % 4;
    seed |= 1;
    *pick = (struct crash_pick){.kind = CRASH_SUBSET, .choice = pick->choice};
    choose(p, pick, kind, false, &seed); /* 0: all lost, 1: all kept */
    pick->seed = medium_random(&seed);
    if (kind == 3 && tearable(p))
        pick->kind = CRASH_TORN;
}

void crash_describe(const struct crash_film *film, const struct crash_point *p,
                    const struct crash_pick *pick, char *text, size_t size)
{
    static const char *const kinds[] = {"subset", "torn", "kill"};
    int n = snprintf(text, size, "point %u (%s), %s:", p->number, p->what,
                     kinds[pick->kind]);
    size_t used = (size_t)n;
    for (size_t i = 0; i < p->ndirty && used + 1 < size; i++) {
        const struct crash_dirty *d = &p->dirty[i];
        struct medium_file *f =
            medium_find(film->medium, p->files[d->file].name);
        char where[96] = "a file that went";
        if (f)
            medium_describe(film->medium, f->cpu + d->off, where, sizeof where);
        n = snprintf(text + used, size - used, " [%s %s]", where,
                     pick->kind == CRASH_TORN   ? "torn"
                     : pick->kind == CRASH_KILL ? "seen only"
                     : pick->choice[i]          ? "kept"
                                                : "lost");
        used += (size_t)n;
    }
}
