/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * names.c - the public calls on named roots. Reading is done in place; a new
 * name, and its end, are the server of home 0's to write, so it is asked.
 */
#include <string.h>

#include "agent.h"
#include "api.h"
#include "arena.h"
#include "chunk.h"
#include "directory.h"
#include "dirty.h"
#include "log.h"
#include "rma.h"

static mega_status_t begin(const char *name, const void *out)
{
    if (!mega__the)
        return mega__api_closed();
    if (!mega__the->homes[0].local)
        return mega__fail(MEGA_ERR_UNSUPPORTED,
                          "home 0, which holds the roots, is on another host");
    if (!out)
        return mega__fail(MEGA_ERR_ARG, "no place for the answer");
    return mega__api_name(name);
}

static mega_status_t ask(enum mega__ask op, uint32_t region, const char *name,
                         uint32_t *line_p)
{
    struct mega__request req = {.op = (uint32_t)op, .arg = {region, 0}};
    strncpy(req.text, name, MEGA_NAME_MAX);
    mega_status_t st = mega__agent_ask(mega__the, &mega__the->homes[0], &req);
    if (!st && line_p)
        *line_p = (uint32_t)req.result;
    return st;
}

mega_status_t mega_root_slot(mega_region_t r, const char *name,
                             mega_gptr_t *slot_p)
{
    uint32_t line;
    mega_status_t st = begin(name, slot_p);
    if (st)
        return st;
    const struct mega__root_record *rec =
        mega__dir_root_find(&mega__the->homes[0], mega__api_region(r), name);
    if (rec)
        line = (uint32_t)(rec - mega__the->homes[0].block->roots);
    else
        st = ask(MEGA__ASK_ROOT_MAKE, mega__api_region(r), name, &line);
    if (!st)
        *slot_p = mega__dir_root_slot(line);
    return st;
}

mega_status_t mega_root_set(mega_region_t r, const char *name, mega_gptr_t p)
{
    mega_gptr_t slot;
    mega_status_t st = mega_root_slot(r, name, &slot);
    if (st)
        return st;
    /* A durable name must not hang on a mark that is not. */
    struct mega__arena *a = mega__arena(mega__the);
    struct mega__place at;
    if (!a)
        return MEGA_ERR_NOMEM;
    if (!mega_is_null(p) && mega__chunk_place(mega__the, p, &at) && at.mark) {
        mega__chunk_flush_marks(a, at.span, mega_offset(p), 1);
        st = mega__dirty_fence(a);
    }
    if (!st)
        st = mega__rma_amo(mega__the, MEGA_AMO_SET, 8, slot, p.v, 0, NULL);
    return st ? st : mega__rma_persist(mega__the, slot, 8);
}

mega_status_t mega_root_get(mega_region_t r, const char *name, mega_gptr_t *p_p)
{
    mega_status_t st = begin(name, p_p);
    if (st)
        return st;
    struct mega__root_record *rec =
        mega__dir_root_find(&mega__the->homes[0], mega__api_region(r), name);
    if (!rec)
        return mega__fail(MEGA_ERR_NOT_FOUND, "there is no root %.63s", name);
    *p_p = mega_from_bits(__atomic_load_n(&rec->slot, __ATOMIC_ACQUIRE));
    return MEGA_OK;
}

mega_status_t mega_root_remove(mega_region_t r, const char *name)
{
    mega_status_t st = begin(name, name);
    return st ? st
              : ask(MEGA__ASK_ROOT_REMOVE, mega__api_region(r), name, NULL);
}

mega_status_t mega_root_next(mega_region_t r, uint64_t *iter_p,
                             char name[MEGA_NAME_MAX + 1], mega_gptr_t *p_p)
{
    mega_status_t st = begin("any", p_p);
    if (st)
        return st;
    if (!iter_p || !name)
        return mega__fail(MEGA_ERR_ARG, "no place for the answer");
    const struct mega__root_record *roots = mega__the->homes[0].block->roots;
    for (uint64_t i = *iter_p; i < MEGA_ROOTS_MAX; i++) {
        enum mega__record_state state;
        uint32_t id;
        if (!mega__record_state(
                __atomic_load_n(&roots[i].state, __ATOMIC_ACQUIRE), &state,
                &id) ||
            state != MEGA__REC_LIVE || id != mega__api_region(r))
            continue;
        memcpy(name, roots[i].name, MEGA__NAME_BYTES);
        *p_p =
            mega_from_bits(__atomic_load_n(&roots[i].slot, __ATOMIC_ACQUIRE));
        *iter_p = i + 1;
        return MEGA_OK;
    }
    return mega__fail(MEGA_ERR_NOT_FOUND, "there are no more roots");
}
