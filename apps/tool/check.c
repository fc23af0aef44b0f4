/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check.c - megalloc check. The problems are those that were found, and what
 * was mended; the numbers at the end say what is left. Of a running job too:
 * what changes while it is looked at is passed over.
 */
#include <inttypes.h>
#include <stdio.h>

#include "commands.h"
#include "locks.h"
#include "repair.h"
#include "verify.h"

#define LISTED 1000 /* of each grade, unless all are asked for */

struct outcome {
    size_t homes;
    uint32_t of;
    bool in_use;
    uint64_t faults, pending, repaired;
};

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

/* False: no access; said on stderr. */
static bool look(char **args, const struct options *o,
                 struct problems *problems, struct outcome *out)
{
    struct problems left = {.most = 1};
    struct space space;
    struct locks locks = {0};
    bool ok = o->repair ? locks_open(args, problems, &space, &locks)
                        : space_open(args, false, problems, &space);
    if (ok) {
        verify(&space, problems);
        *out = (struct outcome){space.nhomes,
                                space.of,
                                !o->repair && locks_in_use(&space),
                                problems->count[FAULT],
                                problems->count[PENDING],
                                0};
    }
    ok = ok && (!o->repair || repair(&space, problems));
    space_close(&space);
    if (ok && o->repair) {
        ok = look_again(args, &left);
        out->faults = left.count[FAULT];
        out->pending = left.count[PENDING];
        out->repaired = problems->count[REPAIRED];
    }
    locks_give(&locks);
    return ok;
}

static void print_outcome(const struct outcome *out, const struct options *o)
{
    printf("%zu of %u homes: %s: %" PRIu64 " faults, %" PRIu64 " pending",
           out->homes, out->of, out->faults ? "unsound" : "sound", out->faults,
           out->pending);
    if (o->repair)
        printf(" after %" PRIu64 " repairs", out->repaired);
    puts(out->in_use ? " (a job has it open)" : "");
}

static void print_json_outcome(const struct outcome *out, json_t *list)
{
    json_t *all = json_object();
    json_object_set_new(all, "sound", json_boolean(out->faults == 0));
    json_object_set_new(all, "homes", json_u64(out->homes));
    json_object_set_new(all, "of", json_u64(out->of));
    json_object_set_new(all, "in_use", json_boolean(out->in_use));
    json_object_set_new(all, "faults", json_u64(out->faults));
    json_object_set_new(all, "pending", json_u64(out->pending));
    json_object_set_new(all, "repaired", json_u64(out->repaired));
    json_object_set_new(all, "problems", list);
    print_json(all);
}

int command_check(char **args, const struct options *o)
{
    struct problems problems = {.print = !o->json, .most = o->all ? 0 : LISTED};
    struct outcome out = {0};
    if (o->json)
        problems.list = json_array();
    if (!look(args, o, &problems, &out)) {
        json_decref(problems.list);
        return EXIT_REFUSED;
    }
    if (o->json)
        print_json_outcome(&out, problems.list);
    else
        print_outcome(&out, o);
    return out.faults ? EXIT_UNSOUND : EXIT_SOUND;
}
