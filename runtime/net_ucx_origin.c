/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * net_ucx_origin.c - origins of threads, their links, failures.
 *
 * Happy path: a thread finds its origin in its arena, locks it, and waits for
 * its operation (net_ucx_wait.c). What can fail: the peer. Where UCX tells
 * (TCP, NICs), the link is closed by force, which ends all that is under way on
 * it. Where it does not (shared memory), or in vain, the origin is never
 * touched again: so no late answer writes into a buffer that its caller has
 * back. A broken link stays broken, and so do all that this process has to the
 * same peer (net_ucx_lost.c).
 */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arena.h"
#include "crc.h"
#include "log.h"
#include "net_ucx.h"

#define FORCE_NS 2000000000u /* for a closed link to end what it has */
#define CLOSE_NS 5000000000u /* for the peer to hear of the end */

/* ---- Origins ---- */

static struct mega__origin *origin_new(struct mega__net *net)
{
    struct mega__origin *o =
        net->norigins < MEGA__WIRE_ORIGINS_MAX ? calloc(1, sizeof *o) : NULL;
    if (!o) {
        mega__fail(MEGA_ERR_NOMEM, "no memory for another worker of UCX");
        return NULL;
    }
    o->net = net;
    o->no = net->norigins;
    if (mega__ucx_worker(net, MEGA__WIRE_ANSWER, mega__ucx_on_answer, o,
                         &o->worker, &o->event_fd)) {
        free(o);
        return NULL;
    }
    ucs_status_t rc =
        ucp_worker_get_address(o->worker, &o->address, &o->address_len);
    if (rc != UCS_OK) {
        mega__fail(MEGA_ERR_NOMEM, "the address of an origin: %s",
                   ucs_status_string(rc));
        ucp_worker_destroy(o->worker);
        free(o);
        return NULL;
    }
    pthread_mutex_init(&o->mutex, NULL);
    return o;
}

/* A new origin, or one that is shared when there are many. */
static struct mega__origin *origin_choose(struct mega__net *net)
{
    struct mega__origin *o = NULL;
    pthread_mutex_lock(&net->lock);
    if (net->norigins >= MEGA__ORIGINS_MAX) {
        unsigned skip = net->next_shared++ % net->norigins;
        for (o = net->origins; skip > 0; skip--)
            o = o->next;
        for (struct mega__origin *at = net->origins; o->dead && at;
             at = at->next)
            o = at;
    }
    if (!o || o->dead) {
        o = origin_new(net);
        if (o) {
            o->next = net->origins;
            net->origins = o;
            net->norigins++;
        }
    }
    pthread_mutex_unlock(&net->lock);
    return o;
}

mega_status_t mega__ucx_enter(struct mega__net *net, struct mega__origin **o_p)
{
    struct mega__arena *a = mega__arena(net->ctx);
    while (a) {
        if (!a->origin)
            a->origin = origin_choose(net);
        *o_p = a->origin;
        if (!a->origin)
            return MEGA_ERR_NOMEM; /* its sentence may be UCX's */
        pthread_mutex_lock(&a->origin->mutex);
        if (!a->origin->dead)
            return MEGA_OK;
        if (mega__ucx_dead(a->origin))
            a->undone = a->origin;
        pthread_mutex_unlock(&a->origin->mutex);
        a->origin = NULL;
    }
    return MEGA_ERR_NOMEM;
}

void mega__ucx_leave(struct mega__origin *o)
{
    pthread_mutex_unlock(&o->mutex);
}

/* ---- Links ---- */

static void on_lost(void *arg, ucp_ep_h ep, ucs_status_t status)
{
    struct mega__link *link = arg;
    (void)ep;
    mega__ucx_break(link, status);
}

/* "lane[0]:  1:tcp/eth0 md[1] -> md[1]/tcp/sysdev[255] am wireup" is of none.
 */
static bool is_card(const char *lane)
{
    static const char *const soft[] = {
        "tcp/", "self/",  "posix/", "sysv/",     "cma/",    "knem/",
        "mm/",  "xpmem/", "<none>", "ud_verbs/", "ud_mlx5/"};
    bool known = false;
    const char *name = strchr(lane, ']');
    name = name ? strchr(name + 2, ':') : NULL;
    for (size_t i = 0; name && i < sizeof soft / sizeof soft[0]; i++)
        known |= strncmp(name + 1, soft[i], strlen(soft[i])) == 0;
    return name && !known;
}

