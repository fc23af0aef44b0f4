/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tool_poke.c - bytes of a pool file, for tests that damage it:
 *   tool_poke FILE at PART         prints the offset of the part
 *   tool_poke FILE get PART        prints its 8 bytes as a number
 *   tool_poke FILE flip PART BIT   flips a bit; prints the offset of its byte
 *   tool_poke FILE set PART N      stores 8 bytes
 *   tool_poke FILE seal PART N     stores a sealed word
 *   tool_poke FILE run PART N      stores the word of a run, with its check
 *   tool_poke FILE root I FROM     root record I becomes what record FROM is
 *   tool_poke FILE byte PART N     stores one
 *   tool_poke FILE intent I OP CHUNK SLOT    a whole intent of one item
 * PART: head, root, record:I, oid:I, age, header, born, epoch, clean, npools,
 * next_region, reached, lot, region:I, rootname:I, run:I, intent:I, item:I (its
 * first), word:E, mark:E:G; each with +N bytes. TOOL_POKE_SOUND names a sound
 * copy of the file, to find the parts by.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "record.h"

#define BLOCK(field)                                                           \
    (MEGA__HOME_BLOCK_OFF + offsetof(struct mega__home_block, field))

static struct {
    int fd;
    uint64_t root, span, words, marks;
} pool;

static void give_up(const char *why)
{
    perror(why);
    exit(2);
}

static void load(uint64_t off, void *bytes, size_t n)
{
    if (pread(pool.fd, bytes, n, (off_t)off) != (ssize_t)n)
        give_up("tool_poke: read");
}

static void store(uint64_t off, const void *bytes, size_t n)
{
    if (pwrite(pool.fd, bytes, n, (off_t)off) != (ssize_t)n)
        give_up("tool_poke: write");
}

/* Where the parts are, by a file that is sound. */
static void find(const char *path)
{
    struct mega__pool_root root;
    struct mega__span_header header;
    static uint64_t page[1 << 13];
    unsigned i = 0;
    pool.fd = open(path, O_RDWR);
    if (pool.fd < 0)
        give_up(path);
    for (load(0, page, sizeof page); page[i] != MEGA__POOL_MAGIC; i += 2)
        if (i + 2 == sizeof page / 8) {
            pool.root += sizeof page;
            load(pool.root, page, sizeof page);
            i = 0 - 2u;
        }
    pool.root += i * 8;
    load(pool.root, &root, sizeof root);
    pool.span = root.spans[0].base;
    load(pool.span, &header, sizeof header);
    pool.words = header.words_off;
    pool.marks = header.marks_off;
    close(pool.fd);
}

static uint64_t place(const char *part)
{
    unsigned long a = 0, b = 0;
    char name[20] = "";
    const char *plus = strchr(part, '+');
    uint64_t more = plus ? strtoull(plus + 1, NULL, 0) : 0;
    sscanf(part, "%19[a-z_]:%lu:%lu", name, &a, &b);
    const struct {
        const char *name;
        uint64_t off, size;
    } parts[] = {
        {"head", 0, 0},
        {"root", pool.root, 0},
        {"record", pool.root + 64, sizeof(struct mega__span_record)},
        {"oid", pool.root + offsetof(struct mega__pool_root, oids),
         sizeof(struct mega__oid)},
        {"age", pool.root + offsetof(struct mega__pool_root, age), 0},
        {"header", pool.span, 0},
        {"born", pool.span + BLOCK(born), 0},
        {"epoch", pool.span + BLOCK(epoch), 0},
        {"clean", pool.span + BLOCK(clean), 0},
        {"npools", pool.span + BLOCK(npools), 0},
        {"next_region", pool.span + BLOCK(next_region), 0},
        {"reached", pool.span + BLOCK(reached), 0},
        {"lot", pool.span + BLOCK(lot), 0},
        {"region", pool.span + BLOCK(regions),
         sizeof(struct mega__region_record)},
        {"rootname", pool.span + BLOCK(roots),
         sizeof(struct mega__root_record)},
        {"run", pool.span + BLOCK(runs), sizeof(struct mega__run_record)},
        {"intent", pool.span + BLOCK(intents), sizeof(struct mega__intent)},
        {"item",
         pool.span + BLOCK(intents) + offsetof(struct mega__intent, items),
         sizeof(struct mega__intent)}, /* the first of an intent */
        {"word", pool.span + pool.words, 8},
        {"mark", pool.span + pool.marks, MEGA__EXTENT_GRANULES},
    };
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (strcmp(parts[i].name, name) == 0)
            return parts[i].off + a * parts[i].size + b + more;
    fprintf(stderr, "tool_poke: no part %s\n", part);
    exit(2);
}

