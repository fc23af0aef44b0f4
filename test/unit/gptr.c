/* SPDX-License-Identifier: BSD-3-Clause */
/* gptr.c - pointers, extent words, seals, epochs: the bits. */
#include "gptr.h"

#include <criterion/criterion.h>

#include "crc.h"

#define HOME_MAX (MEGA__HOMES_MAX - 1)
#define SPAN_MAX (MEGA__SPANS_MAX - 1)
#define OFFSET_MAX ((UINT64_C(1) << MEGA_OFFSET_BITS) - 1)
#define ID_MAX MEGA__REGION_ID_MAX
#define LEN_MAX 0x3ffffu

Test(gptr, null_is_zero_and_names_home_0)
{
    cr_assert_eq(mega_null().v, 0);
    cr_assert(mega_is_null(mega_null()));
    cr_assert_not(mega_is_null(mega__gptr(0, 0, 1)));
}

Test(gptr, parts_come_back_at_the_ends_of_their_ranges)
{
    static const uint32_t homes[] = {0, 1, HOME_MAX};
    static const uint32_t spans[] = {0, 1, SPAN_MAX};
    static const uint64_t offsets[] = {0, 1, OFFSET_MAX};
    for (int i = 0; i < 27; i++) {
        uint32_t home = homes[i % 3], span = spans[i / 3 % 3];
        uint64_t off = offsets[i / 9];
        mega_gptr_t p = mega__gptr(home, span, off);
        cr_assert_eq(mega__gptr_home(p), home);
        cr_assert_eq(mega_home(p), (int)home);
        cr_assert_eq(mega__gptr_span(p), span);
        cr_assert_eq(mega_offset(p), off);
    }
}

Test(gptr, adding_moves_the_offset_only)
{
    mega_gptr_t p = mega__gptr(HOME_MAX, SPAN_MAX, 4096);
    cr_assert_eq(mega_add(p, 64).v, mega__gptr(HOME_MAX, SPAN_MAX, 4160).v);
    cr_assert_eq(mega_add(mega_add(p, 64), -64).v, p.v);
}

Test(word, slab_parts_come_back)
{
    for (unsigned class = 0; class < 64; class += 21)
        for (uint32_t owner = 0; owner <= ID_MAX; owner += ID_MAX / 3) {
            uint64_t w = mega__word_slab(MEGA__SLAB, class, ID_MAX, owner,
                                         MEGA__EPOCH14_MAX);
            cr_assert_eq(mega__word_kind(w), MEGA__SLAB);
            cr_assert(mega__word_is_slab(w));
            cr_assert_eq(mega__word_class(w), class);
            cr_assert_eq(mega__word_region(w), ID_MAX);
            cr_assert_eq(mega__word_owner(w), owner);
            cr_assert_eq(mega__word_slab_epoch(w), MEGA__EPOCH14_MAX);
        }
}

Test(word, run_parts_come_back)
{
    static const enum mega__kind kinds[] = {MEGA__RUN_HEAD, MEGA__RUN_TAIL,
                                            MEGA__FREEING};
    for (int i = 0; i < 3; i++) {
        uint64_t w =
            mega__word_run(kinds[i], LEN_MAX, ID_MAX, MEGA__EPOCH14_MAX, 1);
        cr_assert_eq(mega__word_kind(w), kinds[i]);
        cr_assert_not(mega__word_is_slab(w));
        cr_assert_eq(mega__word_len(w), LEN_MAX);
        cr_assert_eq(mega__word_region(w), ID_MAX);
        cr_assert_eq(mega__word_run_epoch(w), MEGA__EPOCH14_MAX);
        cr_assert_eq(mega__word_flags(w), 1);
    }
}

Test(word, a_bit_of_a_run_that_flips_is_told)
{
    for (uint32_t len = 1; len < LEN_MAX; len += 1 + len / 3) {
        uint64_t w = mega__word_run(MEGA__RUN_HEAD, len, len + 1, 7, len & 1);
        cr_assert(mega__word_run_sound(w));
        for (int bit = 0; bit < 64; bit++)
            cr_assert_not(mega__word_run_sound(w ^ UINT64_C(1) << bit));
        cr_assert_not(mega__word_run_sound(w << 7 >> 7)); /* no check */
    }
}

Test(word, a_full_span_fits_in_a_length)
{
    cr_assert_leq((UINT64_C(1) << MEGA_OFFSET_BITS) >> MEGA__EXTENT_SHIFT,
                  LEN_MAX + 1);
}

Test(word, free_and_unusable_have_no_region)
{
    cr_assert_eq(mega__word_region(MEGA__FREE), 0);
    cr_assert_eq(mega__word_region(MEGA__UNUSABLE), 0);
}

Test(epoch, in_a_word_is_never_nobodys)
{
    for (uint64_t e = 0; e < 3 * MEGA__EPOCH14_MAX; e++) {
        uint32_t e14 = mega__epoch14(e);
        cr_assert(e14 >= 1 && e14 <= MEGA__EPOCH14_MAX, "epoch %zu", (size_t)e);
        cr_assert_neq(e14, mega__epoch14(e + 1));
    }
}

Test(epoch, a_dead_mark_is_neither_free_nor_live)
{
    for (uint64_t e = 0; e < 1000; e++) {
        uint8_t mark = mega__dead_mark(e);
        cr_assert_neq(mark, MEGA__MARK_FREE);
        cr_assert_neq(mark, MEGA__MARK_LIVE);
        cr_assert_neq(mark, mega__dead_mark(e + 1));
    }
}

Test(seal, values_come_back)
{
    static const uint64_t values[] = {0, 1, 2, 1000, (UINT64_C(1) << 48) - 1};
    for (int i = 0; i < 5; i++) {
        uint64_t back = 99;
        cr_assert(mega__unseal(mega__seal(values[i]), &back));
        cr_assert_eq(back, values[i]);
    }
}

Test(seal, a_word_of_zeroes_reads_as_zero)
{
    uint64_t back = 99;
    cr_assert(mega__unseal(0, &back));
    cr_assert_eq(back, 0);
}

Test(seal, any_flipped_bit_is_told)
{
    for (uint64_t value = 0; value < 3000; value++)
        for (unsigned bit = 0; bit < 64; bit++) {
            uint64_t back;
            cr_assert_not(
                mega__unseal(mega__seal(value) ^ UINT64_C(1) << bit, &back));
        }
}

Test(crc, is_castagnoli_and_never_zero)
{
    char line[256] = {0};
    cr_assert_eq(mega__crc("123456789", 9), 0xe3069283u);
    for (size_t n = 0; n < sizeof line; n++)
        cr_assert_neq(mega__crc(line, n), 0);
}

Test(crc, tells_any_flipped_bit_of_a_line)
{
    unsigned char line[60];
    for (unsigned i = 0; i < sizeof line; i++)
        line[i] = (unsigned char)(i * 7);
    uint32_t good = mega__crc(line, sizeof line);
    for (unsigned bit = 0; bit < 8 * sizeof line; bit++) {
        line[bit / 8] ^= (unsigned char)(1u << bit % 8);
        cr_assert_neq(mega__crc(line, sizeof line), good);
        line[bit / 8] ^= (unsigned char)(1u << bit % 8);
    }
}
