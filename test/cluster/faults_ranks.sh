#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# faults_ranks.sh - jobs over three hosts of a lab, of which a rank or a whole
# host is killed or stopped: none may hang, and after each the index is finished
# by another job, verified, and its homes are sound.
#   FAULTS_TIMEOUT  MEGALLOC_TIMEOUT of the jobs that have to fail, in s (6)
set -u
. "${MEGA_SRCDIR:?}/test/lib/lab_jobs.sh"
three_hosts faults_ranks

# Who speaks first of a rank of h2 that is gone: mpirun, of it or of the host,
# or another rank that waited for it.
# MPICH's launcher says where it ran.
lost=("signal 9" "on node h2" "on host h2" "RUNNING AT h2")

# ---- Processes ----

ranks=6 # two a host
hit ranks_on 2 KILL 1
told "one rank of a host is killed: the job ends" "${lost[@]}"
whole "one rank of a host is killed"

hit ranks_on 2 KILL
told "all ranks of a host are killed: the job ends" "${lost[@]}"
whole "all ranks of a host are killed"
ranks=3

few=("${texts[@]}")
texts=(/usr/include/linux)
begin --some
strike lab kill 2
end
told "a host is killed when hundreds of files are durable" "${lost[@]}"
echo "# $durable files were durable"
tap_try "some were" test "$durable" -gt 0
whole "none of these is lost"
texts=("${few[@]}")

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
    OMPI_MCA_orte_enable_recovery=1 start "$program" "$1" "$scratch"
    for ((turn = 0; turn < 1200; turn++)); do
        [[ ! -e $scratch/ready-0 || ! -e $scratch/ready-2 ]] || break
        sleep 0.05
    done
    sleep 0.2
    strike ranks_on 2 "$2"
    for ((turn = 0; turn < 1200; turn++)); do
        (($(grep -c '^told:' "$scratch/log") < 2)) || break
        sleep 0.05
    done
    named=$(since) # by both
    ranks_on 2 KILL
    end
}

# both NAME [RANK]: each of them was told, and of whom.
both() {
    local n
    n=$(grep -c "^told: rank [02]: .*rank ${2:-1} on host h2" <<<"$output")
    bound "$1"
    if ((n == 2 && status != 124)) && [[ ! $slow ]]; then
        tap_ok "$1"
    else
        tap_fail "$1" "${slow}status $status: $output"
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
    program=$textindex_program whole "SIG$signal, beside what was durable"
done
new_space
outlive meet STOP
both "a rank does not come to a barrier, for it is stopped: all are told"
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
program=$textindex_program

# ---- A host ----

hit lab kill 2
told "a host is killed: the job ends, and names it" "on node h2" "on host h2"
whole "a host is killed"

vanish() { # also the link is gone: nobody gets an answer, nor a refusal
    lab cut "$1" && lab kill "$1"
}
hit vanish 2
told "a host vanishes: the job ends, and names it" "on node h2" "on host h2" \
    "daemon of h2" # by what is its ssh; mpirun may name nobody
lab heal 2
whole "a host has vanished"

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
