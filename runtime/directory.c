/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * directory.c - the records in home blocks. A record is filled while its
 * state word says GONE or NEVER, made durable, and then the one store of the
 * state makes it count (layout.h, A and B).
 */
#include "directory.h"

#include <string.h>

#include "crash_point.h"
#include "home.h"
#include "log.h"
#include "seg.h"

bool mega__live_has(const struct mega__live *live, uint32_t id)
{
    for (uint32_t i = 0; i < live->n; i++)
        if (live->ids[i] == id)
            return true;
    return false;
}

bool mega__live_ended(const struct mega__live *live, uint32_t id)
{
    for (uint32_t i = 0; i < live->nended; i++)
        if (live->ended[i] == id)
            return true;
    return false;
}

bool mega__live_keeps_run(uint32_t region, uint64_t start, void *arg)
{
    const struct mega__live *live = arg;
    for (uint32_t i = 0; i < live->n; i++)
        if (live->ids[i] == region)
            return start < live->bytes_per_home[i];
    return false;
}

/* The state of a record that mega__dir_verify has accepted. */
static enum mega__record_state state_of(const uint64_t *word, uint32_t *id_p)
{
    enum mega__record_state state = MEGA__REC_GONE;
    *id_p = 0;
    mega__record_state(__atomic_load_n(word, __ATOMIC_ACQUIRE), &state, id_p);
    return state;
}

static void write_state(const struct mega__home *home, struct mega__flusher *f,
                        uint64_t *word, uint32_t id,
                        enum mega__record_state state)
{
    mega__home_write(home, f, word, (uint64_t)id << 8 | (uint64_t)state);
}

static mega_status_t set_state(const struct mega__home *home,
                               struct mega__flusher *f, uint64_t *word,
                               uint32_t id, enum mega__record_state state)
{
    write_state(home, f, word, id, state);
    return mega__pool_drain(f);
}

static bool is_free(const uint64_t *word)
{
    uint32_t id;
    enum mega__record_state s = state_of(word, &id);
    return s == MEGA__REC_NEVER || s == MEGA__REC_GONE;
}

/* ---- Regions ---- */

static mega_status_t verify_record(const uint64_t *state_word, const char *name,
                                   uint32_t crc, const char *what, unsigned i)
{
    enum mega__record_state state;
    uint32_t id;
    bool ok = mega__record_state(*state_word, &state, &id);
    if (ok && state != MEGA__REC_NEVER && state != MEGA__REC_GONE)
        ok = crc == mega__record_name_crc(id, name) &&
             name[MEGA_NAME_MAX] == '\0';
    if (ok)
        return MEGA_OK;
    return mega__fail(MEGA_ERR_DAMAGED,
                      "home 0: %s record %u in span 0 is damaged: restore its "
                      "files from a copy",
                      what, i);
}

/* Of a region that is not gone; next: the id that the next one gets (7). */
static mega_status_t verify_region(const struct mega__home *home0,
                                   const struct mega__region_record *r,
                                   uint64_t next)
{
    uint64_t bytes;
    uint32_t id;
    state_of(&r->state, &id);
    if (id <= MEGA__REGION_DEFAULT || id >= next)
        return mega__fail(MEGA_ERR_DAMAGED,
                          "home 0: a region has id %u, the next one gets %llu: "
                          "restore its files from a copy",
                          id, (unsigned long long)next);
    if (r->bytes_per_home == 0)
        return mega__fail(MEGA_ERR_DAMAGED,
                          "home 0: the size of region %u was never written: "
                          "restore its files from a copy",
                          id);
    return mega__home_read(home0, &r->bytes_per_home, "region size", &bytes);
}

mega_status_t mega__dir_verify(const struct mega__home *home0)
{
    const struct mega__home_block *b = home0->block;
    uint64_t next;
    mega_status_t st =
        mega__home_read(home0, &b->next_region, "next region", &next);
    for (unsigned i = 0; !st && i < MEGA_REGIONS_MAX; i++) {
        const struct mega__region_record *r = &b->regions[i];
        st = verify_record(&r->state, r->name, r->crc, "region", i);
        if (!st && !is_free(&r->state))
            st = verify_region(home0, r, next);
    }
    for (unsigned i = 0; !st && i < MEGA_ROOTS_MAX; i++) {
        const struct mega__root_record *r = &b->roots[i];
        st = verify_record(&r->state, r->name, r->crc, "root", i);
    }
    return st;
}

