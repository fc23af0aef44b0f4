/* SPDX-License-Identifier: BSD-3-Clause */
/* check.c - megalloc check. */
#include <stdio.h>

#include "commands.h"
#include "locks.h"
#include "repair.h"
#include "verify.h"

#define LISTED 1000 /* of each grade, unless all are asked for */

/* What is left after a repair, silently. */
static bool look_again(char **args, struct problems *left)
{
    struct space space;
    bool ok = space_open(args, false, left, &space);
    if (ok)
        verify(&space, left);
    space_close(&space);
    return ok;
}

int command_check(char **args, const struct options *o)
{
    struct problems problems = {.print = !o->json, .most = o->all ? 0 : LISTED},
                    left = {.most = 1};
    struct space space;
    struct locks locks = {0};
    if (o->json)
        problems.list = json_array();
    bool ok = o->repair ? locks_open(args, &problems, &space, &locks)
                        : space_open(args, false, &problems, &space);
    if (ok) {
        verify(&space, &problems);
        left = problems;
        left.list = NULL;
    }
    ok = ok && (!o->repair || repair(&space, &problems));
    size_t homes = space.nhomes;
    uint32_t of = space.of;
    space_close(&space);
    if (ok && o->repair) {
        left = (struct problems){.most = 1};
        ok = look_again(args, &left);
    }
    locks_give(&locks);
    if (!ok) {
        json_decref(problems.list);
        return EXIT_REFUSED;
    }
    bool sound = left.count[FAULT] == 0;
    if (o->json) {
        json_t *all = problems_json(&problems);
        json_object_set_new(all, "sound", json_boolean(sound));
        json_object_set_new(all, "homes", json_u64(homes));
        print_json(all);
    } else {
        printf("%zu of %u homes: %s: %llu faults, %llu pending%s\n", homes, of,
               sound ? "sound" : "unsound",
               (unsigned long long)left.count[FAULT],
               (unsigned long long)left.count[PENDING],
               o->repair ? " after the repair" : "");
    }
    return sound ? EXIT_SOUND : EXIT_UNSOUND;
}
