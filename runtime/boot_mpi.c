/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * boot_mpi.c - start-up and collectives by MPI. MPI is used here only, never
 * on the data path. If nobody has started MPI we do, and end it at exit
 * (boot_mpi_end.c); an attribute on MPI_COMM_SELF, whose delete callback MPI
 * calls at the start of MPI_Finalize (MPI-4.0, 11.2.4), closes a space that the
 * program left open.
 *
 * MPI waits for ever for a process that is stopped, or behind a link that is
 * cut. So collectives are begun and then tested, and who waits looks after the
 * others now and then (watch). What is given up stays behind in MPI, which
 * then cannot be ended.
 */
#include "boot.h"

#include <limits.h>
#include <mpi.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "boot_mpi_end.h"
#include "log.h"
#include "rest.h"

#define HOST_NAME 256

struct mega__boot {
    MPI_Comm comm; /* a duplicate: our messages meet nobody's */
    MPI_Comm host;
    MPI_Comm firsts; /* of the hosts; NULL on other ranks */
    struct mega__boot_place place;
    bool main_thread_only;
    bool mpi_ends; /* inside the callback: the attribute is going */
    void (*at_end)(void *);
    void *at_end_arg;
    mega_status_t (*watch)(void *);
    void *watch_arg;
    uint64_t watch_ns;
    _Atomic int given_up; /* what the watch said; its sentence is there first */
    char given_up_text[MEGA__ERRMSG_MAX];
};

static int end_keyval = MPI_KEYVAL_INVALID; /* of the process: MPI has one */
static pid_t started_by; /* whose MPI it is to end; not of its children */
static bool spaces_closed = true;
static uint64_t end_seconds; /* what a watch has allowed last; 0: no watch */
static bool end_tells;       /* of its host's ranks this one does */

static mega_status_t mpi_status(int rc, const char *what)
{
    char text[MPI_MAX_ERROR_STRING] = "";
    int len = 0;
    if (rc == MPI_SUCCESS)
        return MEGA_OK;
    MPI_Error_string(rc, text, &len);
    return mega__fail(MEGA_ERR_IO, "%s: %.300s", what, text);
}

/* ---- Start and end ---- */

/* A program that fails calls exit() in one rank only: ending MPI would then
 * wait for the others for ever. So we end it only after mega_finalize. */
static void end_mpi(void)
{
    int ended = 1;
    if (getpid() != started_by)
        return;
    MPI_Finalized(&ended);
    if (!ended && spaces_closed)
        mega__boot_mpi_end(end_seconds, end_tells);
}

static mega_status_t start_mpi(void)
{
    int provided, rc;
    rc = MPI_Init_thread(NULL, NULL, MPI_THREAD_MULTIPLE, &provided);
    if (rc != MPI_SUCCESS)
        return mpi_status(rc, "MPI_Init_thread");
    started_by = getpid();
    if (atexit(end_mpi) != 0)
        return mega__fail(MEGA_ERR_NOMEM, "atexit: no memory");
    return MEGA_OK;
}

static int on_mpi_end(MPI_Comm comm, int keyval, void *value, void *extra)
{
    struct mega__boot *boot = value;
    (void)comm, (void)keyval, (void)extra;
    boot->mpi_ends = true;
    if (boot->at_end)
        boot->at_end(boot->at_end_arg);
    return MPI_SUCCESS;
}

void mega__boot_at_end(struct mega__boot *boot, void (*fn)(void *), void *arg)
{
    boot->at_end = fn;
    boot->at_end_arg = arg;
    if (fn && end_keyval == MPI_KEYVAL_INVALID)
        MPI_Comm_create_keyval(MPI_COMM_NULL_COPY_FN, on_mpi_end, &end_keyval,
                               NULL);
    if (fn)
        MPI_Comm_set_attr(MPI_COMM_SELF, end_keyval, boot);
}

