/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * image.c - see image.h. The root is found by its first record: the magic, at
 * a step of 16 bytes, its own file offset in it, and its checksum right. A
 * copy of a pool in a chunk has another offset, or comes later.
 */
#include "image.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crc.h"

/* libpmemobj makes the root before any span, behind its lanes and the headers
 * of its first zone, whatever the size of the file. */
#define ROOT_WITHIN (UINT64_C(16) << 20)

static bool fail(struct image *image, const char *act)
{
    fprintf(stderr, "megalloc: %s %s: %s\n", act, image->path, strerror(errno));
    image_close(image);
    return false;
}

static bool map(struct image *image)
{
    struct stat sb;
    /* O_NONBLOCK: a pipe of that name would keep us waiting for a writer. */
    image->fd = open(image->path, (image->writable ? O_RDWR : O_RDONLY) |
                                      O_CLOEXEC | O_NONBLOCK);
    if (image->fd < 0 || fstat(image->fd, &sb) != 0)
        return fail(image, "open");
    if (!S_ISREG(sb.st_mode)) {
        fprintf(stderr, "megalloc: %s is no regular file\n", image->path);
        image_close(image);
        return false;
    }
    image->size = (uint64_t)sb.st_size;
    if (image->size == 0)
        return true;
    void *base = mmap(NULL, image->size,
                      image->writable ? PROT_READ | PROT_WRITE : PROT_READ,
                      image->writable ? MAP_SHARED : MAP_PRIVATE, image->fd, 0);
    if (base == MAP_FAILED)
        return fail(image, "map");
    image->base = base;
    return true;
}

bool image_has(const struct image *image, uint64_t off, uint64_t len)
{
    return off <= image->size && len <= image->size - off;
}

static bool is_ident(const struct image *image, uint64_t off)
{
    struct mega__pool_ident id;
    memcpy(&id, image->base + off, sizeof id);
    return id.self == off && id.crc == mega__crc(&id, sizeof id - 4);
}

static void find_root(struct image *image, struct problems *problems)
{
    uint64_t spoilt = 0; /* the magic alone */
    uint64_t end = image->size < ROOT_WITHIN ? image->size : ROOT_WITHIN;
    for (uint64_t off = 0; off + sizeof *image->root <= end; off += 16) {
        if (*(const uint64_t *)(const void *)(image->base + off) !=
            MEGA__POOL_MAGIC)
            continue;
        if (is_ident(image, off)) {
            image->root_off = off;
            image->root = (const void *)(image->base + off);
            memcpy(&image->ident, image->root, sizeof image->ident);
            return;
        }
        spoilt = spoilt ? spoilt : off;
    }
    if (spoilt)
        problem(problems, FAULT, image->path, spoilt,
                "the root's first record is damaged");
    else
        problem(problems, FAULT, image->path, 0,
                "no root of Megalloc in %llu bytes: no pool file of a home, "
                "or cut short, or its root is damaged",
                (unsigned long long)image->size);
}

bool image_open(const char *path, bool writable, struct problems *problems,
                struct image *image)
{
    memset(image, 0, sizeof *image);
    image->fd = -1;
    image->writable = writable;
    image->path = strdup(path);
    if (!image->path || !map(image))
        return false;
    find_root(image, problems);
    if (image->root && memcmp(image->base, "PMEMOBJ", 8) != 0)
        problem(problems, FAULT, image->path, 0,
                "libpmemobj's header of the file is damaged");
    return true;
}

void image_close(struct image *image)
{
    if (image->base)
        munmap(image->base, image->size);
    if (image->fd >= 0)
        close(image->fd);
    free(image->path);
    memset(image, 0, sizeof *image);
    image->fd = -1;
}

/* ---- Spans ---- */

static uint64_t up(uint64_t n, uint64_t to)
{
    return (n + to - 1) / to * to;
}

