#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# life.sh - a space opened, left and opened again: by more and fewer ranks,
# several in turn, over parts of a job, and by a job too many.
. "${MEGA_SRCDIR:?}/test/cluster/ranks.sh"

# until_true COMMAND...: false after some seconds.
until_true() {
    local turn
    for ((turn = 0; turn < 600; turn++)); do
        ! "$@" || return 0
        sleep 0.01
    done
    echo "in vain: $*"
    return 1
}

# ---- Other numbers of ranks ----

for ranks in 1 3; do
    others=(1 2 3 5)
    ((ranks > 1)) || others=(3)
    new_space
    passes "$ranks ranks make as many homes" $ranks life make
    sort <<<"$output" | grep '^list' >"$scratch/bits"
    for others in "${others[@]}"; do
        job "$others" life look $ranks $ranks
        tap_empty "$ranks homes, $others ranks: the same pointers, bit for bit" \
            "$( ((status == 0)) || echo "status $status: $output"
               grep '^list' <<<"$output" | sort | diff "$scratch/bits" - 2>&1)"
    done
done
new_space
passes "8 ranks make 8 homes" 8 life make
passes "and 8 ranks open them" 8 life look 8 8

# ---- One program, several openings ----

new_space
passes "two spaces in turn" 2 life two "$scratch/space"
new_space
passes "init and finalize, again and again" 2 life again
new_space
passes "a space each for two halves of a job" 4 comm sub "$scratch/space"
new_space
passes "the program's messages beside ours" 3 comm whole
passes "a long buffer to all" 2 comm longest

new_space
passes "F12, F33: PMDK's and UCX's variables stay as they were" 2 comm variables
passes "F29: spans begin at huge pages" 2 comm aligned

# ---- Ends ----

for by in mpi ours; do
    new_space
    passes "MPI_Finalize closes an open space ($by)" 2 life end $by
    passes "as cleanly as mega_finalize" 3 life ended 1
done
new_space
job 2 life end exit
tap_empty "exit() with the space open ends the job" \
    "$( ((status < 124)) || echo "status $status: $output")"
passes "and the next job has the data" 2 life ended x
new_space
passes "MPI started with MPI_THREAD_SINGLE" 2 life thread single
passes "MPI started with MPI_THREAD_FUNNELED" 2 life thread funneled
passes "threads outlive a job" 2 life outlive
passes "two threads open at once, and close at once" 1 comm both

# ---- Killed with locks held ----

for ranks in 1 2 4; do
    for turn in 1 2 3; do # a launcher may lose what a killed rank has said
        new_space
        job 2 life take
        [[ $output != *held* ]] || break
    done
    tap_empty "2 ranks are killed while they hold locks" \
        "$( ((status > 0)) && [[ $output == *held* ]] ||
            echo "status $status: $output")"
    passes "in a job of $ranks nobody holds them" $ranks life taken
done

new_space
passes "a space beside which" 2 life open
foreign=(home-1.old.0.pool home-7.0.pool.old home-7.old.0.pool home-00.0.pool
    home-0.01.pool home-0.+1.pool 'home-0. 1.pool.new' home-0.4294967297.pool)
(cd "$MEGALLOC_DIR" && touch "${foreign[@]}")
passes "files lie with names like those of homes" 2 life open
tap_empty "which stay there" \
    "$(cd "$MEGALLOC_DIR" && ls "${foreign[@]}" 2>&1 >/dev/null)"

# ---- What a creation that was killed leaves ----

stumps() {
    local keeper
    mkdir "$MEGALLOC_DIR"
    rm -f "$scratch"/keep.*
    touch "$MEGALLOC_DIR"/home-{0,1,5,6}.0.pool.new
    "$programs/keep" "$MEGALLOC_DIR/home-6.lock" "$scratch"/keep.{ready,go} &
    keeper=$!
    until_true test -e "$scratch/keep.ready"
    job 2 life open
    ((status == 0)) || echo "status $status: $output"
    (cd "$MEGALLOC_DIR" && ls -- *.new) | grep -vx home-6.0.pool.new
    [[ -e $MEGALLOC_DIR/home-6.0.pool.new ]] || echo "gone while it is made"
    : >"$scratch/keep.go"
    wait $keeper
}
new_space
tap_empty "files that are half-made go, but of homes that a job makes now" \
    "$(stumps)"

