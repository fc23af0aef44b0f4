/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * net_ucx.c - the transport to homes of other hosts, by UCX: its start and
 * stop, and the spans that others may reach. See net_ucx.h for the parts.
 *
 * A job on one host starts nothing, but for MEGALLOC_ATOMICS=nic. UCX is told
 * what we want by its own configuration calls, never by the environment, which
 * the UCX inside an MPI would read too. Atomics are the CPU's, so they agree
 * with those of ranks that have the home mapped; or, with nic, those of a card
 * that has them, and nobody else's.
 */
#include "net_ucx.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "home.h"
#include "log.h"
#include "share.h"

/* ---- Addresses ---- */

static size_t padded(size_t n)
{
    return (n + 7) & ~(size_t)7; /* UCX reads addresses where they lie */
}

/* all: what the ranks have said, one after another, len bytes. */
static mega_status_t list_peers(const struct mega__ctx *ctx, const char *all,
                                size_t len, struct mega__peers *peers)
{
    size_t nranks = (size_t)ctx->place.nranks, n = 0;
    size_t begin = sizeof *peers + nranks * sizeof peers->at[0];
    for (size_t at = 0; n < nranks && len - at >= sizeof(struct mega__peer);
         n++) {
        const struct mega__peer *peer = (const void *)(all + at);
        peers->at[peer->rank] = begin + at;
        at += padded(sizeof *peer + peer->len);
    }
    if (n < nranks)
        return mega__fail(MEGA_ERR_PEER,
                          "%zu ranks of %zu said how to reach them", n, nranks);
    memcpy((char *)peers + begin, all, len);
    return MEGA_OK;
}

/* Each host keeps one copy of what all have said, which its first has. */
static mega_status_t keep_peers(struct mega__net *net, const char *all,
                                size_t len)
{
    struct mega__ctx *ctx = net->ctx;
    size_t bytes = sizeof *net->peers +
                   (size_t)ctx->place.nranks * sizeof net->peers->at[0] + len;
    void *p;
    mega_status_t st = mega__share(ctx, bytes, &p);
    if (st)
        return st;
    net->peers = p;
    return all ? list_peers(ctx, all, len, net->peers) : MEGA_OK;
}

/* All ranks know the service of all, once they have met again. */
static mega_status_t introduce(struct mega__net *net, const void *address,
                               size_t len)
{
    size_t size = padded(sizeof(struct mega__peer) + len), n = 0;
    struct mega__peer *me = calloc(1, size);
    void *all = NULL;
    mega_status_t st =
        me ? MEGA_OK : mega__fail(MEGA_ERR_NOMEM, "no memory to start");
    st = mega__boot_agree(net->ctx->boot, st);
    if (!st) {
        me->rank = (uint32_t)net->ctx->place.rank;
        me->len = (uint32_t)len;
        mega__conf_host(&net->ctx->conf, me->host, sizeof me->host);
        memcpy(me->address, address, len);
        st = mega__boot_gather(net->ctx->boot, me, size, &all, &n);
    }
    free(me);
    if (!st)
        st = keep_peers(net, all, n);
    free(all);
    return st;
}

/* ---- Start, stop ---- */

mega_status_t mega__ucx_worker(struct mega__net *net, unsigned id,
                               ucp_am_recv_callback_t fn, void *arg,
                               ucp_worker_h *worker_p, int *event_fd_p)
{
    ucp_worker_params_t params = {.field_mask =
                                      UCP_WORKER_PARAM_FIELD_THREAD_MODE,
                                  .thread_mode = UCS_THREAD_MODE_SERIALIZED};
    ucp_am_handler_param_t handler = {
        .field_mask =
            UCP_AM_HANDLER_PARAM_FIELD_ID | UCP_AM_HANDLER_PARAM_FIELD_FLAGS |
            UCP_AM_HANDLER_PARAM_FIELD_CB | UCP_AM_HANDLER_PARAM_FIELD_ARG,
        .id = id,
        .flags = UCP_AM_FLAG_WHOLE_MSG,
        .cb = fn,
        .arg = arg};
    ucp_worker_h worker = NULL;
    ucs_status_t rc = ucp_worker_create(net->ucp, &params, &worker);
    if (rc == UCS_OK)
        rc = ucp_worker_get_efd(worker, event_fd_p);
    if (rc == UCS_OK)
        rc = ucp_worker_set_am_recv_handler(worker, &handler);
    if (rc != UCS_OK) {
        if (worker)
            ucp_worker_destroy(worker);
        return mega__fail(MEGA_ERR_IO, "a worker of UCX: %s",
                          ucs_status_string(rc));
    }
    *worker_p = worker;
    return MEGA_OK;
}

