/* SPDX-License-Identifier: BSD-3-Clause */
/* moves.c - rank program: data, atomics, order, locks, roots and publishing
 * between ranks. */
#include "amo.h"
#include "rank.h"

static mega_region_t area; /* shared by all cases: 64 KiB a home */

static mega_gptr_t at(int home, uint64_t off)
{
    return mega_region_at(area, home, off, NULL);
}

static int next_home(void)
{
    return (mega_rank() + 1) % mega_nhomes();
}

static void set_up(int argc, char **argv)
{
    uint64_t zero;
    (void)argc, (void)argv;
    MUST(mega_region_create("area", 65536, 0, &area));
    for (uint64_t off = 0; off < 65536; off += 8) {
        MUST(mega_get(&zero, at(next_home(), off), 8));
        HOLDS(zero == 0);
    }
}

/* ---- Data ---- */

static void put_get(int argc, char **argv)
{
    static unsigned char out[200001], in[200001];
    mega_gptr_t p, q;
    uint64_t seed = (uint64_t)mega_rank() + 5;
    (void)argc, (void)argv;
    MUST(mega_alloc(MEGA_DEFAULT, next_home(), sizeof out, &p));
    MUST(mega_alloc(MEGA_DEFAULT, MEGA_ANY_HOME, sizeof out, &q));
    for (size_t i = 0; i < sizeof out; i++)
        out[i] = (unsigned char)(rank_random(&seed) >> 33);
    for (size_t n = 0, off = 0; n < 200000; n += n / 3 + 1, off = n % 13) {
        mega_iov_t iov[2] = {
            {mega_add(p, (int64_t)off), out, n / 2},
            {mega_add(p, (int64_t)(off + n / 2)), out + n / 2, n - n / 2}};
        n = off + n > sizeof out ? sizeof out - off : n;
        memset(in, 0, sizeof in);
        MUST(mega_put(mega_add(p, (int64_t)off), out, n));
        MUST(mega_quiet());
        MUST(mega_get(in, mega_add(p, (int64_t)off), n));
        HOLDS(memcmp(in, out, n) == 0 && in[n] == 0);
        memset(in, 0, sizeof in);
        MUST(mega_put_nbi(mega_add(q, (int64_t)off), out, n));
        MUST(mega_quiet());
        MUST(
            mega_copy(mega_add(p, (int64_t)off), mega_add(q, (int64_t)off), n));
        MUST(mega_quiet());
        MUST(mega_get_nbi(in, mega_add(p, (int64_t)off), n));
        MUST(mega_quiet());
        HOLDS(memcmp(in, out, n) == 0);
        MUST(mega_putv(iov, 2));
        MUST(mega_fence());
        MUST(mega_put_persist(mega_add(p, (int64_t)off), out, n));
        memset(in, 0, sizeof in);
        iov[0].buf = in;
        iov[1].buf = in + n / 2;
        MUST(mega_quiet());
        iov[1].p = mega_add(iov[0].p, (int64_t)iov[0].len);
        MUST(mega_getv(iov, 2));
        HOLDS(memcmp(in, out, iov[0].len) == 0);
    }
    HOLDS(mega_put(mega_null(), out, 8) == MEGA_ERR_ARG);
    HOLDS(mega_get(in, mega_null(), 8) == MEGA_ERR_ARG);
    HOLDS(mega_put(mega_from_bits(UINT64_MAX), out, 8) != MEGA_OK);
    HOLDS(mega_put(p, NULL, 8) == MEGA_ERR_ARG);
    HOLDS(mega_get(in, p, SIZE_MAX) != MEGA_OK);
    MUST(mega_put(p, "mine", 5));
    MUST(mega_put(q, "ours", 5));
    MUST(mega_quiet());
    REFUSED(MEGA_ERR_ARG, mega_copy(p, q, SIZE_MAX)); /* no part is copied */
    REFUSED(MEGA_ERR_ARG, mega_copy(mega_null(), mega_null(), 0));
    MUST(mega_get(in, p, 5));
    HOLDS(memcmp(in, "mine", 5) == 0);
    MUST(mega_persist(p, 0));
    MUST(mega_free(p));
    MUST(mega_free(q));
}

