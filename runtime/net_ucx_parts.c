/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * net_ucx_parts.c - bytes that travel in messages to the rank that serves a
 * home: those that it is to make durable, and small puts (net_ucx.h).
 */
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "net_ucx.h"

#define BYTES_OF_PART_MAX 8192u /* more is put first */

/* ---- Durable parts ---- */

struct message { /* parts, collected until it is full */
    struct mega__origin *o;
    struct mega__link *link;
    uint32_t nparts;
    uint64_t covered; /* what the server has to flush */
    size_t nbytes;
    struct mega__wire_part parts[MEGA__PARTS_MAX];
    char bytes[MEGA__WIRE_BYTES_MAX];
    char out[MEGA__PARTS_MAX * sizeof(struct mega__wire_part) +
             MEGA__WIRE_BYTES_MAX];
};

static mega_status_t send_parts(struct message *m)
{
    struct mega__wire_head head = mega__ucx_head(m->o, MEGA__WIRE_DURABLE);
    struct mega__call call;
    size_t table = m->nparts * sizeof m->parts[0];
    if (m->nparts == 0)
        return MEGA_OK;
    memcpy(m->out, m->parts, table);
    memcpy(m->out + table, m->bytes, m->nbytes);
    head.nparts = m->nparts;
    mega_status_t st = mega__ucx_request(m->o, m->link, &head, m->out,
                                         table + m->nbytes, &call);
    m->nparts = 0;
    m->nbytes = 0;
    m->covered = 0;
    return st;
}

static mega_status_t add_part(struct message *m, uint64_t p, const void *src,
                              uint64_t n, bool marks)
{
    mega_status_t st = MEGA_OK;
    if (m->nparts == MEGA__PARTS_MAX ||
        m->covered + n > MEGA__WIRE_COVERED_MAX ||
        (src && m->nbytes + n > sizeof m->bytes))
        st = send_parts(m);
    if (src)
        memcpy(m->bytes + m->nbytes, src, n);
    m->parts[m->nparts++] = (struct mega__wire_part){p, n, marks, src != NULL};
    m->nbytes += src ? n : 0;
    m->covered += n;
    return st;
}

static bool travels_along(const struct mega__part *part)
{
    return part->src && part->n <= BYTES_OF_PART_MAX;
}

static mega_status_t durable(struct message *m, const struct mega__part *parts,
                             size_t nparts)
{
    mega_status_t st = MEGA_OK;
    for (size_t i = 0; !st && i < nparts; i++)
        if (parts[i].src && !travels_along(&parts[i]))
            st = mega__ucx_put(m->o, parts[i].p, parts[i].src, parts[i].n);
    if (!st)
        st = mega__ucx_flush_link(m->o, m->link);
    if (!st) /* others' puts, too: of who gave us the pointer */
        st = mega__ucx_read_back(m->o, m->link, parts[0].p);
    for (size_t i = 0; !st && i < nparts; i++) {
        const struct mega__part *part = &parts[i];
        uint64_t at = 0;
        do {
            uint64_t left = part->n - at;
            uint64_t n =
                left < MEGA__WIRE_COVERED_MAX ? left : MEGA__WIRE_COVERED_MAX;
            st = add_part(m, part->p.v + at,
                          travels_along(part) ? part->src : NULL, n,
                          part->marks);
            at += n;
        } while (!st && at < part->n);
    }
    return st ? st : send_parts(m);
}

mega_status_t mega__net_durable(struct mega__net *net,
                                const struct mega__part *parts, size_t nparts)
{
    struct mega__origin *o;
    mega_status_t st = mega__ucx_enter(net, &o);
    if (st)
        return st;
    struct message *m = o->message;
    o->message = NULL; /* who shares the origin makes another */
    if (!m)
        m = malloc(sizeof *m);
    st = m ? mega__ucx_server(o, mega__gptr_home(parts[0].p), &m->link)
           : mega__fail(MEGA_ERR_NOMEM, "no memory for a message");
    if (!st) {
        m->o = o;
        m->nparts = 0;
        m->nbytes = 0;
        m->covered = 0;
        st = durable(m, parts, nparts);
    }
    if (o->message)
        free(m);
    else
        o->message = m;
    mega__ucx_leave(o);
    return st;
}

/* ---- Small puts ---- */

/* On the list as long as the origin lives. */
static struct mega__call *acks_of(struct mega__link *link)
{
    struct mega__origin *o = link->origin;
    struct mega__call *acks = link->acks;
    if (acks)
        return acks;
    acks = calloc(1, sizeof *acks);
    if (!acks) {
        mega__fail(MEGA_ERR_NOMEM, "no memory for a put");
        return NULL;
    }
    acks->id = ++o->next_call;
    acks->next = o->calls;
    o->calls = acks;
    link->acks = acks;
    return acks;
}

mega_status_t mega__ucx_put_message(struct mega__link *link, mega_gptr_t p,
                                    const void *src, size_t n)
{
    struct {
        struct mega__wire_part part;
        char bytes[MEGA__SMALL];
    } out = {.part = {p.v, n, false, true}};
    struct mega__call *acks = acks_of(link);
    if (!acks)
        return MEGA_ERR_NOMEM;
    struct mega__wire_head head = mega__ucx_head(link->origin, MEGA__WIRE_PUT);
    head.call = acks->id;
    head.nparts = 1;
    memcpy(out.bytes, src, n);
    acks->expected++;
    return mega__ucx_send(link->origin, link, &head, &out, sizeof out.part + n);
}

/* Counted as long as the link works, so that a flush does not wait for those
 * that others send meanwhile: a server takes and answers them in order. */
mega_status_t mega__ucx_flush_messages(struct mega__link *link, uint64_t sent)
{
    struct mega__call *acks = link->acks;
    if (!acks || sent == 0)
        return MEGA_OK;
    mega_status_t st = mega__ucx_await_count(link->origin, link, &acks->answers,
                                             sent, &acks->answers);
    if (st == MEGA_ERR_TIMEOUT)
        st = mega__ucx_too_late(link);
    if (st) {
        acks->id = ++link->origin->next_call; /* answers to the old are late */
        return st;
    }
    st = mega__ucx_outcome(acks);
    acks->head.status = 0; /* told once */
    return st;
}
