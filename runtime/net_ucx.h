/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * net_ucx.h - what the files of the UCX transport share.
 *
 *   net_ucx.c          start, stop, the spans that others may reach
 *   net_ucx_origin.c   origins, links
 *   net_ucx_wait.c     how they wait
 *   net_ucx_lost.c     peers that are lost
 *   net_ucx_call.c     requests to a server: keys, questions
 *   net_ucx_parts.c    bytes that go along: durable parts, small puts
 *   net_ucx_ops.c      put, get, atomics
 *   net_ucx_flush.c    flush
 *   net_ucx_service.c  the thread that answers
 *   net_ucx_caller.c   who asks it
 *
 * A rank has one service worker, whose address all ranks know, and an origin
 * for each thread that reaches far homes, up to MEGA__ORIGINS_MAX; then they
 * share. An origin has a link to each rank that it has met, and the keys of
 * the spans that it has met: endpoints and unpacked keys belong to a worker.
 * Packed, a key is the host's (keys.h).
 * The mutex of an origin is held while UCX is called, and never while waiting.
 */
#ifndef MEGA__NET_UCX_H
#define MEGA__NET_UCX_H

#include <ucp/api/ucp.h>

#include "keys.h"
#include "lists.h"
#include "net_ucx_wire.h"
#include "rest.h"

#define MEGA__ORIGINS_MAX 32
#define MEGA__HOST_NAME 64

/* A span of a home served here. */
struct mega__exposed {
    struct mega__exposed *next;
    uint32_t home, span;
    uint64_t size, address;
    ucp_mem_h memory;
    void *key;
    size_t key_len;
};

struct mega__wait { /* one operation that somebody waits for */
    bool done;
    ucs_status_t status;
};

struct mega__call { /* a request that somebody waits for, and its answer */
    struct mega__call *next;
    uint64_t id;
    bool done;
    bool look; /* whether a rank is alive: not less patient than others are */
    struct mega__wire_answer head;
    size_t len;
    _Alignas(8) char payload[MEGA__WIRE_PAYLOAD_MAX];
};

/* Operations that nobody waits for, and small puts that are not answered, are
 * counted in rounds, so that a flush does not wait for those that others begin
 * meanwhile. One round is open; the one before is over, or ends before the open
 * one is closed. */
struct mega__round {
    struct mega__link *link;
    unsigned pending;
};

struct mega__link { /* an origin's way to a rank */
    struct mega__item item;
    struct mega__origin *origin;
    int rank;
    ucp_ep_h ep;      /* NULL: closed, for it was broken */
    bool told;        /* UCX tells when the peer is lost */
    bool hardware;    /* a put may be complete and not yet in memory */
    unsigned pending; /* operations whose buffers are in use */
    bool quiet;       /* pending == 0 */
    struct mega__round rounds[2]; /* a round's is its number modulo 2 */
    uint64_t round;               /* the open one, from 1 */
    uint64_t wanted;              /* a flush waits for this one */
    uint64_t over;                /* those up to here have no operation */
    uint64_t ended; /* operations that were under way, of UCX's own or answered:
                     * that it moves on; what it buffers at once is no sign */
    ucs_status_t broken;
    mega_status_t refused; /* a small put; the next flush tells */
    char why[MEGA__REQUEST_TEXT];
    uint64_t stamp;      /* origin->clock of the last operation */
    uint64_t flushed_to; /* operations up to here are complete */
    uint64_t native;     /* origin->clock of the last that was UCX's own */
    uint64_t settled;    /* those up to here are in memory there */
    struct mega__wait closed;
    bool listed; /* among the origin's begun */
    struct mega__link *next_begun;
};

struct mega__reach { /* an origin's key of a span */
    struct mega__item item;
    uint32_t home, span;
    uint64_t size, address;
    struct mega__link *link;
    ucp_rkey_h key;
};

/* An atomic under way. UCX's request lies behind it, cleared: UCX 1.13 sets
 * nothing in it that says there is no memory to deregister, and of one that it
 * gives up it does so. */
struct mega__atomic {
    struct mega__atomic *next;  /* of those that are free */
    struct mega__atomic *other; /* of all that there are */
    struct mega__round *round;
    size_t size;
    uint64_t operand, reply;
    uint64_t *old_p;                     /* NULL: nobody asks */
    _Alignas(MEGA__LINE) char request[]; /* net->request_size, then its end */
};

struct mega__origin {
    struct mega__origin *next;
    struct mega__net *net;
    uint64_t no;
    pthread_mutex_t mutex;
    ucp_worker_h worker;
    ucp_address_t *address; /* for whom it meets */
    size_t address_len;
    int event_fd;
    bool dead; /* something was given up whose buffers are gone: never again */
    struct mega__lists links; /* by rank */
    struct mega__lists reach; /* by mega__ucx_span_key */
    struct mega__reach *last;
    uint64_t clock;      /* counts operations that a flush has to complete */
    uint64_t flushed_to; /* on all links */
    /* Links that may have what no flush has completed: who has met many ranks
     * flushes few. While somebody goes along the list none leaves it. */
    struct mega__link *begun;
    unsigned flushers;
    struct mega__net_counts counts;
    struct mega__call *calls;
    uint64_t next_call;
    struct mega__atomic *free_atomics, *all_atomics;
    void *message; /* room for the parts of one; NULL: in use, or none yet */
};

