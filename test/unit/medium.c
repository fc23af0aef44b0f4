/* SPDX-License-Identifier: BSD-3-Clause */
/* medium.c - does the pool that loses data lose the right data? */
#include "test/lib/medium.h"

#include <criterion/criterion.h>
#include <string.h>

#include "test/lib/crash.h"

#define PATH "/m/home-0.0.pool"
#define SIZE MEDIUM_POOL_LEAST

static struct medium *m;
static struct mega__pool *pool;
static struct mega__flusher f, g;
static char *bytes; /* of the span */
static uint64_t span_size;

static void begin(void)
{
    struct mega__pool_ident ident = {.magic = MEGA__POOL_MAGIC};
    uint64_t base;
    m = medium_new();
    medium_use(m);
    cr_assert_eq(mega__pool_create(PATH, SIZE, &ident, &pool), MEGA_OK);
    cr_assert_eq(mega__pool_add_span(pool, 0, 1 << 20, &base, &span_size),
                 MEGA_OK);
    bytes = mega__pool_base(pool) + base;
    cr_assert_eq(base % MEGA__SPAN_ALIGN, 0);
    memset(bytes, 0, span_size);
    cr_assert_eq(mega__pool_sync(pool), MEGA_OK);
}

static void end(void)
{
    mega__pool_close(&pool);
    medium_use(NULL);
    medium_free(&m);
}

TestSuite(medium, .init = begin, .fini = end);

Test(medium, loses_what_was_not_flushed)
{
    bytes[0] = 7;
    medium_power_loss(m);
    cr_assert_eq(bytes[0], 0);
}

Test(medium, loses_what_was_flushed_and_not_drained)
{
    bytes[0] = 7;
    mega__pool_flush(&f, MEGA__HOW_FLUSH, bytes, 1);
    medium_power_loss(m);
    cr_assert_eq(bytes[0], 0);
}

Test(medium, keeps_what_was_drained)
{
    bytes[100] = 7;
    mega__pool_flush(&f, MEGA__HOW_FLUSH, bytes + 100, 1);
    cr_assert_eq(mega__pool_drain(&f), MEGA_OK);
    medium_power_loss(m);
    cr_assert_eq(bytes[100], 7);
}

Test(medium, a_drain_serves_its_own_flusher_only)
{
    bytes[0] = 7;
    bytes[64] = 8;
    mega__pool_flush(&f, MEGA__HOW_FLUSH, bytes, 1);
    mega__pool_flush(&g, MEGA__HOW_FLUSH, bytes + 64, 1);
    cr_assert_eq(mega__pool_drain(&g), MEGA_OK);
    medium_power_loss(m);
    cr_assert_eq(bytes[0], 0);
    cr_assert_eq(bytes[64], 8);
}

Test(medium, a_store_after_the_flush_is_not_covered)
{
    bytes[0] = 7;
    mega__pool_flush(&f, MEGA__HOW_FLUSH, bytes, 1);
    bytes[0] = 9;
    cr_assert_eq(mega__pool_drain(&f), MEGA_OK);
    medium_power_loss(m);
    cr_assert_eq(bytes[0], 7);
}

Test(medium, msync_writes_the_value_at_the_drain)
{
    bytes[0] = 7;
    mega__pool_flush(&f, MEGA__HOW_MSYNC, bytes, 1);
    bytes[0] = 9;
    cr_assert_eq(mega__pool_drain(&f), MEGA_OK);
    medium_power_loss(m);
    cr_assert_eq(bytes[0], 9);
}

Test(medium, an_old_flush_does_not_undo_a_newer_one)
{
    bytes[0] = 1;
    mega__pool_flush(&f, MEGA__HOW_FLUSH, bytes, 1);
    bytes[0] = 2;
    mega__pool_flush(&g, MEGA__HOW_FLUSH, bytes, 1);
    cr_assert_eq(mega__pool_drain(&g), MEGA_OK);
    cr_assert_eq(mega__pool_drain(&f), MEGA_OK);
    medium_power_loss(m);
    cr_assert_eq(bytes[0], 2);
}

Test(medium, a_dropped_flush_has_no_effect)
{
    m->drop_flush = m->flushes;
    bytes[0] = 7;
    mega__pool_flush(&f, MEGA__HOW_FLUSH, bytes, 1);
    cr_assert_eq(mega__pool_drain(&f), MEGA_OK);
    medium_power_loss(m);
    cr_assert_eq(bytes[0], 0);
}

Test(medium, a_dropped_drain_leaves_the_lines_to_the_next)
{
    m->drop_drain = m->drains;
    bytes[0] = 7;
    mega__pool_flush(&f, MEGA__HOW_FLUSH, bytes, 1);
    cr_assert_eq(mega__pool_drain(&f), MEGA_OK);
    medium_power_loss(m);
    cr_assert_eq(bytes[0], 0);
    bytes[0] = 7;
    mega__pool_flush(&f, MEGA__HOW_FLUSH, bytes, 1);
    cr_assert_eq(mega__pool_drain(&f), MEGA_OK);
    medium_power_loss(m);
    cr_assert_eq(bytes[0], 7);
}

