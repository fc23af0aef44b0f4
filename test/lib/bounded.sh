#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# bounded.sh SECONDS COMMAND... - runs a test program, or a job of one, that may
# not take for ever: after so long it says what hangs, with the stacks of the
# ranks where gdb is installed, ends all that the command has started, and gives
# status 124. Else the status is the command's.
set -u
export LC_ALL=C
limit=$1
shift
mark=MEGA_BOUNDED_$$=$EPOCHSECONDS # in the environment of all we start

marked() { # prints the processes that carry the mark
    grep -lsxzF "$mark" /proc/[0-9]*/environ | tr -dc '0-9\n'
}

# What runs, and where it stands if it is a program of this build.
tell() {
    local pid
    local -a pids
    mapfile -t pids < <(marked)
    echo "Bail out! not done after $limit s, for the processes below"
    ps -o pid,ppid,stat,etimes,wchan:24,args -p "$(IFS=,; echo "${pids[*]-}")"
    command -v gdb >/dev/null || return
    for pid in "${pids[@]}"; do
        [[ $(readlink "/proc/$pid/exe") == "${MEGA_BUILDDIR:-.}"/* ]] || continue
        echo "-- $pid"
        timeout -k 1 20 gdb -p "$pid" -batch -ex 'thread apply all bt 14' \
            </dev/null 2>/dev/null | grep -E '^(Thread|#)'
    done
}

end_all() {
    local signal turn
    local -a pids
    for signal in TERM KILL; do
        for turn in {1..100}; do
            mapfile -t pids < <(marked)
            ((${#pids[@]})) || return
            ((turn > 1)) || kill -s $signal "${pids[@]}" 2>/dev/null
            sleep 0.1
        done
    done
}
clock=''
trap 'end_all; [[ ! $clock ]] || kill "$clock"; exit 143' INT TERM HUP

env "$mark" "$@" &
program=$!
sleep "$limit" >/dev/null 2>&1 & # holds nobody's pipe open
clock=$!
wait -n -p first "$program" "$clock"
status=$?
if [[ $first == "$program" ]]; then
    kill "$clock"
    exit "$status"
fi
tell | sed '1!s/^/# /'
end_all
exit 124
