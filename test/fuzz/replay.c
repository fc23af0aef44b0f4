/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * replay.c - what the fuzzer does, without it: replay FILE|DIR... tries those
 * inputs, each with all commands; replay --pack DIR FILE makes one of a space.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "packed.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

#define COMMANDS 10

static unsigned tried;

static int pack(const char *dir, const char *path)
{
    size_t n;
    uint8_t *bytes = packed_make(dir, &n);
    FILE *out = bytes ? fopen(path, "w") : NULL;
    if (!out || fwrite(bytes, 1, n, out) != n || fclose(out) != 0) {
        fprintf(stderr, "replay: cannot pack %s\n", dir);
        return 1;
    }
    free(bytes);
    return 0;
}

static void try_file(const char *path)
{
    struct stat sb;
    FILE *in = fopen(path, "r");
    if (!in || fstat(fileno(in), &sb) != 0) {
        perror(path);
        exit(2);
    }
    size_t n = (size_t)sb.st_size;
    uint8_t *bytes = malloc(n + 1);
    if (!bytes || fread(bytes, 1, n, in) != n)
        exit(2);
    fclose(in);
    fprintf(stderr, "replay: %s\n", path);
    uint8_t own = n ? bytes[0] : 0;
    for (unsigned i = 0; i < COMMANDS; i++) {
        alarm(60); /* a minute without an end fails */
        bytes[0] = (uint8_t)(own + i);
        LLVMFuzzerTestOneInput(bytes, n);
    }
    free(bytes);
    tried++;
}

static void try_dir(const char *dir)
{
    char path[600];
    struct dirent **found = NULL;
    int n = scandir(dir, &found, NULL, alphasort);
    if (n < 0) {
        perror(dir);
        exit(2);
    }
    for (int i = 0; i < n; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, found[i]->d_name);
        if (found[i]->d_name[0] != '.')
            try_file(path);
        free(found[i]);
    }
    free(found);
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "--pack") == 0)
        return pack(argv[2], argv[3]);
    if (argc < 2 || !freopen("/dev/null", "w", stdout))
        return 2;
    for (int i = 1; i < argc; i++) {
        struct stat sb;
        if (stat(argv[i], &sb) == 0 && S_ISDIR(sb.st_mode))
            try_dir(argv[i]);
        else
            try_file(argv[i]);
    }
    fprintf(stderr, "replay: %u inputs, all of them survived\n", tried);
    return 0;
}
