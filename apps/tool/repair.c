/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * repair.c - see repair.h. Words are changed as the next open would. While an
 * intent waits to be completed nothing is changed: only the library can
 * complete it, and it may name what looks unused. Marks that do not fit their
 * slab are cleared if they are few against those that do; if many, it is the
 * word that is damaged, and clearing them would lose chunks.
 */
#include "repair.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void set_word(const struct span *s, uint32_t e, uint64_t w)
{
    uint64_t *words = (uint64_t *)(void *)span_at(s, s->words_off);
    __atomic_store_n(&words[e], w, __ATOMIC_RELEASE);
}

static void free_word(const struct span *s, uint32_t e, const char *what,
                      struct problems *problems)
{
    set_word(s, e, MEGA__FREE);
    problem(problems, REPAIRED, s->image->path, span_word_off(s, e),
            "extent %u is free: it was %s", e, what);
}

static void finish_free(const struct span *s, uint32_t e, uint64_t w,
                        struct problems *problems)
{
    for (uint32_t i = 1; i < mega__word_len(w); i++) {
        uint64_t t = span_word(s, e + i);
        if (mega__word_kind(t) == MEGA__RUN_TAIL && mega__word_len(t) == i)
            set_word(s, e + i, MEGA__FREE);
    }
    free_word(s, e, "a run half freed", problems);
}

static void clear_strays(const struct space *space, const struct span *s,
                         uint32_t e, uint64_t w, struct problems *problems)
{
    unsigned strays = 0, fitting = 0, k = mega__word_class(w);
    if (k >= MEGA__CLASSES)
        return;
    const uint64_t *starts = space->classes.of[k].starts;
    for (unsigned g = 0; g < MEGA__EXTENT_GRANULES; g++) {
        if (span_mark(s, e, g) == MEGA__MARK_FREE)
            continue;
        if (starts[g / 64] >> g % 64 & 1)
            fitting++;
        else
            strays++;
    }
    if (strays == 0)
        return;
    if (strays * 4 > fitting) {
        problem(problems, NOTE, s->image->path, span_word_off(s, e),
                "left: of the marks of extent %u, %u fit its class and %u do "
                "not: its word may be what is wrong",
                e, fitting, strays);
        return;
    }
    for (unsigned g = 0; g < MEGA__EXTENT_GRANULES; g++)
        if (!(starts[g / 64] >> g % 64 & 1))
            span_marks(s, e)[g] = MEGA__MARK_FREE;
    problem(problems, REPAIRED, s->image->path, span_mark_off(s, e, 0),
            "%u marks of extent %u are cleared: no chunk begins there", strays,
            e);
}

static void repair_extent(const struct space *space, const struct span *s,
                          uint32_t e, struct problems *problems)
{
    uint64_t w = span_word(s, e);
    switch (mega__word_kind(w)) {
    case MEGA__SLAB_INIT:
        free_word(s, e, "a claim cut off", problems);
        break;
    case MEGA__SLAB:
        clear_strays(space, s, e, w, problems);
        break;
    case MEGA__FREEING:
        if (run_fits(s, e, w))
            finish_free(s, e, w, problems);
        break;
    case MEGA__RUN_TAIL: /* heads come first, so this is settled */
        if (!run_covers(s, e, w) && !run_head_damaged(s, e, w))
            free_word(s, e, "a tail without a head", problems);
        break;
    default:
        break;
    }
}

bool repair_sync(const struct space *space)
{
    for (size_t i = 0; i < space->nimages; i++) {
        const struct image *image = &space->images[i];
        if (image->base && (msync(image->base, image->size, MS_SYNC) != 0 ||
                            fsync(image->fd) != 0)) {
            fprintf(stderr, "megalloc: sync %s: %s\n", image->path,
                    strerror(errno));
            return false;
        }
    }
    return true;
}

bool repair(const struct space *space, struct problems *problems)
{
    if (space_intents_wait(space)) {
        problem(problems, NOTE, NULL, 0,
                "nothing is repaired: an intent waits for the next open");
        return true;
    }
    for (size_t i = 0; i < space->nhomes; i++)
        for (uint32_t no = 0; no < space->homes[i].nspans; no++) {
            const struct span *s = home_span(&space->homes[i], no);
            for (uint32_t e = s ? s->first : 0; s && e < s->extents; e++)
                repair_extent(space, s, e, problems);
        }
    return repair_sync(space);
}
