/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * shim.h - the allocators under test behind one face, chosen when a file is
 * compiled by BENCH_SHIM. All of it is inline, so no allocator pays for the
 * face. Several may be linked into one program: malloc is jemalloc's there
 * (linked first), mimalloc and glibc have names of their own.
 *
 *   shim_open, shim_close   once per process
 *   shim_slots              room for n references, where a careful program
 *                           of that allocator keeps them; never given back
 *   shim_alloc, shim_free   a reference in a slot is made, is ended
 *   shim_ptr                its address
 *   shim_hand_over          before another thread may use what is in slots
 */
#ifndef SHIM_H
#define SHIM_H

#include "bench.h"

#define BENCH_MEGA 1
#define BENCH_PMEMOBJ 2
#define BENCH_JEMALLOC 3
#define BENCH_MIMALLOC 4
#define BENCH_GLIBC 5

#if BENCH_SHIM == BENCH_MEGA

#define SHIM_PEER bench_peer_mega
#define SHIM_NAME "mega"
#define SHIM_SCALE 20
typedef mega_gptr_t shim_ref;

static int shim_home;

static inline void shim_open(void)
{
    BENCH_MUST(mega_init());
    shim_home = mega_my_home();
}

static inline void shim_close(void)
{
    BENCH_MUST(mega_finalize());
}

static inline shim_ref *shim_slots(size_t n)
{
    return calloc(n, sizeof(shim_ref));
}

static inline int shim_alloc(shim_ref *slot, size_t size)
{
    return mega_alloc(MEGA_DEFAULT, shim_home, size, slot) == MEGA_OK;
}

static inline void shim_free(shim_ref *slot)
{
    mega_free(*slot);
}

static inline void *shim_ptr(shim_ref ref)
{
    return mega_ptr(ref);
}

static inline void shim_hand_over(void)
{
    mega_quiet();
}

#elif BENCH_SHIM == BENCH_PMEMOBJ

#include "pmem_pool.h"

#define SHIM_PEER bench_peer_pmemobj
#define SHIM_NAME "pmemobj"
#define SHIM_SCALE 1
typedef PMEMoid shim_ref;

static PMEMobjpool *shim_pool;

static inline void shim_open(void)
{
    shim_pool = bench_pool_open((size_t)256 << 20);
}

static inline void shim_close(void)
{
    bench_pool_close(shim_pool);
}

static inline shim_ref *shim_slots(size_t n)
{
    PMEMoid slots;
    bench_check(pmemobj_zalloc(shim_pool, &slots, n * sizeof(PMEMoid), 0) == 0,
                "pmemobj_zalloc");
    return pmemobj_direct(slots);
}

static inline int shim_alloc(shim_ref *slot, size_t size)
{
    return pmemobj_alloc(shim_pool, slot, size, 0, NULL, NULL) == 0;
}

static inline void shim_free(shim_ref *slot)
{
    pmemobj_free(slot);
}

static inline void *shim_ptr(shim_ref ref)
{
    return pmemobj_direct(ref);
}

static inline void shim_hand_over(void)
{
}

#else /* the volatile ones */

#if BENCH_SHIM == BENCH_JEMALLOC
#define SHIM_PEER bench_peer_jemalloc
#define SHIM_NAME "jemalloc"
#define SHIM_MALLOC malloc
#define SHIM_FREE free
#elif BENCH_SHIM == BENCH_MIMALLOC
#include <mimalloc.h>
#define SHIM_PEER bench_peer_mimalloc
#define SHIM_NAME "mimalloc"
#define SHIM_MALLOC mi_malloc
#define SHIM_FREE mi_free
#else
void *__libc_malloc(size_t size);
void __libc_free(void *p);
#define SHIM_PEER bench_peer_glibc
#define SHIM_NAME "glibc"
#define SHIM_MALLOC __libc_malloc
#define SHIM_FREE __libc_free
#endif

#define SHIM_SCALE 20
typedef void *shim_ref;

static inline void shim_open(void)
{
}

static inline void shim_close(void)
{
}

static inline shim_ref *shim_slots(size_t n)
{
    return calloc(n, sizeof(shim_ref));
}

static inline int shim_alloc(shim_ref *slot, size_t size)
{
    return (*slot = SHIM_MALLOC(size)) != NULL;
}

static inline void shim_free(shim_ref *slot)
{
    SHIM_FREE(*slot);
}

static inline void *shim_ptr(shim_ref ref)
{
    return ref;
}

static inline void shim_hand_over(void)
{
}

#endif

#endif
