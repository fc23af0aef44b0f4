#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# hosts.sh - the rank programs of the other cluster tests over two and over
# three hosts of a lab, the ranks dealt to the hosts in turn; homes lie in the
# memory of each host. One lab for all.
#
# What is not here, and why: test/README.md.
#   HOSTS="2 3"   with how many (these; a sanitizer's build, or MPICH's: 3)
#   HOSTS_SEED=N  of all that is random
#   LONG_TESTS=1  each crash point, not four
#   POINTS="NAME..."  jobs killed at these crash points, and nothing else
. "${MEGA_SRCDIR:?}/test/cluster/ranks.sh"
lab() {
    "${bounded[@]}" "$patience" "$MEGA_BUILDDIR/launchers/lab" --name "hosts-$$" "$@"
}
if ! built_with_ucx; then
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
old_mpich() {
    built_with_mpich &&
        mpichversion | grep -qE '^MPICH Version:[[:space:]]*(3|4\.[01])\.'
}
fault='cluster/[a-z_]*\.[ch]:' # where a rank has found one
mapfile -t holders < <(lab status | awk '{ print $NF }')
new_space() { # the hosts' own: ranks.sh knows those of this host
    local holder
    for holder in "${holders[@]}"; do
        rm -rf "/proc/$holder/root$MEGALLOC_DIR" \
            "/proc/$holder/root$MEGALLOC_DIR".*
    done
}
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
    "${bounded[@]}" "$patience" "${launch[@]}" -n $((2 * hosts)) \
        "$programs/$1" build "$RANDOM" \
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
        grep "$fault" "$scratch/log" | grep -vF "another rank failed or is gone"
        grep -q '^found' "$scratch/log" || cat "$scratch/log")"
}

# Programs about several openings and communicators.
opened() { # RANKS
    local what cases=("life two $MEGALLOC_DIR" "life again" "life forks"
        "comm whole" "comm longest")
    if old_mpich; then
        tap_skip "$on: programs that call MPI_Finalize" \
            "that of MPICH before 4.2 may hang over TCP"
    else # over three hosts each half of the ranks of comm sub is on all
        new_space
        passes "$on: comm sub" $((2 * $1)) comm sub "$MEGALLOC_DIR"
        cases+=("life thread single" "life thread funneled" "life outlive")
    fi
    for what in "${cases[@]}"; do
        new_space
        # shellcheck disable=SC2086 # a program, a case and its argument
        passes "$on: $what" $1 $what
    done
    new_space
    second_job $1
}

# The first job waits for a file, in a directory that all hosts see.
second_job() { # RANKS
    local shared first turn
    shared=$(mktemp -d /tmp/megalloc-hosts.XXXXXX)
    "${bounded[@]}" "$patience" "${launch[@]}" -n "$1" "$programs/life" hold \
        "$shared/go" >"$scratch/first" 2>&1 &
    first=$!
    for ((turn = 0; turn < 1200; turn++)); do
        [[ ! -s $shared/go.ready ]] && kill -s 0 $first 2>/dev/null || break
        sleep 0.05
    done
    job "$1" life open
    refused "$on: a second job is refused" "in use"
    : >"$shared/go"
    wait $first
    tap_empty "$on: and the first one sees nothing of it" \
        "$( (($? == 0)) || cat "$scratch/first")"
    rm -rf "$shared"
}

lives() {
    new_space
    passes "$on: $1 ranks make homes" $1 life make
    passes "$on: $1 ranks find them" $1 life look $1 $1
    passes "$on: and more ranks" $(($1 + 2)) life look $1 $1
    new_space
    if old_mpich; then
        tap_skip "$on: MPI_Finalize closes an open space" \
            "that of MPICH before 4.2 may hang over TCP"
    else
        passes "$on: MPI_Finalize closes an open space" $1 life end mpi
        passes "$on: as cleanly as mega_finalize" $1 life ended 1
    fi
    new_space
    job $1 life take
    passes "$on: nobody holds the locks of ranks killed" $1 life taken
}

# ---- Crash points: several jobs at a time, each in a space of its own ----

lanes=3

