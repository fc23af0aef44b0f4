/* SPDX-License-Identifier: BSD-3-Clause
 * keep FILE READY GO - no rank: locks FILE as a job does its home, makes READY,
 * and keeps it until there is GO. Status 3: another has it. */
#include <fcntl.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

static int make(const char *path)
{
    return open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
}

int main(int argc, char **argv)
{
    const struct timespec nap = {.tv_nsec = 10000000};
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (argc != 4)
        return 2;
    const int fd = make(argv[1]);
    if (fd < 0 || fcntl(fd, F_OFD_SETLK, &lock) != 0)
        return 3;
    if (make(argv[2]) < 0)
        return 1;
    while (access(argv[3], F_OK) != 0)
        nanosleep(&nap, NULL);
    return 0;
}
