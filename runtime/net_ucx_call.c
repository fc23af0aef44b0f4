/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * net_ucx_call.c - requests to the rank that serves a home, and their answers.
 *
 * Happy path: a call is put on its origin's list, its message sent, progress
 * made until the answer has come, which finds the call by its number. A call
 * that is given up leaves the list, so an answer that comes late is dropped.
 */
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "net_ucx.h"
#include "roll.h"

/* ---- Calls ---- */

ucs_status_t mega__ucx_on_answer(void *arg, const void *head, size_t head_len,
                                 void *data, size_t len,
                                 const ucp_am_recv_param_t *param)
{
    struct mega__origin *o = arg;
    struct mega__wire_answer answer;
    if (head_len != sizeof answer ||
        param->recv_attr & UCP_AM_RECV_ATTR_FLAG_RNDV)
        return UCS_OK;
    memcpy(&answer, head, sizeof answer);
    if (mega__ucx_put_answered(o, &answer, data, len))
        return UCS_OK;
    for (struct mega__call *c = o->calls; c; c = c->next) {
        if (c->id != answer.call || len > sizeof c->payload)
            continue;
        c->head = answer;
        c->len = len;
        if (len)
            memcpy(c->payload, data, len);
        c->done = true;
    }
    return UCS_OK;
}

static void forget(struct mega__origin *o, const struct mega__call *call)
{
    struct mega__call **at = &o->calls;
    while (*at != call)
        at = &(*at)->next;
    *at = call->next;
}

struct mega__wire_head mega__ucx_head(struct mega__origin *o,
                                      enum mega__wire_op op)
{
    struct mega__ctx *ctx = o->net->ctx;
    struct mega__wire_head head = {.op = (uint32_t)op,
                                   .rank = ctx->place.rank,
                                   .origin = o->no,
                                   .call = ++o->next_call,
                                   .epoch = ctx->epoch};
    memcpy(head.uuid, ctx->uuid, sizeof head.uuid);
    return head;
}

mega_status_t mega__ucx_send(struct mega__origin *o, struct mega__link *link,
                             const struct mega__wire_head *head,
                             const void *bytes, size_t len)
{
    struct mega__wait wait = {0};
    ucp_request_param_t param = {.op_attr_mask = UCP_OP_ATTR_FIELD_CALLBACK |
                                                 UCP_OP_ATTR_FIELD_USER_DATA |
                                                 UCP_OP_ATTR_FIELD_FLAGS,
                                 .flags = UCP_AM_SEND_FLAG_EAGER,
                                 .cb.send = mega__ucx_on_done,
                                 .user_data = &wait};
    if (mega__ucx_gone(link) != UCS_OK) /* since the one before, perhaps */
        return mega__ucx_broken(link);
    o->counts.messages++;
    return mega__ucx_finish(o, link,
                            ucp_am_send_nbx(link->ep, MEGA__WIRE_REQUEST, head,
                                            sizeof *head, bytes, len, &param),
                            &wait);
}

static mega_status_t alive(struct mega__origin *o, struct mega__link *link,
                           bool look, bool *growing_p);

static mega_status_t await_answer(struct mega__origin *o,
                                  struct mega__link *link,
                                  const struct mega__call *call,
                                  uint64_t seconds, bool whole)
{
    mega_status_t st = mega__ucx_await(o, link, &call->done, seconds, whole);
    return st == MEGA_ERR_TIMEOUT ? mega__ucx_too_late(link) : st;
}

/* The same, but for longer while the server grows a home: it is asked
 * meanwhile, and not afterwards, for it may be stopped. */
static mega_status_t await_patiently(struct mega__origin *o,
                                     struct mega__link *link,
                                     const struct mega__call *call)
{
    const struct mega__conf *conf = &o->net->ctx->conf;
    const uint64_t limit = conf->timeout.v.number;
    const uint64_t rest = limit - mega__conf_silence(conf);
    uint64_t since = mega__rest_now();
    for (;;) {
        bool growing = false;
        mega_status_t st =
            mega__ucx_await(o, link, &call->done, rest ? rest : 1, false);
        if (st != MEGA_ERR_TIMEOUT)
            return st;
        st = alive(o, link, false, &growing);
        if (call->done) /* meanwhile; what else is wrong the next call tells */
            return MEGA_OK;
        const uint64_t now = mega__rest_now();
        if (growing)
            since = now;
        else if (!st && now - since > mega__ucx_patience(o->net, limit))
            st = mega__ucx_too_late(link);
        if (st)
            return st;
    }
}

