/* SPDX-License-Identifier: BSD-3-Clause */
/* ops.c - see ops.h. */
#include "ops.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent.h"
#include "arena.h"
#include "directory.h"
#include "hot.h"
#include "log.h"
#include "net.h"
#include "report.h"
#include "rma.h"
#include "roll.h"

mega_status_t ops_alloc(struct mega__ctx *ctx, uint32_t region, int home,
                        size_t size, mega_gptr_t *p_p)
{
    return mega__hot_alloc(ctx, region, home, size, p_p);
}

mega_status_t ops_alloc_n(struct mega__ctx *ctx, int home, size_t size,
                          size_t count, mega_gptr_t *p_p)
{
    struct mega__arena *a = mega__arena(ctx);
    mega_status_t st = MEGA_OK;
    for (a->wanted = count; !st && a->wanted > 0; a->wanted -= !st)
        st = ops_alloc(ctx, OPS_DEFAULT, home, size, &p_p[count - a->wanted]);
    for (size_t n = count - a->wanted; st && n-- > 0;)
        OK(ops_free(ctx, p_p[n]));
    a->wanted = 0;
    return st;
}

mega_status_t ops_reserve_said(struct mega__ctx *ctx, int home, size_t size,
                               mega_gptr_t *p_p)
{
    struct mega__place at;
    uint8_t mark;
    bool in;
    mega_status_t st = mega__hot_reserve(ctx, OPS_DEFAULT, home, size, p_p);
    return st ? st : mega__chunk_look(ctx, *p_p, &at, &mark, &in);
}

mega_status_t ops_free(struct mega__ctx *ctx, mega_gptr_t p)
{
    return mega__hot_free(ctx, p);
}

mega_status_t ops_persist(struct mega__ctx *ctx, mega_gptr_t p, size_t n)
{
    return mega__rma_persist(ctx, p, n);
}

mega_status_t ops_drain(struct mega__ctx *ctx)
{
    return mega__rma_drain(ctx);
}

void *ops_at(struct mega__ctx *ctx, mega_gptr_t p)
{
    struct mega__span *span = mega__span_range(ctx, p, 1);
    if (!span) {
        report_fail(__FILE__, __LINE__, "pointer %llx names no memory here",
                    (unsigned long long)p.v);
        abort();
    }
    return span->base + mega_offset(p);
}

/* A get may overtake this thread's puts. */
static void get_far(struct mega__ctx *ctx, void *to, mega_gptr_t p, size_t n)
{
    OK(mega__net_flush(ctx->net));
    OK(mega__rma_get(ctx, to, p, n));
}

mega_gptr_t ops_load(struct mega__ctx *ctx, mega_gptr_t slot)
{
    uint64_t far = 0;
    if (mega__rma_is_remote(ctx, slot)) {
        get_far(ctx, &far, slot, sizeof far);
        return mega_from_bits(far);
    }
    uint64_t *at = ops_at(ctx, slot);
    return mega_from_bits(__atomic_load_n(at, __ATOMIC_ACQUIRE));
}

void ops_store(struct mega__ctx *ctx, mega_gptr_t slot, mega_gptr_t p)
{
    if (mega__rma_is_remote(ctx, slot)) {
        OK(mega__rma_put(ctx, slot, &p.v, sizeof p.v));
        return;
    }
    uint64_t *at = ops_at(ctx, slot);
    __atomic_store_n(at, p.v, __ATOMIC_RELEASE);
}

/* Eight bytes of the contents of a tag: a crash test compares for each image.
 */
static uint64_t word_of(uint64_t tag, size_t from)
{
    uint64_t x = (tag * 64 + from / 8 + 1) * UINT64_C(0x9e3779b97f4a7c15);
    return x ^ x >> 29;
}

static size_t first_told(size_t n, uint64_t tag)
{
    return tag & OPS_BRIEF && n > 256 ? (n - 16) & ~(size_t)7 : 0;
}

static void make(unsigned char *at, size_t from, size_t end, uint64_t tag)
{
    for (size_t i = from; i < end; i += 8) {
        const uint64_t word = word_of(tag, i);
        memcpy(at + (i - from), &word, end - i < 8 ? end - i : 8);
    }
}

void ops_bytes(unsigned char *at, size_t n, uint64_t tag)
{
    make(at, 0, n, tag);
}

void ops_fill(struct mega__ctx *ctx, mega_gptr_t p, size_t n, uint64_t tag)
{
    const size_t from = first_told(n, tag);
    p = mega_add(p, (int64_t)from);
    bool far = mega__rma_is_remote(ctx, p);
    unsigned char *at = far ? malloc(n - from) : ops_at(ctx, p);
    make(at, from, n, tag);
    if (!far)
        return;
    OK(mega__rma_put(ctx, p, at, n - from)); /* it arrives when it likes */
    free(at);
}

bool ops_filled(struct mega__ctx *ctx, mega_gptr_t p, size_t n, uint64_t tag)
{
    const struct mega__span *span = mega__span_range(ctx, p, n);
    if (!span)
        return false;
    const unsigned char *at =
        (const unsigned char *)span->base + mega_offset(p);
    for (size_t i = first_told(n, tag); i < n; i += 8) {
        const uint64_t word = word_of(tag, i);
        if (memcmp(at + i, &word, n - i < 8 ? n - i : 8) != 0)
            return false;
    }
    return true;
}

mega_gptr_t ops_root(struct mega__ctx *ctx, const char *name)
{
    struct mega__request req = {
        .op = MEGA__ASK_ROOT_MAKE, .home = 0, .arg = {OPS_DEFAULT, 0}};
    snprintf(req.text, sizeof req.text, "%s", name);
    mega_status_t st = mega__agent_ask(ctx, mega__home_at(ctx, 0), &req);
    CHECK(st == MEGA_OK, "root %s: %s", name, mega__errmsg_buffer());
    return st ? mega_null() : mega__dir_root_slot((uint32_t)req.result);
}

static void check_zero(struct mega__ctx *ctx, uint32_t home, uint32_t region)
{
    const struct mega__run_record *runs = ctx->homes[home].block->runs;
    for (unsigned i = 0; i < MEGA__RUNS_MAX; i++) {
        uint64_t state;
        if (!mega__unseal(runs[i].state, &state) ||
            state != ((uint64_t)region << 8 | MEGA__REC_LIVE))
            continue;
        const char *at = ops_at(ctx, mega__gptr(home, 0, runs[i].base));
        CHECK(!at[0] &&
                  memcmp(at, at + 1, runs[i].extents * MEGA__EXTENT - 1) == 0,
              "home %u: a raw run at %llu is not zeroed", home,
              (unsigned long long)runs[i].start);
    }
}

bool ops_region(struct mega__ctx *ctx, const char *name, uint32_t *id_p,
                uint64_t *bytes_p)
{
    const struct mega__region_record *r = ctx->homes[0].block->regions;
    enum mega__record_state state;
    uint32_t line;
    if (mega__dir_region_find(mega__home_at(ctx, 0), name, &line) != MEGA_OK)
        return false;
    mega__record_state(r[line].state, &state, id_p);
    CHECK(mega__unseal(r[line].bytes_per_home, bytes_p),
          "the size of region %s is damaged", name);
    for (uint32_t h = 0; h < ctx->nhomes; h++)
        check_zero(ctx, h, *id_p);
    return true;
}
