/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * access.c - reading and writing the space, near and far.
 */
#include "access.h"

#include <string.h>

#include "job.h"

const void *ti_view(mega_gptr_t p, size_t n, struct ti_buf *buf)
{
    const void *near = mega_ptr(p);

    if (near)
        return near;
    buf->bytes = ti_room(buf->bytes, &buf->cap, n, 1);
    mega_status_t st = mega_get(buf->bytes, p, n);
    if (st) {
        ti_failed("read", st);
        return NULL;
    }
    return buf->bytes;
}

mega_status_t ti_load(mega_gptr_t p, uint64_t *value_p)
{
    const uint64_t *near = mega_ptr(p);

    if (near) {
        /* Pairs with the release of mega_cswap64 in batch.c. */
        *value_p = __atomic_load_n(near, __ATOMIC_ACQUIRE);
        return MEGA_OK;
    }
    mega_status_t st = mega_fetch64(p, value_p);
    return st ? ti_failed("read", st) : MEGA_OK;
}

/* ---- Many at a time ---- */

#define GUESS 40u /* bytes beyond its head that are asked for, too */

/* How many of its bytes are to be there after the next quiet. */
static size_t wanted(const struct ti_part *p)
{
    return p->have ? p->size(p->copy)
                   : ti_readable(p->at, p->head, p->head + GUESS);
}

static mega_status_t ask(struct ti_part *p)
{
    size_t n = wanted(p), have = p->have;

    p->copy = ti_realloc(p->copy, n);
    p->have = n;
    return mega_get_nbi((char *)p->copy + have,
                        mega_add(mega_from_bits(p->at), (int64_t)have),
                        n - have);
}

/* Asks for what is not there; *asked_p: of how many chunks. */
static mega_status_t ask_all(struct ti_part *const *part, size_t n,
                             size_t *asked_p)
{
    mega_status_t st = MEGA_OK;

    *asked_p = 0;
    for (size_t i = 0; i < n && !st; i++) {
        if (!part[i]->view)
            part[i]->view = mega_ptr(mega_from_bits(part[i]->at));
        if (part[i]->view)
            continue;
        st = ask(part[i]);
        if (++*asked_p % TI_AT_ONCE == 0 && !st)
            st = mega_quiet();
    }
    mega_status_t came = mega_quiet(); /* it writes to the copies */
    return st ? st : came;
}

mega_status_t ti_fetch(struct ti_part *const *part, size_t n)
{
    size_t asked;

    do {
        mega_status_t st = ask_all(part, n, &asked);
        if (st)
            return ti_failed("read", st);
        for (size_t i = 0; i < n; i++)
            if (!part[i]->view && part[i]->size(part[i]->copy) <= part[i]->have)
                part[i]->view = part[i]->copy;
    } while (asked > 0);
    return MEGA_OK;
}

mega_status_t ti_write(mega_gptr_t p, const void *src, size_t n)
{
    void *near = mega_ptr(p);

    if (near) {
        memcpy(near, src, n);
        return MEGA_OK;
    }
    mega_status_t st = mega_put(p, src, n);
    return st ? ti_failed("write", st) : MEGA_OK;
}

mega_status_t ti_store(mega_gptr_t p, uint64_t value)
{
    mega_status_t st = mega_set64(p, value);

    return st ? ti_failed("write", st) : MEGA_OK;
}
