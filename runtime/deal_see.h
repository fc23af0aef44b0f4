/* SPDX-License-Identifier: BSD-3-Clause */
/* deal_see.h - which homes the hosts of a job see, and who is to serve each. */
#ifndef MEGA__DEAL_SEE_H
#define MEGA__DEAL_SEE_H

#include "roll.h"

struct mega__seeing {
    struct mega__sighting *list; /* of host_rank 0, of all hosts; to be freed */
    size_t n;
    size_t here; /* homes that host_rank 0 has seen itself */
};

/* What the hosts see of the space, or, make: the homes that they are to make,
 * one of each rank, by its number. Collective, as below. */
mega_status_t mega__see(struct mega__ctx *ctx, bool make,
                        struct mega__seeing *s);

/* The homes are locked: *other_p says that a host sees fewer or more of them by
 * now. Another job may have been faster, which has ended. */
mega_status_t mega__see_again(struct mega__ctx *ctx,
                              const struct mega__seeing *s, bool *other_p);

#endif
