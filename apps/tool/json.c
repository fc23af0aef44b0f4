/* SPDX-License-Identifier: BSD-3-Clause */
/* json.c - documents on stdout, and values that JSON has no numbers for. */
#include <stdio.h>

#include "commands.h"

void print_json(json_t *json)
{
    json_dumpf(json, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
    putchar('\n');
    json_decref(json);
}

void print_json_line(json_t *json)
{
    json_dumpf(json, stdout, JSON_COMPACT | JSON_PRESERVE_ORDER);
    putchar('\n');
    json_decref(json);
}

json_t *json_gptr(uint64_t p)
{
    char text[19];
    snprintf(text, sizeof text, "0x%016llx", (unsigned long long)p);
    return json_string(text);
}
