/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * survivors.c - rank program over several hosts of which rank 1 is killed or
 * stopped while others wait for it: for its persist, or in a collective call;
 * or another rank of its host, while they wait for a word or a lock.
 * They are told within MEGALLOC_TIMEOUT, and what they were told before is
 * true in the next job.
 */
#include <fcntl.h>
#include <signal.h>

#include "rank.h"

enum { VICTIM = 1, WARM = 50, FOR_EVER = 120 };

static void name_of(int rank, char name[20])
{
    snprintf(name, 20, "word-%d", rank);
}

/* A file of DIR, which all hosts see. */
static int open_file(const char *dir, const char *name, int flags)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return open(path, flags, 0644);
}

static void say(const char *dir, const char *name)
{
    int fd = open_file(dir, name, O_CREAT | O_WRONLY);
    HOLDS(fd >= 0);
    close(fd);
}

static void await(const char *dir, const char *name)
{
    int fd = -1;
    for (int i = 0; fd < 0 && i < 10 * FOR_EVER; i++) {
        usleep(100000);
        fd = open_file(dir, name, O_RDONLY);
    }
    close(fd);
}

static void tell(int rank, mega_status_t st)
{
    HOLDS(st == MEGA_ERR_PEER || st == MEGA_ERR_TIMEOUT);
    printf("told: rank %d: %s\n", rank, mega_errmsg());
    fflush(stdout);
}

static void is_told(int rank, mega_status_t st)
{
    tell(rank, st);
    _exit(75);
}

/* Counts up a word of the victim's home; the file has what was durable. */
static void count(const char *dir, mega_gptr_t p)
{
    char name[20];
    name_of(mega_rank(), name);
    int fd = open_file(dir, name, O_CREAT | O_WRONLY);
    HOLDS(fd >= 0);
    for (uint64_t i = 1;; i++) {
        mega_status_t st;
        if (i % 2) {
            st = mega_put_persist(p, &i, 8);
        } else {
            st = mega_put(p, &i, 8);
            st = st ? st : mega_persist(p, 8);
        }
        if (st)
            is_told(mega_rank(), st);
        HOLDS(pwrite(fd, &i, 8, 0) == 8);
        if (i == WARM)
            say(dir, mega_rank() == 0 ? "ready-0" : "ready-2");
    }
}

/* write DIR */
static void write_words(int argc, char **argv)
{
    const uint64_t zero = 0;
    char name[20];
    mega_gptr_t p;
    HOLDS(argc == 1);
    MUST(mega_init());
    HOLDS(mega_nhomes() > VICTIM);
    if (mega_rank() != VICTIM) {
        name_of(mega_rank(), name);
        MUST(mega_alloc(MEGA_DEFAULT, VICTIM, 64, &p));
        MUST(mega_put_persist(p, &zero, 8));
        MUST(mega_root_set(MEGA_DEFAULT, name, p));
    }
    MUST(mega_barrier());
    if (mega_rank() != VICTIM)
        count(argv[0], p);
    sleep(FOR_EVER);
}

/* meet DIR: the victim does not come. */
static void meet(int argc, char **argv)
{
    HOLDS(argc == 1);
    MUST(mega_init());
    MUST(mega_barrier());
    if (mega_rank() == VICTIM) {
        say(argv[0], "ready-0");
        say(argv[0], "ready-2");
        sleep(FOR_EVER);
    }
    const int rank = mega_rank();
    mega_status_t st = mega_barrier();
    HOLDS(mega_barrier() == st); /* and no later one is waited for */
    HOLDS(mega_finalize() == st);
    is_told(rank, st);
}

/* wait DIR, of five ranks: two wait, for a word and for a lock that is shared;
 * one is stopped. The victim, of its host, and the one after each of those who
 * wait compute. */
static void wait_for_one(int argc, char **argv)
{
    enum { LOCKS, STOPPED = 4, WAITS = 2 };
    const uint64_t zero[2] = {0};
    mega_gptr_t p;
    HOLDS(argc == 1);
    MUST(mega_init());
    HOLDS(mega_nranks() == 5);
    const int rank = mega_rank();
    if (rank == 0) {
        MUST(mega_alloc(MEGA_DEFAULT, 0, 64, &p));
        MUST(mega_put_persist(p, zero, sizeof zero));
    }
    MUST(mega_bcast(&p, sizeof p, 0));
    if (rank == STOPPED)
        MUST(mega_lock(p, MEGA_LOCK_SHARED));
    MUST(mega_barrier());
    if (rank == STOPPED)
        raise(SIGSTOP);
    if (rank == LOCKS) {
        tell(rank, mega_lock(p, 0));
        say(argv[0], "told-0");
    }
    if (rank == WAITS) {
        tell(rank, mega_wait_until(mega_add(p, 8), MEGA_CMP_EQ, 1, -1));
        say(argv[0], "told-2");
    }
    await(argv[0], "told-0");
    await(argv[0], "told-2");
    _exit(75);
}

/* This process, a second from now, for that long. */
static void be_stopped(unsigned seconds)
{
    const pid_t child = fork();
    HOLDS(child >= 0);
    if (child > 0)
        return;
    sleep(1);
    kill(getppid(), SIGSTOP);
    sleep(seconds);
    kill(getppid(), SIGCONT);
    _exit(0);
}

/* leave DIR: when the space is closed and MPI is not, the victim comes late;
 * the rank before it, which waits for it, is stopped for a while. */
static void leave(int argc, char **argv)
{
    HOLDS(argc == 1);
    const unsigned patience = (unsigned)atoi(getenv("MEGALLOC_TIMEOUT"));
    MUST(mega_init());
    const int rank = mega_rank();
    MUST(mega_finalize());
    if (rank == VICTIM) {
        sleep(2 * patience + 3);
        say(argv[0], "came");
    } else if (rank == VICTIM - 1) {
        be_stopped(patience - 1);
    }
}

/* look DIR */
static void look(int argc, char **argv)
{
    char name[20];
    uint64_t durable, now;
    mega_gptr_t p;
    HOLDS(argc == 1);
    MUST(mega_init());
    rank_check_all();
    if (mega_rank() != VICTIM) {
        name_of(mega_rank(), name);
        int fd = open_file(argv[0], name, O_RDONLY);
        HOLDS(fd >= 0 && read(fd, &durable, 8) == 8);
        MUST(mega_root_get(MEGA_DEFAULT, name, &p));
        MUST(mega_get(&now, p, 8));
        HOLDS(now == durable || now == durable + 1);
    }
    MUST(mega_finalize());
}

int main(int argc, char **argv)
{
    static const struct rank_case cases[] = {
        {"write", write_words}, {"meet", meet}, {"wait", wait_for_one},
        {"leave", leave},       {"look", look}, {NULL, NULL}};
    return rank_main(cases, argc, argv);
}
