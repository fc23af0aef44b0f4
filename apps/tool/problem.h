/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * problem.h - what is wrong, where: file, byte, sentence. FAULT: an invariant
 * of the format is broken. PENDING: a crash left work half done, which the
 * next open completes or takes back. REPAIRED: what has been mended. NOTE: what
 * was left out.
 */
#ifndef TOOL_PROBLEM_H
#define TOOL_PROBLEM_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

enum grade { FAULT, PENDING, REPAIRED, NOTE, GRADES };

struct problems {
    json_t *list; /* NULL: only counted */
    bool print;   /* each at once on stdout */
    uint64_t count[GRADES];
    uint64_t most; /* listed or printed of each grade; 0: all */
};

/* path NULL: of no file in particular. */
__attribute__((format(printf, 5, 6))) void
problem(struct problems *p, enum grade grade, const char *path, uint64_t off,
        const char *format, ...);

#endif
