/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * verify_block.c - the block of a home: its sealed words, the records of
 * regions, roots and raw runs; and that each raw run is where
 * its record says. Home 0's regions and roots count; those of others stay
 * unused.
 */
#include "verify.h"

#include <inttypes.h>
#include <string.h>

#include "names.h"

struct block {
    const struct space *space;
    const struct home *home;
    const struct mega__home_block *b;
    struct problems *problems;
    uint64_t next_region; /* 0: not known */
};

static uint64_t offset_of(const struct block *v, const void *part)
{
    return v->home->span0->off + MEGA__HOME_BLOCK_OFF +
           (uint64_t)((const char *)part - (const char *)v->b);
}

#define SAY(v, grade, part, ...)                                               \
    problem((v)->problems, grade, (v)->home->span0->image->path,               \
            offset_of(v, part), __VA_ARGS__)

static bool sealed(struct block *v, const uint64_t *word, const char *name,
                   uint64_t *value_p)
{
    uint64_t w = block_load(word);
    if (mega__unseal(w, value_p))
        return true;
    SAY(v, FAULT, word, "home %u: the %s word %#" PRIx64 " is damaged",
        v->home->no, name, w);
    *value_p = 0;
    return false;
}

/* ---- The words at its beginning ---- */

/* Of two jobs that had copies, each in the same epoch. */
static bool went_apart(uint64_t lot, uint64_t other)
{
    return lot != other && lot >> MEGA__LOT_BITS == other >> MEGA__LOT_BITS;
}

/* A later file of the home. Of a job that is just opening the block's epoch
 * rises first, then what this says, then what the block says of all. */
static void check_age(struct block *v, const struct image *image)
{
    const struct mega__pool_age *age = &image->root->age;
    const uint64_t off =
        image->root_off + offsetof(struct mega__pool_root, age);
    uint64_t epoch, reached, of_all, lot = block_load(&age->lot);
    bool known = mega__unseal(block_load(&v->b->reached), &of_all);
    if (!mega__unseal(block_load(&age->reached), &reached) ||
        !mega__unseal(lot, &lot))
        problem(v->problems, FAULT, image->path, off,
                "home %u: the epoch of pool %u is damaged", v->home->no,
                image->ident.pool);
    else if (known && reached < of_all)
        problem(v->problems, FAULT, image->path, off,
                "home %u: pool %u is of epoch %" PRIu64 ", the home of %" PRIu64
                ": it is an older copy",
                v->home->no, image->ident.pool, reached, of_all);
    else if (mega__unseal(block_load(&v->b->epoch), &epoch) && reached > epoch)
        problem(v->problems, FAULT, image->path, off,
                "home %u: pool %u is of epoch %" PRIu64 ", the home of %" PRIu64
                ": pool 0 is an older copy",
                v->home->no, image->ident.pool, reached, epoch);
    else if (went_apart(lot, v->home->lot))
        problem(v->problems, FAULT, image->path, off,
                "home %u: pool %u and pool 0 are of copies that went apart: "
                "each was used without the other",
                v->home->no, image->ident.pool);
}

static bool is_newer(const struct block *v, const struct image *image)
{
    uint64_t epoch, reached;
    return mega__unseal(block_load(&image->root->age.reached), &reached) &&
           mega__unseal(block_load(&v->b->epoch), &epoch) && reached > epoch;
}

static void check_npools(struct block *v, uint64_t npools)
{
    uint64_t have = 0;
    for (size_t i = 0; i < v->space->nimages; i++) {
        const struct image *image = &v->space->images[i];
        if (!image->root || image->ident.home != v->home->no ||
            memcmp(image->ident.uuid, v->space->uuid, 16) != 0)
            continue;
        have += image->ident.pool < npools;
        if (image->ident.pool > 0 &&
            (image->ident.pool < npools || is_newer(v, image)))
            check_age(v, image);
        else if (image->ident.pool >= npools)
            problem(v->problems, verify_unfinished(v->home), image->path, 0,
                    "home %u does not list it; the next open removes it",
                    v->home->no);
    }
    if (have < npools)
        SAY(v, v->space->whole ? FAULT : NOTE, &v->b->npools,
            "home %u has %" PRIu64 " pool files, %" PRIu64 " of them %s",
            v->home->no, npools, have, v->space->whole ? "sound" : "given");
}

static bool is_born(const struct home *home)
{
    uint64_t born;
    return home->block && mega__unseal(block_load(&home->block->born), &born) &&
           born == 1;
}

