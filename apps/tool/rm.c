/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * rm.c - megalloc rm: removes the files of a space, and nothing else: files
 * whose root is found and names the space, what growth has left half made
 * beside them, and their lock files. All homes are locked meanwhile.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "locks.h"
#include "names.h"
#include "pool_name.h"

static bool is_ours(const struct space *space, const struct image *image)
{
    return image->root && memcmp(image->ident.uuid, space->uuid, 16) == 0;
}

static bool all_ours(const struct space *space)
{
    bool ok = space->nhomes > 0;
    for (size_t i = 0; i < space->nimages; i++)
        if (!is_ours(space, &space->images[i])) {
            fprintf(stderr,
                    "megalloc: %s is not, or not recognisably, of that space: "
                    "nothing is removed\n",
                    space->images[i].path);
            ok = false;
        }
    return ok;
}

static bool agreed(const struct space *space, const struct options *o)
{
    char uuid[37];
    if (o->yes)
        return true;
    if (!isatty(STDIN_FILENO)) {
        fprintf(stderr, "megalloc: rm asks, and nobody is there to answer: "
                        "say --yes\n");
        return false;
    }
    fprintf(stderr,
            "Remove %zu of %u homes of space %s, %zu files, for ever? [y/N] ",
            space->nhomes, space->of, name_uuid(space->uuid, uuid),
            space->nimages);
    int answer = getchar();
    return answer == 'y' || answer == 'Y';
}

/* Now that all are locked: a job may have had a home grow while we asked. */
static bool list_again(char **args, const struct space *asked,
                       struct space *space)
{
    struct problems ignored = {0};
    if (!space_open(args, false, &ignored, space) || !all_ours(space) ||
        !space_once(space))
        return false;
    if (memcmp(space->uuid, asked->uuid, 16) == 0 &&
        space->nhomes == asked->nhomes)
        return true;
    fprintf(stderr, "megalloc: other homes lie there than when it asked: "
                    "nothing is removed\n");
    return false;
}

static bool remove_file(const char *path)
{
    if (unlink(path) == 0 || errno == ENOENT)
        return true;
    fprintf(stderr, "megalloc: remove %s: %s\n", path, strerror(errno));
    return false;
}

/* home-N.K.pool.new beside the image, of its home. */
static bool remove_unfinished(const struct image *image)
{
    char path[4400];
    const char *slash = strrchr(image->path, '/'), *rest;
    int dir = slash ? (int)(slash - image->path) : 1;
    uint32_t home, pool;
    bool ok = true;
    snprintf(path, sizeof path, "%.*s", dir, slash ? image->path : ".");
    DIR *d = opendir(dir ? path : "/");
    for (struct dirent *e; d && (e = readdir(d)) != NULL;) {
        if (!mega__pool_name(e->d_name, &home, &pool, &rest) ||
            home != image->ident.home || strcmp(rest, ".new") != 0)
            continue;
        snprintf(path, sizeof path, "%.*s/%s", dir, slash ? image->path : ".",
                 e->d_name);
        ok = remove_file(path) && ok;
    }
    if (d)
        closedir(d);
    return ok;
}

/* Home 0 last: while its pool exists, the space is known. */
static bool remove_all(const struct space *space)
{
    char path[4400];
    bool ok = true;
    for (size_t i = space->nimages; ok && i-- > 0;) {
        const struct image *image = &space->images[i];
        ok = remove_unfinished(image) && remove_file(image->path);
        if (ok && image->ident.pool == 0) {
            locks_path(image, path, sizeof path);
            ok = remove_file(path);
        }
    }
    return ok;
}

int command_rm(char **args, const struct options *o)
{
    struct problems ignored = {0};
    struct space asked, space = {0};
    struct locks locks = {0};
    int status = EXIT_REFUSED;
    if (space_open(args, false, &ignored, &asked) && all_ours(&asked) &&
        space_once(&asked) && agreed(&asked, o) && locks_take(&asked, &locks) &&
        list_again(args, &asked, &space) && remove_all(&space)) {
        status = EXIT_SOUND;
        if (o->json)
            print_json(
                json_pack("{s:I}", "removed", (json_int_t)space.nimages));
        else
            printf("removed %zu files\n", space.nimages);
    }
    locks_give(&locks);
    space_close(&space);
    space_close(&asked);
    return status;
}
