/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * criterion.h - a stand-in for Criterion in builds with ThreadSanitizer, whose
 * address space leaves no room for Criterion's own arena: a program linked
 * with both aborts before its first test. Offers the part of Criterion that
 * the unit tests use; plain_main.c runs each test in a child process.
 */
#ifndef TEST_PLAIN_CRITERION_H
#define TEST_PLAIN_CRITERION_H

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct plain_options { /* the names are Criterion's */
    void (*init)(void);
    void (*fini)(void);
    double timeout; /* seconds */
    int signal;
    int exit_code;
    bool disabled;
    const char *description;
};

struct plain_test {
    const char *suite;
    const char *name; /* NULL: the options of the suite */
    void (*run)(void);
    struct plain_options options;
    struct plain_test *next;
};

void plain_register(struct plain_test *test);
_Noreturn void plain_skip(const char *format, ...)
    __attribute__((format(printf, 1, 2)));

/* Says what was not so; format may be " ". */
void plain_failed(const char *file, int line, const char *what,
                  const char *format, ...)
    __attribute__((format(printf, 4, 5)));
_Noreturn void plain_stop(void);

#define PLAIN_REGISTER(suite_text, name_text, id, fn, ...)                     \
    static struct plain_test id##_plain = {                                    \
        .suite = suite_text,                                                   \
        .name = name_text,                                                     \
        .run = fn,                                                             \
        .options = {__VA_ARGS__},                                              \
    };                                                                         \
    __attribute__((constructor)) static void id##_register(void)               \
    {                                                                          \
        plain_register(&id##_plain);                                           \
    }

#define Test(suite, name, ...)                                                 \
    static void suite##_##name##_impl(void);                                   \
    PLAIN_REGISTER(#suite, #name, suite##_##name, suite##_##name##_impl,       \
                   __VA_ARGS__)                                                \
    static void suite##_##name##_impl(void)

#define TestSuite(suite, ...)                                                  \
    PLAIN_REGISTER(#suite, NULL, suite##_suite, NULL, __VA_ARGS__)             \
    struct plain_test

/* The message may be missing; a space before it keeps the format from being
 * empty. */
#define PLAIN_CHECK(ok, text, stop, ...)                                       \
    do {                                                                       \
        if (!(ok)) {                                                           \
            plain_failed(__FILE__, __LINE__, text, " " __VA_ARGS__);           \
            if (stop)                                                          \
                plain_stop();                                                  \
        }                                                                      \
    } while (0)

#define PLAIN_OP(a, op, b, stop, ...)                                          \
    PLAIN_CHECK((a)op(b), #a " " #op " " #b, stop, __VA_ARGS__)

#define cr_assert(ok, ...) PLAIN_CHECK(ok, #ok, 1, __VA_ARGS__)
#define cr_assert_not(ok, ...) PLAIN_CHECK(!(ok), "!" #ok, 1, __VA_ARGS__)
#define cr_assert_eq(a, b, ...) PLAIN_OP(a, ==, b, 1, __VA_ARGS__)
#define cr_assert_neq(a, b, ...) PLAIN_OP(a, !=, b, 1, __VA_ARGS__)
#define cr_assert_lt(a, b, ...) PLAIN_OP(a, <, b, 1, __VA_ARGS__)
#define cr_assert_leq(a, b, ...) PLAIN_OP(a, <=, b, 1, __VA_ARGS__)
#define cr_assert_gt(a, b, ...) PLAIN_OP(a, >, b, 1, __VA_ARGS__)
#define cr_assert_geq(a, b, ...) PLAIN_OP(a, >=, b, 1, __VA_ARGS__)
#define cr_assert_null(a, ...) PLAIN_OP(a, ==, NULL, 1, __VA_ARGS__)
#define cr_assert_not_null(a, ...) PLAIN_OP(a, !=, NULL, 1, __VA_ARGS__)
#define cr_assert_str_eq(a, b, ...)                                            \
    PLAIN_CHECK(strcmp(a, b) == 0, #a " is " #b, 1, __VA_ARGS__)
#define cr_assert_str_neq(a, b, ...)                                           \
    PLAIN_CHECK(strcmp(a, b) != 0, #a " is not " #b, 1, __VA_ARGS__)
#define cr_assert_arr_eq(a, b, len, ...)                                       \
    PLAIN_CHECK(memcmp(a, b, len) == 0, #a " is " #b, 1, __VA_ARGS__)
#define cr_assert_arr_neq(a, b, len, ...)                                      \
    PLAIN_CHECK(memcmp(a, b, len) != 0, #a " is not " #b, 1, __VA_ARGS__)
#define cr_assert_float_eq(a, b, e, ...)                                       \
    PLAIN_CHECK(fabs((a) - (b)) <= (e), #a " is " #b, 1, __VA_ARGS__)
#define cr_assert_fail(...) PLAIN_CHECK(0, "reached", 1, __VA_ARGS__)
#define cr_fatal(...) PLAIN_CHECK(0, "reached", 1, __VA_ARGS__)

#define cr_expect(ok, ...) PLAIN_CHECK(ok, #ok, 0, __VA_ARGS__)
#define cr_expect_not(ok, ...) PLAIN_CHECK(!(ok), "!" #ok, 0, __VA_ARGS__)
#define cr_expect_eq(a, b, ...) PLAIN_OP(a, ==, b, 0, __VA_ARGS__)
#define cr_expect_neq(a, b, ...) PLAIN_OP(a, !=, b, 0, __VA_ARGS__)
#define cr_expect_lt(a, b, ...) PLAIN_OP(a, <, b, 0, __VA_ARGS__)
#define cr_expect_leq(a, b, ...) PLAIN_OP(a, <=, b, 0, __VA_ARGS__)
#define cr_expect_gt(a, b, ...) PLAIN_OP(a, >, b, 0, __VA_ARGS__)
#define cr_expect_geq(a, b, ...) PLAIN_OP(a, >=, b, 0, __VA_ARGS__)
#define cr_expect_null(a, ...) PLAIN_OP(a, ==, NULL, 0, __VA_ARGS__)
#define cr_expect_not_null(a, ...) PLAIN_OP(a, !=, NULL, 0, __VA_ARGS__)
#define cr_expect_str_eq(a, b, ...)                                            \
    PLAIN_CHECK(strcmp(a, b) == 0, #a " is " #b, 0, __VA_ARGS__)
#define cr_expect_fail(...) PLAIN_CHECK(0, "reached", 0, __VA_ARGS__)

#define cr_skip_test(...) plain_skip(" " __VA_ARGS__)
#define cr_skip(...) plain_skip(" " __VA_ARGS__)
#define cr_log_info(...) fprintf(stderr, __VA_ARGS__)
#define cr_log_warn(...) fprintf(stderr, __VA_ARGS__)
#define cr_log_error(...) fprintf(stderr, __VA_ARGS__)

#endif
