/* SPDX-License-Identifier: BSD-3-Clause */
/* crash_pick.c - which lines of a point an image has: crash.h. */
#include "crash.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