# ---- A process that is forked ----

new_space
passes "a forked child makes no call and ends, and its parent all" 2 life forks

# ---- A second job ----

second_job() {
    local first began pid
    "${bounded[@]}" "$patience" "$megarun" -n 2 "$programs/life" hold \
        "$scratch/go" >"$scratch/first" 2>&1 &
    first=$!
    for ((turn = 0; turn < 600; turn++)); do
        [[ -s $scratch/go.ready ]] && break
        sleep 0.05
    done
    pid=$(cat "$scratch/go.ready")
    began=$SECONDS
    job 2 life open
    ((SECONDS - began < 20)) || echo "took $((SECONDS - began)) seconds"
    ((status == 7)) || echo "status $status"
    [[ $output == *"in use"* ]] || echo "not told: in use"
    grep -qw "$pid" <<<"$output" || echo "process $pid is not named"
    : >"$scratch/go"
    wait $first || echo "the first job: status $?: $(cat "$scratch/first")"
    [[ -n $output ]] || echo "silent"
}
new_space
faults=$(second_job)
tap_empty "a second job is refused, is told by whom, and does no harm" "$faults"
passes "afterwards it may" 2 life open

# ---- Two jobs that begin at once ----

# open_in_other FILE: by another process than that of keep.
open_in_other() {
    local fd
    for fd in /proc/[0-9]*/fd/*; do
        [[ $fd -ef $1 && $fd != /proc/$keeper/* ]] && return
    done
    return 1
}

# late SEEN RANKS PROGRAM ARGUMENT...: this job finds these files of the space in
# $scratch/made; while it waits for the lock of home 0 another makes all of it, and
# ends.
late() {
    local keeper second seen=$1
    shift
    new_space
    rm -f "$scratch"/keep.*
    mkdir "$MEGALLOC_DIR"
    [[ -z $seen ]] || ln "$scratch/made/$seen" "$MEGALLOC_DIR"
    "$programs/keep" "$MEGALLOC_DIR/home-0.lock" "$scratch"/keep.{ready,go} &
    keeper=$!
    until_true test -e "$scratch/keep.ready"
    (job "$@" && echo "$output" && exit "$status") >"$scratch/second" 2>&1 &
    second=$!
    until_true open_in_other "$MEGALLOC_DIR/home-0.lock"
    "$programs/keep" "$MEGALLOC_DIR/home-1.lock" "$scratch"/keep.{other,ready} ||
        echo "it waits for a home, and keeps another"
    cp -nl "$scratch/made/"*.pool "$MEGALLOC_DIR" # at once: it is not patient
    : >"$scratch/keep.go"
    wait $keeper
    wait $second || echo "status $?: $(cat "$scratch/second")"
}
new_space
passes "a space is made" 2 life make
mv "$MEGALLOC_DIR" "$scratch/made"
tap_empty "a job that would make it too, and is later, opens it" \
    "$(late "" 2 life look 2 2)"
tap_empty "a job that sees one home of two, and is later, opens both" \
    "$(late home-0.0.pool 2 life look 2 2)"

# Rank 1 begins when rank 0 may have looked, and the space was made meanwhile.
new_space
output=$("${bounded[@]}" "$patience" "${launch[@]}" -n 2 bash -c '
    if [[ ${OMPI_COMM_WORLD_RANK-$PMI_RANK} == 1 ]]; then
        for ((turn = 0; turn < 100; turn++)); do
            [[ ! -e $MEGALLOC_DIR ]] || break
            sleep 0.01
        done
        mkdir -p "$MEGALLOC_DIR"
        ln "$1"/*.pool "$MEGALLOC_DIR"
    fi
    exec "$2" near' bash "$scratch/made" "$programs/life" 2>&1)
status=$?
tap_empty "ranks of one host are that, though one has come later" \
    "$( ((status == 0)) || echo "status $status: $output")"
tap_end