/* How each rank introduced itself at the start: once for each host, in memory
 * that its ranks share. */
struct mega__peers {
    struct mega__shared shared;
    uint64_t at[]; /* by rank: of its struct mega__peer, from the start */
};

struct mega__peer {
    uint32_t rank;
    uint32_t len; /* of the address */
    char host[MEGA__HOST_NAME];
    char address[]; /* of its service worker */
};

struct mega__net {
    struct mega__ctx *ctx;
    ucp_context_h ucp;
    size_t request_size; /* of UCX */
    struct mega__service *service;
    struct mega__peers *peers;
    pthread_mutex_t lock; /* origins, exposed */
    struct mega__origin *origins;
    unsigned norigins, next_shared;
    struct mega__keys *keys;
    struct mega__exposed *exposed;
    _Atomic bool card;         /* a link has one that does atomics */
    _Atomic signed char *lost; /* by rank: UCS_OK, or why it is lost */
    _Atomic int first_lost;    /* a rank, or -1 */
    _Atomic unsigned silent;   /* so many are lost that did not answer */
};

/* ---- net_ucx.c ---- */

/* The exposed span, or NULL. */
const struct mega__exposed *mega__ucx_exposed(struct mega__net *net,
                                              uint32_t home, uint32_t span);

/* A worker that hears messages of one id. On failure there is none. */
mega_status_t mega__ucx_worker(struct mega__net *net, unsigned id,
                               ucp_am_recv_callback_t fn, void *arg,
                               ucp_worker_h *worker_p, int *event_fd_p);

/* ---- net_ucx_origin.c ---- */

/* Ends all that is under way on an endpoint, and it; sets it to NULL. */
void mega__ucx_force_close(ucp_ep_h *ep_p);

/* The origin of this thread, locked; another one if that has died. ERRORS:
 * NOMEM. */
mega_status_t mega__ucx_enter(struct mega__net *net, struct mega__origin **o_p);
void mega__ucx_leave(struct mega__origin *o);
void mega__ucx_origins_close(struct mega__net *net);
void mega__ucx_origins_free(struct mega__net *net);

/* All below: the origin is locked, on return too. */

/* The link to a rank, broken or not; NULL: there is none yet. */
struct mega__link *mega__ucx_met(const struct mega__origin *o, int rank);
mega_status_t mega__ucx_link(struct mega__origin *o, int rank,
                             struct mega__link **link_p);

/* What would set *done is not to touch anything of the caller's any more. */
void mega__ucx_give_up(struct mega__origin *o, struct mega__link *link,
                       const bool *done);

/* ---- net_ucx_wait.c ---- */

void mega__ucx_on_done(void *request, ucs_status_t status, void *wait);
ucp_request_param_t mega__ucx_waited_for(struct mega__wait *wait);

/* How many ns a rank is waited for that may take so many seconds. Each that did
 * not answer halves it, down to a second: however many are lost at once, by
 * whatever thread, costs about two waits. The job is at its end then; nobody
 * whom one second is too short would bring it further. */
uint64_t mega__ucx_patience(const struct mega__net *net, uint64_t seconds);

/* Makes progress until *done, for a number of seconds at most (or less, as
 * above, unless whole); the lock is given up meanwhile. ERRORS: PEER - the link
 * broke; TIMEOUT - without a sentence. */
mega_status_t mega__ucx_await(struct mega__origin *o, struct mega__link *link,
                              const bool *done, uint64_t seconds, bool whole);

/* When a wait began (0: when there is nothing to do), and what had ended on its
 * link by then. */
struct mega__since {
    uint64_t began, ended;
};
struct mega__since mega__ucx_since(const struct mega__link *link);

/* The same until a round of the link is over, as long as operations of the link
 * end in MEGALLOC_TIMEOUT; the first of them since then. */
mega_status_t mega__ucx_await_round(struct mega__origin *o,
                                    struct mega__link *link, uint64_t round,
                                    struct mega__since since);

/* Waits for what ucp_*_nbx has returned, as long; afterwards UCX touches
 * neither the wait nor any buffer. */
mega_status_t mega__ucx_finish(struct mega__origin *o, struct mega__link *link,
                               ucs_status_ptr_t request,
                               struct mega__wait *wait);

/* Of what was begun before others were waited for. */
mega_status_t mega__ucx_finish_since(struct mega__origin *o,
                                     struct mega__link *link,
                                     ucs_status_ptr_t request,
                                     struct mega__wait *wait,
                                     struct mega__since since);

/* ---- net_ucx_lost.c ---- */

/* The link is broken, and its peer lost for all threads of this process; unless
 * that has been said before. */
void mega__ucx_break(struct mega__link *link, ucs_status_t why);

/* What a peer is lost for, as a status with its sentence; OK: it is not. */
mega_status_t mega__ucx_lost(const struct mega__net *net, int rank);
/* Of any that is lost. */
mega_status_t mega__ucx_any_lost(const struct mega__net *net);
mega_status_t mega__ucx_broken(const struct mega__link *link);

