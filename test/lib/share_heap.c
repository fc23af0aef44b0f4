/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * share_heap.c - share.h for tests: threads of one process are the ranks of a
 * host, and share what is on its heap. Crash tests open a space for each image,
 * and a mapping costs more there than all else that an open asks of the kernel.
 * Nobody here shares a file.
 */
#include <pthread.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#include "boot.h"
#include "log.h"
#include "share.h"

struct lent {                   /* before what is shared */
    alignas(MEGA__LINE) int to; /* so many ranks */
    struct lent *older;
};

/* All, so that none is called a leak where a rank dies before it takes it. */
static struct lent *newest;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

static struct lent *make(struct mega__ctx *ctx, size_t bytes)
{
    void *all; /* no malloc: unit/nomem refuses those */
    if (posix_memalign(&all, MEGA__LINE, sizeof(struct lent) + bytes) != 0)
        return NULL;
    struct lent *lent = all;
    memset(lent, 0, sizeof *lent + bytes);
    lent->to = ctx->place.host_nranks;
    ((struct mega__shared *)(void *)(lent + 1))->bytes = bytes;
    pthread_mutex_lock(&mutex);
    lent->older = newest;
    newest = lent;
    pthread_mutex_unlock(&mutex);
    return lent;
}

mega_status_t mega__share(struct mega__ctx *ctx, size_t bytes, void **p_p)
{
    struct lent *lent = NULL;
    if (ctx->place.host_rank == 0)
        lent = make(ctx, bytes);
    mega_status_t st =
        mega__boot_host_bcast(ctx->boot, (void *)&lent, sizeof lent);
    if (!st && !lent)
        st = mega__fail(MEGA_ERR_IO, "no memory to share");
    mega_status_t met = mega__boot_host_barrier(ctx->boot);
    if (st || met) {
        mega__unshare(lent ? lent + 1 : NULL);
        return st ? st : met;
    }
    *p_p = lent + 1;
    return MEGA_OK;
}

void mega__unshare(void *p)
{
    struct lent *lent = p ? (struct lent *)p - 1 : NULL, **at = &newest;
    pthread_mutex_lock(&mutex);
    if (lent && --lent->to == 0) {
        while (*at != lent)
            at = &(*at)->older;
        *at = lent->older;
        free(lent);
    }
    pthread_mutex_unlock(&mutex);
}
