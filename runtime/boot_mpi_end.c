/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * boot_mpi_end.c - see boot_mpi_end.h. A rank may have much to do between
 * mega_finalize and its exit, so the others wait for it, and name it if it is
 * long. When all have come nobody has anything to do but to leave: a rank that
 * is stopped then would keep the others in MPI_Finalize for ever, so a thread
 * bounds that, or it is left out. The process is at its end already: its data
 * is durable, its exit handlers have run.
 */
#include "boot_mpi_end.h"

#include <mpi.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

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

#define TAG 32767 /* on MPI_COMM_WORLD, which is the program's, too */
#define NAP_NS 200000
#define LINGER_NAPS 500
#define ANSWER_MS 1000

static time_t now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec;
}

static void tell_late(int next, bool came)
{
    char who[32] = "not every rank has";
    if (!came)
        snprintf(who, sizeof who, "rank %d has not", next);
    mega__log(MEGA__LOG_WARN,
              "%s come to the end of the job, and is waited for: does it "
              "work, or is it stopped? The space is closed, nothing is lost",
              who);
}

/* All ranks have come. A rank names the next, if that is late; who would name
 * one may be stopped, so a rank of each host says at least that some are. */
static void meet(uint64_t seconds, bool tells)
{
    const struct timespec nap = {.tv_nsec = NAP_NS};
    const time_t late = now() + (time_t)seconds;
    char mine = 0, theirs;
    int rank, ranks, all = 0, came = 0;
    bool told = false;
    MPI_Request barrier, request[2];
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    const int next = (rank + 1) % ranks, before = (rank + ranks - 1) % ranks;
    MPI_Irecv(&theirs, 1, MPI_BYTE, next, TAG, MPI_COMM_WORLD, &request[0]);
    MPI_Isend(&mine, 1, MPI_BYTE, before, TAG, MPI_COMM_WORLD, &request[1]);
    MPI_Ibarrier(MPI_COMM_WORLD, &barrier);
    while (!all || !came) {
        if (!came)
            MPI_Test(&request[0], &came, MPI_STATUS_IGNORE);
        if (!all)
            MPI_Test(&barrier, &all, MPI_STATUS_IGNORE);
        if (!told && now() >= late && (!came || (tells && !all))) {
            tell_late(next, came);
            told = true;
        }
        if (!all || !came)
            nanosleep(&nap, NULL);
    }
    MPI_Wait(&request[1], MPI_STATUS_IGNORE);
}

/* Till the others have got what this rank has said: MPI has to be called for
 * it to make progress. An error: another has gone. */
static void linger(void)
{
    const struct timespec nap = {.tv_nsec = NAP_NS};
    int any, rc = MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    for (int i = 0; rc == MPI_SUCCESS && i < LINGER_NAPS; i++) {
        rc = MPI_Iprobe(MPI_ANY_SOURCE, TAG, MPI_COMM_WORLD, &any,
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

static void *leave_late(void *arg)
{
    sleep((unsigned)*(uint64_t *)arg);
    mega__log(MEGA__LOG_ERROR,
              "MPI_Finalize does not return: a rank is stopped, or lost. This "
              "one leaves without; the space is closed, nothing is lost");
    _exit(EXIT_FAILURE);
}

void mega__boot_mpi_end(uint64_t seconds, bool tells)
{
    static uint64_t limit;
    const char *pmi_fd = getenv("PMI_FD"); /* of all ranks, or of none */
    pthread_t thread;
    limit = seconds;
    if (seconds > 0) {
        meet(seconds, tells);
        if (MAY_HANG && pmi_fd) {
            linger();
            tell_launcher(pmi_fd);
            return;
        }
        if (mega__thread_start(&thread, leave_late, &limit) == 0)
            pthread_detach(thread);
    }
    MPI_Finalize();
}
