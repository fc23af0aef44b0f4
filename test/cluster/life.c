/* SPDX-License-Identifier: BSD-3-Clause */
/* life.c - rank program: opening, ending and opening again. */
#include "rank.h"

#include <mpi.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

#include "megalloc_mpi.h"

enum { NODES = 500 };

struct node {
    mega_gptr_t self, next;
    uint64_t seq;
    unsigned char fill[200];
};

/* ---- A list that must come back as it was ---- */

static void build_list(const char *name)
{
    mega_gptr_t head = mega_null();
    for (uint64_t i = 0; i < NODES; i++) {
        struct node node = {.next = head, .seq = i};
        size_t size = sizeof node - i % 150;
        memset(node.fill, (int)(i & 255), sizeof node.fill);
        MUST(mega_alloc(MEGA_DEFAULT, (int)(i % (uint64_t)mega_nhomes()), size,
                        &head));
        node.self = head;
        MUST(mega_put_persist(head, &node, size));
    }
    MUST(mega_root_set(MEGA_DEFAULT, name, head));
}

static void walk_list(const char *name)
{
    mega_gptr_t p;
    uint64_t left = NODES;
    MUST(mega_root_get(MEGA_DEFAULT, name, &p));
    printf("%s %llx\n", name, (unsigned long long)p.v);
    for (; !mega_is_null(p); left--) {
        struct node node;
        size_t size = sizeof node - (left - 1) % 150, usable;
        HOLDS(left > 0);
        MUST(mega_get(&node, p, size));
        HOLDS(node.self.v == p.v && node.seq == left - 1);
        HOLDS(mega_home(p) == (int)(node.seq % (uint64_t)mega_nhomes()));
        MUST(mega_usable_size(p, &usable));
        HOLDS(usable >= size);
        HOLDS(mega_ptr(p) ? mega_gptr_of(mega_ptr(p)).v == p.v
                          : mega_home(p) != mega_my_home());
        for (size_t i = 0; i < size - offsetof(struct node, fill); i++)
            HOLDS(node.fill[i] == (node.seq & 255));
        p = node.next;
    }
    HOLDS(left == 0);
}

static void make(int argc, char **argv)
{
    char name[32];
    (void)argc, (void)argv;
    MUST(mega_init());
    HOLDS(mega_nhomes() == mega_nranks());
    snprintf(name, sizeof name, "list.%d", mega_rank());
    build_list(name);
    walk_list(name);
    MUST(mega_finalize());
}

/* look LISTS HOMES */
static void look(int argc, char **argv)
{
    HOLDS(argc == 2);
    MUST(mega_init());
    HOLDS(mega_nhomes() == atoi(argv[1]));
    HOLDS(mega_my_home() >= 0 && mega_my_home() < mega_nhomes());
    for (int i = 0; i < atoi(argv[0]); i++) {
        char name[32];
        snprintf(name, sizeof name, "list.%d", i);
        if (i % mega_nranks() == mega_rank())
            walk_list(name);
    }
    rank_check_all();
    MUST(mega_finalize());
}

/* near: of one host, all ranks map what the homes have. */
static void near(int argc, char **argv)
{
    mega_gptr_t p;
    (void)argc, (void)argv;
    MUST(mega_init());
    MUST(mega_root_get(MEGA_DEFAULT, "list.0", &p));
    HOLDS(mega_ptr(p));
    MUST(mega_finalize());
}

/* ---- Several spaces, several times ---- */

static void set_dir(const char *base, const char *name)
{
    char dir[500];
    snprintf(dir, sizeof dir, "%s/%s", base, name);
    HOLDS(setenv("MEGALLOC_DIR", dir, 1) == 0);
}

