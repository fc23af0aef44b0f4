/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * conf.c - reads MEGALLOC_* once, at mega_init: the only place that knows
 * the environment. conf_defs.h is the one table: it parses, prints and, by
 * megalloc(7), documents. A value that cannot be read stops the start; an
 * unknown name is reported, for it is mostly a typing error.
 */
#include "conf.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "crash_point.h"
#include "log.h"

extern char **environ;

#define PREFIX "MEGALLOC_"
#define PREFIX_LEN (sizeof PREFIX - 1)

enum kind { PATH, SIZE, ENUM, SECONDS };

struct def {
    const char *name;
    enum kind kind;
    const char *def;
    const char *help;
    size_t where;      /* of its struct mega__conf_var */
    const char *words; /* of an ENUM, separated by blanks */
};

/* The words of each ENUM, in the order of its enum in conf.h or log.h. */
#define words_open "auto create open degraded"
#define words_durability "auto power power-msync process"
#define words_atomics "cpu nic"
#define words_check "no yes"
#define words_info "0 1"
#define words_log "error warn info debug"
#define words_stats "0 1"
#define words_dir NULL
#define words_host NULL
#define words_home_size NULL
#define words_home_max NULL
#define words_timeout NULL
#define words_start_timeout NULL

static const struct def defs[] = {
#define CONF(field, name, kind, def, help)                                     \
    {name, kind, def, help, offsetof(struct mega__conf, field), words_##field},
#include "conf_defs.h"
#undef CONF
};
#define NDEFS (sizeof defs / sizeof defs[0])

static struct mega__conf_var *var_of(struct mega__conf *conf,
                                     const struct def *d)
{
    return (struct mega__conf_var *)(void *)((char *)conf + d->where);
}

/* ---- Values ---- */

static int parse_size(const char *text, uint64_t *value_p)
{
    char *end;
    if (!isdigit((unsigned char)text[0]))
        return -1;
    errno = 0;
    uint64_t v = strtoull(text, &end, 10);
    if (errno)
        return -1;
    const char *units = "KMGT";
    const char *u = *end ? strchr(units, toupper((unsigned char)*end)) : NULL;
    if (u) {
        unsigned shift = 10 * (unsigned)(u - units + 1);
        if (v > UINT64_MAX >> shift)
            return -1;
        v <<= shift;
        end++;
        if (end[0] == 'i')
            end++;
    }
    if (*end == 'B' || *end == 'b')
        end++;
    if (*end)
        return -1;
    *value_p = v;
    return 0;
}

static int parse_word(const char *words, const char *text, uint64_t *value_p)
{
    size_t len = strlen(text);
    uint64_t index = 0;
    for (const char *w = words; *w; index++) {
        size_t n = strcspn(w, " ");
        if (n == len && strncmp(w, text, n) == 0) {
            *value_p = index;
            return 0;
        }
        w += n;
        w += *w == ' ';
    }
    return -1;
}

static mega_status_t parse(const struct def *d, const char *text,
                           struct mega__conf_var *var)
{
    uint64_t seconds;
    switch (d->kind) {
    case PATH:
        if (strlen(text) >= sizeof var->v.text)
            return mega__fail(MEGA_ERR_CONF,
                              PREFIX "%s is longer than %d bytes: shorten it",
                              d->name, MEGA__CONF_TEXT - 1);
        strcpy(var->v.text, text);
        return MEGA_OK;
    case SIZE:
        if (parse_size(text, &var->v.number) == 0)
            return MEGA_OK;
        return mega__fail(MEGA_ERR_CONF,
                          PREFIX "%s=%.80s: not a size; give bytes, or a "
                                 "number with K, M, G or T, such as 256M",
                          d->name, text);
    case SECONDS:
        if (parse_size(text, &seconds) == 0 && seconds > 0 &&
            seconds < 1000000 && strpbrk(text, "KMGTkmgtBb") == NULL) {
            var->v.number = seconds; /* what is refused is waited for, too */
            return MEGA_OK;
        }
        return mega__fail(MEGA_ERR_CONF,
                          PREFIX "%s=%.80s: not a number of seconds from 1 to "
                                 "999999",
                          d->name, text);
    case ENUM:
        if (parse_word(d->words, text, &var->v.number) == 0)
            return MEGA_OK;
        return mega__fail(MEGA_ERR_CONF, PREFIX "%s=%.80s: give one of: %s",
                          d->name, text, d->words);
    }
    return MEGA_ERR_CONF;
}

/* ---- Unknown names ---- */

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

/* Levenshtein's edit distance, by one row; names are short. */
unsigned mega__conf_distance(const char *a, const char *b)
{
    unsigned row[64];
    size_t n = strlen(b);
    if (n >= 64)
        return 64;
    for (unsigned j = 0; j <= n; j++)
        row[j] = j;
    for (; *a; a++) {
        unsigned diagonal = row[0]++;
        for (size_t j = 1; j <= n; j++) {
            unsigned change = diagonal + (*a != b[j - 1]);
            diagonal = row[j];
            row[j] = least(change, least(row[j], row[j - 1]) + 1);
        }
    }
    return row[n];
}

static void report_unknown(const char *name)
{
    const struct def *best = &defs[0];
    for (size_t i = 1; i < NDEFS; i++)
        if (mega__conf_distance(name, defs[i].name) <
            mega__conf_distance(name, best->name))
            best = &defs[i];
    mega__log(MEGA__LOG_WARN,
              "unknown variable " PREFIX
              "%.60s is ignored; did you mean " PREFIX "%s?",
              name, best->name);
}

/* megarun's and the lab's. */
static bool is_of_launchers(const char *name, size_t len)
{
    return (len == 8 && strncmp(name, "LAUNCHER", len) == 0) ||
           (len == 3 && strncmp(name, "LAB", len) == 0);
}

static const struct def *find(const char *name, size_t len)
{
    for (size_t i = 0; i < NDEFS; i++)
        if (strlen(defs[i].name) == len &&
            strncmp(defs[i].name, name, len) == 0)
            return &defs[i];
    return NULL;
}

/* ---- The directory ---- */

/* A home grows long after, and the program may have changed its directory. The
 * path is not resolved: it is made later, and holds patterns. */
static mega_status_t keep_cwd(struct mega__conf *conf)
{
    const char *dir = conf->dir.v.text;
    if (dir[0] == '\0' || dir[0] == '/')
        return MEGA_OK;
    if (getcwd(conf->cwd, sizeof conf->cwd - 1) && conf->cwd[0] == '/') {
        strcat(conf->cwd, "/");
        return MEGA_OK;
    }
    return mega__fail(MEGA_ERR_CONF,
                      PREFIX "DIR=%.80s is relative to a directory that has "
                             "no path: give one from /",
                      dir);
}

/* ---- For siblings ---- */

mega_status_t mega__conf_read(struct mega__conf *conf)
{
    memset(conf, 0, sizeof *conf);
    for (size_t i = 0; i < NDEFS; i++) {
        mega_status_t st = parse(&defs[i], defs[i].def, var_of(conf, &defs[i]));
        if (st)
            return st;
    }
    for (char **e = environ; *e; e++) {
        if (strncmp(*e, PREFIX, PREFIX_LEN) != 0)
            continue;
        const char *name = *e + PREFIX_LEN;
        size_t len = strcspn(name, "=");
#ifdef MEGA__CRASH_POINTS
        if (len == 5 && strncmp(name, "CRASH", 5) == 0) {
            mega_status_t st = mega__crash_set(name + len + 1);
            if (st)
                return st;
            continue;
        }
#endif
        const struct def *d = find(name, len);
        if (!d && is_of_launchers(name, len))
            continue;
        if (!d) {
            char text[64];
            snprintf(text, sizeof text, "%.*s", (int)(len < 60 ? len : 60),
                     name);
            report_unknown(text);
            continue;
        }
        struct mega__conf_var *var = var_of(conf, d);
        mega_status_t st = parse(d, name + len + 1, var);
        if (st)
            return st;
        var->from_environment = 1;
    }
    if (conf->home_max.v.number != 0 &&
        conf->home_max.v.number < conf->home_size.v.number)
        return mega__fail(MEGA_ERR_CONF,
                          PREFIX "HOME_MAX is %llu, less than " PREFIX
                                 "HOME_SIZE, %llu: raise it, or lower that",
                          (unsigned long long)conf->home_max.v.number,
                          (unsigned long long)conf->home_size.v.number);
    mega__log_level((enum mega__level)conf->log.v.number);
    return keep_cwd(conf);
}

static void value_text(const struct def *d, const struct mega__conf_var *var,
                       char *text, size_t size)
{
    if (d->kind == PATH) {
        snprintf(text, size, "%s", var->v.text);
    } else if (d->kind == ENUM) {
        const char *w = d->words;
        for (uint64_t i = 0; i < var->v.number; i++)
            w += strcspn(w, " ") + 1;
        snprintf(text, size, "%.*s", (int)strcspn(w, " "), w);
    } else {
        snprintf(text, size, "%llu", (unsigned long long)var->v.number);
    }
}

void mega__conf_print(const struct mega__conf *conf)
{
    for (size_t i = 0; i < NDEFS; i++) {
        const struct mega__conf_var *var =
            var_of((struct mega__conf *)(uintptr_t)conf, &defs[i]);
        char text[MEGA__CONF_TEXT];
        value_text(&defs[i], var, text, sizeof text);
        fprintf(stderr, PREFIX "%s=%s  (%s)  %s\n", defs[i].name, text,
                var->from_environment ? "environment" : "default",
                defs[i].help);
    }
}

void mega__conf_host(const struct mega__conf *conf, char *name, size_t size)
{
    memset(name, 0, size);
    if (conf->host.v.text[0])
        strncpy(name, conf->host.v.text, size - 1);
    else if (gethostname(name, size - 1) != 0)
        strncpy(name, "localhost", size - 1); /* no system refuses it */
}

static mega_status_t too_long(size_t size)
{
    return mega__fail(MEGA_ERR_CONF,
                      PREFIX "DIR expands to more than %zu bytes: give a "
                             "shorter path",
                      size - 1);
}

mega_status_t mega__conf_dir(const struct mega__conf *conf, uint32_t home,
                             char *dir, size_t size)
{
    char fallback[64];
    const char *in = conf->dir.v.text;
    if (in[0] == '\0') {
        snprintf(fallback, sizeof fallback, "/dev/shm/megalloc-%u",
                 (unsigned)geteuid());
        in = fallback;
    }
    size_t used = strlen(conf->cwd); /* no pattern is in it */
    if (used >= size)
        return too_long(size);
    memcpy(dir, conf->cwd, used + 1);
    for (; *in; in++) {
        char piece[256] = {in[0], '\0'};
        if (in[0] == '%' && in[1] == 'n') {
            snprintf(piece, sizeof piece, "%u", (unsigned)home);
            in++;
        } else if (in[0] == '%' && in[1] == 'h') {
            mega__conf_host(conf, piece, sizeof piece);
            in++;
        }
        size_t n = strlen(piece);
        if (used + n >= size)
            return too_long(size);
        memcpy(dir + used, piece, n + 1);
        used += n;
    }
    return MEGA_OK;
}
