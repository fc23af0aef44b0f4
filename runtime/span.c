/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * span.c - a span: its parts, a new one, a mapped one.
 *
 * A new span needs only its words zeroed: marks mean nothing under FREE
 * (layout.h, 4), so half a gigabyte of them stays untouched in 16 GiB.
 */
#include "span.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "crc.h"
#include "home.h"
#include "log.h"
#include "net.h"
#include "seg.h"

static uint64_t up(uint64_t n, uint64_t to)
{
    return (n + to - 1) / to * to;
}

struct mega__span_plan mega__span_plan(uint32_t no, uint64_t size)
{
    struct mega__span_plan p;
    uint64_t at = MEGA__HOME_BLOCK_OFF;
    p.extents = (uint32_t)(size >> MEGA__EXTENT_SHIFT);
    if (no == 0)
        at += sizeof(struct mega__home_block);
    p.words_off = up(at, MEGA__LINE);
    p.hints_off = up(p.words_off + 8 * (uint64_t)p.extents, MEGA__LINE);
    p.marks_off = up(p.hints_off + 2 * (uint64_t)p.extents, MEGA__LINE);
    at = p.marks_off + MEGA__EXTENT_GRANULES * (uint64_t)p.extents;
    p.first = (uint32_t)(up(at, MEGA__EXTENT) >> MEGA__EXTENT_SHIFT);
    return p;
}

bool mega__span_fits(uint32_t no, uint64_t size)
{
    struct mega__span_plan p = mega__span_plan(no, size);
    return size <= UINT64_C(1) << MEGA_OFFSET_BITS && p.first < p.extents;
}

void mega__span_format(struct mega__flusher *f, enum mega__how how, char *base,
                       const struct mega__span_header *ident)
{
    struct mega__span_plan p = mega__span_plan(ident->span, ident->size);
    struct mega__span_header *h = (struct mega__span_header *)(void *)base;
    uint64_t *words = (uint64_t *)(void *)(base + p.words_off);
    memset(words, 0, 8 * (size_t)p.extents);
    for (uint32_t e = 0; e < p.first; e++)
        words[e] = MEGA__UNUSABLE;
    memset(base + p.hints_off, 0, 2 * (size_t)p.extents);
    *h = *ident;
    h->magic = MEGA__SPAN_MAGIC;
    h->words_off = p.words_off;
    h->marks_off = p.marks_off;
    h->first = p.first;
    h->crc = mega__crc(h, sizeof *h - 4);
    mega__pool_flush(f, how, words, 8 * (size_t)p.extents);
    mega__pool_flush(f, how, h, sizeof *h);
}

mega_status_t mega__span_verify(const char *base, const uint8_t uuid[16],
                                uint32_t home, uint32_t no, uint64_t size,
                                const char *where)
{
    struct mega__span_header h;
    struct mega__span_plan p = mega__span_plan(no, size);
    memcpy(&h, base, sizeof h);
    if (h.magic != MEGA__SPAN_MAGIC || h.crc != mega__crc(&h, sizeof h - 4))
        return mega__fail(MEGA_ERR_DAMAGED,
                          "%s: the header of span %u is damaged: restore the "
                          "file from a copy",
                          where, no);
    if (memcmp(h.uuid, uuid, 16) != 0 || h.home != home || h.span != no)
        return mega__fail(MEGA_ERR_MISMATCH,
                          "%s: holds span %u of home %u of another space or "
                          "place, not span %u of home %u",
                          where, h.span, h.home, no, home);
    if (h.size != size || h.words_off != p.words_off ||
        h.marks_off != p.marks_off || h.first != p.first)
        return mega__fail(MEGA_ERR_DAMAGED,
                          "%s: the header of span %u has %llu bytes, its "
                          "record %llu",
                          where, no, (unsigned long long)h.size,
                          (unsigned long long)size);
    return MEGA_OK;
}