static void amo(int argc, char **argv)
{
    uint64_t seed = 3, mine = 8 * (uint64_t)mega_rank();
    (void)argc, (void)argv;
    for (int i = 0; i < 4000; i++) {
        mega_amo_op_t op = (mega_amo_op_t)(i % 8);
        size_t size = i & 8 ? 8 : 4;
        uint64_t mask = size == 8 ? UINT64_MAX : UINT32_MAX;
        uint64_t old, now, v = rank_random(&seed), c = rank_random(&seed);
        mega_gptr_t p = at(next_home(), mine);
        MUST(mega_fetch64(p, &old));
        c = i & 16 ? old & mask : c;
        uint64_t was = ~old;
        MUST(mega_amo(op, i & 32 ? MEGA_AMO_RELEASE : 0, size, p, v, c, &was));
        HOLDS((was & mask) == (old & mask));
        MUST(mega_fetch64(p, &now));
        HOLDS((now & mask) ==
              (amo_leaves(op, old & mask, v & mask, c & mask) & mask));
        HOLDS((now & ~mask) == (old & ~mask));
    }
    REFUSED(MEGA_ERR_ARG, mega_amo(MEGA_AMO_ADD, 0, 8, at(0, 4), 1, 0, NULL));
    REFUSED(MEGA_ERR_ARG, mega_amo(MEGA_AMO_ADD, 0, 2, at(0, 0), 1, 0, NULL));
    REFUSED(MEGA_ERR_ARG,
            mega_amo((mega_amo_op_t)99, 0, 8, at(0, 0), 1, 0, NULL));
    REFUSED(MEGA_ERR_ARG, mega_fetch_add64(mega_null(), 1, NULL));
    REFUSED(MEGA_ERR_ARG, mega_amo(MEGA_AMO_ADD, 2, 8, at(0, 0), 1, 0, NULL));
    REFUSED(MEGA_ERR_ARG,
            mega_amo_nbi(MEGA_AMO_ADD, 2, 8, at(0, 0), 1, 0, NULL));
    REFUSED(MEGA_ERR_ARG, mega_fetch64(at(0, 0), NULL));
    MUST(mega_barrier());
    for (int i = 0; i < 20000; i++)
        MUST(mega_fetch_add64(at(0, 1024), 1, NULL));
    MUST(mega_barrier());
    uint64_t sum;
    MUST(mega_fetch64(at(0, 1024), &sum));
    HOLDS(sum == 20000 * (uint64_t)mega_nranks());
}

/* ---- Waiting ---- */

/* A token and its data go around. */
static void signals(int argc, char **argv)
{
    int me = mega_rank(), n = mega_nranks(), to = (me + 1) % n;
    uint64_t base = 4096;
    (void)argc, (void)argv;
    for (uint64_t round = 1; round <= 100; round++) {
        uint64_t data[30], got[30];
        for (uint64_t i = 0; i < 30; i++)
            data[i] = round * 100 + i;
        if (me == 0)
            MUST(mega_put_signal(at(0, base + 512 * (uint64_t)to + 8), data,
                                 sizeof data, at(0, base + 512 * (uint64_t)to),
                                 round));
        MUST(mega_wait_until(at(0, base + 512 * (uint64_t)me), MEGA_CMP_GE,
                             round, 60000));
        MUST(mega_get(got, at(0, base + 512 * (uint64_t)me + 8), sizeof got));
        HOLDS(memcmp(got, data, sizeof got) == 0);
        if (me != 0)
            MUST(mega_put_signal(at(0, base + 512 * (uint64_t)to + 8), data,
                                 sizeof data, at(0, base + 512 * (uint64_t)to),
                                 round));
    }
    REFUSED(MEGA_ERR_TIMEOUT,
            mega_wait_until(at(0, 1024), MEGA_CMP_EQ, UINT64_MAX, 30));
    MUST(mega_wait_until(at(0, 1024), MEGA_CMP_NE, 1, 0));
    MUST(mega_wait_until(at(0, 1024), MEGA_CMP_LT, UINT64_MAX, 0));
    MUST(mega_wait_until(at(0, 1024), MEGA_CMP_LE, UINT64_MAX, 0));
    MUST(mega_wait_until(at(0, 1024), MEGA_CMP_GT, 0, 0));
    for (int root = 0; root < n; root++) {
        char text[1000];
        memset(text, root == me ? 'a' + root : 0, sizeof text);
        MUST(mega_bcast(text, sizeof text, root));
        HOLDS(text[0] == 'a' + root && text[999] == 'a' + root);
    }
}

