/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * textindex_bend.c - damages an index, for textindex_use.sh: a chain leads back
 * to itself.
 *   textindex_bend words WORD...   the next of each, of the last the first
 *   textindex_bend list WORD       the next of its postings
 *   textindex_bend files           the list of files, which is empty there
 */
#include "apps/textindex/format.h"
#include "rank.h"

static mega_gptr_t found;
static const char *word;

static int is_word(mega_gptr_t p, size_t usable, void *arg)
{
    const struct ti_word *w = mega_ptr(p);
    const size_t len = strlen(word);
    (void)arg;
    if (!w || usable < sizeof *w + len || w->len != len ||
        memcmp(w->text, word, len) != 0)
        return 0;
    found = p;
    return 1;
}

/* The pointer to a word. */
static uint64_t find(mega_region_t r, const char *text)
{
    int stop = 0;
    word = text;
    for (int home = 0; home < mega_nhomes() && !stop; home++)
        MUST(mega_walk(r, home, is_word, NULL, &stop));
    HOLDS(stop);
    return found.v;
}

static void set(uint64_t at, size_t off, uint64_t value)
{
    MUST(mega_put_persist(mega_add(mega_from_bits(at), (int64_t)off), &value,
                          sizeof value));
}

static uint64_t get(uint64_t at, size_t off)
{
    uint64_t value;
    MUST(mega_get(&value, mega_add(mega_from_bits(at), (int64_t)off),
                  sizeof value));
    return value;
}

static mega_region_t begin(void)
{
    mega_region_t r;
    MUST(mega_init());
    MUST(mega_region_open(TI_REGION, &r));
    return r;
}

static void bend_words(int argc, char **argv)
{
    const mega_region_t r = begin();
    for (int i = 0; i < argc; i++)
        set(find(r, argv[i]), offsetof(struct ti_word, next),
            find(r, argv[(i + 1) % argc]));
    MUST(mega_finalize());
}

static void bend_list(int argc, char **argv)
{
    HOLDS(argc == 1);
    const uint64_t at =
        get(find(begin(), argv[0]), offsetof(struct ti_word, postings));
    set(at, offsetof(struct ti_postings, next), at);
    MUST(mega_finalize());
}

static void bend_files(int argc, char **argv)
{
    mega_gptr_t meta;
    (void)argc, (void)argv;
    MUST(mega_root_get(begin(), TI_ROOT, &meta));
    const uint64_t at = get(meta.v, offsetof(struct ti_meta, blocks));
    set(at, offsetof(struct ti_block, count), 0);
    set(at, offsetof(struct ti_block, next), at);
    MUST(mega_finalize());
}

int main(int argc, char **argv)
{
    static const struct rank_case cases[] = {{"words", bend_words},
                                             {"list", bend_list},
                                             {"files", bend_files},
                                             {NULL, NULL}};
    return rank_main(cases, argc, argv);
}
