/* SPDX-License-Identifier: BSD-3-Clause */
/* share.h - volatile memory that the ranks of one host share. Nothing in it is
 * needed after a crash, which leaves none behind. In tests: share_heap.c. */
#ifndef MEGA__SHARE_H
#define MEGA__SHARE_H

#include "types.h"

/* Memory that the ranks of this host share, all 0 but for this, with which it
 * begins. bytes: of all of it; host_rank 0 says how many. Collective over the
 * host's ranks. ERRORS: IO - also if one of the host's ranks cannot map it,
 * then on that rank only. */
mega_status_t mega__share(struct mega__ctx *ctx, size_t bytes, void **p_p);

/* The same, with the file, open in each rank. Of the mapped bytes those behind
 * bytes are not there yet: a rank writes what belongs there to the file, which
 * fails without room, and only then may any look. */
mega_status_t mega__share_file(struct mega__ctx *ctx, size_t bytes,
                               size_t mapped, void **p_p, int *fd_p);

/* Of this rank; not collective. p: NULL or what has been shared. */
void mega__unshare(void *p);

#endif
