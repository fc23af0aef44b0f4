/* SPDX-License-Identifier: BSD-3-Clause */
/* pool_name.h - the name of a pool file, read: by the library and by the tool.
 * What is not written as they write it is somebody else's. */
#ifndef MEGA__POOL_NAME_H
#define MEGA__POOL_NAME_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* "/m/home-3.1.pool": true, with 3 and 1; *rest_p is what follows. */
static inline bool mega__pool_name(const char *path, uint32_t *home_p,
                                   uint32_t *pool_p, const char **rest_p)
{
    char again[48];
    unsigned home, pool;
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    if (sscanf(name, "home-%9u.%9u.pool", &home, &pool) != 2)
        return false;
    size_t n =
        (size_t)snprintf(again, sizeof again, "home-%u.%u.pool", home, pool);
    if (strncmp(name, again, n) != 0) /* it had signs, blanks or zeros */
        return false;
    *home_p = home;
    *pool_p = pool;
    *rest_p = name + n;
    return true;
}

#endif
