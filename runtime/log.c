/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * log.c - messages to stderr, and the error sentence of the thread.
 * A message is one write, so lines of several ranks do not mix.
 */
#include "log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static _Atomic int threshold = MEGA__LOG_WARN;
static _Thread_local char sentence[MEGA__ERRMSG_MAX];

static const char *const level_names[] = {"error", "warning", "info", "debug"};

void mega__log_level(enum mega__level level)
{
    atomic_store_explicit(&threshold, (int)level, memory_order_relaxed);
}

__attribute__((format(printf, 2, 0))) static void
emit(enum mega__level level, const char *format, va_list args)
{
    char line[MEGA__ERRMSG_MAX + 64];
    int n = snprintf(line, sizeof line, "megalloc: %s: ", level_names[level]);
    size_t used = (size_t)n;
    n = vsnprintf(line + used, sizeof line - used - 1, format, args);
    if (n < 0)
        return;
    used +=
        (size_t)n < sizeof line - used - 1 ? (size_t)n : sizeof line - used - 2;
    line[used++] = '\n';
    ssize_t written = write(STDERR_FILENO, line, used);
    (void)written; /* nothing is left to tell anyone */
}

void mega__log(enum mega__level level, const char *format, ...)
{
    if ((int)level > atomic_load_explicit(&threshold, memory_order_relaxed))
        return;
    va_list args;
    va_start(args, format);
    emit(level, format, args);
    va_end(args);
}

mega_status_t mega__fail(mega_status_t status, const char *format, ...)
{
    char text[MEGA__ERRMSG_MAX]; /* the arguments may point into sentence */
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    memcpy(sentence, text, sizeof sentence);
    mega__log(MEGA__LOG_DEBUG, "%s", sentence);
    return status;
}

char *mega__errmsg_buffer(void)
{
    return sentence;
}
