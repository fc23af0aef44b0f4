/* SPDX-License-Identifier: BSD-3-Clause */
/* names.c - see names.h. */
#include "names.h"

#include <stdio.h>
#include <string.h>

char *name_clean(const char *name, size_t n, char *out, size_t size)
{
    size_t i = 0;
    for (; i < n && i + 1 < size && name[i]; i++)
        out[i] = name[i] >= ' ' && name[i] <= '~' ? name[i] : '?';
    out[i] = '\0';
    return out;
}

json_t *name_json(const char *name, size_t n)
{
    char text[4200];
    json_t *as_is = json_stringn(name, strnlen(name, n)); /* if it is UTF-8 */
    return as_is ? as_is : json_string(name_clean(name, n, text, sizeof text));
}

char *name_size(uint64_t bytes, char out[16])
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    double value = (double)bytes;
    unsigned u = 0;
    for (; value >= 1024 && u < 4; u++)
        value /= 1024;
    snprintf(out, 16, u && value < 99.95 ? "%.1f %s" : "%.0f %s", value,
             units[u]);
    return out;
}

char *name_uuid(const uint8_t uuid[16], char out[37])
{
    char *at = out;
    for (unsigned i = 0; i < 16; i++)
        at += sprintf(at,
                      i == 4 || i == 6 || i == 8 || i == 10 ? "-%02x" : "%02x",
                      uuid[i]);
    return out;
}