/* Which of its transports write without the target's processor, and whether
 * one of those does atomics. */
static void look_at_lanes(struct mega__link *link)
{
    char *text = NULL, *next = NULL;
    size_t len = 0;
    FILE *file = open_memstream(&text, &len);
    link->hardware = !file;
    if (!file)
        return;
    ucp_ep_print_info(link->ep, file);
    fclose(file);
    for (char *line = text ? strtok_r(text, "\n", &next) : NULL; line;
         line = strtok_r(NULL, "\n", &next)) {
        const char *lane = strstr(line, "lane[");
        if (!lane || !is_card(lane))
            continue;
        link->hardware = true;
        if (strstr(lane, " amo"))
            atomic_store_explicit(&link->origin->net->card, true,
                                  memory_order_relaxed);
    }
    free(text);
}

static ucs_status_t connect_link(struct mega__link *link)
{
    struct mega__net *net = link->origin->net;
    const struct mega__peer *peer = mega__ucx_peer(net, link->rank);
    ucp_ep_params_t params = {.field_mask =
                                  UCP_EP_PARAM_FIELD_REMOTE_ADDRESS |
                                  UCP_EP_PARAM_FIELD_ERR_HANDLING_MODE |
                                  UCP_EP_PARAM_FIELD_ERR_HANDLER,
                              .address = (const void *)peer->address,
                              .err_mode = UCP_ERR_HANDLING_MODE_PEER,
                              .err_handler = {on_lost, link}};
    ucs_status_t rc = ucp_ep_create(link->origin->worker, &params, &link->ep);
    link->told = rc == UCS_OK;
    if (rc != UCS_OK) { /* shared memory alone does not tell */
        params.err_mode = UCP_ERR_HANDLING_MODE_NONE;
        rc = ucp_ep_create(link->origin->worker, &params, &link->ep);
    }
    if (rc == UCS_OK)
        look_at_lanes(link);
    return rc;
}

/* Tells the service who we are, so that it can answer. */
static mega_status_t say_hello(struct mega__link *link)
{
    struct mega__origin *o = link->origin;
    struct mega__ctx *ctx = o->net->ctx;
    struct mega__wire_head head = {.op = MEGA__WIRE_HELLO,
                                   .rank = ctx->place.rank,
                                   .origin = o->no,
                                   .epoch = ctx->epoch};
    struct mega__wait wait = {0};
    ucp_request_param_t param = {.op_attr_mask = UCP_OP_ATTR_FIELD_CALLBACK |
                                                 UCP_OP_ATTR_FIELD_USER_DATA |
                                                 UCP_OP_ATTR_FIELD_FLAGS,
                                 .flags = UCP_AM_SEND_FLAG_EAGER,
                                 .cb.send = mega__ucx_on_done,
                                 .user_data = &wait};
    memcpy(head.uuid, ctx->uuid, sizeof head.uuid);
    head.crc = mega__crc(o->address, o->address_len);
    return mega__ucx_finish(o, link,
                            ucp_am_send_nbx(link->ep, MEGA__WIRE_REQUEST, &head,
                                            sizeof head, o->address,
                                            o->address_len, &param),
                            &wait);
}

struct mega__link *mega__ucx_met(const struct mega__origin *o, int rank)
{
    return mega__lists_find(&o->links, (uint64_t)rank);
}

mega_status_t mega__ucx_link(struct mega__origin *o, int rank,
                             struct mega__link **link_p)
{
    struct mega__link *link = mega__ucx_met(o, rank);
    mega_status_t lost = mega__ucx_lost(o->net, rank);
    if (lost)
        return lost;
    if (!link) {
        link = calloc(1, sizeof *link);
        if (!link)
            return mega__fail(MEGA_ERR_NOMEM, "no memory for a link");
        link->origin = o;
        link->rank = rank;
        link->item.key = (uint64_t)rank;
        link->quiet = true;
        link->round = 1;
        link->rounds[0].link = link->rounds[1].link = link;
        ucs_status_t rc = connect_link(link);
        if (rc == UCS_OK && !mega__lists_add(&o->links, &link->item)) {
            mega__ucx_force_close(&link->ep);
            rc = UCS_ERR_NO_MEMORY;
        }
        if (rc != UCS_OK) {
            free(link);
            return mega__fail(
                rc == UCS_ERR_UNREACHABLE ? MEGA_ERR_UNSUPPORTED
                                          : MEGA_ERR_PEER,
                "UCX finds no way to rank %d on host %s: %s; see UCX_TLS and "
                "UCX_NET_DEVICES",
                rank, mega__ucx_peer(o->net, rank)->host,
                ucs_status_string(rc));
        }
        mega_status_t st = say_hello(link);
        if (st)
            return st;
    }
    *link_p = link;
    return MEGA_OK;
}

