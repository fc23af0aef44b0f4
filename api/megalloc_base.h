/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * megalloc_base.h - what every call of megalloc.h gives and takes: statuses and
 * global pointers. Include megalloc.h.
 */
#ifndef MEGALLOC_BASE_H
#define MEGALLOC_BASE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define MEGA_MUST_CHECK __attribute__((warn_unused_result))
#else
#define MEGA_MUST_CHECK
#endif

/* ---- Status ----------------------------------------------------------- */

typedef int mega_status_t; /* MEGA_OK or one of MEGA_ERR_* */

#define MEGA_STATUS_LIST(X)                                                    \
    X(MEGA_OK, 0, "success")                                                   \
    X(MEGA_ERR_ARG, -1, "bad argument")                                        \
    X(MEGA_ERR_STATE, -2, "not open, or not in the state for this call")       \
    X(MEGA_ERR_NOMEM, -3, "no volatile memory left in this process")           \
    X(MEGA_ERR_HOME_FULL, -4, "no space left on the home")                     \
    X(MEGA_ERR_MEDIUM_FULL, -5, "no space left on the medium")                 \
    X(MEGA_ERR_TABLE_FULL, -6, "a fixed table of the format is full")          \
    X(MEGA_ERR_TOO_BIG, -7, "larger than the format can hold")                 \
    X(MEGA_ERR_ABSENT, -8, "home missing or out of reach")                     \
    X(MEGA_ERR_BUSY, -9, "in use by others")                                   \
    X(MEGA_ERR_DAMAGED, -10, "damaged data on the medium")                     \
    X(MEGA_ERR_MISMATCH, -11, "file of another space, home or version")        \
    X(MEGA_ERR_EXISTS, -12, "exists already")                                  \
    X(MEGA_ERR_NOT_FOUND, -13, "not found")                                    \
    X(MEGA_ERR_NOT_LIVE, -14, "not a live chunk")                              \
    X(MEGA_ERR_CONF, -15, "unreadable MEGALLOC_* setting")                     \
    X(MEGA_ERR_IO, -16, "the system refused an operation")                     \
    X(MEGA_ERR_THREAD, -17, "MPI was started without the needed threads")      \
    X(MEGA_ERR_TIMEOUT, -18, "no answer in time")                              \
    X(MEGA_ERR_UNSUPPORTED, -19, "not possible in this build or job")          \
    X(MEGA_ERR_DIFFERS, -20, "ranks gave different arguments")                 \
    X(MEGA_ERR_PEER, -21, "another rank failed or is gone")

enum {
#define MEGA_X(name, value, text) name = value,
    MEGA_STATUS_LIST(MEGA_X)
#undef MEGA_X
};

/** The fixed text of a status, never NULL. */
const char *mega_strerror(mega_status_t status);

/** What the last failed call of this thread was asked, met and needs: one
 *  sentence, "" if none failed. Valid until this thread's next call. */
const char *mega_errmsg(void);

/** "major.minor.patch" of the library in use. */
const char *mega_version(void);

/* ---- Global pointers --------------------------------------------------- */

/** [home:20][span:10][offset:34]; null is 0. The same bits in every job that
 *  opens the space. Fits in an 8-byte compare-and-swap. */
typedef struct mega_gptr {
    uint64_t v;
} mega_gptr_t;

#define MEGA_OFFSET_BITS 34
#define MEGA_SPAN_BITS 10

static inline mega_gptr_t mega_from_bits(uint64_t bits)
{
    mega_gptr_t p;
    p.v = bits;
    return p;
}

static inline mega_gptr_t mega_null(void)
{
    return mega_from_bits(0);
}

static inline int mega_is_null(mega_gptr_t p)
{
    return p.v == 0;
}

/** The home that a pointer names. */
static inline int mega_home(mega_gptr_t p)
{
    return (int)(p.v >> (MEGA_OFFSET_BITS + MEGA_SPAN_BITS));
}

/** The offset within its span. */
static inline uint64_t mega_offset(mega_gptr_t p)
{
    return p.v & ((UINT64_C(1) << MEGA_OFFSET_BITS) - 1);
}

/** p plus n bytes. Undefined beyond the chunk or raw run. */
static inline mega_gptr_t mega_add(mega_gptr_t p, int64_t n)
{
    return mega_from_bits(p.v + (uint64_t)n);
}

/** The address of p in this process, or NULL: null pointer, not in the space,
 *  or on a home that this host does not map. Valid until mega_finalize. Plain
 *  stores through it are visible and become durable like a put. */
void *mega_ptr(mega_gptr_t p);

/** The global pointer of an address inside a mapped home, else null. */
mega_gptr_t mega_gptr_of(const void *addr);

#ifdef __cplusplus
}
#endif
#endif
