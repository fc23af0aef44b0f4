/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * net_ucx_ops.c - put, get, atomics by an origin. What returns a value waits
 * for it; a put waits until its buffer is free, and its link is to be flushed.
 */
#include <stdlib.h>

#include "arena.h"
#include "log.h"
#include "net_ucx.h"

#define PENDING_MAX 256 /* operations of a link whose buffers are in use */
#define PIECE_MAX (UINT64_C(16) << 20) /* each has MEGALLOC_TIMEOUT */

static void stamp(struct mega__link *link)
{
    link->native = link->stamp = ++link->origin->clock;
}

static mega_status_t put_message(struct mega__link *link, mega_gptr_t p,
                                 const void *src, size_t n)
{
    mega_status_t st = MEGA_OK;
    if (link->rounds[0].pending + link->rounds[1].pending >= PENDING_MAX)
        st = mega__ucx_flush_link(link->origin, link);
    link->stamp = ++link->origin->clock;
    return st ? st : mega__ucx_put_message(link, p, src, n);
}

/* ---- Put and get ---- */

static size_t piece(size_t left)
{
    return left < PIECE_MAX ? left : PIECE_MAX;
}

/* While the piece before was waited for, others may have lost it. */
static mega_status_t usable(struct mega__link *link)
{
    if (link->origin->dead)
        return mega__ucx_given_up(link);
    return link->broken != UCS_OK ? mega__ucx_broken(link) : MEGA_OK;
}

static mega_status_t put_piece(const struct mega__reach *r, uint64_t at,
                               const void *src, size_t n)
{
    struct mega__link *link = r->link;
    struct mega__wait wait = {0};
    ucp_request_param_t param = mega__ucx_waited_for(&wait);
    mega_status_t st = usable(link);
    if (st)
        return st;
    stamp(link);
    link->origin->counts.messages++;
    return mega__ucx_finish(
        link->origin, link,
        ucp_put_nbx(link->ep, src, n, r->address + at, r->key, &param), &wait);
}

static mega_status_t get_piece(const struct mega__reach *r, void *dst,
                               uint64_t at, size_t n)
{
    struct mega__link *link = r->link;
    struct mega__wait wait = {0};
    ucp_request_param_t param = mega__ucx_waited_for(&wait);
    mega_status_t st = usable(link);
    if (st)
        return st;
    link->origin->counts.messages++;
    link->origin->counts.round_trips++;
    return mega__ucx_finish(
        link->origin, link,
        ucp_get_nbx(link->ep, dst, n, r->address + at, r->key, &param), &wait);
}

mega_status_t mega__ucx_put(struct mega__origin *o, mega_gptr_t p,
                            const void *src, size_t n)
{
    struct mega__reach *r;
    mega_status_t st = mega__ucx_reach(o, p, n, &r);
    size_t at = 0;
    if (!st && n <= MEGA__SMALL && !r->link->hardware)
        return put_message(r->link, p, src, n);
    while (!st && at < n) {
        const size_t now = piece(n - at);
        st = put_piece(r, mega_offset(p) + at, (const char *)src + at, now);
        at += now;
    }
    return st;
}

mega_status_t mega__ucx_get(struct mega__origin *o, void *dst, mega_gptr_t p,
                            size_t n)
{
    struct mega__reach *r;
    mega_status_t st = mega__ucx_reach(o, p, n, &r);
    size_t at = 0;
    while (!st && at < n) {
        const size_t now = piece(n - at);
        st = get_piece(r, (char *)dst + at, mega_offset(p) + at, now);
        at += now;
    }
    return st;
}

/* One of the pending operations of a link has ended. */
static void ended(struct mega__round *round, ucs_status_t status)
{
    struct mega__link *link = round->link;
    link->quiet = --link->pending == 0;
    link->ended++;
    round->pending--;
    if (status != UCS_OK)
        mega__ucx_break(link, status);
    mega__ucx_advance(link);
}

static void on_pending_done(void *request, ucs_status_t status, void *round)
{
    ended(round, status);
    ucp_request_free(request);
}

/* After each operation that has begun: a flush tells what came of it. */
static mega_status_t go_on(struct mega__link *link)
{
    stamp(link);
    if (mega__ucx_gone(link) != UCS_OK)
        return mega__ucx_broken(link);
    if (link->pending >= PENDING_MAX)
        return mega__ucx_flush_link(link->origin, link);
    return MEGA_OK;
}

