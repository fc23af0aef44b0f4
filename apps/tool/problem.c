/* SPDX-License-Identifier: BSD-3-Clause */
/* problem.c - see problem.h. */
#include "problem.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "names.h"

static const char *const grades[GRADES] = {"fault", "pending", "repaired",
                                           "note"};

static void list(struct problems *p, enum grade grade, const char *path,
                 uint64_t off, const char *text)
{
    json_t *item = json_object();
    json_object_set_new(item, "grade", json_string(grades[grade]));
    if (path) {
        json_object_set_new(item, "file", name_json(path, strlen(path)));
        json_object_set_new(item, "offset", json_integer((json_int_t)off));
    }
    json_object_set_new(item, "what", name_json(text, strlen(text)));
    json_array_append_new(p->list, item);
}

void problem(struct problems *p, enum grade grade, const char *path,
             uint64_t off, const char *format, ...)
{
    char text[400];
    va_list args;
    p->count[grade]++;
    if (p->most && p->count[grade] > p->most)
        return;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (p->list)
        list(p, grade, path, off, text);
    if (p->print && path)
        printf("%s: %s: offset %#" PRIx64 ": %s\n", grades[grade], path, off,
               text);
    else if (p->print)
        printf("%s: %s\n", grades[grade], text);
}
