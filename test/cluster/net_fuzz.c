/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * net_fuzz.c - rank program of two hosts. Rank 1 sends the server of home 0
 * what no build of ours would, over the real wire, from inside its library:
 * the server answers on, and what was stored stays. unit/stranger.c asks an
 * agent the same, and reads the answers.
 */
#include "agent.h"
#include "api/api.h"
#include "net_ucx.h"
#include "rank.h"

enum { MESSAGES = 20000, KEPT = 16, BYTES = 70000, MOST = 8192 };

static mega_gptr_t kept[KEPT];
static uint64_t seed;

static uint64_t dice(uint64_t sides)
{
    return (rank_random(&seed) >> 16) % sides;
}

/* ---- What must stay ---- */

static size_t size_of(int i)
{
    return i % 4 ? 100 : BYTES;
}

static void keep(void)
{
    char name[20];
    for (int i = 0; mega_rank() == 0 && i < KEPT; i++) {
        MUST(mega_alloc(MEGA_DEFAULT, 0, size_of(i), &kept[i]));
        memset(mega_ptr(kept[i]), i + 1, size_of(i));
        MUST(mega_persist(kept[i], size_of(i)));
        snprintf(name, sizeof name, "kept-%d", i);
        MUST(mega_root_set(MEGA_DEFAULT, name, kept[i]));
    }
    MUST(mega_bcast(kept, sizeof kept, 0));
}

static void is_kept(void)
{
    unsigned char bytes[BYTES];
    char name[20];
    for (int i = 0; i < KEPT; i++) {
        size_t usable;
        mega_gptr_t p;
        snprintf(name, sizeof name, "kept-%d", i);
        MUST(mega_root_get(MEGA_DEFAULT, name, &p));
        HOLDS(p.v == kept[i].v || mega_is_null(kept[i]));
        MUST(mega_usable_size(p, &usable));
        MUST(mega_get(bytes, p, size_of(i)));
        for (size_t b = 0; b < size_of(i); b++)
            HOLDS(bytes[b] == i + 1);
    }
    rank_check_all();
}

/* ---- Messages ---- */

struct letter {
    struct mega__wire_head head;
    char more[64]; /* a head may be too long */
    size_t head_len, len;
    char bytes[MOST];
    bool rendezvous;
};

static void scribble(void *at, size_t len)
{
    for (size_t i = 0; i < len; i++)
        ((char *)at)[i] = (char)dice(256);
}

static uint64_t odd_number(void)
{
    const uint64_t near = kept[dice(KEPT)].v;
    const uint64_t of[] = {0,
                           1,
                           2,
                           MEGA__INTENTS_MAX,
                           MEGA__REGION_ID_MAX,
                           UINT32_MAX,
                           UINT64_MAX,
                           UINT64_MAX / 17 * 16,
                           near + 16,
                           near + 8,
                           near ^ UINT64_C(1) << 34,
                           mega__gptr(1, 0, mega_offset((mega_gptr_t){near})).v,
                           mega__gptr(0, 0, MEGA__HOME_BLOCK_OFF).v,
                           rank_random(&seed)};
    return of[dice(sizeof of / sizeof of[0])];
}

static uint32_t odd_count(void)
{
    const uint32_t of[] = {0,
                           1,
                           2,
                           MEGA__PARTS_MAX,
                           MEGA__PARTS_MAX + 1,
                           UINT32_MAX,
                           UINT32_MAX / sizeof(struct mega__wire_part) + 1};
    return of[dice(sizeof of / sizeof of[0])];
}

static void odd_question(struct letter *l)
{
    struct mega__request req = {.op = (uint32_t)dice(16),
                                .home = (uint32_t)(dice(4) ? 0 : odd_number()),
                                .arg = {odd_number(), odd_number()}};
    /* what lies on another home its server believes, as it must */
    for (int i = 0; i < 2 && req.op == MEGA__ASK_ROOT_SET; i++)
        if (mega__gptr_home(mega_from_bits(req.arg[i])) == 1)
            req.arg[i] = 0;
    memset(req.text, dice(2) ? 'x' : 255, dice(sizeof req.text + 1));
    memcpy(l->bytes, &req, sizeof req);
    l->len = dice(4) ? sizeof req : dice(2 * sizeof req);
    l->head.op = MEGA__WIRE_ASK;
}

