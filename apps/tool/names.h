/* SPDX-License-Identifier: BSD-3-Clause */
/* names.h - values as people read them. */
#ifndef TOOL_NAMES_H
#define TOOL_NAMES_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

/* A name may hold any bytes; each that is not of a printable character of UTF-8
 * becomes '?', so that neither a terminal nor a JSON reader meets them. At most
 * n bytes of it. */
char *name_clean(const char *name, size_t n, char *out, size_t size);
json_t *name_json(const char *name, size_t n);

/* 1536 -> "1.5 KiB". */
char *name_size(uint64_t bytes, char out[16]);

/* The name of the list (its end: NULL) that somebody may have meant, or NULL.
 */
const char *name_nearest(const char *name, const char *const *list);

char *name_uuid(const uint8_t uuid[16], char out[37]);

#endif
