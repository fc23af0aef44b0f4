/* SPDX-License-Identifier: BSD-3-Clause */
/* status.c - what happened, and what is where. */
#include "api.h"
#include "arena.h"
#include "check.h"
#include "log.h"
#include "stat.h"

const char *mega_strerror(mega_status_t status)
{
    switch (status) {
#define MEGA_X(name, value, text)                                              \
    case name:                                                                 \
        return text;
        MEGA_STATUS_LIST(MEGA_X)
#undef MEGA_X
    default:
        return "unknown status";
    }
}

const char *mega_errmsg(void)
{
    return mega__errmsg_buffer();
}

const char *mega_version(void)
{
    return PACKAGE_VERSION;
}

mega_status_t mega_home_stat(int home, mega_home_stat_t *stat_p)
{
    struct mega__ctx *ctx = mega__the;
    mega_status_t st;
    if (!ctx)
        return mega__api_closed();
    struct mega__home *of = mega__api_home(ctx, home, &st);
    if (!of)
        return st;
    if (!stat_p)
        return mega__api_no_place();
    return mega__stat_home(ctx, of, stat_p);
}

mega_status_t mega_recovery(mega_recovery_t *rec_p)
{
    if (!mega__the)
        return mega__api_closed();
    if (!rec_p)
        return mega__api_no_place();
    *rec_p = mega__the->recovery;
    return MEGA_OK;
}

mega_status_t mega_walk(mega_region_t r, int home, mega_walk_fn fn, void *arg,
                        int *stop_p)
{
    struct mega__ctx *ctx = mega__the;
    mega_status_t st;
    if (!ctx)
        return mega__api_closed();
    if (!fn)
        return mega__fail(MEGA_ERR_ARG, "no function to call");
    struct mega__home *on = mega__api_home(ctx, home, &st);
    if (!on)
        return st;
    uint32_t id;
    st = mega__api_region(r, &id);
    return st ? st : mega__stat_walk(ctx, on, id, fn, arg, stop_p);
}

mega_status_t mega_check(int home, mega_check_fn fn, void *arg, uint64_t *bad_p)
{
    struct mega__ctx *ctx = mega__the;
    mega_status_t st;
    if (!ctx)
        return mega__api_closed();
    if (!bad_p)
        return mega__api_no_place();
    struct mega__home *on = mega__api_home(ctx, home, &st);
    return on ? mega__check_home(ctx, on, fn, arg, bad_p) : st;
}

mega_status_t mega_counters(mega_counters_t *counters_p)
{
    if (!mega__the)
        return mega__api_closed();
    if (!counters_p)
        return mega__api_no_place();
    mega__arena_count_all(mega__the, counters_p);
    return MEGA_OK;
}
