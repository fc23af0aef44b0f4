/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pmem_pool.h - a libpmemobj pool beside the space, on the same medium. The
 * programs are started with PMEM_IS_PMEM_FORCE=1: libpmemobj then flushes by
 * instructions, as it would on persistent memory, and not by msync.
 */
#ifndef PMEM_POOL_H
#define PMEM_POOL_H

#include <libpmemobj.h>
#include <unistd.h>

#include "bench.h"

/** A new pool of so many bytes; its file has no name once it is open. */
static inline PMEMobjpool *bench_pool_open(size_t size)
{
    char path[512];
    const char *dir = getenv("MEGALLOC_DIR");
    snprintf(path, sizeof(path), "%s.peer.%ld", dir ? dir : "/dev/shm/bench",
             (long)getpid());
    PMEMobjpool *pool = pmemobj_create(path, "bench", size, 0600);
    if (pool == NULL) {
        fprintf(stderr, "bench: %s: %s\n", path, pmemobj_errormsg());
        exit(1);
    }
    unlink(path);
    return pool;
}

static inline void bench_pool_close(PMEMobjpool *pool)
{
    pmemobj_close(pool);
}

#endif