/* two DIR: two spaces in turn. */
static void two(int argc, char **argv)
{
    mega_gptr_t p, q = mega_null();
    HOLDS(argc == 1);
    for (int turn = 0; turn < 6; turn++) {
        mega_gptr_t *mine = turn % 2 ? &q : &p;
        set_dir(argv[0], turn % 2 ? "b" : "a");
        MUST(mega_init());
        if (turn < 2) {
            REFUSED(MEGA_ERR_NOT_FOUND,
                    mega_root_get(MEGA_DEFAULT, "mine", mine));
            MUST(mega_barrier());
            MUST(mega_alloc(MEGA_DEFAULT, 0, turn % 2 ? 5000 : 50, mine));
            if (mega_rank() == 0)
                MUST(mega_root_set(MEGA_DEFAULT, "mine", *mine));
        } else if (mega_rank() == 0) {
            mega_gptr_t found;
            MUST(mega_root_get(MEGA_DEFAULT, "mine", &found));
            HOLDS(found.v == mine->v);
        }
        MUST(mega_finalize());
    }
}

static void again(int argc, char **argv)
{
    mega_recovery_t rec;
    mega_gptr_t p;
    char version[32];
    (void)argc, (void)argv;
    snprintf(version, sizeof version, "%s", mega_version());
    HOLDS(version[0] >= '0' && version[0] <= '9');
    HOLDS(mega_rank() == -1 && mega_nranks() == 0 && mega_nhomes() == 0);
    HOLDS(mega_my_home() == -1 && mega_comm() == MPI_COMM_NULL);
    REFUSED(MEGA_ERR_STATE, mega_alloc(MEGA_DEFAULT, 0, 1, &p));
    REFUSED(MEGA_ERR_STATE, mega_region_close(NULL));
    REFUSED(MEGA_ERR_STATE, mega_putv(NULL, 0));
    REFUSED(MEGA_ERR_STATE, mega_getv(NULL, 1));
    for (uint64_t turn = 1; turn <= 12; turn++) {
        MUST(mega_init());
        REFUSED(MEGA_ERR_STATE, mega_init());
        MUST(mega_recovery(&rec));
        HOLDS(rec.epoch == turn);
        HOLDS(rec.created == (turn == 1) && (turn == 1 || rec.clean));
        HOLDS(mega_comm() != MPI_COMM_NULL);
        MUST(mega_alloc(MEGA_DEFAULT, MEGA_ANY_HOME, 100, &p));
        MUST(mega_free(p));
        MUST(mega_finalize());
        REFUSED(MEGA_ERR_STATE, mega_finalize());
        REFUSED(MEGA_ERR_STATE, mega_barrier());
        REFUSED(MEGA_ERR_STATE, mega_free(p));
        REFUSED(MEGA_ERR_STATE, mega_recovery(&rec));
        HOLDS(mega_ptr(p) == NULL && mega_rank() == -1);
    }
}

/* ---- Ends ---- */

/* end HOW: leaves the space in this way. mpi, ours: by MPI_Finalize, where the
 * program has started MPI, or mega_init has. */
static void end(int argc, char **argv)
{
    mega_gptr_t p;
    HOLDS(argc == 1);
    if (strcmp(argv[0], "mpi") == 0)
        MPI_Init(NULL, NULL);
    MUST(mega_init());
    MUST(mega_alloc(MEGA_DEFAULT, MEGA_ANY_HOME, 64, &p));
    MUST(mega_put(p, "kept", 5));
    if (mega_rank() == 0)
        MUST(mega_root_set(MEGA_DEFAULT, "end", p));
    MUST(mega_barrier());
    if (strcmp(argv[0], "exit") == 0)
        exit(0);
    MPI_Finalize();
    HOLDS(mega_rank() == -1);
    REFUSED(MEGA_ERR_STATE, mega_init());
    REFUSED(MEGA_ERR_STATE, mega_finalize());
}

/* ended CLEAN: 1, 0, or x for either. */
static void ended(int argc, char **argv)
{
    mega_recovery_t rec;
    mega_gptr_t p;
    char text[5];
    HOLDS(argc == 1);
    MUST(mega_init());
    MUST(mega_recovery(&rec));
    HOLDS(argv[0][0] == 'x' || rec.clean == atoi(argv[0]));
    MUST(mega_root_get(MEGA_DEFAULT, "end", &p));
    MUST(mega_get(text, p, 5));
    HOLDS(strcmp(text, "kept") == 0);
    rank_check_all();
    MUST(mega_finalize());
}

