/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * damage.c - rank program: opens a space whose files were tampered with. One
 * process on its own spoils a copy of the files again and again; each time
 * mega_init either says which file is at fault and leaves the others alone, or
 * the space opens, and then its data is whole or mega_check complains.
 */
#include "rank.h"

#include <fcntl.h>
#include <sys/stat.h>

/* libpmemobj counts in its own head how often it has opened the file. */
enum { HOMES = 2, NODES = 300, PMEM_HEAD = 8192 };

static char *image[HOMES]; /* of the pool files as they should be */
static size_t image_size[HOMES];
static char path[HOMES][400];

/* ---- The data ---- */

struct node {
    mega_gptr_t self, next;
    uint64_t seq, fill[20];
};

static void make(int argc, char **argv)
{
    mega_gptr_t head = mega_null(), p;
    mega_region_t r;
    (void)argc, (void)argv;
    MUST(mega_init());
    HOLDS(mega_nhomes() == HOMES);
    MUST(mega_region_create("raw", 200000, 0, &r));
    if (mega_rank() == 0) {
        for (uint64_t i = 0; i < NODES; i++) {
            struct node node = {.next = head, .seq = i};
            size_t size = sizeof node + i % 7 * 3000 + (i % 50 ? 0u : 100000u);
            for (uint64_t k = 0; k < 20; k++)
                node.fill[k] = i * 1000 + k;
            MUST(mega_alloc(MEGA_DEFAULT, (int)(i % HOMES), size, &head));
            node.self = head;
            MUST(mega_put_persist(head, &node, sizeof node));
            MUST(mega_put_persist(
                mega_region_at(r, (int)(i % HOMES), i * 8, NULL), &head, 8));
        }
        MUST(mega_root_set(MEGA_DEFAULT, "list", head));
        MUST(mega_alloc_to(r, 1, 500, mega_region_at(r, 0, 180000, NULL)));
        MUST(mega_root_slot(r, "slot", &p));
        MUST(mega_alloc_to(r, 0, 90000, p));
        MUST(mega_free_from(mega_region_at(r, 0, 180000, NULL)));
    }
    MUST(mega_finalize());
}

/* 0 if all that was made is there. Ends by itself on any data. */
static int data_lost(void)
{
    mega_gptr_t p, at;
    mega_region_t r;
    if (mega_root_get(MEGA_DEFAULT, "list", &p) || mega_region_open("raw", &r))
        return 1;
    for (uint64_t i = NODES; i-- > 0;) {
        struct node node;
        size_t usable;
        if (mega_get(&node, p, sizeof node) || node.self.v != p.v ||
            node.seq != i || mega_usable_size(p, &usable) ||
            mega_get(&at, mega_region_at(r, (int)(i % HOMES), i * 8, NULL),
                     8) ||
            at.v != p.v)
            return 1;
        for (uint64_t k = 0; k < 20; k++)
            if (node.fill[k] != i * 1000 + k)
                return 1;
        p = node.next;
    }
    return !mega_is_null(p) || mega_root_get(r, "slot", &p) ||
           mega_is_null(p) || mega_region_close(&r);
}

/* ---- Files ---- */

static void load(int home, const char *dir)
{
    struct stat sb;
    snprintf(path[home], sizeof path[home], "%s/home-%d.0.pool", dir, home);
    int fd = open(path[home], O_RDONLY);
    HOLDS(fd >= 0 && fstat(fd, &sb) == 0);
    image_size[home] = (size_t)sb.st_size;
    image[home] = malloc(image_size[home]);
    HOLDS(image[home] != NULL);
    HOLDS(read(fd, image[home], image_size[home]) == sb.st_size);
    HOLDS(close(fd) == 0);
}

static void store(int home)
{
    int fd = open(path[home], O_RDWR | O_CREAT, 0600);
    HOLDS(fd >= 0);
    HOLDS(pwrite(fd, image[home], image_size[home], 0) ==
          (ssize_t)image_size[home]);
    HOLDS(ftruncate(fd, (off_t)image_size[home]) == 0);
    HOLDS(close(fd) == 0);
}