/* The peer did not answer in time: the link is broken, which it says. */
mega_status_t mega__ucx_too_late(struct mega__link *link);

/* The origin died of another link; what was under way on this one is in doubt,
 * so its peer is lost, too. ERRORS: PEER. */
mega_status_t mega__ucx_given_up(struct mega__link *link);

/* Of an origin that is dead, and locked. ERRORS: with operations that no flush
 * had completed; to whom they went is lost. */
mega_status_t mega__ucx_dead(struct mega__origin *o);

/* ---- net_ucx_call.c ---- */

/* The server of a home as a link. */
mega_status_t mega__ucx_server(struct mega__origin *o, uint32_t home,
                               struct mega__link **link_p);

/* The key for n bytes at p. ERRORS: ARG - not in one span of a far home. */
mega_status_t mega__ucx_reach(struct mega__origin *o, mega_gptr_t p, size_t n,
                              struct mega__reach **reach_p);

struct mega__wire_head mega__ucx_head(struct mega__origin *o,
                                      enum mega__wire_op op);
mega_status_t mega__ucx_send(struct mega__origin *o, struct mega__link *link,
                             const struct mega__wire_head *head,
                             const void *bytes, size_t len);

/* Sends a request and waits for its answer, whose status it returns. */
mega_status_t mega__ucx_request(struct mega__origin *o, struct mega__link *link,
                                const struct mega__wire_head *head,
                                const void *bytes, size_t len,
                                struct mega__call *call);

ucs_status_t mega__ucx_on_answer(void *origin, const void *head,
                                 size_t head_len, void *data, size_t len,
                                 const ucp_am_recv_param_t *param);

/* ---- net_ucx_parts.c ---- */

/* A put of up to MEGA__SMALL bytes as a message, whose answer a flush waits
 * for. Where UCX would emulate its put it sends four messages for a put and its
 * flush, these are two. */
#define MEGA__SMALL 256
mega_status_t mega__ucx_put_message(struct mega__link *link, mega_gptr_t p,
                                    const void *src, size_t n);
/* An answer to one. False: it is none. */
bool mega__ucx_put_answered(struct mega__origin *o,
                            const struct mega__wire_answer *answer,
                            const char *text, size_t len);
/* ERRORS: why a put was refused: told once. */
mega_status_t mega__ucx_refused(struct mega__link *link);

/* ---- net_ucx_ops.c ---- */

mega_status_t mega__ucx_put(struct mega__origin *o, mega_gptr_t p,
                            const void *src, size_t n);
mega_status_t mega__ucx_get(struct mega__origin *o, void *dst, mega_gptr_t p,
                            size_t n);
/* ---- net_ucx_flush.c ---- */

/* Ends and closes what rounds it can. */
void mega__ucx_advance(struct mega__link *link);

/* What a card has put there, for whomever, and was flushed, is in memory: it
 * may be on its way from the card still, but no read overtakes a write. Reads
 * 8 bytes at p, of this link, if it has a card. */
mega_status_t mega__ucx_read_back(struct mega__origin *o,
                                  struct mega__link *link, mega_gptr_t p);
/* The operations of this link, or of all of the origin, are complete. */
mega_status_t mega__ucx_flush_link(struct mega__origin *o,
                                   struct mega__link *link);
mega_status_t mega__ucx_flush(struct mega__origin *o);

/* ---- net_ucx_service.c ---- */

/* address: to be released by mega__ucx_service_stop. */
mega_status_t mega__ucx_service_start(struct mega__net *net,
                                      const void **address_p, size_t *len_p);
/* Nobody needs it any more. */
void mega__ucx_service_stop(struct mega__net *net);

/* ---- Common ---- */

static inline struct mega__link *mega__ucx_newest(const struct mega__origin *o)
{
    return (struct mega__link *)o->links.newest;
}

static inline struct mega__link *mega__ucx_older(const struct mega__link *l)
{
    return (struct mega__link *)l->item.older;
}

static inline uint64_t mega__ucx_span_key(uint32_t home, uint32_t no)
{
    return (uint64_t)home << 32 | no;
}

static inline const struct mega__peer *mega__ucx_peer(const struct mega__net *n,
                                                      int rank)
{
    return (const void *)((const char *)n->peers + n->peers->at[rank]);
}

/* UCS_OK, or why the peer is lost, perhaps by another link. */
static inline ucs_status_t mega__ucx_gone(const struct mega__link *link)
{
    return (ucs_status_t)atomic_load_explicit(
        &link->origin->net->lost[link->rank], memory_order_acquire);
}

/* An operation begins that a flush has to complete. */
static inline void mega__ucx_stamp(struct mega__link *link)
{
    link->stamp = ++link->origin->clock;
    if (link->listed)
        return;
    link->listed = true;
    link->next_begun = link->origin->begun;
    link->origin->begun = link;
}

/* Operations that no flush has completed. */
static inline bool mega__ucx_unflushed(const struct mega__link *link)
{
    return link->stamp > link->flushed_to &&
           link->stamp > link->origin->flushed_to;
}

#endif
