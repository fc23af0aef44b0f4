#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# faults.sh - jobs over three hosts of a lab, to each of which something
# happens: none may hang, and after each the index is finished by another job,
# verified, and its homes are sound.
#   FAULTS_TIMEOUT  MEGALLOC_TIMEOUT of the jobs that have to fail, in s (6)
set -u
. "${MEGA_SRCDIR:?}/test/lib/lab_jobs.sh"
three_hosts faults
long=30 # MEGALLOC_TIMEOUT of those that have to go on

# Who speaks first of a rank of h2 that is gone: mpirun, of it or of the host,
# or another rank that waited for it.
# MPICH's launcher says where it ran.
lost=("signal 9" "on node h2" "on host h2" "RUNNING AT h2")

# ---- Processes ----

hit ranks_on 2 KILL
told "a rank is killed: the job ends" "${lost[@]}"
whole "a rank is killed"

waited_for() { # others come to wait for it, then it is killed
    ranks_on 2 STOP
    sleep 1
    ranks_on 2 KILL
}
hit waited_for
told "a rank is killed while others wait for it: the job ends" "${lost[@]}"
whole "a rank is killed while others wait for it"

hit stop_ranks 2
told "a rank is stopped: the job ends, and names it" "on host h2" "on node h2"
whole "a rank is stopped"

# outlive CASE SIGNAL: a job of survivors, whose rank on h2 gets that signal once
# the others wait for it; the launcher is not to end them before they are told.
outlive() {
    local turn
    rm -f "$scratch"/ready-*
    OMPI_MCA_orte_enable_recovery=1 "$build/launchers/lab" run -n 3 \
        "$program" "$1" "$scratch" >"$scratch/log" 2>&1 </dev/null &
    job=$!
    for ((turn = 0; turn < 1200; turn++)); do
        [[ ! -e $scratch/ready-0 || ! -e $scratch/ready-2 ]] || break
        sleep 0.05
    done
    sleep 0.2
    ranks_on 2 "$2"
    for ((turn = 0; turn < 1200; turn++)); do
        (($(grep -c '^told:' "$scratch/log") < 2)) || break
        sleep 0.05
    done
    ranks_on 2 KILL
    end
}

# both NAME [RANK]: each of them was told, and of whom.
both() {
    local n
    n=$(grep -c "^told: rank [02]: .*rank ${2:-1} on host h2" <<<"$output")
    if ((n == 2 && status != 124)); then
        tap_ok "$1"
    else
        tap_fail "$1" "status $status: $output"
    fi
}

textindex_program=$program program=$build/test/cluster/survivors
for signal in KILL STOP; do
    if [[ $signal == KILL ]] && built_with_mpich; then
        tap_skip "SIGKILL to a rank whose persists are waited for" \
            "MPICH's launcher ends the others, too, and may be faster"
        continue
    fi
    new_space
    outlive write $signal
    both "SIG$signal to a rank whose persists are waited for: all are told"
    output=$(lab run -n 3 "$program" look "$scratch" 2>&1 </dev/null)
    status=$?
    passed "what was durable is there, SIG$signal"
done
new_space
outlive meet STOP
n=$(grep -c '^told: rank [02]: ' <<<"$output")
((n == 2 && status != 124)) && [[ $output == *"rank 1 on host h2"* ]]
status=$?
passed "a rank does not come to a barrier, for it is stopped: all are told"
new_space
output=$(lab run -n 5 "$program" wait "$scratch" 2>&1 </dev/null)
status=$?
both "a rank is stopped, others wait for a word and a lock: all are told" 4
new_space
output=$(MEGALLOC_TIMEOUT=3 lab run -n 3 "$program" leave "$scratch" 2>&1 </dev/null)
status=$?
[[ $status != 0 || -e $scratch/came ]] || status="before it came"
for who in "rank 1" "not every rank"; do
    [[ $output == *"$who has"*" to the end of the job"* ]] || status="mute: $who"