mega_status_t mega__dir_region_find(const struct mega__home *home0,
                                    const char *name, uint32_t *line_p)
{
    for (uint32_t i = 0; i < MEGA_REGIONS_MAX; i++) {
        const struct mega__region_record *r = &home0->block->regions[i];
        uint32_t id;
        if (state_of(&r->state, &id) == MEGA__REC_LIVE &&
            strncmp(r->name, name, MEGA__NAME_BYTES) == 0) {
            *line_p = i;
            return MEGA_OK;
        }
    }
    return mega__fail(MEGA_ERR_NOT_FOUND, "there is no region %.63s", name);
}

bool mega__dir_region_lives(const struct mega__home *home0, uint32_t id)
{
    for (uint32_t i = 0; i < MEGA_REGIONS_MAX; i++) {
        uint32_t of;
        if (state_of(&home0->block->regions[i].state, &of) == MEGA__REC_LIVE &&
            of == id)
            return true;
    }
    return false;
}

mega_status_t mega__dir_region_add(const struct mega__home *home0,
                                   struct mega__flusher *f, const char *name,
                                   uint32_t *line_p, uint32_t *id_p)
{
    struct mega__home_block *b = home0->block;
    uint64_t id;
    uint32_t line = 0;
    if (mega__dir_region_find(home0, name, &line) == MEGA_OK)
        return mega__fail(MEGA_ERR_EXISTS, "region %.63s exists", name);
    mega_status_t st =
        mega__home_read(home0, &b->next_region, "next region", &id);
    if (st)
        return st;
    for (line = 0; line < MEGA_REGIONS_MAX; line++)
        if (is_free(&b->regions[line].state))
            break;
    if (line == MEGA_REGIONS_MAX || id > MEGA__REGION_ID_MAX)
        return mega__fail(MEGA_ERR_TABLE_FULL,
                          "no room for region %.63s: %d exist, %llu were ever "
                          "made",
                          name, MEGA_REGIONS_MAX, (unsigned long long)id);
    struct mega__region_record *r = &b->regions[line];
    memset(r->name, 0, sizeof r->name);
    strncpy(r->name, name, MEGA_NAME_MAX);
    r->crc = mega__record_name_crc((uint32_t)id, r->name);
    r->bytes_per_home = mega__seal(0);
    mega__home_write(home0, f, &b->next_region, id + 1); /* (7) */
    mega__pool_flush(f, home0->how, r, sizeof *r);
    st = mega__pool_drain(f);
    if (!st)
        st = set_state(home0, f, &r->state, (uint32_t)id, MEGA__REC_CREATING);
    if (st)
        return st;
    *line_p = line;
    *id_p = (uint32_t)id;
    return MEGA_OK;
}

mega_status_t mega__dir_region_set(const struct mega__home *home0,
                                   struct mega__flusher *f, uint32_t line,
                                   enum mega__record_state state)
{
    uint64_t *word = &home0->block->regions[line].state;
    uint32_t id;
    state_of(word, &id);
    return set_state(home0, f, word, id, state);
}

mega_status_t mega__dir_region_bytes(const struct mega__home *home0,
                                     struct mega__flusher *f, uint32_t line,
                                     uint64_t bytes)
{
    mega__home_write(home0, f, &home0->block->regions[line].bytes_per_home,
                     bytes);
    return mega__pool_drain(f);
}

