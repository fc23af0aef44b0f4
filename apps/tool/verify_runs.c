/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * verify_runs.c - the records of a home's raw runs: each names a raw run that
 * is there, those of a region hold its bytes and no more, and no raw run is
 * without one.
 */
#include "verify.h"

#include <inttypes.h>

struct runs {
    const struct space *space;
    const struct home *home;
    const struct mega__home_block *b;
    struct problems *problems;
    bool counts[MEGA__RUNS_MAX]; /* it lies in a region that lives */
};

static uint64_t offset_of(const struct runs *v, const void *part)
{
    return v->home->span0->off + MEGA__HOME_BLOCK_OFF +
           (uint64_t)((const char *)part - (const char *)v->b);
}

#define SAY(v, grade, part, ...)                                               \
    problem((v)->problems, grade, (v)->home->span0->image->path,               \
            offset_of(v, part), __VA_ARGS__)

/* True: it counts, that is, it lies in a region that lives. */
static bool check_run(struct runs *v, unsigned i)
{
    const struct mega__run_record *r = &v->b->runs[i];
    enum mega__record_state state;
    uint32_t id;
    if (!mega__record_state(block_load(&r->state), &state, &id)) {
        SAY(v, FAULT, &r->state,
            "home %u: the state of run record %u is "
            "damaged",
            v->home->no, i);
        return false;
    }
    if (state != MEGA__REC_LIVE)
        return false;
    if (r->crc != mega__record_run_crc(id, r)) {
        SAY(v, FAULT, r, "home %u: run record %u is damaged", v->home->no, i);
        return false;
    }
    if (!space_region_lives(v->space, id)) {
        SAY(v, verify_unfinished(v->home), r,
            "home %u: run record %u is of region %u, which is dead",
            v->home->no, i, id);
        return false;
    }
    mega_gptr_t p = mega__gptr(v->home->no, 0, r->base);
    const struct span *s = home_span(v->home, mega__gptr_span(p));
    uint64_t e = mega_offset(p) >> MEGA__EXTENT_SHIFT;
    uint64_t w =
        s && e >= s->first && e < s->extents ? span_word(s, (uint32_t)e) : 0;
    if ((s || v->space->whole) &&
        (r->base >> (MEGA_OFFSET_BITS + MEGA_SPAN_BITS) ||
         mega__word_kind(w) != MEGA__RUN_HEAD ||
         !(mega__word_flags(w) & MEGA__RUN_RAW) || mega__word_region(w) != id ||
         mega__word_len(w) != r->extents) &&
        mega__record_state(block_load(&r->state), &state, &id) &&
        state == MEGA__REC_LIVE)
        SAY(v, FAULT, r,
            "home %u: run record %u names %#" PRIx64
            ", where there is no such raw run of region %u",
            v->home->no, i, r->base, id);
    return true;
}

/* No job has changed it since it was listed. */
static bool still_has(const struct runs *v, const struct region *region)
{
    const struct home *home0 = space_home(v->space, 0);
    for (unsigned i = 0; i < MEGA_REGIONS_MAX; i++) {
        const struct mega__region_record *r = &home0->block->regions[i];
        enum mega__record_state state;
        uint64_t bytes;
        uint32_t id;
        if (mega__record_state(block_load(&r->state), &state, &id) &&
            id == region->id && state == MEGA__REC_LIVE) {
            mega__unseal(block_load(&r->bytes_per_home), &bytes);
            return bytes == region->bytes_per_home;
        }
    }
    return false;
}

/* Whether record i counts, for this region. */
static bool is_of(const struct runs *v, unsigned i, const struct region *region)
{
    enum mega__record_state state;
    uint32_t id;
    return v->counts[i] &&
           mega__record_state(block_load(&v->b->runs[i].state), &state, &id) &&
           state == MEGA__REC_LIVE && id == region->id;
}

/* The runs of a region follow each other and hold its bytes. */
static void check_reserved(struct runs *v, const struct region *region)
{
    uint64_t have = 0;
    bool more = true;
    while (more && have < region->bytes_per_home) {
        more = false;
        for (unsigned i = 0; i < MEGA__RUNS_MAX && !more; i++) {
            const struct mega__run_record *r = &v->b->runs[i];
            if (!is_of(v, i, region) || r->start != have || r->extents == 0)
                continue;
            have += (uint64_t)r->extents << MEGA__EXTENT_SHIFT;
            more = true;
        }
    }
    if (have < region->bytes_per_home && still_has(v, region))
        SAY(v, FAULT, v->b->runs,
            "home %u: region %u has %" PRIu64
            " raw bytes per home, its runs hold %" PRIu64,
            v->home->no, region->id, region->bytes_per_home, have);
}

/* And no more: one beyond them is of a growth that was cut off, and goes at the
 * next open. */
static void check_beyond(struct runs *v, unsigned i,
                         const struct region *region)
{
    const struct mega__run_record *r = &v->b->runs[i];
    const uint64_t bytes = region->bytes_per_home;
    if (!is_of(v, i, region) || !still_has(v, region))
        return;
    if (r->start >= bytes)
        SAY(v, verify_unfinished(v->home), r,
            "home %u: run record %u is beyond the %" PRIu64
            " raw bytes of region %u",
            v->home->no, i, bytes, region->id);
    else if (r->extents > 0 && (uint64_t)(r->extents - 1)
                                       << MEGA__EXTENT_SHIFT >=
                                   bytes - r->start)
        SAY(v, FAULT, r,
            "home %u: run record %u ends beyond the %" PRIu64
            " raw bytes of region %u",
            v->home->no, i, bytes, region->id);
}

/* A raw run that no record names is taken back by the next open. */
static bool run_named(const struct runs *v, const struct span *s, uint32_t e)
{
    uint64_t base =
        (uint64_t)s->no << MEGA_OFFSET_BITS | (uint64_t)e << MEGA__EXTENT_SHIFT;
    for (unsigned i = 0; i < MEGA__RUNS_MAX; i++)
        if (v->counts[i] && v->b->runs[i].base == base)
            return true;
    return false;
}

static void check_unnamed(struct runs *v)
{
    for (uint32_t no = 0; no < v->home->nspans; no++) {
        const struct span *s = home_span(v->home, no);
        for (uint32_t e = s ? s->first : 0; s && e < s->extents; e++) {
            uint64_t w = span_word(s, e);
            if (mega__word_kind(w) == MEGA__RUN_HEAD &&
                mega__word_flags(w) & MEGA__RUN_RAW && !run_named(v, s, e))
                problem(v->problems, verify_unfinished(v->home), s->image->path,
                        span_word_off(s, e),
                        "home %u, span %u, extent %u: a raw run that no "
                        "record names",
                        v->home->no, no, e);
        }
    }
}

void verify_runs(const struct space *space, const struct home *home,
                 struct problems *problems)
{
    struct runs v = {space, home, home->block, problems, {false}};
    for (unsigned i = 0; i < MEGA__RUNS_MAX; i++)
        v.counts[i] = check_run(&v, i);
    for (size_t k = 0; k < space->nlive; k++) {
        check_reserved(&v, &space->live[k]);
        for (unsigned i = 0; i < MEGA__RUNS_MAX; i++)
            check_beyond(&v, i, &space->live[k]);
    }
    if (space->have_live)
        check_unnamed(&v);
}
