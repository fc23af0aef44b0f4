/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tool_space.c - rank program: a space whose content is known to a chunk, for
 * trying the megalloc tool. Rank 0 makes it:
 *   root "list": 300 chunks of 100 bytes in a chain over all homes
 *   region "field": 200000 raw bytes per home, one of which names a chunk
 *   leaks: 7 chunks of 48 bytes, one of which names another, and a run
 * and prints the leaks. "tool_space kill" then dies without an end.
 */
#include "rank.h"

#include <signal.h>

enum { CHAIN = 300, LEAKS = 7 };

static void make_chain(void)
{
    mega_gptr_t p = mega_null(), next;
    for (int i = 0; i < CHAIN; i++, p = next) {
        MUST(mega_alloc(MEGA_DEFAULT, i % mega_nhomes(), 100, &next));
        char fill[100] = {0};
        memcpy(fill + 16, &p, 8);
        MUST(mega_put_persist(next, fill, sizeof fill));
    }
    MUST(mega_root_set(MEGA_DEFAULT, "list", p));
}

static void fill_field(mega_region_t field)
{
    mega_gptr_t p, at = mega_region_at(field, mega_nhomes() - 1, 8 * 777, NULL);
    MUST(mega_alloc(field, 0, 3000, &p));
    uint64_t nothing[375] = {0};
    MUST(mega_put_persist(p, nothing, sizeof nothing));
    MUST(mega_put_persist(at, &p, 8));
}

static void leak(void)
{
    mega_gptr_t p, before = mega_null();
    for (int i = 0; i < LEAKS; i++, before = p) {
        uint64_t fill[6] = {0, before.v};
        MUST(mega_alloc(MEGA_DEFAULT, i % mega_nhomes(), 48, &p));
        MUST(mega_put_persist(p, fill, sizeof fill));
        printf("leak 0x%016llx\n", (unsigned long long)p.v);
    }
    MUST(mega_alloc(MEGA_DEFAULT, 0, 200000, &p));
    MUST(mega_persist(p, 200000));
    printf("leak 0x%016llx\n", (unsigned long long)p.v);
}

int main(int argc, char **argv)
{
    mega_region_t field;
    MUST(mega_init());
    MUST(mega_region_create("field", 200000, 0, &field));
    if (mega_rank() == 0) {
        make_chain();
        fill_field(field);
        leak();
        fflush(stdout);
    }
    MUST(mega_barrier());
    if (argc > 1 && strcmp(argv[1], "kill") == 0)
        raise(SIGKILL);
    if (argc > 1 && strcmp(argv[1], "wait") == 0)
        while (access(argv[2], F_OK) != 0)
            usleep(20000);
    MUST(mega_region_close(&field));
    MUST(mega_finalize());
    return 0;
}
