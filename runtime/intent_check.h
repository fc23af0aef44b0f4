/* SPDX-License-Identifier: BSD-3-Clause */
/* intent_check.h - may these items be published? */
#ifndef MEGA__INTENT_CHECK_H
#define MEGA__INTENT_CHECK_H

#include "chunk.h"
#include "directory.h"

/* A slot or a mark. */
struct mega__cell {
    mega_gptr_t p;      /* null: none */
    void *addr;         /* NULL: on a far home */
    enum mega__how how; /* of addr */
};

struct mega__check {       /* of one item */
    struct mega__place at; /* the chunk; unset with SET */
    struct mega__cell slot;
    struct mega__cell slot_mark; /* of the chunk that holds it, unless an item
                                  * before has it */
};

/* Fills checks[0..n). ERRORS: as mega_publish. */
mega_status_t mega__intent_check(struct mega__ctx *ctx,
                                 const mega_publish_item_t *items, size_t n,
                                 struct mega__check *checks);

/* Whether an item found at open may be done: its memory is of a live region
 * and of the right kind; what the marks and slots hold is not asked.
 * ERRORS: DAMAGED - no; any other: it cannot be seen now. */
mega_status_t mega__intent_replayable(struct mega__ctx *ctx,
                                      const struct mega__live *live,
                                      const mega_publish_item_t *item,
                                      struct mega__check *c);

#endif
