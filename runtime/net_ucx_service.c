/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * net_ucx_service.c - the thread that makes progress for others on homes
 * served here: puts, gets and atomics that need this processor, requests.
 *
 * It never waits for another rank and never works for long: what takes time
 * goes to the agent. Idle, it sleeps; while requests come one after the
 * other it keeps looking for a moment, so each is met awake. A request is
 * checked as what a stranger sent: an answer says what was wrong with it.
 *
 * done_lock guards the answers that the agent's thread has finished.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "agent.h"
#include "arena.h"
#include "dirty.h"
#include "log.h"
#include "net_ucx.h"
#include "net_ucx_caller.h"
#include "part.h"
#include "thread.h"
#include "watch.h"

#define LINGER_NS 100000u /* to look on after a request */
#define ROUNDS 64         /* of progress before answers are looked after */
#define SPARES 64         /* answers at once, if there is no memory */

struct reply {
    struct reply *next;
    struct mega__service *service;
    struct mega__caller *caller; /* NULL: a spare one, not in use */
    struct mega__wire_answer head;
    size_t len;
    struct mega__post post; /* of what the agent is asked */
    union {
        struct mega__request req;
        char bytes[MEGA__WIRE_PAYLOAD_MAX];
    } payload;
};

struct mega__service {
    struct mega__net *net;
    ucp_worker_h worker;
    ucp_address_t *address;
    pthread_t thread;
    bool running;
    int poll_fd, wake_fd;
    _Atomic bool stop;
    struct mega__callers callers;
    struct reply *spares; /* who is not answered takes us for lost */
    struct reply *ready;  /* to be sent */
    pthread_mutex_t done_lock;
    struct reply *done; /* by the agent */
};

/* ---- Answers ---- */

static struct reply *take_spare(struct mega__service *s)
{
    for (unsigned i = 0; i < SPARES; i++)
        if (!s->spares[i].caller)
            return &s->spares[i];
    return NULL;
}

static void reply_free(struct reply *r)
{
    const struct mega__service *s = r->service;
    if (r >= s->spares && r < s->spares + SPARES)
        memset(r, 0, sizeof *r);
    else
        free(r);
}

static unsigned send_replies(struct mega__service *s);

/* NULL: nobody can be answered, or no more. */
static struct reply *reply_new(struct mega__service *s,
                               const struct mega__wire_head *head)
{
    struct mega__caller *c = mega__ucx_caller(&s->callers, head);
    struct reply *r = c ? calloc(1, sizeof *r) : NULL;
    if (c && !r)
        r = take_spare(s);
    if (c && !r && send_replies(s) > 0) /* they have waited for that */
        r = take_spare(s);
    if (!r)
        return NULL;
    r->service = s;
    r->caller = c;
    r->head.call = head->call;
    return r;
}

static void make_ready(struct reply *r)
{
    r->next = r->service->ready;
    r->service->ready = r;
}

static void reply_status(struct reply *r, mega_status_t st)
{
    r->head.status = st;
    if (st) {
        r->len = strnlen(mega__errmsg_buffer(), MEGA__REQUEST_TEXT);
        memcpy(r->payload.bytes, mega__errmsg_buffer(), r->len);
    }
    make_ready(r);
}

static void on_sent(void *request, ucs_status_t status, void *arg)
{
    (void)status;
    reply_free(arg);
    ucp_request_free(request);
}

static void send_reply(struct mega__service *s, struct reply *r)
{
    ucp_request_param_t param = {.op_attr_mask = UCP_OP_ATTR_FIELD_CALLBACK |
                                                 UCP_OP_ATTR_FIELD_USER_DATA |
                                                 UCP_OP_ATTR_FIELD_FLAGS,
                                 .flags = UCP_AM_SEND_FLAG_EAGER,
                                 .cb.send = on_sent,
                                 .user_data = r};
    ucp_ep_h ep = mega__ucx_caller_ep(r->caller, s->worker);
    if (!ep) {
        reply_free(r);
        return;
    }
    ucs_status_ptr_t request =
        ucp_am_send_nbx(ep, MEGA__WIRE_ANSWER, &r->head, sizeof r->head,
                        r->payload.bytes, r->len, &param);
    if (!UCS_PTR_IS_PTR(request))
        reply_free(r);
}