/* Where the parts must be, by layout.h alone. */
static void measure(struct span *s)
{
    uint64_t at = MEGA__HOME_BLOCK_OFF;
    s->extents = (uint32_t)(s->size >> MEGA__EXTENT_SHIFT);
    if (s->no == 0)
        at += sizeof(struct mega__home_block);
    s->words_off = up(at, MEGA__LINE);
    s->hints_off = up(s->words_off + 8 * (uint64_t)s->extents, MEGA__LINE);
    s->marks_off = up(s->hints_off + 2 * (uint64_t)s->extents, MEGA__LINE);
    at = s->marks_off + MEGA__EXTENT_GRANULES * (uint64_t)s->extents;
    s->first = (uint32_t)(up(at, MEGA__EXTENT) >> MEGA__EXTENT_SHIFT);
}

/* What is wrong with the record, or NULL. */
static const char *judge_record(const struct image *image,
                                const struct mega__span_record *rec,
                                struct span *s)
{
    if (rec->crc != mega__crc(rec, sizeof *rec - 4) || rec->listed != 1)
        return "the span record is damaged";
    if (rec->span >= MEGA__SPANS_MAX)
        return "the span record has a number out of range";
    if (rec->base % MEGA__SPAN_ALIGN || rec->size % MEGA__EXTENT ||
        rec->size > UINT64_C(1) << MEGA_OFFSET_BITS)
        return "the span record has an ill-formed place or size";
    if (!image_has(image, rec->base, rec->size))
        return "the span lies beyond the end of the file: it was cut short";
    s->off = rec->base;
    s->size = rec->size;
    s->no = rec->span;
    measure(s);
    return s->first < s->extents ? NULL : "the span is too small for its marks";
}

static const char *judge_header(const struct image *image, const struct span *s)
{
    struct mega__span_header h;
    memcpy(&h, image->base + s->off, sizeof h);
    if (h.magic != MEGA__SPAN_MAGIC || h.crc != mega__crc(&h, sizeof h - 4))
        return "the span's header is damaged";
    if (memcmp(h.uuid, image->ident.uuid, 16) != 0 ||
        h.home != image->ident.home || h.span != s->no)
        return "the span's header names another space, home or span";
    if (h.size != s->size || h.words_off != s->words_off ||
        h.marks_off != s->marks_off || h.first != s->first)
        return "the span's header and its record differ";
    return NULL;
}

/* libpmemobj names a pool by its header's uuid, folded. */
static uint64_t pool_uuid_lo(const struct image *image)
{
    const unsigned char *uuid = (const unsigned char *)image->base + 24;
    uint64_t high = 0, low = 0;
    for (unsigned i = 0; i < 8; i++) {
        high = high << 8 | uuid[i];
        low = low << 8 | uuid[8 + i];
    }
    return high ^ low;
}

/* The object of libpmemobj that owns span i; it begins before it by what
 * aligning the span took. */
static void check_owner(const struct image *image, unsigned i,
                        const struct span *s, struct problems *problems)
{
    struct mega__oid oid;
    memcpy(&oid, &image->root->oids[i], sizeof oid);
    if (oid.pool_uuid_lo != pool_uuid_lo(image) || oid.off > s->off ||
        oid.off % 16 || s->off - oid.off >= MEGA__SPAN_ALIGN)
        problem(problems, FAULT, image->path,
                image->root_off + offsetof(struct mega__pool_root, oids) +
                    i * sizeof oid,
                "home %u, span record %u: object %#llx of pool %#llx does not "
                "own its span",
                image->ident.home, i, (unsigned long long)oid.off,
                (unsigned long long)oid.pool_uuid_lo);
}

bool image_span(struct image *image, unsigned i, struct problems *problems,
                struct span *s)
{
    static const struct mega__span_record never;
    struct mega__span_record rec;
    uint64_t at = image->root_off + offsetof(struct mega__pool_root, spans) +
                  i * sizeof rec;
    memcpy(&rec, &image->root->spans[i], sizeof rec);
    if (memcmp(&rec, &never, sizeof rec) == 0)
        return false;
    memset(s, 0, sizeof *s);
    s->image = image;
    const char *wrong = judge_record(image, &rec, s);
    if (!wrong) {
        wrong = judge_header(image, s);
        at = wrong ? s->off : at;
    }
    if (wrong)
        problem(problems, FAULT, image->path, at, "home %u, span record %u: %s",
                image->ident.home, i, wrong);
    else
        check_owner(image, i, s, problems);
    return !wrong;
}
