/* SPDX-License-Identifier: BSD-3-Clause */
/* commands.h - what main.c calls. Each returns an exit status. */
#ifndef TOOL_COMMANDS_H
#define TOOL_COMMANDS_H

#include "homes.h"

#define EXIT_SOUND 0
#define EXIT_UNSOUND 1 /* or: there are leaks */
#define EXIT_REFUSED 2 /* usage, or no access */

struct options {
    bool json, repair, free, all, yes, watch;
    double seconds;      /* between two looks */
    unsigned long times; /* to look; 0: for ever */
    const char *svg;
};

int command_check(char **args, const struct options *o);
int command_leaks(char **args, const struct options *o);
int command_stat(char **args, const struct options *o);
int command_info(char **args, const struct options *o);
int command_ls(char **args, const struct options *o);
int command_dump(char **args, const struct options *o);
int command_rm(char **args, const struct options *o);

/* Prints it as one document, and takes it. */
void print_json(json_t *json);
/* The same in one line, of a series. */
void print_json_line(json_t *json);

static inline json_t *json_u64(uint64_t n)
{
    return json_integer((json_int_t)n);
}

/* "0x...": global pointers, which are no quantities. */
json_t *json_gptr(uint64_t p);

/* Draws the map into a file. False: said on stderr. */
bool draw_svg(const struct space *space, const char *path);

#endif
