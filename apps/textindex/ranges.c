/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ranges.c - byte ranges of the space to be made durable together.
 */
#include "ranges.h"

#include <stdlib.h>

#include "job.h"

#define LINE 64u
#define PIECE 512u      /* ranges for one call */
#define EXTENT_SHIFT 16 /* of what Megalloc fills with one size of chunks */
#define POWER_GAP 256u  /* to flush 4 clean lines beats one fence */
#define MSYNC_GAP (1u << 20) /* msync writes only the pages that changed */

/* The homes of a host lie on one kind of medium, as a rule; to persist on one
 * of another host is a message, whose parts need not be joined. */
mega_status_t ti_ranges_gap(uint64_t *gap_p)
{
    mega_home_stat_t stat = {0};

    if (mega_my_home() >= 0) {
        mega_status_t st = mega_home_stat(mega_my_home(), &stat);
        if (st)
            return ti_failed("home_stat", st);
    }
    *gap_p = stat.domain == MEGA_DOMAIN_POWER   ? POWER_GAP
             : stat.domain == MEGA_DOMAIN_MSYNC ? MSYNC_GAP
                                                : 0;
    return MEGA_OK;
}

static int same_span(uint64_t a, uint64_t b)
{
    return a >> MEGA_OFFSET_BITS == b >> MEGA_OFFSET_BITS;
}

/* Extends last by next if they are no further apart than gap. */
static int join(struct ti_range *last, const struct ti_range *next,
                uint64_t gap)
{
    uint64_t end = last->begin + last->len;

    if (next->begin < last->begin || next->begin > end + gap ||
        !same_span(last->begin, next->begin))
        return 0;
    if (next->begin + next->len > end)
        last->len = next->begin + next->len - last->begin;
    return 1;
}

void ti_ranges_add(struct ti_ranges *r, mega_gptr_t p, uint64_t len)
{
    struct ti_range next = {p.v, len};

    size_t *recent = &r->recent[(p.v >> EXTENT_SHIFT) % TI_RANGES_RECENT];

    if (*recent < r->count && join(&r->v[*recent], &next, LINE))
        return;
    if (r->count == r->cap)
        r->v = ti_room(r->v, &r->cap, r->count + 1, sizeof *r->v);
    *recent = r->count;
    r->v[r->count++] = next;
}

static int by_begin(const void *a, const void *b)
{
    const struct ti_range *x = a, *y = b;

    return (x->begin > y->begin) - (x->begin < y->begin);
}

/* Sorts and joins; returns how many ranges are left. */
static size_t simplify(struct ti_range *v, size_t count, uint64_t gap)
{
    size_t left = 0;

    if (count == 0)
        return 0; /* qsort wants an array even then */
    qsort(v, count, sizeof *v, by_begin);
    for (size_t i = 0; i < count; i++)
        if (left == 0 || !join(&v[left - 1], &v[i], gap))
            v[left++] = v[i];
    return left;
}

mega_status_t ti_ranges_persist(struct ti_ranges *r, uint64_t gap)
{
    size_t count = r->count;

    if (gap > 0)
        count = simplify(r->v, count, gap);
    r->count = 0;
    for (size_t i = 0; i < count; i += PIECE) {
        mega_iov_t piece[PIECE];
        size_t n = count - i < PIECE ? count - i : PIECE;
        for (size_t k = 0; k < n; k++)
            piece[k] = (mega_iov_t){.p = mega_from_bits(r->v[i + k].begin),
                                    .len = r->v[i + k].len};
        mega_status_t st = mega_persistv(piece, n);
        if (st)
            return ti_failed("persist", st);
    }
    return MEGA_OK;
}

void ti_ranges_free(struct ti_ranges *r)
{
    free(r->v);
    *r = (struct ti_ranges){0};
}