/* L3: a chunk of the next rank's home is given to it by a word of one's own,
 * to which nothing has to be sent. */
static void give(int argc, char **argv)
{
    const int me = mega_rank(), n = mega_nranks(), before = (me + n - 1) % n;
    const uint64_t words = 64000;
    (void)argc, (void)argv;
    for (int turn = 0; turn < 20; turn++) {
        mega_gptr_t p, slot = at(me % mega_nhomes(), words + 8 * (uint64_t)me);
        mega_gptr_t from =
            at(before % mega_nhomes(), words + 8 * (uint64_t)before);
        uint64_t got;
        int seen;
        MUST(mega_alloc(MEGA_DEFAULT, next_home(), 200, &p));
        MUST(mega_put(p, &turn, sizeof turn));
        MUST(mega_set64(slot, p.v));
        MUST(mega_wait_until(from, MEGA_CMP_NE, 0, 60000));
        MUST(mega_swap64(from, 0, &got));
        MUST(mega_get(&seen, mega_from_bits(got), sizeof seen));
        HOLDS(seen == turn);
        MUST(mega_free(mega_from_bits(got)));
        MUST(mega_barrier());
    }
}

static void locks(int argc, char **argv)
{
    mega_gptr_t lock = at(0, 20000 / 8 * 8), a = at(0, 30000), b = at(0, 30064);
    uint64_t x, y;
    /* By UCX each atomic is a message to a rank that wants the processor. */
    const int rounds = getenv("MEGALLOC_ATOMICS") ? 400 : 1500;
    (void)argc, (void)argv;
    REFUSED(MEGA_ERR_STATE, mega_unlock(lock, 0));
    MUST(mega_barrier());
    for (int i = 0; i < rounds; i++) {
        if (i % 4 == 3) {
            MUST(mega_lock(lock, MEGA_LOCK_SHARED));
            MUST(mega_get(&x, a, 8));
            MUST(mega_get(&y, b, 8));
            HOLDS(x == y);
            MUST(mega_unlock(lock, MEGA_LOCK_SHARED));
            continue;
        }
        MUST(mega_lock(lock, 0));
        MUST(mega_get(&x, a, 8));
        x++;
        MUST(mega_put(a, &x, 8));
        MUST(mega_get(&y, b, 8));
        HOLDS(y + 1 == x);
        MUST(mega_put(b, &x, 8));
        MUST(mega_unlock(lock, 0));
    }
    MUST(mega_barrier());
    MUST(mega_get(&x, a, 8));
    HOLDS(x == (uint64_t)(rounds - rounds / 4) * (uint64_t)mega_nranks());
    if (mega_rank() == 0)
        MUST(mega_lock(lock, 0));
    MUST(mega_barrier());
    if (mega_rank() != 0 || mega_nranks() == 1) {
        REFUSED(MEGA_ERR_BUSY, mega_trylock(lock, 0));
        REFUSED(MEGA_ERR_BUSY, mega_trylock(lock, MEGA_LOCK_SHARED));
    }
    if (mega_rank() != 0)
        REFUSED(MEGA_ERR_STATE, mega_unlock(lock, 0));
    MUST(mega_barrier());
    if (mega_rank() == 0)
        MUST(mega_unlock(lock, 0));
    MUST(mega_barrier());
    MUST(mega_trylock(lock, MEGA_LOCK_SHARED)); /* all at once */
    MUST(mega_barrier());
    REFUSED(MEGA_ERR_BUSY, mega_trylock(lock, 0));
    MUST(mega_barrier());
    MUST(mega_unlock(lock, MEGA_LOCK_SHARED));
    REFUSED(MEGA_ERR_ARG, mega_lock(lock, 2));
    REFUSED(MEGA_ERR_ARG, mega_trylock(lock, 2));
    REFUSED(MEGA_ERR_ARG, mega_unlock(lock, 2));
}

/* ---- Names ---- */

