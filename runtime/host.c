/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * host.c - what a host is: ranks that run on one kernel, see each other's
 * processes, for so they share memory (seg.c), and go by the same names. It is
 * found out, not asked for: the launcher may know less.
 */
#include "host.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Differs from boot to boot, and from kernel to kernel. */
static void boot_id(char *text, size_t size)
{
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, text, size - 1);
    text[n < 0 ? 0 : n] = '\0';
    text[strcspn(text, "\n")] = '\0';
    if (fd >= 0)
        close(fd);
}

void mega__host_text(const struct mega__conf *conf, char text[MEGA__HOST_TEXT])
{
    char boot[64], name[256] = "";
    struct stat pids = {0};
    boot_id(boot, sizeof boot);
    gethostname(name, sizeof name - 1);
    if (stat("/proc/self/ns/pid", &pids) != 0)
        pids.st_ino = 0;
    snprintf(text, MEGA__HOST_TEXT, "%s|%s|%s|%llu", conf->host.v.text, name,
             boot, (unsigned long long)pids.st_ino);
}
