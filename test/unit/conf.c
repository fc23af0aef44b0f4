/* SPDX-License-Identifier: BSD-3-Clause */
/* conf.c - the settings: each variable with sense and with nonsense. */
#include "conf.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"

static struct mega__conf conf;

static mega_status_t read_with(const char *name, const char *value)
{
    setenv(name, value, 1);
    mega_status_t st = mega__conf_read(&conf);
    unsetenv(name);
    return st;
}

/* What mega__conf_read writes to stderr. */
static const char *warning_of(const char *name, const char *value)
{
    static char text[2048];
    char path[] = "/tmp/megalloc-conf-XXXXXX";
    int saved = dup(STDERR_FILENO), fd = mkstemp(path);
    dup2(fd, STDERR_FILENO);
    cr_assert_eq(read_with(name, value), MEGA_OK);
    dup2(saved, STDERR_FILENO);
    ssize_t n = pread(fd, text, sizeof text - 1, 0);
    text[n > 0 ? n : 0] = '\0';
    close(fd);
    close(saved);
    unlink(path);
    return text;
}

Test(conf, defaults_are_readable)
{
    cr_assert_eq(mega__conf_read(&conf), MEGA_OK, "%s", mega__errmsg_buffer());
    cr_assert_eq(conf.home_size.v.number, UINT64_C(64) << 20);
    cr_assert_eq(conf.open.v.number, MEGA__OPEN_AUTO);
    cr_assert_eq(conf.open.from_environment, 0);
}

Test(conf, sizes_have_units)
{
    static const struct {
        const char *text;
        uint64_t bytes;
    } good[] = {{"8388608", UINT64_C(8) << 20}, {"8M", UINT64_C(8) << 20},
                {"16m", UINT64_C(16) << 20},    {"2G", UINT64_C(2) << 30},
                {"1T", UINT64_C(1) << 40},      {"8192K", UINT64_C(8) << 20},
                {"8MiB", UINT64_C(8) << 20},    {"8MB", UINT64_C(8) << 20}};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        cr_assert_eq(read_with("MEGALLOC_HOME_SIZE", good[i].text), MEGA_OK,
                     "%s", good[i].text);
        cr_assert_eq(conf.home_size.v.number, good[i].bytes, "%s",
                     good[i].text);
        cr_assert_eq(conf.home_size.from_environment, 1);
    }
}

static const char *const nonsense_size[] = {"",
                                            " ",
                                            "much",
                                            "-1",
                                            "1.5G",
                                            "0x10",
                                            "8M8",
                                            "8X",
                                            "8 M",
                                            "M",
                                            "99999999999999999999",
                                            "17179869184T",
                                            "8MM",
                                            "+8M",
                                            "8\n",
                                            "NULL",
                                            "1e9",
                                            "8M,9M",
                                            NULL};
static const char *const nonsense_word[] = {
    "",  " ",  "maybe",  "AUTO", "auto ",    " auto", "auto create",
    "2", "-1", "yes no", "true", "thread\n", NULL};
static const char *const nonsense_seconds[] = {
    "", "0", "-3", "soon", "5s", "1M", "1000000", "2.5", "1B", NULL};

static void refuse_all(const char *name, const char *const *values)
{
    for (; *values; values++) {
        mega__errmsg_buffer()[0] = '\0';
        cr_assert_eq(read_with(name, *values), MEGA_ERR_CONF, "%s=%s", name,
                     *values);
        cr_assert(strstr(mega__errmsg_buffer(), name), "%s=%s: %s", name,
                  *values, mega__errmsg_buffer());
    }
}

/* The table's kinds stand for what is nonsense for them. */
#define ENUM nonsense_word
#define SIZE nonsense_size
#define SECONDS nonsense_seconds
#define PATH nonsense_path

Test(conf, nonsense_is_refused_by_name)
{
    static char endless[4000];
    static const char *nonsense_path[] = {endless, NULL};
    memset(endless, 'x', sizeof endless - 1);
#define CONF(field, name, kind, def, help) refuse_all("MEGALLOC_" name, kind);
#include "conf_defs.h"
#undef CONF
}

