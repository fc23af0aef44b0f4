/* SPDX-License-Identifier: BSD-3-Clause */
/* collect.c - see collect.h. */
#include "collect.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "pool_name.h"

static const char *name_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* By its directory and by itself, say. Another name is another claim. */
static bool have_already(const struct space *space, const char *path)
{
    struct stat sb, other;
    if (stat(path, &sb) != 0)
        return false;
    for (size_t i = 0; i < space->nimages; i++)
        if (strcmp(name_of(space->images[i].path), name_of(path)) == 0 &&
            fstat(space->images[i].fd, &other) == 0 &&
            other.st_ino == sb.st_ino && other.st_dev == sb.st_dev)
            return true;
    return false;
}

static bool add(struct space *space, const char *path, bool writable,
                struct problems *problems)
{
    if (have_already(space, path))
        return true;
    if ((space->nimages & (space->nimages - 1)) == 0) { /* full: double it */
        size_t room = space->nimages ? 2 * space->nimages : 1;
        struct image *more =
            realloc(space->images, room * sizeof *space->images);
        if (!more) {
            fprintf(stderr, "megalloc: no memory for %zu files\n", room);
            return false;
        }
        space->images = more;
    }
    if (!image_open(path, writable, problems, &space->images[space->nimages]))
        return false;
    space->nimages++;
    return true;
}

static int is_pool(const struct dirent *e)
{
    uint32_t home, pool;
    const char *rest;
    return mega__pool_name(e->d_name, &home, &pool, &rest) &&
           (*rest == '\0' || strcmp(rest, ".new") == 0);
}

static bool add_dir(struct space *space, const char *dir, bool writable,
                    struct problems *problems)
{
    struct dirent **found = NULL;
    char path[4300];
    bool ok = true, some = false;
    int n = scandir(dir, &found, is_pool, versionsort);
    if (n < 0)
        fprintf(stderr, "megalloc: read %s: %s\n", dir, strerror(errno));
    for (int i = 0; i < n; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, found[i]->d_name);
        if (strcmp(strrchr(path, '.'), ".new") == 0)
            problem(problems, PENDING, path, 0,
                    "half-made; the next open removes it");
        else
            some = ok = ok && add(space, path, writable, problems);
        free(found[i]);
    }
    free(found);
    if (n >= 0 && ok && !some) {
        fprintf(stderr, "megalloc: there is no home-*.pool in %s\n", dir);
        return false;
    }
    space->whole = true;
    return n >= 0 && ok;
}

bool collect(char **args, bool writable, struct problems *problems,
             struct space *space)
{
    for (; *args; args++) {
        struct stat sb;
        if (stat(*args, &sb) != 0) {
            fprintf(stderr, "megalloc: %s: %s\n", *args, strerror(errno));
            return false;
        }
        if (S_ISDIR(sb.st_mode) ? !add_dir(space, *args, writable, problems)
                                : !add(space, *args, writable, problems))
            return false;
    }
    return true;
}
