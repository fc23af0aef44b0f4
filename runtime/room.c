/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * room.c - whether homes and their media can hold what a region asks for.
 *
 * A home's files never become smaller. A region that takes them in pieces, and
 * fails at the last one, has made them as large as they may be, or has filled
 * the medium, for nothing. So this is asked before: each server compares what
 * its homes lack with what they may grow by, and each host what all its homes
 * lack with what their media have. No locks but map_lock, in grow.c.
 */
#include "room.h"

#include <stdlib.h>

#include "arena.h"
#include "home.h"
#include "log.h"
#include "seg.h"
#include "slab.h"
#include "stat.h"

struct lack { /* of a home that has to grow */
    int host;
    uint32_t home;
    uint64_t device, room; /* of its medium */
    uint64_t bytes;
};

/* About: not exact where ranks of other hosts claim and free. */
static uint64_t about_free(const struct mega__home *home)
{
    uint32_t n = atomic_load_explicit(&home->seg->nspans, memory_order_acquire);
    int64_t sum = 0;
    for (uint32_t no = 0; no < n; no++)
        sum += atomic_load_explicit(&home->seg->spans[no].free,
                                    memory_order_relaxed);
    return sum > 0 ? (uint64_t)sum << MEGA__EXTENT_SHIFT : 0;
}

/* What of so many bytes is not there. Empty slabs count: they can be taken. */
static mega_status_t missing(struct mega__ctx *ctx, struct mega__home *home,
                             uint64_t bytes, uint64_t *bytes_p)
{
    struct mega__arena *a = mega__arena(ctx);
    uint64_t free = about_free(home), hole;
    mega_status_t st = MEGA_OK;
    if (!a)
        return MEGA_ERR_NOMEM;
    if (free < bytes) {
        mega__arena_trim(a, home);
        mega__slab_reclaim(a, home);
        st = mega__stat_room(ctx, home, &free, &hole);
    }
    if (!st)
        *bytes_p = free < bytes ? bytes - free : 0;
    return st;
}

static mega_status_t refuse(mega_status_t st, uint32_t home, uint64_t bytes)
{
    return mega__fail(st, "%llu raw bytes on home %u: %.400s",
                      (unsigned long long)bytes, home, mega__errmsg_buffer());
}

/* What the homes served here lack, at lacks; how many do. */
static mega_status_t ask_homes(struct mega__ctx *ctx, uint64_t bytes,
                               struct lack *lacks, size_t *n_p)
{
    uint32_t i = 0;
    size_t n = 0;
    for (struct mega__home *home; (home = mega__home_next_served(ctx, &i));) {
        struct lack lack = {.host = ctx->place.host, .home = home->no};
        uint64_t need;
        mega_status_t st = missing(ctx, home, bytes, &need);
        if (!st && need > 0)
            st = mega__home_takes(ctx, home, need, &lack.bytes, &lack.device,
                                  &lack.room);
        if (st)
            return refuse(st, home->no, bytes);
        if (need > 0)
            lacks[n++] = lack;
    }
    *n_p = n;
    return MEGA_OK;
}

/* The media of one host, by its first rank: homes may share them. */
static mega_status_t ask_media(const struct mega__ctx *ctx,
                               const struct lack *all, size_t n, uint64_t bytes)
{
    for (size_t i = 0; i < n; i++) {
        uint64_t sum = 0;
        if (all[i].host != ctx->place.host ||
            (i > 0 && all[i - 1].host == all[i].host &&
             all[i - 1].device == all[i].device))
            continue; /* not ours, or summed already */
        for (size_t k = 0; k < n; k++)
            if (all[k].host == all[i].host && all[k].device == all[i].device)
                sum += all[k].bytes;
        if (sum <= all[i].room)
            continue;
        mega_status_t st = mega__fail(
            MEGA_ERR_MEDIUM_FULL,
            "its medium has %llu bytes left, and homes there have to grow by "
            "%llu: free space there",
            (unsigned long long)all[i].room, (unsigned long long)sum);
        return refuse(st, all[i].home, bytes);
    }
    return MEGA_OK;
}

mega_status_t mega__room_check(struct mega__ctx *ctx, uint64_t bytes)
{
    uint32_t i = 0;
    size_t n = 0, served = 0, len = 0;
    int some = 0;
    void *all = NULL;
    while (mega__home_next_served(ctx, &i))
        served++;
    struct lack *lacks = calloc(served + 1, sizeof *lacks);
    mega_status_t st =
        lacks ? ask_homes(ctx, bytes, lacks, &n)
              : mega__fail(MEGA_ERR_NOMEM, "no memory to ask for room");
    st = mega__boot_agree(ctx->boot, st);
    if (!st)
        st = mega__boot_least(ctx->boot, n > 0 ? -1 : 0, &some);
    if (!st && some) {
        st = mega__boot_gather(ctx->boot, lacks, n * sizeof *lacks, &all, &len);
        if (!st && all)
            st = ask_media(ctx, all, len / sizeof *lacks, bytes);
        st = mega__boot_agree(ctx->boot, st);
    }
    free(all);
    free(lacks);
    return st;
}
