/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * claims.c - all ranks claim extents of home 0 at once: how many
 * compare-and-swaps a claim takes. Chunks of half an extent, so that every
 * second one is a claim.
 */
#include "bench.h"

#include <mpi.h>

#define CHUNKS 400
#define BYTES ((size_t)32 << 10)

static mega_gptr_t chunk[CHUNKS];

int main(void)
{
    mega_counters_t c;
    MPI_Init(NULL, NULL);
    BENCH_MUST(mega_init());
    BENCH_MUST(mega_barrier());
    for (int i = 0; i < CHUNKS; i++) {
        BENCH_MUST(mega_alloc(MEGA_DEFAULT, 0, BYTES, &chunk[i]));
    }
    BENCH_MUST(mega_counters(&c));
    uint64_t mine[2] = {c.claims, c.claim_cas}, all[2], most;
    MPI_Reduce(mine, all, 2, MPI_UINT64_T, MPI_SUM, 0, MPI_COMM_WORLD);
    MPI_Reduce(&c.claim_cas_max, &most, 1, MPI_UINT64_T, MPI_MAX, 0,
               MPI_COMM_WORLD);
    if (mega_rank() == 0) {
        bench_row("claims.ranks", mega_nranks(), "ranks");
        bench_row("claims.extents", (double)all[0], "extents");
        bench_row("claims.cas_mean", (double)all[1] / (double)all[0], "CAS");
        bench_row("claims.cas_max", (double)most, "CAS");
    }
    for (int i = 0; i < CHUNKS; i++) {
        BENCH_MUST(mega_free(chunk[i]));
    }
    BENCH_MUST(mega_finalize());
    MPI_Finalize();
    return 0;
}
