/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * job.c - exit status, messages, agreement between the ranks, memory.
 */
#include "job.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

void ti_say(const char *format, ...)
{
    char line[4600];
    int len = snprintf(line, sizeof line, "textindex: ");
    va_list args;

    va_start(args, format);
    int more =
        vsnprintf(line + len, sizeof line - (size_t)len - 1, format, args);
    va_end(args);
    if (more > 0)
        len += more;
    if (len > (int)sizeof line - 2)
        len = (int)sizeof line - 2;
    line[len++] = '\n';
    /* Nothing is left to tell if stderr itself fails. */
    if (write(STDERR_FILENO, line, (size_t)len) < 0)
        return;
}

mega_status_t ti_failed(const char *what, mega_status_t status)
{
    const char *why = mega_errmsg();

    ti_say("rank %d: %s: %s", mega_rank(), what,
           why[0] ? why : mega_strerror(status));
    /* Who waits for all ranks now would wait for the lost one, too, for ever.
     * The launcher ends the others when it sees us go. */
    if (status == MEGA_ERR_TIMEOUT || status == MEGA_ERR_PEER)
        _exit(TI_LOST);
    return status;
}

int ti_agree(int code)
{
    int worst = code;

    for (int r = 0; r < mega_nranks(); r++) {
        int theirs = code;
        mega_status_t st = mega_bcast(&theirs, sizeof theirs, r);
        if (st) {
            ti_failed("agree", st);
            return TI_FAILED;
        }
        if (theirs > worst)
            worst = theirs;
    }
    return worst;
}

mega_status_t ti_sum(uint64_t mine, uint64_t *sum_p)
{
    uint64_t sum = 0;

    for (int r = 0; r < mega_nranks(); r++) {
        uint64_t theirs = mine;
        mega_status_t st = mega_bcast(&theirs, sizeof theirs, r);
        if (st)
            return ti_failed("sum", st);
        sum += theirs;
    }
    *sum_p = sum;
    return MEGA_OK;
}

double ti_seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

void *ti_realloc(void *old, size_t size)
{
    void *p = realloc(old, size ? size : 1);

    if (!p) {
        ti_say("no memory for %zu bytes", size);
        _exit(TI_FAILED);
    }
    return p;
}

void *ti_room(void *old, size_t *cap_p, size_t need, size_t size)
{
    if (need <= *cap_p)
        return old;

    size_t cap = *cap_p ? *cap_p : 64;
    while (cap < need)
        cap *= 2;
    *cap_p = cap;
    return ti_realloc(old, cap * size);
}
