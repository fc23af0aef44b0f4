/* SPDX-License-Identifier: BSD-3-Clause */
/* names.c - see names.h. */
#include "names.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* Bytes of the character of UTF-8 at s, of n at most; 0: none that a terminal
 * should meet. */
static size_t printable(const unsigned char *s, size_t n)
{
    static const uint32_t least[] = {0, ' ', 0xa0, 0x800, 0x10000};
    size_t len = s[0] < 0x80                   ? 1
                 : s[0] >= 0xc0 && s[0] < 0xe0 ? 2
                 : s[0] >= 0xe0 && s[0] < 0xf0 ? 3
                 : s[0] >= 0xf0 && s[0] < 0xf8 ? 4
                                               : 0;
    uint32_t c = len > 1 ? s[0] & (0x7fu >> len) : s[0];
    if (len == 0 || len > n)
        return 0;
    for (size_t i = 1; i < len; i++) {
        if ((s[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (s[i] & 0x3f);
    }
    bool turns = (c >= 0x200e && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) ||
                 (c >= 0x2066 && c <= 0x2069); /* the direction, the line */
    bool none = c == 0x7f || (c >= 0xd800 && c < 0xe000) || c > 0x10ffff;
    return c < least[len] || turns || none ? 0 : len;
}

char *name_clean(const char *name, size_t n, char *out, size_t size)
{
    size_t i = 0;
    n = strnlen(name, n < size ? n : size - 1);
    while (i < n) {
        size_t len = printable((const unsigned char *)name + i, n - i);
        memcpy(out + i, len ? name + i : "?", len ? len : 1);
        i += len ? len : 1;
    }
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