static mega_status_t check_threads(struct mega__boot *boot)
{
    int level, main_thread;
    MPI_Query_thread(&level);
    MPI_Is_thread_main(&main_thread);
    boot->main_thread_only = level < MPI_THREAD_SERIALIZED;
    if (level == MPI_THREAD_SINGLE)
        mega__log(MEGA__LOG_INFO, "MPI has MPI_THREAD_SINGLE: collective calls "
                                  "only from the main thread");
    if (boot->main_thread_only && !main_thread)
        return mega__fail(MEGA_ERR_THREAD,
                          "this thread may not call MPI: start MPI with "
                          "MPI_THREAD_SERIALIZED or MPI_THREAD_MULTIPLE");
    return MEGA_OK;
}

static void free_comms(struct mega__boot *boot)
{
    if (boot->firsts != MPI_COMM_NULL)
        MPI_Comm_free(&boot->firsts);
    if (boot->host != MPI_COMM_NULL)
        MPI_Comm_free(&boot->host);
    MPI_Comm_free(&boot->comm);
}

/* Hosts are numbered in the order of their lowest rank, which is their first:
 * so is the communicator of the firsts. */
static mega_status_t number_hosts(struct mega__boot *boot)
{
    struct mega__boot_place *p = &boot->place;
    int at[2] = {0, 0};
    int rc = MPI_Comm_split(boot->comm, p->host_rank == 0 ? 0 : MPI_UNDEFINED,
                            0, &boot->firsts);
    if (rc == MPI_SUCCESS && boot->firsts != MPI_COMM_NULL) {
        MPI_Comm_set_errhandler(boot->firsts, MPI_ERRORS_RETURN);
        MPI_Comm_rank(boot->firsts, &at[0]);
        MPI_Comm_size(boot->firsts, &at[1]);
    }
    if (rc == MPI_SUCCESS)
        rc = MPI_Bcast(at, 2, MPI_INT, 0, boot->host);
    p->host = at[0];
    p->nhosts = at[1];
    return mpi_status(rc, "numbering the hosts");
}

/* The lowest of the ranks that share memory with this one and go by the same
 * name of a host. */
static int first_of_same_name(MPI_Comm shared, const char *name)
{
    char mine[HOST_NAME] = "";
    int n, rank, first = 0;
    MPI_Comm_size(shared, &n);
    MPI_Comm_rank(shared, &rank);
    char(*all)[HOST_NAME] = calloc((size_t)n, sizeof *all);
    strncpy(mine, name, sizeof mine - 1);
    if (!all || MPI_Allgather(mine, HOST_NAME, MPI_CHAR, all, HOST_NAME,
                              MPI_CHAR, shared) != MPI_SUCCESS) {
        free(all);
        return rank;
    }
    while (first < rank && memcmp(all[first], mine, sizeof mine) != 0)
        first++;
    free(all);
    return first;
}

/* A host is what shares memory, and a name: so one machine can stand for
 * several. */
static mega_status_t split_by_host(struct mega__boot *boot, const char *name)
{
    MPI_Comm shared;
    int rc = MPI_Comm_split_type(boot->comm, MPI_COMM_TYPE_SHARED, 0,
                                 MPI_INFO_NULL, &shared);
    if (rc != MPI_SUCCESS)
        return mpi_status(rc, "MPI_Comm_split_type");
    MPI_Comm_set_errhandler(shared, MPI_ERRORS_RETURN);
    rc = MPI_Comm_split(shared, first_of_same_name(shared, name), 0,
                        &boot->host);
    MPI_Comm_free(&shared);
    return mpi_status(rc, "MPI_Comm_split");
}

