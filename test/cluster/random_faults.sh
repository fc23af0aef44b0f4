#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# random_faults.sh - builds of an index over three hosts of a lab, by 3 to 6
# ranks; to each something happens at some moment, drawn by lot, also before
# it is at work. No job may hang, or end without a word of whom it misses, and
# the next ones, of other numbers of ranks, finish the index.
#   FAULTS=N       how many jobs (10; 100 with LONG_TESTS=1)
#   FAULTS_SEED=N  of what is drawn; each run's is told, and runs it alone with
#                  FAULTS=1
set -u
. "${MEGA_SRCDIR:?}/test/lib/lab_jobs.sh"
runs=${FAULTS:-${LONG_TESTS:+100}}
runs=${runs:-10}
seed=${FAULTS_SEED:-$((EPOCHSECONDS % 30000))}
three_hosts "random faults"

faults=(one_rank a_hosts_ranks a_host the_launcher stopped_ranks cut_shortly
    cut_for_good bad_link killed_twice)

# Each leaves in $what, in words, what it has done to host $host.
one_rank() {
    what="a rank of h$host is killed"
    ranks_on "$host" KILL 1
}
a_hosts_ranks() {
    what="all ranks of h$host are killed"
    ranks_on "$host" KILL
}
a_host() {
    what="h$host is killed"
    lab kill "$host"
}
the_launcher() {
    what="the launcher is killed"
    kill -s KILL "$job"
    disown "$job" # or bash says it all
}
stopped_ranks() {
    what="the ranks of h$host are stopped"
    stop_ranks "$host"
}
cut_shortly() {
    what="the link of h$host is cut for 1 s"
    lab cut "$host" --for 1
}
cut_for_good() {
    what="the link of h$host is cut for good"
    lab cut "$host"
}
bad_link() {
    what="the link of h$host loses packets and is late"
    lab cut "$host" --loss 1 --delay 50 --for 2
}
killed_twice() {
    what="a rank of h$host is killed, and the job that goes on as well"
    ranks_on "$host" KILL 1
    end
    left
    ranks=$((RANDOM % 4 + 3))
    go_on
    pause
    ranks_on "$host" KILL
}

pause() { # up to half a second
    sleep "0.$((RANDOM % 50 + 100))"
}

clear() {
    lab heal "$host"
    # A rank that was stopped dies when the launcher ends its job, or now.
    ranks_on "$host" KILL
} >/dev/null 2>&1

# It may be done, or has to say who is the cause: a rank, or a host.
judge() {
    ((status != 124)) || told_why="it hangs: $output"
    ((status == 0)) || [[ $fault == the_launcher ]] ||
        grep -qE 'on (node|host) h[1-3]|signal 9|rank [0-9]' <<<"$output" ||
        told_why="status $status, and names nobody: $output"
    [[ ! -s $scratch/left ]] || told_why+=" left: $(<"$scratch/left")"
}

for ((run = 0; run < runs; run++)); do
    RANDOM=$((seed + run))
    host=$((RANDOM % 3 + 1)) ranks=$((RANDOM % 4 + 3))
    fault=${faults[RANDOM % ${#faults[@]}]}
    told_why='' what=''
    name="seed $((seed + run)): $ranks ranks"
    # Of those that MPI itself survives, one in three strikes at the start.
    early=''
    case $fault in
    one_rank | a_hosts_ranks | a_host | the_launcher)
        ((RANDOM % 3 > 0)) || early=", early"
        ;;
    esac
    for turn in {1..5}; do # one that is done already is begun again
        begin ${early:+--early}
        pause
        ! kill -s 0 "$job" 2>/dev/null || break
        end
    done
    "$fault" >"$scratch/did" 2>&1
    did=$?
    if ((did == 77)); then # the machine cannot
        end
        tap_skip "$name: $fault" "$(tail -n 1 "$scratch/did")"
        continue
    fi
    end
    [[ $fault != cut_for_good ]] || { sleep 1; lab heal "$host"; }
    left
    judge
    clear
    ranks=$((RANDOM % 4 + 3))
    whole "$name$early, $what; then $ranks" "$told_why"
done
tap_end
