/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * stat.c - megalloc stat: what is used, free, and how scattered the free part
 * is (1 - largest hole / free). --watch looks again and again, also while a
 * job runs: it only reads, and maps anew, since homes may grow.
 */
#include <inttypes.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "census.h"
#include "commands.h"
#include "names.h"

static double scattered(const struct census *c)
{
    uint64_t free = c->extents[USE_FREE];
    return free ? 1 - (double)c->largest_hole / (double)free : 0;
}

static uint64_t bytes(uint64_t extents)
{
    return extents << MEGA__EXTENT_SHIFT;
}

static uint64_t usable(const struct census *c)
{
    uint64_t n = 0;
    for (unsigned use = USE_FREE; use < USES; use++)
        n += c->extents[use];
    return bytes(n);
}

/* ---- As JSON ---- */

static json_t *json_classes(const struct space *space, const struct census *c)
{
    json_t *list = json_array();
    for (unsigned k = 0; k < MEGA__CLASSES; k++) {
        const struct class_census *n = &c->classes[k];
        if (n->slabs == 0)
            continue;
        json_t *one = json_object();
        json_object_set_new(one, "size", json_u64(space->classes.of[k].size));
        json_object_set_new(one, "slabs", json_u64(n->slabs));
        json_object_set_new(one, "used", json_u64(n->live));
        json_object_set_new(one, "free", json_u64(n->room - n->live));
        json_array_append_new(list, one);
    }
    return list;
}

static json_t *json_home(const struct space *space, const struct home *home,
                         const struct census *c)
{
    json_t *one = json_object();
    json_object_set_new(one, "home", json_u64(home->no));
    json_object_set_new(one, "spans", json_u64(home->nspans));
    json_object_set_new(one, "size", json_u64(usable(c)));
    json_object_set_new(one, "free", json_u64(bytes(c->extents[USE_FREE])));
    json_object_set_new(one, "largest_hole", json_u64(bytes(c->largest_hole)));
    json_object_set_new(one, "fragmentation", json_real(scattered(c)));
    json_object_set_new(one, "slabs", json_u64(bytes(c->extents[USE_SLAB])));
    json_object_set_new(one, "runs", json_u64(bytes(c->extents[USE_RUN])));
    json_object_set_new(one, "raw", json_u64(bytes(c->extents[USE_RAW])));
    json_object_set_new(one, "pending",
                        json_u64(bytes(c->extents[USE_PENDING])));
    json_object_set_new(one, "damaged", json_u64(bytes(c->extents[USE_BAD])));
    json_object_set_new(one, "live_chunks", json_u64(c->live_chunks));
    json_object_set_new(one, "live_bytes", json_u64(c->live_bytes));
    json_object_set_new(one, "classes", json_classes(space, c));
    return one;
}

/* ---- As text ---- */

static void print_home(const struct space *space, const struct home *home,
                       const struct census *c)
{
    char a[16], b[16], d[16], e[16], f[16], g[16];
    printf("home %u: %s, free %s, largest hole %s, fragmentation %.0f %%\n",
           home->no, name_size(usable(c), a),
           name_size(bytes(c->extents[USE_FREE]), b),
           name_size(bytes(c->largest_hole), d), 100 * scattered(c));
    printf("  slabs %s, runs %s, raw %s; %" PRIu64 " live chunks, %s\n",
           name_size(bytes(c->extents[USE_SLAB]), e),
           name_size(bytes(c->extents[USE_RUN]), f),
           name_size(bytes(c->extents[USE_RAW]), g), c->live_chunks,
           name_size(c->live_bytes, a));
    if (c->extents[USE_PENDING] || c->extents[USE_BAD])
        printf("  to be freed by the next open %s, damaged %s\n",
               name_size(bytes(c->extents[USE_PENDING]), a),
               name_size(bytes(c->extents[USE_BAD]), b));
    printf("  %8s %10s %12s %12s %6s\n", "class", "slabs", "used", "free",
           "fill");
    for (unsigned k = 0; k < MEGA__CLASSES; k++) {
        const struct class_census *n = &c->classes[k];
        if (n->slabs)
            printf("  %8u %10" PRIu64 " %12" PRIu64 " %12" PRIu64 " %5.0f%%\n",
                   space->classes.of[k].size, n->slabs, n->live,
                   n->room - n->live, 100 * (double)n->live / (double)n->room);
    }
}

/* False: there is nothing to look at. */
static bool look(char **args, const struct options *o)
{
    struct space space;
    struct census c;
    json_t *homes = o->json ? json_array() : NULL;
    bool ok = space_look(args, &space);
    if (ok && o->watch && !o->json && isatty(STDOUT_FILENO))
        printf("\033[H\033[J");
    for (size_t i = 0; ok && i < space.nhomes; i++) {
        census_take(&space, &space.homes[i], &c);
        if (homes)
            json_array_append_new(homes,
                                  json_home(&space, &space.homes[i], &c));
        else
            print_home(&space, &space.homes[i], &c);
    }
    if (ok && homes) {
        json_t *all = json_object();
        json_object_set_new(all, "homes", homes);
        if (o->watch)
            print_json_line(all);
        else
            print_json(all);
    } else {
        json_decref(homes);
    }
    fflush(stdout);
    space_close(&space);
    return ok;
}

int command_stat(char **args, const struct options *o)
{
    struct timespec pause = {.tv_sec = (time_t)o->seconds};
    pause.tv_nsec = (long)((o->seconds - (double)pause.tv_sec) * 1e9);
    for (unsigned long n = 1;; n++) {
        if (!look(args, o))
            return EXIT_REFUSED;
        if (!o->watch || n == o->times)
            return EXIT_SOUND;
        nanosleep(&pause, NULL);
    }
}