mega_status_t mega__boot_start(void *comm, const char *host,
                               struct mega__boot **boot_p)
{
    int started = 0, ended = 0;
    MPI_Initialized(&started);
    MPI_Finalized(&ended);
    if (ended)
        return mega__fail(MEGA_ERR_STATE,
                          "MPI_Finalize was called: no space can be opened "
                          "in this process any more");
    mega_status_t st = started ? MEGA_OK : start_mpi();
    if (st)
        return st;
    struct mega__boot *boot = calloc(1, sizeof *boot);
    if (!boot)
        return mega__fail(MEGA_ERR_NOMEM, "no memory to start");
    boot->host = boot->firsts = MPI_COMM_NULL;
    MPI_Comm from = comm ? *(MPI_Comm *)comm : MPI_COMM_WORLD;
    st = check_threads(boot);
    if (st)
        goto err_free;
    st = mpi_status(MPI_Comm_dup(from, &boot->comm), "MPI_Comm_dup");
    if (st)
        goto err_free;
    MPI_Comm_set_errhandler(boot->comm, MPI_ERRORS_RETURN);
    st = split_by_host(boot, host);
    if (st)
        goto err_comms;
    MPI_Comm_set_errhandler(boot->host, MPI_ERRORS_RETURN);
    MPI_Comm_rank(boot->host, &boot->place.host_rank);
    MPI_Comm_size(boot->host, &boot->place.host_nranks);
    MPI_Comm_rank(boot->comm, &boot->place.rank);
    MPI_Comm_size(boot->comm, &boot->place.nranks);
    st = number_hosts(boot);
    if (st)
        goto err_comms;
    spaces_closed = false;
    *boot_p = boot;
    return MEGA_OK;

err_comms:
    free_comms(boot);
err_free:
    free(boot);
    return st;
}

void mega__boot_stop(struct mega__boot **boot_p)
{
    struct mega__boot *boot = *boot_p;
    int ended = 1;
    if (!boot)
        return;
    *boot_p = NULL;
    MPI_Finalized(&ended);
    if (!ended) {
        boot->at_end = NULL; /* deleting the attribute calls back */
        void *set = NULL;
        int found = 0;
        if (end_keyval != MPI_KEYVAL_INVALID && !boot->mpi_ends)
            MPI_Comm_get_attr(MPI_COMM_SELF, end_keyval, &set, &found);
        if (found && set == boot)
            MPI_Comm_delete_attr(MPI_COMM_SELF, end_keyval);
        if (!boot->given_up) {
            free_comms(boot);
        }
    }
    spaces_closed = !boot->given_up;
    free(boot);
}

/* ---- Collectives ---- */

struct mega__boot_place mega__boot_place(const struct mega__boot *boot)
{
    return boot->place;
}

void *mega__boot_comm(struct mega__boot *boot)
{
    return &boot->comm;
}

void mega__boot_watch(struct mega__boot *boot, uint64_t seconds,
                      mega_status_t (*fn)(void *), void *arg)
{
    boot->watch = fn;
    boot->watch_arg = arg;
    boot->watch_ns = seconds * 1000000000u;
    end_seconds = seconds;
    end_tells = boot->place.host_rank == 0;
}

static mega_status_t look_after_others(struct mega__boot *boot)
{
    mega_status_t st = boot->watch(boot->watch_arg);
    if (st)
        memcpy(boot->given_up_text, mega__errmsg_buffer(), MEGA__ERRMSG_MAX);
    atomic_store(&boot->given_up, st);
    return st;
}

mega_status_t mega__boot_given_up(const struct mega__boot *boot)
{
    mega_status_t st = (mega_status_t)atomic_load(&boot->given_up);
    return st ? mega__fail(st, "%s", boot->given_up_text) : MEGA_OK;
}

static mega_status_t may_call(const struct mega__boot *boot)
{
    int main_thread = 1;
    if (boot->given_up)
        return mega__boot_given_up(boot);
    if (!boot->main_thread_only)
        return MEGA_OK;
    MPI_Is_thread_main(&main_thread);
    if (main_thread)
        return MEGA_OK;
    return mega__fail(MEGA_ERR_THREAD,
                      "collective call outside the main thread: start MPI "
                      "with MPI_THREAD_SERIALIZED or MPI_THREAD_MULTIPLE");
}

#define TESTS 64 /* before the clock is read */

