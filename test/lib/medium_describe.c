/* SPDX-License-Identifier: BSD-3-Clause */
/* medium_describe.c - what lies where in a file: see medium.h. */
#include "medium.h"

#include <stdio.h>
#include <string.h>

static const struct mega__span_header *span_at(const struct medium_file *file,
                                               uint64_t off, uint64_t *base_p)
{
    const struct mega__pool_root *root =
        (const void *)(file->cpu + MEDIUM_ROOT_OFF);
    for (unsigned i = 0; i < MEGA__POOL_SPANS; i++) {
        uint64_t base = root->spans[i].base, size = root->spans[i].size;
        if (root->spans[i].listed != 1 || base < MEDIUM_DATA ||
            base >= file->size || size > file->size - base || off < base ||
            off >= base + size)
            continue;
        *base_p = base;
        return (const void *)(file->cpu + base);
    }
    return NULL;
}

bool medium_is_mark(const struct medium_file *file, uint64_t off)
{
    uint64_t base;
    const struct mega__span_header *h = span_at(file, off, &base);
    if (!h || h->magic != MEGA__SPAN_MAGIC)
        return false;
    return off - base >= h->marks_off &&
           off - base < h->marks_off + (h->size >> MEGA__GRANULE_SHIFT);
}

void medium_still(struct medium *m)
{
    for (size_t i = 0; i < m->nfiles; i++) {
        uint64_t base;
        struct medium_file *file = m->files[i];
        const struct mega__span_header *h = span_at(file, MEDIUM_DATA, &base);
        if (h && h->magic == MEGA__SPAN_MAGIC)
            file->still = base + ((uint64_t)h->first << MEGA__EXTENT_SHIFT);
    }
}

/* The part of the home block at offset at of it. */
static void describe_block(uint64_t at, char *text, size_t size)
{
    static const struct part {
        const char *name;
        uint64_t off, each;
    } parts[] = {
        {"intent", offsetof(struct mega__home_block, intents),
         sizeof(struct mega__intent)},
        {"run record", offsetof(struct mega__home_block, runs),
         sizeof(struct mega__run_record)},
        {"root record", offsetof(struct mega__home_block, roots),
         sizeof(struct mega__root_record)},
        {"region record", offsetof(struct mega__home_block, regions),
         sizeof(struct mega__region_record)},
        {"word", 0, 8},
    };
    const struct part *p = parts;
    while (at < p->off)
        p++;
    snprintf(text, size, "%s %llu + %llu", p->name,
             (unsigned long long)((at - p->off) / p->each),
             (unsigned long long)((at - p->off) % p->each));
}

static void describe_span(const struct mega__span_header *h, uint64_t at,
                          char *text, size_t size)
{
    uint64_t block = MEGA__HOME_BLOCK_OFF;
    uint64_t hints = h->words_off + 8 * (h->size >> MEGA__EXTENT_SHIFT);
    if (h->span == 0 && at >= block &&
        at < block + sizeof(struct mega__home_block))
        describe_block(at - block, text, size);
    else if (at < h->words_off)
        snprintf(text, size, "span header + %llu", (unsigned long long)at);
    else if (at < hints)
        snprintf(text, size, "extent word %llu",
                 (unsigned long long)(at - h->words_off) / 8);
    else if (at < h->marks_off)
        snprintf(text, size, "hints");
    else if (at < (uint64_t)h->first << MEGA__EXTENT_SHIFT)
        snprintf(
            text, size, "mark of extent %llu granule %llu",
            (unsigned long long)(at - h->marks_off) / MEGA__EXTENT_GRANULES,
            (unsigned long long)(at - h->marks_off) % MEGA__EXTENT_GRANULES);
    else
        snprintf(text, size, "extent %llu + %llu",
                 (unsigned long long)at >> MEGA__EXTENT_SHIFT,
                 (unsigned long long)at % MEGA__EXTENT);
}

void medium_describe(struct medium *m, const void *addr, char *text,
                     size_t size)
{
    struct medium_file *file = medium_find_addr(m, addr);
    if (!file) {
        snprintf(text, size, "outside all files");
        return;
    }
    const char *slash = strrchr(file->name, '/');
    uint64_t base, off = (uint64_t)((const char *)addr - file->cpu);
    const struct mega__span_header *h = span_at(file, off, &base);
    int n = snprintf(text, size, "%s: ", slash ? slash + 1 : file->name);
    size_t used = n > 0 && (size_t)n < size ? (size_t)n : size - 1;
    if (h && h->magic == MEGA__SPAN_MAGIC)
        describe_span(h, off - base, text + used, size - used);
    else
        snprintf(text + used, size - used, "byte %llu",
                 (unsigned long long)off);
}
