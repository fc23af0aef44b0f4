/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * crash_point.c - kills this process at a point of runtime/crash_point.h.
 * Set once, at init; counted by any thread.
 */
#include "crash_point.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "conf.h"
#include "log.h"

static const char *const names[] = {
#define NAME(name) #name,
    MEGA__CRASH_POINTS_LIST(NAME)
#undef NAME
};
#define COUNT (sizeof names / sizeof names[0])

static atomic_int chosen = -1;
static atomic_long left;

void mega__crash_at(enum mega__crash_point point)
{
    if ((int)point == atomic_load(&chosen) && atomic_fetch_sub(&left, 1) == 1)
        raise(SIGKILL);
}

static mega_status_t unknown(const char *name)
{
    size_t best = 0;
    for (size_t i = 1; i < COUNT; i++)
        if (mega__conf_distance(name, names[i]) <
            mega__conf_distance(name, names[best]))
            best = i;
    return mega__fail(MEGA_ERR_CONF,
                      "MEGALLOC_CRASH=%.60s: no such point; did you mean %s?",
                      name, names[best]);
}

mega_status_t mega__crash_set(const char *text)
{
    char name[64] = "", *end;
    size_t n = strcspn(text, ":");
    long count = 1;
    memcpy(name, text, n < sizeof name ? n : sizeof name - 1);
    if (text[n]) {
        count = strtol(text + n + 1, &end, 10);
        if (*end || count < 1)
            return mega__fail(MEGA_ERR_CONF,
                              "MEGALLOC_CRASH=%.60s: give point:count", text);
    }
    for (size_t i = 0; i < COUNT; i++)
        if (strcmp(name, names[i]) == 0) {
            atomic_store(&left, count);
            atomic_store(&chosen, (int)i);
            return MEGA_OK;
        }
    return unknown(name);
}
