/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * boot_mpi_end.c - see boot_mpi_end.h. A rank may have much to do between
 * mega_finalize and its exit, so the others wait for it, and name it if it is
 * long. When all have come nobody has anything to do but to leave: a rank that
 * is stopped then would keep the others in MPI_Finalize for ever, so a thread
 * bounds that. The process is at its end already: its data is durable, its
 * exit handlers have run.
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

/* All ranks have come. */
static void meet(uint64_t seconds)
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
        if (!came && !told && now() >= late) {
            mega__log(MEGA__LOG_WARN,
                      "rank %d has not come to the end of the job: it is "
                      "waited for. The space is closed, nothing is lost",
                      next);
            told = true;
        }
        if (!all || !came)
            nanosleep(&nap, NULL);
    }
    MPI_Wait(&request[1], MPI_STATUS_IGNORE);
}

static void *leave_late(void *arg)
{
    sleep((unsigned)*(uint64_t *)arg);
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
    if (seconds > 0)
        meet(seconds);
    if (seconds > 0 && pthread_create(&thread, NULL, leave_late, &limit) == 0)
        pthread_detach(thread);
    MPI_Finalize();
}
