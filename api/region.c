/* SPDX-License-Identifier: BSD-3-Clause */
/* region.c - the public calls on regions. */
#include "region.h"

#include <string.h>

#include "api.h"
#include "log.h"
#include "roll.h"
#include "stat.h"

/* The same name and number on all ranks, or DIFFERS. */
static mega_status_t same(struct mega__ctx *ctx, const char *name,
                          uint64_t number)
{
    char value[MEGA__NAME_BYTES + 8] = {0};
    if (name)
        memcpy(value, name, strlen(name)); /* checked: it fits */
    memcpy(value + MEGA__NAME_BYTES, &number, 8);
    return mega__boot_same(ctx->boot, value, sizeof value,
                           "the region's name or size");
}

static mega_status_t check_name(struct mega__ctx *ctx, const char *name,
                                const void *out, uint64_t number)
{
    mega_status_t st = mega__api_name(name);
    if (!st && !out)
        st = mega__fail(MEGA_ERR_ARG, "no place for the region's handle");
    st = mega__boot_agree(ctx->boot, st);
    return st ? st : same(ctx, name, number);
}

mega_status_t mega__api_region(mega_region_t r, uint32_t *id_p)
{
    mega_status_t st = r ? mega__region_usable(r) : MEGA_OK;
    if (!st)
        *id_p = r ? r->id : MEGA__REGION_DEFAULT;
    return st;
}

mega_status_t mega_region_create(const char *name, uint64_t bytes_per_home,
                                 unsigned flags, mega_region_t *r_p)
{
    mega_status_t st;
    struct mega__ctx *ctx = mega__api_begin(&st);
    if (!ctx)
        return st;
    if (flags)
        st = mega__fail(MEGA_ERR_ARG, "flags %#x: none is defined", flags);
    else if (bytes_per_home >> 47)
        st = mega__fail(MEGA_ERR_TOO_BIG, "%llu raw bytes: a home has less",
                        (unsigned long long)bytes_per_home);
    st = mega__boot_agree(ctx->boot, st);
    if (!st)
        st = check_name(ctx, name, r_p, bytes_per_home);
    if (!st)
        st = mega__region_create(ctx, name, bytes_per_home, r_p);
    return mega__api_end(ctx, st);
}

mega_status_t mega_region_open(const char *name, mega_region_t *r_p)
{
    mega_status_t st;
    struct mega__ctx *ctx = mega__api_begin(&st);
    if (!ctx)
        return st;
    st = check_name(ctx, name, r_p, 0);
    if (!st)
        st = mega__region_open(ctx, name, r_p);
    return mega__api_end(ctx, st);
}

mega_status_t mega_region_close(mega_region_t *r_p)
{
    mega_status_t st;
    struct mega__ctx *ctx = mega__api_begin(&st);
    if (!ctx)
        return st;
    if (!r_p || !*r_p)
        st = mega__fail(MEGA_ERR_ARG, "no region to close");
    else
        mega__region_close(r_p);
    return mega__api_end(ctx, st);
}

mega_status_t mega_region_destroy(mega_region_t *r_p)
{
    mega_status_t st;
    struct mega__ctx *ctx = mega__api_begin(&st);
    if (!ctx)
        return st;
    if (!r_p || !*r_p)
        st = mega__fail(MEGA_ERR_ARG, "the default region cannot be destroyed");
    else
        st = mega__region_usable(*r_p);
    st = mega__boot_agree(ctx->boot, st);
    if (!st)
        st = same(ctx, (*r_p)->name, (*r_p)->id);
    if (!st)
        st = mega__region_destroy(r_p);
    return mega__api_end(ctx, st);
}

mega_status_t mega_region_grow(mega_region_t r, uint64_t more_per_home)
{
    mega_status_t st;
    struct mega__ctx *ctx = mega__api_begin(&st);
    if (!ctx)
        return st;
    if (!r)
        st = mega__fail(MEGA_ERR_ARG, "the default region has no raw bytes");
    else if (more_per_home >> 47)
        st = mega__fail(MEGA_ERR_TOO_BIG, "%llu raw bytes: a home has less",
                        (unsigned long long)more_per_home);
    else
        st = mega__region_usable(r);
    st = mega__boot_agree(ctx->boot, st);
    if (!st)
        st = same(ctx, r->name, more_per_home);
    if (!st)
        st = mega__region_grow(r, more_per_home);
    return mega__api_end(ctx, st);
}

mega_status_t mega_region_stat(mega_region_t r, mega_region_stat_t *s)
{
    struct mega__ctx *ctx = mega__the;
    if (!ctx)
        return mega__api_closed();
    if (!s)
        return mega__api_no_place();
    if (!r)
        r = &ctx->def;
    uint64_t extents = 0;
    mega_status_t st = mega__region_usable(r);
    for (uint32_t h = 0; !st && h < ctx->nhomes; h++) {
        uint64_t here = 0;
        st = mega__stat_region(ctx, mega__home_at(ctx, h), r->id, &here);
        extents += here;
    }
    if (st)
        return st;
    memset(s, 0, sizeof *s);
    memcpy(s->name, r->name, sizeof s->name);
    s->id = r->id;
    s->bytes_per_home = r->bytes_per_home;
    s->extents = extents;
    return MEGA_OK;
}

mega_gptr_t mega_region_at(mega_region_t r, int home, uint64_t off,
                           uint64_t *len_p)
{
    if (!mega__the || !r || home < 0)
        return mega_null();
    return mega__region_at(r, (uint32_t)home, off, len_p);
}