void mega__dir_live(const struct mega__home_block *block0,
                    struct mega__live *live)
{
    live->n = 1;
    live->ids[0] = MEGA__REGION_DEFAULT;
    live->bytes_per_home[0] = 0;
    live->nended = 0;
    for (unsigned i = 0; i < MEGA_REGIONS_MAX; i++) {
        const struct mega__region_record *r = &block0->regions[i];
        uint32_t id;
        switch (state_of(&r->state, &id)) {
        case MEGA__REC_LIVE:
            mega__unseal(r->bytes_per_home, &live->bytes_per_home[live->n]);
            live->ids[live->n++] = id;
            break;
        case MEGA__REC_CREATING:
        case MEGA__REC_DYING:
            live->ended[live->nended++] = id;
            break;
        default:
            break;
        }
    }
}

/* In any order: a root of a region that is not there goes at the next open. */
mega_status_t mega__dir_bury(const struct mega__home *home0,
                             struct mega__flusher *f, uint32_t only)
{
    struct mega__home_block *b = home0->block;
    struct mega__live live;
    uint32_t id;
    mega__dir_live(b, &live);
    for (unsigned i = 0; i < MEGA_ROOTS_MAX; i++)
        if (state_of(&b->roots[i].state, &id) == MEGA__REC_LIVE &&
            !mega__live_has(&live, id))
            write_state(home0, f, &b->roots[i].state, id, MEGA__REC_GONE);
    for (unsigned i = 0; i < MEGA_REGIONS_MAX; i++) {
        enum mega__record_state s = state_of(&b->regions[i].state, &id);
        if ((s == MEGA__REC_CREATING || s == MEGA__REC_DYING) &&
            (!only || id == only))
            write_state(home0, f, &b->regions[i].state, id, MEGA__REC_GONE);
    }
    return mega__pool_drain(f);
}

/* ---- Roots ---- */

static bool root_is(const struct mega__root_record *r, uint32_t region,
                    const char *name)
{
    uint32_t id;
    return state_of(&r->state, &id) == MEGA__REC_LIVE && id == region &&
           strncmp(r->name, name, MEGA__NAME_BYTES) == 0;
}

struct mega__root_record *mega__dir_root_find(const struct mega__home *home0,
                                              uint32_t region, const char *name)
{
    for (unsigned i = 0; i < MEGA_ROOTS_MAX; i++) {
        struct mega__root_record *r = &home0->block->roots[i];
        if (__atomic_load_n(&r->state, __ATOMIC_ACQUIRE) == 0)
            return NULL; /* NEVER: none behind it */
        if (root_is(r, region, name))
            return r;
    }
    return NULL;
}

mega_status_t mega__dir_root_make(const struct mega__home *home0,
                                  struct mega__flusher *f, uint32_t region,
                                  const char *name, uint32_t *line_p)
{
    struct mega__root_record *roots = home0->block->roots;
    struct mega__root_record *r = mega__dir_root_find(home0, region, name);
    if (r) {
        *line_p = (uint32_t)(r - roots);
        return MEGA_OK;
    }
    uint32_t line = 0;
    while (line < MEGA_ROOTS_MAX && !is_free(&roots[line].state))
        line++;
    if (line == MEGA_ROOTS_MAX)
        return mega__fail(MEGA_ERR_TABLE_FULL,
                          "no room for root %.63s: %d exist; remove some, or "
                          "link from one of them",
                          name, MEGA_ROOTS_MAX);
    r = &roots[line];
    /* First: who has looked at the state long ago may read the name now. */
    __atomic_store_n(&r->slot, 0, __ATOMIC_SEQ_CST);
    atomic_fetch_add(&home0->seg->roots_made, 1); /* it is null by now */
    memset(r->name, 0, sizeof r->name);
    strncpy(r->name, name, MEGA_NAME_MAX);
    r->crc = mega__record_name_crc(region, r->name);
    mega__pool_flush(f, home0->how, r, sizeof *r);
    mega_status_t st = mega__pool_drain(f);
    MEGA__CRASH(root_filled);
    if (!st)
        st = set_state(home0, f, &r->state, region, MEGA__REC_LIVE);
    MEGA__CRASH(root_live);
    if (!st)
        *line_p = line;
    return st;
}