static bool by_nic(const struct mega__ctx *ctx)
{
    return ctx->conf.atomics.v.number == MEGA__ATOMICS_NIC;
}

static mega_status_t open_ucp(struct mega__net *net)
{
    ucp_params_t params = {.field_mask = UCP_PARAM_FIELD_FEATURES |
                                         UCP_PARAM_FIELD_MT_WORKERS_SHARED |
                                         UCP_PARAM_FIELD_ESTIMATED_NUM_EPS,
                           .features = UCP_FEATURE_RMA | UCP_FEATURE_AMO32 |
                                       UCP_FEATURE_AMO64 | UCP_FEATURE_AM |
                                       UCP_FEATURE_WAKEUP,
                           .mt_workers_shared = 1,
                           .estimated_num_eps = (size_t)net->ctx->place.nranks};
    ucp_context_attr_t attr = {.field_mask = UCP_ATTR_FIELD_REQUEST_SIZE};
    ucp_config_t *config;
    ucs_status_t rc = ucp_config_read(NULL, NULL, &config);
    if (rc != UCS_OK)
        return mega__fail(MEGA_ERR_IO, "settings of UCX: %s",
                          ucs_status_string(rc));
    rc = ucp_config_modify(config, "ATOMIC_MODE",
                           by_nic(net->ctx) ? "device" : "cpu");
    if (rc == UCS_OK)
        rc = ucp_init(&params, config, &net->ucp);
    ucp_config_release(config);
    if (rc == UCS_OK)
        rc = ucp_context_query(net->ucp, &attr);
    net->request_size = attr.request_size;
    if (rc != UCS_OK)
        return mega__fail(MEGA_ERR_UNSUPPORTED,
                          "UCX finds no way between hosts: %s; see UCX_TLS "
                          "and UCX_NET_DEVICES",
                          ucs_status_string(rc));
    return MEGA_OK;
}

static void free_exposed(struct mega__net *net)
{
    for (struct mega__exposed *e = net->exposed, *next; e; e = next) {
        next = e->next;
        ucp_rkey_buffer_release(e->key);
        ucp_mem_unmap(net->ucp, e->memory);
        free(e);
    }
    net->exposed = NULL;
}

/* Nobody uses it, here or elsewhere. */
static void net_free(struct mega__net *net)
{
    bool kept = false; /* something that UCX may still look at */
    for (struct mega__origin *o = net->origins; o; o = o->next)
        kept |= o->dead;
    mega__ucx_origins_free(net);
    mega__ucx_service_stop(net);
    if (net->ucp && !kept) {
        free_exposed(net);
        ucp_cleanup(net->ucp);
    }
    mega__keys_close(&net->keys);
    mega__unshare(net->peers);
    pthread_mutex_destroy(&net->lock);
    free((void *)net->lost);
    free(net);
}

