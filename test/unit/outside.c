/* SPDX-License-Identifier: BSD-3-Clause */
/* outside.c - what others do to a process: its own signals, and users who make
 * its directory before it does. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "lockfile.h"
#include "log.h"
#include "rest.h"
#include "share.h"
#include "test/lib/boot_threads.h"
#include "test/lib/report.h"
#include "view.h"

TestSuite(outside, .timeout = 60);

/* ---- Signals ---- */

static void on_alarm(int signal)
{
    (void)signal;
}

static void alarm_each_ms(bool on)
{
    const struct sigaction action = {.sa_handler = on_alarm,
                                     .sa_flags = SA_RESTART};
    const struct itimerval often = {{0, on ? 1000 : 0}, {0, on ? 1000 : 0}};
    cr_assert_eq(sigaction(SIGALRM, &action, NULL), 0);
    cr_assert_eq(setitimer(ITIMER_REAL, &often, NULL), 0);
}

Test(outside, signals_do_not_shorten_the_wait_for_a_lock)
{
    char path[] = "/tmp/megalloc-lock-XXXXXX";
    int fd, other;
    cr_assert_eq(close(mkstemp(path)), 0);
    cr_assert_eq(mega__lockfile_exclusive(path, 0, &fd), MEGA_OK);
    alarm_each_ms(true);
    const uint64_t began = mega__rest_now();
    cr_expect_eq(mega__lockfile_exclusive(path, 1, &other), MEGA_ERR_BUSY);
    cr_expect_geq(mega__rest_now() - began, 1000000000u);
    alarm_each_ms(false);
    mega__lockfile_release(&fd);
    unlink(path);
}

/* ---- Locks of readers ---- */

static mega_status_t try_reader(const char *path, int *fd_p)
{
    return mega__lockfile_reader(path, 0, fd_p);
}

static mega_status_t try_changer(const char *path)
{
    int fd = -1;
    mega_status_t st = mega__lockfile_exclusive(path, 0, &fd);
    mega__lockfile_release(&fd);
    return st;
}

Test(outside, readers_keep_out_who_would_change_and_not_each_other)
{
    char path[] = "/tmp/megalloc-lock-XXXXXX";
    int one, two, changer;
    cr_assert_eq(close(mkstemp(path)), 0);
    cr_assert_eq(try_reader(path, &one), MEGA_OK);
    cr_assert_eq(try_reader(path, &two), MEGA_OK);
    cr_expect_eq(try_changer(path), MEGA_ERR_BUSY);
    mega__lockfile_release(&one);
    cr_expect_eq(try_changer(path), MEGA_ERR_BUSY);
    mega__lockfile_release(&two);

    cr_assert_eq(mega__lockfile_exclusive(path, 0, &changer), MEGA_OK);
    cr_expect_eq(try_reader(path, &one), MEGA_ERR_BUSY);
    cr_assert_eq(mega__lockfile_share(changer), MEGA_OK);
    cr_expect_eq(try_reader(path, &one), MEGA_ERR_BUSY);
    mega__lockfile_release(&changer);
    unlink(path);
}

Test(outside, a_reader_needs_no_more_than_to_read)
{
    char dir[] = "/tmp/megalloc-lock-XXXXXX", path[64];
    const bool root = geteuid() == 0;
    int fd = -1;
    cr_assert_not_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/home-0.lock", dir);
    cr_assert_eq(close(open(path, O_CREAT | O_WRONLY, 0444)), 0);
    cr_assert_eq(chmod(dir, 0555), 0);
    if (root && seteuid(65534) != 0)
        cr_skip_test("root may write anywhere");
    cr_expect_eq(try_changer(path), MEGA_ERR_IO);
    cr_expect_eq(try_reader(path, &fd), MEGA_OK);
    cr_expect_geq(fd, 0);
    mega__lockfile_release(&fd);
    path[strlen(path) - 1] = 'x'; /* there is none */
    fd = 7;
    cr_expect_eq(try_reader(path, &fd), MEGA_OK);
    cr_expect_eq(fd, -1);
    cr_assert_eq(root ? seteuid(0) : 0, 0);
    cr_assert_eq(chmod(dir, 0755), 0);
    path[strlen(path) - 1] = 'k';
    unlink(path);
    rmdir(dir);
}

static _Atomic int cut_off; /* how many of the next calls are */

int posix_fallocate(int fd, off_t offset, off_t len)
{
    if (cut_off > 0) {
        cut_off--;
        return EINTR;
    }
    return fallocate(fd, 0, offset, len) == 0 ? 0 : errno;
}

static void share(struct mega__boot *boot, int rank, void *arg)
{
    struct mega__ctx *ctx = calloc(1, sizeof *ctx);
    void *p = NULL;
    (void)rank, (void)arg;
    CHECK(ctx, "no memory");
    ctx->boot = boot;
    ctx->place = mega__boot_place(boot);
    cut_off = 3;
    CHECK(mega__share(ctx, 100000, &p) == MEGA_OK, "%s", mega__errmsg_buffer());
    mega__unshare(p);
    free(ctx);
}

Test(outside, signals_do_not_keep_memory_from_being_shared)
{
    boot_team_run(1, NULL, share, NULL);
    cr_assert_eq(cut_off, 0);
    report_settle();
}

/* ---- Users ---- */

Test(outside, the_usual_directory_of_another_user_is_refused)
{
    const uid_t another = 100000u + (uid_t)getpid();
    char dir[64];
    struct mega__conf conf;
    struct mega__seen *list;
    size_t n;
    if (geteuid() != 0 || seteuid(another) != 0 || seteuid(0) != 0)
        cr_skip_test("only root may be another user");
    snprintf(dir, sizeof dir, "/dev/shm/megalloc-%u", (unsigned)another);
    cr_assert_eq(unsetenv("MEGALLOC_DIR"), 0);
    cr_assert_eq(mega__conf_read(&conf), MEGA_OK);
    cr_assert_eq(mkdir(dir, 0777), 0, "%s: %s", dir, strerror(errno));
    cr_assert_eq(seteuid(another), 0);
    const mega_status_t made = mega__view_make_dir(&conf, 0);
    const mega_status_t found = mega__view_find(&conf, &list, &n);
    cr_assert_eq(seteuid(0), 0);
    cr_expect_eq(made, MEGA_ERR_IO);
    cr_expect_eq(found, MEGA_ERR_IO);
    cr_expect(strstr(mega__errmsg_buffer(), "another user, 0"), "%s",
              mega__errmsg_buffer());
    cr_assert_eq(chown(dir, another, 0), 0);
    cr_assert_eq(seteuid(another), 0);
    cr_expect_eq(mega__view_make_dir(&conf, 0), MEGA_OK);
    cr_assert_eq(seteuid(0), 0);
    cr_assert_eq(rmdir(dir), 0);
}
