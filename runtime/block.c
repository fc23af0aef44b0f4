/* SPDX-License-Identifier: BSD-3-Clause */
/* block.c - see block.h. */
#include "block.h"

#include <stdarg.h>
#include <stdio.h>

static uint64_t load(const uint64_t *word)
{
    return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

bool mega__block_opened(const struct mega__home_block *b)
{
    return load(&b->epoch) || load(&b->clean) || load(&b->reached) ||
           load(&b->lot);
}

static bool any(const uint64_t *words, size_t n)
{
    size_t i = 0;
    while (i < n && load(&words[i]) == 0)
        i++;
    return i < n;
}

/* Neither never written, nor what a creation has written. */
static bool changed(const uint64_t *word, uint64_t made)
{
    return load(word) && load(word) != mega__seal(made);
}

bool mega__block_filled(const struct mega__home_block *b, const uint64_t *words,
                        size_t n)
{
    const size_t head = offsetof(struct mega__home_block, next_host) / 8;
    return changed(&b->npools, 1) ||
           changed(&b->next_region, MEGA__REGION_DEFAULT + 1) ||
           any((const uint64_t *)(const void *)b + head,
               sizeof *b / 8 - head) ||
           any(words, n);
}

/* ---- What is wrong ---- */

struct judge {
    mega__block_fn fn;
    void *arg;
};

__attribute__((format(printf, 3, 4))) static void
say(const struct judge *j, const uint64_t *word, const char *format, ...)
{
    char text[120];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    j->fn(word, text, j->arg);
}

/* False: damaged, which is said. */
static bool read(const struct judge *j, const uint64_t *word, const char *name,
                 uint64_t *value_p)
{
    uint64_t w = load(word);
    if (mega__unseal(w, value_p))
        return true;
    say(j, word, "the %s word %#llx is damaged", name, (unsigned long long)w);
    return false;
}

/* epoch: of what the word, reached or lot, says. */
static void judge_age(const struct judge *j, const uint64_t *word,
                      const char *name, uint64_t epoch, uint64_t clean,
                      bool filled)
{
    if (clean && epoch != clean)
        say(j, word, "the %s word is of epoch %llu, the clean word of %llu",
            name, (unsigned long long)epoch, (unsigned long long)clean);
    else if (filled && load(word) == 0)
        say(j, word, "the %s word was never written, but the space was used",
            name);
}

/* A job that opens it stores clean, epoch, reached, lot, in this order; one
 * that ends cleanly has them all of its epoch. */
static void judge_epochs(const struct judge *j,
                         const struct mega__home_block *b, bool filled)
{
    const uint64_t low = (UINT64_C(1) << MEGA__LOT_BITS) - 1;
    uint64_t lot, reached, epoch, clean;
    const bool lot_known = read(j, &b->lot, "lot", &lot);
    const bool reached_known = read(j, &b->reached, "reached", &reached);
    const bool epoch_known = read(j, &b->epoch, "epoch", &epoch);
    if (!read(j, &b->clean, "clean", &clean) || !epoch_known)
        return;
    if (clean && clean != epoch) {
        say(j, &b->clean, "the clean word is of epoch %llu, the home of %llu",
            (unsigned long long)clean, (unsigned long long)epoch);
        clean = 0;
    }
    if (reached_known && reached > epoch)
        say(j, &b->reached,
            "the reached word is of epoch %llu, the home of %llu",
            (unsigned long long)reached, (unsigned long long)epoch);
    else if (reached_known)
        judge_age(j, &b->reached, "reached", reached, clean, filled);
    if (lot_known)
        judge_age(j, &b->lot, "lot", lot >> MEGA__LOT_BITS, clean & low,
                  filled);
}

void mega__block_judge(const struct mega__home_block *b, bool filled,
                       mega__block_fn fn, void *arg)
{
    const struct judge j = {fn, arg};
    uint64_t born, npools, next;
    if (!read(&j, &b->born, "born", &born))
        born = 0;
    judge_epochs(&j, b, filled);
    if (read(&j, &b->npools, "npools", &npools) && born &&
        (npools == 0 || npools > MEGA__SPANS_MAX))
        say(&j, &b->npools, "the npools word lists %llu pool files",
            (unsigned long long)npools);
    if (read(&j, &b->next_region, "next region", &next) && born &&
        (next <= MEGA__REGION_DEFAULT ||
         next > (uint64_t)MEGA__REGION_ID_MAX + 1))
        say(&j, &b->next_region,
            "the next region word is %llu, which is no id to come",
            (unsigned long long)next);
}
