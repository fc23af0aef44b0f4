/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * boot_mpi.c - start-up and collectives by MPI. MPI is used in boot_mpi*.c
 * only, never on the data path. If nobody has started MPI we do, and end it at
 * exit (boot_mpi_ends.c); an attribute on MPI_COMM_SELF, whose delete callback
 * MPI calls at the start of MPI_Finalize (MPI-4.0, 11.2.4), closes a space that
 * the program left open.
 *
 * MPI waits for ever for a process that is stopped, or behind a link that is
 * cut. So collectives are begun and then tested, and who waits looks after the
 * others now and then (watch): at first by signs of life over MPI. What is
 * given up stays behind in MPI, which then cannot be ended.
 */
#include "boot_mpi.h"

#include <limits.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "boot_mpi_ends.h"
#include "rest.h"

#define LOOKS 50 /* per second, at the start: news go a rank on each */
#define SECOND_NS UINT64_C(1000000000)
#define BYE_NS (2 * SECOND_NS)

static int end_keyval = MPI_KEYVAL_INVALID; /* of the process: MPI has one */
static bool spaces_closed = true;

mega_status_t mega__boot_mpi_status(int rc, const char *what)
{
    char text[MPI_MAX_ERROR_STRING] = "";
    int len = 0;
    if (rc == MPI_SUCCESS)
        return MEGA_OK;
    MPI_Error_string(rc, text, &len);
    return mega__fail(MEGA_ERR_IO, "%s: %.300s", what, text);
}

/* ---- Start and end ---- */

bool mega__boot_mpi_spaces_closed(void)
{
    return spaces_closed;
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

/* A second, for ranks that have not called mega_init. They may have much to do
 * before, and nothing of ours runs there: nobody can tell whether they work. */
static mega_status_t wait_for_late(void *arg)
{
    struct mega__boot *boot = arg;
    boot->late++;
    if (boot->late == boot->limits.answer_s &&
        boot->place.rank <= 1) /* if 0 is late */
        mega__boot_mpi_tell_late(&boot->limits);
    return boot->late < boot->limits.start_s
               ? MEGA_OK
               : mega__boot_mpi_too_late(&boot->limits);
}

static mega_status_t look_for_next(void *arg)
{
    return mega__life_look(arg);
}

static void watch_by(struct mega__boot *boot, uint64_t ns,
                     mega_status_t (*fn)(void *), void *arg)
{
    boot->watch = fn;
    boot->watch_arg = arg;
    boot->watch_ns = ns;
}

static mega_status_t duplicate(struct mega__boot *boot, MPI_Comm from,
                               MPI_Comm *to)
{
    MPI_Request request;
    return mega__boot_mpi_complete(boot, MPI_Comm_idup(from, to, &request), 1,
                                   &request, "MPI_Comm_idup");
}

/* All ranks have come, from where on none may be silent. */
static mega_status_t meet(struct mega__boot *boot, MPI_Comm from,
                          const char *shown)
{
    MPI_Comm_rank(from, &boot->place.rank);
    watch_by(boot, SECOND_NS, wait_for_late, boot);
    mega_status_t st = duplicate(boot, from, &boot->comm);
    boot->user = MPI_COMM_WORLD;
    if (!st && !boot->world) /* the program may free what it gave */
        st = duplicate(boot, from, &boot->user);
    if (st)
        return st;
    boot->met = true;
    MPI_Comm_set_errhandler(boot->comm, MPI_ERRORS_RETURN);
    mega__life_begin(&boot->life, boot->comm, MEGA__TAG_LIFE, shown,
                     (unsigned)boot->limits.silence_s, LOOKS);
    watch_by(boot, SECOND_NS / LOOKS, look_for_next, &boot->life);
    return MEGA_OK;
}

/* The signs of life are all received: true, unless a rank has left otherwise
 * than we. */
static bool end_life(struct mega__boot *boot)
{
    const uint64_t began = mega__rest_now();
    if (boot->watch == look_for_next)
        mega__life_leave(&boot->life);
    while (!mega__life_is_over(&boot->life)) {
        uint64_t waited = mega__rest_now() - began;
        if (waited > BYE_NS)
            return false;
        mega__rest(waited);
    }
    return true;
}

/* What MPI may still write to stays: a part of a collective that was given up,
 * or a sign of life. The first communicator of all processes is kept for the
 * end of MPI. */
static void free_boot(struct mega__boot *boot, bool mpi_works)
{
    const bool open = boot->met && mpi_works;
    const bool over = !boot->given_up && (!open || end_life(boot));
    if (open && over && !boot->world)
        MPI_Comm_free(&boot->user);
    if (open && over && !mega__boot_mpi_keep(boot))
        MPI_Comm_free(&boot->comm);
    spaces_closed = !boot->given_up;
    free(boot->host_ranks);
    free(boot->firsts);
    if (over)
        free(boot);
}

static mega_status_t check_comm(MPI_Comm comm)
{
    int started = 0, inter = 0;
    MPI_Initialized(&started);
    if (!started)
        return mega__fail(MEGA_ERR_STATE,
                          "a communicator before MPI_Init: call that first");
    MPI_Comm_test_inter(comm, &inter);
    if (inter)
        return mega__fail(MEGA_ERR_ARG,
                          "an intercommunicator: merge its groups first, by "
                          "MPI_Intercomm_merge");
    return MEGA_OK;
}

mega_status_t mega__boot_start(void *comm, const char *shown,
                               const struct mega__boot_limits *limits,
                               struct mega__boot **boot_p)
{
    int ended = 0;
    MPI_Finalized(&ended);
    if (ended)
        return mega__fail(MEGA_ERR_STATE,
                          "MPI_Finalize was called: no space can be opened "
                          "in this process any more");
    mega_status_t st = comm ? check_comm(*(MPI_Comm *)comm) : MEGA_OK;
    if (!st)
        st = mega__boot_mpi_begin(limits);
    if (st)
        return st;
    struct mega__boot *boot = calloc(1, sizeof *boot);
    if (!boot)
        return mega__fail(MEGA_ERR_NOMEM, "no memory to start");
    boot->limits = *limits;
    boot->world = !comm;
    spaces_closed = false;
    st = check_threads(boot);
    if (!st)
        st = meet(boot, comm ? *(MPI_Comm *)comm : MPI_COMM_WORLD, shown);
    if (st) {
        free_boot(boot, true);
        return st;
    }
    *boot_p = boot;
    return MEGA_OK;
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
        if (found && set == boot) {
            MPI_Comm_delete_attr(MPI_COMM_SELF, end_keyval);
            boot->mpi_ends = false;
        }
    }
    free_boot(boot, !ended);
}

