/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * crash_point.h - named points at which a test may have a process killed, by
 * MEGALLOC_CRASH=point[:count]: SIGKILL when it comes there for the count-th
 * time. Only the library that tests link has them (test/lib/crash_point.c);
 * in every other build they are nothing. A far_ point is one of jobs over
 * several hosts: no other comes there.
 */
#ifndef MEGA__CRASH_POINT_H
#define MEGA__CRASH_POINT_H

#define MEGA__CRASH_POINTS_LIST(X)                                             \
    X(record_durable)  /* publish: decided, no effect yet */                   \
    X(effects_stored)  /* publish: seen, not durable */                        \
    X(effects_durable) /* publish: the record still stands */                  \
    X(record_cleared)  /* publish: seen cleared, not durably */                \
    X(record_gone)     /* publish: the dead are not free yet */                \
    X(slab_init)       /* claim: the word says SLAB_INIT */                    \
    X(slab_marks)      /* claim: marks cleared, the word not SLAB yet */       \
    X(slab_word)       /* claim: SLAB is seen, not durable */                  \
    X(slab_adopted)    /* adoption: the owner is seen, nothing is flushed */   \
    X(run_tails)       /* run: tails without a head */                         \
    X(run_init)        /* run: the head extent is taken */                     \
    X(run_head)        /* run: the head is seen, not durable */                \
    X(run_freeing)     /* run: FREEING is durable, nothing is free yet */      \
    X(region_creating) /* region: CREATING is durable, nothing is claimed */   \
    X(region_reserved) /* region: all is claimed, it is not LIVE */            \
    X(region_live)     /* region: LIVE, nobody has been told */                \
    X(region_dying)    /* region: DYING, all its memory is there */            \
    X(region_swept)    /* region: its memory is free, its record there */      \
    X(root_filled)     /* root: the record is durable and does not count */    \
    X(root_live)       /* root: it counts */                                   \
    X(epoch_some)      /* open: epochs are raised, home 0's is not */          \
    X(epoch_all)       /* open: all are raised, nothing else is done */        \
    X(replayed)        /* open: intents replayed, not cleared */               \
    X(swept)           /* open: swept, ended regions still have records */     \
    X(pool_made)       /* growth: the file has its temporary name */           \
    X(pool_renamed)    /* growth: it has its name and is not listed */         \
    X(pool_listed)     /* growth: listed, not told to others */                \
    X(clean_some)      /* close: this rank's homes are clean */                \
    X(far_init)        /* far claim: words say SLAB_INIT, if they were FREE */ \
    X(far_adopted)     /* far adoption: the owner is seen, no more */          \
    X(far_adoption)    /* far adoption: what it builds on is durable */        \
    X(far_given_up)    /* far slabs: their last words are durable there */     \
    X(far_run_live)    /* far run: marked by its server, not durably */        \
    X(far_run_taken)   /* far run: it is there, its mark is durable */         \
    X(far_run_freed)   /* far run: the server has freed it */                  \
    X(far_letter)      /* far marks, or publish: written, not sent */          \
    X(far_sent)        /* far marks, or publish: done and durable there */

#ifdef MEGA__CRASH_POINTS
#include "megalloc.h"

enum mega__crash_point {
#define MEGA__X(name) MEGA__CRASH_##name,
    MEGA__CRASH_POINTS_LIST(MEGA__X)
#undef MEGA__X
};
void mega__crash_at(enum mega__crash_point point);

/* CONF: not a point, or not a count; names the nearest point. */
mega_status_t mega__crash_set(const char *text);
#define MEGA__CRASH(name) mega__crash_at(MEGA__CRASH_##name)
#else
#define MEGA__CRASH(name) ((void)0)
#endif

#endif
