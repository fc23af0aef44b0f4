/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * medium.c - rank program on a medium that fills up: writes every byte of all
 * that it can get. The last call says so, nothing dies of SIGBUS, what was got
 * stays whole, and the job goes on with it.
 */
#include "rank.h"

enum { CHUNK = 60000, MOST = 4096 };

int main(void)
{
    static mega_gptr_t got[MOST];
    int n = 0;
    mega_status_t st;
    MUST(mega_init());
    while ((st = mega_alloc(MEGA_DEFAULT, mega_my_home(), CHUNK, &got[n])) ==
           MEGA_OK) {
        memset(mega_ptr(got[n]), n & 255, CHUNK);
        HOLDS(++n < MOST);
    }
    HOLDS(st == MEGA_ERR_MEDIUM_FULL);
    HOLDS(strstr(mega_errmsg(), "largest hole") != NULL);
    HOLDS(n > 10);
    for (int i = 0; i < n; i++) {
        const unsigned char *bytes = mega_ptr(got[i]);
        HOLDS(bytes[0] == (i & 255) && bytes[CHUNK - 1] == (i & 255));
        MUST(mega_free(got[i]));
    }
    MUST(mega_alloc(MEGA_DEFAULT, mega_my_home(), CHUNK, &got[0]));
    MUST(mega_free(got[0]));
    MUST(mega_barrier());
    MUST(mega_finalize());
    puts("the medium was filled");
    return 0;
}