static mega_status_t outcome(const struct mega__call *call)
{
    return call->head.status ? mega__fail(call->head.status, "%.*s",
                                          (int)call->len, call->payload)
                             : MEGA_OK;
}

mega_status_t mega__ucx_request(struct mega__origin *o, struct mega__link *link,
                                const struct mega__wire_head *head,
                                const void *bytes, size_t len,
                                struct mega__call *call)
{
    const struct mega__conf *conf = &o->net->ctx->conf;
    call->id = head->call;
    call->done = false;
    call->next = o->calls;
    o->calls = call;
    o->counts.round_trips++;
    mega_status_t st = mega__ucx_send(o, link, head, bytes, len);
    if (!st && head->op == MEGA__WIRE_ASK)
        st = await_patiently(o, link, call);
    else if (!st && head->op == MEGA__WIRE_ALIVE)
        st = await_answer(o, link, call, mega__conf_silence(conf), call->look);
    else if (!st)
        st = await_answer(o, link, call, conf->timeout.v.number, false);
    forget(o, call);
    return st ? st : outcome(call);
}

static mega_status_t alive(struct mega__origin *o, struct mega__link *link,
                           bool look, bool *growing_p)
{
    struct mega__wire_head head = mega__ucx_head(o, MEGA__WIRE_ALIVE);
    struct mega__call call;
    call.look = look;
    mega_status_t st = mega__ucx_request(o, link, &head, NULL, 0, &call);
    if (!st)
        *growing_p = call.head.value != 0;
    return st;
}

mega_status_t mega__net_alive(struct mega__net *net, int rank)
{
    struct mega__link *link;
    bool growing;
    struct mega__origin *o;
    if (!net || mega__ucx_enter(net, &o))
        return MEGA_OK;
    mega_status_t st = mega__ucx_link(o, rank, &link);
    if (!st)
        st = alive(o, link, true, &growing);
    mega__ucx_leave(o);
    return st == MEGA_ERR_PEER || st == MEGA_ERR_TIMEOUT ? st : MEGA_OK;
}

/* ---- Servers and keys ---- */

mega_status_t mega__ucx_server(struct mega__origin *o, uint32_t home,
                               struct mega__link **link_p)
{
    struct mega__ctx *ctx = o->net->ctx;
    if (home >= ctx->nhomes || mega__home_server(ctx, home) < 0)
        return mega__fail(MEGA_ERR_ABSENT, "there is no home %u", home);
    return mega__ucx_link(o, mega__home_server(ctx, home), link_p);
}

/* What the server of a span says of it: as it is kept, or asked for now, then
 * in *call. */
static mega_status_t far_key(struct mega__origin *o, uint32_t home, uint32_t no,
                             struct mega__call *call,
                             const struct mega__wire_key **key_p)
{
    struct mega__net *net = o->net;
    struct mega__link *link;
    *key_p = mega__keys_find(net->keys, home, no);
    if (*key_p)
        return MEGA_OK;
    mega_status_t st = mega__ucx_server(o, home, &link);
    if (st)
        return st;
    struct mega__wire_head head = mega__ucx_head(o, MEGA__WIRE_KEY);
    head.home = home;
    head.span = no;
    st = mega__ucx_request(o, link, &head, NULL, 0, call);
    if (st)
        return st;
    if (call->len < sizeof **key_p)
        return mega__fail(MEGA_ERR_PEER, "the key of a span is cut short");
    mega__keys_keep(net->keys, home, no, call->payload, call->len);
    *key_p = (const void *)call->payload;
    return MEGA_OK;
}

