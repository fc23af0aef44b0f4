/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * late.c - rank program: rank 1 is late, or stops, before mega_init, in it, or
 * after mega_finalize. What the others are told is for late.sh.
 */
#include <mpi.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <time.h>

#include "rank.h"

enum { VICTIM = 1 };

/* Of the environment: nobody may have started MPI. */
static int my_rank(void)
{
    const char *rank = getenv("OMPI_COMM_WORLD_RANK");
    rank = rank ? rank : getenv("PMI_RANK");
    return rank ? atoi(rank) : -1;
}

/* Exit runs all that there is, also if MPI has not ended. */
static void say_exit(void)
{
    printf("exits: rank %d\n", my_rank());
}

/* ---- In mega_init: at the n-th agreement of all ranks, or before ---- */

static int stop_at = -1; /* agreements still to come; 0: when hosts are found */
static bool poor;        /* it has no memory then */

int MPI_Iallgather(const void *in, int n, MPI_Datatype type, void *out, int m,
                   MPI_Datatype out_type, MPI_Comm comm, MPI_Request *request)
{
    if (stop_at == 0 && my_rank() == VICTIM)
        raise(SIGSTOP);
    if (poor && my_rank() == VICTIM)
        return MPI_ERR_NO_MEM;
    return PMPI_Iallgather(in, n, type, out, m, out_type, comm, request);
}

int MPI_Iallreduce(const void *in, void *out, int n, MPI_Datatype type,
                   MPI_Op op, MPI_Comm comm, MPI_Request *request)
{
    if (stop_at > 0 && --stop_at == 0 && my_rank() == VICTIM)
        raise(SIGSTOP);
    return PMPI_Iallreduce(in, out, n, type, op, comm, request);
}

static bool failing; /* MPI, of the victim, once */

int MPI_Ibarrier(MPI_Comm comm, MPI_Request *request)
{
    const bool fails = failing && my_rank() == VICTIM;
    failing = false;
    return fails ? MPI_ERR_OTHER : PMPI_Ibarrier(comm, request);
}

/* Ends, unless it is well. */
static void look_at(mega_status_t st)
{
    int started;
    if (!st)
        return;
    HOLDS(st == MEGA_ERR_TIMEOUT || st == MEGA_ERR_PEER);
    printf("told: rank %d: %s\n", my_rank(), mega_errmsg());
    fflush(stdout);
    MPI_Initialized(&started);
    if (!started)
        REFUSED(MEGA_ERR_STATE, mega_init());
    sleep(3); /* the others are told, too, before the launcher ends them */
    exit(started ? 75 : 0);
}

static void init(void)
{
    look_at(mega_init());
}

/* in AGREEMENT */
static void in(int argc, char **argv)
{
    HOLDS(argc == 1);
    stop_at = atoi(argv[0]);
    init();
    MUST(mega_finalize());
}

/* poor: the victim goes on without a space. */
static void be_poor(int argc, char **argv)
{
    (void)argc, (void)argv;
    poor = true;
    const mega_status_t st = mega_init();
    HOLDS(st != MEGA_OK);
    if (my_rank() == VICTIM)
        sleep(60); /* till the launcher ends it */
    look_at(st);
}

/* ---- While the space is open ---- */

static mega_gptr_t words; /* a PID of each rank, and one more */

static void open_words(void)
{
    mega_region_t r;
    init();
    MUST(mega_region_create("words", 4096, 0, &r));
    words = mega_region_at(r, 0, 0, NULL);
    MUST(mega_set64(mega_add(words, 8 * mega_rank()), (uint64_t)getpid()));
    MUST(mega_barrier());
}

static mega_status_t wait_in(const char *where)
{
    const mega_gptr_t word = mega_add(words, 8 * mega_nranks());
    mega_region_t r;
    if (strcmp(where, "barrier") == 0)
        return mega_barrier();
    if (strcmp(where, "commit") == 0)
        return mega_commit();
    if (strcmp(where, "finalize") == 0)
        return mega_finalize();
    if (strcmp(where, "create") == 0)
        return mega_region_create("more", 4096, 0, &r);
    if (strcmp(where, "word") == 0)
        return mega_wait_until(word, MEGA_CMP_EQ, 1, -1);
    HOLDS(strcmp(where, "lock") == 0);
    return mega_lock(word, 0);
}

