/* SPDX-License-Identifier: BSD-3-Clause */
/* locks.h - keeping jobs out of homes while they are changed. */
#ifndef TOOL_LOCKS_H
#define TOOL_LOCKS_H

#include "homes.h"

struct locks {
    int *fds;
    size_t n;
};

/* Takes the lock files of all homes given, exclusively. False: a job maps
 * one of them, or no access; said on stderr, and none is held. */
bool locks_take(const struct space *space, struct locks *locks);
/* Opens the space for writing, with all its homes locked from before it is
 * read. The space is to be closed and the locks to be given in any case. */
bool locks_open(char **args, struct problems *problems, struct space *space,
                struct locks *locks);
void locks_give(struct locks *locks);

/* Whether a job has the home open now. */
bool locks_held(const struct space *space, const struct home *home);
/* Or any home of the space. */
bool locks_in_use(const struct space *space);

/* The lock file beside a pool file. */
void locks_path(const struct image *image, char *path, size_t size);

#endif
