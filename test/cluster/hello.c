/* SPDX-License-Identifier: BSD-3-Clause
 * hello - a program of MPI alone: each rank says where it runs, after all have
 * heard of all. */
#include <mpi.h>
#include <stdio.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    int rank, ranks, sum;
    char host[256] = "";

    if (MPI_Init(&argc, &argv) != MPI_SUCCESS)
        return 1;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    MPI_Allreduce(&rank, &sum, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
    if (gethostname(host, sizeof host - 1) != 0 ||
        sum != ranks * (ranks - 1) / 2)
        return 1;
    printf("rank %d of %d on %s\n", rank, ranks, host);
    fflush(stdout);
    MPI_Finalize();
    return 0;
}
