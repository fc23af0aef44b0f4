/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * rank.h - what the rank programs of the cluster tests share. A program is a
 * table of cases, chosen by its first argument; a rank that meets a fault says
 * so on stderr and ends at once with status 1, so the launcher ends the job.
 */
#ifndef TEST_RANK_H
#define TEST_RANK_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "megalloc.h"

struct rank_case {
    const char *name;
    void (*run)(int argc, char **argv); /* the arguments after the name */
};

#define MUST(call) rank_is(MEGA_OK, (call), #call, __FILE__, __LINE__)
#define REFUSED(status, call) rank_is(status, (call), #call, __FILE__, __LINE__)
#define HOLDS(cond)                                                            \
    ((cond) ? (void)0 : rank_fault(#cond " does not hold", __FILE__, __LINE__))

static inline void rank_fault(const char *what, const char *file, int line)
{
    fprintf(stderr, "rank %d: %s:%d: %s (last error: %s)\n", mega_rank(), file,
            line, what, mega_errmsg());
    _exit(1);
}

static inline void rank_is(mega_status_t want, mega_status_t got,
                           const char *call, const char *file, int line)
{
    char text[400];
    if (got == want && (got == MEGA_OK || mega_errmsg()[0] != '\0'))
        return;
    snprintf(text, sizeof text, "%s: %s, not %s", call, mega_strerror(got),
             mega_strerror(want));
    rank_fault(text, file, line);
}

/* The calling thread's last message has a text in it. */
static inline void rank_told(const char *text)
{
    if (!strstr(mega_errmsg(), text))
        rank_fault(text, "not in the message", 0);
}

/* xorshift64*: the same series for the same seed everywhere. */
static inline uint64_t rank_random(uint64_t *state_p)
{
    uint64_t x = *state_p ? *state_p : 88172645463325252u;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    *state_p = x;
    return x * UINT64_C(2685821657736338717);
}

/* The bytes of a chunk wherever its home is. To read: in place if this host
 * maps it, else got into buf. */
static inline const unsigned char *rank_view(mega_gptr_t p, void *buf,
                                             size_t len)
{
    const unsigned char *at = mega_ptr(p);
    if (at)
        return at;
    MUST(mega_get(buf, p, len));
    return buf;
}

/* To write: in place, else in buf, from where rank_placed brings them. */
static inline unsigned char *rank_place(mega_gptr_t p, void *buf)
{
    unsigned char *at = mega_ptr(p);
    return at ? at : buf;
}

static inline void rank_placed(mega_gptr_t p, const void *at, size_t len)
{
    if (at != mega_ptr(p))
        MUST(mega_put(p, at, len));
}

/* A home of another host, or -1. r lies on all. */
static inline int rank_far_home(mega_region_t r)
{
    for (int i = 1; i <= mega_nhomes(); i++) {
        int h = (mega_rank() + i) % mega_nhomes();
        if (!mega_ptr(mega_region_at(r, h, 0, NULL)))
            return h;
    }
    return -1;
}

static inline void rank_violation(const char *what, void *arg)
{
    (void)arg;
    fprintf(stderr, "mega_check: %s\n", what);
}

/* All homes are sound; each by its server while nobody changes any. */
static inline void rank_check_all(void)
{
    MUST(mega_barrier());
    for (int h = 0; h < mega_nhomes(); h++) {
        mega_home_stat_t s;
        uint64_t bad = 1;
        MUST(mega_home_stat(h, &s));
        if (s.server != mega_rank())
            continue;
        MUST(mega_check(h, rank_violation, NULL, &bad));
        HOLDS(bad == 0);
    }
    MUST(mega_barrier());
}

/* All cases in turn in one open space; ranks.sh:steps makes a check of each. */
static inline void rank_steps(const struct rank_case *cases, int argc,
                              char **argv)
{
    MUST(mega_init());
    for (; cases->name; cases++) {
        MUST(mega_barrier());
        cases->run(argc, argv);
        rank_check_all();
        if (mega_rank() == 0)
            printf("passed: %s\n", cases->name);
        fflush(stdout);
    }
    MUST(mega_finalize());
}

static inline int rank_main(const struct rank_case *cases, int argc,
                            char **argv)
{
    for (; argc > 1 && cases->name; cases++)
        if (strcmp(cases->name, argv[1]) == 0) {
            cases->run(argc - 2, argv + 2);
            return 0;
        }
    fprintf(stderr, "usage: %s CASE [ARGUMENT]...\n", argv[0]);
    return 2;
}

#endif
