/* SPDX-License-Identifier: BSD-3-Clause */
/* whereabouts.c - see whereabouts.h. */
#include "whereabouts.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "gptr.h"
#include "home.h"
#include "log.h"

#define WORDS (sizeof((struct mega__home_block *)NULL)->next_host / 8)
#define BYTES 6 /* of a name in a sealed word */

_Static_assert(WORDS *BYTES < MEGA__WHERE_BYTES, "a name has an end");

struct where {
    uint32_t home;
    char name[MEGA__WHERE_BYTES];
};

void mega__where_read(const struct mega__home_block *block,
                      char name[MEGA__WHERE_BYTES])
{
    memset(name, 0, MEGA__WHERE_BYTES);
    for (size_t k = 0; k < WORDS; k++) {
        uint64_t value;
        if (!mega__unseal(block->next_host[k], &value))
            value = 0;
        memcpy(name + k * BYTES, &value, BYTES);
    }
    for (char *at = name; *at; at++)
        if (!isprint((unsigned char)*at))
            *at = '\0';
}

/* True: something was stored, and its flush has begun. */
static bool tell(struct mega__ctx *ctx, const struct mega__home *home,
                 const char name[MEGA__WHERE_BYTES])
{
    bool stored = false;
    for (size_t k = 0; k < WORDS; k++) {
        uint64_t value = 0;
        memcpy(&value, name + k * BYTES, BYTES);
        if (home->block->next_host[k] == mega__seal(value))
            continue;
        mega__home_write(home, &ctx->flusher, &home->block->next_host[k],
                         value);
        stored = true;
    }
    return stored;
}

static mega_status_t gather(struct mega__ctx *ctx, struct where **all_p,
                            size_t *n_p)
{
    struct where *mine = calloc(ctx->nhomes + 1, sizeof *mine);
    size_t n = 0, bytes = 0;
    uint32_t i = 0;
    void *all = NULL;
    mega_status_t st = mega__boot_agree(
        ctx->boot,
        mine ? MEGA_OK : mega__fail(MEGA_ERR_NOMEM, "no memory to open"));
    for (struct mega__home *home;
         !st && (home = mega__home_next_served(ctx, &i)); n++) {
        char host[64];
        mega__conf_host(&ctx->conf, host, sizeof host);
        mine[n].home = home->no;
        memcpy(mine[n].name, host, WORDS * BYTES);
    }
    if (!st)
        st = mega__boot_gather_all(ctx->boot, mine, n * sizeof *mine, &all,
                                   &bytes);
    free(mine);
    *all_p = all;
    *n_p = bytes / sizeof **all_p;
    return st;
}

mega_status_t mega__where_write(struct mega__ctx *ctx)
{
    struct where *all;
    size_t n;
    bool stored = false;
    if (ctx->readonly || ctx->nhomes < 2)
        return MEGA_OK;
    mega_status_t st = gather(ctx, &all, &n);
    if (st)
        return st;
    for (size_t i = 0; i < n; i++) {
        uint32_t before = (all[i].home + ctx->nhomes - 1) % ctx->nhomes;
        const struct mega__home *home = &ctx->homes[before];
        if (home->serving && tell(ctx, home, all[i].name))
            stored = true;
    }
    free(all);
    if (stored)
        st = mega__pool_drain(&ctx->flusher);
    return mega__boot_agree(ctx->boot, st);
}
