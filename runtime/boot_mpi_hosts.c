/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * boot_mpi_hosts.c - who is on which host, and the collectives of the ranks of
 * a host, and of the first of each. They are made of messages: to split a
 * communicator MPI waits, without a bound, for a rank that may be stopped.
 */
#include "boot_mpi.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "text_hash.h"

/* ---- Who is where ---- */

struct seat { /* of a rank */
    uint64_t host;
    int rank;
};

static int by_host(const void *a, const void *b)
{
    const struct seat *x = a, *y = b;
    if (x->host != y->host)
        return x->host < y->host ? -1 : 1;
    return x->rank - y->rank;
}

static int by_rank(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

/* seats: of all ranks, by host, then by rank. firsts: room for as many. */
static mega_status_t take_place(struct mega__boot *boot,
                                const struct seat *seats, int *firsts)
{
    struct mega__boot_place *p = &boot->place;
    int mine = 0;
    for (int i = 0, first = 0; i < p->nranks; i++) {
        if (seats[i].host != seats[first].host)
            first = i;
        if (i == first)
            firsts[p->nhosts++] = seats[i].rank;
        if (seats[i].rank == p->rank) {
            mine = first;
            p->host_rank = i - first;
        }
    }
    while (mine + p->host_nranks < p->nranks &&
           seats[mine + p->host_nranks].host == seats[mine].host)
        p->host_nranks++;
    boot->host_ranks = calloc((size_t)p->host_nranks, sizeof(int));
    if (!boot->host_ranks)
        return mega__fail(MEGA_ERR_NOMEM, "no memory for %d ranks",
                          p->host_nranks);
    for (int i = 0; i < p->host_nranks; i++)
        boot->host_ranks[i] = seats[mine + i].rank;
    qsort(firsts, (size_t)p->nhosts, sizeof *firsts, by_rank);
    while (firsts[p->host] != boot->host_ranks[0])
        p->host++;
    return MEGA_OK;
}

static mega_status_t keep_firsts(struct mega__boot *boot, const int *firsts)
{
    const size_t bytes = (size_t)boot->place.nhosts * sizeof *firsts;
    if (boot->place.host_rank != 0)
        return MEGA_OK;
    boot->firsts = malloc(bytes);
    if (!boot->firsts)
        return mega__fail(MEGA_ERR_NOMEM, "no memory for the hosts");
    memcpy(boot->firsts, firsts, bytes);
    return MEGA_OK;
}

mega_status_t mega__boot_find_hosts(struct mega__boot *boot, const char *host)
{
    struct mega__boot_place *p = &boot->place;
    MPI_Request request;
    MPI_Comm_rank(boot->comm, &p->rank);
    MPI_Comm_size(boot->comm, &p->nranks);
    uint64_t *all = calloc((size_t)p->nranks + 1, sizeof *all); /* and mine */
    struct seat *seats = calloc((size_t)p->nranks, sizeof *seats);
    int *firsts = calloc((size_t)p->nranks, sizeof *firsts);
    if (all)
        all[p->nranks] = mega__hash(host);
    mega_status_t st = mega__boot_mpi_complete(
        boot,
        all ? MPI_Iallgather(&all[p->nranks], 1, MPI_UINT64_T, all, 1,
                             MPI_UINT64_T, boot->comm, &request)
            : MPI_ERR_NO_MEM,
        1, &request, "MPI_Iallgather");
    const mega_status_t gathered = st;
    if (!st && (!seats || !firsts))
        st = mega__fail(MEGA_ERR_NOMEM, "no memory for %d ranks", p->nranks);
    for (int i = 0; !st && i < p->nranks; i++)
        seats[i] = (struct seat){all[i], i};
    if (!st) {
        qsort(seats, (size_t)p->nranks, sizeof *seats, by_host);
        st = take_place(boot, seats, firsts);
    }
    if (!st)
        st = keep_firsts(boot, firsts);
    free(firsts);
    free(seats);
    mega__boot_mpi_take_back(all, gathered);
    return st ? mega__boot_mpi_give_up(boot, st) : MEGA_OK;
}

/* ---- Collectives: to the first of a host, and from it ---- */

static mega_status_t too_big(size_t n)
{
    return n > INT_MAX ? mega__fail(MEGA_ERR_TOO_BIG,
                                    "cannot gather %zu bytes at once", n)
                       : MEGA_OK;
}

static mega_status_t one(struct mega__boot *boot, int rc, MPI_Request *request)
{
    return mega__boot_mpi_complete(boot, rc, 1, request,
                                   "a message on this host");
}

/* The first with each of the others: the requests of fn are completed. */
typedef int exchange_fn(struct mega__boot *boot, int host_rank, void *buf,
                        size_t n, MPI_Request *request);

static mega_status_t with_others(struct mega__boot *boot, exchange_fn *fn,
                                 void *buf, size_t n)
{
    const int count = boot->place.host_nranks - 1;
    int rc = MPI_SUCCESS;
    if (count == 0)
        return MEGA_OK;
    MPI_Request *requests = calloc((size_t)count, sizeof *requests);
    if (!requests)
        return mega__boot_mpi_give_up(
            boot,
            mega__fail(MEGA_ERR_NOMEM, "no memory for %d messages", count));
    for (int i = 0; i < count && rc == MPI_SUCCESS; i++)
        rc = fn(boot, i + 1, buf, n, &requests[i]);
    mega_status_t st = mega__boot_mpi_complete(boot, rc, count, requests,
                                               "messages on this host");
    free(requests);
    return st;
}

static int from_one(struct mega__boot *boot, int host_rank, void *buf, size_t n,
                    MPI_Request *request)
{
    char *out = buf;
    return MPI_Irecv(out ? out + (size_t)host_rank * n : NULL, (int)n, MPI_BYTE,
                     boot->host_ranks[host_rank], MEGA__TAG_HOST, boot->comm,
                     request);
}

static int to_one(struct mega__boot *boot, int host_rank, void *buf, size_t n,
                  MPI_Request *request)
{
    return MPI_Isend(buf, (int)n, MPI_BYTE, boot->host_ranks[host_rank],
                     MEGA__TAG_HOST, boot->comm, request);
}

mega_status_t mega__boot_host_gather(struct mega__boot *boot, const void *in,
                                     size_t n, void *out)
{
    MPI_Request request;
    mega_status_t st = mega__boot_mpi_may_call(boot);
    st = st ? st : too_big(n);
    if (st)
        return st;
    const bool first = boot->place.host_rank == 0;
    const size_t all = first ? n * (size_t)boot->place.host_nranks : n;
    char *lent = mega__boot_mpi_lend(boot, first ? NULL : in, all);
    if (!lent)
        return MEGA_ERR_NOMEM;
    if (first && n > 0)
        memcpy(lent, in, n);
    st = first ? with_others(boot, from_one, lent, n)
               : one(boot,
                     MPI_Isend(lent, (int)n, MPI_BYTE, boot->host_ranks[0],
                               MEGA__TAG_HOST, boot->comm, &request),
                     &request);
    if (!st && first && n > 0)
        memcpy(out, lent, all);
    mega__boot_mpi_take_back(lent, st);
    return st;
}

/* MPI counts in int: long buffers go in pieces. */
mega_status_t mega__boot_host_bcast(struct mega__boot *boot, void *buf,
                                    size_t n)
{
    MPI_Request request;
    mega_status_t st = mega__boot_mpi_may_call(boot);
    if (st)
        return st;
    char *lent = mega__boot_mpi_lend(boot, buf, n);
    if (!lent)
        return MEGA_ERR_NOMEM;
    for (size_t at = 0, piece; !st && at < n; at += piece) {
        char *from = lent + at;
        piece = n - at < INT_MAX ? n - at : (size_t)INT_MAX;
        if (boot->place.host_rank == 0)
            st = with_others(boot, to_one, from, piece);
        else
            st = one(boot,
                     MPI_Irecv(from, (int)piece, MPI_BYTE, boot->host_ranks[0],
                               MEGA__TAG_HOST, boot->comm, &request),
                     &request);
    }
    if (!st && n)
        memcpy(buf, lent, n);
    mega__boot_mpi_take_back(lent, st);
    return st;
}

mega_status_t mega__boot_host_barrier(struct mega__boot *boot)
{
    char all_came = 1;
    mega_status_t st = mega__boot_host_gather(boot, NULL, 0, NULL);
    return st ? st : mega__boot_host_bcast(boot, &all_came, 1);
}

/* ---- Among the firsts ---- */

/* Bruck's: who has the blocks of the next few hosts, beginning with its own,
 * gets those of as many more from the one after them. */
static mega_status_t gather_blocks(struct mega__boot *boot, char *blocks,
                                   size_t n, MPI_Datatype block)
{
    const int nhosts = boot->place.nhosts, me = boot->place.host;
    mega_status_t st = MEGA_OK;
    for (int have = 1; !st && have < nhosts; have *= 2) {
        const int more = have < nhosts - have ? have : nhosts - have;
        MPI_Request requests[2];
        int rc = MPI_Irecv(blocks + (size_t)have * n, more, block,
                           boot->firsts[(me + have) % nhosts], MEGA__TAG_FIRSTS,
                           boot->comm, &requests[0]);
        if (rc == MPI_SUCCESS)
            rc = MPI_Isend(blocks, more, block,
                           boot->firsts[(me - have + nhosts) % nhosts],
                           MEGA__TAG_FIRSTS, boot->comm, &requests[1]);
        st = mega__boot_mpi_complete(boot, rc, 2, requests,
                                     "messages between hosts");
    }
    return st;
}

mega_status_t mega__boot_firsts_allgather(struct mega__boot *boot,
                                          const void *in, size_t n, void *out)
{
    const size_t nhosts = (size_t)boot->place.nhosts;
    const size_t me = (size_t)boot->place.host;
    MPI_Datatype block;
    mega_status_t st = mega__boot_mpi_may_call(boot);
    st = st ? st : too_big(n);
    if (st || n == 0)
        return st;
    char *blocks = malloc(nhosts * n);
    if (!blocks)
        return mega__boot_mpi_give_up(
            boot, mega__fail(MEGA_ERR_NOMEM, "no memory to gather %zu bytes",
                             nhosts * n));
    memcpy(blocks, in, n);
    MPI_Type_contiguous((int)n, MPI_BYTE, &block);
    MPI_Type_commit(&block);
    st = gather_blocks(boot, blocks, n, block);
    MPI_Type_free(&block);
    for (size_t i = 0; !st && i < nhosts; i++)
        memcpy((char *)out + (me + i) % nhosts * n, blocks + i * n, n);
    mega__boot_mpi_take_back(blocks, st);
    return st;
}