static mega_status_t begun(struct mega__round *round, ucs_status_ptr_t request)
{
    round->link->origin->counts.messages++;
    if (!UCS_PTR_IS_PTR(request))
        ended(round, UCS_PTR_STATUS(request));
    return go_on(round->link);
}

static ucp_request_param_t not_waited_for(struct mega__link *link)
{
    struct mega__round *round = &link->rounds[link->round % 2];
    round->pending++;
    link->pending++;
    link->quiet = false;
    return (ucp_request_param_t){.op_attr_mask = UCP_OP_ATTR_FIELD_CALLBACK |
                                                 UCP_OP_ATTR_FIELD_USER_DATA,
                                 .cb.send = on_pending_done,
                                 .user_data = round};
}

mega_status_t mega__net_put(struct mega__net *net, mega_gptr_t p,
                            const void *src, size_t n)
{
    struct mega__origin *o;
    mega_status_t st = mega__ucx_enter(net, &o);
    if (st)
        return st;
    st = mega__ucx_put(o, p, src, n);
    mega__ucx_leave(o);
    return st;
}

mega_status_t mega__net_get(struct mega__net *net, void *dst, mega_gptr_t p,
                            size_t n)
{
    struct mega__origin *o;
    mega_status_t st = mega__ucx_enter(net, &o);
    if (st)
        return st;
    st = mega__ucx_get(o, dst, p, n);
    mega__ucx_leave(o);
    return st;
}

/* src: NULL, or what is put; else dst is where to get. */
static mega_status_t begin_piece(const struct mega__reach *r, uint64_t at,
                                 const char *src, char *dst, size_t n)
{
    mega_status_t st = usable(r->link);
    if (st)
        return st;
    const uint64_t to = r->address + at;
    ucp_request_param_t param = not_waited_for(r->link);
    return begun(param.user_data,
                 src ? ucp_put_nbx(r->link->ep, src, n, to, r->key, &param)
                     : ucp_get_nbx(r->link->ep, dst, n, to, r->key, &param));
}

static mega_status_t begin(struct mega__net *net, mega_gptr_t p,
                           const char *src, char *dst, size_t n)
{
    struct mega__reach *r;
    struct mega__origin *o;
    mega_status_t st = mega__ucx_enter(net, &o);
    if (st)
        return st;
    st = mega__ucx_reach(o, p, n, &r);
    for (size_t at = 0, now; !st && at < n; at += now) {
        now = piece(n - at);
        st = begin_piece(r, mega_offset(p) + at, src ? src + at : NULL,
                         dst ? dst + at : NULL, now);
    }
    mega__ucx_leave(o);
    return st;
}

mega_status_t mega__net_put_nbi(struct mega__net *net, mega_gptr_t p,
                                const void *src, size_t n)
{
    return begin(net, p, src, NULL, n);
}

mega_status_t mega__net_get_nbi(struct mega__net *net, void *dst, mega_gptr_t p,
                                size_t n)
{
    return begin(net, p, NULL, dst, n);
}

/* ---- Atomics ---- */

/* UCX wants the swapped-in value where the old one comes to; little end first,
 * so 4 bytes of 8 are the lower ones. */
static uint64_t operand_of(mega_amo_op_t op, uint64_t value, uint64_t compare)
{
    return op == MEGA_AMO_FETCH ? 0 : op == MEGA_AMO_CSWAP ? compare : value;
}

/* Fetched as it was: a card that adds 0 stores what it has read, and so undoes
 * a store of the processor between. */
static bool is_read(const struct mega__net *net, mega_amo_op_t op)
{
    return op == MEGA_AMO_FETCH && net->ctx->nic;
}

static mega_status_t
read_word(struct mega__net *net, size_t size, mega_gptr_t p, uint64_t *old_p,
          mega_status_t (*get)(struct mega__net *, void *, mega_gptr_t, size_t))
{
    if (!old_p)
        return MEGA_OK;
    *old_p = 0; /* little end first: 4 bytes are the lower ones */
    return get(net, old_p, p, size);
}

