/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * degraded.c - see degraded.h. Reading needs no more than the usual code; what
 * keeps it from writing is asked for where writes begin, and files are mapped
 * read-only, for whoever writes through an address.
 */
#include "degraded.h"

#include <stdio.h>

#include "home.h"
#include "log.h"
#include "whereabouts.h"

mega_status_t mega__degraded_refuse(void)
{
    return mega__fail(MEGA_ERR_UNSUPPORTED,
                      "the space is open read-only: to change it open it "
                      "without MEGALLOC_OPEN=degraded");
}

mega_status_t mega__degraded_missing(struct mega__ctx *ctx,
                                     const struct mega__missing *missing)
{
    char path[MEGA__PATH], others[32] = "";
    mega_status_t st = mega__home_path(ctx, missing->home, 0, "", path);
    if (missing->n > 1)
        snprintf(others, sizeof others, " (and %u more)", missing->n - 1);
    return st ? st
              : mega__fail(
                    MEGA_ERR_ABSENT,
                    "home %u of %u is missing%s:%s%s%s no host of this job has "
                    "%s; put it back, or run on its host%s",
                    missing->home, missing->of, others,
                    *missing->host ? " it was last on host " : "",
                    missing->host, *missing->host ? "," : "", path,
                    ctx->readonly
                        ? ""
                        : ", or read the rest with MEGALLOC_OPEN=degraded");
}

mega_status_t mega__degraded_absent(struct mega__ctx *ctx, uint32_t home)
{
    char name[MEGA__WHERE_BYTES] = "";
    const struct mega__home *before =
        &ctx->homes[(home + ctx->nhomes - 1) % ctx->nhomes];
    if (before->local)
        mega__where_read(before->block, name);
    const struct mega__missing missing = {
        .n = ctx->nabsent, .of = ctx->nhomes, .home = home, .host = name};
    return mega__degraded_missing(ctx, &missing);
}

void mega__degraded_notice(struct mega__ctx *ctx)
{
    char list[128] = "";
    size_t used = 0;
    if (ctx->place.rank != 0)
        return;
    for (uint32_t h = 0; h < ctx->nhomes; h++) {
        if (!mega__degraded_is_absent(ctx, h))
            continue;
        if (used + 16 > sizeof list) {
            snprintf(list + used, sizeof list - used, " ...");
            break;
        }
        used += (size_t)snprintf(list + used, sizeof list - used, " %u", h);
    }
    mega__log(MEGA__LOG_WARN,
              "MEGALLOC_OPEN=degraded: the space is read-only; of its %u homes "
              "%u are absent%s%s%s",
              ctx->nhomes, ctx->nabsent, ctx->nabsent ? ":" : "", list,
              ctx->recovery.clean
                  ? ""
                  : "; the job before did not end cleanly, and what it left is "
                    "shown as it is, before recovery");
}
