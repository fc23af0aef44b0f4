/* SPDX-License-Identifier: BSD-3-Clause */
/* info.c - megalloc info. */
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "commands.h"
#include "locks.h"
#include "names.h"

#ifndef MAP_SHARED_VALIDATE
#define MAP_SHARED_VALIDATE 0x03
#endif
#ifndef MAP_SYNC
#define MAP_SYNC 0x80000
#endif

/* What the file's content would survive, unless MEGALLOC_DURABILITY says
 * otherwise: a guess by the kind of its file system. */
static const char *guess_domain(const struct image *image)
{
    struct statfs fs;
    if (fstatfs(image->fd, &fs) == 0 && fs.f_type == TMPFS_MAGIC)
        return "process";
    void *base = mmap(NULL, 4096, PROT_READ, MAP_SHARED_VALIDATE | MAP_SYNC,
                      image->fd, 0);
    if (base == MAP_FAILED)
        return "power-msync";
    munmap(base, 4096);
    return "power";
}

static bool is_clean(const struct home *home)
{
    return home->clean && home->clean == home->epoch;
}

static json_t *json_file(const struct image *image)
{
    json_t *one = json_object();
    json_object_set_new(one, "path",
                        name_json(image->path, strlen(image->path)));
    json_object_set_new(one, "bytes", json_u64(image->size));
    json_object_set_new(one, "pool", json_u64(image->ident.pool));
    json_object_set_new(one, "root_offset", json_u64(image->root_off));
    json_object_set_new(one, "domain", json_string(guess_domain(image)));
    return one;
}

static bool is_of(const struct image *image, const struct space *space,
                  const struct home *home)
{
    return image->root && image->ident.home == home->no &&
           memcmp(image->ident.uuid, space->uuid, 16) == 0;
}

static json_t *json_home(const struct space *space, const struct home *home)
{
    json_t *one = json_object(), *files = json_array();
    for (size_t i = 0; i < space->nimages; i++)
        if (is_of(&space->images[i], space, home))
            json_array_append_new(files, json_file(&space->images[i]));
    json_object_set_new(one, "home", json_u64(home->no));
    json_object_set_new(one, "epoch",
                        home->block ? json_u64(home->epoch) : json_null());
    json_object_set_new(one, "clean", json_boolean(is_clean(home)));
    json_object_set_new(one, "in_use", json_boolean(locks_held(space, home)));
    json_object_set_new(one, "spans", json_u64(home->nspans));
    json_object_set_new(one, "files", files);
    return one;
}

static void print_json_info(const struct space *space)
{
    char uuid[37];
    json_t *all = json_object(), *homes = json_array();
    for (size_t i = 0; i < space->nhomes; i++)
        json_array_append_new(homes, json_home(space, &space->homes[i]));
    json_object_set_new(all, "uuid", json_string(name_uuid(space->uuid, uuid)));
    json_object_set_new(all, "nhomes", json_u64(space->of));
    json_object_set_new(all, "format", json_u64(space->images[0].ident.format));
    json_object_set_new(all, "extent", json_u64(MEGA__EXTENT));
    json_object_set_new(all, "granule", json_u64(MEGA__GRANULE));
    json_object_set_new(all, "homes", homes);
    print_json(all);
}

static void print_home(const struct space *space, const struct home *home)
{
    char size[16];
    if (!home->block)
        printf("home %u: cannot be read; megalloc check says why\n", home->no);
    else
        printf("home %u: epoch %" PRIu64 ", %s, %u spans\n", home->no,
               home->epoch,
               locks_held(space, home) ? "in use"
               : is_clean(home)        ? "ended cleanly"
                                       : "was not ended",
               home->nspans);
    for (size_t i = 0; i < space->nimages; i++) {
        const struct image *image = &space->images[i];
        if (is_of(image, space, home))
            printf("  %s  %s, root at %#" PRIx64 ", domain %s (a guess)\n",
                   image->path, name_size(image->size, size), image->root_off,
                   guess_domain(image));
    }
}

int command_info(char **args, const struct options *o)
{
    struct space space;
    char uuid[37];
    int status = EXIT_REFUSED;
    bool ok = space_look(args, &space);
    if (ok && o->json) {
        print_json_info(&space);
        status = EXIT_SOUND;
    } else if (ok) {
        printf("space %s: %u homes, %zu here; format %u, extents of %u bytes, "
               "granules of %u\n",
               name_uuid(space.uuid, uuid), space.of, space.nhomes,
               space.images[0].ident.format, MEGA__EXTENT, MEGA__GRANULE);
        for (size_t i = 0; i < space.nhomes; i++)
            print_home(&space, &space.homes[i]);
        status = EXIT_SOUND;
    }
    space_close(&space);
    return status;
}