/* Each name of the table at least once with a value from the environment. */
Test(conf, every_variable_is_read)
{
#define CONF(field, name, kind, def, help)                                     \
    cr_assert_eq(                                                              \
        read_with("MEGALLOC_" name, strcmp(name, "HOME_MAX") ? def : "1T"),    \
        MEGA_OK, "%s", name);                                                  \
    cr_assert_eq(conf.field.from_environment, 1, "%s", name);
#include "conf_defs.h"
#undef CONF
}

Test(conf, a_maximum_below_the_size_is_refused)
{
    setenv("MEGALLOC_HOME_SIZE", "64M", 1);
    cr_assert_eq(read_with("MEGALLOC_HOME_MAX", "32M"), MEGA_ERR_CONF);
    cr_assert(strstr(mega__errmsg_buffer(), "HOME_SIZE"));
    unsetenv("MEGALLOC_HOME_SIZE");
}

Test(conf, an_unknown_name_is_reported_with_the_nearest)
{
    const char *text = warning_of("MEGALLOC_HOMESIZE", "8M");
    cr_assert(strstr(text, "MEGALLOC_HOMESIZE"), "%s", text);
    cr_assert(strstr(text, "MEGALLOC_HOME_SIZE"), "%s", text);
    text = warning_of("MEGALLOC_TIMOUT", "3");
    cr_assert(strstr(text, "MEGALLOC_TIMEOUT"), "%s", text);
    text = warning_of("MEGALLOC_", "3");
    cr_assert(strstr(text, "unknown"), "%s", text);
}

Test(conf, what_the_launchers_read_is_no_unknown_name)
{
    cr_expect_str_eq(warning_of("MEGALLOC_LAUNCHER", "mpirun"), "");
    cr_expect_str_eq(warning_of("MEGALLOC_LAB", "mine"), "");
    cr_expect(strstr(warning_of("MEGALLOC_LABS", "mine"), "unknown"));
}

Test(conf, an_endless_unknown_name_does_no_harm)
{
    char name[3000] = "MEGALLOC_";
    memset(name + 9, 'A', sizeof name - 10);
    name[sizeof name - 1] = '\0';
    cr_assert(strstr(warning_of(name, "1"), "unknown"));
}

Test(conf, directories_are_expanded)
{
    char dir[300], host[200] = "";
    gethostname(host, sizeof host - 1);
    cr_assert_eq(read_with("MEGALLOC_DIR", "/x/%h/n%n"), MEGA_OK);
    cr_assert_eq(mega__conf_dir(&conf, 12, dir, sizeof dir), MEGA_OK);
    cr_assert(strncmp(dir, "/x/", 3) == 0 &&
              strncmp(dir + 3, host, strlen(host)) == 0 &&
              strcmp(dir + 3 + strlen(host), "/n12") == 0);
    cr_assert_eq(mega__conf_dir(&conf, 12, dir, 4), MEGA_ERR_CONF);
}

/* It is read once; a program may change its directory, and may stand in one
 * whose name looks like a pattern. */
Test(conf, a_relative_directory_stays_where_it_was)
{
    char in[] = "/tmp/megalloc-%n-XXXXXX", dir[300], want[300];
    cr_assert(mkdtemp(in));
    cr_assert_eq(chdir(in), 0);
    cr_assert_eq(read_with("MEGALLOC_DIR", "s/%n"), MEGA_OK);
    cr_assert_eq(chdir("/"), 0);
    cr_assert_eq(mega__conf_dir(&conf, 12, dir, sizeof dir), MEGA_OK);
    snprintf(want, sizeof want, "%s/s/12", in);
    cr_assert_str_eq(dir, want);
    cr_assert_eq(mega__conf_dir(&conf, 12, dir, 8), MEGA_ERR_CONF);
    cr_assert_eq(read_with("MEGALLOC_DIR", "/s/%n"), MEGA_OK);
    cr_assert_eq(mega__conf_dir(&conf, 12, dir, sizeof dir), MEGA_OK);
    cr_assert_str_eq(dir, "/s/12");
    cr_assert_eq(chdir(in), 0);
    cr_assert_eq(rmdir(in), 0);
    cr_assert_eq(read_with("MEGALLOC_DIR", "s"), MEGA_ERR_CONF);
    cr_assert(strstr(mega__errmsg_buffer(), "MEGALLOC_DIR=s"));
}
