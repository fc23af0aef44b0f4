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

mega_status_t mega__degraded_refuse(void)
{
    return mega__fail(MEGA_ERR_UNSUPPORTED,
                      "the space is open read-only: to change it open it "
                      "without MEGALLOC_OPEN=degraded");
}

mega_status_t mega__degraded_absent(struct mega__ctx *ctx, uint32_t home)
{
    char path[MEGA__PATH];
    mega_status_t st = mega__home_path(ctx, home, 0, "", path);
    return st ? st
              : mega__fail(MEGA_ERR_ABSENT,
                           "home %u of %u is absent: no host of this job has "
                           "%s; put it back, or run on its host",
                           home, ctx->nhomes, path);
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
