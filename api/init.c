/* SPDX-License-Identifier: BSD-3-Clause */
/* init.c - mega_init and mega_finalize, who and how many we are. */
#include "api.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "arena.h"
#include "log.h"
#include "megalloc_mpi.h"
#include "roll.h"
#include "space.h"

struct mega__ctx *mega__the;
static bool forked; /* a child of a rank, which has the space and MPI */
static atomic_bool changing; /* mega__the: a thread opens it, or closes it */

mega_status_t mega__api_closed(void)
{
    if (forked)
        return mega__fail(MEGA_ERR_STATE,
                          "this process was forked by a rank of a job: only "
                          "that may call");
    return mega__fail(MEGA_ERR_STATE, "no space is open: call mega_init first");
}

mega_status_t mega__api_no_place(void)
{
    return mega__fail(MEGA_ERR_ARG, "no place for the answer");
}

struct mega__ctx *mega__api_begin(mega_status_t *st_p)
{
    struct mega__ctx *ctx = mega__the;
    *st_p = MEGA_OK;
    if (!ctx) {
        *st_p = mega__api_closed();
        return NULL;
    }
    *st_p = mega__boot_right_thread(ctx->boot); /* before anything is done */
    if (*st_p)
        return NULL;
    if (atomic_exchange_explicit(&ctx->in_collective, true,
                                 memory_order_acquire)) {
        *st_p = mega__fail(MEGA_ERR_BUSY,
                           "another thread of rank %d is in a collective call: "
                           "make them one after the other",
                           ctx->place.rank);
        return NULL;
    }
    return ctx;
}

mega_status_t mega__api_end(struct mega__ctx *ctx, mega_status_t st)
{
    atomic_store_explicit(&ctx->in_collective, false, memory_order_release);
    return st;
}

mega_status_t mega__api_name(const char *name)
{
    if (!name || !name[0])
        return mega__fail(MEGA_ERR_ARG, "a name is needed");
    if (strnlen(name, MEGA_NAME_MAX + 1) > MEGA_NAME_MAX)
        return mega__fail(MEGA_ERR_ARG,
                          "the name %.20s... has more than %d "
                          "bytes",
                          name, MEGA_NAME_MAX);
    return MEGA_OK;
}

struct mega__home *mega__api_home(struct mega__ctx *ctx, int home,
                                  mega_status_t *st_p)
{
    *st_p = MEGA_OK;
    if (home >= 0 && (uint32_t)home < ctx->nhomes)
        return mega__home_at(ctx, (uint32_t)home);
    *st_p = mega__fail(MEGA_ERR_ARG, "home %d: the space has homes 0 to %u",
                       home, ctx->nhomes - 1);
    return NULL;
}

/* ---- Init, finalize ---- */

static void at_mpi_end(void *arg)
{
    (void)arg;
    mega_status_t st = mega_finalize();
    if (st)
        mega__log(MEGA__LOG_ERROR, "closing the space at MPI_Finalize: %s",
                  mega_errmsg());
}

/* Only pointers: the child has this thread alone, and perhaps locks of others.
 * With the arena it would hand out what its parent does. MPI is the parent's,
 * too, also when the space is closed. */
static void in_child(void)
{
    forked = true;
    mega__the = NULL;
    mega__arena_forget();
}

static void heed_forks(void)
{
    pthread_atfork(NULL, NULL, in_child);
}

static mega_status_t begin_change(void)
{
    if (forked)
        return mega__api_closed();
    if (!atomic_exchange_explicit(&changing, true, memory_order_acquire))
        return MEGA_OK;
    return mega__fail(MEGA_ERR_BUSY,
                      "another thread of this process opens or closes the "
                      "space: make collective calls one after the other");
}

static mega_status_t end_change(mega_status_t st)
{
    atomic_store_explicit(&changing, false, memory_order_release);
    return st;
}

static mega_status_t open_space(void *comm)
{
    struct mega__ctx *ctx = NULL;
    if (mega__the)
        return mega__fail(MEGA_ERR_STATE,
                          "a space is open: call mega_finalize first");
    mega_status_t st = mega__space_open(comm, &ctx);
    if (st)
        return st;
    mega__boot_at_end(ctx->boot, at_mpi_end, NULL);
    mega__the = ctx;
    mega__errmsg_buffer()[0] = '\0'; /* of what it has tried */
    return MEGA_OK;
}

static mega_status_t init(void *comm)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, heed_forks);
    mega_status_t st = begin_change();
    return st ? st : end_change(open_space(comm));
}

mega_status_t mega_init(void)
{
    return init(NULL);
}

mega_status_t mega_init_comm(MPI_Comm comm)
{
    if (comm == MPI_COMM_NULL)
        return mega__fail(MEGA_ERR_ARG, "MPI_COMM_NULL");
    return init(&comm);
}

mega_status_t mega_finalize(void)
{
    mega_status_t st = begin_change();
    if (st)
        return st;
    struct mega__ctx *ctx = mega__api_begin(&st);
    if (!ctx)
        return end_change(st);
    mega__the = NULL;
    return end_change(mega__space_close(&ctx));
}

MPI_Comm mega_comm(void)
{
    return mega__the ? *(MPI_Comm *)mega__boot_comm(mega__the->boot)
                     : MPI_COMM_NULL;
}

int mega_rank(void)
{
    return mega__the ? mega__the->place.rank : -1;
}

int mega_nranks(void)
{
    return mega__the ? mega__the->place.nranks : 0;
}

int mega_nhomes(void)
{
    return mega__the ? (int)mega__the->nhomes : 0;
}

int mega_my_home(void)
{
    return mega__the ? mega__the->my_home : -1;
}