static mega_status_t reach_new(struct mega__origin *o, uint32_t home,
                               uint32_t no, struct mega__reach **reach_p)
{
    const struct mega__wire_key *key;
    struct mega__call call;
    struct mega__link *link;
    mega_status_t st = far_key(o, home, no, &call, &key);
    if (!st)
        st = mega__ucx_server(o, home, &link);
    if (st)
        return st;
    struct mega__reach *r = calloc(1, sizeof *r);
    if (!r)
        return mega__fail(MEGA_ERR_NOMEM, "no memory for a key");
    ucs_status_t rc = ucp_ep_rkey_unpack(link->ep, key->packed, &r->key);
    r->item.key = mega__ucx_span_key(home, no);
    if (rc == UCS_OK && !mega__lists_add(&o->reach, &r->item)) {
        ucp_rkey_destroy(r->key);
        rc = UCS_ERR_NO_MEMORY;
    }
    if (rc != UCS_OK) {
        free(r);
        return mega__fail(MEGA_ERR_IO, "the key of span %u of home %u: %s", no,
                          home, ucs_status_string(rc));
    }
    r->home = home;
    r->span = no;
    r->size = key->size;
    r->address = key->address;
    r->link = link;
    *reach_p = r;
    return MEGA_OK;
}

/* ERRORS: ABSENT. */
static mega_status_t reach_span(struct mega__origin *o, uint32_t home,
                                uint32_t no, struct mega__reach **reach_p)
{
    struct mega__reach *r =
        mega__lists_find(&o->reach, mega__ucx_span_key(home, no));
    *reach_p = r;
    return r ? MEGA_OK : reach_new(o, home, no, reach_p);
}

mega_status_t mega__net_span(struct mega__net *net, uint32_t home, uint32_t no,
                             uint64_t *size_p)
{
    const struct mega__wire_key *key = mega__keys_find(net->keys, home, no);
    if (key) {
        *size_p = key->size;
        return MEGA_OK;
    }
    struct mega__reach *r;
    struct mega__origin *o;
    mega_status_t st = mega__ucx_enter(net, &o);
    if (st)
        return st;
    st = reach_span(o, home, no, &r);
    if (!st)
        *size_p = r->size;
    mega__ucx_leave(o);
    return st;
}

mega_status_t mega__ucx_reach(struct mega__origin *o, mega_gptr_t p, size_t n,
                              struct mega__reach **reach_p)
{
    uint32_t home = mega__gptr_home(p), no = mega__gptr_span(p);
    struct mega__reach *r = o->last;
    uint64_t off = mega_offset(p);
    if (!r || r->home != home || r->span != no) {
        mega_status_t st = reach_span(o, home, no, &r);
        if (st)
            return st == MEGA_ERR_ABSENT
                       ? mega__fail(MEGA_ERR_ARG,
                                    "%zu bytes at %#llx: home %u has no span "
                                    "%u",
                                    n, (unsigned long long)p.v, home, no)
                       : st;
        o->last = r;
    }
    if (off > r->size || n > r->size - off)
        return mega__fail(
            MEGA_ERR_ARG, "%zu bytes at %#llx are not in one span: it has %llu",
            n, (unsigned long long)p.v, (unsigned long long)r->size);
    if (mega__ucx_gone(r->link) != UCS_OK)
        return mega__ucx_broken(r->link);
    *reach_p = r;
    return MEGA_OK;
}

/* ---- Questions to the agent ---- */

mega_status_t mega__net_ask(struct mega__net *net, uint32_t home,
                            struct mega__request *req)
{
    struct mega__link *link;
    struct mega__call call;
    struct mega__origin *o;
    mega_status_t st = mega__ucx_enter(net, &o);
    if (st)
        return st;
    req->home = home;
    st = mega__ucx_server(o, home, &link);
    if (!st) {
        struct mega__wire_head head = mega__ucx_head(o, MEGA__WIRE_ASK);
        st = mega__ucx_request(o, link, &head, req, sizeof *req, &call);
    }
    mega__ucx_leave(o);
    if (st)
        return st;
    if (call.len != sizeof *req)
        return mega__fail(MEGA_ERR_PEER, "an answer of %zu bytes", call.len);
    memcpy(req, call.payload, sizeof *req);
    if (req->status)
        return mega__fail(req->status, "%.*s", MEGA__REQUEST_TEXT - 1,
                          req->text);
    return MEGA_OK;
}
