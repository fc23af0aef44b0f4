/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * list_publish.c - the list of list.c without leaks: an entry is reserved,
 * filled, and then published, which allocates and links it in one step that a
 * crash cannot split (L6). What was reserved and not published is free again
 * after a crash.
 *
 *   list_publish COUNT [die]    as list.c
 *
 * A slot belongs to its publisher until the call returns, so ranks take
 * turns by a lock. It lies in the heap; a restart voids it.
 */
#include <megalloc.h>

#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

struct anchor {
    uint64_t lock; /* of mega_lock; must start as 0 */
    uint64_t head;
};

struct entry {
    uint64_t next;
    uint64_t number;
    char text[32];
};

static void must(mega_status_t status, const char *what)
{
    if (status == MEGA_OK)
        return;
    fprintf(stderr, "list_publish: %s: %s: %s\n", what, mega_strerror(status),
            mega_errmsg());
    exit(1);
}

/* The first job makes the anchor; those after it find it. */
static mega_gptr_t find_anchor(void)
{
    mega_gptr_t slot, p;
    struct anchor empty = {0};
    must(mega_root_slot(MEGA_DEFAULT, "anchor", &slot), "root");
    must(mega_fetch64(slot, &p.v), "root");
    if (mega_rank() == 0 && mega_is_null(p)) {
        must(mega_reserve(MEGA_DEFAULT, MEGA_ANY_HOME, sizeof empty, &p),
             "reserve");
        must(mega_put(p, &empty, sizeof empty), "put");
        mega_publish_item_t item = {MEGA_PUBLISH_ALLOC, p, slot};
        must(mega_publish(&item, 1, MEGA_PERSIST_CONTENTS), "publish");
    }
    must(mega_barrier(), "barrier");
    must(mega_fetch64(slot, &p.v), "root");
    return p;
}

static int count_one(mega_gptr_t p, size_t usable, void *arg)
{
    (void)p, (void)usable;
    ++*(uint64_t *)arg;
    return 0;
}

static void show(const char *when, mega_gptr_t head)
{
    uint64_t at, live = 0, linked = 0;
    struct entry e;
    for (must(mega_fetch64(head, &at), "head"); at; at = e.next, linked++)
        must(mega_get(&e, mega_from_bits(at), sizeof e), "entry");
    for (int home = 0; home < mega_nhomes(); home++)
        must(mega_walk(MEGA_DEFAULT, home, count_one, &live, NULL), "walk");
    live--; /* the anchor */
    printf("%s: %llu entries, %llu chunks that nothing leads to\n", when,
           (unsigned long long)linked, (unsigned long long)(live - linked));
}

static void add(mega_gptr_t anchor, uint64_t number, int die)
{
    mega_gptr_t head = mega_add(anchor, offsetof(struct anchor, head));
    struct entry e = {.number = number};
    mega_gptr_t p;
    snprintf(e.text, sizeof e.text, "entry %llu", (unsigned long long)number);
    must(mega_reserve(MEGA_DEFAULT, MEGA_ANY_HOME, sizeof e, &p), "reserve");
    must(mega_lock(anchor, 0), "lock");
    must(mega_fetch64(head, &e.next), "head");
    must(mega_put(p, &e, sizeof e), "put");
    if (die)
        raise(SIGKILL); /* while it holds the lock, too */
    /* An ALLOC links into a null slot only; here the head moves on, so the
     * chunk becomes live without a link, and a SET links it. */
    mega_publish_item_t items[] = {{MEGA_PUBLISH_ALLOC, p, mega_null()},
                                   {MEGA_PUBLISH_SET, p, head}};
    must(mega_publish(items, 2, MEGA_PERSIST_CONTENTS), "publish");
    must(mega_unlock(anchor, 0), "unlock");
}

int main(int argc, char **argv)
{
    uint64_t n = argc > 1 ? strtoull(argv[1], NULL, 10) : 1000;
    int die = argc > 2;
    must(mega_init(), "init");
    mega_gptr_t anchor = find_anchor();
    mega_gptr_t head = mega_add(anchor, offsetof(struct anchor, head));
    if (mega_rank() == 0)
        show("found", head);
    must(mega_barrier(), "barrier");
    for (uint64_t i = 0; i < n; i++)
        add(anchor, i, die && mega_rank() == 0 && i == n / 2);
    must(mega_barrier(), "barrier");
    if (mega_rank() == 0)
        show("now", head);
    must(mega_finalize(), "finalize");
    return 0;
}