/* Returns it, or 0: it is damaged. */
static uint64_t check_epoch(struct block *v)
{
    const struct home *latest = v->space->latest;
    uint64_t lot, epoch, reached; /* a job may be raising them, epoch first */
    if (sealed(v, &v->b->lot, "lot", &lot) && went_apart(lot, latest->lot))
        SAY(v, FAULT, &v->b->lot,
            "home %u and home %u are of copies that went apart: each was used "
            "without the other",
            v->home->no, latest->no);
    bool known = sealed(v, &v->b->reached, "reached", &reached);
    if (!sealed(v, &v->b->epoch, "epoch", &epoch))
        return 0;
    if (known && reached > epoch)
        SAY(v, FAULT, &v->b->reached,
            "home %u has epoch %" PRIu64 ", all homes have had %" PRIu64,
            v->home->no, epoch, reached);
    else if (epoch < home_of_all(latest))
        SAY(v, FAULT, &v->b->epoch,
            "home %u has epoch %" PRIu64 ", home %u has %" PRIu64
            ": it is an older copy",
            v->home->no, epoch, latest->no, home_of_all(latest));
    return epoch;
}

static void check_words(struct block *v)
{
    const struct mega__home_block *b = v->b;
    const struct home *home0 = space_home(v->space, 0);
    uint64_t born, clean, npools;
    /* (1): of a creation that was cut off all is made anew. */
    if (sealed(v, &b->born, "born", &born) && born != 1)
        SAY(v, home0 && is_born(home0) ? FAULT : PENDING, &b->born,
            "home %u was never finished%s", v->home->no,
            v->home->no ? "" : ": the next open makes the space anew");
    uint64_t epoch = check_epoch(v);
    if (sealed(v, &b->clean, "clean", &clean) && clean && clean != epoch)
        SAY(v, FAULT, &b->clean,
            "home %u ended cleanly in epoch %" PRIu64 ", its epoch is %" PRIu64,
            v->home->no, clean, epoch);
    if (sealed(v, &b->npools, "npools", &npools))
        check_npools(v, npools);
    if (sealed(v, &b->next_region, "next region", &v->next_region) &&
        v->next_region > (uint64_t)MEGA__REGION_ID_MAX + 1)
        SAY(v, FAULT, &b->next_region, "the next region is %" PRIu64,
            v->next_region);
    for (unsigned k = 0; k < sizeof b->next_host / 8; k++) {
        uint64_t piece; /* of a name: anything */
        sealed(v, &b->next_host[k], "next host", &piece);
    }
}

/* ---- Regions and roots ---- */

/* Region and root records begin alike. */
struct named {
    uint64_t state;
    uint64_t value;
    char name[MEGA__NAME_BYTES];
    uint64_t spare[5];
    uint32_t spare32;
    uint32_t crc;
};

_Static_assert(sizeof(struct named) == sizeof(struct mega__region_record) &&
                   offsetof(struct named, crc) ==
                       offsetof(struct mega__region_record, crc) &&
                   sizeof(struct named) == sizeof(struct mega__root_record) &&
                   offsetof(struct named, crc) ==
                       offsetof(struct mega__root_record, crc),
               "region and root records are alike");

static bool name_right(const struct named *r, uint32_t id)
{
    return r->crc == mega__record_name_crc(id, r->name) &&
           r->name[MEGA_NAME_MAX] == '\0';
}

/* False: it says nothing further. ended: unused ones were before it. */
static bool check_named(struct block *v, const struct named *r,
                        const char *what, unsigned i, bool *ended,
                        enum mega__record_state *state_p, uint32_t *id_p)
{
    if (!mega__record_state(block_load(&r->state), state_p, id_p)) {
        SAY(v, FAULT, &r->state,
            "home %u: the state %#" PRIx64 " of %s %u is damaged", v->home->no,
            block_load(&r->state), what, i);
        return false;
    }
    if (*state_p == MEGA__REC_NEVER) {
        *ended = true;
        return false;
    }
    if (*ended || v->home->no != 0)
        SAY(v, FAULT, &r->state, "home %u: %s record %u is used, %s",
            v->home->no, what, i,
            v->home->no ? "and home 0's count" : "and one before it never was");
    *ended = false; /* say so once */
    if (*state_p == MEGA__REC_GONE)
        return false;
    if (name_right(r, *id_p))
        return true;
    SAY(v, FAULT, r->name,
        "home %u: %s record %u: its name or checksum is "
        "damaged",
        v->home->no, what, i);
    return false;
}

