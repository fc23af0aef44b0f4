#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# faults_stops.sh - over three hosts of a lab a rank is stopped where all meet:
# in mega_init, before it, in each call that waits, at the end. The others name
# it and end.
set -u
. "${MEGA_SRCDIR:?}/test/lib/lab_jobs.sh"
three_hosts faults_stops
program=$build/test/cluster/late

# halts NAME TEXT ARGUMENT...: rank 1 of late stops; the others say TEXT and end.
# What is stopped is ended by the launcher, or by megarun some seconds later.
halts() {
    local name=$1 text=$2 turn
    shift 2
    new_space
    strike start "$program" "$@"
    for ((turn = 0; turn < 600; turn++)); do
        ! grep -q "$text" "$scratch/log" && kill -s 0 "$job" 2>/dev/null || break
        sleep 0.1
    done
    named=$(since)
    sleep 3 # all say so
    for ((turn = 0; turn < 300; turn++)); do # else 137 is the job's status
        kill -s 0 "$job" 2>/dev/null || break
        sleep 0.1
    done
    ranks_on 2 KILL
    end
    told "$name" "$text"
}

export MEGALLOC_TIMEOUT=3 MEGALLOC_START_TIMEOUT=9
for agreement in 0 1 2 5; do # from 2 or so on UCX tells
    halts "a rank is stopped in mega_init, before agreement $agreement" \
        "rank 1 on host h2" in $agreement
done
for where in barrier commit create word lock finalize; do
    halts "a rank is stopped while others wait: $where" "rank 1 on host h2" \
        held $where
done
poor="a rank has no memory for a collective, and goes on"
if built_for_sanitizer; then
    tap_skip "$poor" "a sanitizer ends it; late.sh has the same on one host"
else
    halts "$poor" "rank 1 on host h2 has left a collective call" starved
fi
new_space
output=$(lab run -n 2 "$program" given 6 2>&1 </dev/null)
status=$?
told "a collective that is given up writes to nothing later" "unharmed: rank 0"
halts "a rank is stopped before mega_init" \
    "not every rank has called mega_init within" before stop
halts "a rank is stopped after mega_finalize" "rank 1 on host h2" after stop
tap_end
