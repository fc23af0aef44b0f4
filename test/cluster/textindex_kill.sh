#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# textindex_kill.sh - builds that are killed with SIGKILL at random moments,
# one rank, all ranks or mpirun, are resumed with another number of ranks, and
# end with the index of an undisturbed build.
#   TEXTINDEX_KILLS  how many kills (5)
#   TEXTINDEX_SEED   of the random numbers (from the clock; it is printed)
set -u
cd "${MEGA_SRCDIR:-$(dirname "$0")/../..}" || exit 1
. test/lib/tap.sh
. test/lib/procs.sh
export LC_ALL=C

build=${MEGA_BUILDDIR:-.}
program=$build/apps/textindex/textindex
megarun=$build/launchers/megarun
kills=${TEXTINDEX_KILLS:-5}
seed=${TEXTINDEX_SEED:-$((EPOCHSECONDS % 32768))}
RANDOM=$seed
echo "# TEXTINDEX_SEED=$seed TEXTINDEX_KILLS=$kills"

scratch=$(mktemp -d /dev/shm/megalloc-textindex-kill.XXXXXX) || exit 1
victims=() # processes of the present job
trap 'kill -KILL "${victims[@]}" 2>/dev/null; rm -rf "$scratch"' EXIT
export MEGALLOC_DIR=$scratch/space
export MEGALLOC_DURABILITY=process # of memory, and meant
mkdir "$MEGALLOC_DIR"

# ---- Helpers ----

textindex() { # RANKS ARGS...
    local ranks=$1
    shift
    "${bounded[@]}" "$patience" "$megarun" -n "$ranks" "$program" "$@"
}

# make_corpus BYTES: real text, nearly so much of it if there is.
make_corpus() {
    mkdir "$scratch/text"
    find /usr/include -type f -size -512k -print0 | sort -z |
        xargs -0 stat -c '%s %n' |
        awk -v most="$1" '(sum += $1) <= most {
            sub(/^[0-9]+ /, ""); printf "%s%c", $0, 0 }' |
        xargs -0 cp --parents -t "$scratch/text"
}

new_space() {
    rm -rf "$MEGALLOC_DIR"
    mkdir "$MEGALLOC_DIR"
}

# facts: stats of the index that an undisturbed build must share. (How many
# chunks hold the postings depends on which rank took which files.)
facts() {
    awk -F '\t' '/^(files|files_todo|files_skipped|words|postings)\t/ ||
            /^(stale_postings|lost_chunks|chunks_used_twice)\t/'
}

# strike PID: kills of job PID one rank, all ranks, mpirun, or everything.
strike() {
    local ranks
    mapfile -t ranks < <(ranks_of "$1" "$program")
    victims=("$1" "${ranks[@]}")
    case $((RANDOM % 4)):${#ranks[@]} in
    *:0 | 2:*) struck=mpirun; kill -KILL "$1" ;;
    0:*) struck=rank; kill -KILL "${ranks[RANDOM % ${#ranks[@]}]}" ;;
    1:*) struck=ranks; kill -KILL "${ranks[@]}" ;;
    3:*) struck=all; kill -KILL "$1" "${ranks[@]}" ;;
    esac 2>/dev/null
}

# left_over: the processes of this space, also those that the launcher had
# started, but that were not yet ranks, when it was killed.
left_over() {
    local found
    found=$(env -u MEGALLOC_DIR grep -lsxzF "MEGALLOC_DIR=$MEGALLOC_DIR" \
        /proc/[0-9]*/environ)
    echo "${found//[^0-9$'\n']/}"
}

# bury: waits until nothing is left of the job; what outlives mpirun for more
# than five seconds is killed, too.
bury() {
    local turn
    for ((turn = 0; turn < 200; turn++)); do
        read -r -d '' -a victims < <(left_over)
        ((${#victims[@]} > 0)) || return
        ((turn != 50)) || kill -KILL "${victims[@]}" 2>/dev/null
        sleep 0.1
    done
}

# build_and_kill RANKS: a build that is struck at a random moment before its
# usual end. Succeeds if it was done before.
build_and_kill() {
    local pid status
    # Not by the function: its process would be a shell, and mpirun go on when
    # that is killed.
    "$megarun" -n "$1" "$program" build --resume "$scratch/text" \
        >"$scratch/log" 2>&1 &
    pid=$!
    victims=("$pid")
    sleep "$(awk -v t="$usual" -v r=$RANDOM \
        'BEGIN { printf "%.3f", t * (0.05 + 0.95 * r / 32768) }')"
    strike "$pid"
    wait "$pid" 2>/dev/null
    status=$?
    bury
    # Its own status may be lost with mpirun, but the message is not.
    [ $status -eq 0 ] || grep -q ' files indexed, ' "$scratch/log"
}

# ---- The undisturbed build ----

make_corpus 12000000
start=$EPOCHREALTIME
textindex 2 build "$scratch/text" 2>"$scratch/log" || cat "$scratch/log" >&2
usual=$(awk -v a="$start" -v b="$EPOCHREALTIME" 'BEGIN { print b - a }')
least=$(awk -v t="$usual" 'BEGIN { print t / 4 }')
textindex 1 dump >"$scratch/dump"
textindex 1 stats >"$scratch/stats"
facts <"$scratch/stats" >"$scratch/facts"
tap_try "an undisturbed build leaves no chunk unlinked" \
    grep -qx "leaked_chunks	0" "$scratch/stats"
tap_try "the index has words" test -s "$scratch/dump"

# ---- Killed ones ----

# killed_round: kills in a row, up to what is left, then the end of the build.
killed_round() {
    local ranks status
    new_space
    history=
    while ((kills > 0)); do
        ranks=$((RANDOM % 4 + 1))
        if build_and_kill "$ranks"; then
            history+=" $ranks:done" # too late: strike sooner
            usual=$(awk -v t="$usual" -v least="$least" \
                'BEGIN { t *= 0.7; print (t > least ? t : least) }')
            break
        fi
        history+=" $ranks:$struck"
        kills=$((kills - 1))
        killed=$((killed + 1))
        ((RANDOM % 3)) || break
    done
    ranks=$((RANDOM % 4 + 1))
    history+=" $ranks"
    textindex "$ranks" build --resume "$scratch/text" >"$scratch/log" 2>&1
    status=$?
    [ $status -eq 0 ] || { echo "resume: status $status"; cat "$scratch/log"; }
}

# compare_index: prints what differs from the undisturbed index.
compare_index() {
    textindex $((RANDOM % 4 + 1)) verify "$scratch/text" >"$scratch/log" 2>&1 ||
        cat "$scratch/log"
    textindex 1 dump | cmp "$scratch/dump" - 2>&1
    textindex 1 stats >"$scratch/stats" || echo "stats: status $?"
    facts <"$scratch/stats" | diff "$scratch/facts" - | head -n 20
}

round=0 killed=0 leaks=0
while ((kills > 0 && round < 200)); do
    round=$((round + 1))
    # Every other round with the flushes of persistent memory.
    export MEGALLOC_DURABILITY=$( ((round % 2)) && echo process || echo power)
    killed_round >"$scratch/faults" 2>&1
    compare_index >>"$scratch/faults" 2>&1
    leaks=$((leaks + $(awk '/^leaked_chunks/ { print $2 }' "$scratch/stats")))
    tap_empty "round $round, ranks$history: the same index" \
        "$(cat "$scratch/faults")"
done
echo "# $killed kills in $round rounds, $leaks chunks leaked"
tap_try "builds were killed" test "$killed" -gt 0
tap_end
