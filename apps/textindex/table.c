/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * table.c - the list of files in the space.
 *
 * A block names up to TI_BLOCK_FILES files; each file is a chunk of its own
 * with state and path. Everything is durable before the caller links it
 * (format invariant 1).
 */
#include "table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "job.h"

/* A durable chunk with these contents. */
static mega_status_t put_chunk(struct ti_index *ix, const void *src, size_t n,
                               mega_gptr_t *p_p)
{
    mega_gptr_t p;
    mega_status_t st = mega_alloc(ix->region, MEGA_ANY_HOME, n, &p);

    if (st)
        return ti_failed("alloc", st);
    st = ti_write(p, src, n);
    if (st)
        return st;
    st = mega_persist(p, n);
    if (st)
        return ti_failed("persist", st);
    *p_p = p;
    return MEGA_OK;
}

static mega_status_t put_file(struct ti_index *ix, const char *path,
                              mega_gptr_t *p_p)
{
    size_t len = strlen(path);
    struct ti_file *f = ti_realloc(NULL, sizeof *f + len);

    f->state = ti_state_word(TI_TODO, 0);
    f->len = len;
    memcpy(f->path, path, len);
    mega_status_t st = put_chunk(ix, f, sizeof *f + len, p_p);
    free(f);
    return st;
}

/* From the last block to the first, so that each can name the next. */
mega_status_t ti_table_write(struct ti_index *ix, const struct ti_paths *list,
                             mega_gptr_t *first_p)
{
    mega_gptr_t next = mega_null();
    size_t end = list->count;

    while (end > 0) {
        size_t start = (end - 1) / TI_BLOCK_FILES * TI_BLOCK_FILES;
        struct ti_block block = {next.v, end - start, {0}};
        for (size_t i = start; i < end; i++) {
            mega_gptr_t file;
            mega_status_t st = put_file(ix, list->v[i], &file);
            if (st)
                return st;
            block.file[i - start] = file.v;
        }
        mega_status_t st = put_chunk(ix, &block, sizeof block, &next);
        if (st)
            return st;
        end = start;
    }
    *first_p = next;
    return MEGA_OK;
}

/* The bytes of a ti_origin; the caller frees them. */
static struct ti_origin *origin_make(char **arg, size_t nargs, size_t *size_p)
{
    char *cwd = getcwd(NULL, 0);
    const char *dir = cwd ? cwd : "/";
    size_t len = strlen(dir) + 1;

    for (size_t i = 0; i < nargs; i++)
        len += strlen(arg[i]) + 1;
    struct ti_origin *o = ti_realloc(NULL, sizeof *o + len);
    o->len = len;
    char *at = o->text;
    at = stpcpy(at, dir) + 1;
    for (size_t i = 0; i < nargs; i++) {
        char *path = ti_path_trimmed(arg[i]);
        at = stpcpy(at, path) + 1;
        free(path);
    }
    o->len = (uint64_t)(at - o->text);
    free(cwd);
    *size_p = sizeof *o + o->len;
    return o;
}

mega_status_t ti_origin_write(struct ti_index *ix, char **arg, size_t nargs,
                              mega_gptr_t *p_p)
{
    size_t size;
    struct ti_origin *o = origin_make(arg, nargs, &size);
    mega_status_t st = put_chunk(ix, o, size, p_p);

    free(o);
    return st;
}

/* A copy of the chunk, which the caller frees; NULL on an error. */
static struct ti_origin *origin_read(struct ti_index *ix)
{
    struct ti_buf buf = {0};
    const struct ti_origin *o = ti_view(ix->origin, sizeof *o, &buf);
    struct ti_origin *copy = NULL;
    size_t size = o ? sizeof *o + o->len : 0;

    if (o && o->len > 0)
        o = ti_view(ix->origin, size, &buf);
    if (o && o->len > 0) {
        copy = ti_realloc(NULL, size);
        memcpy(copy, o, size);
        copy->text[copy->len - 1] = '\0';
    }
    free(buf.bytes);
    return copy;
}

int ti_origin_enter(struct ti_index *ix, char **arg, size_t nargs)
{
    struct ti_origin *was = origin_read(ix);
    int code = TI_FAILED;
    size_t size;

    if (!was)
        return code;
    if (chdir(was->text) == 0) {
        code = TI_OK;
        struct ti_origin *now = origin_make(arg, nargs, &size);
        if (nargs > 0 && mega_rank() == 0 &&
            (now->len != was->len || memcmp(now->text, was->text, was->len)))
            ti_say("the index was begun with other paths; going on with those");
        free(now);
    } else {
        ti_say("rank %d: the build was begun in %s: %s", mega_rank(), was->text,
               strerror(errno));
    }
    free(was);
    return code;
}

static size_t size_of_file(const void *head)
{
    const struct ti_file *v = head;
    return sizeof *v + v->len;
}

/* The files of a block, at and after f. */
static mega_status_t read_files(const struct ti_block *b, struct ti_listed *f)
{
    struct ti_part part[TI_BLOCK_FILES] = {0}, *each[TI_BLOCK_FILES];

    for (size_t i = 0; i < b->count; i++) {
        part[i] = (struct ti_part){.at = b->file[i],
                                   .head = sizeof(struct ti_file),
                                   .size = size_of_file};
        each[i] = &part[i];
    }
    mega_status_t st = ti_fetch(each, b->count);
    for (size_t i = 0; i < b->count; i++, f++) {
        const struct ti_file *v = part[i].view;
        if (!st) {
            f->at = mega_from_bits(b->file[i]);
            f->state = v->state;
            f->path = ti_realloc(NULL, v->len + 1);
            memcpy(f->path, v->path, v->len);
            f->path[v->len] = '\0';
        }
        free(part[i].copy);
    }
    return st;
}

static mega_status_t read_block(struct ti_index *ix, uint64_t bits,
                                size_t *at_p, uint64_t *next_p)
{
    struct ti_buf buf = {0};
    const struct ti_block *b = ti_view(mega_from_bits(bits), sizeof *b, &buf);
    mega_status_t st = b ? MEGA_OK : MEGA_ERR_IO;

    if (b && (b->count == 0 || b->count > TI_BLOCK_FILES ||
              b->count > ix->nfiles - *at_p)) {
        ti_say("the list of files is damaged at 0x%llx: restore the space from "
               "a copy, or begin anew with textindex build --force",
               (unsigned long long)bits);
        st = MEGA_ERR_DAMAGED;
    }
    if (!st)
        st = read_files(b, &ix->file[*at_p]);
    if (!st) {
        *at_p += b->count;
        *next_p = b->next;
    }
    free(buf.bytes);
    return st;
}

mega_status_t ti_table_read(struct ti_index *ix, uint64_t first)
{
    size_t at = 0;

    ix->file = ti_realloc(NULL, ix->nfiles * sizeof *ix->file);
    memset(ix->file, 0, ix->nfiles * sizeof *ix->file);
    while (first) {
        mega_status_t st = read_block(ix, first, &at, &first);
        if (st)
            return st;
    }
    if (at == ix->nfiles)
        return MEGA_OK;
    ti_say("the list of files ends after %zu of %zu", at, ix->nfiles);
    return MEGA_ERR_DAMAGED;
}

void ti_table_free(struct ti_index *ix)
{
    for (size_t i = 0; ix->file && i < ix->nfiles; i++)
        free(ix->file[i].path);
    free(ix->file);
    ix->file = NULL;
}