static void write_to(const char *dir, const char *name, const char *text)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *file = fopen(path, "w");
    HOLDS(file && fputs(text, file) >= 0 && fclose(file) == 0);
}

/* In a cgroup, of either version: the others are not in it. */
static void freeze(const char *group)
{
    write_to(group, "cgroup.procs", "0");
    if (strstr(group, "/freezer/"))
        write_to(group, "freezer.state", "FROZEN");
    else
        write_to(group, "cgroup.freeze", "1");
}

/* held WHERE [GROUP]: the victim stops, or is frozen in that cgroup, and the
 * others wait for it there. */
static void held(int argc, char **argv)
{
    HOLDS(argc == 1 || argc == 2);
    open_words();
    if (my_rank() == VICTIM && strcmp(argv[0], "lock") == 0)
        MUST(wait_in("lock"));
    MUST(mega_barrier());
    if (my_rank() == VICTIM && argc == 2)
        freeze(argv[1]);
    else if (my_rank() == VICTIM)
        raise(SIGSTOP);
    look_at(wait_in(argv[0]));
}

/* rests SECONDS: the victim is stopped so long, less than others wait. */
static void rests(int argc, char **argv)
{
    const unsigned seconds = argc == 1 ? (unsigned)atoi(argv[0]) : 0;
    open_words();
    for (int i = 0; i < 2; i++) { /* it waits, or they do */
        const pid_t child = my_rank() == VICTIM ? fork() : 1;
        if (child == 0) {
            sleep(1);
            kill(getppid(), SIGSTOP);
            sleep(seconds);
            kill(getppid(), SIGCONT);
            _exit(0);
        }
        if ((my_rank() == VICTIM) == i)
            sleep(seconds + 2);
        MUST(mega_set64(mega_add(words, 8 * mega_rank()), seconds));
        MUST(mega_commit());
    }
    MUST(mega_finalize());
}

static void signal_all(int sig, const pid_t *pids)
{
    for (int i = 0; i < mega_nranks(); i++)
        kill(pids[i], sig);
}

/* paused SECONDS: the job is, as a whole. */
static void paused(int argc, char **argv)
{
    const unsigned seconds = argc == 1 ? (unsigned)atoi(argv[0]) : 0;
    pid_t pids[16];
    open_words();
    HOLDS(mega_nranks() <= 16);
    for (int i = 0; i < mega_nranks(); i++) {
        uint64_t pid;
        MUST(mega_get(&pid, mega_add(words, 8 * i), 8));
        pids[i] = (pid_t)pid;
    }
    MUST(mega_barrier());
    if (my_rank() == VICTIM && fork() == 0) {
        sleep(2); /* they wait */
        signal_all(SIGSTOP, pids);
        sleep(seconds);
        signal_all(SIGCONT, pids);
        _exit(0);
    }
    if (my_rank() == VICTIM)
        sleep(seconds + 4);
    MUST(mega_commit());
    MUST(mega_finalize());
}

/* works SECONDS: the victim does so, and is waited for. */
static void works(int argc, char **argv)
{
    HOLDS(argc == 1);
    open_words();
    const time_t end = time(NULL) + atoi(argv[0]);
    while (my_rank() == VICTIM && time(NULL) < end)
        continue;
    MUST(mega_commit());
    MUST(mega_finalize());
}

/* ---- In mega_commit, which the others give up ---- */

enum { PAINT = 0x5a, PAINTED = 1 << 16 };

/* What MPI still has of the call it may write to while it is called. */
static __attribute__((noinline)) void see_unharmed(unsigned seconds)
{
    volatile unsigned char stack[PAINTED];
    memset((void *)stack, PAINT, sizeof stack);
    for (unsigned i = 0; i < 1000 * seconds; i++) {
        int any;
        PMPI_Iprobe(MPI_ANY_SOURCE, 77, MPI_COMM_WORLD, &any,
                    MPI_STATUS_IGNORE);
        usleep(1000);
        for (size_t k = 0; k < sizeof stack; k++)
            HOLDS(stack[k] == PAINT);
    }
}