/* They were put in front; a refusal is to come in its turn. */
static struct reply *turned(struct reply *r)
{
    struct reply *list = NULL, *next;
    for (; r; r = next) {
        next = r->next;
        r->next = list;
        list = r;
    }
    return list;
}

/* How many there were. */
static unsigned send_replies(struct mega__service *s)
{
    unsigned n = 0;
    struct reply *lists[2] = {s->ready, NULL};
    s->ready = NULL;
    pthread_mutex_lock(&s->done_lock);
    lists[1] = s->done;
    s->done = NULL;
    pthread_mutex_unlock(&s->done_lock);
    for (unsigned i = 0; i < 2; i++)
        for (struct reply *r = turned(lists[i]), *next; r; r = next, n++) {
            next = r->next;
            send_reply(s, r);
        }
    return n;
}

/* ---- Requests ---- */

static mega_status_t check_head(struct mega__ctx *ctx,
                                const struct mega__wire_head *head)
{
    if (memcmp(head->uuid, ctx->uuid, sizeof head->uuid) == 0 &&
        head->epoch == ctx->epoch)
        return MEGA_OK;
    return mega__fail(MEGA_ERR_MISMATCH,
                      "rank %d asks in epoch %llu of its space, rank %d is in "
                      "epoch %llu, perhaps of another",
                      head->rank, (unsigned long long)head->epoch,
                      ctx->place.rank, (unsigned long long)ctx->epoch);
}

static void serve_key(struct mega__service *s, struct reply *r,
                      const struct mega__wire_head *head)
{
    struct mega__wire_key key;
    const struct mega__exposed *e =
        mega__ucx_exposed(s->net, head->home, head->span);
    if (!e) {
        reply_status(r, mega__fail(MEGA_ERR_ABSENT,
                                   "home %u has no span %u, or is not served "
                                   "by rank %d",
                                   head->home, head->span,
                                   s->net->ctx->place.rank));
        return;
    }
    key.size = e->size;
    key.address = e->address;
    memcpy(r->payload.bytes, &key, sizeof key);
    memcpy(r->payload.bytes + sizeof key, e->key, e->key_len);
    r->len = sizeof key + e->key_len;
    reply_status(r, MEGA_OK);
}

static mega_status_t cut_short(void)
{
    return mega__fail(MEGA_ERR_ARG, "a request that is cut short");
}

typedef mega_status_t part_fn(struct mega__ctx *, struct mega__arena *,
                              const struct mega__part *);

static mega_status_t do_parts(struct mega__ctx *ctx, part_fn *fn,
                              uint32_t nparts, const char *data, size_t len)
{
    struct mega__arena *a = mega__arena(ctx);
    size_t at = nparts * sizeof(struct mega__wire_part);
    uint64_t left = MEGA__WIRE_COVERED_MAX;
    mega_status_t st = MEGA_OK;
    if (!a)
        return MEGA_ERR_NOMEM;
    if (nparts > MEGA__PARTS_MAX || at > len)
        return cut_short();
    for (uint32_t i = 0; !st && i < nparts; i++) {
        struct mega__wire_part w;
        memcpy(&w, data + i * sizeof w, sizeof w);
        struct mega__part part = {.p = mega_from_bits(w.p),
                                  .n = w.n,
                                  .src = w.has_bytes ? data + at : NULL,
                                  .marks = w.marks};
        if (w.has_bytes && w.n > len - at)
            st = cut_short();
        else if (w.n > left)
            st = mega__fail(MEGA_ERR_ARG, "a request for too many bytes");
        else
            st = fn(ctx, a, &part);
        left -= st ? 0 : w.n;
        at += w.has_bytes ? w.n : 0;
    }
    mega_status_t fenced = mega__dirty_fence(a);
    return st ? st : fenced;
}