static ucs_status_ptr_t begin_amo(const struct mega__reach *r, mega_amo_op_t op,
                                  size_t size, mega_gptr_t p,
                                  const uint64_t *operand, uint64_t *reply,
                                  ucp_request_param_t *param)
{
    static const ucp_atomic_op_t ops[] = {
        [MEGA_AMO_FETCH] = UCP_ATOMIC_OP_ADD,
        [MEGA_AMO_SET] = UCP_ATOMIC_OP_SWAP,
        [MEGA_AMO_SWAP] = UCP_ATOMIC_OP_SWAP,
        [MEGA_AMO_ADD] = UCP_ATOMIC_OP_ADD,
        [MEGA_AMO_AND] = UCP_ATOMIC_OP_AND,
        [MEGA_AMO_OR] = UCP_ATOMIC_OP_OR,
        [MEGA_AMO_XOR] = UCP_ATOMIC_OP_XOR,
        [MEGA_AMO_CSWAP] = UCP_ATOMIC_OP_CSWAP};
    param->op_attr_mask |=
        UCP_OP_ATTR_FIELD_DATATYPE | UCP_OP_ATTR_FIELD_REPLY_BUFFER;
    param->datatype = size == 8 ? ucp_dt_make_contig(8) : ucp_dt_make_contig(4);
    param->reply_buffer = reply;
    r->link->origin->counts.messages++;
    return ucp_atomic_op_nbx(r->link->ep, ops[op], operand, 1,
                             r->address + mega_offset(p), r->key, param);
}

mega_status_t mega__net_amo(struct mega__net *net, mega_amo_op_t op,
                            size_t size, mega_gptr_t p, uint64_t value,
                            uint64_t compare, uint64_t *old_p)
{
    struct mega__reach *r;
    struct mega__wait wait = {0};
    ucp_request_param_t param = mega__ucx_waited_for(&wait);
    uint64_t operand = operand_of(op, value, compare);
    uint64_t reply = op == MEGA_AMO_CSWAP ? value : 0;
    if (is_read(net, op))
        return read_word(net, size, p, old_p, mega__net_get);
    struct mega__origin *o;
    mega_status_t st = mega__ucx_enter(net, &o);
    if (st)
        return st;
    st = mega__ucx_reach(o, p, size, &r);
    if (!st) {
        o->counts.round_trips++;
        if (net->ctx->nic)
            stamp(r->link); /* a persist is to see it arrived */
        st = mega__ucx_finish(
            o, r->link, begin_amo(r, op, size, p, &operand, &reply, &param),
            &wait);
    }
    mega__ucx_leave(o);
    if (!st && old_p)
        *old_p = size == 8 ? reply : (uint32_t)reply;
    return st;
}

static struct mega__later *later_new(struct mega__origin *o)
{
    struct mega__later *later = o->free_later;
    if (later) {
        o->free_later = later->next;
        return later;
    }
    later = malloc(sizeof *later);
    if (!later)
        return NULL;
    later->other = o->all_later;
    o->all_later = later;
    return later;
}

static void later_end(struct mega__later *later, ucs_status_t status)
{
    struct mega__origin *o = later->round->link->origin;
    if (status == UCS_OK && later->old_p)
        *later->old_p =
            later->size == 8 ? later->reply : (uint32_t)later->reply;
    ended(later->round, status);
    later->next = o->free_later;
    o->free_later = later;
}

static void on_later_done(void *request, ucs_status_t status, void *later)
{
    later_end(later, status);
    ucp_request_free(request);
}

mega_status_t mega__net_amo_nbi(struct mega__net *net, mega_amo_op_t op,
                                size_t size, mega_gptr_t p, uint64_t value,
                                uint64_t compare, uint64_t *old_p)
{
    struct mega__reach *r;
    if (is_read(net, op))
        return read_word(net, size, p, old_p, mega__net_get_nbi);
    struct mega__origin *o;
    mega_status_t st = mega__ucx_enter(net, &o);
    if (st)
        return st;
    st = mega__ucx_reach(o, p, size, &r);
    struct mega__later *later = st ? NULL : later_new(o);
    if (later) {
        ucp_request_param_t param = not_waited_for(r->link);
        param.cb.send = on_later_done;
        later->round = param.user_data;
        param.user_data = later;
        later->size = size;
        later->operand = operand_of(op, value, compare);
        later->reply = op == MEGA_AMO_CSWAP ? value : 0;
        later->old_p = old_p;
        ucs_status_ptr_t request =
            begin_amo(r, op, size, p, &later->operand, &later->reply, &param);
        if (!UCS_PTR_IS_PTR(request))
            later_end(later, UCS_PTR_STATUS(request));
        st = go_on(r->link);
    } else if (!st) {
        st = mega__fail(MEGA_ERR_NOMEM, "no memory for an operation");
    }
    mega__ucx_leave(o);
    return st;
}
