/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * far.h - chunks on homes of other hosts: looked at, freed; far_send.c: the
 * marks that this process has changed and has yet to send; far_slab.c: claims
 * and sweeps, far_find.c: of which slabs. All above net.h: no code of the
 * program there takes part.
 *
 * Marks are sent by messages that make them durable at once: a far mark is
 * either still here, or durable there. So is a claim: its word goes with the
 * first mark of the slab.
 */
#ifndef MEGA__FAR_H
#define MEGA__FAR_H

#include "chunk.h"
#include "net.h"

/* The marks of a far slab as its owner, this process, has set them. Aligned to
 * MEGA__FAR_ALIGN, so that a mark's address tells where it is. */
#define MEGA__FAR_ALIGN 8192
struct mega__far {
    _Atomic uint8_t now[MEGA__EXTENT_GRANULES];
    _Atomic uint8_t sent[MEGA__EXTENT_GRANULES]; /* what the home has of us */
    struct mega__slab *slab;
    /* Under the arena's far_lock: */
    struct mega__far *next; /* in its list */
    uint32_t lines;         /* bit: a mark of the line was changed */
    bool listed;
};
_Static_assert(sizeof(struct mega__far) <= MEGA__FAR_ALIGN, "found by address");
_Static_assert(MEGA__EXTENT_LINES == 32, "lines has a bit for each");

/* ---- Spans, words ---- */

/* The far span of a pointer; *span_p NULL: there is none. ERRORS: PEER,
 * TIMEOUT - its home does not answer; NOMEM. */
mega_status_t mega__far_span(struct mega__ctx *ctx, mega_gptr_t p,
                             struct mega__span **span_p);

/* Forgets the spans of a home. */
void mega__far_close(struct mega__home *home);

mega_gptr_t mega__far_word_at(const struct mega__span *span, uint32_t extent);

mega_gptr_t mega__far_marks_at(const struct mega__slab *slab);

/* As mega__span_cas; *won_p: it was expected. */
mega_status_t mega__far_cas(struct mega__ctx *ctx,
                            const struct mega__span *span, uint32_t extent,
                            uint64_t expected, uint64_t desired, bool *won_p);

/* A word that was won, and is of no use, is as it was; if that cannot be, the
 * next open settles it. */
void mega__far_cas_back(struct mega__ctx *ctx, const struct mega__span *span,
                        uint32_t extent, uint64_t mine, uint64_t was);

/* ---- Chunks ---- */

/* The place and mark of a chunk, after this thread's marks were sent. *in_p:
 * p lies in a chunk. */
mega_status_t mega__far_look(struct mega__ctx *ctx, mega_gptr_t p,
                             struct mega__place *at, uint8_t *mark_p,
                             bool *in_p);

/* What this thread has put on a home is there: before a chunk of it is given
 * back, for it may get the place again, and puts there would come in any order.
 */
mega_status_t mega__far_complete_puts(struct mega__arena *a, uint32_t home);

/* As mega__chunk_free, of a far chunk. */
mega_status_t mega__far_free(struct mega__ctx *ctx, mega_gptr_t p);

/* A run, marked LIVE, durably, or only taken. Of mega_alloc_n more of them, by
 * the same message, as far as they are wanted: behind p_p. */
mega_status_t mega__far_run_claim(struct mega__arena *a, uint32_t region,
                                  struct mega__home *home, size_t size,
                                  bool live, mega_gptr_t *p_p);
/* why: what its mark says. */
enum mega__run_why { MEGA__RUN_LIVE, MEGA__RUN_RESERVED, MEGA__RUN_DEAD };
mega_status_t mega__far_run_free(struct mega__ctx *ctx, mega_gptr_t p,
                                 enum mega__run_why why);

/* A mark of a chunk that is dead by publish is FREE, from the next message to
 * its home on. */
mega_status_t mega__far_free_mark(struct mega__arena *a, mega_gptr_t mark);

/* Publish has stored a mark there, of a chunk of an own far slab. */
void mega__far_has(const struct mega__place *at, uint8_t mark);

/* ---- Marks to be sent (far_send.c) ---- */

/* A mark of an own far slab was stored. Any thread's arena a that owns it. */
void mega__far_note(struct mega__arena *a, const _Atomic uint8_t *mark);

/* Sends what the arena has changed on a home, then the parts, up to
 * MEGA__PARTS_MAX, of the same home; all of it is durable there. ERRORS: NOMEM
 * - no part was sent. Operations of this thread to the home are
 * visible first. */
mega_status_t mega__far_send(struct mega__arena *a, uint32_t home,
                             const struct mega__part *parts, size_t n);

/* All that the calling thread, whose arena it is, has done on a home is there:
 * puts, too. */
mega_status_t mega__far_complete(struct mega__arena *a, uint32_t home);

/* As mega__far_send, if a mark of the slab is among what was changed. */
mega_status_t mega__far_send_slab(struct mega__slab *slab);

/* Its home's word is SLAB_INIT yet. */
static inline bool mega__far_is_unsaid(const struct mega__slab *slab)
{
    return atomic_load_explicit(&slab->unsaid, memory_order_relaxed);
}

/* The same, and nothing is to be sent that says more. */
bool mega__far_is_unused(const struct mega__slab *slab);

/* The slab that this process has there, if any (an entry of a span's table):
 * its word is there. Any thread may call it. */
mega_status_t mega__far_say(_Atomic(struct mega__slab *) *entry);

/* The same for all homes, also if one of them is lost. Any thread may call it
 * for any arena. */
mega_status_t mega__far_send_all(struct mega__arena *a);

/* No mark of the slab is sent any more. Any thread may call it; the owner does
 * not use the slab. */
void mega__far_silence(struct mega__slab *slab);

/* The slab is no more: frees its copy, if it has one. */
void mega__far_forget(struct mega__slab *slab);

/* ---- Slabs (far_slab.c) ---- */

/* As mega__slab_get, on a far home. A thread that goes on asking gets more of
 * them at once, for the same round trip: the others are in the bin. */
#define MEGA__FAR_AHEAD_MAX 4 /* of MEGA__BIN_KEEP */
mega_status_t mega__far_slab_get(struct mega__arena *a, struct mega__heap *heap,
                                 unsigned class, struct mega__slab **slab_p);

struct mega__far_claim { /* extents that were FREE when they were looked at */
    unsigned n;
    uint64_t init; /* our word for them */
    uint32_t extent[MEGA__FAR_AHEAD_MAX];
    uint64_t was[MEGA__FAR_AHEAD_MAX]; /* when we came */
};
/* Claims them; *slab_p is the first that is won, if any, and the bin keeps the
 * others. */
mega_status_t mega__far_claim(struct mega__arena *a, struct mega__heap *heap,
                              unsigned class, struct mega__span *span,
                              struct mega__far_claim *c,
                              struct mega__slab **slab_p);

/* Takes an unowned slab whose word is w; *slab_p stays as it is if another was
 * faster, or it has no room. */
mega_status_t mega__far_adopt(struct mega__arena *a, struct mega__span *span,
                              uint32_t extent, uint64_t w,
                              struct mega__slab **slab_p);

/* Brings now up to date; the arena's own thread. */
mega_status_t mega__far_refresh(struct mega__slab *slab);

/* As mega__slab_give_up, but that it is there with mega__far_end only: before
 * the thread goes on to other work, many by one message. */
void mega__far_end(struct mega__arena *a);
void mega__far_give_up(struct mega__arena *a, struct mega__slab *slab);

#endif