static void wake(struct mega__service *s)
{
    uint64_t one = 1;
    ssize_t written = write(s->wake_fd, &one, sizeof one);
    (void)written; /* full: it is awake */
}

/* By the agent's thread. The reply is the service's once the lock is free. */
static void asked(struct mega__request *req, void *arg)
{
    struct reply *r = arg;
    struct mega__service *s = r->service;
    (void)req;
    r->len = sizeof r->payload.req;
    pthread_mutex_lock(&s->done_lock);
    r->next = s->done;
    s->done = r;
    pthread_mutex_unlock(&s->done_lock);
    wake(s);
}

static void serve_ask(struct mega__service *s, struct reply *r,
                      const void *data, size_t len)
{
    if (len != sizeof r->payload.req) {
        reply_status(r, cut_short());
        return;
    }
    memcpy(&r->payload.req, data, len);
    r->post =
        (struct mega__post){.req = &r->payload.req, .done = asked, .arg = r};
    mega__agent_post(s->net->ctx->agent, &r->post);
}

static bool growing(const struct mega__ctx *ctx)
{
    return ctx->seg &&
           atomic_load_explicit(&ctx->seg->ranks[ctx->place.host_rank].growing,
                                memory_order_acquire) != 0;
}

static ucs_status_t on_request(void *arg, const void *header, size_t head_len,
                               void *data, size_t len,
                               const ucp_am_recv_param_t *param)
{
    struct mega__service *s = arg;
    struct mega__ctx *ctx = s->net->ctx;
    struct mega__wire_head head;
    if (head_len != sizeof head ||
        param->recv_attr & UCP_AM_RECV_ATTR_FLAG_RNDV)
        return UCS_OK;
    memcpy(&head, header, sizeof head);
    if (head.op == MEGA__WIRE_HELLO) {
        mega__ucx_caller_meet(&s->callers, ctx, &head, data, len);
        return UCS_OK;
    }
    struct reply *r = reply_new(s, &head);
    if (!r)
        return UCS_OK;
    mega_status_t st = check_head(ctx, &head);
    if (st) {
        reply_status(r, st);
        return UCS_OK;
    }
    switch (head.op) {
    case MEGA__WIRE_KEY:
        serve_key(s, r, &head);
        break;
    case MEGA__WIRE_DURABLE:
        reply_status(r,
                     do_parts(ctx, mega__part_apply, head.nparts, data, len));
        break;
    case MEGA__WIRE_PUT:
        reply_status(r,
                     do_parts(ctx, mega__part_store, head.nparts, data, len));
        break;
    case MEGA__WIRE_ASK:
        serve_ask(s, r, data, len);
        break;
    case MEGA__WIRE_ALIVE:
        r->head.value = growing(ctx);
        reply_status(r, mega__watch_answer(ctx));
        break;
    default:
        reply_status(r, mega__fail(MEGA_ERR_ARG, "message %u", head.op));
    }
    return UCS_OK;
}

/* ---- The thread ---- */

struct attention {
    uint64_t last; /* when something came, ns */
    uint64_t ns;   /* to look on after that */
};

/* Whether to look on. Requests that come soon one after the other keep it
 * awake; one that stands alone does not. */
static bool look_on(struct attention *l, bool came)
{
    uint64_t now = mega__rest_now(), gap = now - l->last;
    if (came) {
        l->ns = gap < LINGER_NS ? LINGER_NS : l->ns / 2;
        l->last = now;
        return true;
    }
    return gap < l->ns;
}

static void sleep_until_woken(struct mega__service *s)
{
    struct epoll_event event;
    uint64_t count;
    if (ucp_worker_arm(s->worker) != UCS_OK)
        return; /* something came just now */
    if (epoll_wait(s->poll_fd, &event, 1, -1) == 1 &&
        event.data.fd == s->wake_fd) {
        ssize_t got = read(s->wake_fd, &count, sizeof count);
        (void)got;
    }
}

