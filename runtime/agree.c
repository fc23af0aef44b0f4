/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * agree.c - how ranks come to the same answer, over the collectives of
 * boot.h: one allgather, and on failure a broadcast of the sentence, so that
 * every rank can say what went wrong on the rank where it did.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "boot.h"
#include "log.h"

mega_status_t mega__boot_agree(struct mega__boot *boot, mega_status_t mine)
{
    struct mega__boot_place place = mega__boot_place(boot);
    mega_status_t *all = calloc((size_t)place.nranks, sizeof *all);
    char text[MEGA__ERRMSG_MAX];
    int culprit = -1;
    if (!all)
        return mega__fail(MEGA_ERR_NOMEM, "no memory for %d ranks",
                          place.nranks);
    mega_status_t st = mega__boot_allgather(boot, &mine, sizeof mine, all);
    for (int i = 0; !st && culprit < 0 && i < place.nranks; i++)
        if (all[i])
            culprit = i;
    mega_status_t verdict = culprit < 0 ? st : all[culprit];
    free(all);
    if (culprit < 0)
        return verdict;
    memcpy(text, mega__errmsg_buffer(), sizeof text);
    st = mega__boot_bcast(boot, text, sizeof text, culprit);
    if (!st && culprit != place.rank)
        mega__fail(verdict, "%.480s (rank %d)", text, culprit);
    return verdict;
}

mega_status_t mega__boot_same(struct mega__boot *boot, const void *value,
                              size_t n, const char *what)
{
    char theirs[128];
    mega_status_t st = MEGA_OK;
    if (n > sizeof theirs)
        return mega__fail(MEGA_ERR_ARG, "%s is too long to compare", what);
    memcpy(theirs, value, n);
    st = mega__boot_bcast(boot, theirs, n, 0);
    if (st)
        return st;
    if (memcmp(theirs, value, n) != 0)
        st = mega__fail(MEGA_ERR_DIFFERS,
                        "%s is not the same on rank 0 and on rank %d", what,
                        mega__boot_place(boot).rank);
    return mega__boot_agree(boot, st);
}

mega_status_t mega__boot_gather_all(struct mega__boot *boot, const void *in,
                                    size_t n, void **out_p, size_t *n_p)
{
    size_t nranks = (size_t)mega__boot_place(boot).nranks;
    size_t *lens = calloc(nranks, sizeof *lens);
    size_t total = 0, widest = 0;
    char *mine = NULL, *padded = NULL, *out = NULL;
    mega_status_t st =
        lens ? MEGA_OK : mega__fail(MEGA_ERR_NOMEM, "no memory to gather");
    if (st)
        return st;
    st = mega__boot_allgather(boot, &n, sizeof n, lens);
    for (size_t i = 0; !st && i < nranks; i++) {
        total += lens[i];
        widest = lens[i] > widest ? lens[i] : widest;
    }
    if (!st) {
        mine = calloc(1, widest + 1);
        padded = malloc(widest * nranks + 1);
        out = malloc(total + 1);
        if (!mine || !padded || !out)
            st = mega__fail(MEGA_ERR_NOMEM, "no memory to gather %zu bytes",
                            total);
        st = mega__boot_agree(boot, st);
    }
    if (!st) {
        memcpy(mine, in, n);
        st = mega__boot_allgather(boot, mine, widest, padded);
    }
    for (size_t i = 0, at = 0; !st && i < nranks; at += lens[i++])
        memcpy(out + at, padded + i * widest, lens[i]);
    free(mine);
    free(padded);
    free(lens);
    if (st) {
        free(out);
        return st;
    }
    *out_p = out;
    *n_p = total;
    return MEGA_OK;
}
