/* SPDX-License-Identifier: BSD-3-Clause */
/* net_ucx_caller.c - see net_ucx_caller.h. */
#include "net_ucx_caller.h"

#include <stdlib.h>
#include <string.h>

#include "crc.h"
#include "log.h"

#define SPARES 16
#define SPARE_ADDRESS 1024u

struct mega__caller {
    struct mega__item item;
    struct mega__caller *next; /* of those that are spare */
    ucp_ep_h ep;
    ucs_status_t broken;
    char address[]; /* of its worker */
};

/* ---- Memory ---- */

mega_status_t mega__ucx_callers_begin(struct mega__callers *callers)
{
    for (unsigned i = 0; i < SPARES; i++) {
        struct mega__caller *c = calloc(1, sizeof *c + SPARE_ADDRESS);
        if (!c)
            return mega__fail(MEGA_ERR_NOMEM, "no memory for the service");
        c->next = callers->spares;
        callers->spares = c;
    }
    return MEGA_OK;
}

static struct mega__caller *caller_new(struct mega__callers *callers,
                                       size_t len)
{
    struct mega__caller *c = calloc(1, sizeof *c + len);
    if (c || len > SPARE_ADDRESS || !callers->spares)
        return c;
    c = callers->spares;
    callers->spares = c->next;
    return c;
}

void mega__ucx_callers_free(struct mega__callers *callers)
{
    mega__lists_free(&callers->of, free);
    for (struct mega__caller *c = callers->spares, *next; c; c = next) {
        next = c->next;
        free(c);
    }
}

/* ---- Who they are ---- */

/* UINT64_MAX: there is no such origin. */
static uint64_t key_of(const struct mega__wire_head *head)
{
    return head->origin < MEGA__WIRE_ORIGINS_MAX
               ? (uint64_t)(uint32_t)head->rank * MEGA__WIRE_ORIGINS_MAX +
                     head->origin
               : UINT64_MAX;
}

struct mega__caller *mega__ucx_caller(struct mega__callers *callers,
                                      const struct mega__wire_head *head)
{
    return mega__lists_find(&callers->of, key_of(head));
}

/* UCX believes an address: one that was damaged may not come to it. */
static bool is_greeting(const struct mega__ctx *ctx,
                        const struct mega__wire_head *head, const void *address,
                        size_t len)
{
    return head->rank >= 0 && head->rank < ctx->place.nranks && len > 0 &&
           head->origin < MEGA__WIRE_ORIGINS_MAX &&
           head->crc == mega__crc(address, len) && head->epoch == ctx->epoch &&
           memcmp(head->uuid, ctx->uuid, sizeof head->uuid) == 0;
}

void mega__ucx_caller_meet(struct mega__callers *callers,
                           const struct mega__ctx *ctx,
                           const struct mega__wire_head *head,
                           const void *address, size_t len)
{
    if (!is_greeting(ctx, head, address, len) ||
        mega__ucx_caller(callers, head))
        return;
    struct mega__caller *c = caller_new(callers, len);
    if (!c)
        return; /* its requests find no answer: TIMEOUT there */
    c->item.key = key_of(head);
    memcpy(c->address, address, len);
    if (!mega__lists_add(&callers->of, &c->item))
        free(c);
}

/* ---- The way back ---- */

static void on_lost(void *arg, ucp_ep_h ep, ucs_status_t status)
{
    struct mega__caller *c = arg;
    (void)ep;
    c->broken = status;
}

static void connect_to(struct mega__caller *c, ucp_worker_h worker)
{
    ucp_ep_params_t params = {
        .field_mask = UCP_EP_PARAM_FIELD_REMOTE_ADDRESS |
                      UCP_EP_PARAM_FIELD_ERR_HANDLING_MODE |
                      UCP_EP_PARAM_FIELD_ERR_HANDLER,
        .address = (const ucp_address_t *)(void *)c->address,
        .err_mode = UCP_ERR_HANDLING_MODE_PEER,
        .err_handler = {on_lost, c}};
    ucs_status_t rc = ucp_ep_create(worker, &params, &c->ep);
    if (rc != UCS_OK) {
        params.err_mode = UCP_ERR_HANDLING_MODE_NONE;
        rc = ucp_ep_create(worker, &params, &c->ep);
    }
    if (rc != UCS_OK)
        c->broken = rc;
}

ucp_ep_h mega__ucx_caller_ep(struct mega__caller *c, ucp_worker_h worker)
{
    if (!c->ep && c->broken == UCS_OK)
        connect_to(c, worker);
    if (c->broken != UCS_OK)
        mega__ucx_force_close(&c->ep);
    return c->ep;
}
