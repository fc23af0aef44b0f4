/* SPDX-License-Identifier: BSD-3-Clause */
/* comm.c - rank program: the communicator that a program shares a space by, and
 * threads that open one at once; what the rest of the process must not notice,
 * and where its maps lie. */
#include "rank.h"

#include <mpi.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/resource.h>

#include "megalloc_mpi.h"

/* The program's own messages, around a call that has some, too. */
static void talk_around(int turn)
{
    const int to = (mega_rank() + 1) % mega_nranks();
    int out = mega_rank(), in = -1;
    char name[32];
    mega_region_t r;
    MPI_Request sent;
    MPI_Isend(&out, 1, MPI_INT, to, 0, mega_comm(), &sent);
    snprintf(name, sizeof name, "turn %d", turn);
    MUST(mega_region_create(name, 4096, 0, &r));
    MPI_Recv(&in, 1, MPI_INT, MPI_ANY_SOURCE, MPI_ANY_TAG, mega_comm(),
             MPI_STATUS_IGNORE);
    MPI_Wait(&sent, MPI_STATUS_IGNORE);
    HOLDS((in + 1) % mega_nranks() == mega_rank());
    MUST(mega_region_close(&r));
}

static void whole(int argc, char **argv)
{
    (void)argc, (void)argv;
    for (int turn = 0; turn < 2; turn++) {
        MUST(mega_init());
        talk_around(turn);
        MUST(mega_finalize());
    }
}

/* A long bcast takes little memory besides the buffer. */
static void longest(int argc, char **argv)
{
    const size_t n = 150000001;
    struct rusage before, after;
    (void)argc, (void)argv;
    unsigned char *buf = malloc(n);
    HOLDS(buf);
    MUST(mega_init());
    for (size_t i = 0; i < n; i++)
        buf[i] = mega_rank() == 1 ? (unsigned char)(i * 7 >> 4) : 0;
    getrusage(RUSAGE_SELF, &before);
    MUST(mega_bcast(buf, n, 1));
    getrusage(RUSAGE_SELF, &after);
    for (size_t i = 0; i < n; i++)
        HOLDS(buf[i] == (unsigned char)(i * 7 >> 4));
    HOLDS(after.ru_maxrss - before.ru_maxrss < 70000); /* KiB */
    free(buf);
    MUST(mega_finalize());
}

/* sub DIR: the even and the odd ranks have a space of their own each. */
static void sub(int argc, char **argv)
{
    int rank, size;
    char dir[500];
    MPI_Comm half, given;
    mega_gptr_t p;
    HOLDS(argc == 1);
    REFUSED(MEGA_ERR_STATE, mega_init_comm(MPI_COMM_WORLD));
    MPI_Init(NULL, NULL);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_split(MPI_COMM_WORLD, rank % 2, rank, &half);
    MPI_Comm_size(half, &size);
    MPI_Intercomm_create(half, 0, MPI_COMM_WORLD, 1 - rank % 2, 7, &given);
    REFUSED(MEGA_ERR_ARG, mega_init_comm(given));
    MPI_Comm_free(&given);
    snprintf(dir, sizeof dir, "%s/%s", argv[0], rank % 2 ? "odd" : "even");
    HOLDS(setenv("MEGALLOC_DIR", dir, 1) == 0);
    for (int turn = 0; turn < 2; turn++) {
        MPI_Comm_dup(half, &given);
        MUST(mega_init_comm(given));
        MPI_Comm_free(&given);
        HOLDS(mega_nranks() == size && mega_nhomes() == size);
        talk_around(turn);
        MUST(mega_alloc(MEGA_DEFAULT, size - 1, 100, &p));
        MUST(mega_commit());
        MUST(mega_finalize());
    }
    MPI_Comm_free(&half);
    MPI_Finalize();
}

/* ---- Two at once ---- */

static mega_status_t (*of_both)(void);
static pthread_barrier_t both_meet;

static void *call_it(void *st_p)
{
    pthread_barrier_wait(&both_meet);
    *(mega_status_t *)st_p = of_both();
    return NULL;
}

/* One does it, the other is told. */
static void call_both(mega_status_t (*call)(void))
{
    mega_status_t st[2];
    pthread_t thread[2];
    of_both = call;
    for (int i = 0; i < 2; i++)
        HOLDS(pthread_create(&thread[i], NULL, call_it, &st[i]) == 0);
    for (int i = 0; i < 2; i++)
        HOLDS(pthread_join(thread[i], NULL) == 0);
    const mega_status_t no = st[0] ? st[0] : st[1];
    HOLDS(!st[0] != !st[1] && (no == MEGA_ERR_BUSY || no == MEGA_ERR_STATE));
}

/* both: threads that open, or close, at once. */
static void both(int argc, char **argv)
{
    (void)argc, (void)argv;
    pthread_barrier_init(&both_meet, NULL, 2);
    for (int turn = 0; turn < 3; turn++) {
        call_both(mega_init);
        call_both(mega_finalize);
    }
}

/* variables: those of PMDK and of UCX concern the whole process, the program's
 * own pools and MPI's own UCX too; so ours are set otherwise. */
static void join_variables(char *text, size_t size)
{
    size_t used = 0;
    text[0] = '\0';
    for (char **v = environ; *v && used < size; v++)
        if (strncmp(*v, "PMEM", 4) == 0 || strncmp(*v, "UCX_", 4) == 0)
            used += (size_t)snprintf(text + used, size - used, "%s\n", *v);
    HOLDS(used < size);
}

static void variables(int argc, char **argv)
{
    static char before[8192], after[8192];
    mega_gptr_t p;
    HOLDS(MPI_Init(&argc, &argv) == MPI_SUCCESS);
    join_variables(before, sizeof before);
    MUST(mega_init());
    MUST(mega_alloc(MEGA_DEFAULT, MEGA_ANY_HOME, 64, &p));
    MUST(mega_persist(p, 64));
    join_variables(after, sizeof after);
    HOLDS(strcmp(before, after) == 0);
    MUST(mega_finalize());
    HOLDS(MPI_Finalize() == MPI_SUCCESS);
}

/* aligned: a span begins at a huge page of its file. */
static void aligned(int argc, char **argv)
{
    const uintptr_t huge = UINT64_C(2) << 20;
    unsigned long from, to, off;
    char line[1000];
    mega_gptr_t p;
    bool found = false;
    (void)argc, (void)argv;
    MUST(mega_init());
    MUST(mega_alloc(MEGA_DEFAULT, mega_my_home(), 64, &p));
    const uintptr_t base = (uintptr_t)mega_ptr(p) - mega_offset(p);
    FILE *maps = fopen("/proc/self/maps", "r");
    HOLDS(maps);
    while (!found && fgets(line, sizeof line, maps)) {
        found = sscanf(line, "%lx-%lx %*s %lx", &from, &to, &off) == 3 &&
                from <= base && base < to;
        HOLDS(!found || (strstr(line, "/home-") &&
                         (base - from + off) % huge == 0 && base % huge == 0));
    }
    HOLDS(found);
    fclose(maps);
    MUST(mega_finalize());
}

int main(int argc, char **argv)
{
    static const struct rank_case cases[] = {{"whole", whole},
                                             {"sub", sub},
                                             {"longest", longest},
                                             {"both", both},
                                             {"variables", variables},
                                             {"aligned", aligned},
                                             {NULL, NULL}};
    return rank_main(cases, argc, argv);
}