done
passed "a rank has long to do after mega_finalize: it is named and waited for"
program=$build/test/cluster/late
# halts NAME TEXT ARGUMENT...: rank 1 of late stops; the others say TEXT and end.
# What is stopped then keeps MPICH's launcher, or is ended by it.
halts() {
    local name=$1 text=$2 turn
    shift 2
    new_space
    lab run -n 3 "$program" "$@" >"$scratch/log" 2>&1 </dev/null &
    job=$!
    for ((turn = 0; turn < 600; turn++)); do
        ! grep -q "$text" "$scratch/log" && kill -s 0 "$job" 2>/dev/null || break
        sleep 0.1
    done
    sleep 3 # all say so
    for ((turn = 0; turn < 200; turn++)); do # else 137 is the job's status
        ! built_with_mpich && kill -s 0 "$job" 2>/dev/null || break
        sleep 0.1
    done
    ranks_on 2 KILL
    end
    took=''
    told "$name" "$text"
}

export MEGALLOC_TIMEOUT=3 MEGALLOC_START_TIMEOUT=9
for agreement in 0 1 2 5; do # from 2 or so on UCX tells
    halts "a rank is stopped in mega_init, before agreement $agreement" \
        "rank 1 on host h2" in $agreement
done
new_space
output=$(lab run -n 2 "$program" given 6 2>&1 </dev/null)
status=$?
told "a collective that is given up writes to nothing later" "unharmed: rank 0"
halts "a rank is stopped before mega_init" \
    "not every rank has called mega_init within" before stop
halts "a rank is stopped after mega_finalize" "rank 1 on host h2" after stop
export MEGALLOC_TIMEOUT=${FAULTS_TIMEOUT:-6}
unset MEGALLOC_START_TIMEOUT
for when in before after; do
    output=$(MEGALLOC_TIMEOUT=4 lab run -n 3 "$program" $when 60 2>&1 </dev/null &
        sleep 2
        lab cut 2
        wait $!)
    status=$?
    told "a link is cut for good $when the space is open" "h2"
    lab heal 2
done
program=$textindex_program

hit lab kill 2
told "a host is killed: the job ends, and names it" "on node h2" "on host h2"
whole "a host is killed"

# ---- A host that is not there ----

output=$(lab run --hosts 1,3 -n 2 "$program" stats 2>&1 </dev/null)
status=$?
told "a job without a host that has a home: refused, and which is told" \
    "home 1 of 3 is missing: it was last on host h2"

new_space
lab run -n 3 "$build/test/cluster/degraded" make "$scratch/places" crash \
    >/dev/null 2>&1 </dev/null
lab kill 2
output=$(MEGALLOC_OPEN=degraded lab run --hosts 1,3 -n 2 \
    "$build/test/cluster/degraded" look "$scratch/places" 0 -1 2>&1 </dev/null)
status=$?
passed "a host was killed: MEGALLOC_OPEN=degraded reads what the others have"

# ---- Links ----

# cut_for SECONDS: during a build, which waits for the end of it.
cut_for() {
    local turn waits=''
    for turn in {1..5}; do
        begin
        lab cut 2
        sleep "$1"
        ! kill -s 0 "$job" 2>/dev/null || waits=yes
        lab heal 2
        end
        ((status == 0)) && [[ ! $waits ]] || return # else it was too fast
    done
    status="was done before the cut, $turn times"
}

for seconds in 1 10; do
    MEGALLOC_TIMEOUT=$long cut_for $seconds
    passed "a link is cut for $seconds s: the job goes on"
    whole "a link is cut for $seconds s"
done

# What was sent while it was cut arrives afterwards; the program says when. The
# launcher waits for longer than the ranks do.
for case in own put; do
    new_space
    rm -f "$scratch"/{cut,heal,is-cut,is-healed}
    output=$(MEGALLOC_TIMEOUT=$long lab run -n 3 env MEGALLOC_TIMEOUT=2 \
        "$build/test/cluster/net_lost" $case "$scratch" 2>&1 </dev/null &
        for step in cut heal; do
            until [[ -e $scratch/$step ]] || ! kill -s 0 $!; do sleep 0.05; done
            lab $step 2
            : >"$scratch/is-${step/heal/healed}"
        done
        wait $!)
    status=$?
    passed "a link is cut for longer than is waited, and heals: $case"