static void *call_both(void *arg)
{
    mega_region_t r;
    REFUSED(MEGA_ERR_THREAD, mega_region_create(arg, 0, 0, &r));
    REFUSED(MEGA_ERR_THREAD, mega_finalize());
    return arg;
}

/* thread LEVEL: the program has started MPI with less than we would. */
static void thread(int argc, char **argv)
{
    int level, provided;
    mega_gptr_t p;
    mega_region_t r;
    pthread_t other;
    HOLDS(argc == 1);
    level = strcmp(argv[0], "single") == 0 ? MPI_THREAD_SINGLE
                                           : MPI_THREAD_FUNNELED;
    MPI_Init_thread(NULL, NULL, level, &provided);
    MUST(mega_init());
    MUST(mega_alloc(MEGA_DEFAULT, 0, 100, &p));
    HOLDS(pthread_create(&other, NULL, call_both, argv[0]) == 0);
    HOLDS(pthread_join(other, NULL) == 0);
    MUST(mega_region_create(argv[0], 0, 0, &r));
    MUST(mega_commit());
    MUST(mega_finalize());
    MPI_Finalize();
}

/* ---- Threads that outlive a job ---- */

enum { LEAVES_BETWEEN, LEAVES_LATER, GOES_ON, THREADS, CHUNKS = 500 };
static pthread_barrier_t all_meet, others_meet;

static void churn(uint64_t tag)
{
    static _Thread_local mega_gptr_t p[CHUNKS];
    uint64_t seen;
    for (int i = 0; i < CHUNKS; i++) {
        MUST(mega_alloc(MEGA_DEFAULT, mega_my_home(), 64, &p[i]));
        MUST(mega_put(p[i], &tag, sizeof tag));
        if (i % 3 != 0)
            continue;
        MUST(mega_free(p[i]));
        MUST(mega_alloc(MEGA_DEFAULT, mega_my_home(), 64, &p[i]));
        MUST(mega_put(p[i], &tag, sizeof tag));
    }
    for (int i = 0; i < CHUNKS; i++) {
        MUST(mega_get(&seen, p[i], sizeof seen));
        HOLDS(seen == tag);
        MUST(mega_free(p[i]));
    }
}

static void *over_two_jobs(void *arg)
{
    const uint64_t kind = (uint64_t)(uintptr_t)arg;
    mega_gptr_t p = mega_null();
    churn(kind);
    pthread_barrier_wait(&all_meet);
    pthread_barrier_wait(&all_meet); /* the job has ended */
    REFUSED(MEGA_ERR_STATE, mega_alloc(MEGA_DEFAULT, 0, 64, &p));
    REFUSED(MEGA_ERR_STATE, mega_free(p));
    if (kind == LEAVES_BETWEEN)
        return NULL;
    pthread_barrier_wait(&others_meet);
    pthread_barrier_wait(&others_meet); /* there is another */
    for (int turn = 0; kind == GOES_ON && turn < 20; turn++)
        churn(100 + kind);
    return NULL;
}

/* outlive: threads that end between two jobs, in the second without a call, and
 * after work in it. */
static void outlive(int argc, char **argv)
{
    pthread_t thread[THREADS];
    (void)argc, (void)argv;
    pthread_barrier_init(&all_meet, NULL, THREADS + 1);
    pthread_barrier_init(&others_meet, NULL, THREADS);
    MPI_Init_thread(NULL, NULL, MPI_THREAD_MULTIPLE, &(int){0});
    MUST(mega_init());
    for (uintptr_t k = 0; k < THREADS; k++)
        HOLDS(pthread_create(&thread[k], NULL, over_two_jobs, (void *)k) == 0);
    pthread_barrier_wait(&all_meet);
    MUST(mega_finalize());
    pthread_barrier_wait(&all_meet);
    HOLDS(pthread_join(thread[LEAVES_BETWEEN], NULL) == 0);
    pthread_barrier_wait(&others_meet);
    MUST(mega_init());
    pthread_barrier_wait(&others_meet);
    for (int turn = 0; turn < 20; turn++)
        churn(50);
    HOLDS(pthread_join(thread[LEAVES_LATER], NULL) == 0);
    HOLDS(pthread_join(thread[GOES_ON], NULL) == 0);
    rank_check_all();
    MUST(mega_finalize());
    MPI_Finalize();
}

