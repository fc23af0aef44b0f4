/* SPDX-License-Identifier: BSD-3-Clause */
/* shake.c - see shake.h. The unlock of the program comes before the C
 * library's, for all. */
#include "shake.h"

#include <stdatomic.h>

static _Atomic unsigned awhile;

void shake(unsigned ms)
{
    atomic_store(&awhile, ms);
}

#if !defined(__SANITIZE_THREAD__)
#include <dlfcn.h>
#include <pthread.h>
#include <time.h>

#define SELDOM 4

int pthread_mutex_unlock(pthread_mutex_t *lock)
{
    typedef int unlock_fn(pthread_mutex_t *);
    static _Atomic(unlock_fn *) real;
    static _Atomic unsigned times;
    unlock_fn *unlock = atomic_load(&real);
    if (!unlock) {
        /* the way round a cast that ISO C does not have */
        union {
            void *object;
            unlock_fn *fn;
        } found = {.object = dlsym(RTLD_NEXT, "pthread_mutex_unlock")};
        unlock = found.fn;
        atomic_store(&real, unlock);
    }
    int rc = unlock(lock);
    unsigned ms = atomic_load(&awhile);
    if (ms && atomic_fetch_add(&times, 1) % SELDOM == 0) {
        struct timespec t = {.tv_nsec = (long)ms * 1000000};
        nanosleep(&t, NULL);
    }
    return rc;
}
#endif
