/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * look.c - what a space holds: what its last open found, the roots, how full
 * the homes are, and whether the invariants hold. Changes no data. With
 * MEGALLOC_OPEN=degraded it tells which homes are absent and goes on.
 */
#include <megalloc.h>

#include <stdio.h>
#include <stdlib.h>

typedef unsigned long long ull;

static void must(mega_status_t status, const char *what)
{
    if (status == MEGA_OK)
        return;
    fprintf(stderr, "look: %s: %s: %s\n", what, mega_strerror(status),
            mega_errmsg());
    exit(1);
}

/* Whether there is something to show; must() ends what is worse. */
static int is_there(mega_status_t status, const char *what)
{
    if (status == MEGA_ERR_ABSENT)
        printf("%s: %s\n", what, mega_errmsg());
    else
        must(status, what);
    return status == MEGA_OK;
}

static void complain(const char *what, void *arg)
{
    (void)arg;
    printf("  bad: %s\n", what);
}

static void show_home(int home, uint64_t *bad_sum)
{
    static const char *const domains[] = {"process", "power-msync", "power"};
    mega_home_stat_t s;
    uint64_t bad;
    if (!is_there(mega_home_stat(home, &s), "stat"))
        return;
    printf("home %d: %s, %s\n", home, s.path, domains[s.domain]);
    printf("  %llu bytes in %d spans, %llu free, largest hole %llu\n",
           (ull)s.size, s.spans, (ull)s.free, (ull)s.largest_hole);
    printf("  %llu live chunks of %llu bytes\n", (ull)s.live_chunks,
           (ull)s.live_bytes);
    if (!is_there(mega_check(home, complain, NULL, &bad), "check"))
        return;
    printf("  %llu violations\n", (ull)bad);
    *bad_sum += bad;
}

int main(void)
{
    mega_recovery_t rec;
    uint64_t at = 0, bad = 0;
    char name[MEGA_NAME_MAX + 1];
    mega_gptr_t p;
    mega_status_t st;
    must(mega_init(), "init");
    if (mega_rank() == 0) {
        must(mega_recovery(&rec), "recovery");
        printf("epoch %llu, the job before ended %s; %llu groups completed, "
               "%llu extents given back\n",
               (ull)rec.epoch, rec.clean ? "cleanly" : "by a crash",
               (ull)rec.intents, (ull)rec.extents_freed);
        while ((st = mega_root_next(MEGA_DEFAULT, &at, name, &p)) == MEGA_OK)
            printf("root %s = %#llx\n", name, (ull)p.v);
        is_there(st == MEGA_ERR_NOT_FOUND ? MEGA_OK : st, "roots");
        for (int home = 0; home < mega_nhomes(); home++)
            show_home(home, &bad);
    }
    must(mega_finalize(), "finalize");
    return bad != 0;
}
