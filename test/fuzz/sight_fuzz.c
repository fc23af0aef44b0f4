/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * sight_fuzz.c - one command of the megalloc tool over one damaged space. For
 * libFuzzer, which finds the damage (make fuzz), and for replay.c, which does
 * what was found once more. A crash, a report of a sanitizer or no end is
 * what fails; besides, a space that check has just repaired or called sound
 * must be so to the next look too.
 */
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "apps/tool/commands.h"
#include "packed.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static char dir[64], file[96], picture[96];

static int remove_one(const char *path, const struct stat *sb, int type,
                      struct FTW *ftw)
{
    (void)sb, (void)type, (void)ftw;
    return remove(path);
}

static void clean_up(void)
{
    nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void set_up(void)
{
    snprintf(dir, sizeof dir, "/dev/shm/megalloc-fuzz.XXXXXX");
    if (!mkdtemp(dir))
        abort();
    snprintf(file, sizeof file, "%s/%s", dir, packed_name(0));
    snprintf(picture, sizeof picture, "%s/map.svg", dir);
    atexit(clean_up);
}

static void must(int holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "sight_fuzz: %s\n", what);
    abort();
}

static int look(const struct packed *p, struct options *o, char **args)
{
    switch (p->command % 10) {
    case 0:
        return command_leaks(args, o);
    case 1:
        return command_stat(args, o);
    case 2:
        return command_info(args, o);
    case 3:
        return command_ls(args, o);
    case 4:
        return command_dump(args, o);
    case 5:
        o->svg = picture;
        return command_dump(args, o);
    case 6:
        o->free = true;
        return command_leaks(args, o);
    case 7:
        o->yes = true;
        return command_rm(args, o);
    default:
        return command_check(args, o);
    }
}

static void repair(const struct packed *p, struct options *o, char **args)
{
    o->repair = true;
    int first = command_check(args, o);
    o->repair = false;
    int second = command_check(args, o);
    must(first == second || first == EXIT_REFUSED, /* a home is there twice */
         "a repair and the check after it do not agree");
    (void)p;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    struct packed p;
    char *whole[] = {dir, NULL}, *one[] = {file, NULL};
    if (!dir[0])
        set_up();
    if (!packed_open(bytes, n, dir, &p))
        return 0;
    struct options o = {.json = p.flags & PACKED_JSON,
                        .all = p.flags & PACKED_ALL};
    char **args = p.flags & PACKED_FILE ? one : whole;
    if (p.command % 10 == 9) {
        repair(&p, &o, args);
    } else {
        int status = look(&p, &o, args);
        must(status >= 0 && status <= 2, "no exit status");
    }
    return 0;
}
