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
