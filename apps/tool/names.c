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

#define EDIT_MAX 31

/* How many letters are changed, left out or put in. */
static unsigned distance(const char *a, const char *b)
{
    unsigned row[EDIT_MAX + 1];
    size_t n = strlen(a), m = strlen(b);
    if (n > EDIT_MAX || m > EDIT_MAX)
        return EDIT_MAX;
    for (unsigned j = 0; j <= m; j++)
        row[j] = j;
    for (unsigned i = 1; i <= n; i++) {
        unsigned before = row[0]++;
        for (unsigned j = 1; j <= m; j++) {
            unsigned least = before + (a[i - 1] != b[j - 1]);
            before = row[j];
            if (row[j] + 1 < least)
                least = row[j] + 1;
            if (row[j - 1] + 1 < least)
                least = row[j - 1] + 1;
            row[j] = least;
        }
    }
    return row[m];
}

const char *name_nearest(const char *name, const char *const *list)
{
    const char *nearest = NULL;
    unsigned least = (unsigned)(strlen(name) + 2) / 3 + 1;
    for (; *list; list++)
        if (distance(name, *list) < least) {
            least = distance(name, *list);
            nearest = *list;
        }
    return nearest;
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
