/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * main.c - megalloc: looks at spaces that lie on a medium, without MPI and
 * without libpmemobj, and mends, cleans or removes them. Everything that it
 * reads may be damaged: see image.h.
 */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "names.h"

static const char usage_text[] =
    "usage: megalloc COMMAND [OPTIONS] DIR|POOL-FILE...\n"
    "  info                  which space it is, its homes and files\n"
    "  check [--repair]      verify all; status 1 if it is unsound\n"
    "  leaks [--free]        live chunks that nothing reaches; status 1 if "
    "any\n"
    "  stat [--watch[=SECONDS] [--times=N]]\n"
    "                        used, free, largest hole, fragmentation\n"
    "  ls                    regions and named roots\n"
    "  dump [--svg=FILE]     map of the extents\n"
    "  rm [--yes]            remove the files of the space\n"
    "options: --json, --all (list everything), --help, --version\n";

struct command {
    const char *name;
    int (*run)(char **args, const struct options *o);
    const char *takes; /* letters of options, besides j and a */
};

static const struct command commands[] = {
    {"info", command_info, ""},    {"check", command_check, "r"},
    {"leaks", command_leaks, "f"}, {"stat", command_stat, "wn"},
    {"ls", command_ls, ""},        {"dump", command_dump, "s"},
    {"rm", command_rm, "y"},
};

static const struct option long_options[] = {
    {"json", no_argument, NULL, 'j'},
    {"all", no_argument, NULL, 'a'},
    {"repair", no_argument, NULL, 'r'},
    {"free", no_argument, NULL, 'f'},
    {"watch", optional_argument, NULL, 'w'},
    {"times", required_argument, NULL, 'n'},
    {"svg", required_argument, NULL, 's'},
    {"yes", no_argument, NULL, 'y'},
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, 'V'},
    {NULL, 0, NULL, 0},
};

#define NAMES 12

/* why ends with what; meant may be NULL. */
static int refuse(const char *why, const char *what, const char *meant)
{
    fprintf(stderr, "megalloc: %s%s", why, what);
    if (meant)
        fprintf(stderr, "; did you mean %s", meant);
    fprintf(stderr, "%c megalloc --help tells more\n", meant ? '?' : ';');
    return EXIT_REFUSED;
}

static int refuse_command(const char *name)
{
    const char *names[NAMES] = {NULL};
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        names[i] = commands[i].name;
    return refuse("there is no command ", name, name_nearest(name, names));
}

/* getopt does not know it, or it has, or lacks, a value. */
static int refuse_option(const char *text)
{
    const char *names[NAMES] = {NULL}, *meant = NULL;
    char name[32] = "";
    bool known = false;
    if (strncmp(text, "--", 2) == 0)
        snprintf(name, sizeof name, "%.*s", (int)strcspn(text + 2, "="),
                 text + 2);
    for (size_t i = 0; long_options[i].name; i++) {
        names[i] = long_options[i].name;
        known = known || strcmp(names[i], name) == 0;
    }
    if (known)
        return refuse("a value is missing, or one too many: ", text, NULL);
    meant = *name ? name_nearest(name, names) : NULL;
    if (meant)
        snprintf(name, sizeof name, "--%.20s", meant);
    return refuse("there is no option ", text, meant ? name : NULL);
}

static const char *option_name(int letter)
{
    size_t i = 0;
    while (long_options[i].val != letter)
        i++;
    return long_options[i].name;
}

/* A file was cut short while it was read, or the medium refuses to read. */
static void on_bus_error(int sig)
{
    static const char text[] =
        "megalloc: a file was cut short meanwhile, or cannot be read\n";
    ssize_t written = write(STDERR_FILENO, text, sizeof text - 1);
    (void)sig;
    (void)written;
    _exit(EXIT_REFUSED);
}

static bool set_option(struct options *o, int letter)
{
    char *end = NULL;
    switch (letter) {
    case 'j':
        o->json = true;
        return true;
    case 'a':
        o->all = true;
        return true;
    case 'r':
        o->repair = true;
        return true;
    case 'f':
        o->free = true;
        return true;
    case 'y':
        o->yes = true;
        return true;
    case 's':
        o->svg = optarg;
        return true;
    case 'w':
        o->watch = true;
        o->seconds = optarg ? strtod(optarg, &end) : 1;
        return !optarg || (end != optarg && !*end && o->seconds >= 0.01 &&
                           o->seconds <= 86400);
    case 'n':
        o->times = strtoul(optarg, &end, 10);
        o->seconds = o->watch ? o->seconds : 1;
        o->watch = true;
        return *optarg >= '1' && *optarg <= '9' && !*end;
    default:
        return false;
    }
}

static const struct command *find_command(const char *name)
{
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

static int refuse_fit(int letter, const char *command)
{
    char text[60];
    snprintf(text, sizeof text, "--%s is no option of ", option_name(letter));
    return refuse(text, command, NULL);
}

/* -1: go on; else the exit status. */
static int read_options(int argc, char **argv, const struct command **cmd_p,
                        struct options *o)
{
    int letter;
    char seen[64] = "";
    opterr = 0;
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (argv[i][0] == '-' && argv[i][1] && argv[i][1] != '-')
            return refuse_option(argv[i]); /* getopt does not say which */
    while ((letter = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
        char one[2] = {(char)letter, '\0'};
        if (letter == 'h') {
            fputs(usage_text, stdout);
            return EXIT_SOUND;
        }
        if (letter == 'V') {
            puts("megalloc " MEGA_TOOL_VERSION);
            return EXIT_SOUND;
        }
        if (letter == '?')
            return refuse_option(argv[optind - 1]);
        if (!set_option(o, letter)) {
            char text[40];
            snprintf(text, sizeof text,
                     "cannot read the value of --%s: ", option_name(letter));
            return refuse(text, optarg, NULL);
        }
        if (!strchr(seen, letter) && strlen(seen) + 1 < sizeof seen)
            strcat(seen, one);
    }
    if (optind == argc)
        return refuse("say what to do", "", NULL);
    *cmd_p = find_command(argv[optind]);
    if (!*cmd_p)
        return refuse_command(argv[optind]);
    for (const char *s = seen; *s; s++)
        if (*s != 'j' && *s != 'a' && !strchr((*cmd_p)->takes, *s))
            return refuse_fit(*s, (*cmd_p)->name);
    if (optind + 1 == argc)
        return refuse("say which directory or pool files", "", NULL);
    return -1;
}

int main(int argc, char **argv)
{
    const struct command *cmd = NULL;
    struct options o = {0};
    int status = read_options(argc, argv, &cmd, &o);
    if (status >= 0)
        return status;
    signal(SIGBUS, on_bus_error);
    status = cmd->run(argv + optind + 1, &o);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        perror("megalloc: write");
        return EXIT_REFUSED;
    }
    return status;
}