struct mega__span *mega__span_new(struct mega__home *home, uint32_t no,
                                  char *base, uint64_t size, enum mega__how how)
{
    struct mega__span_plan p = mega__span_plan(no, size);
    struct mega__span *span = calloc(1, sizeof *span);
    if (span)
        span->slabs = calloc(p.extents, sizeof *span->slabs);
    if (!span || !span->slabs) {
        free(span);
        mega__fail(MEGA_ERR_NOMEM, "no memory for a span of %u extents",
                   p.extents);
        return NULL;
    }
    span->base = base;
    span->size = size;
    span->data = (uint64_t)p.first << MEGA__EXTENT_SHIFT;
    span->words_off = p.words_off;
    span->marks_off = p.marks_off;
    if (base) {
        span->words = (_Atomic uint64_t *)(void *)(base + p.words_off);
        span->hints = (_Atomic uint16_t *)(void *)(base + p.hints_off);
        span->marks = (_Atomic uint8_t *)(void *)(base + p.marks_off);
    }
    span->first = p.first;
    span->extents = p.extents;
    span->how = how;
    span->no = no;
    span->home = home;
    return span;
}

void mega__span_delete(struct mega__span **span_p)
{
    if (*span_p)
        free(*(void **)&(*span_p)->slabs);
    free(*span_p);
    *span_p = NULL;
}

_Thread_local mega_status_t mega__span_error;

struct mega__span *mega__span_meet(struct mega__ctx *ctx, uint32_t home_no,
                                   uint32_t no)
{
    struct mega__home *home = &ctx->homes[home_no];
    /* acquire pairs with the release in mega__home_list_span */
    if (!home->local || !home->seg ||
        no >= atomic_load_explicit(&home->seg->nspans, memory_order_acquire))
        return NULL;
    pthread_mutex_lock(&ctx->map_lock);
    struct mega__span *span =
        atomic_load_explicit(&home->spans[no], memory_order_relaxed);
    mega_status_t st =
        span ? MEGA_OK : mega__home_map_span(ctx, home, no, &span);
    pthread_mutex_unlock(&ctx->map_lock);
    if (st)
        mega__span_error = st;
    return span;
}

mega_status_t mega__span_why_none(struct mega__ctx *ctx, mega_gptr_t p)
{
    mega__span_error = MEGA_OK;
    return mega__span_of(ctx, p) ? MEGA_OK : mega__span_error;
}

static bool failed_by_net(struct mega__home *home, mega_status_t st)
{
    if (st == MEGA_ERR_PEER || st == MEGA_ERR_TIMEOUT)
        atomic_store_explicit(&home->lost, true, memory_order_relaxed);
    mega__span_error = st;
    return false;
}

bool mega__span_cas_nic(struct mega__span *span, uint32_t extent,
                        uint64_t expected, uint64_t desired)
{
    uint64_t old = 0;
    struct mega__home *home = span->home;
    mega_gptr_t p =
        mega__span_gptr(span, span->words_off + 8 * (uint64_t)extent);
    if (atomic_load_explicit(&home->lost, memory_order_relaxed))
        return failed_by_net(
            home, mega__fail(MEGA_ERR_PEER,
                             "nothing can be claimed or freed on home %u: the "
                             "rank that serves it was lost, or stopped",
                             home->no));
    mega_status_t st =
        mega__net_amo(atomic_load_explicit(&home->nic, memory_order_relaxed),
                      MEGA_AMO_CSWAP, 8, p, desired, expected, &old);
    if (st)
        return failed_by_net(home, st);
    if (old != expected)
        return false;
    /* Another card's may still be on its way to memory, where our next plain
     * store or flush has to find it. What is free by now is not ours. */
    while (desired != MEGA__FREE && mega__span_word(span, extent) == expected)
        sched_yield();
    return true;
}

/* ---- Tables ---- */

mega_status_t mega__span_make_table(struct mega__home *home)
{
    home->spans = calloc(MEGA__SPANS_MAX, sizeof *home->spans);
    return home->spans
               ? MEGA_OK
               : mega__fail(MEGA_ERR_NOMEM,
                            "no memory for the spans of home %u", home->no);
}

void mega__span_drop_table(struct mega__home *home)
{
    free((void *)home->spans);
    home->spans = NULL;
}