static void roots(int argc, char **argv)
{
    char name[MEGA_NAME_MAX + 1], longest[80];
    uint64_t iter = 0;
    mega_gptr_t p;
    int n = 0;
    (void)argc, (void)argv;
    if (mega_rank() != 0)
        return;
    MUST(mega_root_slot(area, "root-0", &p));
    HOLDS(!mega_ptr(p) || mega_gptr_of(mega_ptr(p)).v == p.v);
    for (int i = 0; i < MEGA_ROOTS_MAX; i++) {
        snprintf(name, sizeof name, "root-%d", i);
        MUST(mega_root_set(area, name, at(0, 8 * (uint64_t)i)));
    }
    REFUSED(MEGA_ERR_TABLE_FULL, mega_root_set(area, "more", at(0, 0)));
    MUST(mega_root_set(area, "root-7", at(0, 56))); /* exists: no room needed */
    while (mega_root_next(area, &iter, name, &p) == MEGA_OK) {
        HOLDS(p.v == at(0, 8 * strtoull(name + 5, NULL, 10)).v);
        n++;
    }
    HOLDS(n == MEGA_ROOTS_MAX);
    for (int i = 0; i < MEGA_ROOTS_MAX; i++) {
        snprintf(name, sizeof name, "root-%d", i);
        MUST(mega_root_get(area, name, &p));
        REFUSED(MEGA_ERR_NOT_FOUND, mega_root_get(MEGA_DEFAULT, name, &p));
        MUST(mega_root_remove(area, name));
    }
    REFUSED(MEGA_ERR_NOT_FOUND, mega_root_remove(area, "root-1"));
    memset(longest, 'n', sizeof longest);
    longest[MEGA_NAME_MAX] = '\0';
    MUST(mega_root_set(area, longest, mega_null()));
    MUST(mega_root_remove(area, longest));
    longest[MEGA_NAME_MAX] = 'n';
    longest[MEGA_NAME_MAX + 1] = '\0';
    HOLDS(mega_root_set(area, longest, at(0, 0)) == MEGA_ERR_ARG);
    HOLDS(mega_root_set(area, NULL, at(0, 0)) == MEGA_ERR_ARG);
}

/* ---- Publishing ---- */

static void publish(int argc, char **argv)
{
    mega_publish_item_t item[MEGA_PUBLISH_MAX + 1];
    uint64_t base = 40000 + 1024 * (uint64_t)mega_rank(), v;
    mega_gptr_t p;
    (void)argc, (void)argv;
    for (int i = 0; i <= MEGA_PUBLISH_MAX; i++)
        item[i] =
            (mega_publish_item_t){MEGA_PUBLISH_ALLOC, mega_null(),
                                  at(next_home(), base + 8 * (uint64_t)i)};
    for (int i = 0; i < MEGA_PUBLISH_MAX; i++)
        MUST(mega_reserve(area, i % mega_nhomes(), (size_t)i * 40 + 1,
                          &item[i].chunk));
    REFUSED(MEGA_ERR_TOO_BIG, mega_publish(item, MEGA_PUBLISH_MAX + 1, 0));
    MUST(mega_publish(item, MEGA_PUBLISH_MAX, MEGA_PERSIST_CONTENTS));
    REFUSED(MEGA_ERR_NOT_LIVE, mega_cancel(item[0].chunk));
    HOLDS(mega_publish(item, 1, 0) != MEGA_OK);
    for (int i = 0; i < MEGA_PUBLISH_MAX; i++) {
        MUST(mega_fetch64(item[i].slot, &v));
        HOLDS(v == item[i].chunk.v);
        item[i].op = MEGA_PUBLISH_FREE;
    }
    REFUSED(MEGA_ERR_EXISTS, mega_alloc_to(area, 0, 10, item[5].slot));
    mega_publish_item_t set = {MEGA_PUBLISH_SET, at(0, 8), item[0].slot};
    REFUSED(MEGA_ERR_ARG, mega_publish(&set, 1, 0));
    rank_told("its chunk is no multiple of 16");
    set.slot = mega_null();
    REFUSED(MEGA_ERR_ARG, mega_publish(&set, 1, 0));
    item[3].chunk = item[4].chunk;
    REFUSED(MEGA_ERR_NOT_LIVE, mega_publish(item, MEGA_PUBLISH_MAX, 0));
    MUST(mega_fetch64(item[0].slot, &v));
    HOLDS(v == item[0].chunk.v); /* nothing has changed */
    MUST(mega_fetch64(item[3].slot, &item[3].chunk.v));
    MUST(mega_publish(item, MEGA_PUBLISH_MAX, 0));
    for (int i = 0; i < MEGA_PUBLISH_MAX; i++) {
        MUST(mega_fetch64(item[i].slot, &v));
        HOLDS(v == 0);
        REFUSED(MEGA_ERR_NOT_LIVE, mega_free(item[i].chunk));
    }
    MUST(mega_barrier()); /* until now nobody could get those chunks */
    for (int i = 0; i < MEGA_PUBLISH_MAX; i++) {
        MUST(mega_alloc_to(area, i % mega_nhomes(), 4000, item[i].slot));
        MUST(mega_free_from(item[i].slot));
        MUST(mega_free_from(item[i].slot)); /* null: a no-op */
    }
    MUST(mega_reserve(area, 0, 100, &p));
    MUST(mega_cancel(p));
    REFUSED(MEGA_ERR_NOT_LIVE, mega_cancel(p));
    MUST(mega_drain());
    MUST(mega_commit());
}

