/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * svg.c - the map as a picture: a cell per extent, in rows, home by home; the
 * colour is its use, of slabs also the fill. Neighbours that look alike are
 * one rectangle, so a large home that is mostly free stays a small file.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "census.h"
#include "commands.h"

#define MARGIN 16
#define HEAD 24 /* of a span: its line of text */
#define WIDTH 768
#define FILLS 5 /* shades of a slab */
#define SHADES (USES + FILLS - 1)

/* Slabs come last, from nearly empty to full. */
static const struct shade {
    const char *colour, *text;
} shades[SHADES] = {
    [USE_META] = {"#555555", "metadata"},
    [USE_FREE] = {"#eeeeee", "free"},
    [USE_SLAB] = {"#cfe3f7", "slab, up to 20 % full"},
    [USE_RUN] = {"#2e8b57", "large chunk"},
    [USE_RAW] = {"#e0a030", "raw bytes of a region"},
    [USE_PENDING] = {"#c080d0", "freed by the next open"},
    [USE_BAD] = {"#d02020", "damaged"},
    [USES] = {"#9cc4ea", "slab, up to 40 %"},
    [USES + 1] = {"#659fd8", "slab, up to 60 %"},
    [USES + 2] = {"#3576bd", "slab, up to 80 %"},
    [USES + 3] = {"#104a8e", "slab, over 80 %"},
};

struct picture {
    FILE *out;
    const struct space *space;
    unsigned cell, columns;
};

static unsigned shade_of(const struct picture *p, const struct span *s,
                         uint32_t e)
{
    unsigned use = census_use(p->space, s, e);
    uint64_t w = span_word(s, e);
    if (use != USE_SLAB || mega__word_class(w) >= MEGA__CLASSES)
        return use;
    uint32_t room = p->space->classes.of[mega__word_class(w)].capacity;
    uint32_t fill = (census_fill(p->space, s, e, w) * FILLS + room - 1) / room;
    return fill <= 1 ? USE_SLAB : USES + fill - 2;
}

static unsigned rows_of(const struct picture *p, const struct span *s)
{
    return (s->extents + p->columns - 1) / p->columns;
}

static void draw_row(const struct picture *p, const struct span *s,
                     uint32_t from, unsigned y)
{
    uint32_t end =
        from + p->columns < s->extents ? from + p->columns : s->extents;
    for (uint32_t e = from, next; e < end; e = next) {
        unsigned shade = shade_of(p, s, e);
        for (next = e + 1; next < end && shade_of(p, s, next) == shade;)
            next++;
        fprintf(p->out,
                "<rect x=\"%u\" y=\"%u\" width=\"%u\" height=\"%u\" "
                "fill=\"%s\"/>\n",
                MARGIN + (e - from) * p->cell, y, (next - e) * p->cell, p->cell,
                shades[shade].colour);
    }
}

static unsigned draw_span(const struct picture *p, const struct home *home,
                          const struct span *s, unsigned y)
{
    fprintf(p->out,
            "<text x=\"%u\" y=\"%u\">home %u, span %u: %u extents of %u "
            "KiB</text>\n",
            MARGIN, y + HEAD - 8, home->no, s->no, s->extents,
            MEGA__EXTENT >> 10);
    y += HEAD;
    for (uint32_t e = 0; e < s->extents; e += p->columns) {
        draw_row(p, s, e, y);
        y += p->cell;
    }
    return y + MARGIN / 2;
}

static void draw_legend(const struct picture *p, unsigned y)
{
    static const unsigned order[SHADES] = {
        USE_META, USE_FREE, USE_SLAB, USES,        USES + 1, USES + 2,
        USES + 3, USE_RUN,  USE_RAW,  USE_PENDING, USE_BAD};
    for (unsigned i = 0; i < SHADES; i++) {
        unsigned x = MARGIN + i % 4 * (WIDTH / 4), at = y + i / 4 * 18;
        fprintf(p->out,
                "<rect x=\"%u\" y=\"%u\" width=\"12\" height=\"12\" "
                "fill=\"%s\" stroke=\"#888888\"/>\n"
                "<text x=\"%u\" y=\"%u\">%s</text>\n",
                x, at, shades[order[i]].colour, x + 18, at + 11,
                shades[order[i]].text);
    }
}

static unsigned legend_height(void)
{
    return (SHADES + 3) / 4 * 18 + MARGIN;
}

/* Calls or measures: the height of all spans. */
static unsigned all_spans(const struct picture *p, unsigned y, bool draw)
{
    for (size_t i = 0; i < p->space->nhomes; i++) {
        const struct home *home = &p->space->homes[i];
        for (uint32_t no = 0; no < home->nspans; no++) {
            const struct span *s = home_span(home, no);
            if (!s)
                continue;
            y = draw ? draw_span(p, home, s, y)
                     : y + HEAD + rows_of(p, s) * p->cell + MARGIN / 2;
        }
    }
    return y;
}

static uint32_t largest(const struct space *space)
{
    uint32_t most = 0;
    for (size_t i = 0; i < space->nhomes; i++)
        for (uint32_t no = 0; no < space->homes[i].nspans; no++) {
            const struct span *s = home_span(&space->homes[i], no);
            if (s && s->extents > most)
                most = s->extents;
        }
    return most;
}

bool draw_svg(const struct space *space, const char *path)
{
    struct picture p = {.space = space};
    uint32_t most = largest(space);
    p.cell = most <= 4096 ? 12 : most <= 32768 ? 6 : 3;
    p.columns = WIDTH / p.cell;
    p.out = fopen(path, "w");
    if (!p.out) {
        fprintf(stderr, "megalloc: write %s: %s\n", path, strerror(errno));
        return false;
    }
    unsigned top = MARGIN + legend_height();
    fprintf(p.out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%u\" "
            "height=\"%u\" font-family=\"sans-serif\" font-size=\"12\">\n"
            "<rect width=\"100%%\" height=\"100%%\" fill=\"#ffffff\"/>\n",
            WIDTH + 2 * MARGIN, all_spans(&p, top, false) + MARGIN);
    draw_legend(&p, MARGIN);
    all_spans(&p, top, true);
    fputs("</svg>\n", p.out);
    bool ok = !ferror(p.out);
    if (fclose(p.out) != 0 || !ok) {
        fprintf(stderr, "megalloc: write %s: %s\n", path, strerror(errno));
        return false;
    }
    return true;
}