mega_status_t mega__dir_root_remove(const struct mega__home *home0,
                                    struct mega__flusher *f, uint32_t region,
                                    const char *name)
{
    struct mega__root_record *r = mega__dir_root_find(home0, region, name);
    if (!r)
        return mega__fail(MEGA_ERR_NOT_FOUND, "there is no root %.63s", name);
    return set_state(home0, f, &r->state, region, MEGA__REC_GONE);
}

const struct mega__root_record *
mega__dir_root_next(const struct mega__home *home0, uint32_t region,
                    uint32_t *line_p)
{
    for (uint32_t i = *line_p; i < MEGA_ROOTS_MAX; i++) {
        const struct mega__root_record *r = &home0->block->roots[i];
        uint32_t id;
        if (state_of(&r->state, &id) != MEGA__REC_LIVE || id != region)
            continue;
        *line_p = i;
        return r;
    }
    return NULL;
}

uint64_t mega__dir_root_place(const struct mega__home *home0,
                              const struct mega__root_record *root)
{
    const uint32_t line = (uint32_t)(root - home0->block->roots);
    return (uint64_t)atomic_load(&home0->seg->roots_made) << 32 | line;
}

mega_gptr_t mega__dir_root_slot(uint32_t line)
{
    return mega__gptr(0, 0,
                      MEGA__HOME_BLOCK_OFF +
                          offsetof(struct mega__home_block, roots) +
                          line * sizeof(struct mega__root_record) +
                          offsetof(struct mega__root_record, slot));
}

/* ---- Raw runs ---- */

mega_status_t mega__dir_run_add(const struct mega__home *home,
                                struct mega__flusher *f, uint32_t region,
                                uint64_t base, uint64_t start, uint32_t extents)
{
    struct mega__run_record *runs = home->block->runs;
    unsigned i = 0;
    while (i < MEGA__RUNS_MAX && !is_free(&runs[i].state))
        i++;
    if (i == MEGA__RUNS_MAX)
        return mega__fail(MEGA_ERR_TABLE_FULL,
                          "home %u holds %d raw runs already: destroy regions, "
                          "or make fewer, larger ones",
                          home->no, MEGA__RUNS_MAX);
    runs[i].base = base;
    runs[i].start = start;
    runs[i].extents = extents;
    runs[i].crc = mega__record_run_crc(region, &runs[i]);
    mega__pool_flush(f, home->how, &runs[i], sizeof runs[i]);
    mega_status_t st = mega__pool_drain(f);
    return st ? st : set_state(home, f, &runs[i].state, region, MEGA__REC_LIVE);
}

bool mega__dir_run_known(const struct mega__home *home, uint32_t region,
                         uint64_t base)
{
    for (unsigned i = 0; i < MEGA__RUNS_MAX; i++) {
        const struct mega__run_record *r = &home->block->runs[i];
        uint32_t id;
        if (r->base == base && state_of(&r->state, &id) == MEGA__REC_LIVE &&
            id == region)
            return true;
    }
    return false;
}

mega_status_t mega__dir_run_verify(const struct mega__home *home)
{
    for (unsigned i = 0; i < MEGA__RUNS_MAX; i++) {
        const struct mega__run_record *r = &home->block->runs[i];
        enum mega__record_state state;
        uint32_t id;
        if (!mega__record_state(r->state, &state, &id) ||
            (state == MEGA__REC_LIVE && r->crc != mega__record_run_crc(id, r)))
            return mega__fail(MEGA_ERR_DAMAGED,
                              "home %u: run record %u in span 0 is damaged: "
                              "restore its files from a copy",
                              home->no, i);
    }
    return MEGA_OK;
}

mega_status_t
mega__dir_run_prune(const struct mega__home *home, struct mega__flusher *f,
                    bool (*keep)(uint32_t region, uint64_t start, void *arg),
                    void *arg)
{
    for (unsigned i = 0; i < MEGA__RUNS_MAX; i++) {
        struct mega__run_record *r = &home->block->runs[i];
        uint32_t id;
        if (state_of(&r->state, &id) == MEGA__REC_LIVE &&
            !keep(id, r->start, arg))
            write_state(home, f, &r->state, id, MEGA__REC_GONE);
    }
    return mega__pool_drain(f);
}
