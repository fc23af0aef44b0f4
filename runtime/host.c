/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * host.c - what a host is: ranks that run on one kernel, see each other's
 * processes, for so they share memory (seg.c), see the same files of the space
 * (view.c), and go by the same names. It is found out, not asked for: the
 * launcher may know less. Who is not of the host that serves a home goes over
 * UCX, however near it is.
 */
#include "host.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "text_hash.h"
#include "view.h"

static void boot_id(char *text, size_t size)
{
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, text, size - 1);
    text[n < 0 ? 0 : n] = '\0';
    text[strcspn(text, "\n")] = '\0';
    if (fd >= 0)
        close(fd);
}

uint64_t mega__host_kernel(void)
{
    char id[64];
    boot_id(id, sizeof id);
    return mega__hash(id);
}

void mega__host_text(const struct mega__conf *conf, char text[MEGA__HOST_TEXT])
{
    char name[256] = "";
    struct stat pids = {0};
    gethostname(name, sizeof name - 1);
    if (stat("/proc/self/ns/pid", &pids) != 0)
        pids.st_ino = 0;
    snprintf(text, MEGA__HOST_TEXT, "%s|%s|%llx|%llx|%llx", conf->host.v.text,
             name, (unsigned long long)mega__host_kernel(),
             (unsigned long long)pids.st_ino,
             (unsigned long long)mega__view_number(conf));
}
