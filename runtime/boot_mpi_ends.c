/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * boot_mpi_ends.c - see boot_mpi_ends.h. MPI_Init_thread and MPI_Finalize wait
 * for all ranks, for ever. So a thread of ours waits beside them.
 *
 * A rank may have much to do before mega_init, where nothing of ours runs; the
 * others wait for it for long, and then give up. It may have much to do between
 * mega_finalize and its exit: there the thread gives signs of life, and looks
 * for those of the next rank. That one is named if it is long, and waited for
 * as long as it lives. When all have come nobody has anything to do but to
 * leave, which is bounded again. The process is at its end then: its data is
 * durable, its exit handlers have run.
 */
#include "boot_mpi_ends.h"

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "boot_mpi.h"
#include "log.h"
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

enum stage { IDLE, STARTS, WORKS, WAITS, LEAVES };

static struct {
    pthread_mutex_t lock; /* over all, and over calls to MPI for life */
    enum stage stage;
    bool runs;        /* the thread */
    unsigned seconds; /* in this stage, in which this process ran */
    struct mega__boot_limits limits;
    pid_t pid;
    MPI_Comm comm; /* of all processes, once a space was closed */
    struct mega__life life;
    bool tells; /* of its host's ranks this one does */
} mpi = {.lock = PTHREAD_MUTEX_INITIALIZER, .comm = MPI_COMM_NULL};

/* ---- The thread beside MPI ---- */

static void leave(const char *why)
{
    mega__log(MEGA__LOG_ERROR, "%s", why);
    _exit(EXIT_FAILURE);
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

/* A second has passed. */
static void look(void)
{
    mpi.seconds++;
    switch (mpi.stage) {
    case IDLE:
        return;
    case STARTS:
        if (mpi.seconds == mpi.limits.answer_s)
            mega__boot_mpi_tell_late(&mpi.limits);
        if (mpi.seconds < mpi.limits.start_s)
            return;
        (void)mega__boot_mpi_too_late(&mpi.limits);
        leave(mega__errmsg_buffer());
        return;
    case WORKS: /* who waits for others finds that one is lost */
        (void)mega__life_look(&mpi.life);
        return;
    case WAITS:
        if (mega__life_look(&mpi.life))
            leave(mega__errmsg_buffer());
        if (mpi.seconds == mpi.limits.answer_s)
            tell_late();
        return;
    case LEAVES:
        if (mpi.seconds > mpi.limits.answer_s)
            leave("MPI_Finalize does not return: a rank is stopped, or lost. "
                  "This one leaves without; the space is closed, nothing is "
                  "lost");
    }
}

static void *look_on(void *arg)
{
    (void)arg;
    pthread_mutex_lock(&mpi.lock);
    while (mpi.stage != IDLE) {
        pthread_mutex_unlock(&mpi.lock);
        sleep(1);
        pthread_mutex_lock(&mpi.lock);
        look();
    }
    mpi.runs = false;
    pthread_mutex_unlock(&mpi.lock);
    return NULL;
}

/* Without a thread MPI waits as it does. */
static void go_to(enum stage stage)
{
    pthread_t thread;
    pthread_mutex_lock(&mpi.lock);
    mpi.stage = stage;
    mpi.seconds = 0;
    if (stage != IDLE && !mpi.runs &&
        mega__thread_start(&thread, look_on, NULL) == 0) {
        pthread_detach(thread);
        mpi.runs = true;
    }
    pthread_mutex_unlock(&mpi.lock);
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
static void wait_for_all(void)
{
    const struct timespec nap = {.tv_nsec = NAP_NS};
    MPI_Request barrier;
    int all = 0, rc;
    pthread_mutex_lock(&mpi.lock);
    mpi.life.mine.kind = MEGA__LIFE_AT_END;
    pthread_mutex_unlock(&mpi.lock);
    go_to(WAITS);
    rc = MPI_Ibarrier(mpi.comm, &barrier);
    while (rc == MPI_SUCCESS && !all) {
        rc = MPI_Test(&barrier, &all, MPI_STATUS_IGNORE);
        if (!all)
            nanosleep(&nap, NULL);
    }
    go_to(LEAVES);
    mega__life_leave(&mpi.life);
    while (rc == MPI_SUCCESS && !mega__life_is_over(&mpi.life))
        nanosleep(&nap, NULL);
}

static void end_mpi(void)
{
    const char *pmi_fd = getenv("PMI_FD"); /* of all ranks, or of none */
    int ended = 1;
    if (getpid() != mpi.pid) /* a fork of it */
        return;
    MPI_Finalized(&ended);
    if (ended || !mega__boot_mpi_spaces_closed())
        return;
    if (mpi.comm != MPI_COMM_NULL) {
        wait_for_all();
        if (MAY_HANG && pmi_fd) {
            linger();
            tell_launcher(pmi_fd);
            return;
        }
    }
    MPI_Finalize();
}

/* The program ends MPI itself: no more calls from our thread. */
static int on_end(MPI_Comm comm, int keyval, void *value, void *extra)
{
    (void)comm, (void)keyval, (void)value, (void)extra;
    pthread_mutex_lock(&mpi.lock);
    if (mpi.stage == WORKS) {
        mpi.stage = IDLE;
        mega__life_drop(&mpi.life);
    }
    pthread_mutex_unlock(&mpi.lock);
    return MPI_SUCCESS;
}

/* ---- For boot_mpi.c ---- */

mega_status_t mega__boot_mpi_begin(const struct mega__boot_limits *limits)
{
    int provided;
    mpi.limits = *limits;
    go_to(STARTS);
    int rc = MPI_Init_thread(NULL, NULL, MPI_THREAD_MULTIPLE, &provided);
    go_to(IDLE);
    if (rc != MPI_SUCCESS)
        return mega__boot_mpi_status(rc, "MPI_Init_thread");
    mpi.pid = getpid();
    if (atexit(end_mpi) != 0)
        return mega__fail(MEGA_ERR_NOMEM, "atexit: no memory");
    return MEGA_OK;
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
                     (unsigned)mpi.limits.answer_s, 1);
    MPI_Comm_create_keyval(MPI_COMM_NULL_COPY_FN, on_end, &keyval, NULL);
    MPI_Comm_set_attr(MPI_COMM_SELF, keyval, NULL);
    MPI_Comm_free_keyval(&keyval);
    go_to(WORKS);
    return true;
}
