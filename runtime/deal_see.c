/* SPDX-License-Identifier: BSD-3-Clause */
/* deal_see.c - see deal_see.h. */
#include "deal_see.h"

#include <stdlib.h>

#include "host.h"
#include "log.h"
#include "view.h"

/* The ranks of this host take turns in serving what it sees; list NULL: what
 * they are to make. */
static void attribute(struct mega__ctx *ctx, struct mega__sighting *mine,
                      const struct mega__seen *list, size_t n, const int *ranks)
{
    const uint64_t kernel = mega__host_kernel();
    for (size_t i = 0; i < n; i++) {
        const int server = ranks[i % (size_t)ctx->place.host_nranks];
        mine[i] = (struct mega__sighting){
            .home = list ? list[i].home : (uint32_t)server,
            .host = ctx->place.host,
            .server = server,
            .file = list && list[i].file ? list[i].file ^ kernel : 0};
        mega__conf_host(&ctx->conf, mine[i].name, sizeof mine[i].name);
    }
}

/* Hosts that are on one machine may see one file: the first that can open it
 * has the home. Two files of one home stay, to be refused. */
static mega_status_t once_each(struct mega__sighting *seen, size_t *n_p)
{
    enum { NOBODY = -1 };
    size_t kept = 0;
    uint32_t *first = calloc(MEGA__HOMES_MAX, sizeof *first); /* 1.. */
    if (!first)
        return mega__fail(MEGA_ERR_NOMEM, "no memory to list homes");
    for (size_t i = 0; i < *n_p; i++) {
        if (seen[i].home >= MEGA__HOMES_MAX)
            continue;
        uint32_t *at = &first[seen[i].home];
        struct mega__sighting *other = *at ? &seen[*at - 1] : NULL;
        if (other && (!seen[i].file || seen[i].file == other->file)) {
            seen[i].host = NOBODY;
            continue;
        }
        if (other && !other->file)
            other->host = NOBODY;
        *at = (uint32_t)i + 1;
    }
    for (size_t i = 0; i < *n_p; i++)
        if (seen[i].host != NOBODY)
            seen[kept++] = seen[i];
    *n_p = kept;
    free(first);
    return MEGA_OK;
}

mega_status_t mega__see(struct mega__ctx *ctx, bool make,
                        struct mega__seeing *s)
{
    const size_t nranks = (size_t)ctx->place.host_nranks;
    const bool first = ctx->place.host_rank == 0;
    struct mega__seen *list = NULL;
    struct mega__sighting *mine = NULL;
    int *ranks = calloc(nranks, sizeof *ranks);
    size_t n = 0, bytes = 0;
    void *all = NULL;
    mega_status_t st =
        ranks ? MEGA_OK
              : mega__fail(MEGA_ERR_NOMEM, "no memory for %zu ranks", nranks);
    if (!st && first && !make)
        st = mega__view_find(&ctx->conf, &list, &n);
    n = first && make ? nranks : n;
    if (!st && !(mine = calloc(n + 1, sizeof *mine)))
        st = mega__fail(MEGA_ERR_NOMEM, "no memory for %zu homes", n);
    st = mega__boot_agree(ctx->boot, st);
    if (!st)
        st = mega__boot_host_gather(ctx->boot, &ctx->place.rank, sizeof(int),
                                    ranks);
    if (!st)
        attribute(ctx, mine, make ? NULL : list, n, ranks);
    if (!st)
        st = mega__boot_gather(ctx->boot, mine, n * sizeof *mine, &all, &bytes);
    free(list);
    free(mine);
    free(ranks);
    *s = (struct mega__seeing){all, bytes / sizeof *s->list, make ? 0 : n};
    return st || make || ctx->place.nhosts == 1
               ? st
               : mega__boot_agree(ctx->boot,
                                  all ? once_each(all, &s->n) : MEGA_OK);
}

mega_status_t mega__see_again(struct mega__ctx *ctx,
                              const struct mega__seeing *s, bool *other_p)
{
    struct mega__seen *list = NULL;
    size_t n = 0;
    int same = 0;
    mega_status_t st = MEGA_OK;
    if (ctx->place.host_rank == 0)
        st = mega__view_find(&ctx->conf, &list, &n);
    free(list);
    st = mega__boot_agree(ctx->boot, st);
    if (!st)
        st = mega__boot_least(ctx->boot, n == s->here, &same);
    *other_p = !same;
    return st;
}