/* ---- Collectives ---- */

struct mega__boot_place mega__boot_place(const struct mega__boot *boot)
{
    return boot->place;
}

void *mega__boot_comm(struct mega__boot *boot)
{
    return &boot->user;
}

void mega__boot_watch(struct mega__boot *boot, uint64_t ns,
                      mega_status_t (*fn)(void *), void *arg)
{
    if (boot->watch == look_for_next)
        mega__life_leave(&boot->life);
    watch_by(boot, ns, fn, arg);
}

mega_status_t mega__boot_mpi_give_up(struct mega__boot *boot, mega_status_t st)
{
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

mega_status_t mega__boot_right_thread(const struct mega__boot *boot)
{
    int main_thread = 1;
    if (boot->main_thread_only)
        MPI_Is_thread_main(&main_thread);
    if (main_thread)
        return MEGA_OK;
    return mega__fail(MEGA_ERR_THREAD,
                      "collective call outside the main thread: start MPI "
                      "with MPI_THREAD_SERIALIZED or MPI_THREAD_MULTIPLE");
}

mega_status_t mega__boot_mpi_may_call(const struct mega__boot *boot)
{
    return boot->given_up ? mega__boot_given_up(boot)
                          : mega__boot_right_thread(boot);
}

#define TESTS 64 /* before the clock is read */

static mega_status_t complete_one(struct mega__boot *boot, MPI_Request *request,
                                  const char *what)
{
    int done = 0, rc = MPI_SUCCESS;
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
            mega_status_t st =
                mega__boot_mpi_give_up(boot, boot->watch(boot->watch_arg));
            if (st)
                return st;
            next = 0;
        }
        mega__rest(t - began); /* Open MPI yields if it is told to, MPICH not */
    }
    return mega__boot_mpi_status(rc, what);
}

mega_status_t mega__boot_mpi_complete(struct mega__boot *boot, int rc,
                                      int count, MPI_Request *requests,
                                      const char *what)
{
    mega_status_t st = mega__boot_mpi_status(rc, what);
    for (int i = 0; !st && i < count; i++)
        st = complete_one(boot, &requests[i], what);
    return st && !boot->given_up ? mega__boot_mpi_give_up(boot, st) : st;
}

void *mega__boot_mpi_lend(struct mega__boot *boot, const void *from, size_t n)
{
    void *lent = malloc(n ? n : 1);
    if (!lent)
        (void)mega__boot_mpi_give_up(
            boot, mega__fail(MEGA_ERR_NOMEM, "no memory to send %zu bytes", n));
    else if (from && n)
        memcpy(lent, from, n);
    return lent;
}

void mega__boot_mpi_take_back(void *lent, mega_status_t st)
{
    if (!st)
        free(lent);
}

mega_status_t mega__boot_barrier(struct mega__boot *boot)
{
    MPI_Request request;
    mega_status_t st = mega__boot_mpi_may_call(boot);
    return st ? st
              : mega__boot_mpi_complete(boot,
                                        MPI_Ibarrier(boot->comm, &request), 1,
                                        &request, "MPI_Ibarrier");
}

#define PIECE ((size_t)16 << 20) /* so much is lent of a long buffer */

mega_status_t mega__boot_bcast(struct mega__boot *boot, void *buf, size_t n,
                               int root)
{
    mega_status_t st = mega__boot_mpi_may_call(boot);
    if (st)
        return st;
    char *lent = mega__boot_mpi_lend(boot, NULL, n < PIECE ? n : PIECE);
    if (!lent)
        return MEGA_ERR_NOMEM;
    for (size_t at = 0, len; !st && at < n; at += len) {
        MPI_Request request;
        char *piece = (char *)buf + at;
        len = n - at < PIECE ? n - at : PIECE;
        memcpy(lent, piece, len);
        st = mega__boot_mpi_complete(
            boot,
            MPI_Ibcast(lent, (int)len, MPI_BYTE, root, boot->comm, &request), 1,
            &request, "MPI_Ibcast");
        if (!st)
            memcpy(piece, lent, len);
    }
    mega__boot_mpi_take_back(lent, st);
    return st;
}

mega_status_t mega__boot_least(struct mega__boot *boot, int value, int *least_p)
{
    MPI_Request request;
    mega_status_t st = mega__boot_mpi_may_call(boot);
    if (st)
        return st;
    boot->mine = value;
    st = mega__boot_mpi_complete(boot,
                                 MPI_Iallreduce(&boot->mine, &boot->least, 1,
                                                MPI_INT, MPI_MIN, boot->comm,
                                                &request),
                                 1, &request, "MPI_Iallreduce");
    if (!st)
        *least_p = boot->least;
    return st;
}
