/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * boot_mpi_ends.c - see boot_mpi_ends.h. MPI_Init_thread and MPI_Finalize wait
 * for all ranks, for ever. So a thread of ours calls both, and the program's
 * waits for it with a bound: then MPI's thread is left behind, and mega_init
 * fails, or exit goes on. MPI lets any thread call it, but wants one to start
 * and to end it; a program that ends MPI itself does so from another, which
 * Open MPI and MPICH bear.
 *
 * A rank may have much to do before mega_init, where nothing of ours runs; the
 * others wait for it for long, and then give up. It may have much to do between
 * mega_finalize and its exit: there MPI's thread gives signs of life, and looks
 * for those of the next rank. That one is named if it is long, and waited for
 * as long as it lives. When all have come nobody has anything to do but to
 * leave, which is bounded again. The process is at its end then: its data is
 * durable.
 */
#include "boot_mpi_ends.h"

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "boot_mpi.h"
#include "log.h"
#include "rest.h"
#include "thread.h"

/* MPICH before 4.2 may wait in MPI_Finalize for ever, over TCP: a rank that is
 * through makes no progress, which others need for the close of their
 * endpoints. See https://github.com/pmodels/mpich/pull/6596. When all ranks
 * are at their end, all that is needed of the call is that the launcher, which
 * ends a job of which a rank leaves without a word, is told. */
#if defined(MPICH_NUMVERSION) && MPICH_NUMVERSION < 40200000
#define MAY_HANG true
#else
#define MAY_HANG false
#endif

#define NAP_NS 200000
#define LINGER_NAPS 500
#define ANSWER_MS 1000
#define SECOND_NS UINT64_C(1000000000)

/* RESTS: in a space, or none is open yet; WORKS: none is any more. */
enum stage { NONE, STARTS, RESTS, WORKS, WAITS, LEAVES, ENDED, GIVEN_UP };

static struct {
    pthread_mutex_t lock; /* over all, and in WORKS over calls to MPI */
    pthread_cond_t moved; /* the stage has */
    enum stage stage;
    pthread_t thread;
    int started; /* what MPI_Init_thread said */
    struct mega__boot_limits limits;
    pid_t pid;
    MPI_Comm comm; /* of all processes, once a space was closed */
    struct mega__life life;
    bool tells; /* of its host's ranks this one does */
} mpi = {.lock = PTHREAD_MUTEX_INITIALIZER, .comm = MPI_COMM_NULL};

/* ---- Stages: MPI's thread is in one, and may stick there ---- */

static void go_to(enum stage stage)
{
    pthread_mutex_lock(&mpi.lock);
    if (mpi.stage < ENDED)
        mpi.stage = stage;
    pthread_cond_broadcast(&mpi.moved);
    pthread_mutex_unlock(&mpi.lock);
}

/* False: a second has passed. With the lock. */
static bool moves(void)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec++;
    return pthread_cond_timedwait(&mpi.moved, &mpi.lock, &until) == 0;
}

void mega__boot_mpi_tell_late(const struct mega__boot_limits *limits)
{
    mega__log(MEGA__LOG_WARN,
              "not every rank has called mega_init, for %llu s: those are "
              "waited for, %llu s in all, by MEGALLOC_START_TIMEOUT. Do they "
              "work, or is one stopped, or its host lost?",
              (unsigned long long)limits->answer_s,
              (unsigned long long)limits->start_s);
}

mega_status_t mega__boot_mpi_too_late(const struct mega__boot_limits *limits)
{
    return mega__fail(MEGA_ERR_TIMEOUT,
                      "not every rank has called mega_init within %llu s, "
                      "which MEGALLOC_START_TIMEOUT allows: is one stopped, or "
                      "its host lost?",
                      (unsigned long long)limits->start_s);
}

static void tell_late(void)
{
    char who[32] = "not every rank has";
    if (mpi.life.on && mpi.life.heard.kind == MEGA__LIFE_HERE)
        snprintf(who, sizeof who, "rank %d has not", mpi.life.next);
    else if (!mpi.tells)
        return;
    mega__log(MEGA__LOG_WARN,
              "%s come to the end of the job, and is waited for: does it "
              "work, or is it stopped? The space is closed, nothing is lost",
              who);
}

