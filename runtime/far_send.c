/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * far_send.c - the marks of far slabs that were changed here, and how they
 * are sent: see far.h.
 *
 * alloc on a far home stores its mark in the slab's copy of the marks, here;
 * free of such a chunk does the same, so what cancels out is never sent. Marks
 * go out with the next persist, quiet, drain or sweep, many in a message; a
 * free of a chunk in somebody else's slab waits in a short list for the same
 * messages. Only bytes that changed are sent, never a whole line: another rank
 * may have freed a neighbour. What lies between two changed marks and begins
 * no chunk may go along.
 *
 * Before the first mark of a slab goes its claim: all of its marks FREE, then
 * the word SLAB, then what is LIVE (layout.h, 5: part.c makes what comes before
 * a word durable before it stores the word, and that before it goes on). Until
 * then the word says SLAB_INIT, and a crash gives
 * the extent back with all chunks that were handed out here; nobody else has
 * been told of any.
 *
 * Locks: far_lock of an arena, over its list; held while a message is under
 * way, so that two threads never send one mark in two orders. Whether a mark is
 * sent is decided by now and sent alone: lists and bits say where to look. The
 * arena's own thread clears them; another that sends leaves them as they are,
 * so the owner need not ask for the lock for each mark (slab->noted).
 */
#include <stdlib.h>
#include <string.h>

#include "arena.h"
#include "crash_point.h"
#include "far.h"
#include "log.h"
#include "slab.h"

#define MARK_BYTES MEGA__EXTENT_GRANULES
#define UNKNOWN 0xff /* no mark: what the home has */

static struct mega__far *far_of(const _Atomic uint8_t *mark)
{
    return (struct mega__far *)((uintptr_t)mark &
                                ~(uintptr_t)(MEGA__FAR_ALIGN - 1));
}

/* Under the lock, as what follows. */
static void enlist(struct mega__arena *a, struct mega__far *far)
{
    if (far->listed)
        return;
    far->listed = true;
    far->next = a->far_dirty;
    a->far_dirty = far;
}

/* By the arena's own thread. */
static void note(struct mega__arena *a, struct mega__far *far, uint32_t lines)
{
    far->lines |= lines;
    far->slab->noted |= lines;
    enlist(a, far);
}

static bool is_own(const struct mega__arena *a)
{
    return pthread_equal(a->thread, pthread_self());
}

void mega__far_note(struct mega__arena *a, const _Atomic uint8_t *mark)
{
    struct mega__far *far = far_of(mark);
    const uint32_t line = UINT32_C(1) << (mark - far->now) / MEGA__LINE;
    pthread_mutex_lock(&a->far_lock);
    note(a, far, line);
    pthread_mutex_unlock(&a->far_lock);
}

void mega__far_silence(struct mega__slab *slab)
{
    struct mega__far *far = slab->far;
    struct mega__arena *a = slab->arena;
    if (!far)
        return;
    pthread_mutex_lock(&a->far_lock);
    for (struct mega__far **link = &a->far_dirty; *link; link = &(*link)->next)
        if (*link == far) {
            *link = far->next;
            break;
        }
    pthread_mutex_unlock(&a->far_lock);
}

void mega__far_forget(struct mega__slab *slab)
{
    struct mega__far *far = slab->far;
    mega__far_silence(slab);
    slab->far = NULL;
    free(far);
}

/* A message in the making. */
struct letter {
    struct mega__arena *a;
    size_t n;
    struct mega__part parts[MEGA__PARTS_MAX];
    /* Whose mark the part begins with: of a far copy, a free that waited
     * (waiting), or NULL. */
    const _Atomic uint8_t *from[MEGA__PARTS_MAX];
    /* What the marks in it were when it was written. */
    size_t nbytes;
    uint8_t bytes[MEGA__PARTS_MAX * 16];
};

static const _Atomic uint8_t waiting = MEGA__MARK_FREE;

/* A free that waited. Once it is done the chunk may be another's, so it is sent
 * again only if it was not sent; else it may leak (L5), and every drain says
 * so. */
static void end_free(struct mega__arena *a, const struct mega__part *part,
                     mega_status_t st)
{
    if (st == MEGA_ERR_NOMEM) {
        a->far_frees[a->nfar_frees++] = part->p.v; /* where it came from */
    } else if (st) {
        a->far_doubt = st;
        a->far_doubt_on = mega__gptr_home(part->p);
    }
}

/* What came of a part. Marks that have perhaps not arrived are due again, if
 * their home is not lost; another thread than the arena's own has left the copy
 * in the list. */
static void end(struct mega__arena *a, const struct mega__part *part,
                const _Atomic uint8_t *from, mega_status_t st)
{
    const uint8_t *wrote = part->src;
    const bool arrived = !st;
    if (from == &waiting)
        end_free(a, part, st);
    if (!from || from == &waiting)
        return;
    struct mega__far *far = far_of(from);
    size_t g = (size_t)(from - far->now);
    if (!arrived && is_own(a))
        note(a, far, UINT32_C(1) << g / MEGA__LINE);
    for (size_t i = 0; i < part->n; i++)
        atomic_store_explicit(&far->sent[g + i], arrived ? wrote[i] : UNKNOWN,
                              memory_order_relaxed);
    if (part->n == MARK_BYTES && arrived) /* its word came behind it */
        atomic_store_explicit(&far->slab->unsaid, false, memory_order_relaxed);
}

