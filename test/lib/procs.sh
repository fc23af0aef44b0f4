# SPDX-License-Identifier: BSD-3-Clause
# procs.sh - for test scripts, to be sourced: the processes of a running job.
# Open MPI starts ranks itself, MPICH by a proxy: they are found at any depth.

# descendants PID: the processes below it.
descendants() {
    local child
    for child in $(cat /proc/"$1"/task/*/children 2>/dev/null); do
        echo "$child"
        descendants "$child"
    done
}

# ranks_of PID PROGRAM: the ranks of the job that the launcher PID runs.
ranks_of() {
    local pid
    for pid in $(descendants "$1"); do
        [ "$(readlink "/proc/$pid/exe")" != "$(readlink -f "$2")" ] ||
            echo "$pid"
    done
}

# alive PID...: whether one of them still runs (zombies do not).
alive() {
    local pid state
    for pid in "$@"; do
        state=$(sed 's/.*) //; s/ .*//' "/proc/$pid/stat" 2>/dev/null)
        case $state in '' | Z | X) ;; *) return 0 ;; esac
    done
    return 1
}
