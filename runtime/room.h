/* SPDX-License-Identifier: BSD-3-Clause */
/* room.h - whether homes and their media can hold what a region asks for. */
#ifndef MEGA__ROOM_H
#define MEGA__ROOM_H

#include "types.h"

/* Whether each home has so many bytes free, or can grow by what it lacks. It
 * takes nothing, so others may be faster; and what is just enough by this may
 * be a little too little. Collective. ERRORS: HOME_FULL; MEDIUM_FULL;
 * TABLE_FULL - a home has all its spans; NOMEM. */
mega_status_t mega__room_check(struct mega__ctx *ctx, uint64_t bytes);

#endif