static mega_status_t post(struct letter *l)
{
    if (l->n == 0)
        return MEGA_OK;
    MEGA__CRASH(far_letter);
    mega_status_t st = mega__net_durable(l->a->ctx->net, l->parts, l->n);
    MEGA__CRASH(far_sent);
    for (size_t i = 0; i < l->n; i++)
        end(l->a, &l->parts[i], l->from[i], st);
    l->n = l->nbytes = 0;
    return st;
}

static mega_status_t make_room(struct letter *l, size_t nbytes)
{
    bool full = l->n == MEGA__PARTS_MAX || l->nbytes + nbytes > sizeof l->bytes;
    return full ? post(l) : MEGA_OK;
}

static void add(struct letter *l, const struct mega__part *part,
                const _Atomic uint8_t *from)
{
    l->from[l->n] = from;
    l->parts[l->n++] = *part;
}

/* n marks, from those at from. */
static mega_status_t add_marks(struct letter *l, mega_gptr_t p,
                               const _Atomic uint8_t *from, size_t n)
{
    mega_status_t st = make_room(l, n);
    if (st)
        return st;
    uint8_t *to = &l->bytes[l->nbytes];
    for (size_t i = 0; i < n; i++)
        to[i] = atomic_load_explicit(&from[i], memory_order_acquire);
    l->nbytes += n;
    add(l, &(struct mega__part){.p = p, .src = to, .n = n}, from);
    return MEGA_OK;
}

static bool is_start(const struct mega__class *c, unsigned g)
{
    return c->starts[g / 64] >> g % 64 & 1;
}

/* The end of the changed marks from g on, in the same line: all starts up to
 * it differ from what the home has. */
static unsigned changed_end(const struct mega__far *far,
                            const struct mega__class *c, unsigned g)
{
    unsigned end = g;
    for (; g % MEGA__LINE || g == end; g++) {
        if (!is_start(c, g))
            continue;
        if (atomic_load_explicit(&far->now[g], memory_order_relaxed) ==
            atomic_load_explicit(&far->sent[g], memory_order_relaxed))
            break;
        end = g + 1;
        if (end % MEGA__LINE == 0)
            break;
    }
    return end;
}

static mega_status_t add_line(struct letter *l, struct mega__far *far,
                              unsigned line)
{
    const struct mega__slab *slab = far->slab;
    const struct mega__class *c = &l->a->ctx->classes.of[slab->class];
    const mega_gptr_t marks = mega__far_marks_at(slab);
    mega_status_t st = MEGA_OK;
    for (unsigned g = line * MEGA__LINE; !st && g < (line + 1) * MEGA__LINE;) {
        unsigned end = is_start(c, g) ? changed_end(far, c, g) : g;
        if (end == g) {
            g++;
            continue;
        }
        st = add_marks(l, mega_add(marks, g), &far->now[g], end - g);
        g = end;
    }
    return st;
}

/* All marks FREE, then its word, in one letter. What is LIVE comes behind: the
 * medium may have the word of another life of the extent yet. */
static mega_status_t add_claim(struct letter *l, struct mega__far *far)
{
    static const uint8_t none[MARK_BYTES]; /* MEGA__MARK_FREE */
    const struct mega__slab *slab = far->slab;
    const uint64_t word =
        mega__slab_owned_word(l->a->ctx, MEGA__SLAB, slab->class, slab->region);
    mega_status_t st = MEGA_OK;
    if (l->n + 2 > MEGA__PARTS_MAX || l->nbytes + sizeof word > sizeof l->bytes)
        st = post(l);
    if (st)
        return st;
    add(l,
        &(struct mega__part){
            .p = mega__far_marks_at(slab), .src = none, .n = MARK_BYTES},
        far->now);
    uint8_t *to = memcpy(&l->bytes[l->nbytes], &word, sizeof word);
    l->nbytes += sizeof word;
    add(l,
        &(struct mega__part){.p = mega__far_word_at(slab->span, slab->extent),
                             .src = to,
                             .n = sizeof word},
        NULL);
    return MEGA_OK;
}

static mega_status_t add_slab(struct letter *l, struct mega__far *far)
{
    mega_status_t st = MEGA_OK;
    uint32_t lines = far->lines;
    if (mega__far_is_unsaid(far->slab))
        st = add_claim(l, far);
    for (; !st && lines; lines &= lines - 1)
        st = add_line(l, far, (unsigned)__builtin_ctz(lines));
    return st;
}

/* Of what was in the list no more is in it again than was looked at. */
static mega_status_t add_frees(struct letter *l, struct mega__arena *a,
                               uint32_t home)
{
    const unsigned n = a->nfar_frees;
    mega_status_t st = MEGA_OK;
    a->nfar_frees = 0;
    for (unsigned i = 0; i < n; i++) {
        mega_gptr_t mark = mega_from_bits(a->far_frees[i]);
        bool its = mega__gptr_home(mark) == home && !st;
        if (its)
            st = add_marks(l, mark, &waiting, 1);
        if (!its || st)
            a->far_frees[a->nfar_frees++] = mark.v;
    }
    return st;
}

