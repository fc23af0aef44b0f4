/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * diffs.c - the differences that verify finds.
 */
#include "diffs.h"

#include <stdarg.h>
#include <stdio.h>

#include "job.h"

void ti_diffs_add(struct ti_diffs *d, const char *format, ...)
{
    va_list args;

    if (d->count < TI_DIFFS_TOLD) {
        va_start(args, format);
        vsnprintf(d->line[d->count], TI_DIFF_LEN, format, args);
        va_end(args);
    }
    d->count++;
}

static uint64_t tell(const struct ti_diffs *d, uint64_t told)
{
    for (uint64_t i = 0; i < d->count && i < TI_DIFFS_TOLD; i++)
        if (told < TI_DIFFS_TOLD) {
            ti_say("%s", d->line[i]);
            told++;
        }
    return told;
}

int ti_diffs_tell(const struct ti_diffs *mine)
{
    uint64_t count = 0, told = 0;

    for (int r = 0; r < mega_nranks(); r++) {
        struct ti_diffs theirs = *mine;
        mega_status_t st = mega_bcast(&theirs, sizeof theirs, r);
        if (st) {
            ti_failed("bcast", st);
            return TI_FAILED;
        }
        count += theirs.count;
        if (mega_rank() == 0)
            told = tell(&theirs, told);
    }
    if (count > told && mega_rank() == 0)
        ti_say("and %llu differences more", (unsigned long long)(count - told));
    return count > 0 ? TI_DIFFERS : TI_OK;
}
