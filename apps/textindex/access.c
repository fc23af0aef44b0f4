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
