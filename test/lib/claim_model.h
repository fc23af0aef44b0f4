/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * claim_model.h - many ranks claim extents of one far home: a model in rounds,
 * with the rules of find.h. See runtime/far_slab.c for what it stands for.
 */
#ifndef TEST_CLAIM_MODEL_H
#define TEST_CLAIM_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#define CLAIM_EXTENTS (UINT32_C(1) << 18) /* of a span of 16 GiB */

/* What is done, or what was done instead. */
struct claim_rules {
    uint32_t view;   /* words read at once, a multiple of 64 */
    unsigned ahead;  /* extents claimed at once */
    bool ahead_kept; /* also after a loss */
    unsigned wary;   /* claims after a loss that read the words again */
    unsigned leap;   /* so many times that of find.h; 0: the next extent */
    bool spread;     /* starts; else all begin in the first 64 extents */
    bool probe;      /* before a span is read through */
};

/* As far_slab.c does it. */
struct claim_rules claim_rules_shipped(void);

struct claim_work {
    uint32_t ranks;
    unsigned percent; /* of the span that they hold before */
    bool clumped;     /* from its beginning on; else anywhere */
    bool churn;     /* a rank frees an extent for each that it begins to use */
    unsigned think; /* rounds that it uses one, on average; 0: none, and all
                     * ranks begin in the same round */
    unsigned gets;  /* times that each rank claims */
    unsigned warm;  /* of these not counted */
};

struct claim_result {
    double mean;        /* CAS for a claim */
    unsigned most;      /* as mega_counters_t has it */
    double trips;       /* for a claim: views, swaps, messages */
    double words;       /* read for a claim */
    unsigned trips_max; /* of one search */
    double failed;      /* share of searches that found nothing */
};

struct claim_result claim_model(const struct claim_rules *rules,
                                const struct claim_work *work);

#endif