/* The stage has lasted so many seconds, in which this process ran. */
static bool may_last(unsigned seconds)
{
    if (mpi.stage == STARTS && seconds == mpi.limits.answer_s)
        mega__boot_mpi_tell_late(&mpi.limits);
    if (mpi.stage == STARTS)
        return seconds < mpi.limits.start_s;
    if (mpi.stage != LEAVES || seconds <= mpi.limits.answer_s)
        return true;
    mega__log(MEGA__LOG_ERROR, "MPI_Finalize does not return: a rank is "
                               "stopped, or lost. This one leaves without; the "
                               "space is closed, nothing is lost");
    return false;
}

/* By the program's thread. False: MPI's is not there, and never will be. */
static bool comes_to(enum stage stage)
{
    unsigned seconds = 0;
    pthread_mutex_lock(&mpi.lock);
    enum stage seen = mpi.stage;
    while (mpi.stage != stage && mpi.stage < ENDED) {
        const bool moved = moves();
        seconds = mpi.stage != seen ? 0 : seconds + !moved;
        seen = mpi.stage;
        if (!may_last(seconds))
            mpi.stage = GIVEN_UP;
    }
    bool came = mpi.stage == stage;
    pthread_mutex_unlock(&mpi.lock);
    return came;
}

/* ---- The end ---- */

/* Till the others have got what this rank has said: MPI has to be called for
 * it to make progress. An error: another has gone. */
static void linger(void)
{
    const struct timespec nap = {.tv_nsec = NAP_NS};
    int any, rc = MPI_SUCCESS;
    for (int i = 0; rc == MPI_SUCCESS && i < LINGER_NAPS; i++) {
        rc = MPI_Iprobe(MPI_ANY_SOURCE, MEGA__TAG_END, mpi.comm, &any,
                        MPI_STATUS_IGNORE);
        nanosleep(&nap, NULL);
    }
}

/* The end of PMI-1, as the launcher speaks it; it answers. */
static void tell_launcher(const char *pmi_fd)
{
    static const char end[] = "cmd=finalize\n";
    char answer[64];
    struct pollfd fd = {.fd = atoi(pmi_fd), .events = POLLIN};
    if (write(fd.fd, end, sizeof end - 1) < 0 || poll(&fd, 1, ANSWER_MS) != 1 ||
        read(fd.fd, answer, sizeof answer) < 0)
        mega__log(MEGA__LOG_WARN, "the launcher could not be told of the end");
}

/* The life of all, then that they have left. */
static bool wait_for_all(void)
{
    const struct timespec nap = {.tv_nsec = NAP_NS};
    uint64_t looked = 0; /* ns: says at once that this rank has come */
    unsigned looks = 0;
    MPI_Request barrier;
    int all = 0, rc = MPI_Ibarrier(mpi.comm, &barrier);
    mpi.life.mine.kind = MEGA__LIFE_AT_END;
    while (rc == MPI_SUCCESS && !all) {
        rc = MPI_Test(&barrier, &all, MPI_STATUS_IGNORE);
        if (!all)
            nanosleep(&nap, NULL);
        if (all || mega__rest_now() - looked < SECOND_NS)
            continue;
        looked = mega__rest_now();
        if (mega__life_look(&mpi.life)) {
            mega__log(MEGA__LOG_ERROR, "%s", mega__errmsg_buffer());
            return false;
        }
        if (looks++ == mpi.limits.answer_s)
            tell_late();
    }
    go_to(LEAVES);
    mega__life_leave(&mpi.life);
    while (rc == MPI_SUCCESS && !mega__life_is_over(&mpi.life))
        nanosleep(&nap, NULL);
    return true;
}

static enum stage end_mpi(void)
{
    const char *pmi_fd = getenv("PMI_FD"); /* of all ranks, or of none */
    const bool together = mpi.comm != MPI_COMM_NULL;
    if (together && !wait_for_all())
        return GIVEN_UP;
    if (together && MAY_HANG && pmi_fd) {
        linger();
        tell_launcher(pmi_fd);
    } else {
        MPI_Finalize();
    }
    return ENDED;
}

/* ---- MPI's thread ---- */

static void *be_of_mpi(void *arg)
{
    int provided;
    (void)arg;
    mpi.started = MPI_Init_thread(NULL, NULL, MPI_THREAD_MULTIPLE, &provided);
    go_to(mpi.started == MPI_SUCCESS ? RESTS : ENDED);
    pthread_mutex_lock(&mpi.lock);
    while (mpi.stage == RESTS || mpi.stage == WORKS) {
        if (mpi.stage == RESTS)
            pthread_cond_wait(&mpi.moved, &mpi.lock);
        else if (!moves() && mpi.stage == WORKS)
            (void)mega__life_look(&mpi.life); /* who waits says that it fails */
    }
    const bool ends = mpi.stage == WAITS;
    pthread_mutex_unlock(&mpi.lock);
    if (ends)
        go_to(end_mpi());
    return NULL;
}

