/* SPDX-License-Identifier: BSD-3-Clause */
/* packed.c - see packed.h. */
#include "packed.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "apps/tool/homes.h"

#define UNIT (UINT64_C(1) << 16)
#define UNITS_MAX 160 /* 10 MiB */
#define HEAD (3 + PACKED_FILES * 6)
#define ROOT_AT 4096
#define GAP 12 /* a new stretch is not worth less */

struct file {
    char *base;
    uint64_t size, root;
};

static const char *const names[PACKED_FILES] = {
    "home-0.0.pool", "home-1.0.pool", "home-0.1.pool"};

const char *packed_name(unsigned file)
{
    return names[file];
}

/* ---- Checksums put right ---- */

/* Of a record of n bytes whose last four are the checksum. */
static void put_crc(void *record, size_t n)
{
    uint32_t crc = mega__crc(record, n - 4);
    memcpy((char *)record + n - 4, &crc, 4);
}

static void put_seal(uint64_t *word)
{
    if (*word != 0)
        *word = mega__seal(*word & UINT64_C(0xffffffffffff));
}

static uint32_t record_id(uint64_t state)
{
    return (uint32_t)((state & UINT64_C(0xffffffffffff)) >> 8);
}

static void fix_names(struct mega__home_block *b)
{
    for (unsigned i = 0; i < MEGA_REGIONS_MAX; i++)
        if (b->regions[i].state)
            b->regions[i].crc = mega__record_name_crc(
                record_id(b->regions[i].state), b->regions[i].name);
    for (unsigned i = 0; i < MEGA_ROOTS_MAX; i++)
        if (b->roots[i].state)
            b->roots[i].crc = mega__record_name_crc(
                record_id(b->roots[i].state), b->roots[i].name);
}

static void fix_runs(struct mega__home_block *b)
{
    for (unsigned i = 0; i < MEGA__RUNS_MAX; i++) {
        struct mega__run_record *r = &b->runs[i];
        if (!r->state)
            continue;
        r->crc = mega__record_run_crc(record_id(r->state), r);
    }
}

static void fix_intents(struct mega__home_block *b)
{
    for (unsigned i = 0; i < MEGA__INTENTS_MAX; i++) {
        struct mega__intent *in = &b->intents[i];
        if (!in->seq || in->n > MEGA_PUBLISH_MAX)
            continue;
        in->crc = mega__record_intent_crc(in);
    }
}

static void fix_seals(struct mega__home_block *b)
{
    put_seal(&b->born);
    put_seal(&b->epoch);
    put_seal(&b->clean);
    put_seal(&b->npools);
    put_seal(&b->next_region);
    put_seal(&b->reached);
    put_seal(&b->lot);
    for (unsigned i = 0; i < MEGA_REGIONS_MAX; i++) {
        put_seal(&b->regions[i].state);
        put_seal(&b->regions[i].bytes_per_home);
    }
    for (unsigned i = 0; i < MEGA_ROOTS_MAX; i++)
        put_seal(&b->roots[i].state);
    for (unsigned i = 0; i < MEGA__RUNS_MAX; i++)
        put_seal(&b->runs[i].state);
}

static void fix_span(struct file *f, uint64_t base, unsigned fix)
{
    struct mega__home_block *b;
    if (base % 64 || base > f->size ||
        f->size - base < MEGA__HOME_BLOCK_OFF + sizeof *b)
        return;
    if (fix & FIX_HEADER)
        put_crc(f->base + base, sizeof(struct mega__span_header));
    if (((struct mega__span_header *)(void *)(f->base + base))->span != 0)
        return;
    b = (void *)(f->base + base + MEGA__HOME_BLOCK_OFF);
    if (fix & FIX_SEALS)
        fix_seals(b);
    if (fix & FIX_NAMES)
        fix_names(b);
    if (fix & FIX_RUNS)
        fix_runs(b);
    if (fix & FIX_INTENTS)
        fix_intents(b);
}

static void fix_file(struct file *f, unsigned fix)
{
    struct mega__pool_root *root;
    if (f->size < sizeof *root || f->root > f->size - sizeof *root)
        return;
    root = (void *)(f->base + f->root);
    if (fix & FIX_SEALS) {
        put_seal(&root->age.reached);
        put_seal(&root->age.lot);
    }
    if (!(fix & LEAVE_IDENT)) { /* all by which it is found */
        root->ident.magic = MEGA__POOL_MAGIC;
        root->ident.self = f->root;
        put_crc(&root->ident, sizeof root->ident);
    }
    for (unsigned i = 0; i < 4; i++) {
        if (!root->spans[i].base)
            continue;
        if (fix & FIX_SPANS)
            put_crc(&root->spans[i], sizeof root->spans[i]);
        fix_span(f, root->spans[i].base, fix);
    }
}

/* ---- Unpacking ---- */

