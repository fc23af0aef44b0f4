/* SPDX-License-Identifier: BSD-3-Clause */
/* conf.h - the settings of one job, read once from the environment. */
#ifndef MEGA__CONF_H
#define MEGA__CONF_H

#include "megalloc.h"

enum mega__conf_open {
    MEGA__OPEN_AUTO,
    MEGA__OPEN_CREATE,
    MEGA__OPEN_OPEN,
    MEGA__OPEN_DEGRADED
};
enum mega__conf_durability {
    MEGA__DURABLE_AUTO,
    MEGA__DURABLE_POWER,
    MEGA__DURABLE_MSYNC,
    MEGA__DURABLE_PROCESS
};

enum mega__conf_atomics { MEGA__ATOMICS_CPU, MEGA__ATOMICS_NIC };

#define MEGA__CONF_TEXT 512
#define MEGA__CONF_CWD 4096

union mega__conf_value { /* by the variable's kind */
    char text[MEGA__CONF_TEXT];
    uint64_t number; /* bytes, seconds, or the index of the word */
};

struct mega__conf_var {
    union mega__conf_value v;
    int from_environment;
};

struct mega__conf {
#define CONF(field, name, kind, def, help) struct mega__conf_var field;
#include "conf_defs.h"
#undef CONF
    char cwd[MEGA__CONF_CWD]; /* that dir is relative to; empty: it is not */
};

/* Fills conf. ERRORS: CONF - a value is unreadable (the message names it).
 * Unknown MEGALLOC_* names are reported by the log, with the nearest name. */
mega_status_t mega__conf_read(struct mega__conf *conf);

/* How far apart two short names are, in letters to change. */
unsigned mega__conf_distance(const char *a, const char *b);

/* Writes all settings with value and origin to stderr. */
void mega__conf_print(const struct mega__conf *conf);

/* The name of this host, cut to size. */
void mega__conf_host(const struct mega__conf *conf, char *name, size_t size);

/* The directory of a home, absolute: %h, %n and the default expanded.
 * ERRORS: CONF - longer than size. */
mega_status_t mega__conf_dir(const struct mega__conf *conf, uint32_t home,
                             char *dir, size_t size);

/* After so many seconds a rank that is waited for is lost: what is left of
 * MEGALLOC_TIMEOUT is for all others to hear of it. */
static inline uint64_t mega__conf_silence(const struct mega__conf *conf)
{
    return conf->timeout.v.number - conf->timeout.v.number / 8;
}

#define MEGA__CONF_LOOKS 16 /* in that time */

/* ns between two looks of who waits. */
static inline uint64_t mega__conf_period(const struct mega__conf *conf)
{
    const uint64_t least = 100000000;
    const uint64_t rest = conf->timeout.v.number - mega__conf_silence(conf);
    const uint64_t ns = rest * 1000000000 / MEGA__CONF_LOOKS;
    return ns > least ? ns : least;
}

#endif
