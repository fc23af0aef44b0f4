#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# hosts.sh - the rank programs of the other cluster tests over two and over
# three hosts of a lab, the ranks dealt to the hosts in turn; homes lie in the
# memory of each host. One lab for all.
#
# Not here, though there on one host: large (no host has 18 GiB of memory),
# damage and tool_* (they look at files), settings (its words do not depend on
# hosts), medium and textindex_* (faults.sh), net (it names hosts itself), jobs
# of fewer ranks than hosts (a home whose host has no rank is absent).
# Not yet: heap and model, which write through pointers, and points.
#   HOSTS="2 3"   with how many
#   LONG_TESTS=1  kills over three hosts, too
. "${MEGA_SRCDIR:?}/test/cluster/ranks.sh"
lab() {
    timeout -k 5 120 "$MEGA_BUILDDIR/launchers/lab" --name "hosts-$$" "$@"
}
if ! grep -q '^UCX_LIBS = .' "$MEGA_BUILDDIR/Makefile"; then
    tap_skip "ranks on several hosts" "this build is without UCX"
    tap_end
fi
trap 'lab down; rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM HUP
output=$(lab up 3 2>&1)
status=$?
if ((status == 77)); then
    tap_skip "ranks on several hosts" "${output##*$'\n'}"
    tap_end
fi
((status == 0)) || { tap_fail "three hosts" "$output"; tap_end; }
export MEGALLOC_DIR=/run/megalloc/space
spaces=()
for holder in $(lab status | awk '{ print $NF }'); do
    spaces+=("/proc/$holder/root/run/megalloc/space" \
        "/proc/$holder/root/run/megalloc/space".*)
done
victim() { # sends SIGKILL to one of the ranks, some time into the job
    local host=$((RANDOM % hosts + 1))
    lab on $host sh -c 'for p in /proc/[0-9]*; do
        [ "$(cat $p/comm 2>/dev/null)" != "$1" ] ||
            { kill -s KILL "${p#/proc/}"; exit; }; done; exit 1' sh "$1"
}

# strike PROGRAM: a build of it by two ranks a host, one of which is killed
# some time after it has begun to work.
strike() {
    local job turn
    : >"$scratch/log"
    "${launch[@]}" -n $((2 * hosts)) "$programs/$1" build "$RANDOM" \
        >"$scratch/log" 2>&1 </dev/null &
    job=$!
    for ((turn = 0; turn < 1200; turn++)); do
        ! grep -q '^found' "$scratch/log" && kill -s 0 $job 2>/dev/null || break
        sleep 0.05
    done
    sleep "0.$((RANDOM % 8))"
    victim "$1" && struck=$((struck + 1))
    wait $job
} 2>/dev/null

whole() { # NAME: the last job found no fault, nor did the one before
    tap_empty "$1" "$( ((status == 0)) || echo "status $status: $output"
        grep -F .c: "$scratch/log" | grep -vF "another rank failed or is gone"
        grep -q '^found' "$scratch/log" || cat "$scratch/log")"
}

lives() {
    new_space
    passes "$on: $1 ranks make homes" $1 life make
    passes "$on: $1 ranks find them" $1 life look $1 $1
    passes "$on: and more ranks" $(($1 + 2)) life look $1 $1
    new_space
    passes "$on: MPI_Finalize closes an open space" $1 life end mpi
    passes "$on: as cleanly as mega_finalize" $1 life ended 1
    new_space
    job $1 life take
    passes "$on: nobody holds the locks of ranks killed" $1 life taken
}

RANDOM=${HOSTS_SEED:=$((EPOCHSECONDS % 32768))}
echo "# HOSTS_SEED=$HOSTS_SEED"
for hosts in ${HOSTS:-2 3}; do
    on="$hosts hosts"
    launch=("$MEGA_BUILDDIR/launchers/lab" --name "hosts-$$" run
        --hosts "$(seq -s, "$hosts")")
    lives $hosts

    export MEGALLOC_HOME_SIZE=10M
    new_space
    passes "$on: ranks meet each other's new spans" $hosts grow rounds 4
    passes "$on: all of them are there for more ranks" $((hosts + 1)) grow look 4
    new_space
    passes "$on: all ranks make one home grow at once" $hosts grow at_once

    new_space
    steps "$on" $hosts moves

    ((hosts == 2)) || [[ ${LONG_TESTS-} ]] || continue
    export MEGALLOC_HOME_SIZE=16M
    for what in kills regions; do
        new_space
        struck=0
        strike $what
        job $((hosts + 1)) $what look
        whole "$on, $what: sound and whole"
        tap_try "$on, $what: a rank was killed" test $struck -gt 0
    done
done
tap_end
