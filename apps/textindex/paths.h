/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * paths.h - the regular files under the PATHs of the command line.
 *
 * Directories are entered; symbolic links are followed only when they are
 * PATHs themselves. Every path is listed once, in byte order.
 */
#ifndef TEXTINDEX_PATHS_H
#define TEXTINDEX_PATHS_H

#include <stddef.h>
#include <stdint.h>

struct ti_paths {
    char **v;
    size_t count, cap;
    uint64_t bytes;      /* sum of the sizes */
    uint64_t unreadable; /* PATHs and directories that could not be looked at;
                            each has been named */
};

/* A copy of a PATH without slashes at its end, so that /a and /a/ agree. */
char *ti_path_trimmed(const char *path);

void ti_paths_find(struct ti_paths *list, char **arg, size_t nargs);
void ti_paths_free(struct ti_paths *list);

#endif
