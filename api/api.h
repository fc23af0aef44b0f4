/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * api.h - the one process-wide pointer, and how a public call begins. Public
 * calls check their arguments here; the runtime relies on it.
 */
#ifndef MEGA__API_H
#define MEGA__API_H

#include "types.h"

/* The open job, or NULL. Set by init and finalize only. Hidden, for a load less
 * in every call. */
extern struct mega__ctx *mega__the __attribute__((visibility("hidden")));

/* Says that there is none. */
mega_status_t mega__api_closed(void);

/* A collective begins: the job, or NULL with *st_p set (STATE; BUSY: this
 * rank is in another one; THREAD). Pair with mega__api_end. */
struct mega__ctx *mega__api_begin(mega_status_t *st_p);
mega_status_t mega__api_end(struct mega__ctx *ctx, mega_status_t st);

/* The caller gives no place for what the call answers. */
mega_status_t mega__api_no_place(void);

/* A home of the space. NULL: *st_p says why not. */
struct mega__home *mega__api_home(struct mega__ctx *ctx, int home,
                                  mega_status_t *st_p);

/* ERRORS: ARG - NULL, empty or longer than MEGA_NAME_MAX. */
mega_status_t mega__api_name(const char *name);

/* The id of a region. ERRORS: ARG - it was destroyed. */
mega_status_t mega__api_region(mega_region_t r, uint32_t *id_p);

#endif