Test(medium, is_full_at_its_capacity)
{
    struct mega__pool_ident ident = {0};
    struct mega__pool *other = NULL;
    m->capacity = 2 * SIZE - 1;
    cr_assert_eq(mega__pool_create("/m/x", SIZE, &ident, &other),
                 MEGA_ERR_MEDIUM_FULL);
    m->capacity = 2 * SIZE;
    cr_assert_eq(mega__pool_create("/m/x", SIZE, &ident, &other), MEGA_OK);
    mega__pool_close(&other);
}

Test(medium, refuses_a_file_cut_short)
{
    mega__pool_close(&pool);
    medium_cut(medium_find(m, PATH), SIZE - 4096);
    cr_assert_eq(mega__pool_open(PATH, &pool), MEGA_ERR_DAMAGED);
}

static void count_name(const char *path, void *arg)
{
    (void)path;
    ++*(int *)arg;
}

Test(medium, finds_files_by_pattern_and_host)
{
    struct mega__pool_ident ident = {0};
    struct mega__pool *other = NULL;
    int n = 0;
    medium_set_host(1);
    cr_assert_eq(mega__pool_create("/m/home-1.0.pool", SIZE, &ident, &other),
                 MEGA_OK);
    medium_set_host(0);
    mega__pool_find("/m/home-*.0.pool", count_name, &n);
    cr_assert_eq(n, 1);
    medium_set_host(1);
    mega__pool_find("/m/home-*.0.pool", count_name, &n);
    cr_assert_eq(n, 2);
    mega__pool_find("/*/home-1.*", count_name, &n);
    cr_assert_eq(n, 3);
    medium_set_host(0);
    mega__pool_close(&other);
}

/* ---- Images ---- */

static uint64_t oracle;

struct seen {
    const struct crash_film *film;
    struct medium *scratch;
    unsigned values[4]; /* how often bytes 0 and 64 were so */
    unsigned torn;
};

static bool look(const struct crash_point *p, const struct crash_pick *pick,
                 void *arg)
{
    struct seen *seen = arg;
    crash_image(seen->film, p, pick, seen->scratch);
    const char *b = seen->scratch->files[0]->media + MEDIUM_DATA;
    if (pick->kind == CRASH_TORN)
        seen->torn++;
    else
        seen->values[(b[0] == 7) + 2 * (b[64] == 8)]++;
    return true;
}

Test(medium, images_are_all_subsets_of_the_dirty_lines)
{
    struct crash_film film = {0};
    struct seen seen = {.film = &film, .scratch = medium_new()};
    crash_film_start(&film, m, &oracle, sizeof oracle);
    bytes[0] = 7;
    bytes[64] = 8;
    mega__pool_flush(&f, MEGA__HOW_FLUSH, bytes, 1);
    cr_assert_eq(mega__pool_drain(&f), MEGA_OK);
    crash_film_stop(&film);
    struct crash_limits limits = {4096, 10, 2};
    cr_assert_eq(film.npoints, 3, "start, flush = drain, drained = stop");
    crash_each_pick(&film.points[0], &limits, 1, look, &seen);
    cr_assert_eq(seen.values[0], 1);
    crash_each_pick(&film.points[1], &limits, 1, look, &seen);
    for (int i = 0; i < 4; i++)
        cr_assert_eq(seen.values[i], 1 + (i == 0));
    cr_assert_eq(crash_each_pick(&film.points[2], &limits, 1, look, &seen), 2);
    cr_assert_eq(seen.values[1], 2);
    cr_assert_eq(seen.values[3], 2);
    cr_assert_eq(seen.torn, 0, "one word in each line cannot be torn");
    crash_film_free(&film);
    medium_free(&seen.scratch);
}

Test(medium, a_line_of_two_words_can_be_torn)
{
    struct crash_film film = {0};
    struct seen seen = {.film = &film, .scratch = medium_new()};
    crash_film_start(&film, m, &oracle, sizeof oracle);
    bytes[0] = 7;
    bytes[8] = 7;
    crash_film_stop(&film);
    struct crash_limits limits = {4096, 10, 5};
    cr_assert_eq(crash_each_pick(&film.points[1], &limits, 1, look, &seen), 7);
    cr_assert_eq(seen.torn, 5);
    crash_film_free(&film);
    medium_free(&seen.scratch);
}

