/* SPDX-License-Identifier: BSD-3-Clause */
/* thread.h - threads of our own, on which no handler of the program runs. */
#ifndef MEGA__THREAD_H
#define MEGA__THREAD_H

#include <pthread.h>
#include <signal.h>

/* As pthread_create. Signals that an instruction raises are left: who handles
 * them wants to hear of ours, too. A thread that it starts inherits this. */
static inline int mega__thread_start(pthread_t *thread, void *(*fn)(void *),
                                     void *arg)
{
    sigset_t none, before;
    sigfillset(&none);
    sigdelset(&none, SIGSEGV);
    sigdelset(&none, SIGBUS);
    sigdelset(&none, SIGILL);
    sigdelset(&none, SIGFPE);
    sigdelset(&none, SIGTRAP);
    pthread_sigmask(SIG_SETMASK, &none, &before);
    int rc = pthread_create(thread, NULL, fn, arg);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rc;
}

#endif