/* ---- Closing ---- */

static void on_closed(void *request, ucs_status_t status, void *arg)
{
    (void)status, (void)arg;
    ucp_request_free(request);
}

void mega__ucx_force_close(ucp_ep_h *ep_p)
{
    ucp_request_param_t param = {.op_attr_mask = UCP_OP_ATTR_FIELD_FLAGS |
                                                 UCP_OP_ATTR_FIELD_CALLBACK,
                                 .flags = UCP_EP_CLOSE_FLAG_FORCE,
                                 .cb.send = on_closed};
    if (*ep_p)
        ucp_ep_close_nbx(*ep_p, &param);
    *ep_p = NULL;
}

void mega__ucx_give_up(struct mega__origin *o, struct mega__link *link,
                       const bool *done)
{
    uint64_t began = mega__rest_now();
    if (*done || o->dead)
        return;
    mega__ucx_break(link, UCS_ERR_TIMED_OUT);
    if (link->told)
        mega__ucx_force_close(&link->ep);
    while (link->told && !*done && !o->dead &&
           mega__rest_now() - began < FORCE_NS)
        if (ucp_worker_progress(o->worker) == 0)
            sched_yield();
    if (!*done && !o->dead)
        o->dead = true;
}

/* ---- The end ---- */

static void begin_close(struct mega__link *link)
{
    ucp_request_param_t param = mega__ucx_waited_for(&link->closed);
    ucs_status_ptr_t request = NULL;
    if (mega__ucx_gone(link) != UCS_OK && link->told)
        mega__ucx_force_close(&link->ep);
    if (link->ep)
        request = ucp_ep_close_nbx(link->ep, &param);
    link->ep = NULL;
    if (!UCS_PTR_IS_PTR(request))
        link->closed.done = true;
}

static void begin_closes(struct mega__origin *o)
{
    struct mega__link *l = mega__ucx_newest(o);
    for (; l; l = mega__ucx_older(l))
        begin_close(l);
}

static bool is_closed(const struct mega__origin *o)
{
    const struct mega__link *l = mega__ucx_newest(o);
    while (l && l->closed.done)
        l = mega__ucx_older(l);
    return !l;
}

/* Makes progress. False: all are closed. */
static bool some_left(const struct mega__net *net)
{
    bool left = false, moved = false;
    for (struct mega__origin *o = net->origins; o; o = o->next) {
        if (o->dead || is_closed(o))
            continue;
        left = true;
        moved |= ucp_worker_progress(o->worker) > 0;
    }
    if (left && !moved)
        sched_yield();
    return left;
}

static void free_key(void *reach)
{
    ucp_rkey_destroy(((struct mega__reach *)reach)->key);
    free(reach);
}

/* All at once: who is stuck keeps nobody waiting but once. */
void mega__ucx_origins_close(struct mega__net *net)
{
    const uint64_t began = mega__rest_now();
    for (struct mega__origin *o = net->origins; o; o = o->next)
        if (!o->dead)
            begin_closes(o);
    while (some_left(net) && mega__rest_now() - began < CLOSE_NS)
        ;
    for (struct mega__origin *o = net->origins; o; o = o->next) {
        o->dead |= !is_closed(o);
        if (!o->dead) /* no operation is under way that uses a key */
            mega__lists_free(&o->reach, free_key);
    }
}

/* What is dead stays: UCX would call back into buffers that are gone. */
void mega__ucx_origins_free(struct mega__net *net)
{
    for (struct mega__origin *o = net->origins, *next; o; o = next) {
        next = o->next;
        if (o->dead)
            continue;
        ucp_worker_release_address(o->worker, o->address);
        ucp_worker_destroy(o->worker);
        mega__lists_free(&o->links, free);
        pthread_mutex_destroy(&o->mutex);
        for (struct mega__atomic *at = o->all_atomics, *other; at; at = other) {
            other = at->other;
            free(at);
        }
        free(o->message);
        free(o);
    }
    net->origins = NULL;
}
