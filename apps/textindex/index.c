/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * index.c - the life of an index: look, begin, load, drop.
 *
 * Rank 0 writes meta and the list of files and sets the root last (format
 * invariant 1); a build that is killed before that leaves a stub, which the
 * next build drops.
 */
#include "index.h"

#include <string.h>

#include "job.h"
#include "table.h"

#define BYTES_PER_HEAD 128 /* of text: then chains stay short */
#define HEADS_MIN 512      /* per home */

mega_status_t ti_index_look(struct ti_index *ix, enum ti_found *found_p)
{
    *ix = (struct ti_index){0};
    mega_status_t st = mega_region_open(TI_REGION, &ix->region);

    if (st == MEGA_ERR_NOT_FOUND) {
        *found_p = TI_NONE;
        return MEGA_OK;
    }
    if (st)
        return ti_failed("open the region", st);

    uint64_t root[2] = {0, 0}; /* status, pointer */
    if (mega_rank() == 0)
        root[0] = (uint64_t)mega_root_get(ix->region, TI_ROOT, &ix->meta);
    root[1] = ix->meta.v;
    st = mega_bcast(root, sizeof root, 0);
    if (st)
        return ti_failed("bcast", st);
    ix->meta = mega_from_bits(root[1]);
    st = (mega_status_t)root[0];
    if (st && st != MEGA_ERR_NOT_FOUND)
        return ti_failed("find the index", st);
    *found_p = st || mega_is_null(ix->meta) ? TI_STUB : TI_BEGUN;
    return MEGA_OK;
}

mega_status_t ti_index_drop(struct ti_index *ix)
{
    mega_status_t st = mega_region_destroy(&ix->region);

    return st ? ti_failed("destroy the region", st) : MEGA_OK;
}

static uint64_t heads_for(uint64_t bytes)
{
    uint64_t want = bytes / BYTES_PER_HEAD / (uint64_t)mega_nhomes();
    uint64_t heads = HEADS_MIN;

    while (heads < want)
        heads *= 2;
    return heads;
}

/* Rank 0: meta with all that it names, then the root. */
static mega_status_t write_meta(struct ti_index *ix, uint64_t heads,
                                const struct ti_paths *list, char **arg,
                                size_t nargs)
{
    struct ti_meta meta = {.magic = TI_MAGIC,
                           .nhomes = (uint64_t)mega_nhomes(),
                           .heads_per_home = heads,
                           .nfiles = list->count,
                           .unreadable = list->unreadable};
    mega_gptr_t p, blocks, origin;
    mega_status_t st = ti_table_write(ix, list, &blocks);

    if (!st)
        st = ti_origin_write(ix, arg, nargs, &origin);
    if (st)
        return st;
    meta.blocks = blocks.v;
    meta.origin = origin.v;
    st = mega_alloc(ix->region, MEGA_ANY_HOME, sizeof meta, &p);
    if (st)
        return ti_failed("alloc", st);
    st = mega_put_persist(p, &meta, sizeof meta);
    if (st)
        return ti_failed("persist", st);
    st = mega_root_set(ix->region, TI_ROOT, p);
    return st ? ti_failed("set the root", st) : MEGA_OK;
}

mega_status_t ti_index_begin(struct ti_index *ix, const struct ti_paths *list,
                             char **arg, size_t nargs)
{
    uint64_t heads = mega_rank() == 0 ? heads_for(list->bytes) : 0;
    mega_status_t st = mega_bcast(&heads, sizeof heads, 0);

    if (st)
        return ti_failed("bcast", st);
    st =
        mega_region_create(TI_REGION, heads * sizeof(uint64_t), 0, &ix->region);
    if (st)
        return mega_rank() == 0 ? ti_failed("create the region", st) : st;

    int code = TI_OK;
    if (mega_rank() == 0 && write_meta(ix, heads, list, arg, nargs))
        code = TI_FAILED;
    if (ti_agree(code) != TI_OK)
        return MEGA_ERR_PEER;
    st = mega_region_close(&ix->region);
    if (st)
        return ti_failed("close the region", st);
    enum ti_found found;
    return ti_index_look(ix, &found);
}

/* Each has a part of the table. MEGALLOC_OPEN=degraded does without some, which
 * mega_home_stat then names; of the others it would look at all that is there.
 */
static mega_status_t all_homes_are_there(const struct ti_index *ix)
{
    mega_home_stat_t stat;
    mega_status_t st = MEGA_OK;

    for (int home = 0; !st && home < mega_nhomes(); home++)
        if (mega_is_null(mega_region_at(ix->region, home, 0, NULL)))
            st = mega_home_stat(home, &stat);
    return st;
}

static mega_status_t read_meta(struct ti_index *ix)
{
    struct ti_meta meta;
    mega_recovery_t rec;
    mega_status_t st = all_homes_are_there(ix);

    if (!st)
        st = mega_get(&meta, ix->meta, sizeof meta);
    if (!st)
        st = mega_recovery(&rec);
    if (st)
        return ti_failed("read the index", st);
    if (meta.magic != TI_MAGIC || meta.nhomes != (uint64_t)mega_nhomes()) {
        ti_say("the region is not an index that this program can read");
        return MEGA_ERR_MISMATCH;
    }
    ix->nhomes = meta.nhomes;
    ix->heads_per_home = meta.heads_per_home;
    ix->nfiles = meta.nfiles;
    ix->unreadable = meta.unreadable;
    ix->origin = mega_from_bits(meta.origin);
    ix->attempt = (uint32_t)rec.epoch;
    return ti_table_read(ix, meta.blocks);
}

mega_status_t ti_index_load(struct ti_index *ix)
{
    mega_status_t st = read_meta(ix);

    return ti_agree(st ? TI_FAILED : TI_OK) == TI_OK ? MEGA_OK : MEGA_ERR_PEER;
}

int ti_index_open(struct ti_index *ix)
{
    enum ti_found found;
    mega_status_t st = ti_index_look(ix, &found);

    if (st)
        return TI_FAILED;
    if (found != TI_BEGUN) {
        if (mega_rank() == 0)
            ti_say("this space has no index: run textindex build");
        return TI_USAGE;
    }
    if (ti_index_load(ix))
        return TI_FAILED;
    size_t todo = ti_index_count(ix, TI_TODO);
    if (todo > 0 && mega_rank() == 0)
        ti_say("the index is not finished: %zu of %zu files are missing; run "
               "textindex build --resume",
               todo, ix->nfiles);
    return TI_OK;
}

void ti_index_close(struct ti_index *ix)
{
    ti_table_free(ix);
}

size_t ti_index_count(const struct ti_index *ix, enum ti_state state)
{
    size_t count = 0;

    for (size_t i = 0; i < ix->nfiles; i++)
        if (ti_state_of(ix->file[i].state) == state)
            count++;
    return count;
}

mega_status_t ti_chain_find(uint64_t first, uint64_t last, const char *text,
                            uint32_t len, uint64_t hash, struct ti_buf *buf,
                            uint64_t *node_p)
{
    *node_p = 0;
    while (first && first != last) {
        mega_gptr_t p = mega_from_bits(first);
        const struct ti_word *w = ti_view(p, sizeof *w, buf);
        if (!w)
            return MEGA_ERR_IO;
        uint64_t next = w->next;
        if (w->hash == (uint32_t)(hash >> 32) && w->len == len) {
            w = ti_view(p, sizeof *w + len, buf);
            if (!w)
                return MEGA_ERR_IO;
            if (memcmp(w->text, text, len) == 0) {
                *node_p = first;
                return MEGA_OK;
            }
        }
        first = next;
    }
    return MEGA_OK;
}
