/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tally.c - the words of one file and how often each occurs.
 *
 * The buffer holds the unfinished token of the piece before, then the next
 * piece; a token longer than the buffer makes it grow. After the last byte
 * stand bytes that end any token, for the scan takes a block at a time.
 */
#include "tally.h"

#include <emmintrin.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "job.h"

#define PIECE (256u << 10)
#define BLOCK 64u
#define TOKEN_MAX (UINT64_C(1) << 31) /* bytes; refused beyond */
#define FILE_MAX (UINT64_C(1) << 36)  /* so no count is above TI_COUNT_MAX */

void ti_tally_open(struct ti_tally *t)
{
    *t = (struct ti_tally){0};
    ti_dict_open(&t->dict);
    t->buf_cap = 2 * PIECE + BLOCK;
    t->buf = ti_realloc(NULL, t->buf_cap);
}

void ti_tally_close(struct ti_tally *t)
{
    ti_dict_close(&t->dict);
    free(t->ref);
    free(t->buf);
    *t = (struct ti_tally){0};
}

/* The memory of a word's slot is asked for when the token is found, and used
 * AHEAD tokens later: else the cache misses would be half of the time. */
#define AHEAD 16

struct token {
    const char *text;
    size_t len;
    uint64_t hash;
};

struct queue {
    struct token token[AHEAD];
    size_t count;
};

static void count_token(struct ti_tally *t, const struct token *k)
{
    uint32_t len = (uint32_t)k->len;
    uint32_t ref = ti_dict_find(&t->dict, k->text, len, k->hash);

    if (ref == 0)
        ref = ti_dict_add(&t->dict, k->text, len, k->hash);

    struct ti_entry *e = ti_dict_at(&t->dict, ref);
    if (e->stamp == t->stamp) {
        e->count++;
        return;
    }
    e->stamp = t->stamp;
    e->count = 1;
    if (t->count == t->cap)
        t->ref = ti_room(t->ref, &t->cap, t->count + 1, sizeof *t->ref);
    t->ref[t->count++] = ref;
}

static void count_queue(struct ti_tally *t, struct queue *q)
{
    for (size_t i = 0; i < q->count; i++)
        ti_dict_prefetch_entry(&t->dict, q->token[i].hash);
    for (size_t i = 0; i < q->count; i++)
        count_token(t, &q->token[i]);
    q->count = 0;
}

static void push_token(struct ti_tally *t, struct queue *q, const char *text,
                       size_t len)
{
    uint64_t hash = ti_hash(text, len);

    ti_dict_prefetch(&t->dict, hash);
    q->token[q->count++] = (struct token){text, len, hash};
    if (q->count == AHEAD)
        count_queue(t, q);
}

static __m128i between(__m128i c, char least, char most)
{
    return _mm_and_si128(_mm_cmpgt_epi8(c, _mm_set1_epi8((char)(least - 1))),
                         _mm_cmplt_epi8(c, _mm_set1_epi8((char)(most + 1))));
}

/* A bit for each of the 16 bytes at p: whether it belongs in a token. */
static uint64_t in_word16(const char *p)
{
    __m128i c = _mm_loadu_si128((const __m128i *)(const void *)p);
    __m128i lower = _mm_or_si128(c, _mm_set1_epi8('a' - 'A'));
    __m128i in = _mm_or_si128(between(lower, 'a', 'z'), between(c, '0', '9'));

    in = _mm_or_si128(in, _mm_cmpeq_epi8(c, _mm_set1_epi8('_')));
    return (uint64_t)(unsigned)_mm_movemask_epi8(in);
}

static uint64_t in_word(const char *p)
{
    return in_word16(p) | in_word16(p + 16) << 16 | in_word16(p + 32) << 32 |
           in_word16(p + 48) << 48;
}

/* Counts the tokens that end before end; returns where the last, unfinished
 * one begins (end if there is none). */
static const char *count_piece(struct ti_tally *t, const char *p,
                               const char *end)
{
    const char *start = NULL; /* of a token that has not ended */
    uint64_t before = 0;      /* whether the last byte was in it */
    struct queue q;

    q.count = 0;
    for (; p < end; p += BLOCK) {
        uint64_t in = in_word(p);
        uint64_t edges = in ^ (in << 1 | before);
        before = in >> (BLOCK - 1);
        for (; edges; edges &= edges - 1) {
            const char *at = p + __builtin_ctzll(edges);
            if (!start) {
                start = at;
            } else if (at < end) {
                push_token(t, &q, start, (size_t)(at - start));
                start = NULL;
            }
        }
    }
    count_queue(t, &q);
    return start ? start : end;
}

/* Reads and counts to the end of the file. Returns 0 or an errno. */
static int count_pieces(struct ti_tally *t, int fd)
{
    size_t kept = 0; /* bytes of an unfinished token at the front of buf */

    for (;;) {
        t->buf = ti_room(t->buf, &t->buf_cap, kept + PIECE + BLOCK, 1);
        ssize_t got = read(fd, t->buf + kept, PIECE);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return errno;
        char *end = t->buf + kept + got;
        memset(end, 0, BLOCK);
        if (got == 0 && kept > 0) /* the token that the file ends with */
            count_token(t,
                        &(struct token){t->buf, kept, ti_hash(t->buf, kept)});
        if (got == 0)
            return 0;
        t->bytes += (uint64_t)got;
        if (t->bytes > FILE_MAX)
            return EFBIG;
        const char *rest = count_piece(t, t->buf, end);
        kept = (size_t)(end - rest);
        if (kept > TOKEN_MAX)
            return EFBIG;
        memmove(t->buf, rest, kept);
    }
}

int ti_tally_file(struct ti_tally *t, const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

    t->stamp++;
    t->count = 0;
    t->bytes = 0;
    if (fd < 0)
        return errno;
    int err = count_pieces(t, fd);
    close(fd);
    if (err)
        t->count = 0;
    return err;
}