# lane NUMBER SEED POINT...: a job killed at each, in a new space, and one that
# looks; leaves what is wrong in $scratch/faults.N, the points that nobody came
# to in $scratch/missed.N.
lane() {
    local number=$1 seed=$2 point try
    shift 2
    MEGALLOC_DIR+=-$number
    for point in "$@"; do
        new_space
        # The rank that is to die may pass it by; some points are come to only
        # in what another job has left; a slab is adopted only while no other
        # rank frees an extent, and in a home that has not grown much.
        for try in {1..8}; do
            ((try % 3)) || new_space
            seed=$((seed + 1))
            MEGALLOC_CRASH=$point job $((2 * hosts)) points crash "$seed" 0
            ((status == 0)) || break
        done
        ((status != 0)) || echo "$point" >>"$scratch/missed.$number"
        if ((status == 124)) || grep "$fault" <<<"$output" |
            grep -qvF "another rank failed or is gone"; then
            echo "$point, seed $seed: status $status: $output"
        fi
        job $((hosts + 1)) points look
        ((status == 0)) ||
            echo "$point, seed $seed, look: status $status: $output"
    done >"$scratch/faults.$number"
    new_space
}

points() {
    local list number
    mapfile -t list < <(sed -n 's/^ *X(\([a-z_]*\)).*/\1/p' \
        "$MEGA_SRCDIR/runtime/crash_point.h" | shuf --random-source=<(yes $RANDOM))
    tap_try "$on: the list of points is read" test ${#list[@]} -ge 20
    if [[ ${POINTS-} ]]; then
        read -ra list <<<"$POINTS"
    elif [[ ! ${LONG_TESTS-} ]]; then # two of those that only hosts have
        mapfile -t list < <(printf '%s\n' "${list[@]}" | grep '^far_' | head -2
            printf '%s\n' "${list[@]}" | grep -v '^far_' | head -2)
    fi
    echo "# points: ${list[*]}"
    rm -f "$scratch"/faults.* "$scratch"/missed.*
    for ((number = 0; number < lanes; number++)); do
        lane $number $RANDOM $(for ((i = number; i < ${#list[@]}; i += lanes)); do
            echo "${list[i]}"
        done) &
    done
    wait
    tap_empty "$on, killed at points: sound, whole and nothing twice" \
        "$(cat "$scratch"/faults.*)"
    tap_empty "$on: each point was come to" "$(cat "$scratch"/missed.* 2>/dev/null)"
}

# ---- Files, of a home of the last host ----

dir_of() { # HOST
    echo "/proc/${holders[$1 - 1]}/root$MEGALLOC_DIR"
}

# spoilt NAME TEXT...: all ranks are told; then the file is what it was.
spoilt() {
    local name=$1
    shift
    job $hosts life look $hosts $hosts
    refused "$on: home $last $name: refused" "home" "$@"
    rm -f "$(dir_of $hosts)/home-$last.0.pool"
    cp "$scratch/whole" "$(dir_of $hosts)/home-$last.0.pool"
}

damaged() {
    local last=$((hosts - 1)) file
    new_space
    passes "$on: a space that is damaged" $hosts life make
    file=$(dir_of $hosts)/home-$last.0.pool
    cp "$file" "$scratch/whole"
    rm "$file"
    spoilt "is missing" "home $last of $hosts is missing"
    cp "$(dir_of 1)/home-0.0.pool" "$file"
    spoilt "is another one" "home-$last.0.pool"
    head -c 1M /dev/urandom >"$file"
    spoilt "is rubbish" "home-$last.0.pool" "restore the file"
    truncate -s 9M "$file"
    spoilt "is cut short" "home-$last.0.pool"
    cp "$scratch/whole" "$(dir_of 1)/home-$last.0.pool"
    spoilt "lies on two hosts" "home $last lies on two hosts, h1 and h$hosts"
    rm "$(dir_of 1)/home-$last.0.pool"
    passes "$on: the right files again" $hosts life look $hosts $hosts
    cp "$scratch/whole" "$file" # as it was before that job
    spoilt "is an older copy" "home $last is an older copy"
}

tools() { # all files of the space, carried to one host
    local tool=$MEGA_BUILDDIR/apps/tool/megalloc end host shared
    shared=$(mktemp -d /tmp/megalloc-hosts.XXXXXX) # all hosts see it
    for end in "" kill; do
        new_space
        job $hosts tool_space ${end:+"$end" "$shared/leaks"}
        rm -rf "$scratch/files"
        mkdir "$scratch/files"
        for ((host = 1; host <= hosts; host++)); do
            cp "$(dir_of $host)"/*.pool "$scratch/files/"
        done
        tap_try "$on${end:+, killed}: megalloc check finds them sound" \
            "$tool" check "$scratch/files"
    done
    tap_empty "$on: megalloc leaks finds what leaks" "$(
        "$tool" leaks "$scratch/files" 2>&1 |
            grep -oE '0x[0-9a-f]{16}' | sort -u |
            diff - <(grep -oE '0x[0-9a-f]{16}' "$shared/leaks" | sort -u))"
    rm -r "$shared"
}

# only_last SETTING RANKS PROGRAM ARGUMENT...: it is set on the last host only.
only_last() {
    output=$("${bounded[@]}" "$patience" "${launch[@]}" -n "$2" sh -c '
        [ "$(hostname)" != "$1" ] || export "MEGALLOC_$2"
        shift 2
        exec "$@"' sh "h$hosts" "$1" "$programs/$3" "${@:4}" 2>&1)
    status=$?
}

settings() {
    local domain=0 word
    new_space
    only_last HOME_SIZE=lots $hosts life open
    refused "$on: nonsense on one of them" "MEGALLOC_HOME_SIZE=lots"
    only_last ATOMICS=nic $hosts life open
    refused "$on: atomics of two kinds" "MEGALLOC_ATOMICS is not the same"
    for word in process power-msync power; do
        new_space
        MEGALLOC_CHECK=yes MEGALLOC_DURABILITY=$word \
            passes "$on: DURABILITY=$word" $hosts life domain $domain
        domain=$((domain + 1))
    done
}

# ---- All of them ----

RANDOM=${HOSTS_SEED:=$((EPOCHSECONDS % 32768))}
echo "# HOSTS_SEED=$HOSTS_SEED"
if built_for_sanitizer || built_with_mpich; then
    HOSTS=${HOSTS:-3}
fi
for hosts in ${HOSTS:-2 3}; do
    on="$hosts hosts"
    launch=("$MEGA_BUILDDIR/launchers/lab" --name "hosts-$$" run
        --hosts "$(seq -s, "$hosts")")
    if [[ ${POINTS-} ]]; then
        MEGALLOC_HOME_SIZE=10M points
        continue
    fi
    lives $hosts
    opened $hosts

    export MEGALLOC_HOME_SIZE=10M
    new_space
    job $((4 * hosts)) life make
    tap_try "$on: what ranks print last comes, of all" \
        test "$status $(grep -c '^list\.' <<<"$output")" = "0 $((4 * hosts))"
    new_space
    passes "$on: ranks meet each other's new spans" $hosts grow rounds 4
    passes "$on: all of them are there for more ranks" $((hosts + 1)) grow look 4
    new_space
    passes "$on: all ranks make one home grow at once" $hosts grow at_once

    new_space
    steps "$on" $hosts moves
    new_space
    MEGALLOC_ATOMICS=nic steps "$on, all atomics by UCX" $((hosts + 1)) moves

    new_space
    steps "$on" $((2 * hosts)) net
    new_space
    steps "$on" $((hosts + 1)) net_sight
    new_space
    steps "$on" $((2 * hosts)) net_keys
    for what in again asked crossed by_thread; do
        new_space
        passes "$on: the end of a job, $what" $hosts net_ends $what
    done
    for what in answered card; do
        new_space
        steps "$on" $hosts net_inside $what
    done
    new_space
    ((hosts > 2)) || steps "$on" $hosts net_fuzz attack $RANDOM

    damaged
    tools
    settings

    room=$((8 * hosts))M # all ranks take large chunks of one home at once
    export MEGALLOC_HOME_SIZE=$room MEGALLOC_HOME_MAX=$room
    new_space
    steps "$on" $hosts heap spread
    unset MEGALLOC_HOME_MAX
    new_space
    passes "$on: random alloc and free" $hosts model churn 4000 $RANDOM
    MEGALLOC_HOME_MAX=$room \
        passes "$on: after them the homes are empty" $hosts model after

    MEGALLOC_HOME_SIZE=10M points # homes that grow soon
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