static void put_intent(char **args) /* I OP CHUNK SLOT */
{
    struct mega__intent in = {.seq = 7, .n = 1};
    uint64_t epoch;
    load(pool.span + BLOCK(epoch), &epoch, 8);
    in.epoch = epoch & UINT64_C(0xffffffffffff);
    in.items[0].chunk = strtoull(args[2], NULL, 0) | strtoull(args[1], NULL, 0);
    in.items[0].slot = strtoull(args[3], NULL, 0);
    in.crc = mega__record_intent_crc(&in);
    store(pool.span + BLOCK(intents) + strtoull(args[0], NULL, 0) * sizeof in,
          &in, sizeof in);
}

static void copy_root(char **args) /* I FROM */
{
    struct mega__root_record r;
    const uint64_t roots = pool.span + BLOCK(roots);
    load(roots + strtoull(args[1], NULL, 0) * sizeof r, &r, sizeof r);
    store(roots + strtoull(args[0], NULL, 0) * sizeof r, &r, sizeof r);
}

static uint64_t with_check(uint64_t w)
{
    w &= (UINT64_C(1) << MEGA__RUN_CHECK_SHIFT) - 1;
    return w | mega__word_run_check(w) << MEGA__RUN_CHECK_SHIFT;
}

static void flip(uint64_t off, unsigned bit)
{
    uint8_t byte;
    load(off + bit / 8, &byte, 1);
    byte = (uint8_t)(byte ^ 1u << bit % 8);
    store(off + bit / 8, &byte, 1);
}

int main(int argc, char **argv)
{
    const char *sound = getenv("TOOL_POKE_SOUND");
    if (argc < 4)
        return 2;
    find(sound ? sound : argv[1]);
    pool.fd = open(argv[1], O_RDWR);
    if (pool.fd < 0)
        give_up(argv[1]);
    const bool whole = !strcmp(argv[2], "intent") || !strcmp(argv[2], "root");
    uint64_t off = whole ? 0 : place(argv[3]), value = 0;
    if (argc > 4)
        value = strtoull(argv[4], NULL, 0);
    if (strcmp(argv[2], "get") == 0) {
        load(off, &value, 8);
        printf("%llu\n", (unsigned long long)value);
    } else if (strcmp(argv[2], "set") == 0 && argc == 5) {
        store(off, &value, 8);
    } else if (strcmp(argv[2], "seal") == 0 && argc == 5) {
        value = mega__seal(value);
        store(off, &value, 8);
    } else if (strcmp(argv[2], "run") == 0 && argc == 5) {
        value = with_check(value);
        store(off, &value, 8);
    } else if (strcmp(argv[2], "root") == 0 && argc == 5) {
        copy_root(argv + 3);
    } else if (strcmp(argv[2], "byte") == 0 && argc == 5) {
        store(off, &value, 1);
    } else if (strcmp(argv[2], "intent") == 0 && argc == 7) {
        put_intent(argv + 3);
    } else {
        if (strcmp(argv[2], "flip") == 0)
            flip(off, (unsigned)value);
        printf(off ? "%#llx\n" : "%llx\n", (unsigned long long)off);
    }
    return 0;
}