/* Waits for the end of what has begun with rc. */
static mega_status_t complete(struct mega__boot *boot, int rc,
                              MPI_Request *request, const char *what)
{
    int done = 0;
    uint64_t began = 0, next = 0, t = 0;
    for (unsigned tests = 1; rc == MPI_SUCCESS; tests++) {
        rc = MPI_Test(request, &done, MPI_STATUS_IGNORE);
        if (done)
            break;
        if (tests % TESTS != 0 && !mega__rest_is_long(t - began))
            continue;
        t = mega__rest_now();
        began = began ? began : t;
        next = next ? next : t + boot->watch_ns;
        if (boot->watch && t >= next) {
            mega_status_t st = look_after_others(boot);
            if (st)
                return st;
            next = 0;
        }
        if (boot->watch || mega__rest_is_long(t - began))
            mega__rest(t - began); /* else MPI does, if it is told to */
    }
    return mpi_status(rc, what);
}

static mega_status_t barrier(struct mega__boot *boot, MPI_Comm comm)
{
    MPI_Request request;
    mega_status_t st = may_call(boot);
    return st ? st
              : complete(boot, MPI_Ibarrier(comm, &request), &request,
                         "MPI_Ibarrier");
}

mega_status_t mega__boot_barrier(struct mega__boot *boot)
{
    return barrier(boot, boot->comm);
}

mega_status_t mega__boot_host_barrier(struct mega__boot *boot)
{
    return barrier(boot, boot->host);
}

/* MPI counts in int: long buffers go in pieces. */
static mega_status_t bcast(struct mega__boot *boot, MPI_Comm comm, void *buf,
                           size_t n, int root)
{
    mega_status_t st = may_call(boot);
    for (size_t at = 0; !st && at < n;) {
        MPI_Request request;
        size_t piece = n - at < INT_MAX ? n - at : (size_t)INT_MAX;
        st = complete(boot,
                      MPI_Ibcast((char *)buf + at, (int)piece, MPI_BYTE, root,
                                 comm, &request),
                      &request, "MPI_Ibcast");
        at += piece;
    }
    return st;
}

mega_status_t mega__boot_bcast(struct mega__boot *boot, void *buf, size_t n,
                               int root)
{
    return bcast(boot, boot->comm, buf, n, root);
}

mega_status_t mega__boot_host_bcast(struct mega__boot *boot, void *buf,
                                    size_t n)
{
    return bcast(boot, boot->host, buf, n, 0);
}

mega_status_t mega__boot_least(struct mega__boot *boot, int value, int *least_p)
{
    MPI_Request request;
    mega_status_t st = may_call(boot);
    return st ? st
              : complete(boot,
                         MPI_Iallreduce(&value, least_p, 1, MPI_INT, MPI_MIN,
                                        boot->comm, &request),
                         &request, "MPI_Iallreduce");
}

static mega_status_t too_big(size_t n)
{
    return n > INT_MAX ? mega__fail(MEGA_ERR_TOO_BIG,
                                    "cannot gather %zu bytes at once", n)
                       : MEGA_OK;
}

mega_status_t mega__boot_host_gather(struct mega__boot *boot, const void *in,
                                     size_t n, void *out)
{
    MPI_Request request;
    mega_status_t st = may_call(boot);
    st = st ? st : too_big(n);
    return st ? st
              : complete(boot,
                         MPI_Igather(in, (int)n, MPI_BYTE, out, (int)n,
                                     MPI_BYTE, 0, boot->host, &request),
                         &request, "MPI_Igather");
}

mega_status_t mega__boot_firsts_allgather(struct mega__boot *boot,
                                          const void *in, size_t n, void *out)
{
    MPI_Request request;
    mega_status_t st = may_call(boot);
    st = st ? st : too_big(n);
    return st ? st
              : complete(boot,
                         MPI_Iallgather(in, (int)n, MPI_BYTE, out, (int)n,
                                        MPI_BYTE, boot->firsts, &request),
                         &request, "MPI_Iallgather");
}