done

# The launcher's own connections, which are idle for long.
output=$(MEGALLOC_TIMEOUT=30 lab run -n 3 sh -c "echo >$scratch/idle; sleep 11" \
    2>&1 </dev/null &
    until [[ -e $scratch/idle ]] || ! kill -s 0 $!; do sleep 0.05; done
    sleep 3
    lab cut 2 --for 5
    wait $!)
status=$?
passed "a link is cut while nobody says anything: the job goes on"

hit lab cut 2
told "a link is cut for good: the job ends, and names the host" \
    "on node h2" "on host h2"
lab heal 2
whole "a link is cut for good"

new_space
output=$(lab cut 2 --delay 25 2>&1)
status=$?
slow="a link is late, and a thread puts all the time: flushes end"
if ((status == 77)); then
    tap_skip "$slow" "${output##*$'\n'}"
else
    output=$(MEGALLOC_TIMEOUT=2 lab run --hosts 1,2 -n 2 \
        "$build/test/cluster/net_slow" beside_puts 2>&1 </dev/null)
    status=$?
    passed "$slow"
fi
lab heal 2

MEGALLOC_TIMEOUT=$long begin
output=$(lab cut 2 --loss 1 --delay 50 --for 4 2>&1)
status=$?
if ((status == 77)); then
    tap_skip "a bad link" "${output##*$'\n'}"
    end
else
    end
    passed "a link loses packets and is late: the job goes on"
fi
whole "a link loses packets and is late"

# ---- Homes ----

cp "${pools[1]}/home-1.0.pool" "$scratch/old"
textindex stats
cp "${pools[1]}/home-1.0.pool" "$scratch/new"
cp "$scratch/old" "${pools[1]}/home-1.0.pool"
textindex stats
told "a host has an older copy of its home: refused" "home 1 is an older copy"
cp "$scratch/new" "${pools[1]}/home-1.0.pool"
whole "the right copy again"

new_space
lab on 2 mount -o remount,size=8M "$homes"
textindex build "${texts[@]}"
told "a host has no room for its home: refused" "No space left"
lab on 2 mount -o remount,size=100M "$homes"
textindex build "${texts[@]}"
passed "then it has room: the same job passes"
whole "a host had no room for its home"

new_space
lab on 2 mount -o remount,size=64k /dev/shm
textindex build "${texts[@]}"
passed "a host's /dev/shm is full: what its ranks share is not there"
whole "a host's /dev/shm was full"
lab on 2 mount -o remount,size=64M /dev/shm

new_space
lab on 2 mount -o remount,size=12M "$homes"
output=$(MEGALLOC_HOME_SIZE=8M lab run -n 3 "$build/test/cluster/medium" 1 2>&1)
status=$?
passed "a medium fills up on one host only: who asks is told, others go on"
sound
tap_empty "and all homes are sound" "$unsound"
new_space
export MEGALLOC_HOME_SIZE=8M
begin
ranks_on 3 KILL
end
output=$(lab run -n 3 "$build/test/cluster/medium" 1 keep 2>&1)
status=$?
passed "a host's medium is filled when an index is half built"
go_on
ranks_on 3 KILL
end
whole "a rank is killed beside a host whose medium is full"
export MEGALLOC_HOME_SIZE=16M
lab on 2 mount -o remount,size=100M "$homes"

# ---- Restarts ----

# A killed host is noticed by the connection to it, or by the end of the command
# that started its daemon.

for fault in "ranks_on 2 KILL" "lab kill 2"; do
    for turn in {1..5}; do
        begin --restarts 2
        $fault
        end
        [[ $output != *"restart 1 of 2"* ]] || break # it was done before
    done
    [[ $output == *"restart 1 of 2"* ]] || status="not restarted"
    passed "$fault: --restarts brings the job back by itself"
    whole "after the restart"
done
tap_end
