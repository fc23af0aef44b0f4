/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * commands.h - what textindex can do. Each command is collective, works on
 * the open space, and returns an exit status, the same on all ranks.
 */
#ifndef TEXTINDEX_COMMANDS_H
#define TEXTINDEX_COMMANDS_H

#include <stdbool.h>
#include <stddef.h>

struct ti_options {
    bool resume;
    bool force;
    bool progress;
    char **arg; /* PATHs or WORDs */
    size_t nargs;
};

int ti_build(const struct ti_options *opt);
int ti_query(const struct ti_options *opt);
int ti_stats(const struct ti_options *opt);
int ti_dump(const struct ti_options *opt);
int ti_verify(const struct ti_options *opt);

#endif
