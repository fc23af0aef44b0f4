/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * verify_block.c - the block of a home: its sealed words, the records of
 * regions and roots. Home 0's count; those of others stay unused.
 */
#include "verify.h"

#include <inttypes.h>
#include <string.h>

#include "block.h"
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
    if (!mega__unseal_written(block_load(&age->reached), &reached) ||
        !mega__unseal_written(lot, &lot))
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

/* Against the other homes. */
static void check_epoch(struct block *v)
{
    const struct home *latest = v->space->latest;
    uint64_t lot, epoch, reached; /* a job may be raising them, epoch first */
    if (mega__unseal(block_load(&v->b->lot), &lot) &&
        went_apart(lot, latest->lot))
        SAY(v, FAULT, &v->b->lot,
            "home %u and home %u are of copies that went apart: each was used "
            "without the other",
            v->home->no, latest->no);
    bool known = mega__unseal(block_load(&v->b->reached), &reached);
    if (mega__unseal(block_load(&v->b->epoch), &epoch) &&
        !(known && reached > epoch) && epoch < home_of_all(latest))
        SAY(v, FAULT, &v->b->epoch,
            "home %u has epoch %" PRIu64 ", home %u has %" PRIu64
            ": it is an older copy",
            v->home->no, epoch, latest->no, home_of_all(latest));
}

/* (1): of a creation that was cut off all is made anew, but not if a job was
 * ever there. */
static void check_born(struct block *v)
{
    const struct home *home0 = space_home(v->space, 0);
    const struct home *used = v->space->used;
    uint64_t born;
    if (!mega__unseal(block_load(&v->b->born), &born) || born == 1)
        return;
    if (used)
        SAY(v, FAULT, &v->b->born,
            "home %u was never finished, but home %u was used", v->home->no,
            used->no);
    else
        SAY(v, home0 && is_born(home0) ? FAULT : PENDING, &v->b->born,
            "home %u was never finished%s", v->home->no,
            v->home->no ? "" : ": the next open makes the space anew");
}

static void say_word(const uint64_t *word, const char *what, void *arg)
{
    struct block *v = arg;
    SAY(v, FAULT, word, "home %u: %s", v->home->no, what);
}

static void check_words(struct block *v)
{
    const struct mega__home_block *b = v->b;
    uint64_t npools;
    mega__block_judge(b, v->space->filled, say_word, v);
    check_born(v);
    check_epoch(v);
    if (mega__unseal(block_load(&b->npools), &npools))
        check_npools(v, npools);
    if (!mega__unseal(block_load(&b->next_region), &v->next_region))
        v->next_region = 0;
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
    if (!mega__unseal_written(block_load(&r->bytes_per_home), &bytes))
        SAY(v, FAULT, &r->bytes_per_home,
            "home %u: the region size word %#" PRIx64 " is damaged",
            v->home->no, block_load(&r->bytes_per_home));
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
    for (unsigned k = 0; k < i && state == MEGA__REC_LIVE; k++)
        if (mega__record_same_root(&v->b->roots[k], r))
            SAY(v, FAULT, r, "root records %u and %u have one region and name",
                k, i);
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

void verify_block(const struct space *space, const struct home *home,
                  struct problems *problems)
{
    struct block v = {space, home, home->block, problems, 0};
    bool ended = false;
    check_words(&v);
    for (unsigned i = 0; i < MEGA_REGIONS_MAX; i++)
        check_region(&v, i, &ended);
    ended = false;
    for (unsigned i = 0; i < MEGA_ROOTS_MAX; i++)
        check_root(&v, i, &ended);
}
