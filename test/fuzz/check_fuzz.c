/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_fuzz.c - the megalloc tool over damaged homes: check_fuzz DIR COUNT
 * SEED. DIR holds a small space; home 0 is damaged COUNT times over in all
 * that is not chunks, read by every command, and put right again. Half of the
 * damaged records get right checksums, so that what lies behind the checks is
 * tried too. A tool that survives exits with 0, 1 or 2 and says so; a crash,
 * a report of a sanitizer or half a minute without an end fails.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "apps/tool/commands.h"
#include "crc.h"

#define BATCH 50 /* a process does so many: what it leaves behind shows */

struct fuzz {
    char dir[200], path[256];
    char *good, *bad; /* the whole file */
    uint64_t size;
    uint64_t root, span, words, marks, end; /* where parts begin */
    uint64_t random;
};

static uint64_t draw(struct fuzz *f, uint64_t below)
{
    f->random ^= f->random << 13; /* xorshift64 */
    f->random ^= f->random >> 7;
    f->random ^= f->random << 17;
    return f->random % below;
}

/* ---- Damage ---- */

/* Values near which mistakes are made. */
static uint64_t odd_value(struct fuzz *f)
{
    uint64_t n = draw(f, UINT64_C(1) << 18);
    switch (draw(f, 9)) {
    case 0:
        return 0;
    case 1:
        return UINT64_MAX;
    case 2:
        return mega__seal(draw(f, UINT64_C(1) << 30));
    case 3:
        return mega__word_slab(MEGA__SLAB, (unsigned)draw(f, 64), 1, 0, 0);
    case 4:
        return mega__word_run(MEGA__RUN_HEAD, (uint32_t)n, 2, 1,
                              (unsigned)draw(f, 4));
    case 5:
        return mega__word_run(MEGA__RUN_TAIL, (uint32_t)n, 2, 1, 0);
    case 6:
        return mega__word_run(MEGA__FREEING, (uint32_t)n, 2, 1, 0);
    case 7:
        return mega__seal(draw(f, 1024) << 8 | draw(f, 6));
    default:
        return UINT64_C(1) << draw(f, 64);
    }
}

static uint64_t somewhere(struct fuzz *f)
{
    uint64_t block = f->span + MEGA__HOME_BLOCK_OFF;
    switch (draw(f, 8)) {
    case 0:
        return f->root + draw(f, sizeof(struct mega__pool_root));
    case 1:
        return f->root + draw(f, 3 * sizeof(struct mega__span_record));
    case 2:
        return f->span + draw(f, sizeof(struct mega__span_header));
    case 3:
        return block + draw(f, 64);
    case 4:
        return block + draw(f, sizeof(struct mega__home_block));
    case 5:
    case 6:
        return f->words + draw(f, f->marks - f->words);
    default:
        return f->marks + draw(f, f->end - f->marks);
    }
}

static void damage(struct fuzz *f)
{
    uint64_t at = somewhere(f), value = odd_value(f);
    switch (draw(f, 3)) {
    case 0:
        f->bad[at] = (char)(f->bad[at] ^ (1 << draw(f, 8)));
        break;
    case 1:
        f->bad[at] = (char)draw(f, 256);
        break;
    default:
        at &= ~UINT64_C(7);
        memcpy(f->bad + at, &value, 8);
    }
}

/* Of records of n bytes whose last four are the checksum. */
static void put_crc(struct fuzz *f, uint64_t at, size_t n)
{
    uint32_t crc = mega__crc(f->bad + at, n - 4);
    memcpy(f->bad + at + n - 4, &crc, 4);
}

static void put_crcs(struct fuzz *f)
{
    put_crc(f, f->root, sizeof(struct mega__pool_ident));
    for (unsigned i = 0; i < 3; i++) {
        uint64_t at = f->root + 64 + i * sizeof(struct mega__span_record);
        static const char never[64];
        if (memcmp(f->bad + at, never, sizeof never) != 0)
            put_crc(f, at, sizeof never);
    }
    put_crc(f, f->span, sizeof(struct mega__span_header));
}