static bool open_file(const char *dir, unsigned i, struct file *f)
{
    char path[300];
    snprintf(path, sizeof path, "%s/%s", dir, names[i]);
    unlink(path);
    if (f->size == 0)
        return true;
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return false;
    void *base = MAP_FAILED;
    if (ftruncate(fd, (off_t)f->size) == 0)
        base = mmap(NULL, f->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    f->base = base == MAP_FAILED ? NULL : base;
    return f->base != NULL;
}

static void put_stretches(const uint8_t *bytes, size_t n, struct file *files)
{
    for (size_t at = HEAD; n - at >= 7;) {
        struct file *f = &files[bytes[at] % PACKED_FILES];
        uint32_t off;
        uint16_t len;
        memcpy(&off, bytes + at + 1, 4);
        memcpy(&len, bytes + at + 5, 2);
        at += 7;
        if (len > n - at)
            len = (uint16_t)(n - at);
        if (off < f->size && len <= f->size - off)
            memcpy(f->base + off, bytes + at, len);
        at += len;
    }
}

bool packed_open(const uint8_t *bytes, size_t n, const char *dir,
                 struct packed *packed)
{
    struct file files[PACKED_FILES] = {{0}};
    bool ok = n >= HEAD;
    if (!ok)
        return false;
    packed->command = bytes[0];
    packed->flags = bytes[1];
    for (unsigned i = 0; ok && i < PACKED_FILES; i++) {
        uint16_t units;
        uint32_t root;
        memcpy(&units, bytes + 3 + i * 6, 2);
        memcpy(&root, bytes + 5 + i * 6, 4);
        files[i].size = units % (UNITS_MAX + 1) * UNIT;
        files[i].root = files[i].size ? root % files[i].size & ~15u : 0;
        ok = open_file(dir, i, &files[i]);
    }
    if (ok)
        put_stretches(bytes, n, files);
    for (unsigned i = 0; i < PACKED_FILES; i++) {
        if (ok && files[i].base)
            fix_file(&files[i], bytes[2]);
        if (files[i].base)
            munmap(files[i].base, files[i].size);
    }
    return ok;
}

/* ---- Packing ---- */

struct out {
    uint8_t *bytes;
    size_t n, room;
};

static void put(struct out *o, const void *bytes, size_t n)
{
    if (o->n + n > o->room) {
        o->room = 2 * (o->room + n);
        o->bytes = realloc(o->bytes, o->room);
        if (!o->bytes)
            abort();
    }
    memcpy(o->bytes + o->n, bytes, n);
    o->n += n;
}

static void put_stretch(struct out *o, unsigned file, const char *base,
                        uint64_t off, uint64_t end, uint64_t shift)
{
    while (off < end) {
        uint8_t no = (uint8_t)file;
        uint32_t at = (uint32_t)(off + shift);
        uint16_t len = (uint16_t)(end - off < 60000 ? end - off : 60000);
        put(o, &no, 1);
        put(o, &at, 4);
        put(o, &len, 2);
        put(o, base + off, len);
        off += len;
    }
}

/* What is not zero in [off, end), to lie shift bytes further on. */
static void put_range(struct out *o, unsigned file, const char *base,
                      uint64_t off, uint64_t end, uint64_t shift)
{
    while (off < end) {
        uint64_t zeroes = 0, to = off;
        if (base[off] == 0) {
            off++;
            continue;
        }
        for (; to < end && zeroes < GAP; to++)
            zeroes = base[to] == 0 ? zeroes + 1 : 0;
        put_stretch(o, file, base, off, to - zeroes, shift);
        off = to;
    }
}

/* Root and spans move to the front of the file, so that the fuzzer need not
 * wait for a search through libpmemobj's part, which is left out. */
static void pack_file(struct out *o, unsigned file, const struct image *image)
{
    struct mega__pool_root root = *image->root;
    uint64_t end = MEGA__SPAN_ALIGN;
    uint32_t self = ROOT_AT;
    put_range(o, file, image->base, 0, 8, 0);
    root.ident.self = self;
    put_crc(&root.ident, sizeof root.ident);
    for (unsigned i = 0; i < MEGA__POOL_SPANS; i++) {
        struct mega__span_record *r = &root.spans[i];
        if (r->size == 0 || !image_has(image, r->base, r->size))
            continue;
        put_range(o, file, image->base + r->base, 0, r->size, end);
        r->base = end;
        put_crc(r, sizeof *r);
        end = (end + r->size + MEGA__SPAN_ALIGN - 1) & ~(MEGA__SPAN_ALIGN - 1);
    }
    put_range(o, file, (const char *)&root, 0, sizeof root, self);
    uint16_t units = (uint16_t)(end / UNIT);
    memcpy(o->bytes + 3 + file * 6, &units, 2);
    memcpy(o->bytes + 5 + file * 6, &self, 4);
}

uint8_t *packed_make(const char *dir, size_t *n_p)
{
    struct out o = {NULL, 0, 0};
    struct problems ignored = {0};
    bool some = false;
    static const uint8_t head[HEAD];
    put(&o, head, sizeof head);
    for (unsigned i = 0; i < PACKED_FILES; i++) {
        struct image image;
        char path[300];
        snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        if (access(path, R_OK) != 0 ||
            !image_open(path, false, &ignored, &image))
            continue;
        if (image.root && image.size <= UNITS_MAX * UNIT) {
            pack_file(&o, i, &image);
            some = true;
        }
        image_close(&image);
    }
    if (!some) {
        free(o.bytes);
        return NULL;
    }
    *n_p = o.n;
    return o.bytes;
}
