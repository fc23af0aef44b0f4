/* SPDX-License-Identifier: BSD-3-Clause */
/* dump.c - megalloc dump: the map of the extents as text, or as SVG. */
#include <stdio.h>

#include "census.h"
#include "commands.h"

#define COLUMNS 64

static char letter(const struct space *space, const struct span *s, uint32_t e)
{
    uint64_t w = span_word(s, e);
    switch (census_use(space, s, e)) {
    case USE_META:
        return '#';
    case USE_FREE:
        return '.';
    case USE_SLAB:
        if (mega__word_class(w) >= MEGA__CLASSES)
            return '?';
        return "0123456789"[census_fill(space, s, e, w) * 9 /
                            space->classes.of[mega__word_class(w)].capacity];
    case USE_RUN:
        return mega__word_kind(w) == MEGA__RUN_HEAD ? 'R' : 'r';
    case USE_RAW:
        return mega__word_kind(w) == MEGA__RUN_HEAD ? 'W' : 'w';
    case USE_PENDING:
        return '~';
    default:
        return '?';
    }
}

/* One line of the map, from extent e. */
static void draw_row(const struct space *space, const struct span *s,
                     uint32_t e, char row[COLUMNS + 1])
{
    uint32_t n = 0;
    for (; n < COLUMNS && e + n < s->extents; n++)
        row[n] = letter(space, s, e + n);
    row[n] = '\0';
}

static void print_span(const struct space *space, const struct home *home,
                       const struct span *s)
{
    char row[COLUMNS + 1];
    printf("home %u, span %u: %u extents\n", home->no, s->no, s->extents);
    for (uint32_t e = 0; e < s->extents; e += COLUMNS) {
        draw_row(space, s, e, row);
        printf("%8u  %s\n", e, row);
    }
}

static json_t *json_span(const struct space *space, const struct home *home,
                         const struct span *s)
{
    char row[COLUMNS + 1];
    json_t *one = json_object(), *rows = json_array();
    for (uint32_t e = 0; e < s->extents; e += COLUMNS) {
        draw_row(space, s, e, row);
        json_array_append_new(rows, json_string(row));
    }
    json_object_set_new(one, "home", json_u64(home->no));
    json_object_set_new(one, "span", json_u64(s->no));
    json_object_set_new(one, "extents", json_u64(s->extents));
    json_object_set_new(one, "rows", rows);
    return one;
}

static void show(const struct space *space, const struct options *o)
{
    json_t *list = o->json ? json_array() : NULL;
    if (!list)
        puts("# metadata  . free  0-9 slab, by fill  R r run  W w raw run  "
             "~ freed by the next open  ? damaged");
    for (size_t i = 0; i < space->nhomes; i++)
        for (uint32_t no = 0; no < space->homes[i].nspans; no++) {
            const struct span *s = home_span(&space->homes[i], no);
            if (s && list)
                json_array_append_new(list,
                                      json_span(space, &space->homes[i], s));
            else if (s)
                print_span(space, &space->homes[i], s);
        }
    if (!list)
        return;
    json_t *all = json_object();
    json_object_set_new(all, "spans", list);
    print_json(all);
}

int command_dump(char **args, const struct options *o)
{
    struct space space;
    int status = EXIT_REFUSED;
    if (space_look(args, &space) && (!o->svg || draw_svg(&space, o->svg))) {
        if (o->json || !o->svg)
            show(&space, o);
        status = EXIT_SOUND;
    }
    space_close(&space);
    return status;
}
