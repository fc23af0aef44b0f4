/* SPDX-License-Identifier: BSD-3-Clause */
/* whereabouts.c - see whereabouts.h. */
#include "whereabouts.h"

#include <ctype.h>
#include <string.h>

#include "gptr.h"
#include "home.h"
#include "roll.h"

#define WORDS (sizeof((struct mega__home_block *)NULL)->next_host / 8)
#define BYTES 6 /* of a name in a sealed word */

_Static_assert(WORDS *BYTES < MEGA__WHERE_BYTES &&
                   WORDS * BYTES <=
                       sizeof((struct mega__here *)NULL)->next_host,
               "a name has an end");

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
                 const char *name)
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

/* Nothing is decided by these words: one that was lost costs a name in a
 * message, until the next open writes it. */
mega_status_t mega__where_write(struct mega__ctx *ctx)
{
    bool stored = false;
    mega_status_t st = MEGA_OK;
    if (ctx->readonly || ctx->nhomes < 2)
        return MEGA_OK;
    for (uint32_t i = 0; i < ctx->roll->nhere; i++) {
        const struct mega__here *here = &mega__roll_here(ctx->roll)[i];
        const struct mega__home *home = &ctx->homes[here->home];
        if (home->serving && tell(ctx, home, here->next_host))
            stored = true;
    }
    if (stored)
        st = mega__pool_drain(&ctx->flusher);
    return mega__boot_agree(ctx->boot, st);
}
