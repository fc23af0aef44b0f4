/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * verify.c - the whole space: who its files say they are, which are missing;
 * then home by home.
 */
#include "verify.h"

#include <stdlib.h>
#include <string.h>

#include "pool_name.h"

static const char *judge_ident(const struct space *space,
                               const struct mega__pool_ident *id)
{
    if (id->format != MEGA__FORMAT)
        return "it has another format";
    if (id->extent_shift != MEGA__EXTENT_SHIFT ||
        id->granule_shift != MEGA__GRANULE_SHIFT)
        return "it has another geometry";
    if (id->nhomes == 0 || id->nhomes > MEGA__HOMES_MAX ||
        id->home >= id->nhomes)
        return "its home is not one of the space";
    if (id->pool >= MEGA__SPANS_MAX)
        return "its pool number is out of range";
    if (id->nhomes != space->of)
        return "the files differ in the number of homes";
    return NULL;
}

static void check_idents(const struct space *space, struct problems *problems)
{
    for (size_t i = 0; i < space->nimages; i++) {
        const struct image *image = &space->images[i];
        const struct mega__pool_ident *id = &image->ident;
        uint32_t home, pool;
        const char *rest;
        if (!image->root || memcmp(id->uuid, space->uuid, 16) != 0)
            continue;
        const char *wrong = judge_ident(space, id);
        if (!wrong && space->whole &&
            mega__pool_name(image->path, &home, &pool, &rest) && !*rest &&
            (home != id->home || pool != id->pool))
            wrong = "it has the name of another";
        if (wrong)
            problem(problems, FAULT, image->path, image->root_off,
                    "home %u of %u, pool %u, format %u: %s", id->home,
                    id->nhomes, id->pool, id->format, wrong);
    }
}

static void check_missing(const struct space *space, struct problems *problems)
{
    uint32_t next = 0;
    if (!space->whole || space->of > MEGA__HOMES_MAX)
        return;
    for (size_t i = 0; i <= space->nhomes; i++) {
        uint32_t no = i < space->nhomes ? space->homes[i].no : space->of;
        if (no > next)
            problem(problems, FAULT, NULL, 0,
                    no == next + 1
                        ? "home %u is missing: no directory given has its "
                          "files; if it is another host's, name a copy too"
                        : "homes %u to %u are missing: no directory given has "
                          "their files; if they are other hosts', name copies "
                          "too",
                    next, no - 1);
        next = no + 1;
    }
}

void verify(const struct space *space, struct problems *problems)
{
    check_idents(space, problems);
    check_missing(space, problems);
    if (!space->have_live)
        problem(problems, NOTE, NULL, 0,
                "home 0 is not at hand: which regions live is not known");
    for (size_t i = 0; i < space->nhomes; i++) {
        const struct home *home = &space->homes[i];
        for (uint32_t no = 0; no < home->nspans; no++)
            if (!home_span(home, no) && space->whole)
                problem(problems, FAULT, NULL, 0, "home %u: span %u is missing",
                        home->no, no);
        if (home->block) {
            verify_block(space, home, problems);
            verify_runs(space, home, problems);
            verify_intents(space, home, problems);
        } else {
            problem(problems, space->whole ? FAULT : NOTE, NULL, 0,
                    "home %u: its first span, with the block, is missing",
                    home->no);
        }
        verify_words(space, home, problems);
    }
}
