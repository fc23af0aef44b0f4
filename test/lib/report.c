/* SPDX-License-Identifier: BSD-3-Clause */
/* report.c - see report.h. One lock for all; after many failures, silence. */
#include "report.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PRINTED_MAX 40

static struct {
    pthread_mutex_t mutex;
    uint64_t failures;
    int quiet;
    char first[1024];
} state = {.mutex = PTHREAD_MUTEX_INITIALIZER};

void report_fail(const char *file, int line, const char *format, ...)
{
    char text[900];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    pthread_mutex_lock(&state.mutex);
    if (state.failures++ == 0)
        snprintf(state.first, sizeof state.first, "%s:%d: %s", file, line,
                 text);
    if (!state.quiet && state.failures <= PRINTED_MAX)
        fprintf(stderr, "%s:%d: %s\n", file, line, text);
    pthread_mutex_unlock(&state.mutex);
}

uint64_t report_failures(void)
{
    pthread_mutex_lock(&state.mutex);
    uint64_t n = state.failures;
    pthread_mutex_unlock(&state.mutex);
    return n;
}

void report_reset(void)
{
    pthread_mutex_lock(&state.mutex);
    state.failures = 0;
    state.first[0] = '\0';
    pthread_mutex_unlock(&state.mutex);
}

const char *report_first(void)
{
    return state.first;
}

void report_settle(void)
{
    if (report_failures() == 0)
        return;
    const char *path = getenv("MEGA_FAILED");
    FILE *file = path ? fopen(path, "a") : NULL;
    if (file) {
        fprintf(file, "# %llu failures, the first: %s\n",
                (unsigned long long)report_failures(), report_first());
        fclose(file);
    }
    abort(); /* without the file: plain_main.c counts this */
}

void report_quiet(int quiet)
{
    pthread_mutex_lock(&state.mutex);
    state.quiet = quiet;
    pthread_mutex_unlock(&state.mutex);
}

void report_note(const char *format, ...)
{
    char text[1024];
    const char *path = getenv("MEGA_NOTES");
    FILE *file = path ? fopen(path, "a") : NULL;
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    fprintf(stderr, "# %s\n", text);
    if (file) {
        fprintf(file, "# %s\n", text);
        fclose(file);
    }
}
