/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pool_flush.c - how stores reach the medium: by flush instructions, which
 * libpmem chooses for this processor, or by msync.
 */
#include "pool.h"

#include <emmintrin.h>
#include <errno.h>
#include <libpmem.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "count.h"
#include "log.h"

/* A sync of this process has failed. The system may count the pages as written
 * from then on, so a second one would succeed and mean nothing. */
static _Atomic bool sync_failed;

void mega__pool_distrust(void)
{
    atomic_store_explicit(&sync_failed, true, memory_order_relaxed);
}

static void write_out(const struct mega__flush_range *r)
{
    if (msync((void *)r->begin, r->end - r->begin, MS_SYNC) == 0)
        return;
    mega__log(MEGA__LOG_ERROR, "msync of %zu bytes: %s",
              (size_t)(r->end - r->begin), strerror(errno));
    mega__pool_distrust();
}

static void note_range(struct mega__flusher *f, uintptr_t begin, uintptr_t end)
{
    for (unsigned i = 0; i < f->nranges; i++) {
        struct mega__flush_range *r = &f->ranges[i];
        if (begin <= r->end && end >= r->begin) {
            r->begin = begin < r->begin ? begin : r->begin;
            r->end = end > r->end ? end : r->end;
            return;
        }
    }
    if (f->nranges == MEGA__FLUSH_RANGES) { /* full: write one out now */
        struct mega__flush_range *r = &f->ranges[0];
        write_out(r);
        *r = f->ranges[--f->nranges];
    }
    f->ranges[f->nranges++] = (struct mega__flush_range){begin, end};
    mega__count(&f->flushes, 1);
}

static void count_lines(struct mega__flusher *f, uintptr_t a, size_t len)
{
    mega__count(&f->flushes,
                (a + len + MEGA__LINE - 1) / MEGA__LINE - a / MEGA__LINE);
}

void mega__pool_flush(struct mega__flusher *f, enum mega__how how,
                      const void *addr, size_t len)
{
    uintptr_t a = (uintptr_t)addr;
    if (how == MEGA__HOW_FLUSH) {
        count_lines(f, a, len);
        f->unfenced = true;
        pmem_flush(addr, len);
    } else if (how == MEGA__HOW_MSYNC && len > 0) {
        uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
        note_range(f, a & ~(page - 1), (a + len + page - 1) & ~(page - 1));
    }
}

void mega__pool_write(struct mega__flusher *f, enum mega__how how, void *to,
                      const void *from, size_t len)
{
    if (how != MEGA__HOW_FLUSH) {
        memcpy(to, from, len);
        mega__pool_flush(f, how, to, len);
        return;
    }
    uintptr_t a = (uintptr_t)to;
    count_lines(f, a, len);
    f->unfenced = true;
    long long *word = to;
    for (size_t i = 0; i < len / 8; i++)
        _mm_stream_si64(&word[i], ((const long long *)from)[i]);
}

mega_status_t mega__pool_drain(struct mega__flusher *f)
{
    const bool failed = f->failed;
    f->failed = false;
    if (f->unfenced) {
        _mm_sfence(); /* not pmem_drain: it may leave out streamed stores */
        f->unfenced = false;
        mega__count(&f->fences, 1);
    }
    for (unsigned i = 0; i < f->nranges; i++)
        write_out(&f->ranges[i]);
    mega__count(&f->fences, f->nranges > 0);
    f->nranges = 0;
    if (__builtin_expect(!failed && !atomic_load_explicit(&sync_failed,
                                                          memory_order_relaxed),
                         1))
        return MEGA_OK;
    return mega__fail(MEGA_ERR_IO,
                      "what was to be made durable may not be: a sync has "
                      "failed, or a message was lost; end the job, look after "
                      "the medium, and start it again");
}
