/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * boot_mpi_end.c - see boot_mpi_end.h. MPI_Finalize waits for ever for a rank
 * that is stopped, or behind a link that is cut. So each rank first hears of
 * the next one that it has come, and can name it if it has not; what happens
 * later, a thread bounds. The process is at its end already: its data is
 * durable, its exit handlers have run.
 */
#include "boot_mpi_end.h"

#include <mpi.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "log.h"

#define TAG 32767 /* on MPI_COMM_WORLD, which is the program's, too */
#define NAP_NS 200000

static time_t now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec;
}

/* False: it does not. */
static bool next_comes(uint64_t seconds)
{
    const struct timespec nap = {.tv_nsec = NAP_NS};
    const time_t until = now() + (time_t)seconds + 1;
    static char mine, theirs; /* MPI may still write there */
    int rank, ranks, done = 0;
    MPI_Request request[2];
    MPI_Status status[2]; /* MPICH's MPI_STATUSES_IGNORE is a warning */
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    const int next = (rank + 1) % ranks, before = (rank + ranks - 1) % ranks;
    MPI_Irecv(&theirs, 1, MPI_BYTE, next, TAG, MPI_COMM_WORLD, &request[0]);
    MPI_Isend(&mine, 1, MPI_BYTE, before, TAG, MPI_COMM_WORLD, &request[1]);
    while (!done) {
        MPI_Testall(2, request, &done, status);
        if (done)
            break;
        if (now() >= until) {
            mega__log(MEGA__LOG_ERROR,
                      "rank %d does not come to the end of the job: it is "
                      "stopped, or lost. Rank %d leaves without it; the space "
                      "is closed, nothing is lost",
                      next, rank);
            return false;
        }
        nanosleep(&nap, NULL);
    }
    return true;
}

static void *leave_late(void *arg)
{
    sleep((unsigned)*(uint64_t *)arg + 2); /* who can name it is first */
    mega__log(MEGA__LOG_ERROR,
              "MPI_Finalize does not return: a rank is stopped, or lost. This "
              "one leaves without; the space is closed, nothing is lost");
    _exit(EXIT_FAILURE);
}

void mega__boot_mpi_end(uint64_t seconds)
{
    static uint64_t limit;
    pthread_t thread;
    limit = seconds;
    if (seconds > 0 && !next_comes(seconds))
        return;
    if (seconds > 0 && pthread_create(&thread, NULL, leave_late, &limit) == 0)
        pthread_detach(thread);
    MPI_Finalize();
}