static int differs(int home)
{
    int fd = open(path[home], O_RDONLY), same;
    char *now = malloc(image_size[home]);
    HOLDS(fd >= 0 && now);
    same = read(fd, now, image_size[home]) == (ssize_t)image_size[home] &&
           memcmp(now + PMEM_HEAD, image[home] + PMEM_HEAD,
                  image_size[home] - PMEM_HEAD) == 0;
    free(now);
    HOLDS(close(fd) == 0);
    return !same;
}

static void poke(int home, size_t at, const void *bytes, size_t n)
{
    int fd = open(path[home], O_RDWR);
    HOLDS(fd >= 0 && at + n <= image_size[home]);
    HOLDS(pwrite(fd, bytes, n, (off_t)at) == (ssize_t)n);
    HOLDS(close(fd) == 0);
}

static size_t find_magic(int home, uint64_t magic, size_t from)
{
    for (size_t at = from; at + 64 <= image_size[home]; at += 8)
        if (memcmp(image[home] + at, &magic, 8) == 0)
            return at;
    rank_fault("no magic in the file", __FILE__, __LINE__);
    return 0;
}

/* ---- Flips ---- */

static unsigned refused, told, harmless, silent;

static int complaints(void)
{
    uint64_t sum = 0, bad;
    for (int h = 0; h < mega_nhomes(); h++) {
        if (mega_check(h, NULL, NULL, &bad) != MEGA_OK)
            bad = 1;
        sum += bad;
    }
    return sum > 0;
}

/* Works a little in what has opened: must not crash whatever is broken. */
static void use_it(void)
{
    mega_gptr_t p[40];
    int n = 0;
    for (size_t size = 10; n < 40; size = size * 3 / 2, n++)
        if (mega_alloc(MEGA_DEFAULT, n % HOMES, size % 200000 + 1, &p[n]))
            break;
    while (n-- > 0)
        if (mega_free(p[n]))
            return;
}

static void judge(int home, const char *what, size_t at)
{
    char text[200];
    snprintf(text, sizeof text, "%s: home %d, byte %zu", what, home, at);
    alarm(60); /* a hang is a fault */
    mega_status_t st = mega_init();
    if (st) {
        char name[40], id[20];
        snprintf(name, sizeof name, "home-%d", home);
        snprintf(id, sizeof id, "home %d", home);
        if (!strstr(mega_errmsg(), name) && !strstr(mega_errmsg(), id)) {
            fprintf(stderr, "%s: the file is not named\n", text);
            rank_fault(mega_strerror(st), __FILE__, __LINE__);
        }
        /* Tables are read when the epochs have been raised already. */
        if (!strstr(what, "records") && differs(1 - home)) {
            fprintf(stderr, "%s: wrote to the other file\n", text);
            rank_fault(mega_strerror(st), __FILE__, __LINE__);
        }
        refused++;
        return;
    }
    int bad = complaints(), lost = data_lost();
    /* Extent words and the slots of roots have no checksum: they change by
     * one 8-byte store. What a flip makes of them may look right. */
    int word = strstr(what, "words") || strstr(what, "root records");
    silent += lost && !bad && word;
    if (lost && !bad && !word) {
        fprintf(stderr, "%s: data lost without a word\n", text);
        rank_fault("silent damage", __FILE__, __LINE__);
    }
    told += bad != 0;
    harmless += !bad && !lost;
    use_it();
    st = mega_finalize();
    (void)st; /* may complain */
    alarm(0);
}

static struct area {
    const char *what;
    size_t at[HOMES], len;
} areas[8];