/* ---- Regions ---- */

static void regions(int argc, char **argv)
{
    mega_region_t r, again;
    mega_region_stat_t s;
    mega_gptr_t p, first;
    uint64_t len, v;
    (void)argc, (void)argv;
    REFUSED(MEGA_ERR_EXISTS, mega_region_create("area", 1, 0, &r));
    REFUSED(MEGA_ERR_NOT_FOUND, mega_region_open("nothing", &r));
    MUST(mega_region_create("grows", 1000, 0, &r));
    first = mega_region_at(r, 0, 0, NULL);
    for (uint64_t size = 1000, step = 70000; step < (12 << 20);
         size += step, step *= 3) {
        MUST(mega_region_grow(r, step));
        HOLDS(mega_region_at(r, 0, 0, NULL).v == first.v);
        for (int h = 0; h < mega_nhomes(); h++) {
            p = mega_region_at(r, h, size + step - 1, &len);
            HOLDS(!mega_is_null(p) && len == 1 && mega_home(p) == h);
            HOLDS(mega_is_null(mega_region_at(r, h, size + step, NULL)));
            p = mega_region_at(r, h, size / 8 * 8, &len);
            MUST(mega_get(&v, p, 8));
            HOLDS(v == 0 && len > 0);
        }
        HOLDS(mega_is_null(mega_region_at(r, mega_nhomes(), 0, NULL)));
        HOLDS(mega_is_null(mega_region_at(r, -1, 0, NULL)));
        MUST(mega_region_stat(r, &s));
        HOLDS(s.bytes_per_home == size + step && s.extents >= size + step);
        HOLDS(strcmp(s.name, "grows") == 0);
    }
    MUST(mega_alloc(r, next_home(), 100, &p));
    MUST(mega_region_close(&r));
    HOLDS(r == NULL);
    MUST(mega_region_open("grows", &again));
    MUST(mega_region_destroy(&again));
    REFUSED(MEGA_ERR_NOT_LIVE, mega_free(p));
    REFUSED(MEGA_ERR_NOT_FOUND, mega_region_open("grows", &again));
    MUST(mega_region_destroy(&area));
}

/* Different arguments are found out, and nothing is made. */
static void differs(int argc, char **argv)
{
    mega_region_t r;
    char name[20];
    (void)argc, (void)argv;
    if (mega_nranks() == 1)
        return;
    snprintf(name, sizeof name, "mine-%d", mega_rank());
    REFUSED(MEGA_ERR_DIFFERS, mega_region_create(name, 100, 0, &r));
    REFUSED(
        MEGA_ERR_DIFFERS,
        mega_region_create("one", 100 * (uint64_t)(mega_rank() + 1), 0, &r));
    REFUSED(MEGA_ERR_NOT_FOUND, mega_region_open("one", &r));
}

int main(int argc, char **argv)
{
    static const struct rank_case cases[] = {
        {"a region is zeroed", set_up},
        {"put, get, copy and their kin", put_get},
        {"atomics of all kinds", amo},
        {"signals, waiting, broadcast", signals},
        {"a chunk is given by a word", give},
        {"locks for readers and writers", locks},
        {"1024 roots and no more", roots},
        {"publish, alloc_to, free_from", publish},
        {"regions grow and end", regions},
        {"ranks that differ", differs},
        {NULL, NULL}};
    rank_steps(cases, argc, argv);
    return 0;
}
