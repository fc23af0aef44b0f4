/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * medium.c - rank program on a medium that fills up: writes every byte of all
 * that it can get, on its own home or (HOME) on one that all ranks fill. The
 * last call says so, nothing dies of SIGBUS, what was got stays whole, and the
 * job goes on with it, and with the other homes. HOME keep: and leaves it full.
 * region: asks for regions that cannot fit, and for one that does.
 */
#include "rank.h"

enum { CHUNK = 60000, MOST = 4096 };

static unsigned char bytes[CHUNK];

static void write_all(mega_gptr_t p, int value)
{
    unsigned char *at = rank_place(p, bytes);
    memset(at, value, CHUNK);
    rank_placed(p, at, CHUNK);
}

static void use_other_homes(int full)
{
    mega_gptr_t p;
    for (int h = 0; h < mega_nhomes(); h++) {
        if (h == full)
            continue;
        MUST(mega_alloc(MEGA_DEFAULT, h, CHUNK, &p));
        write_all(p, h);
        MUST(mega_free(p));
    }
}

static void regions(void)
{
    mega_region_t r;
    MUST(mega_region_create("fits", CHUNK, 0, &r));
    REFUSED(MEGA_ERR_MEDIUM_FULL, mega_region_grow(r, UINT64_C(4) << 30));
    REFUSED(MEGA_ERR_MEDIUM_FULL,
            mega_region_create("big", UINT64_C(4) << 30, 0, &r));
    REFUSED(MEGA_ERR_NOT_FOUND, mega_region_open("big", &r));
    MUST(mega_region_destroy(&r));
    rank_check_all();
    MUST(mega_finalize());
}

int main(int argc, char **argv)
{
    static mega_gptr_t got[MOST];
    int n = 0;
    mega_status_t st;
    MUST(mega_init());
    if (argc > 1 && strcmp(argv[1], "region") == 0) {
        regions();
        return 0;
    }
    const int home = argc > 1 ? atoi(argv[1]) : mega_my_home();
    while ((st = mega_alloc(MEGA_DEFAULT, home, CHUNK, &got[n])) == MEGA_OK) {
        write_all(got[n], n & 255);
        HOLDS(++n < MOST);
    }
    HOLDS(st == MEGA_ERR_MEDIUM_FULL);
    HOLDS(strstr(mega_errmsg(), "largest hole") != NULL);
    HOLDS(argc > 1 || n > 10);
    if (argc > 1)
        use_other_homes(home);
    MUST(mega_barrier());
    for (int i = 0; argc < 3 && i < n; i++) {
        const unsigned char *at = rank_view(got[i], bytes, CHUNK);
        HOLDS(at[0] == (i & 255) && at[CHUNK - 1] == (i & 255));
        MUST(mega_free(got[i]));
    }
    MUST(mega_barrier());
    if (argc < 3) {
        MUST(mega_alloc(MEGA_DEFAULT, home, CHUNK, &got[0]));
        MUST(mega_free(got[0]));
    }
    rank_check_all();
    MUST(mega_finalize());
    printf("the medium was filled with %d chunks\n", n);
    return 0;
}
