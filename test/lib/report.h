/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * report.h - failures found by any thread, and what a test has to tell.
 * Criterion's own asserts serve the main thread only; a rank says CHECK, and
 * the test asserts in the end that nothing was reported.
 */
#ifndef TEST_REPORT_H
#define TEST_REPORT_H

#include <stdint.h>

void report_fail(const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#define CHECK(condition, ...)                                                  \
    ((condition) ? (void)0 : report_fail(__FILE__, __LINE__, __VA_ARGS__))

/* Failures since the start, or the last reset. */
uint64_t report_failures(void);
void report_reset(void);

/* At the end of a test, after its body. Criterion does not count what fails in
 * a .fini, so failures are told to unit_tap.sh, by the file MEGA_FAILED. */
void report_settle(void);

/* The first of them, "" if none. */
const char *report_first(void);

/* While quiet, failures are counted and not printed (they are expected). */
void report_quiet(int quiet);

/* A line of the test's own for the TAP output (unit_tap.sh prints it). */
void report_note(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