Test(medium, a_kill_image_keeps_what_was_seen_and_the_media_behind)
{
    struct crash_film film = {0};
    struct medium *scratch = medium_new();
    struct crash_pick kill = {.kind = CRASH_KILL};
    crash_film_start(&film, m, &oracle, sizeof oracle);
    bytes[0] = 7;
    crash_film_stop(&film);
    crash_image(&film, &film.points[1], &kill, scratch);
    cr_assert_eq(scratch->files[0]->cpu[MEDIUM_DATA], 7);
    medium_power_loss(scratch);
    cr_assert_eq(scratch->files[0]->cpu[MEDIUM_DATA], 0);
    crash_film_free(&film);
    medium_free(&scratch);
}

Test(medium, the_oracle_is_that_of_the_point)
{
    struct crash_film film = {0};
    oracle = 1;
    crash_film_start(&film, m, &oracle, sizeof oracle);
    bytes[0] = 7;
    mega__pool_flush(&f, MEGA__HOW_FLUSH, bytes, 1);
    cr_assert_eq(mega__pool_drain(&f), MEGA_OK);
    medium_lock(m);
    oracle = 2;
    medium_unlock(m);
    crash_film_stop(&film);
    cr_assert_eq(film.npoints, 4);
    cr_assert_eq(*(uint64_t *)film.points[2].oracle, 1);
    cr_assert_eq(*(uint64_t *)film.points[3].oracle, 2);
    crash_film_free(&film);
}

/* Does the image hold these bytes, and nothing of another? */
static void holds(const struct medium *image, char at0, char at64)
{
    const struct medium_file *file = image->files[0];
    for (uint64_t i = 0; i < span_size; i++) {
        char want = 0;
        if (i == 0)
            want = at0;
        if (i == 64)
            want = at64;
        cr_assert_eq(file->media[MEDIUM_DATA + i], want, "media %d", (int)i);
        cr_assert_eq(file->cpu[MEDIUM_DATA + i], want, "cpu %d", (int)i);
    }
}

/* What is done to an image is filmed with the first film's picture. */
static void film_again(const struct crash_film *first, struct medium *image)
{
    struct crash_film film = {0};
    unsigned char kept[] = {1, 1, 1};
    struct crash_pick pick = {.kind = CRASH_SUBSET, .choice = kept};
    struct medium *scratch = medium_new();
    char *at = image->files[0]->cpu + MEDIUM_DATA;
    medium_use(image);
    crash_film_again(&film, first, image, &oracle);
    memset(at + 4096, 5, 4096); /* never flushed */
    at[64] = 9;
    mega__pool_flush(&g, MEGA__HOW_FLUSH, at + 64, 1);
    cr_assert_eq(mega__pool_drain(&g), MEGA_OK);
    memset(at + 4096, 0, 4096);
    crash_film_stop(&film);
    crash_image(&film, &film.points[film.npoints - 1], &pick, scratch);
    holds(scratch, 7, 9);
    crash_film_free(&film);
    medium_free(&scratch);
    medium_use(m);
}

Test(medium, an_image_is_as_if_no_other_had_been_there)
{
    struct crash_film film = {0};
    unsigned char choice[] = {1, 0};
    struct crash_pick pick = {.kind = CRASH_SUBSET, .choice = choice};
    struct medium *image = medium_new();
    crash_film_start(&film, m, &oracle, sizeof oracle);
    bytes[0] = 7;
    bytes[64] = 8;
    crash_film_stop(&film);
    for (int turn = 0; turn < 2; turn++) {
        choice[0] = 1;
        choice[1] = 0;
        crash_image(&film, &film.points[1], &pick, image);
        holds(image, 7, 0);
        film_again(&film, image); /* leaves 9 on media */
        choice[0] = 0;
        choice[1] = 1;
        crash_image(&film, &film.points[1], &pick, image);
        holds(image, 0, 8);
    }
    crash_film_free(&film);
    medium_free(&image);
}

Test(medium, a_sync_need_not_look_where_nobody_stores)
{
    struct mega__span_header h = {
        .magic = MEGA__SPAN_MAGIC, .size = span_size, .first = 4};
    struct mega__pool_root *root = mega__pool_root(pool);
    root->spans[0].base = MEDIUM_DATA;
    root->spans[0].size = span_size;
    root->spans[0].listed = 1;
    memcpy(bytes, &h, sizeof h);
    medium_still(m);
    bytes[1000] = 7;
    bytes[4 * MEGA__EXTENT] = 7; /* somebody does */
    cr_assert_eq(mega__pool_sync(pool), MEGA_OK);
    const char *media = m->files[0]->media + MEDIUM_DATA;
    cr_assert_eq(media[1000], 7);
    cr_assert_eq(media[4 * MEGA__EXTENT], 0);
    medium_stirred(m);
    cr_assert_eq(mega__pool_sync(pool), MEGA_OK);
    cr_assert_eq(media[4 * MEGA__EXTENT], 7);
}
