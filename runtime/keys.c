/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * keys.c - see keys.h. A file in memory (share.h): a table of lists, and behind
 * it the entries, one after another, so it grows with the spans that the host
 * reaches.
 *
 * Happy path: room is taken by an addition, the entry is written to the file,
 * for a store would end the process where there is no memory, and one
 * compare-and-swap makes it the first of its list. It is whole or nobody sees
 * it; what a rank has begun when it is killed stays unused. No entry is changed
 * or removed. What can fail: there is no memory, or the room is used up; then
 * each who needs the span asks for itself.
 */
#include "keys.h"

#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

#include "log.h"
#include "share.h"

#define LISTS_MORE 1024u /* than ranks: few may serve many homes */
#define LIST_ROOM 4096u  /* addresses for the entries of each */
/* What is added, of 2^32, from a home or a span to the next: homes that follow
 * each other are spread as evenly as can be, by the golden ratio. */
#define HOME_STEP 2654435769u
#define SPAN_STEP 2246822507u

struct table {
    struct mega__shared shared;
    _Atomic uint64_t used;    /* bytes taken for entries */
    _Atomic uint64_t lists[]; /* the first entry, from the table's start; 0 */
};

struct entry {
    uint64_t next; /* as in lists */
    uint32_t home, span;
    char bytes[];
};

struct mega__keys {
    struct table *table;
    uint32_t nlists;
    uint64_t entries; /* where they begin */
    int fd;
};

static _Atomic uint64_t *list_of(const struct mega__keys *keys, uint32_t home,
                                 uint32_t span)
{
    uint32_t share = home * HOME_STEP + span * SPAN_STEP;
    return &keys->table->lists[(uint64_t)share * keys->nlists >> 32];
}

static const struct entry *look(const struct mega__keys *keys, uint64_t at,
                                uint32_t home, uint32_t span)
{
    const struct entry *e = NULL;
    for (; at; at = e->next) {
        e = (const void *)((const char *)keys->table + at);
        if (e->home == home && e->span == span)
            return e;
    }
    return NULL;
}

mega_status_t mega__keys_open(struct mega__ctx *ctx, struct mega__keys **keys_p)
{
    uint32_t nlists = (uint32_t)ctx->place.nranks + LISTS_MORE;
    size_t bytes = sizeof(struct table) + nlists * sizeof(uint64_t);
    void *p;
    int fd;
    mega_status_t st = mega__share_file(
        ctx, bytes, bytes + (size_t)nlists * LIST_ROOM, &p, &fd);
    if (st)
        return st;
    struct mega__keys *keys = malloc(sizeof *keys);
    if (!keys) {
        close(fd);
        mega__unshare(p);
        return mega__fail(MEGA_ERR_NOMEM, "no memory for keys of spans");
    }
    *keys = (struct mega__keys){p, nlists, bytes, fd};
    *keys_p = keys;
    return MEGA_OK;
}

void mega__keys_close(struct mega__keys **keys_p)
{
    struct mega__keys *keys = *keys_p;
    *keys_p = NULL;
    if (!keys)
        return;
    close(keys->fd);
    mega__unshare(keys->table);
    free(keys);
}

/* acquire: pairs with the release in keep. */
const void *mega__keys_find(const struct mega__keys *keys, uint32_t home,
                            uint32_t span)
{
    uint64_t first =
        atomic_load_explicit(list_of(keys, home, span), memory_order_acquire);
    const struct entry *e = look(keys, first, home, span);
    return e ? e->bytes : NULL;
}

/* 0: there is none. */
static uint64_t take_room(struct mega__keys *keys, size_t len)
{
    size_t padded = (len + 7) & ~(size_t)7;
    uint64_t at =
        keys->entries + atomic_fetch_add_explicit(&keys->table->used, padded,
                                                  memory_order_relaxed);
    return at + len <= keys->table->shared.bytes ? at : 0;
}

void mega__keys_keep(struct mega__keys *keys, uint32_t home, uint32_t span,
                     const void *bytes, size_t len)
{
    struct entry e = {.home = home, .span = span};
    struct iovec parts[2] = {{&e, sizeof e}, {(void *)bytes, len}};
    _Atomic uint64_t *list = list_of(keys, home, span);
    uint64_t first = atomic_load_explicit(list, memory_order_acquire);
    uint64_t at =
        look(keys, first, home, span) ? 0 : take_room(keys, sizeof e + len);
    if (!at)
        return;
    do {
        e.next = first;
        if (look(keys, first, home, span) || /* another was faster */
            pwritev(keys->fd, parts, 2, (off_t)at) != (ssize_t)(sizeof e + len))
            return;
    } while (!atomic_compare_exchange_weak_explicit(
        list, &first, at, memory_order_release, memory_order_acquire));
}
