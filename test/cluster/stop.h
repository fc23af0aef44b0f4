/* SPDX-License-Identifier: BSD-3-Clause */
/* stop.h - a rank of this machine is stopped by another one. */
#ifndef TEST_STOP_H
#define TEST_STOP_H

#include <dirent.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>

#include "rank.h"

/* A signal is not there at once, nor for all threads. */
static inline bool stop_came(pid_t pid)
{
    char path[300], state = 'T';
    struct dirent *task;
    snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    DIR *dir = opendir(path);
    HOLDS(dir);
    while (state == 'T' && (task = readdir(dir))) {
        if (task->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "/proc/%d/task/%s/stat", (int)pid,
                 task->d_name);
        FILE *file = fopen(path, "r");
        HOLDS(file && fscanf(file, "%*d (%*[^)]) %c", &state) == 1);
        fclose(file);
    }
    closedir(dir);
    return state == 'T';
}

static inline void stop_rank(pid_t pid)
{
    HOLDS(kill(pid, SIGSTOP) == 0);
    while (!stop_came(pid))
        sched_yield();
}

#endif
