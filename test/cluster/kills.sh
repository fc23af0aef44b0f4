#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# kills.sh - SIGKILL of a random rank at random moments: the next job, with
# another number of ranks, finds all that was linked. KILLS (6; 50 with
# LONG_TESTS=1), KILLS_SEED.
. "${MEGA_SRCDIR:?}/test/cluster/ranks.sh"
kills=${KILLS:-${LONG_TESTS:+50}}
kills=${kills:-6}
RANDOM=${KILLS_SEED:=$((EPOCHSECONDS % 32768))}
echo "# KILLS_SEED=$KILLS_SEED KILLS=$kills"
struck=0

build_and_kill() {
    local job victims
    "$megarun" -n 3 "$programs/kills" build "$RANDOM" >"$scratch/log" 2>&1 &
    job=$!
    for ((turn = 0; turn < 400; turn++)); do
        grep -q '^nodes' "$scratch/log" && break
        sleep 0.05
    done
    sleep "0.$((RANDOM % 8))$((RANDOM % 10))"
    mapfile -t victims < <(pgrep -P "$job" -f "$programs/kills")
    if ((${#victims[@]})); then
        kill -KILL "${victims[RANDOM % ${#victims[@]}]}" && struck=$((struck + 1))
    fi
    wait "$job"
} 2>/dev/null

for ((round = 1; round <= kills; round++)); do
    ((round % 4)) || new_space # a verification should not grow for ever
    build_and_kill
    job $((RANDOM % 4 + 1)) kills look
    tap_empty "round $round: sound, whole and nothing twice" \
        "$( ((status == 0)) || echo "status $status: $output"
           grep -F .c: "$scratch/log")"
    echo "# $(grep '^nodes' <<<"$output")"
done
tap_try "ranks were killed" test "$struck" -gt 0
tap_end
