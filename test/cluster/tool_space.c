/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tool_space.c - rank program: a space whose content is known to a chunk, for
 * trying the megalloc tool. Rank 0 makes it:
 *   root "list": 300 chunks of 100 bytes in a chain over all homes
 *   region "field": 200000 raw bytes per home, one of which names a chunk
 *   leaks: 7 chunks of 48 bytes, one of which names another, and a run
 * and prints the leaks. "tool_space kill [FILE]" then dies without an end; the
 * leaks are in the file, too: a launcher may lose what the dead have printed.
 * "tool_space grow" makes another one, of one home and two pool files: root
 * "list" names the inside of a chunk of pool 0, that one a chunk of pool 1, and
 * that one one of pool 0.
 * "tool_space names NAME..." makes roots of these names, which hold null.
 */
#include "rank.h"

#include <signal.h>
#include <stdbool.h>

enum { CHAIN = 300, LEAKS = 7, FILLERS = 64 };

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

static FILE *also; /* or NULL */

static void tell(mega_gptr_t p)
{
    printf("leak 0x%016llx\n", (unsigned long long)p.v);
    if (also)
        fprintf(also, "leak 0x%016llx\n", (unsigned long long)p.v);
}

static void leak(void)
{
    mega_gptr_t p, before = mega_null();
    for (int i = 0; i < LEAKS; i++, before = p) {
        uint64_t fill[6] = {0, before.v};
        MUST(mega_alloc(MEGA_DEFAULT, i % mega_nhomes(), 48, &p));
        MUST(mega_put_persist(p, fill, sizeof fill));
        tell(p);
    }
    MUST(mega_alloc(MEGA_DEFAULT, 0, 200000, &p));
    MUST(mega_persist(p, 200000));
    tell(p);
}

static void link_to(mega_gptr_t from, mega_gptr_t to)
{
    uint64_t fill[8] = {0, to.v};
    MUST(mega_put_persist(from, fill, sizeof fill));
}

static void grow(void)
{
    mega_gptr_t first, last, far, filler[FILLERS];
    int n = 0;
    MUST(mega_alloc(MEGA_DEFAULT, 0, 64, &first));
    MUST(mega_alloc(MEGA_DEFAULT, 0, 64, &last));
    MUST(mega_alloc(MEGA_DEFAULT, 0, 1 << 20, &far));
    while (far.v >> MEGA_OFFSET_BITS == first.v >> MEGA_OFFSET_BITS) {
        HOLDS(n < FILLERS);
        filler[n++] = far;
        MUST(mega_alloc(MEGA_DEFAULT, 0, 1 << 20, &far));
    }
    while (n > 0)
        MUST(mega_free(filler[--n]));
    link_to(last, mega_null());
    link_to(far, last);
    link_to(first, far);
    MUST(mega_root_set(MEGA_DEFAULT, "list", mega_add(first, 8)));
}

int main(int argc, char **argv)
{
    mega_region_t field;
    const bool dies = argc > 1 && strcmp(argv[1], "kill") == 0;
    MUST(mega_init());
    if (argc > 1 && strcmp(argv[1], "grow") == 0) {
        grow();
        MUST(mega_finalize());
        return 0;
    }
    if (argc > 1 && strcmp(argv[1], "names") == 0) {
        for (int i = 2; i < argc; i++)
            MUST(mega_root_set(MEGA_DEFAULT, argv[i], mega_null()));
        MUST(mega_finalize());
        return 0;
    }
    MUST(mega_region_create("field", 200000, 0, &field));
    if (mega_rank() == 0) {
        make_chain();
        fill_field(field);
        also = dies && argc > 2 ? fopen(argv[2], "w") : NULL;
        leak();
        fflush(NULL);
    }
    MUST(mega_barrier());
    if (dies)
        raise(SIGKILL);
    if (argc > 1 && strcmp(argv[1], "wait") == 0)
        while (access(argv[2], F_OK) != 0)
            usleep(20000);
    MUST(mega_region_close(&field));
    MUST(mega_finalize());
    return 0;
}
