/* SPDX-License-Identifier: BSD-3-Clause */
/* ls.c - megalloc ls: regions and named roots, and what regions hold. */
#include <inttypes.h>
#include <stdio.h>

#include "commands.h"
#include "names.h"
#include "walk.h"

struct held { /* by one region, on the homes given */
    uint32_t id;
    uint64_t extents, chunks, bytes;
};

static void visit(const struct chunk *c, void *arg)
{
    struct held *h = arg;
    if (mega__word_region(c->word) != h->id)
        return;
    h->chunks++;
    h->bytes += c->bytes;
}

static struct held count(const struct space *space, uint32_t id)
{
    struct held h = {.id = id};
    for (size_t i = 0; i < space->nhomes; i++) {
        const struct home *home = &space->homes[i];
        walk_home(space, home, visit, &h);
        for (uint32_t no = 0; no < home->nspans; no++) {
            const struct span *s = home_span(home, no);
            for (uint32_t e = s ? s->first : 0; s && e < s->extents; e++)
                h.extents += mega__word_region(span_word(s, e)) == id;
        }
    }
    return h;
}

static void tell_region(const struct space *space, const struct region *r,
                        json_t *list)
{
    struct held h = count(space, r->id);
    if (!list) {
        char held[16], live[16];
        printf("region %-8u %12" PRIu64 " raw bytes per home, holds %s: "
               "%" PRIu64 " chunks, %s  %s\n",
               r->id, r->bytes_per_home,
               name_size(h.extents << MEGA__EXTENT_SHIFT, held), h.chunks,
               name_size(h.bytes, live), r->name);
        return;
    }
    json_t *one = json_object();
    json_object_set_new(one, "id", json_u64(r->id));
    json_object_set_new(one, "name", json_string(r->name));
    json_object_set_new(one, "bytes_per_home", json_u64(r->bytes_per_home));
    json_object_set_new(one, "held", json_u64(h.extents << MEGA__EXTENT_SHIFT));
    json_object_set_new(one, "chunks", json_u64(h.chunks));
    json_object_set_new(one, "chunk_bytes", json_u64(h.bytes));
    json_array_append_new(list, one);
}

static void tell_root(const struct mega__root_record *r, json_t *list)
{
    enum mega__record_state state;
    uint32_t id;
    char name[MEGA__NAME_BYTES];
    if (!mega__record_state(block_load(&r->state), &state, &id) ||
        state != MEGA__REC_LIVE)
        return;
    name_clean(r->name, sizeof r->name, name, sizeof name);
    uint64_t p = block_load(&r->slot);
    if (!list) {
        printf("root   %-8u 0x%016" PRIx64 "  %s\n", id, p, name);
        return;
    }
    json_t *one = json_object();
    json_object_set_new(one, "name", json_string(name));
    json_object_set_new(one, "region", json_u64(id));
    json_object_set_new(one, "value", json_gptr(p));
    json_array_append_new(list, one);
}

static void tell(const struct space *space, const struct options *o)
{
    const struct region def = {MEGA__REGION_DEFAULT, 0, "(default)"};
    json_t *regions = o->json ? json_array() : NULL;
    json_t *roots = o->json ? json_array() : NULL;
    tell_region(space, &def, regions);
    for (size_t i = 0; i < space->nlive; i++)
        tell_region(space, &space->live[i], regions);
    for (unsigned i = 0; i < MEGA_ROOTS_MAX; i++)
        tell_root(&space_home(space, 0)->block->roots[i], roots);
    if (!o->json)
        return;
    json_t *all = json_object();
    json_object_set_new(all, "regions", regions);
    json_object_set_new(all, "roots", roots);
    print_json(all);
}

int command_ls(char **args, const struct options *o)
{
    struct space space;
    int status = EXIT_REFUSED;
    bool ok = space_look(args, &space);
    if (ok && !space.have_live) {
        fprintf(stderr, "megalloc: home 0, which keeps the names, is not here "
                        "or cannot be read\n");
    } else if (ok) {
        tell(&space, o);
        status = EXIT_SOUND;
    }
    space_close(&space);
    return status;
}
