/* SPDX-License-Identifier: BSD-3-Clause */
/* log.h - messages to stderr, and the error sentence of the thread. */
#ifndef MEGA__LOG_H
#define MEGA__LOG_H

#include "megalloc.h"

enum mega__level {
    MEGA__LOG_ERROR,
    MEGA__LOG_WARN,
    MEGA__LOG_INFO,
    MEGA__LOG_DEBUG
};

/* Set once by mega_init; before, warnings are printed. */
void mega__log_level(enum mega__level level);

void mega__log(enum mega__level level, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Makes the sentence that mega_errmsg returns, and returns status, so that
 * the function which first learns of a failure writes
 *     return mega__fail(MEGA_ERR_IO, "open %s: %s", path, strerror(errno)); */
mega_status_t mega__fail(mega_status_t status, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#define MEGA__ERRMSG_MAX 512

/* The sentence itself, for passing it to other ranks. */
char *mega__errmsg_buffer(void);

#endif
