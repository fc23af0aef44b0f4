#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# kills.sh - SIGKILL of a random rank at random moments: the next job, with
# another number of ranks, finds all that was linked; and of one rank or all
# while regions come and go: each is on all homes or on none. KILLS (6; 50 with
# LONG_TESTS=1), KILLS_SEED.
. "${MEGA_SRCDIR:?}/test/cluster/ranks.sh"
. "$MEGA_SRCDIR/test/lib/procs.sh"
kills=${KILLS:-${LONG_TESTS:+50}}
kills=${kills:-6}
RANDOM=${KILLS_SEED:=$((EPOCHSECONDS % 32768))}
echo "# KILLS_SEED=$KILLS_SEED KILLS=$kills"

# strike RANKS PROGRAM WHOM: a build, killed some time after it has begun to
# work; WHOM is one or all.
strike() {
    local job victims turn
    : >"$scratch/log" # what the last job has found says nothing of this one
    "${bounded[@]}" "$patience" "$megarun" -n "$1" "$programs/$2" build \
        "$RANDOM" >"$scratch/log" 2>&1 &
    job=$!
    for ((turn = 0; turn < 1200; turn++)); do
        grep -q '^found' "$scratch/log" && break
        alive "$job" || break
        sleep 0.05
    done
    sleep "0.$((RANDOM % 2))$((RANDOM % 10))" # it works for half a second at least
    mapfile -t victims < <(ranks_of "$job" "$programs/$2")
    if ((${#victims[@]})); then
        [[ $3 == all ]] || victims=("${victims[RANDOM % ${#victims[@]}]}")
        kill -KILL "${victims[@]}" && struck=$((struck + 1))
    else # it has not started in a minute: it would never end
        kill -KILL $(descendants "$job") "$job"
    fi
    wait "$job"
} 2>/dev/null

# What ranks said that found a fault, or nothing.
faults() {
    ((status == 0)) || echo "status $status: $output"
    grep -F .c: "$scratch/log"
    grep -q '^found' "$scratch/log" || cat "$scratch/log"
}

# ---- Lists of chunks ----

struck=0
for ((round = 1; round <= kills; round++)); do
    ((round % 4)) || new_space # a verification should not grow for ever
    strike 3 kills one
    job $((RANDOM % 4 + 1)) kills look
    tap_empty "round $round: sound, whole and nothing twice" "$(faults)"
    echo "# $(grep '^found' <<<"$output")"
done
tap_try "most jobs were killed at work" test $((2 * struck)) -gt "$kills"

# ---- Regions ----

new_space
struck=0 ended=0
for ((round = 1; round <= kills; round++)); do
    strike $((RANDOM % 3 + 1)) regions "$( ((RANDOM % 2)) && echo one || echo all)"
    status=0
    tap_empty "regions, round $round: on all homes or on none" "$(faults)"
    found=$(grep '^found' "$scratch/log")
    echo "# $found"
    [[ $found == *" 0 ended" ]] || ended=$((ended + 1))
done
passes "the last ones, too; without regions all is free" 2 regions look
tap_try "ranks were killed" test "$struck" -gt 0
echo "# $ended of $((kills - 1)) kills left a region half made or half ended"
tap_end
