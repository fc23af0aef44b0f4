/* SPDX-License-Identifier: BSD-3-Clause */
/* log.c - messages and the error sentence of the thread. */
#include "log.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

static char text[8192];

/* Redirects stderr to a file of no name, and back into text. */
static int saved, fd;

static void catch_stderr(void)
{
    char path[] = "/tmp/megalloc-log-XXXXXX";
    fd = mkstemp(path);
    unlink(path);
    saved = dup(STDERR_FILENO);
    dup2(fd, STDERR_FILENO);
}

static void release_stderr(void)
{
    dup2(saved, STDERR_FILENO);
    ssize_t n = pread(fd, text, sizeof text - 1, 0);
    text[n > 0 ? n : 0] = '\0';
    close(saved);
    close(fd);
}

Test(log, only_what_the_level_lets_through_is_printed)
{
    catch_stderr();
    mega__log_level(MEGA__LOG_WARN);
    mega__log(MEGA__LOG_ERROR, "one");
    mega__log(MEGA__LOG_WARN, "two");
    mega__log(MEGA__LOG_INFO, "three");
    mega__log_level(MEGA__LOG_DEBUG);
    mega__log(MEGA__LOG_DEBUG, "four");
    release_stderr();
    cr_assert(strstr(text, "megalloc: error: one\n"), "%s", text);
    cr_assert(strstr(text, "megalloc: warning: two\n"), "%s", text);
    cr_assert_null(strstr(text, "three"));
    cr_assert(strstr(text, "four"));
}

Test(log, a_long_message_is_cut_and_ends_its_line)
{
    char long_text[3000];
    memset(long_text, 'y', sizeof long_text);
    long_text[sizeof long_text - 1] = '\0';
    catch_stderr();
    mega__log(MEGA__LOG_ERROR, "%s", long_text);
    mega__log(MEGA__LOG_ERROR, "next");
    release_stderr();
    cr_assert(strstr(text, "y\nmegalloc: error: next\n"));
    cr_assert_lt(strlen(text), 1000);
}

Test(log, failing_returns_the_status_and_keeps_the_sentence)
{
    mega_status_t st = mega__fail(MEGA_ERR_IO, "open %s: %d", "file", 5);
    cr_assert_eq(st, MEGA_ERR_IO);
    cr_assert_str_eq(mega__errmsg_buffer(), "open file: 5");
    mega__fail(MEGA_ERR_IO, "again: %s", mega__errmsg_buffer());
    cr_assert_str_eq(mega__errmsg_buffer(), "again: open file: 5");
}

Test(log, a_sentence_too_long_is_cut)
{
    char long_text[3000];
    memset(long_text, 'z', sizeof long_text);
    long_text[sizeof long_text - 1] = '\0';
    mega__fail(MEGA_ERR_IO, "%s", long_text);
    cr_assert_eq(strlen(mega__errmsg_buffer()), MEGA__ERRMSG_MAX - 1);
}

static void *fail_elsewhere(void *arg)
{
    (void)arg;
    mega__fail(MEGA_ERR_IO, "elsewhere");
    return NULL;
}

Test(log, the_sentence_belongs_to_the_thread)
{
    pthread_t thread;
    mega__fail(MEGA_ERR_IO, "here");
    pthread_create(&thread, NULL, fail_elsewhere, NULL);
    pthread_join(thread, NULL);
    cr_assert_str_eq(mega__errmsg_buffer(), "here");
}