static void *run(void *arg)
{
    struct mega__service *s = arg;
    struct attention linger = {0};
    /* Now: later it would wait for who, holding the lock of the arenas, waits
     * for an answer. */
    struct mega__arena *a = mega__arena(s->net->ctx);
    if (a)
        a->serves = true;
    while (!atomic_load_explicit(&s->stop, memory_order_acquire)) {
        unsigned rounds = 0;
        while (rounds < ROUNDS && ucp_worker_progress(s->worker) > 0)
            rounds++;
        if (look_on(&linger, send_replies(s) + rounds > 0))
            sched_yield();
        else
            sleep_until_woken(s);
    }
    return NULL;
}

/* ---- Start, stop ---- */

static mega_status_t open_worker(struct mega__service *s)
{
    struct epoll_event event = {.events = EPOLLIN};
    int fd = -1;
    mega_status_t st = mega__ucx_worker(s->net, MEGA__WIRE_REQUEST, on_request,
                                        s, &s->worker, &fd);
    if (st)
        return st;
    s->poll_fd = epoll_create1(EPOLL_CLOEXEC);
    s->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    event.data.fd = fd;
    if (s->poll_fd < 0 || s->wake_fd < 0 ||
        epoll_ctl(s->poll_fd, EPOLL_CTL_ADD, fd, &event) != 0)
        return mega__fail(MEGA_ERR_IO, "epoll: %s", strerror(errno));
    event.data.fd = s->wake_fd;
    if (epoll_ctl(s->poll_fd, EPOLL_CTL_ADD, s->wake_fd, &event) != 0)
        return mega__fail(MEGA_ERR_IO, "epoll: %s", strerror(errno));
    return MEGA_OK;
}

mega_status_t mega__ucx_service_start(struct mega__net *net,
                                      const void **address_p, size_t *len_p)
{
    struct mega__service *s = calloc(1, sizeof *s);
    if (s)
        s->spares = calloc(SPARES, sizeof *s->spares);
    if (!s || !s->spares) {
        free(s);
        return mega__fail(MEGA_ERR_NOMEM, "no memory for the service");
    }
    s->net = net;
    s->poll_fd = s->wake_fd = -1;
    pthread_mutex_init(&s->done_lock, NULL);
    net->service = s;
    mega_status_t st = mega__ucx_callers_begin(&s->callers);
    if (!st)
        st = open_worker(s);
    if (st)
        return st;
    ucs_status_t rc = ucp_worker_get_address(s->worker, &s->address, len_p);
    if (rc != UCS_OK)
        return mega__fail(MEGA_ERR_IO, "the address of the service: %s",
                          ucs_status_string(rc));
    int err = mega__thread_start(&s->thread, run, s);
    if (err != 0)
        return mega__fail(MEGA_ERR_IO, "start the service: %s", strerror(err));
    s->running = true;
    *address_p = s->address;
    return MEGA_OK;
}

void mega__ucx_service_stop(struct mega__net *net)
{
    struct mega__service *s = net->service;
    if (!s)
        return;
    net->service = NULL;
    if (s->running) {
        atomic_store_explicit(&s->stop, true, memory_order_release);
        wake(s);
        pthread_join(s->thread, NULL);
    }
    if (s->address)
        ucp_worker_release_address(s->worker, s->address);
    if (s->worker)
        ucp_worker_destroy(s->worker); /* with its endpoints */
    for (struct reply *r = s->done, *next; r; r = next) {
        next = r->next;
        reply_free(r);
    }
    free(s->spares);
    mega__ucx_callers_free(&s->callers);
    if (s->poll_fd >= 0)
        close(s->poll_fd);
    if (s->wake_fd >= 0)
        close(s->wake_fd);
    pthread_mutex_destroy(&s->done_lock);
    free(s);
}
