/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * names.c - the public calls on named roots, which home 0 holds. Where it is
 * mapped they are read in place; elsewhere its server is asked. A new name,
 * its end, and a value set by name are the server's to write: it does one after
 * another, so the line that it has found is still that of the name. A root's
 * slot is read and stored as any other 8 bytes, while the name is there.
 */
#include <string.h>

#include "agent.h"
#include "api.h"
#include "directory.h"
#include "log.h"
#include "rma.h"

static mega_status_t begin(mega_region_t r, const char *name, uint32_t *id_p)
{
    if (!mega__the)
        return mega__api_closed();
    mega_status_t st = mega__api_name(name);
    return st ? st : mega__api_region(r, id_p);
}

/* The same for a call that answers in *out. */
static mega_status_t begin_answer(mega_region_t r, const char *name,
                                  uint32_t *id_p, const void *out)
{
    mega_status_t st = begin(r, name, id_p);
    if (!st && !out)
        st = mega__api_no_place();
    return st;
}

static mega_status_t ask(enum mega__ask op, uint32_t region, const char *name,
                         uint64_t *place_p)
{
    struct mega__request req = {.op = (uint32_t)op, .arg = {region, 0}};
    strncpy(req.text, name, MEGA_NAME_MAX);
    mega_status_t st = mega__agent_ask(mega__the, &mega__the->homes[0], &req);
    if (!st && place_p)
        *place_p = req.result;
    return st;
}

static mega_status_t find(uint32_t region, const char *name, uint64_t *place_p)
{
    const struct mega__home *home0 = &mega__the->homes[0];
    if (!home0->local)
        return ask(MEGA__ASK_ROOT_FIND, region, name, place_p);
    const struct mega__root_record *rec =
        mega__dir_root_find(home0, region, name);
    if (!rec)
        return mega__fail(MEGA_ERR_NOT_FOUND, "there is no root %.63s", name);
    *place_p = mega__dir_root_place(home0, rec);
    return MEGA_OK;
}

/* The next root from a line on. */
static mega_status_t next(uint32_t region, uint32_t line, uint64_t *place_p,
                          char name[MEGA__NAME_BYTES])
{
    const struct mega__home *home0 = &mega__the->homes[0];
    if (home0->local) {
        const struct mega__root_record *rec =
            mega__dir_root_next(home0, region, &line);
        if (!rec)
            return mega__fail(MEGA_ERR_NOT_FOUND, "there are no more roots");
        memcpy(name, rec->name, MEGA__NAME_BYTES);
        *place_p = mega__dir_root_place(home0, rec);
        return MEGA_OK;
    }
    struct mega__request req = {.op = MEGA__ASK_ROOT_NEXT,
                                .arg = {region, line}};
    mega_status_t st = mega__agent_ask(mega__the, &mega__the->homes[0], &req);
    if (st)
        return st;
    memcpy(name, req.text, MEGA__NAME_BYTES);
    name[MEGA_NAME_MAX] = '\0';
    *place_p = req.result;
    return MEGA_OK;
}

static mega_gptr_t slot_at(uint64_t place)
{
    return mega__dir_root_slot((uint32_t)place);
}

static mega_status_t value(uint64_t place, mega_gptr_t *p_p)
{
    return mega__rma_amo(mega__the, MEGA_AMO_FETCH, 8, slot_at(place), 0, 0,
                         &p_p->v);
}

mega_status_t mega_root_slot(mega_region_t r, const char *name,
                             mega_gptr_t *slot_p)
{
    uint64_t place;
    uint32_t region;
    mega_status_t st = begin_answer(r, name, &region, slot_p);
    if (st)
        return st;
    st = MEGA_ERR_NOT_FOUND; /* making one finds it too */
    if (mega__the->homes[0].local || mega__the->readonly)
        st = find(region, name, &place);
    if (st == MEGA_ERR_NOT_FOUND)
        st = ask(MEGA__ASK_ROOT_MAKE, region, name, &place);
    if (!st)
        *slot_p = slot_at(place);
    return st;
}

mega_status_t mega_root_set(mega_region_t r, const char *name, mega_gptr_t p)
{
    struct mega__request req = {.op = MEGA__ASK_ROOT_SET};
    uint32_t region;
    mega_status_t st = begin(r, name, &region);
    /* A durable name must not hang on a mark that is not; and a pointer that
     * is none makes no name. */
    if (!st && !mega_is_null(p))
        st = mega__rma_persist_marks(mega__the, p);
    if (st)
        return st;
    req.arg[0] = region;
    req.arg[1] = p.v;
    strncpy(req.text, name, MEGA_NAME_MAX);
    return mega__agent_ask(mega__the, &mega__the->homes[0], &req);
}

mega_status_t mega_root_get(mega_region_t r, const char *name, mega_gptr_t *p_p)
{
    uint64_t place, then;
    uint32_t region;
    mega_gptr_t p = mega_null();
    mega_status_t st = begin_answer(r, name, &region, p_p);
    if (!st)
        st = find(region, name, &place);
    for (then = UINT64_MAX; !st && place != then;) {
        then = place;
        st = value(place, &p);
        if (!st) /* it may have gone, and the line have been another's */
            st = find(region, name, &place);
    }
    if (!st)
        *p_p = p;
    return st;
}

mega_status_t mega_root_remove(mega_region_t r, const char *name)
{
    uint32_t region;
    mega_status_t st = begin(r, name, &region);
    return st ? st : ask(MEGA__ASK_ROOT_REMOVE, region, name, NULL);
}

mega_status_t mega_root_next(mega_region_t r, uint64_t *iter_p,
                             char name[MEGA_NAME_MAX + 1], mega_gptr_t *p_p)
{
    char found[MEGA__NAME_BYTES], again[MEGA__NAME_BYTES];
    mega_gptr_t p;
    uint64_t place, then;
    uint32_t region;
    mega_status_t st = begin_answer(r, "any", &region, p_p);
    if (st)
        return st;
    if (!iter_p || !name)
        return mega__api_no_place();
    uint32_t line =
        *iter_p < MEGA_ROOTS_MAX ? (uint32_t)*iter_p : MEGA_ROOTS_MAX;
    do { /* as in mega_root_get */
        st = next(region, line, &place, found);
        if (!st)
            st = value(place, &p);
        if (!st)
            st = next(region, (uint32_t)place, &then, again);
    } while (!st && (then != place || strcmp(found, again) != 0));
    if (st)
        return st;
    memcpy(name, found, sizeof found);
    *p_p = p;
    *iter_p = (uint32_t)place + UINT64_C(1);
    return MEGA_OK;
}
