/* SPDX-License-Identifier: BSD-3-Clause */
/* msync.c - rank program, from inside its library: an msync or an fsync fails,
 * once, what is synced is noted, or the system keeps the library from files;
 * test/cluster/settings.sh starts it. */
#include "api/api.h"
#include "pool.h"
#include "rank.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

static bool refuse_fsync;

/* Of pages that are not mapped. */
static void fail_msync(void)
{
    struct mega__flusher f = {0};
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    HOLDS(page != MAP_FAILED && munmap(page, 4096) == 0);
    mega__pool_flush(&f, MEGA__HOW_MSYNC, page, 8);
    REFUSED(MEGA_ERR_IO, mega__pool_drain(&f));
}

/* Of a pool file. */
static void fail_fsync(void)
{
    refuse_fsync = true;
    REFUSED(MEGA_ERR_IO, mega_commit());
    HOLDS(!refuse_fsync);
}

/* fails CALL */
static void fails(int argc, char **argv)
{
    mega_gptr_t p;
    HOLDS(argc == 1);
    MUST(mega_init());
    MUST(mega_alloc(MEGA_DEFAULT, 0, 64, &p));
    MUST(mega_put_persist(p, "kept", 5));
    MUST(mega_root_set(MEGA_DEFAULT, "kept", p));
    MUST(mega_alloc(MEGA_DEFAULT, 0, 64, &p));
    if (strcmp(argv[0], "msync") == 0)
        fail_msync();
    else
        fail_fsync();
    for (int i = 0; i < 2; i++) { /* no second try passes */
        REFUSED(MEGA_ERR_IO, mega_drain());
        REFUSED(MEGA_ERR_IO, mega_put_persist(p, "lost", 5));
        REFUSED(MEGA_ERR_IO, mega_commit());
    }
    rank_told("look after the medium");
    REFUSED(MEGA_ERR_IO, mega_finalize());
}

static void look(int argc, char **argv)
{
    mega_recovery_t r;
    mega_gptr_t p;
    char text[5];
    (void)argc, (void)argv;
    MUST(mega_init());
    MUST(mega_recovery(&r));
    HOLDS(!r.clean);
    MUST(mega_root_get(MEGA_DEFAULT, "kept", &p));
    MUST(mega_get(text, p, sizeof text));
    HOLDS(strcmp(text, "kept") == 0);
    rank_check_all();
    MUST(mega_finalize());
}

/* ---- Directories ---- */

static struct stat synced[64];
static unsigned nsynced;

/* Instead of the system's. */
int fsync(int fd)
{
    if (refuse_fsync) {
        refuse_fsync = false;
        errno = EIO;
        return -1;
    }
    if (nsynced < sizeof synced / sizeof synced[0] &&
        fstat(fd, &synced[nsynced]) == 0)
        nsynced++;
    return (int)syscall(SYS_fsync, fd);
}

static bool was_synced(const char *path)
{
    struct stat sb;
    bool was = false;
    HOLDS(stat(path, &sb) == 0);
    for (unsigned i = 0; i < nsynced; i++)
        was = was ||
              (synced[i].st_ino == sb.st_ino && synced[i].st_dev == sb.st_dev);
    return was;
}

/* makes DIR...: the space is in new directories, which these hold. */
static void makes(int argc, char **argv)
{
    MUST(mega_init());
    for (int i = 0; i < argc; i++)
        HOLDS(was_synced(argv[i]));
    MUST(mega_finalize());
}

/* ends FILE: which is durable, whatever the job was told, when it ends. */
static void ends(int argc, char **argv)
{
    HOLDS(argc == 1);
    MUST(mega_init());
    nsynced = 0;
    MUST(mega_finalize());
    HOLDS(was_synced(argv[0]));
}

/* What root may do nothing keeps it from. */
static void become(uid_t user, const char *dir)
{
    char command[400];
    snprintf(command, sizeof command, "chown -R %u '%s'", (unsigned)user, dir);
    HOLDS(getuid() != 0 || system(command) == 0);
    HOLDS(getuid() != 0 || seteuid(user) == 0);
}

/* unseen DIR: it cannot be listed, but files can be made over those in it; then
 * its file cannot be written. */
static void unseen(int argc, char **argv)
{
    mega_gptr_t p;
    char pool[400];
    HOLDS(argc == 1);
    snprintf(pool, sizeof pool, "%s/home-0.0.pool", argv[0]);
    MUST(mega_init());
    MUST(mega_root_slot(MEGA_DEFAULT, "kept", &p));
    MUST(mega_finalize());
    become(65534, argv[0]);
    HOLDS(chmod(argv[0], 0300) == 0);
    REFUSED(MEGA_ERR_IO, mega_init());
    rank_told("let this user read");
    HOLDS(chmod(argv[0], 0700) == 0 && chmod(pool, 0400) == 0);
    REFUSED(MEGA_ERR_IO, mega_init());
    rank_told("let this user write");
    HOLDS(chmod(pool, 0600) == 0);
    HOLDS(getuid() != 0 || seteuid(0) == 0);
    MUST(mega_init());
    MUST(mega_root_get(MEGA_DEFAULT, "kept", &p));
    MUST(mega_finalize());
}

/* ---- Limits ---- */

static void limit_files(rlim_t bytes)
{
    struct rlimit limit;
    HOLDS(getrlimit(RLIMIT_FSIZE, &limit) == 0);
    limit.rlim_cur = bytes ? bytes : limit.rlim_max;
    HOLDS(setrlimit(RLIMIT_FSIZE, &limit) == 0);
}

/* The system's way to tell of that limit is to end the process. */
static void limit(int argc, char **argv)
{
    (void)argc, (void)argv;
    limit_files(32 << 20);
    REFUSED(MEGA_ERR_MEDIUM_FULL, mega_init());
    rank_told("ulimit -f");
    limit_files(0);
    MUST(mega_init());
    MUST(mega_finalize());
}

int main(int argc, char **argv)
{
    static const struct rank_case cases[] = {
        {"fails", fails},   {"look", look}, {"makes", makes},
        {"unseen", unseen}, {"ends", ends}, {"limit", limit},
        {NULL, NULL}};
    return rank_main(cases, argc, argv);
}
