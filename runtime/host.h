/* SPDX-License-Identifier: BSD-3-Clause */
/* host.h - what a host is. */
#ifndef MEGA__HOST_H
#define MEGA__HOST_H

#include "conf.h"

#define MEGA__HOST_TEXT 1024

/* Of this machine since it was started: containers on it have it, too. */
uint64_t mega__host_kernel(void);

/* Ranks whose texts are the same share what the ranks of a host share. */
void mega__host_text(const struct mega__conf *conf, char text[MEGA__HOST_TEXT]);

#endif
