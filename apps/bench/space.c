/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * space.c - how much of a medium is payload: a home that may not grow is
 * filled with chunks of one size; bytes asked for over bytes of its file.
 * libpmemobj the same, with 64 bytes.
 */
#include "bench.h"
#include "pmem_pool.h"

#include <sys/stat.h>

#define PEER_POOL ((size_t)128 << 20)

static double file_bytes(const char *path)
{
    struct stat st;
    bench_check(stat(path, &st) == 0, path);
    return (double)st.st_size;
}

/** Opens a space of its own in dir.SIZE, fills home 0, ends it. */
static double filled(const char *dir, size_t size)
{
    char path[512];
    mega_gptr_t p;
    mega_status_t status;
    mega_home_stat_t stat_of;
    uint64_t count = 0;
    snprintf(path, sizeof(path), "%s.%zu", dir, size);
    bench_check(mkdir(path, 0700) == 0, path);
    setenv("MEGALLOC_DIR", path, 1);
    BENCH_MUST(mega_init());
    while ((status = mega_alloc(MEGA_DEFAULT, 0, size, &p)) == MEGA_OK) {
        count++;
    }
    bench_check(status == MEGA_ERR_HOME_FULL, "the expected end by HOME_FULL");
    BENCH_MUST(mega_home_stat(0, &stat_of));
    double ratio = (double)(count * size) / file_bytes(stat_of.path);
    bench_check(stat_of.live_chunks == count, "the count of live chunks");
    BENCH_MUST(mega_finalize());
    snprintf(path, sizeof(path), "rm -rf '%s.%zu'", dir, size);
    bench_check(system(path) == 0, path);
    return ratio;
}

static double pmemobj_filled(size_t size)
{
    PMEMobjpool *pool = bench_pool_open(PEER_POOL);
    PMEMoid oid;
    uint64_t count = 0;
    while (pmemobj_alloc(pool, &oid, size, 0, NULL, NULL) == 0) {
        count++;
    }
    bench_pool_close(pool);
    return (double)(count * size) / (double)PEER_POOL;
}

int main(void)
{
    static const size_t sizes[] = {64, 16, 100, 1000, 4096};
    const char *dir = getenv("MEGALLOC_DIR");
    char own[400], name[64];
    bench_check(dir != NULL, "the search for MEGALLOC_DIR");
    snprintf(own, sizeof(own), "%s", dir); /* setenv changes the other */
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        snprintf(name, sizeof(name), "space.%zuB", sizes[i]);
        bench_row(name, filled(own, sizes[i]), "payload/file");
    }
    setenv("MEGALLOC_DIR", own, 1);
    bench_row("space.64B.pmemobj", pmemobj_filled(64), "payload/file");
    return 0;
}
