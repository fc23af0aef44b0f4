/* SPDX-License-Identifier: BSD-3-Clause */
/* net_ucx_caller.h - who asks a service: origins of other ranks, known since
 * their greeting. Of the service's thread alone. */
#ifndef MEGA__NET_UCX_CALLER_H
#define MEGA__NET_UCX_CALLER_H

#include "net_ucx.h"

struct mega__callers {
    struct mega__lists of;       /* by rank and origin */
    struct mega__caller *spares; /* for those who come when there is no memory:
                                  * who is not answered takes us for lost */
};

/* ERRORS: NOMEM. */
mega_status_t mega__ucx_callers_begin(struct mega__callers *callers);

/* A greeting has come; one that is not right is dropped. */
void mega__ucx_caller_meet(struct mega__callers *callers,
                           const struct mega__ctx *ctx,
                           const struct mega__wire_head *head,
                           const void *address, size_t len);

/* Who sent this. NULL: it has not greeted us. */
struct mega__caller *mega__ucx_caller(struct mega__callers *callers,
                                      const struct mega__wire_head *head);

/* The way back, made at the first call. NULL: it is lost. */
ucp_ep_h mega__ucx_caller_ep(struct mega__caller *caller, ucp_worker_h worker);

/* After their worker, which ends the endpoints. */
void mega__ucx_callers_free(struct mega__callers *callers);

#endif
