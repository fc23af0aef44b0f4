/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * image.h - one pool file as it lies on the medium, mapped and measured.
 * Nothing in it is believed: a part is offered only if it lies within the
 * mapped bytes, and is aligned.
 */
#ifndef TOOL_IMAGE_H
#define TOOL_IMAGE_H

#include "gptr.h"
#include "problem.h"

struct image {
    char *path;
    char *base; /* NULL: the file is empty */
    uint64_t size;
    int fd;
    bool writable;
    const struct mega__pool_root *root; /* NULL: not found */
    uint64_t root_off;
    struct mega__pool_ident ident; /* a copy; zeroes without root */
};

/* A span whose header, words and marks lie within its file. */
struct span {
    struct image *image;
    uint64_t off; /* in the file */
    uint64_t size;
    uint64_t words_off, hints_off, marks_off; /* from the start of the span */
    uint32_t no;
    uint32_t first, extents;
};

/* Maps the file, for writing too if asked, and finds its root. False: it
 * cannot be read; said on stderr. What is wrong with a file that can be read
 * goes to problems. */
bool image_open(const char *path, bool writable, struct problems *problems,
                struct image *image);
void image_close(struct image *image);

/* Whether bytes [off, off + len) are in the file. */
bool image_has(const struct image *image, uint64_t off, uint64_t len);

/* The span of record i of the root. False: the record is unused, or wrong,
 * which then is among the problems. */
bool image_span(struct image *image, unsigned i, struct problems *problems,
                struct span *span);

static inline char *span_at(const struct span *s, uint64_t off)
{
    return s->image->base + s->off + off;
}

/* A job may be running. Loads keep their order: a word that is the same after
 * its marks were read was true of them. */
static inline uint64_t span_word(const struct span *s, uint32_t e)
{
    const uint64_t *words =
        (const uint64_t *)(const void *)span_at(s, s->words_off);
    return __atomic_load_n(&words[e], __ATOMIC_ACQUIRE);
}

static inline uint64_t span_word_off(const struct span *s, uint32_t e)
{
    return s->off + s->words_off + 8 * (uint64_t)e;
}

static inline uint8_t *span_marks(const struct span *s, uint32_t e)
{
    return (uint8_t *)span_at(s, s->marks_off) +
           (uint64_t)e * MEGA__EXTENT_GRANULES;
}

static inline uint8_t span_mark(const struct span *s, uint32_t e, unsigned g)
{
    return __atomic_load_n(span_marks(s, e) + g, __ATOMIC_ACQUIRE);
}

static inline uint64_t span_mark_off(const struct span *s, uint32_t e,
                                     unsigned g)
{
    return s->off + s->marks_off + (uint64_t)e * MEGA__EXTENT_GRANULES + g;
}

#endif