/* As layout.h has it: root, span header, home block with its tables, words. */
static int find_areas(void)
{
    int n = 0;
    size_t root[HOMES], span[HOMES];
    uint64_t words = 0, marks = 0;
    for (int h = 0; h < HOMES; h++) {
        root[h] = find_magic(h, UINT64_C(0x4c4c4147454d0a1a), 0);
        span[h] = find_magic(h, UINT64_C(0x4e415053454d0a1a), 0);
    }
    memcpy(&words, image[0] + span[0] + 32, 8);
    memcpy(&marks, image[0] + span[0] + 40, 8);
#define AREA(name, from, off, size)                                            \
    areas[n++] = (struct area){name, {from[0] + (off), from[1] + (off)}, size}
    AREA("file head", ((size_t[HOMES]){0, 0}), 0, 4096);
    AREA("root", root, 0, 128);
    AREA("span header", span, 0, 64);
    AREA("home block", span, 4096, 64);
    AREA("region records", span, 4096 + 64, 256);
    AREA("root records", span, 4096 + 64 + 512 * 128, 384);
    AREA("run records", span, 4096 + 64 + 512 * 128 + 1024 * 128, 128);
    AREA("extent words", span, words, marks / 2 - words / 2);
#undef AREA
    return n;
}

/* flips DIR COUNT SEED: one bit, or one byte, of one file at a time. */
static void flips(int argc, char **argv)
{
    HOLDS(argc == 3);
    uint64_t seed = strtoull(argv[2], NULL, 10) * 7919 + 1;
    int count = atoi(argv[1]);
    for (int h = 0; h < HOMES; h++)
        load(h, argv[0]);
    int n = find_areas();
    areas[n - 1].len = 8 * 200; /* of words most extents are in use there */
    for (int i = 0; i < count; i++) {
        struct area *area = &areas[i % n];
        int home = (int)(rank_random(&seed) >> 40) & 1;
        size_t at = area->at[home] + rank_random(&seed) % area->len;
        unsigned char byte = (unsigned char)image[home][at];
        uint64_t x = rank_random(&seed) >> 30;
        byte ^= (unsigned char)(x & 1 ? UINT64_C(1) << (x >> 1 & 7)
                                      : (x >> 1 & 255) | 1);
        store(0);
        store(1);
        poke(home, at, &byte, 1);
        judge(home, area->what, at);
    }
    store(0);
    store(1);
    printf("flips: refused %u, found by mega_check %u, harmless %u, "
           "words that lost data unseen %u\n",
           refused, told, harmless, silent);
    HOLDS(refused > 0 && harmless > 0);
    MUST(mega_init()); /* the copy itself is sound */
    HOLDS(!complaints() && !data_lost());
    MUST(mega_finalize());
}

/* cuts DIR: pool files cut short. */
static void cuts(int argc, char **argv)
{
    HOLDS(argc == 1);
    for (int h = 0; h < HOMES; h++)
        load(h, argv[0]);
    size_t size = image_size[0];
    size_t to[] = {
        0,           1,           100,      4096,         8192,
        1 << 20,     size / 4,    size / 2, size / 4 * 3, size - 65536,
        size - 4096, size - 4095, size - 1};
    for (int home = 0; home < HOMES; home++)
        for (size_t i = 0; i < sizeof to / sizeof to[0]; i++) {
            store(0);
            store(1);
            HOLDS(truncate(path[home], (off_t)to[i]) == 0);
            alarm(60);
            mega_status_t st = mega_init();
            char name[40];
            snprintf(name, sizeof name, "home-%d", home);
            if (st == MEGA_OK || !strstr(mega_errmsg(), name)) {
                fprintf(stderr, "cut to %zu of %zu\n", to[i], size);
                rank_fault("opened, or the file is not named", __FILE__,
                           __LINE__);
            }
            HOLDS(!differs(1 - home));
        }
    store(0);
    store(1);
    MUST(mega_init());
    HOLDS(!complaints() && !data_lost());
    MUST(mega_finalize());
}

static void look(int argc, char **argv)
{
    (void)argc, (void)argv;
    mega_status_t st = mega_init();
    if (st) {
        fprintf(stderr, "init: %s: %s\n", mega_strerror(st), mega_errmsg());
        exit(7);
    }
    HOLDS(mega_rank() != 0 || !complaints());
    HOLDS(!data_lost());
    MUST(mega_finalize());
}

int main(int argc, char **argv)
{
    static const struct rank_case cases[] = {{"make", make},
                                             {"flips", flips},
                                             {"cuts", cuts},
                                             {"look", look},
                                             {NULL, NULL}};
    return rank_main(cases, argc, argv);
}