/* ---- Locks that nobody gives back ---- */

static mega_gptr_t lock_at(uint64_t i)
{
    static mega_region_t r;
    if (!r && mega_region_open("locks", &r))
        MUST(mega_region_create("locks", 4096, 0, &r));
    return mega_region_at(r, mega_nhomes() - 1, 8 * i, NULL);
}

/* take: rank 0 holds one lock, all hold another; then all are killed. */
static void take(int argc, char **argv)
{
    (void)argc, (void)argv;
    MUST(mega_init());
    (void)lock_at(0);
    if (mega_rank() == 0)
        MUST(mega_lock(lock_at(0), 0));
    MUST(mega_lock(lock_at(1), MEGA_LOCK_SHARED));
    MUST(mega_commit());
    REFUSED(MEGA_ERR_BUSY, mega_trylock(lock_at(0), MEGA_LOCK_SHARED));
    REFUSED(MEGA_ERR_BUSY, mega_trylock(lock_at(1), 0));
    MUST(mega_barrier());
    if (mega_rank() == 0)
        puts("held");
    fflush(stdout);
    kill(getpid(), SIGKILL);
}

/* taken: in the next job nobody holds them. */
static void taken(int argc, char **argv)
{
    (void)argc, (void)argv;
    MUST(mega_init());
    (void)lock_at(0);
    MUST(mega_barrier());
    for (uint64_t i = 0; mega_rank() == 0 && i < 2; i++) {
        uint64_t word;
        MUST(mega_fetch64(lock_at(i), &word));
        HOLDS(word != 0); /* it was held */
        REFUSED(MEGA_ERR_STATE, mega_unlock(lock_at(i), 0));
        REFUSED(MEGA_ERR_STATE, mega_unlock(lock_at(i), MEGA_LOCK_SHARED));
        MUST(mega_trylock(lock_at(i), i ? 0 : MEGA_LOCK_SHARED));
    }
    MUST(mega_barrier());
    if (mega_rank() != 0) {
        REFUSED(MEGA_ERR_BUSY, mega_trylock(lock_at(0), 0));
        REFUSED(MEGA_ERR_BUSY, mega_trylock(lock_at(1), 0));
    }
    MUST(mega_barrier());
    for (uint64_t i = 0; mega_rank() == 0 && i < 2; i++)
        MUST(mega_unlock(lock_at(i), i ? 0 : MEGA_LOCK_SHARED));
    MUST(mega_finalize());
}

/* ---- Durability ---- */

/* domain NUMBER: of all homes; and all that makes durable works there. */
static void domain(int argc, char **argv)
{
    mega_counters_t before, after;
    mega_gptr_t p, slot;
    HOLDS(argc == 1);
    MUST(mega_init());
    for (int h = 0; h < mega_nhomes(); h++) {
        mega_home_stat_t s;
        MUST(mega_home_stat(h, &s));
        HOLDS((int)s.domain == atoi(argv[0]));
    }
    MUST(mega_counters(&before));
    MUST(mega_root_slot(MEGA_DEFAULT, "domain", &slot));
    MUST(mega_alloc(MEGA_DEFAULT, MEGA_ANY_HOME, 5000, &p));
    MUST(mega_put_persist(p, "durable", 8));
    MUST(mega_counters(&after));
    /* of memory that dies with the power nothing is flushed */
    HOLDS((after.flushes > before.flushes) == (atoi(argv[0]) != 0));
    MUST(mega_free(p));
    MUST(mega_drain());
    MUST(mega_barrier());
    if (mega_rank() == 0) {
        MUST(mega_alloc_to(MEGA_DEFAULT, 0, 100, slot));
        MUST(mega_free_from(slot));
    }
    MUST(mega_commit());
    MUST(mega_finalize());
}

