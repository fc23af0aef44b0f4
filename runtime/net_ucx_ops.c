/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * net_ucx_ops.c - put, get, atomics by an origin. What returns a value waits
 * for it; a put waits until its buffer is free, and its link is to be flushed.
 */
#include <stdlib.h>
#include <string.h>

#include "arena.h"
#include "log.h"
#include "net_ucx.h"

#define PENDING_MAX 256 /* operations of a link whose buffers are in use */
#define PIECE_MAX (UINT64_C(16) << 20) /* each has MEGALLOC_TIMEOUT */

static void stamp(struct mega__link *link)
{
    mega__ucx_stamp(link);
    link->native = link->stamp;
}

/* Its answer, for which a flush waits, says that it is done: only a card has it
 * to be flushed by UCX, too. */
static void stamp_atomic(struct mega__link *link)
{
    if (link->origin->net->ctx->nic)
        stamp(link);
    else
        mega__ucx_stamp(link);
}

static mega_status_t put_message(struct mega__link *link, mega_gptr_t p,
                                 const void *src, size_t n)
{
    mega_status_t st = MEGA_OK;
    if (link->rounds[0].pending + link->rounds[1].pending >= PENDING_MAX)
        st = mega__ucx_flush_link(link->origin, link);
    mega__ucx_stamp(link);
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
    round->pending--;
    if (status != UCS_OK)
        mega__ucx_break(link, status);
    mega__ucx_advance(link);
}

static void on_pending_done(void *request, ucs_status_t status, void *arg)
{
    struct mega__round *round = arg;
    round->link->ended++;
    ended(round, status);
    ucp_request_free(request);
}

/* After each operation that has begun: a flush tells what came of it. */
static mega_status_t go_on(struct mega__link *link)
{
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
    stamp(round->link);
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

static struct mega__atomic *atomic_new(struct mega__origin *o)
{
    struct mega__atomic *a = o->free_atomics;
    const size_t bytes = sizeof *a + o->net->request_size;
    if (a) {
        o->free_atomics = a->next;
        return a;
    }
    a = aligned_alloc(MEGA__LINE, (bytes + MEGA__LINE) & ~(MEGA__LINE - 1ul));
    if (!a) {
        mega__fail(MEGA_ERR_NOMEM, "no memory for an operation");
        return NULL;
    }
    a->other = o->all_atomics;
    o->all_atomics = a;
    return a;
}

static void atomic_end(struct mega__origin *o, struct mega__atomic *a)
{
    a->next = o->free_atomics;
    o->free_atomics = a;
}

static ucs_status_ptr_t
atomic_begin(struct mega__atomic *a, const struct mega__reach *r,
             mega_amo_op_t op, size_t size, mega_gptr_t p, uint64_t value,
             uint64_t compare, ucp_request_param_t *param)
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
    const size_t request_size = r->link->origin->net->request_size;
    memset(a->request, 0, request_size);
    a->size = size;
    a->operand = operand_of(op, value, compare);
    a->reply = op == MEGA_AMO_CSWAP ? value : 0;
    param->op_attr_mask |= UCP_OP_ATTR_FIELD_DATATYPE |
                           UCP_OP_ATTR_FIELD_REPLY_BUFFER |
                           UCP_OP_ATTR_FIELD_REQUEST;
    param->datatype = size == 8 ? ucp_dt_make_contig(8) : ucp_dt_make_contig(4);
    param->reply_buffer = &a->reply;
    param->request = a->request + request_size;
    r->link->origin->counts.messages++;
    return ucp_atomic_op_nbx(r->link->ep, ops[op], &a->operand, 1,
                             r->address + mega_offset(p), r->key, param);
}

/* What the word was. */
static uint64_t atomic_result(const struct mega__atomic *a)
{
    return a->size == 8 ? a->reply : (uint32_t)a->reply;
}

static void on_atomic_done(void *request, ucs_status_t status, void *arg)
{
    struct mega__wait *wait = arg;
    (void)request; /* ours */
    wait->status = status;
    wait->done = true;
}

/* The origin is locked. */
static mega_status_t amo(struct mega__origin *o, mega_amo_op_t op, size_t size,
                         mega_gptr_t p, uint64_t value, uint64_t compare,
                         uint64_t *old_p)
{
    struct mega__reach *r;
    struct mega__wait wait = {0};
    ucp_request_param_t param = mega__ucx_waited_for(&wait);
    mega_status_t st = mega__ucx_reach(o, p, size, &r);
    struct mega__atomic *a = st ? NULL : atomic_new(o);
    if (!a)
        return st ? st : MEGA_ERR_NOMEM;
    param.cb.send = on_atomic_done;
    o->counts.round_trips++;
    if (o->net->ctx->nic)
        stamp(r->link); /* a persist is to see it arrived */
    st = mega__ucx_finish(
        o, r->link, atomic_begin(a, r, op, size, p, value, compare, &param),
        &wait);
    if (!st && old_p)
        *old_p = atomic_result(a);
    atomic_end(o, a); /* or the origin is dead */
    return st;
}

mega_status_t mega__net_amo(struct mega__net *net, mega_amo_op_t op,
                            size_t size, mega_gptr_t p, uint64_t value,
                            uint64_t compare, uint64_t *old_p)
{
    if (is_read(net, op))
        return read_word(net, size, p, old_p, mega__net_get);
    struct mega__origin *o;
    mega_status_t st = mega__ucx_enter(net, &o);
    if (st)
        return st;
    st = amo(o, op, size, p, value, compare, old_p);
    mega__ucx_leave(o);
    return st;
}

static void later_end(struct mega__atomic *a, ucs_status_t status)
{
    struct mega__origin *o = a->round->link->origin;
    if (status == UCS_OK && a->old_p)
        *a->old_p = atomic_result(a);
    ended(a->round, status);
    atomic_end(o, a);
}

static void on_later_done(void *request, ucs_status_t status, void *arg)
{
    struct mega__atomic *a = arg;
    (void)request; /* ours */
    a->round->link->ended++;
    later_end(a, status);
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
    struct mega__atomic *a = st ? NULL : atomic_new(o);
    if (a) {
        ucp_request_param_t param = not_waited_for(r->link);
        param.cb.send = on_later_done;
        a->round = param.user_data;
        param.user_data = a;
        a->old_p = old_p;
        ucs_status_ptr_t request =
            atomic_begin(a, r, op, size, p, value, compare, &param);
        if (!UCS_PTR_IS_PTR(request))
            later_end(a, UCS_PTR_STATUS(request));
        stamp_atomic(r->link);
        st = go_on(r->link);
    } else if (!st) {
        st = MEGA_ERR_NOMEM;
    }
    mega__ucx_leave(o);
    return st;
}
