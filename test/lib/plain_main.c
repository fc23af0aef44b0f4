/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * plain_main.c - runs the tests of a program without Criterion, each in a
 * child process, and writes TAP to the file named by --tap=FILE (or to
 * stdout). A child ends by exit, so that ThreadSanitizer's status counts.
 * See plain/criterion/criterion.h.
 */
#include <criterion/criterion.h>

#include <stdarg.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SKIPPED = 77, DEFAULT_TIMEOUT = 600 };

static struct plain_test *first_test;
static atomic_int failures; /* of this child */
static int reason_fd = -1;  /* to the parent: why a test is skipped */

void plain_register(struct plain_test *test)
{
    test->next = first_test;
    first_test = test;
}

void plain_failed(const char *file, int line, const char *what,
                  const char *format, ...)
{
    char more[512] = "";
    va_list args;

    va_start(args, format);
    vsnprintf(more, sizeof more, format, args);
    va_end(args);
    fprintf(stderr, "%s:%d: not so: %s;%s\n", file, line, what, more);
    atomic_fetch_add(&failures, 1);
}

_Noreturn void plain_stop(void)
{
    fflush(NULL);
    _exit(1); /* any thread may come here */
}

_Noreturn void plain_skip(const char *format, ...)
{
    char reason[256];
    va_list args;

    va_start(args, format);
    int len = vsnprintf(reason, sizeof reason, format, args);
    va_end(args);
    if (len > 0)
        (void)!write(reason_fd, reason, strnlen(reason, sizeof reason));
    _exit(SKIPPED);
}

static const struct plain_options *suite_options(const char *suite)
{
    static const struct plain_options none;

    for (struct plain_test *t = first_test; t; t = t->next)
        if (!t->name && strcmp(t->suite, suite) == 0)
            return &t->options;
    return &none;
}

static double timeout_of(const struct plain_test *t)
{
    double timeout = t->options.timeout;

    if (timeout <= 0)
        timeout = suite_options(t->suite)->timeout;
    return timeout > 0 ? timeout : DEFAULT_TIMEOUT;
}

static _Noreturn void child(const struct plain_test *t)
{
    const struct plain_options *suite = suite_options(t->suite);
    void (*init)(void) = t->options.init ? t->options.init : suite->init;
    void (*fini)(void) = t->options.fini ? t->options.fini : suite->fini;

    /* The sanitizer slows everything. */
    alarm((unsigned)(timeout_of(t) * 10));
    if (init)
        init();
    t->run();
    if (fini)
        fini();
    exit(atomic_load(&failures) ? 1 : 0);
}

/* Whether the child ended as its test says it should. */
static bool as_expected(const struct plain_test *t, int status)
{
    if (t->options.signal)
        return WIFSIGNALED(status) && WTERMSIG(status) == t->options.signal;
    return WIFEXITED(status) && WEXITSTATUS(status) == t->options.exit_code;
}

static void run(const struct plain_test *t, FILE *tap)
{
    char reason[257] = "";
    int fds[2], status = -1;

    fflush(NULL);
    if (pipe(fds) != 0)
        exit(99);
    reason_fd = fds[1];
    pid_t pid = fork();
    if (pid == 0)
        child(t);
    close(fds[1]);
    (void)!read(fds[0], reason, sizeof reason - 1);
    close(fds[0]);
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        exit(99);
    bool skipped = WIFEXITED(status) && WEXITSTATUS(status) == SKIPPED;
    bool ok = skipped || as_expected(t, status);
    fprintf(tap, "%sok - %s::%s%s%s\n", ok ? "" : "not ", t->suite, t->name,
            skipped ? " # SKIP " : "", skipped ? reason : "");
    if (!ok && WIFSIGNALED(status))
        fprintf(tap, "# ended by signal %d\n", WTERMSIG(status));
    else if (!ok)
        fprintf(tap, "# ended with status %d\n", WEXITSTATUS(status));
}

static void run_all(FILE *tap)
{
    int count = 0;

    for (struct plain_test *t = first_test; t; t = t->next)
        count += t->name != NULL;
    fprintf(tap, "1..%d\n", count);
    for (struct plain_test *t = first_test; t; t = t->next) {
        if (!t->name)
            continue;
        if (t->options.disabled || suite_options(t->suite)->disabled)
            fprintf(tap, "ok - %s::%s # SKIP disabled\n", t->suite, t->name);
        else
            run(t, tap);
    }
}

int main(int argc, char **argv)
{
    FILE *tap = stdout;

    for (int i = 1; i < argc; i++) {
        if (strncmp(argv[i], "--tap=", 6) != 0)
            continue;
        tap = fopen(argv[i] + 6, "w");
        if (!tap) {
            perror(argv[i] + 6);
            return 99;
        }
    }
    run_all(tap);
    fflush(tap);
    return 0;
}
