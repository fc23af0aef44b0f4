/* SPDX-License-Identifier: BSD-3-Clause */
/* view.h - what a rank sees of the files of a space, by their names. */
#ifndef MEGA__VIEW_H
#define MEGA__VIEW_H

#include "conf.h"

#define MEGA__PATH 4200

struct mega__seen {
    uint32_t home;
    uint64_t file; /* which, of this kernel; 0: it cannot be opened */
};

/* Finds the homes whose first pool file is seen: *list_p, to be freed, holds
 * *n_p of them, their numbers rising. */
mega_status_t mega__view_find(const struct mega__conf *conf,
                              struct mega__seen **list_p, size_t *n_p);

/* The directory of the homes as a pattern of glob(7). ERRORS: CONF. */
mega_status_t mega__view_pattern(const struct mega__conf *conf, char *out,
                                 size_t size);

/* Makes the directory of a home. ERRORS: IO, CONF. */
mega_status_t mega__view_make_dir(const struct mega__conf *conf, uint32_t home);

/* Ranks of one kernel that see the same have the same number: the directory,
 * which is made if a space may be made, and the homes in it. */
uint64_t mega__view_number(const struct mega__conf *conf);

#endif