/* With bytes only for memory that is not there: the rest would be right. */
static void odd_parts(struct letter *l)
{
    struct mega__wire_part parts[4];
    for (int i = 0; i < 4; i++) {
        parts[i] = (struct mega__wire_part){odd_number(), odd_number(),
                                            (uint32_t)dice(2), 0};
        if (dice(2))
            continue;
        parts[i].has_bytes = 1;
        parts[i].p = mega__gptr((uint32_t)dice(2), dice(2) ? 200 : 3,
                                rank_random(&seed) & UINT32_MAX)
                         .v;
        parts[i].n = dice(2) ? dice(100) : parts[i].n;
    }
    memcpy(l->bytes, parts, sizeof parts);
    l->len = dice(4) ? sizeof parts + dice(200) : dice(sizeof parts);
    l->head.op = dice(2) ? MEGA__WIRE_DURABLE : MEGA__WIRE_PUT;
    l->head.nparts = odd_count();
}

/* A worker's address that was damaged on the way, or is none. */
static void odd_greeting(struct letter *l)
{
    scribble(l->bytes, 200);
    l->len = dice(200);
    l->head.op = MEGA__WIRE_HELLO;
    l->head.origin = 1000 + dice(100);
    l->head.rank = (int32_t)(dice(2) ? dice(4) : odd_number());
}

static void odd_head(struct letter *l)
{
    l->len = dice(400);
    scribble(l->bytes, l->len);
    l->head.op = (uint32_t)(dice(2) ? dice(8) : odd_number());
    l->head.home = (uint32_t)odd_number();
    l->head.span = (uint32_t)odd_number();
    l->head.nparts = odd_count();
    if (dice(2))
        scribble((char *)&l->head + dice(sizeof l->head), 1);
}

static void junk(struct letter *l)
{
    scribble(&l->head, sizeof l->head + sizeof l->more);
    l->head_len = dice(sizeof l->head + sizeof l->more);
    l->len = dice(MOST);
    l->rendezvous = dice(8) == 0;
}

static void write_letter(struct mega__origin *o, struct letter *l)
{
    static void (*const kinds[])(struct letter *) = {
        odd_question, odd_parts, odd_greeting, odd_head, junk};
    memset(l, 0, sizeof *l);
    l->head = mega__ucx_head(o, MEGA__WIRE_ASK);
    l->head_len = sizeof l->head;
    kinds[dice(sizeof kinds / sizeof kinds[0])](l);
    l->head.call |= UINT64_C(1) << 63; /* or its answer is that of another */
}

static void post(struct mega__origin *o, struct mega__link *link,
                 const struct letter *l)
{
    struct mega__wait wait = {0};
    ucp_request_param_t param = {
        .op_attr_mask = UCP_OP_ATTR_FIELD_CALLBACK |
                        UCP_OP_ATTR_FIELD_USER_DATA | UCP_OP_ATTR_FIELD_FLAGS,
        .flags = l->rendezvous ? UCP_AM_SEND_FLAG_RNDV : UCP_AM_SEND_FLAG_EAGER,
        .cb.send = mega__ucx_on_done,
        .user_data = &wait};
    MUST(
        mega__ucx_finish(o, link,
                         ucp_am_send_nbx(link->ep, MEGA__WIRE_REQUEST, &l->head,
                                         l->head_len, l->bytes, l->len, &param),
                         &wait));
}

static void send_letters(int n)
{
    static struct letter letter;
    struct mega__link *link;
    struct mega__origin *o;
    MUST(mega__ucx_enter(mega__the->net, &o));
    MUST(mega__ucx_server(o, 0, &link));
    for (int i = 0; i < n; i++) {
        write_letter(o, &letter);
        post(o, link, &letter);
    }
    mega__ucx_leave(o);
}

/* ---- Cases ---- */

/* attack SEED */
static void attack(int argc, char **argv)
{
    HOLDS(argc == 1);
    seed = (uint64_t)atol(argv[0]);
    MUST(mega_init());
    keep();
    HOLDS(mega_nhomes() == 2 && mega__the->homes[0].local == !mega_rank());
    for (int n = 0; mega_rank() == 1 && n < MESSAGES; n += 100) {
        mega_gptr_t p;
        send_letters(100);
        MUST(mega_root_get(MEGA_DEFAULT, "kept-0", &p)); /* it answers */
        MUST(mega_put_persist(kept[1], "\2", 1));
    }
    is_kept();
    if (mega_rank() == 0)
        printf("passed: %d odd messages are answered or dropped\n", MESSAGES);
    MUST(mega_finalize());
}

static void look(int argc, char **argv)
{
    (void)argc, (void)argv;
    MUST(mega_init());
    is_kept();
    if (mega_rank() == 0)
        printf("passed: all is kept\n");
    MUST(mega_finalize());
}

int main(int argc, char **argv)
{
    static const struct rank_case cases[] = {
        {"attack", attack}, {"look", look}, {NULL, NULL}};
    return rank_main(cases, argc, argv);
}