/* What is left of the process's exit goes on. Only its status changes, if it
 * would be success: not every launcher takes a rank that leaves MPI without a
 * word for one that failed. */
static void at_exit(int status, void *arg)
{
    int ended = 1;
    (void)arg;
    if (getpid() != mpi.pid || pthread_equal(pthread_self(), mpi.thread))
        return; /* a fork of it; MPI gives up */
    MPI_Finalized(&ended);
    if (ended || !mega__boot_mpi_spaces_closed())
        return;
    go_to(WAITS);
    if (!comes_to(ENDED) && status == EXIT_SUCCESS)
        exit(EXIT_FAILURE);
}

/* The program ends MPI itself: no more calls from our thread. */
static int on_end(MPI_Comm comm, int keyval, void *value, void *extra)
{
    (void)comm, (void)keyval, (void)value, (void)extra;
    pthread_mutex_lock(&mpi.lock);
    if (mpi.stage == WORKS) {
        mpi.stage = RESTS;
        mega__life_drop(&mpi.life);
    }
    pthread_mutex_unlock(&mpi.lock);
    return MPI_SUCCESS;
}

/* ---- For boot_mpi.c ---- */

static mega_status_t start_thread(void)
{
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&mpi.moved, &attr);
    pthread_condattr_destroy(&attr);
    mpi.pid = getpid();
    mpi.stage = STARTS;
    int rc = mega__thread_start(&mpi.thread, be_of_mpi, NULL);
    if (rc != 0) {
        mpi.stage = NONE;
        return mega__fail(MEGA_ERR_NOMEM, "start a thread for MPI: %s",
                          strerror(rc));
    }
    pthread_detach(mpi.thread);
    return MEGA_OK;
}

static mega_status_t start(void)
{
    int level = MPI_THREAD_SINGLE;
    mega_status_t st = start_thread();
    if (st)
        return st;
    const bool came = comes_to(RESTS);
    if (on_exit(at_exit, NULL) != 0) /* after what MPI has set: before that */
        return mega__fail(MEGA_ERR_NOMEM, "on_exit: no memory");
    if (!came)
        return mpi.stage == GIVEN_UP
                   ? mega__boot_mpi_too_late(&mpi.limits)
                   : mega__boot_mpi_status(mpi.started, "MPI_Init_thread");
    MPI_Query_thread(&level);
    if (level < MPI_THREAD_SERIALIZED)
        return mega__fail(MEGA_ERR_THREAD,
                          "this MPI may be called by one thread only: call "
                          "MPI_Init before mega_init");
    return MEGA_OK;
}

mega_status_t mega__boot_mpi_begin(const struct mega__boot_limits *limits)
{
    int started = 0;
    if (mpi.stage >= ENDED)
        return mega__fail(MEGA_ERR_STATE,
                          "MPI could not be started by an earlier mega_init: "
                          "no space can be opened in this process any more");
    MPI_Initialized(&started);
    if (started)
        return MEGA_OK;
    mpi.limits = *limits;
    return start();
}

bool mega__boot_mpi_keep(const struct mega__boot *boot)
{
    int level, keyval;
    if (!mpi.pid || mpi.comm != MPI_COMM_NULL || !boot->world || boot->mpi_ends)
        return false;
    mpi.comm = boot->comm;
    mpi.tells = boot->place.host_rank == 0;
    mpi.limits = boot->limits;
    MPI_Query_thread(&level);
    if (level < MPI_THREAD_MULTIPLE)
        return true; /* who works gives no sign */
    mega__life_begin(&mpi.life, mpi.comm, MEGA__TAG_END, boot->life.mine.host,
                     (unsigned)mpi.limits.silence_s, 1);
    MPI_Comm_create_keyval(MPI_COMM_NULL_COPY_FN, on_end, &keyval, NULL);
    MPI_Comm_set_attr(MPI_COMM_SELF, keyval, NULL);
    MPI_Comm_free_keyval(&keyval);
    go_to(WORKS);
    return true;
}