/* Off the list: what changes from now on is noted anew. */
static void settle(struct mega__far *far)
{
    far->lines = 0;
    mega__slab_unnote(far->slab, UINT32_MAX);
    far->listed = false;
}

static mega_status_t add_slabs(struct letter *l, struct mega__arena *a,
                               uint32_t home)
{
    struct mega__far **link = &a->far_dirty, *far;
    mega_status_t st = MEGA_OK;
    while (!st && (far = *link) != NULL) {
        if (far->slab->span->home->no == home) {
            st = add_slab(l, far);
            if (!st && is_own(a)) {
                *link = far->next;
                settle(far);
                continue;
            }
        }
        link = &far->next;
    }
    return st;
}

static mega_status_t send_locked(struct mega__arena *a, uint32_t home,
                                 const struct mega__part *parts, size_t n)
{
    struct letter l = {.a = a, .n = 0, .nbytes = 0};
    mega_status_t st = add_slabs(&l, a, home);
    if (!st)
        st = add_frees(&l, a, home);
    if (!st && l.n + n > MEGA__PARTS_MAX) /* all of them, or none */
        st = post(&l);
    for (size_t i = 0; !st && i < n; i++)
        add(&l, &parts[i], NULL);
    return st ? st : post(&l);
}

mega_status_t mega__far_send(struct mega__arena *a, uint32_t home,
                             const struct mega__part *parts, size_t n)
{
    pthread_mutex_lock(&a->far_lock);
    bool any = n > 0 || a->far_dirty || a->nfar_frees;
    mega_status_t st = any ? send_locked(a, home, parts, n) : MEGA_OK;
    pthread_mutex_unlock(&a->far_lock);
    return st;
}

mega_status_t mega__far_complete(struct mega__arena *a, uint32_t home)
{
    mega_status_t st = mega__net_flush_home(a->ctx->net, home);
    return st ? st : mega__far_send(a, home, NULL, 0);
}

mega_status_t mega__far_say(_Atomic(struct mega__slab *) *entry)
{
    struct mega__slab *slab = atomic_load_explicit(entry, memory_order_acquire);
    mega_status_t st = MEGA_OK;
    if (!slab || !mega__far_is_unsaid(slab))
        return MEGA_OK;
    struct mega__arena *a = slab->arena;
    pthread_mutex_lock(&a->far_lock);
    if (atomic_load_explicit(entry, memory_order_acquire) == slab &&
        mega__far_is_unsaid(slab)) { /* not given up, as in mega__far_has */
        enlist(a, slab->far);
        st = send_locked(a, slab->span->home->no, NULL, 0);
    }
    pthread_mutex_unlock(&a->far_lock);
    return st;
}

bool mega__far_is_unused(const struct mega__slab *slab)
{
    pthread_mutex_lock(&slab->arena->far_lock);
    bool is = mega__far_is_unsaid(slab) && !slab->far->listed;
    pthread_mutex_unlock(&slab->arena->far_lock);
    return is;
}

mega_status_t mega__far_send_slab(struct mega__slab *slab)
{
    struct mega__arena *a = slab->arena;
    pthread_mutex_lock(&a->far_lock);
    mega_status_t st = slab->far->listed
                           ? send_locked(a, slab->span->home->no, NULL, 0)
                           : MEGA_OK;
    pthread_mutex_unlock(&a->far_lock);
    return st;
}

/* What a free is in doubt for. */
static mega_status_t in_doubt(const struct mega__arena *a)
{
    mega_status_t st = mega__net_flush_home(a->ctx->net, a->far_doubt_on);
    return st ? st
              : mega__fail(a->far_doubt,
                           "a chunk of home %u was freed, and its server did "
                           "not say that this is durable",
                           a->far_doubt_on);
}

/* The first home, from this one on, that something is to be sent to; or
 * UINT32_MAX. */
static uint32_t next_home(const struct mega__arena *a, uint32_t from)
{
    uint32_t next = UINT32_MAX;
    for (const struct mega__far *far = a->far_dirty; far; far = far->next) {
        const uint32_t home = far->slab->span->home->no;
        next = home >= from && home < next ? home : next;
    }
    for (unsigned i = 0; i < a->nfar_frees; i++) {
        const uint32_t home = mega__gptr_home(mega_from_bits(a->far_frees[i]));
        next = home >= from && home < next ? home : next;
    }
    return next;
}

mega_status_t mega__far_send_all(struct mega__arena *a)
{
    mega_status_t st = MEGA_OK;
    uint32_t home = 0;
    pthread_mutex_lock(&a->far_lock);
    for (; (home = next_home(a, home)) != UINT32_MAX; home++) {
        mega_status_t one = send_locked(a, home, NULL, 0);
        st = one ? one : st;
    }
    if (!st && a->far_doubt)
        st = in_doubt(a);
    pthread_mutex_unlock(&a->far_lock);
    return st;
}
