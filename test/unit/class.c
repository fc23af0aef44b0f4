/* SPDX-License-Identifier: BSD-3-Clause */
/* class.c - the sizes of chunks. */
#include "class.h"

#include <criterion/criterion.h>

static struct mega__classes classes;

static void begin(void)
{
    mega__class_init(&classes);
}

TestSuite(class, .init = begin);

static const struct mega__class *of_size(uint32_t size)
{
    return &classes.of[classes.bin_of[(size - 1) / 16] / MEGA__BIN_BYTES];
}

Test(class, the_smallest_that_fits_is_taken)
{
    for (uint32_t size = 1; size <= MEGA__CLASS_MAX; size++) {
        const struct mega__class *c = of_size(size);
        cr_assert_geq(c->size, size);
        if (c > classes.of)
            cr_assert_lt(c[-1].size, size, "size %u", size);
    }
}

Test(class, chunks_are_aligned)
{
    for (int i = 0; i < MEGA__CLASSES; i++) {
        uint32_t size = classes.of[i].size;
        cr_assert_eq(size % 16, 0);
        cr_assert_geq(size, MEGA__GRANULE);
        if (size >= 4096)
            cr_assert_eq(size % 4096, 0, "a page or more: page aligned");
    }
}

Test(class, little_is_lost_from_128_bytes_on)
{
    for (uint32_t size = 129; size <= 4096; size++)
        cr_assert_leq(of_size(size)->size, size + size / 4, "size %u", size);
}

Test(class, dividing_by_multiplication_is_exact)
{
    for (int i = 0; i < MEGA__CLASSES; i++) {
        const struct mega__class *c = &classes.of[i];
        for (uint64_t off = 0; off < MEGA__EXTENT; off++)
            cr_assert_eq(off * c->magic >> 32, off / c->size,
                         "class %u offset %u", c->size, (unsigned)off);
    }
}

Test(class, starts_are_one_granule_for_each_chunk)
{
    for (int i = 0; i < MEGA__CLASSES; i++) {
        const struct mega__class *c = &classes.of[i];
        unsigned n = 0;
        for (unsigned w = 0; w < MEGA__EXTENT_LINES; w++)
            n += (unsigned)__builtin_popcountll(c->starts[w]);
        cr_assert_eq(n, c->capacity);
        cr_assert_leq(c->capacity * c->size, MEGA__EXTENT);
        for (unsigned k = 0; k < c->capacity; k++) {
            unsigned g = k * c->size / MEGA__GRANULE;
            cr_assert(c->starts[g / 64] >> g % 64 & 1);
        }
    }
}
