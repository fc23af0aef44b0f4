/* SPDX-License-Identifier: BSD-3-Clause */
/* locks.c - see locks.h. */
#include "locks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lockfile.h"
#include "log.h"

void locks_path(const struct image *image, char *path, size_t size)
{
    const char *slash = strrchr(image->path, '/');
    int dir = slash ? (int)(slash - image->path) + 1 : 0;
    snprintf(path, size, "%.*shome-%u.lock", dir, image->path,
             image->ident.home);
}

bool locks_take(const struct space *space, struct locks *locks)
{
    char path[4400], last[4400] = "";
    *locks = (struct locks){calloc(space->nimages + 1, sizeof(int)), 0};
    for (size_t i = 0; locks->fds && i < space->nimages; i++) {
        if (!space->images[i].root)
            continue;
        locks_path(&space->images[i], path, sizeof path);
        if (strcmp(path, last) == 0) /* another pool of that home */
            continue;
        strcpy(last, path);
        if (mega__lockfile_exclusive(path, 0, &locks->fds[locks->n])) {
            fprintf(stderr, "megalloc: %s\n", mega__errmsg_buffer());
            locks_give(locks);
            return false;
        }
        locks->n++;
    }
    return locks->fds != NULL;
}

bool locks_open(char **args, struct problems *problems, struct space *space,
                struct locks *locks)
{
    struct problems before = {0};
    *locks = (struct locks){0};
    if (!space_open(args, false, &before, space) || !locks_take(space, locks))
        return false;
    space_close(space);
    return space_open(args, true, problems, space);
}

void locks_give(struct locks *locks)
{
    while (locks->n > 0)
        mega__lockfile_release(&locks->fds[--locks->n]);
    free(locks->fds);
    locks->fds = NULL;
}
