/* SPDX-License-Identifier: BSD-3-Clause */
/* boot.c - ranks that are threads, and how they come to the same answer. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "test/lib/boot_threads.h"
#include "test/lib/report.h"

#define RANKS 4

struct work {
    void (*fn)(struct mega__boot *boot, int rank);
};

static void work(struct mega__boot *boot, int rank, void *arg)
{
    ((const struct work *)arg)->fn(boot, rank);
}

static void on_ranks(const int *hosts, void (*fn)(struct mega__boot *, int))
{
    boot_team_run(RANKS, hosts, work, &(struct work){fn});
    report_settle();
}

static void know_places(struct mega__boot *boot, int rank)
{
    static const int host[RANKS] = {0, 1, 0, 2};
    static const int host_rank[RANKS] = {0, 0, 1, 0};
    struct mega__boot_place p = mega__boot_place(boot);
    CHECK(p.rank == rank && p.nranks == RANKS, "rank %d", p.rank);
    CHECK(p.host == host[rank] && p.nhosts == 3, "host %d", p.host);
    CHECK(p.host_rank == host_rank[rank], "host rank %d", p.host_rank);
    CHECK(p.host_nranks == (p.host == 0 ? 2 : 1), "ranks of the host");
}

Test(boot, hosts_are_numbered_by_lowest_rank)
{
    on_ranks((const int[]){7, 3, 7, 5}, know_places);
}

static void exchange(struct mega__boot *boot, int rank)
{
    for (int round = 0; round < 1000; round++) {
        int mine = (rank + round) % RANKS * 1000 + round, least = -1, told = -1;
        CHECK(mega__boot_least(boot, mine, &least) == MEGA_OK, "least");
        CHECK(least == round, "round %d: least %d", round, least);
        if (rank == round % RANKS)
            told = round;
        CHECK(mega__boot_bcast(boot, &told, sizeof told, round % RANKS) ==
                  MEGA_OK,
              "bcast");
        CHECK(told == round, "told %d in round %d", told, round);
    }
}

Test(boot, collectives_carry_data)
{
    on_ranks(NULL, exchange);
}

static void host_exchange(struct mega__boot *boot, int rank)
{
    struct mega__boot_place p = mega__boot_place(boot);
    int told = p.host_rank == 0 ? 100 + p.host : -1;
    CHECK(mega__boot_host_bcast(boot, &told, sizeof told) == MEGA_OK, "bcast");
    CHECK(told == 100 + p.host, "rank %d was told %d", rank, told);
    CHECK(mega__boot_host_barrier(boot) == MEGA_OK, "barrier");
    int all[RANKS] = {-1, -1, -1, -1};
    CHECK(mega__boot_host_gather(boot, &rank, sizeof rank, all) == MEGA_OK,
          "gather");
    if (p.host_rank > 0)
        return;
    CHECK(all[0] == p.host && all[1] == p.host + 2 && all[2] == -1, "%d, %d",
          all[0], all[1]);
    CHECK(mega__boot_firsts_allgather(boot, &rank, sizeof rank, all) == MEGA_OK,
          "of the firsts");
    CHECK(all[0] == 0 && all[1] == 1 && all[2] == -1, "%d, %d", all[0], all[1]);
}

Test(boot, host_collectives_stay_on_their_host)
{
    on_ranks((const int[]){0, 1, 0, 1}, host_exchange);
}

static void disagree(struct mega__boot *boot, int rank)
{
    mega_status_t mine = MEGA_OK;
    if (rank >= 2)
        mine = mega__fail(MEGA_ERR_IO, "disk %d is on fire", rank);
    CHECK(mega__boot_agree(boot, mine) == MEGA_ERR_IO, "agree");
    CHECK(strstr(mega__errmsg_buffer(), "disk 2 is on fire"), "%s",
          mega__errmsg_buffer());
    CHECK(mega__boot_agree(boot, MEGA_OK) == MEGA_OK, "agree again");
}

Test(boot, all_ranks_get_the_failure_of_the_lowest)
{
    on_ranks(NULL, disagree);
}

static void differ(struct mega__boot *boot, int rank)
{
    int value = rank == 3;
    CHECK(mega__boot_same(boot, &value, sizeof value, "the size") ==
              MEGA_ERR_DIFFERS,
          "same");
    CHECK(strstr(mega__errmsg_buffer(), "the size"), "%s",
          mega__errmsg_buffer());
    value = 5;
    CHECK(mega__boot_same(boot, &value, sizeof value, "the size") == MEGA_OK,
          "same");
}

Test(boot, different_arguments_are_named)
{
    on_ranks(NULL, differ);
}

static void gather(struct mega__boot *boot, int rank)
{
    char mine[RANKS], *all = NULL;
    size_t n = 0;
    const bool first = mega__boot_place(boot).host_rank == 0;
    memset(mine, 'a' + rank, sizeof mine);
    CHECK(mega__boot_gather(boot, mine, (size_t)rank, (void **)&all, &n) ==
              MEGA_OK,
          "gather");
    if (first)
        CHECK(n == 6 && memcmp(all, "ccbddd", 6) == 0, "%zu bytes", n);
    else
        CHECK(n == 0 && !all, "%zu bytes for all", n);
    free(all);
}

Test(boot, lengths_may_differ_when_gathering)
{
    on_ranks((const int[]){0, 1, 0, 1}, gather);
}

static void gather_nothing(struct mega__boot *boot, int rank)
{
    void *all = NULL;
    size_t n = 1;
    (void)rank;
    CHECK(mega__boot_gather(boot, NULL, 0, &all, &n) == MEGA_OK, "gather");
    CHECK(n == 0, "%zu bytes", n);
    free(all);
}

Test(boot, nothing_can_be_gathered)
{
    on_ranks((const int[]){0, 1, 0, 2}, gather_nothing);
}

static void lose_a_rank(struct mega__boot *boot, int rank)
{
    if (rank == 1)
        boot_team_break(boot_team_of(boot));
    else
        CHECK(mega__boot_barrier(boot) == MEGA_ERR_PEER, "barrier");
    CHECK(mega__boot_barrier(boot) == MEGA_ERR_PEER, "barrier");
}

Test(boot, a_dead_rank_fails_the_others_instead_of_hanging)
{
    on_ranks(NULL, lose_a_rank);
}
