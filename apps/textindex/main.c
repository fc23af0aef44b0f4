/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * main.c - textindex: a persistent inverted index over text files, built by
 * all ranks of a job in the global space, and finished by a later job if this
 * one is killed. See textindex(1).
 */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "commands.h"
#include "job.h"

static const char usage_text[] =
    "usage: megarun -n N textindex COMMAND ...\n"
    "  build [--resume | --force] [--progress] PATH...\n"
    "                  index the files under PATHs; --resume: go on with an\n"
    "                  index that a killed build has left; --force: drop it\n"
    "  query WORD...   the files that have a word, and how often\n"
    "  stats           what the index consists of, and leaked chunks\n"
    "  dump            all words and how often each occurs\n"
    "  verify PATH...  count again and compare\n"
    "The index lies in the space named by MEGALLOC_DIR. Exit status: 0 done,\n"
    "1 verify found a difference, 2 wrong use, 3 megalloc or the system\n"
    "refused something, 75 another rank is gone.\n";

struct command {
    const char *name;
    int (*run)(const struct ti_options *opt);
    size_t least, most; /* arguments */
    const char *takes;
};

static const struct command commands[] = {
    {"build", ti_build, 0, SIZE_MAX, "paths"},
    {"query", ti_query, 1, SIZE_MAX, "words"},
    {"stats", ti_stats, 0, 0, "no arguments"},
    {"dump", ti_dump, 0, 0, "no arguments"},
    {"verify", ti_verify, 1, SIZE_MAX, "paths"},
};

/* why ends with what. */
static int refuse(const char *why, const char *what)
{
    ti_say("%s%s; textindex --help tells more", why, what);
    return TI_USAGE;
}

static const struct command *find_command(const char *name)
{
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

/* Carries out the command between init and finalize. */
static int run(const struct command *cmd, const struct ti_options *opt)
{
    mega_status_t st = mega_init();

    if (st) {
        ti_say("%s", mega_errmsg());
        return st == MEGA_ERR_PEER || st == MEGA_ERR_TIMEOUT ? TI_LOST
                                                             : TI_FAILED;
    }
    int code = cmd->run(opt);
    st = mega_finalize();
    if (st) {
        ti_failed("finalize", st);
        return TI_FAILED;
    }
    return code;
}

/* Reads the options; -1 or, if the program is to end now, its exit status. */
static int parse_options(int argc, char **argv, struct ti_options *opt)
{
    static const struct option options[] = {
        {"resume", no_argument, NULL, 'r'},   {"force", no_argument, NULL, 'f'},
        {"progress", no_argument, NULL, 'p'}, {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'v'},  {NULL, 0, NULL, 0},
    };

    for (;;) {
        switch (getopt_long(argc, argv, "", options, NULL)) {
        case -1:
            return -1;
        case 'r':
            opt->resume = true;
            break;
        case 'f':
            opt->force = true;
            break;
        case 'p':
            opt->progress = true;
            break;
        case 'h':
            fputs(usage_text, stdout);
            return TI_OK;
        case 'v':
            printf("textindex (megalloc %s)\n", mega_version());
            return TI_OK;
        default: /* getopt has said which */
            return refuse("there is no such option", "");
        }
    }
}

/* -1, or an exit status: the arguments make no sense, and why. */
static int check_use(const struct command *cmd, const struct ti_options *opt)
{
    if (opt->nargs > cmd->most || opt->nargs < cmd->least ||
        (cmd->run == ti_build && !opt->resume && opt->nargs == 0)) {
        char why[40];
        snprintf(why, sizeof why, "%s takes ", cmd->name);
        return refuse(why, cmd->takes);
    }
    if (cmd->run != ti_build && (opt->resume || opt->force || opt->progress))
        return refuse("that is no option of ", cmd->name);
    if (opt->resume && opt->force)
        return refuse("--resume keeps the index and --force drops it: ",
                      "give one of them");
    return -1;
}

int main(int argc, char **argv)
{
    struct ti_options opt = {0};
    int code = parse_options(argc, argv, &opt);

    if (code >= 0)
        return code;
    if (optind == argc)
        return refuse("say what to do", "");
    const struct command *cmd = find_command(argv[optind]);
    if (!cmd)
        return refuse("there is no command ", argv[optind]);
    opt.arg = argv + optind + 1;
    opt.nargs = (size_t)(argc - optind - 1);
    code = check_use(cmd, &opt);
    return code >= 0 ? code : run(cmd, &opt);
}
