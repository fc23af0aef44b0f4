/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * boot_mpi_life.c - see boot_mpi_life.h. Signs are small messages, of which one
 * is under way at a time; all are received, for a communicator that is freed
 * may not have any left. One thread at a time.
 */
#include "boot_mpi_life.h"

#include <string.h>
#include <time.h>

#include "log.h"

#define NAP_NS 1000000
#define TELL_NAPS 100

static void listen_on(struct mega__life *life)
{
    MPI_Irecv(&life->in, sizeof life->in, MPI_BYTE, life->next, life->tag,
              life->comm, &life->receive);
}

static void say(struct mega__life *life, enum mega__life_kind kind)
{
    int sent = 1;
    MPI_Test(&life->send, &sent, MPI_STATUS_IGNORE);
    if (!sent)
        return;
    life->mine.kind = kind;
    life->out = life->mine;
    MPI_Isend(&life->out, sizeof life->out, MPI_BYTE, life->before, life->tag,
              life->comm, &life->send);
}

void mega__life_begin(struct mega__life *life, MPI_Comm comm, int tag,
                      const char *host, unsigned seconds, unsigned per_second)
{
    int ranks;
    memset(life, 0, sizeof *life);
    MPI_Comm_size(comm, &ranks);
    MPI_Comm_rank(comm, &life->mine.rank);
    life->comm = comm;
    life->tag = tag;
    life->next = (life->mine.rank + 1) % ranks;
    life->before = (life->mine.rank + ranks - 1) % ranks;
    life->seconds = seconds;
    life->per_second = per_second;
    life->send = life->tell = life->receive = MPI_REQUEST_NULL;
    strncpy(life->mine.host, host, MEGA__LIFE_HOST - 1);
    life->heard.rank = life->next;
    life->on = ranks > 1;
    if (life->on) {
        listen_on(life);
        say(life, MEGA__LIFE_HERE);
    }
}

/* The one before has it, or MPI, before this rank gives up and does not call
 * MPI any more. */
static void tell_before(struct mega__life *life,
                        const struct mega__life_sign *lost)
{
    const struct timespec nap = {.tv_nsec = NAP_NS};
    int told = 0;
    if (life->before == lost->rank)
        return;
    life->news = *lost;
    life->news.kind = MEGA__LIFE_LOST;
    MPI_Isend(&life->news, sizeof life->news, MPI_BYTE, life->before, life->tag,
              life->comm, &life->tell);
    for (int i = 0; !told && i < TELL_NAPS; i++) {
        if (MPI_Test(&life->tell, &told, MPI_STATUS_IGNORE) != MPI_SUCCESS)
            return;
        nanosleep(&nap, NULL);
    }
}

static mega_status_t is_lost(struct mega__life *life,
                             const struct mega__life_sign *lost)
{
    tell_before(life, lost);
    return mega__fail(MEGA_ERR_TIMEOUT,
                      "rank %d%s%s has given no sign of life for %u s: is it "
                      "stopped, or lost? MEGALLOC_TIMEOUT sets how long to "
                      "wait",
                      lost->rank, *lost->host ? " on host " : "", lost->host,
                      life->seconds);
}

/* All that the next one has said; true: it tells of one that is lost. */
static bool hear(struct mega__life *life)
{
    int came;
    while (life->receive != MPI_REQUEST_NULL) {
        if (MPI_Test(&life->receive, &came, MPI_STATUS_IGNORE) != MPI_SUCCESS ||
            !came)
            return false;
        life->silent = 0;
        if (life->in.kind == MEGA__LIFE_LOST)
            return true;
        life->heard = life->in;
        if (life->in.kind != MEGA__LIFE_LEFT)
            listen_on(life);
    }
    return false;
}

mega_status_t mega__life_look(struct mega__life *life)
{
    if (!life->on)
        return MEGA_OK;
    say(life, (enum mega__life_kind)life->mine.kind);
    life->silent++;
    if (hear(life))
        return is_lost(life, &life->in);
    if (life->heard.kind == MEGA__LIFE_LEFT ||
        life->silent <= life->seconds * life->per_second)
        return MEGA_OK;
    return is_lost(life, &life->heard);
}

void mega__life_leave(struct mega__life *life)
{
    if (!life->on)
        return;
    life->news = life->mine;
    life->news.kind = MEGA__LIFE_LEFT;
    MPI_Isend(&life->news, sizeof life->news, MPI_BYTE, life->before, life->tag,
              life->comm, &life->tell);
}

bool mega__life_is_over(struct mega__life *life)
{
    int sent, told;
    if (!life->on)
        return true;
    hear(life);
    MPI_Test(&life->send, &sent, MPI_STATUS_IGNORE);
    MPI_Test(&life->tell, &told, MPI_STATUS_IGNORE);
    if (!sent || !told || life->heard.kind != MEGA__LIFE_LEFT)
        return false;
    life->on = false;
    return true;
}

void mega__life_drop(struct mega__life *life)
{
    if (life->receive != MPI_REQUEST_NULL) {
        MPI_Cancel(&life->receive);
        MPI_Wait(&life->receive, MPI_STATUS_IGNORE);
    }
    life->on = false;
}
