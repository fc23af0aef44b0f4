#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# random_faults.sh - builds of an index over three hosts of a lab, by 3 to 6
# ranks; to each something happens at some moment, drawn by lot, also before
# it is at work. No job may hang, or fail without a word of that host, and the
# next ones, of other numbers of ranks, finish the index. A run counts only if
# it struck a job that was not done: else it is begun again.
#   FAULTS=N       how many jobs (10, with a sanitizer 3; 100 with LONG_TESTS=1)
#   FAULTS_SEED=N  of what is drawn; each run's is told, and runs it alone with
#                  FAULTS=1
set -u
. "${MEGA_SRCDIR:?}/test/lib/lab_jobs.sh"
runs=${FAULTS:-${LONG_TESTS:+100}}
[[ $runs ]] || ! built_for_sanitizer || runs=3
runs=${runs:-10}
seed=${FAULTS_SEED:-$((EPOCHSECONDS % 30000))}
texts+=(/usr/include/linux/netfilter) # a job that is not done before anything happens
three_hosts "random faults"

faults=(one_rank a_hosts_ranks a_host vanished_host the_launcher stopped_ranks
    cut_shortly cut_for_good bad_link killed_twice)
most=8 # times that a run is begun

# Each leaves in $what, in words, what it has done to host $host. That there was
# a job those say in $met that do not end it as a failure.
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
vanished_host() {
    what="h$host vanishes"
    lab cut "$host" && lab kill "$host"
}
the_launcher() {
    what="the launcher is killed"
    kill -s KILL "$job" && met=yes
    disown "$job" # or bash says it all
}
stopped_ranks() {
    what="the ranks of h$host are stopped"
    stop_ranks "$host"
}
cut_shortly() {
    what="the link of h$host is cut for 1 s"
    outlived 1
}
cut_for_good() {
    what="the link of h$host is cut for good"
    lab cut "$host"
}
bad_link() {
    what="the link of h$host loses packets and is late"
    outlived 2 --loss 1 --delay 50
}
killed_twice() {
    what="a rank of h$host is killed, and the job that goes on as well"
    ranks_on "$host" KILL 1
    end
    ((status != 0)) || return
    left
    judge
    ranks=$((RANDOM % 4 + 3))
    go_on
    pause
    ranks_on "$host" KILL
}

# outlived SECONDS OPTION...: the link is cut so long, and there was a job for
# all that time.
outlived() {
    lab cut "$host" "${@:2}" || return
    sleep "$1"
    ! kill -s 0 "$job" || met=yes
    lab heal "$host"
}

pause() { # up to half a second
    sleep "0.$((RANDOM % 400 + 100))"
}

clear() {
    lab heal "$host"
    # A rank that was stopped dies when the launcher ends its job, or now.
    ranks_on "$host" KILL
} >/dev/null 2>&1

# It may have lived through that, or has to say who is the cause: that host, or a
# rank on it.
judge() {
    ((status != 124)) || told_why+="it hangs: $output"
    ((status == 0)) || [[ $fault == the_launcher ]] ||
        grep -qE "(on (node|host)|daemon of) h$host([^0-9]|\$)" <<<"$output" ||
        told_why+="status $status, and h$host is not named: $output"
    [[ ! -s $scratch/left ]] || told_why+=" left: $(<"$scratch/left")"
}

# once: a job, and what happens to it; $met says that there was one.
once() {
    met=''
    begin ${early:+--early}
    pause
    "$fault" >"$scratch/did" 2>&1
    did=$?
    end
    [[ $fault != cut_for_good ]] || { sleep 1; lab heal "$host"; }
    left
    [[ $fault == @(the_launcher|cut_shortly|bad_link) ]] || ((status == 0)) ||
        met=yes
    judge
    clear
}

strikes=0 in_vain=0
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
    for ((turn = 1; turn <= most; turn++)); do
        once
        [[ ! $met && ! $told_why && $did != 77 ]] || break
    done
    in_vain=$((in_vain + turn - 1))
    if ((did == 77)); then # the machine cannot
        tap_skip "$name: $fault" "$(tail -n 1 "$scratch/did")"
        continue
    fi
    if [[ $met ]]; then
        strikes=$((strikes + 1))
    else
        told_why+="it met no job, $most times"
    fi
    ranks=$((RANDOM % 4 + 3))
    whole "$name$early, $what; then $ranks" "$told_why"
done
echo "# $strikes of $runs jobs were struck; $in_vain were done before"
tap_end