/* given SECONDS: so long the victim is stopped */
static void given(int argc, char **argv)
{
    const unsigned seconds = argc == 1 ? (unsigned)atoi(argv[0]) : 0;
    HOLDS(seconds > 0);
    MPI_Init(NULL, NULL);
    MUST(mega_init());
    MUST(mega_barrier());
    if (my_rank() == VICTIM) {
        const pid_t child = fork();
        if (child == 0) {
            sleep(seconds);
            kill(getppid(), SIGCONT);
            _exit(0);
        }
        raise(SIGSTOP);
        HOLDS(mega_commit() != MEGA_OK || child > 0);
        sleep(60); /* till the launcher ends it */
    }
    const mega_status_t st = mega_commit();
    HOLDS(st == MEGA_ERR_TIMEOUT || st == MEGA_ERR_PEER);
    see_unharmed(seconds);
    printf("unharmed: rank %d\n", my_rank());
    fflush(stdout);
    _exit(75);
}

/* ---- No memory for a collective ---- */

#define LENT ((size_t)64 << 20)

static void allow_memory(size_t more) /* 0: as much as there is */
{
    struct rlimit limit;
    unsigned long pages;
    FILE *file = fopen("/proc/self/statm", "r");
    HOLDS(file && fscanf(file, "%lu", &pages) == 1);
    fclose(file);
    HOLDS(getrlimit(RLIMIT_AS, &limit) == 0);
    limit.rlim_cur = more ? pages * 4096 + more : limit.rlim_max;
    HOLDS(setrlimit(RLIMIT_AS, &limit) == 0);
}

/* starved [close]: the victim does not wait for the others in the next one,
 * which wait in this one; it goes on without them, or leaves the space. */
static void starved(int argc, char **argv)
{
    char *buf = malloc(LENT);
    (void)argv;
    HOLDS(buf);
    init();
    MUST(mega_barrier());
    if (my_rank() == VICTIM)
        allow_memory(LENT / 32);
    const mega_status_t st = mega_bcast(buf, LENT, 0);
    if (my_rank() != VICTIM)
        look_at(st);
    HOLDS(st == MEGA_ERR_NOMEM);
    allow_memory(0);
    REFUSED(MEGA_ERR_NOMEM, mega_barrier());
    if (argc == 1)
        REFUSED(MEGA_ERR_NOMEM, mega_finalize());
    sleep(60); /* till the launcher ends it */
}

/* upset: MPI fails in a barrier of the victim, whose next one is not the one
 * that the others wait in. */
static void upset(int argc, char **argv)
{
    (void)argc, (void)argv;
    init();
    failing = true;
    const mega_status_t st = mega_barrier();
    if (my_rank() != VICTIM)
        look_at(st);
    HOLDS(st == MEGA_ERR_IO);
    REFUSED(MEGA_ERR_IO, mega_barrier());
    sleep(60); /* till the launcher ends it */
}

/* ---- Before, after ---- */

/* Stops, or works for so many seconds. */
static void be_late(const char *how)
{
    if (my_rank() != VICTIM)
        return;
    if (strcmp(how, "stop") == 0)
        raise(SIGSTOP);
    else
        sleep((unsigned)atoi(how));
}

/* before HOW; before HOW mpi: all have called MPI_Init. */
static void before(int argc, char **argv)
{
    if (argc == 2)
        MPI_Init(NULL, NULL);
    be_late(argv[0]);
    init();
    MUST(mega_finalize());
    if (argc == 2)
        MPI_Finalize();
}

/* after HOW */
static void after(int argc, char **argv)
{
    HOLDS(argc == 1);
    init();
    MUST(mega_finalize());
    be_late(argv[0]);
}

static void *call_exit(void *arg)
{
    (void)arg;
    exit(0);
}

/* thread: the first one does not come back. */
static void thread(int argc, char **argv)
{
    pthread_t other;
    (void)argc, (void)argv;
    init();
    MUST(mega_finalize());
    HOLDS(pthread_create(&other, NULL, call_exit, NULL) == 0);
    for (;;)
        pause();
}

int main(int argc, char **argv)
{
    static const struct rank_case cases[] = {
        {"before", before},   {"in", in},         {"given", given},
        {"held", held},       {"paused", paused}, {"works", works},
        {"rests", rests},     {"after", after},   {"thread", thread},
        {"starved", starved}, {"poor", be_poor},  {"upset", upset},
        {NULL, NULL},
    };
    atexit(say_exit);
    return rank_main(cases, argc, argv);
}
