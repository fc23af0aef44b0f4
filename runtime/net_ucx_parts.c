/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * net_ucx_parts.c - bytes that travel in messages to the rank that serves a
 * home: those that it is to make durable, and small puts (net_ucx.h).
 */
#include <limits.h>
#include <stdio.h>
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

/* The number of its message: of the round, not of a call. Who is answered may
 * have sent more meanwhile, and nothing says that answers come in order. */
#define ANSWERS_PUT (UINT64_C(1) << 63)

static uint64_t number_of(const struct mega__link *link)
{
    return ANSWERS_PUT | (uint64_t)link->rank << 1 | link->round % 2;
}

mega_status_t mega__ucx_put_message(struct mega__link *link, mega_gptr_t p,
                                    const void *src, size_t n)
{
    struct {
        struct mega__wire_part part;
        char bytes[MEGA__SMALL];
    } out = {.part = {p.v, n, false, true}};
    struct mega__wire_head head = mega__ucx_head(link->origin, MEGA__WIRE_PUT);
    head.call = number_of(link);
    head.nparts = 1;
    memcpy(out.bytes, src, n);
    link->rounds[link->round % 2].pending++;
    return mega__ucx_send(link->origin, link, &head, &out, sizeof out.part + n);
}

bool mega__ucx_put_answered(struct mega__origin *o,
                            const struct mega__wire_answer *answer,
                            const char *text, size_t len)
{
    if (!(answer->call & ANSWERS_PUT))
        return false;
    struct mega__link *link =
        mega__ucx_met(o, (int)(answer->call >> 1 & INT_MAX));
    struct mega__round *round = link ? &link->rounds[answer->call % 2] : NULL;
    if (!round || round->pending == 0)
        return true;
    if (answer->status && !link->refused) {
        link->refused = answer->status;
        snprintf(link->why, sizeof link->why, "%.*s", (int)len, text);
    }
    link->ended++;
    round->pending--;
    mega__ucx_advance(link);
    return true;
}

mega_status_t mega__ucx_refused(struct mega__link *link)
{
    mega_status_t st = link->refused;
    link->refused = MEGA_OK;
    return st ? mega__fail(st, "%s", link->why) : MEGA_OK;
}