/* ---- The second job ---- */

/* hold FILE: keeps the space open until FILE is there. */
static void hold(int argc, char **argv)
{
    char ready[500];
    HOLDS(argc == 1);
    MUST(mega_init());
    build_list(mega_rank() == 0 ? "held" : "other");
    MUST(mega_barrier());
    snprintf(ready, sizeof ready, "%s.ready", argv[0]);
    if (mega_rank() == 0) {
        FILE *f = fopen(ready, "w");
        HOLDS(f && fprintf(f, "%ld\n", (long)getpid()) > 0 && fclose(f) == 0);
    }
    while (access(argv[0], F_OK) != 0)
        usleep(20000);
    walk_list("held");
    rank_check_all();
    MUST(mega_finalize());
}

/* open: succeeds, or says why not and ends with 7. */
static void open_once(int argc, char **argv)
{
    (void)argc, (void)argv;
    mega_status_t st = mega_init();
    if (st) {
        fprintf(stderr, "init: %s: %s\n", mega_strerror(st), mega_errmsg());
        exit(7);
    }
    HOLDS(mega_errmsg()[0] == '\0'); /* nothing has failed */
    MUST(mega_finalize());
}

/* forks: a child has its parent's memory, and must not allocate from it. */
static void child(mega_gptr_t p)
{
    mega_gptr_t q;
    uint64_t v = 1;
    HOLDS(mega_rank() == -1);
    REFUSED(MEGA_ERR_STATE, mega_alloc(MEGA_DEFAULT, MEGA_ANY_HOME, 64, &q));
    rank_told("forked");
    REFUSED(MEGA_ERR_STATE, mega_free(p));
    REFUSED(MEGA_ERR_STATE, mega_put(p, &v, 8));
    REFUSED(MEGA_ERR_STATE, mega_persist(p, 8));
    REFUSED(MEGA_ERR_STATE, mega_root_set(MEGA_DEFAULT, "child", p));
    REFUSED(MEGA_ERR_STATE, mega_finalize());
    REFUSED(MEGA_ERR_STATE, mega_init());
    _exit(0);
}

/* One whose parent has closed the space ends as any process: MPI is not its. */
static void child_ends(void)
{
    int status = 0;
    pid_t pid = fork(), ended = 0;
    HOLDS(pid >= 0);
    if (pid == 0) {
        REFUSED(MEGA_ERR_STATE, mega_init());
        exit(0);
    }
    for (int i = 0; i < 200 && ended == 0; i++) {
        usleep(100000);
        ended = waitpid(pid, &status, WNOHANG);
    }
    if (ended == 0)
        kill(pid, SIGKILL);
    HOLDS(ended == pid && status == 0);
}

static void forks(int argc, char **argv)
{
    mega_gptr_t p, q;
    int status;
    (void)argc, (void)argv;
    MUST(mega_init());
    MUST(mega_alloc(MEGA_DEFAULT, MEGA_ANY_HOME, 64, &p));
    pid_t pid = fork();
    HOLDS(pid >= 0);
    if (pid == 0)
        child(p);
    HOLDS(waitpid(pid, &status, 0) == pid && status == 0);
    HOLDS(system("true") == 0);
    MUST(mega_alloc(MEGA_DEFAULT, MEGA_ANY_HOME, 64, &q));
    HOLDS(p.v != q.v);
    MUST(mega_free(p));
    MUST(mega_free(q));
    MUST(mega_drain());
    rank_check_all();
    MUST(mega_finalize());
    child_ends();
}

int main(int argc, char **argv)
{
    static const struct rank_case cases[] = {
        {"make", make},      {"look", look},   {"two", two},
        {"again", again},    {"end", end},     {"ended", ended},
        {"take", take},      {"taken", taken}, {"outlive", outlive},
        {"domain", domain},  {"hold", hold},   {"thread", thread},
        {"open", open_once}, {"forks", forks}, {"near", near},
        {NULL, NULL}};
    return rank_main(cases, argc, argv);
}
