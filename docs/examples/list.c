/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * list.c - a list in persistent memory that all ranks add to, without a lock.
 *
 *   list COUNT          each rank adds so many entries
 *   list COUNT die      the same, but rank 0 kills itself half way
 *
 * An entry is made durable first and linked then (L4), so whatever comes
 * between, every entry that is in the list is whole. An entry that was made
 * and not linked yet when the job died is a leak: list_publish.c has none.
 */
#include <megalloc.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct entry {
    uint64_t next; /* a global pointer's bits; 0 ends the list */
    uint64_t number;
    char text[32];
};

static void must(mega_status_t status, const char *what)
{
    if (status == MEGA_OK)
        return;
    fprintf(stderr, "list: %s: %s: %s\n", what, mega_strerror(status),
            mega_errmsg());
    exit(1);
}

/* Walks the list; whoever can follow it to its end has read whole entries. */
static uint64_t count_entries(mega_gptr_t head)
{
    uint64_t at, n = 0;
    struct entry e;
    char text[sizeof e.text];
    for (must(mega_fetch64(head, &at), "head"); at; at = e.next, n++) {
        must(mega_get(&e, mega_from_bits(at), sizeof e), "entry");
        snprintf(text, sizeof text, "entry %llu", (unsigned long long)e.number);
        if (strcmp(text, e.text) != 0)
            must(MEGA_ERR_DAMAGED, "an entry is torn");
    }
    return n;
}

static int count_one(mega_gptr_t p, size_t usable, void *arg)
{
    (void)p, (void)usable;
    ++*(uint64_t *)arg;
    return 0;
}

static void show(const char *when, mega_gptr_t head)
{
    uint64_t live = 0, linked = count_entries(head);
    for (int home = 0; home < mega_nhomes(); home++)
        must(mega_walk(MEGA_DEFAULT, home, count_one, &live, NULL), "walk");
    printf("%s: %llu entries, %llu chunks that nothing leads to\n", when,
           (unsigned long long)linked, (unsigned long long)(live - linked));
}

static void add(mega_gptr_t head, uint64_t number, int die)
{
    struct entry e = {.number = number};
    mega_gptr_t p;
    uint64_t seen;
    snprintf(e.text, sizeof e.text, "entry %llu", (unsigned long long)number);
    must(mega_alloc(MEGA_DEFAULT, MEGA_ANY_HOME, sizeof e, &p), "alloc");
    must(mega_fetch64(head, &seen), "head");
    do {
        e.next = seen;
        must(mega_put_persist(p, &e, sizeof e), "put");
        if (die)
            raise(SIGKILL);
        must(mega_cswap64(head, e.next, p.v, &seen), "link");
    } while (seen != e.next); /* another rank was faster */
    must(mega_persist(head, 8), "persist");
}

int main(int argc, char **argv)
{
    uint64_t n = argc > 1 ? strtoull(argv[1], NULL, 10) : 1000;
    int die = argc > 2;
    mega_gptr_t head;
    must(mega_init(), "init");
    must(mega_root_slot(MEGA_DEFAULT, "list", &head), "root");
    if (mega_rank() == 0)
        show("found", head);
    must(mega_barrier(), "barrier");
    for (uint64_t i = 0; i < n; i++)
        add(head, i, die && mega_rank() == 0 && i == n / 2);
    must(mega_barrier(), "barrier");
    if (mega_rank() == 0)
        show("now", head);
    must(mega_finalize(), "finalize");
    return 0;
}