mega_status_t mega__net_start(struct mega__ctx *ctx, struct mega__net **net_p)
{
    const void *address = NULL;
    size_t len = 0;
    *net_p = NULL;
    if (ctx->place.nhosts == 1 && !by_nic(ctx))
        return MEGA_OK;
    struct mega__net *net = calloc(1, sizeof *net);
    mega_status_t st =
        net ? MEGA_OK : mega__fail(MEGA_ERR_NOMEM, "no memory to start");
    if (net) {
        net->ctx = ctx;
        pthread_mutex_init(&net->lock, NULL);
        atomic_init(&net->first_lost, -1);
        net->lost = calloc((size_t)ctx->place.nranks, sizeof net->lost[0]);
        st = net->lost ? open_ucp(net)
                       : mega__fail(MEGA_ERR_NOMEM, "no memory to start");
    }
    if (!st)
        st = mega__ucx_service_start(net, &address, &len);
    st = mega__boot_agree(ctx->boot, st);
    if (!st)
        st = mega__boot_agree(ctx->boot, introduce(net, address, len));
    if (!st)
        st = mega__boot_agree(ctx->boot, mega__keys_open(ctx, &net->keys));
    if (st) { /* the same on all ranks: nobody has used it */
        if (net)
            net_free(net);
        return st;
    }
    *net_p = net;
    return MEGA_OK;
}

bool mega__net_has_card(const struct mega__net *net)
{
    return net && atomic_load_explicit(&net->card, memory_order_relaxed);
}

/* Our links are closed while all services still answer; then no rank needs
 * another, and the services end. */
void mega__net_stop(struct mega__net **net_p)
{
    struct mega__net *net = *net_p;
    if (!net)
        return;
    *net_p = NULL;
    mega__ucx_origins_close(net);
    mega_status_t st = mega__boot_barrier(net->ctx->boot);
    (void)st; /* MPI has said what is wrong; the others may be gone */
    net_free(net);
}

/* ---- What others may reach ---- */

mega_status_t mega__net_expose(struct mega__net *net, struct mega__span *span)
{
    if (!net)
        return MEGA_OK;
    struct mega__exposed *e = calloc(1, sizeof *e);
    if (!e)
        return mega__fail(MEGA_ERR_NOMEM, "no memory for the key of a span");
    ucp_mem_map_params_t params = {
        .field_mask = UCP_MEM_MAP_PARAM_FIELD_ADDRESS |
                      UCP_MEM_MAP_PARAM_FIELD_LENGTH |
                      UCP_MEM_MAP_PARAM_FIELD_FLAGS,
        .address = span->base,
        .length = span->size,
        .flags = UCP_MEM_MAP_NONBLOCK,
        .prot = UCP_MEM_MAP_PROT_LOCAL_READ | UCP_MEM_MAP_PROT_REMOTE_READ};
    if (net->ctx->readonly) /* else all that there is */
        params.field_mask |= UCP_MEM_MAP_PARAM_FIELD_PROT;
    e->home = span->home->no;
    e->span = span->no;
    e->size = span->size;
    e->address = (uint64_t)(uintptr_t)span->base;
    ucs_status_t rc = ucp_mem_map(net->ucp, &params, &e->memory);
    if (rc == UCS_OK) {
        rc = ucp_rkey_pack(net->ucp, e->memory, &e->key, &e->key_len);
        if (rc == UCS_OK && e->key_len > MEGA__WIRE_KEY_MAX) {
            ucp_rkey_buffer_release(e->key);
            rc = UCS_ERR_EXCEEDS_LIMIT;
        }
        if (rc != UCS_OK)
            ucp_mem_unmap(net->ucp, e->memory);
    }
    if (rc != UCS_OK) {
        mega_status_t st =
            mega__fail(MEGA_ERR_IO,
                       "span %u of home %u, %llu bytes, cannot be reached by "
                       "other hosts: UCX: %s",
                       e->span, e->home, (unsigned long long)e->size,
                       ucs_status_string(rc));
        free(e);
        return st;
    }
    pthread_mutex_lock(&net->lock);
    e->next = net->exposed;
    net->exposed = e;
    pthread_mutex_unlock(&net->lock);
    return MEGA_OK;
}

const struct mega__exposed *mega__ucx_exposed(struct mega__net *net,
                                              uint32_t home, uint32_t span)
{
    pthread_mutex_lock(&net->lock);
    const struct mega__exposed *e = net->exposed;
    while (e && (e->home != home || e->span != span))
        e = e->next;
    pthread_mutex_unlock(&net->lock);
    return e;
}
