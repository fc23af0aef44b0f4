/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * agree.c - how ranks come to the same answer, over the collectives of
 * boot.h: one reduction, and on failure a broadcast of the sentence, so that
 * every rank can say what went wrong on the rank where it did.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "boot.h"
#include "log.h"

struct failure {
    mega_status_t status;
    char text[MEGA__ERRMSG_MAX];
};

mega_status_t mega__boot_agree(struct mega__boot *boot, mega_status_t mine)
{
    const int rank = mega__boot_place(boot).rank;
    int culprit;
    mega_status_t st = mega__boot_least(boot, mine ? rank : INT_MAX, &culprit);
    if (st || culprit == INT_MAX)
        return st;
    struct failure f = {.status = mine};
    memcpy(f.text, mega__errmsg_buffer(), sizeof f.text);
    st = mega__boot_bcast(boot, &f, sizeof f, culprit);
    if (!st && culprit != rank)
        mega__fail(f.status, "%.480s (rank %d)", f.text, culprit);
    return st ? st : f.status;
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

/* ---- Gathering: on each host, then from host to host ---- */

struct level {
    size_t count; /* who gives */
    size_t *lens;
    size_t widest, total;
    char *mine, *all; /* padded to the widest; all: who gets it */
};

static void measure(struct level *l)
{
    for (size_t i = 0; i < l->count; i++) {
        l->total += l->lens[i];
        l->widest = l->lens[i] > l->widest ? l->lens[i] : l->widest;
    }
}

static mega_status_t make_room(struct level *l, const void *in, size_t n,
                               bool gets)
{
    if (l->widest > INT_MAX) /* on one host perhaps: all are to know */
        return mega__fail(MEGA_ERR_TOO_BIG, "cannot gather %zu bytes at once",
                          l->widest);
    l->mine = calloc(1, l->widest + 1);
    l->all = gets ? malloc(l->widest * l->count + 1) : NULL;
    if (!l->mine || (gets && !l->all))
        return mega__fail(MEGA_ERR_NOMEM, "no memory to gather %zu bytes",
                          l->total);
    if (n > 0)
        memcpy(l->mine, in, n);
    return MEGA_OK;
}

static void pack(struct level *l)
{
    for (size_t i = 0, at = 0; i < l->count; at += l->lens[i++])
        memmove(l->all + at, l->all + i * l->widest, l->lens[i]);
}

static mega_status_t gather_on_host(struct mega__boot *boot, const void *in,
                                    size_t n, struct level *l, bool first)
{
    mega_status_t st = mega__boot_host_gather(boot, &n, sizeof n, l->lens);
    if (!st && first)
        measure(l);
    if (!st)
        st = mega__boot_host_bcast(boot, &l->widest, sizeof l->widest);
    if (!st)
        st = make_room(l, in, n, first);
    st = mega__boot_agree(boot, st);
    if (!st)
        st = mega__boot_host_gather(boot, l->mine, l->widest, l->all);
    if (!st && first)
        pack(l);
    return st;
}

static mega_status_t gather_of_hosts(struct mega__boot *boot,
                                     const struct level *host, struct level *l,
                                     bool first)
{
    mega_status_t st = MEGA_OK;
    if (first)
        st = mega__boot_firsts_allgather(boot, &host->total, sizeof host->total,
                                         l->lens);
    if (!st && first) {
        measure(l);
        st = make_room(l, host->all, host->total, true);
    }
    st = mega__boot_agree(boot, st);
    if (!st && first)
        st = mega__boot_firsts_allgather(boot, l->mine, l->widest, l->all);
    if (!st && first)
        pack(l);
    return st;
}

mega_status_t mega__boot_gather(struct mega__boot *boot, const void *in,
                                size_t n, void **out_p, size_t *n_p)
{
    const struct mega__boot_place place = mega__boot_place(boot);
    const bool first = place.host_rank == 0;
    struct level host = {.count = (size_t)place.host_nranks};
    struct level all = {.count = (size_t)place.nhosts};
    mega_status_t st = MEGA_OK;
    if (first) {
        host.lens = calloc(host.count, sizeof *host.lens);
        all.lens = calloc(all.count, sizeof *all.lens);
        if (!host.lens || !all.lens)
            st = mega__fail(MEGA_ERR_NOMEM, "no memory to gather");
    }
    st = mega__boot_agree(boot, st);
    if (!st)
        st = gather_on_host(boot, in, n, &host, first);
    if (!st)
        st = gather_of_hosts(boot, &host, &all, first);
    free(host.lens);
    free(host.mine);
    free(host.all);
    free(all.lens);
    free(all.mine);
    if (st) {
        free(all.all);
        return st;
    }
    *out_p = all.all;
    *n_p = all.total;
    return MEGA_OK;
}