/* The part that can differ; all of it if the file was cut short. */
static int write_file(const struct fuzz *f, const char *bytes, uint64_t size)
{
    struct stat sb;
    bool was_cut = stat(f->path, &sb) != 0 || (uint64_t)sb.st_size < f->size;
    uint64_t want = was_cut || size < f->end ? size : f->end;
    int fd = open(f->path, O_WRONLY | O_CLOEXEC);
    uint64_t done = 0;
    while (fd >= 0 && done < want) {
        ssize_t n = write(fd, bytes + done, want - done);
        if (n <= 0)
            break;
        done += (uint64_t)n;
    }
    if (fd < 0 || done < want || ftruncate(fd, (off_t)size) != 0 ||
        close(fd) != 0) {
        perror(f->path);
        return -1;
    }
    return 0;
}

/* ---- Trying ---- */

static int try_all(struct fuzz *f)
{
    static int (*const all[])(char **, const struct options *) = {
        command_check, command_leaks, command_stat,
        command_info,  command_ls,    command_dump};
    char *args[] = {f->dir, NULL}, *file[] = {f->path, NULL};
    struct options o = {.json = draw(f, 2), .all = draw(f, 2)};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        int status = all[i](draw(f, 8) ? args : file, &o);
        if (status < 0 || status > 2)
            return -1;
    }
    o.repair = o.free = true;
    if (draw(f, 16) == 0)
        return command_check(args, &o) > 2 || command_leaks(args, &o) > 2;
    return 0;
}

static int one(struct fuzz *f, uint64_t seed)
{
    uint64_t size = f->size;
    f->random = (seed + 1) * UINT64_C(0x9e3779b97f4a7c15) | 1;
    memcpy(f->bad, f->good, f->end); /* the rest never changes */
    for (uint64_t n = 1 + draw(f, 6); n > 0; n--)
        damage(f);
    if (draw(f, 2))
        put_crcs(f);
    if (draw(f, 16) == 0)
        size = draw(f, draw(f, 2) ? f->size : 8192);
    return write_file(f, f->bad, size) ? -1 : try_all(f);
}

/* Silent, but for what a sanitizer writes to descriptor 2. */
static int batch(struct fuzz *f, uint64_t first, uint64_t count)
{
    FILE *nothing = fopen("/dev/null", "w");
    if (!nothing || !freopen("/dev/null", "w", stdout))
        return 3;
    stderr = nothing;
    alarm(30);
    for (uint64_t i = 0; i < count; i++)
        if (one(f, first + i))
            return 3;
    return 0;
}

static int run(struct fuzz *f, uint64_t first, uint64_t count)
{
    int status = 0;
    pid_t pid = fork();
    if (pid == 0)
        _exit(batch(f, first, count));
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        return -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static bool load(struct fuzz *f)
{
    struct problems problems = {0};
    struct image image;
    struct span s;
    snprintf(f->path, sizeof f->path, "%s/home-0.0.pool", f->dir);
    if (!image_open(f->path, false, &problems, &image) || !image.root ||
        !image_span(&image, 0, &problems, &s))
        return false;
    f->size = image.size;
    f->root = image.root_off;
    f->span = s.off;
    f->words = s.off + s.words_off;
    f->marks = s.off + s.marks_off;
    f->end = s.off + ((uint64_t)s.first << MEGA__EXTENT_SHIFT);
    f->good = malloc(f->size);
    f->bad = malloc(f->size);
    if (f->good && f->bad) {
        memcpy(f->good, image.base, f->size);
        memcpy(f->bad, image.base, f->size);
    }
    image_close(&image);
    return f->good && f->bad;
}

int main(int argc, char **argv)
{
    static struct fuzz f;
    uint64_t failed = 0;
    if (argc != 4) {
        fprintf(stderr, "usage: check_fuzz DIR COUNT SEED\n");
        return 2;
    }
    uint64_t count = strtoull(argv[2], NULL, 10);
    uint64_t seed = strtoull(argv[3], NULL, 10);
    snprintf(f.dir, sizeof f.dir, "%s", argv[1]);
    if (!load(&f)) {
        fprintf(stderr, "check_fuzz: %s holds no small space\n", f.dir);
        return 2;
    }
    for (uint64_t i = 0; i < count; i += BATCH) {
        uint64_t n = count - i < BATCH ? count - i : BATCH;
        int status = run(&f, seed + i, n);
        if (status != 0) {
            printf("check_fuzz %s %llu %llu ends with %d\n", f.dir,
                   (unsigned long long)n, (unsigned long long)(seed + i),
                   status);
            failed++;
        }
    }
    if (write_file(&f, f.good, f.size))
        failed++;
    printf("%llu damaged homes, %llu batches failed\n",
           (unsigned long long)count, (unsigned long long)failed);
    free(f.good);
    free(f.bad);
    return failed ? 1 : 0;
}
