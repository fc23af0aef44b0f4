/* SPDX-License-Identifier: BSD-3-Clause */
/* locks.c - see locks.h. */
#include "locks.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lockfile.h"
#include "log.h"

void locks_path(const struct image *image, char *path, size_t size)
{
    const char *slash = strrchr(image->path, '/');
    int dir = slash ? (int)(slash - image->path) + 1 : 0;
    snprintf(path, size, "%.*shome-%u.lock", dir, image->path,
             image->ident.home);
}

/* Whether a pool before the i-th has the same lock file. The pools of a home
 * need not be neighbours: a damaged one may stand between them. */
static bool seen(const struct space *space, size_t i, const char *path)
{
    char other[4400];
    for (size_t k = 0; k < i; k++) {
        if (!space->images[k].root)
            continue;
        locks_path(&space->images[k], other, sizeof other);
        if (strcmp(path, other) == 0)
            return true;
    }
    return false;
}

bool locks_take(const struct space *space, struct locks *locks)
{
    char path[4400];
    *locks = (struct locks){calloc(space->nimages + 1, sizeof(int)), 0};
    for (size_t i = 0; locks->fds && i < space->nimages; i++) {
        if (!space->images[i].root)
            continue;
        locks_path(&space->images[i], path, sizeof path);
        if (seen(space, i, path))
            continue;
        if (mega__lockfile_exclusive(path, 0, &locks->fds[locks->n])) {
            fprintf(stderr, "megalloc: %s\n", mega__errmsg_buffer());
            locks_give(locks);
            return false;
        }
        locks->n++;
    }
    return locks->fds != NULL;
}

/* Asks only: neither makes the file nor takes the lock. */
static bool is_held(const char *path)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe */
    if (fd < 0)
        return false;
    bool held = fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
    close(fd);
    return held;
}

bool locks_held(const struct space *space, const struct home *home)
{
    char path[4400];
    bool held = false;
    for (size_t i = 0; !held && i < space->nimages; i++)
        if (space->images[i].root && space->images[i].ident.home == home->no) {
            locks_path(&space->images[i], path, sizeof path);
            held = is_held(path);
        }
    return held;
}

bool locks_in_use(const struct space *space)
{
    for (size_t i = 0; i < space->nhomes; i++)
        if (locks_held(space, &space->homes[i]))
            return true;
    return false;
}

bool locks_open(char **args, struct problems *problems, struct space *space,
                struct locks *locks)
{
    struct problems before = {0};
    *locks = (struct locks){0};
    if (!space_open(args, false, &before, space) || !space_once(space) ||
        !locks_take(space, locks))
        return false;
    space_close(space);
    return space_open(args, true, problems, space) && space_once(space);
}

void locks_give(struct locks *locks)
{
    while (locks->n > 0)
        mega__lockfile_release(&locks->fds[--locks->n]);
    free(locks->fds);
    locks->fds = NULL;
}
