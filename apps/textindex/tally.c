/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tally.c - the words of one file and how often each occurs.
 *
 * The buffer holds the unfinished token of the piece before, then the next
 * piece; a token longer than the buffer makes it grow. After the last byte
 * stands a byte that ends any token.
 */
#include "tally.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "job.h"

#define PIECE (256u << 10)
#define TOKEN_MAX (UINT64_C(1) << 31) /* bytes; refused beyond */

static unsigned char in_word[256];

void ti_tally_open(struct ti_tally *t)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "abcdefghijklmnopqrstuvwxyz0123456789_";

    for (const char *c = letters; *c; c++)
        in_word[(unsigned char)*c] = 1;
    *t = (struct ti_tally){0};
    ti_dict_open(&t->dict);
    t->buf_cap = 2 * PIECE + 1;
    t->buf = ti_realloc(NULL, t->buf_cap);
}

void ti_tally_close(struct ti_tally *t)
{
    ti_dict_close(&t->dict);
    free(t->ref);
    free(t->buf);
    *t = (struct ti_tally){0};
}

static void count_token(struct ti_tally *t, const char *text, size_t len)
{
    uint64_t hash = ti_hash(text, len);
    uint32_t ref = ti_dict_find(&t->dict, text, (uint32_t)len, hash);

    if (ref == 0)
        ref = ti_dict_add(&t->dict, text, (uint32_t)len, hash);

    struct ti_entry *e = ti_dict_at(&t->dict, ref);
    if (e->stamp == t->stamp) {
        e->count++;
        return;
    }
    e->stamp = t->stamp;
    e->count = 1;
    t->ref = ti_room(t->ref, &t->cap, t->count + 1, sizeof *t->ref);
    t->ref[t->count++] = ref;
}

/* Counts the tokens that end before end; returns where the last, unfinished
 * one begins (end if there is none). */
static const char *count_piece(struct ti_tally *t, const char *p,
                               const char *end)
{
    for (;;) {
        while (p < end && !in_word[(unsigned char)*p])
            p++;
        const char *start = p;
        while (in_word[(unsigned char)*p])
            p++;
        if (p >= end)
            return start;
        count_token(t, start, (size_t)(p - start));
    }
}

/* Reads and counts to the end of the file. Returns 0 or an errno. */
static int count_pieces(struct ti_tally *t, int fd)
{
    size_t kept = 0; /* bytes of an unfinished token at the front of buf */

    for (;;) {
        t->buf = ti_room(t->buf, &t->buf_cap, kept + PIECE + 1, 1);
        ssize_t got = read(fd, t->buf + kept, PIECE);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return errno;
        char *end = t->buf + kept + got;
        *end = ' ';
        if (got == 0 && kept > 0)
            count_token(t, t->buf, kept);
        if (got == 0)
            return 0;
        t->bytes += (uint64_t)got;
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
