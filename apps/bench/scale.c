/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * scale.c - what a job of so many ranks costs before it does anything: time of
 * mega_init and mega_finalize (the slowest rank), private memory of a rank
 * that mega_init has added (the mean), what the library shares on a host, and
 * over several hosts the sockets of a rank and the bytes that came to a host
 * meanwhile, MPI's and UCX's (the most of any). Then each rank has put a word
 * to each home, and it is measured again.
 * Rows are named after the number of ranks and hosts.
 */
#include "bench.h"

#include <dirent.h>
#include <mpi.h>
#include <sys/stat.h>
#include <unistd.h>

#define OURS "memfd:megalloc" /* what runtime/seg.c shares */

static int ranks, hosts, rank;
static int first; /* of its host */

/** A number of /proc/self/status, in KiB. */
static double status(const char *name)
{
    char line[256];
    double kib = 0;
    FILE *f = fopen("/proc/self/status", "r");
    bench_check(f != NULL, "/proc/self/status");
    while (fgets(line, sizeof(line), f) != NULL) {
        size_t n = strlen(name);
        if (strncmp(line, name, n) == 0 && line[n] == ':') {
            kib = strtod(line + n + 1, NULL);
        }
    }
    fclose(f);
    return kib;
}

/** Bytes that came to this host by its network. */
static double received(void)
{
    char line[512], name[64];
    double all = 0, bytes;
    FILE *f = fopen("/proc/self/net/dev", "r");
    bench_check(f != NULL, "/proc/self/net/dev");
    while (fgets(line, sizeof(line), f) != NULL) {
        if (sscanf(line, " %63[^:]: %lf", name, &bytes) == 2 &&
            strcmp(name, "lo") != 0) {
            all += bytes;
        }
    }
    fclose(f);
    return all;
}

/** Descriptors with what in their names. *kib_p: the memory of the file of that
 *  number, if one is open. */
static int descriptors(const char *what, unsigned long ino, double *kib_p)
{
    char path[300], to[300];
    struct dirent *e;
    struct stat sb;
    int n = 0;
    DIR *dir = opendir("/proc/self/fd");
    bench_check(dir != NULL, "/proc/self/fd");
    while ((e = readdir(dir)) != NULL) {
        snprintf(path, sizeof(path), "/proc/self/fd/%s", e->d_name);
        ssize_t len = readlink(path, to, sizeof(to) - 1);
        to[len > 0 ? len : 0] = '\0';
        if (strstr(to, what) == NULL) {
            continue;
        }
        n++;
        if (kib_p != NULL && stat(path, &sb) == 0 && sb.st_ino == ino) {
            *kib_p = (double)sb.st_blocks / 2;
        }
    }
    closedir(dir);
    return n;
}

/** KiB that the library shares on this host. What is mapped is all there, but
 *  of files that are kept open, which grow. */
static double shared(void)
{
    char line[512];
    unsigned long from, to, ino;
    double all = 0;
    FILE *f = fopen("/proc/self/maps", "r");
    bench_check(f != NULL, "/proc/self/maps");
    while (fgets(line, sizeof(line), f) != NULL) {
        if (strstr(line, OURS) != NULL &&
            sscanf(line, "%lx-%lx %*s %*s %*s %lu", &from, &to, &ino) == 3) {
            double kib = (double)(to - from) / 1024;
            descriptors(OURS, ino, &kib);
            all += kib;
        }
    }
    fclose(f);
    return all;
}

static double reduce(double mine, MPI_Op op)
{
    double all = 0;
    MPI_Reduce(&mine, &all, 1, MPI_DOUBLE, op, 0, MPI_COMM_WORLD);
    return all;
}

static void row(const char *name, double value, const char *unit)
{
    if (rank == 0) {
        printf("scale.%d_ranks_%d_hosts.%s\t%.4g\t%s\n", ranks, hosts, name,
               value, unit);
        fflush(stdout);
    }
}

static void find_place(void)
{
    MPI_Comm host;
    int host_rank;
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL,
                        &host);
    MPI_Comm_rank(host, &host_rank);
    MPI_Comm_free(&host);
    first = host_rank == 0;
    MPI_Allreduce(&first, &hosts, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
}

struct state {
    double anon, sockets, received;
};

static struct state state(void)
{
    return (struct state){status("RssAnon"), descriptors("socket:", 0, NULL),
                          received()};
}

/** What has come since, as rows. */
static void rows_since(const struct state *before, const char *until)
{
    char name[64];
    const struct state now = state();
    MPI_Barrier(MPI_COMM_WORLD); /* all have looked */
    double anon = reduce(now.anon - before->anon, MPI_SUM) / ranks;
    double sockets = reduce(now.sockets - before->sockets, MPI_SUM) / ranks;
    double most = reduce(now.sockets - before->sockets, MPI_MAX);
    double bytes = reduce(now.received - before->received, MPI_MAX);
    double kib = reduce(first ? shared() : 0, MPI_MAX);
    snprintf(name, sizeof(name), "%s.private_per_rank", until);
    row(name, anon, "KiB");
    snprintf(name, sizeof(name), "%s.shared_per_host", until);
    row(name, kib, "KiB");
    if (hosts == 1) {
        return;
    }
    snprintf(name, sizeof(name), "%s.sockets_per_rank", until);
    row(name, sockets, "sockets");
    snprintf(name, sizeof(name), "%s.sockets_most", until);
    row(name, most, "sockets");
    snprintf(name, sizeof(name), "%s.received_per_host", until);
    row(name, bytes / 1024, "KiB");
}

/** All connections of MPI, so that what mega_init adds are UCX's. */
static void meet_all(void)
{
    for (int i = 1; i < ranks; i++) {
        MPI_Sendrecv(NULL, 0, MPI_BYTE, (rank + i) % ranks, 0, NULL, 0,
                     MPI_BYTE, (rank + ranks - i) % ranks, 0, MPI_COMM_WORLD,
                     MPI_STATUS_IGNORE);
    }
}

static void put_to_all(mega_gptr_t mine)
{
    uint64_t value = (uint64_t)rank;
    mega_gptr_t *all = malloc((size_t)ranks * sizeof(*all));
    bench_check(all != NULL, "malloc");
    MPI_Allgather(&mine, sizeof(mine), MPI_BYTE, all, sizeof(mine), MPI_BYTE,
                  MPI_COMM_WORLD);
    for (int i = 0; i < ranks; i++) {
        BENCH_MUST(mega_put(all[i], &value, sizeof(value)));
    }
    BENCH_MUST(mega_quiet());
    free(all);
}

int main(void)
{
    mega_gptr_t mine;
    MPI_Init(NULL, NULL);
    find_place();
    meet_all();
    MPI_Barrier(MPI_COMM_WORLD);
    const struct state before = state();
    MPI_Barrier(MPI_COMM_WORLD);
    double begin = bench_now();
    BENCH_MUST(mega_init());
    double init = reduce(bench_now() - begin, MPI_MAX);
    row("init", 1e3 * init, "ms");
    rows_since(&before, "init");
    BENCH_MUST(mega_alloc(MEGA_DEFAULT, mega_my_home(), 8, &mine));
    put_to_all(mine);
    BENCH_MUST(mega_barrier());
    rows_since(&before, "put_to_all");
    MPI_Barrier(MPI_COMM_WORLD);
    begin = bench_now();
    BENCH_MUST(mega_finalize());
    double finalize = reduce(bench_now() - begin, MPI_MAX);
    row("finalize", 1e3 * finalize, "ms");
    MPI_Finalize();
    return 0;
}
