/* SPDX-License-Identifier: BSD-3-Clause */
/* mutants.h - what the files of crash/mutants share. */
#ifndef TEST_MUTANTS_H
#define TEST_MUTANTS_H

#include <criterion/criterion.h>

#include "test/lib/report.h"
#include "test/lib/scenario.h"

#define EXTENT ((size_t)MEGA__EXTENT)

/* Asserts that an image tells each flush and drain of the work that is dropped,
 * or that e explains it (scenario_mutate). */
static inline void mutate(const struct scenario *sc,
                          const struct scenario_excuse *e)
{
    unsigned unexplained = scenario_mutate(sc, e);
    cr_assert_eq(unexplained, 0, "%s: %u changes are not as expected", sc->name,
                 unexplained);
    report_settle();
}

/* ---- A region "one", made, grown and ended ---- */

/* What is known: v[0] of "one", v[1] of "two". */
enum known { NEVER, MAYBE, EXISTS, GROWING, GROWN, ENDING, GONE, CLAIMING };

void mutants_verify_region(struct mega__ctx *ctx, const struct scene *s);

/* ---- Slots p[0] to p[2], of chunks that may not be durable ---- */

/* What slot k holds for sure from now on: p[8 + k], and v[k] says so. */
void mutants_expect(struct scene *s, unsigned k, mega_gptr_t p);
void mutants_expect_nothing(struct scene *s, unsigned k);
void mutants_verify_slots(struct mega__ctx *ctx, const struct scene *s);

/* And each chunk that is published into slot k, tag 800 + k (900 + k: without
 * its contents), is live if and only if its slot says so. */
void mutants_verify_group(struct mega__ctx *ctx, const struct scene *s);

#endif