static void check_region(struct block *v, unsigned i, bool *ended)
{
    const struct mega__region_record *r = &v->b->regions[i];
    enum mega__record_state state;
    uint32_t id;
    uint64_t bytes;
    if (!check_named(v, (const void *)r, "region", i, ended, &state, &id))
        return;
    sealed(v, &r->bytes_per_home, "region size", &bytes);
    if (id <= MEGA__REGION_DEFAULT || (v->next_region && id >= v->next_region))
        SAY(v, FAULT, &r->state,
            "region %u was never made: the next is %" PRIu64, id,
            v->next_region);
    if (state != MEGA__REC_LIVE)
        SAY(v, verify_unfinished(v->home), &r->state, "region %u is half %s",
            id, state == MEGA__REC_CREATING ? "made" : "destroyed");
    for (unsigned k = 0; k < i; k++) {
        const struct mega__region_record *other = &v->b->regions[k];
        enum mega__record_state other_state;
        uint32_t other_id;
        if (!mega__record_state(block_load(&other->state), &other_state,
                                &other_id) ||
            other_state < MEGA__REC_CREATING)
            continue;
        if (other_id == id ||
            (other_state == MEGA__REC_LIVE && state == MEGA__REC_LIVE &&
             memcmp(other->name, r->name, sizeof r->name) == 0))
            SAY(v, FAULT, r, "region records %u and %u have one id or name", k,
                i);
    }
}

static void check_root(struct block *v, unsigned i, bool *ended)
{
    const struct mega__root_record *r = &v->b->roots[i];
    enum mega__record_state state;
    char name[MEGA__NAME_BYTES];
    struct chunk c;
    uint32_t id;
    if (!check_named(v, (const void *)r, "root", i, ended, &state, &id) ||
        v->home->no != 0)
        return;
    name_clean(r->name, sizeof r->name, name, sizeof name);
    if (state != MEGA__REC_LIVE)
        SAY(v, FAULT, &r->state, "root %s is neither there nor gone", name);
    if (!space_region_lives(v->space, id)) {
        SAY(v, verify_unfinished(v->home), &r->state,
            "root %s is of region %u, which is dead", name, id);
        return;
    }
    uint64_t p = block_load(&r->slot);
    uint32_t home = mega__gptr_home(mega_from_bits(p));
    if (p && (home >= v->space->of || space_home(v->space, home)) &&
        !space_find_live(v->space, p, &c) && block_load(&r->slot) == p)
        SAY(v, FAULT, &r->slot,
            "root %s is %#" PRIx64 ", which is no live chunk", name, p);
}

/* ---- Raw runs ---- */

/* True: it counts, that is, it lies in a region that lives. */
static bool check_run(struct block *v, unsigned i)
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
static bool still_has(const struct block *v, const struct region *region)
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

/* The runs of a region follow each other and hold its bytes. counts: bit i is
 * set if record i counts. */
static void check_reserved(struct block *v, const struct region *region,
                           const bool *counts)
{
    uint64_t have = 0;
    bool more = true;
    while (more && have < region->bytes_per_home) {
        more = false;
        for (unsigned i = 0; i < MEGA__RUNS_MAX && !more; i++) {
            const struct mega__run_record *r = &v->b->runs[i];
            enum mega__record_state state;
            uint32_t id;
            if (!counts[i] ||
                !mega__record_state(block_load(&r->state), &state, &id) ||
                id != region->id || r->start != have || r->extents == 0)
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

/* A raw run that no record names is taken back by the next open. */
static bool run_named(const struct block *v, const struct span *s, uint32_t e,
                      const bool *counts)
{
    uint64_t base =
        (uint64_t)s->no << MEGA_OFFSET_BITS | (uint64_t)e << MEGA__EXTENT_SHIFT;
    for (unsigned i = 0; i < MEGA__RUNS_MAX; i++)
        if (counts[i] && v->b->runs[i].base == base)
            return true;
    return false;
}

static void check_unnamed(struct block *v, const bool *counts)
{
    for (uint32_t no = 0; no < v->home->nspans; no++) {
        const struct span *s = home_span(v->home, no);
        for (uint32_t e = s ? s->first : 0; s && e < s->extents; e++) {
            uint64_t w = span_word(s, e);
            if (mega__word_kind(w) == MEGA__RUN_HEAD &&
                mega__word_flags(w) & MEGA__RUN_RAW &&
                !run_named(v, s, e, counts))
                problem(v->problems, verify_unfinished(v->home), s->image->path,
                        span_word_off(s, e),
                        "home %u, span %u, extent %u: a raw run that no "
                        "record names",
                        v->home->no, no, e);
        }
    }
}

void verify_block(const struct space *space, const struct home *home,
                  struct problems *problems)
{
    struct block v = {space, home, home->block, problems, 0};
    bool counts[MEGA__RUNS_MAX], ended = false;
    check_words(&v);
    for (unsigned i = 0; i < MEGA_REGIONS_MAX; i++)
        check_region(&v, i, &ended);
    ended = false;
    for (unsigned i = 0; i < MEGA_ROOTS_MAX; i++)
        check_root(&v, i, &ended);
    for (unsigned i = 0; i < MEGA__RUNS_MAX; i++)
        counts[i] = check_run(&v, i);
    for (size_t i = 0; i < space->nlive; i++)
        check_reserved(&v, &space->live[i], counts);
    if (space->have_live)
        check_unnamed(&v, counts);
}
