/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * leaks.c - megalloc leaks. It needs all pool files: a pointer may lie in any.
 * To free, the space must be sound and without intents that wait, and no job
 * may have it open.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "commands.h"
#include "locks.h"
#include "mark.h"
#include "repair.h"
#include "verify.h"
#include "walk.h"

#define LISTED 20

struct leaks {
    const struct reach *reach;
    const struct options *o;
    bool may_free, in_use;
    uint64_t live, count, bytes;
    json_t *list; /* NULL: print */
};

static void tell(struct leaks *l, const struct chunk *c, uint64_t p)
{
    if (!l->list) {
        printf("%#018" PRIx64 "  home %u, %" PRIu64 " bytes, region %u\n", p,
               c->home->no, c->bytes, mega__word_region(c->word));
        return;
    }
    json_t *item = json_object();
    json_object_set_new(item, "chunk", json_gptr(p));
    json_object_set_new(item, "home", json_u64(c->home->no));
    json_object_set_new(item, "bytes", json_u64(c->bytes));
    json_object_set_new(item, "region", json_u64(mega__word_region(c->word)));
    json_array_append_new(l->list, item);
}

/* A run's head is freed by the next open, which sees its mark. The hint tells
 * it that the slab is worth a look. */
static void free_chunk(const struct chunk *c)
{
    span_marks(c->span, c->extent)[c->granule] = MEGA__MARK_FREE;
    if (!mega__word_is_slab(c->word))
        return;
    uint16_t *hint =
        (uint16_t *)(void *)span_at(c->span, c->span->hints_off) + c->extent;
    if (*hint < MEGA__EXTENT_GRANULES)
        ++*hint;
}

static void visit(const struct chunk *c, void *arg)
{
    struct leaks *l = arg;
    l->live++;
    if (reach_has(l->reach, c))
        return;
    l->count++;
    l->bytes += c->bytes;
    if (l->o->all || l->count <= LISTED)
        tell(l, c, mega__gptr(c->home->no, c->span->no, c->off).v);
    if (l->may_free)
        free_chunk(c);
}

static void sum_up(struct leaks *l)
{
    const char *verb = l->may_free ? "freed" : "leaked";
    if (l->list) {
        json_t *all = json_object();
        json_object_set_new(all, "live", json_u64(l->live));
        json_object_set_new(all, "leaks", json_u64(l->count));
        json_object_set_new(all, "bytes", json_u64(l->bytes));
        json_object_set_new(all, "freed", json_boolean(l->may_free));
        json_object_set_new(all, "in_use", json_boolean(l->in_use));
        json_object_set_new(all, "chunks", l->list);
        print_json(all);
        return;
    }
    if (!l->o->all && l->count > LISTED)
        printf("... and %" PRIu64 " more (--all lists them)\n",
               l->count - LISTED);
    printf("%" PRIu64 " of %" PRIu64 " live chunks %s, %" PRIu64 " bytes%s\n",
           l->count, l->live, verb, l->bytes,
           l->in_use ? " (a job has it open, and may link them yet)" : "");
}

/* Frees too, if may_free. */
static int search(const struct space *space, const struct options *o,
                  bool may_free)
{
    struct leaks l = {.o = o,
                      .may_free = may_free,
                      .in_use = !o->free && locks_in_use(space),
                      .list = o->json ? json_array() : NULL};
    struct reach *reach = reach_new(space);
    if (!reach) {
        fprintf(stderr, "megalloc: no memory to mark what is reached\n");
        json_decref(l.list);
        return EXIT_REFUSED;
    }
    l.reach = reach;
    for (size_t i = 0; i < space->nhomes; i++)
        walk_home(space, &space->homes[i], visit, &l);
    reach_delete(&reach);
    if (may_free && !repair_sync(space)) {
        json_decref(l.list);
        return EXIT_REFUSED;
    }
    sum_up(&l);
    return l.count && !may_free ? EXIT_UNSOUND : EXIT_SOUND;
}

/* Whether nothing speaks against it; said on stderr. */
static bool may_free(const struct space *space, struct problems *problems)
{
    verify(space, problems);
    if (problems->count[FAULT])
        fprintf(stderr, "megalloc: the space is unsound, so nothing is freed: "
                        "see megalloc check\n");
    else if (space_intents_wait(space))
        fprintf(stderr, "megalloc: an intent waits to be completed, so nothing "
                        "is freed: open the space once before\n");
    return problems->count[FAULT] == 0 && !space_intents_wait(space);
}

static bool has_pools(const struct space *space, const struct home *home)
{
    uint64_t npools, have = 0;
    if (!mega__unseal(block_load(&home->block->npools), &npools)) {
        fprintf(stderr,
                "megalloc: how many pool files home %u has is damaged\n",
                home->no);
        return false;
    }
    for (size_t i = 0; i < space->nimages; i++) {
        const struct image *image = &space->images[i];
        have += image->root && image->ident.home == home->no &&
                image->ident.pool < npools &&
                memcmp(image->ident.uuid, space->uuid, 16) == 0;
    }
    if (have >= npools)
        return true;
    fprintf(stderr,
            "megalloc: leaks needs all %" PRIu64 " pool files of home %u; "
            "%" PRIu64 " here and readable\n",
            npools, home->no, have);
    return false;
}

static bool has_spans(const struct home *home)
{
    for (uint32_t no = 0; no < home->nspans; no++)
        if (!home_span(home, no)) {
            fprintf(stderr,
                    "megalloc: leaks needs all spans; span %u of home %u is "
                    "missing or damaged\n",
                    no, home->no);
            return false;
        }
    return true;
}

/* Of a damaged or partial space nobody can tell what is reached: any pool may
 * hold the only link. */
static bool complete(const struct space *space)
{
    size_t sound = 0;
    for (size_t i = 0; i < space->nhomes; i++)
        sound += space->homes[i].block != NULL;
    if (space->of == 0)
        fprintf(stderr, "megalloc: leaks needs all homes of the space; none is "
                        "readable (megalloc check says why)\n");
    else if (sound != space->of)
        fprintf(stderr,
                "megalloc: leaks needs all %u homes of the space; %zu are "
                "here and readable\n",
                space->of, sound);
    if (sound != space->of || space->of == 0)
        return false;
    for (size_t i = 0; i < space->nhomes; i++)
        if (!has_pools(space, &space->homes[i]) || !has_spans(&space->homes[i]))
            return false;
    return true;
}

int command_leaks(char **args, const struct options *o)
{
    struct problems problems = {0};
    struct space space;
    struct locks locks = {0};
    int status = EXIT_REFUSED;
    bool ok = o->free ? locks_open(args, &problems, &space, &locks)
                      : space_open(args, false, &problems, &space);
    if (ok && complete(&space)) {
        bool frees = o->free && may_free(&space, &problems);
        if (!o->free)
            space_tell_damage(&problems);
        status = search(&space, o, frees);
        if (problems.count[FAULT] && status == EXIT_SOUND)
            status = EXIT_UNSOUND;
    }
    space_close(&space);
    locks_give(&locks);
    return status;
}
