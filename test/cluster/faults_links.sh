#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# faults_links.sh - jobs over three hosts of a lab, between which a link is cut,
# late, or loses packets: none may hang, and after each the index is finished by
# another job, verified, and its homes are sound.
#   FAULTS_TIMEOUT  MEGALLOC_TIMEOUT of the jobs that have to fail, in s (6)
set -u
. "${MEGA_SRCDIR:?}/test/lib/lab_jobs.sh"
three_hosts faults_links
long=30 # MEGALLOC_TIMEOUT of those that have to go on

# ---- For good ----

# A rank on each host is at work, or the job is hung, which end tells.
all_run() {
    local host until=$((SECONDS + patience))
    for host in 1 2 3; do
        until runs_on $host || ((SECONDS >= until)) || ! kill -s 0 "$job"; do
            sleep 0.1
        done
    done
}

textindex_program=$program program=$build/test/cluster/late
# MPICH's launcher does not ask whether a host is there: before they have met, the
# others wait for MEGALLOC_START_TIMEOUT, and nobody knows who is missing.
for when in before after; do
    missed=h2
    if [[ $when == before ]] && built_with_mpich; then
        missed="not every rank has called mega_init within 10 s"
        export MEGALLOC_START_TIMEOUT=10
    fi
    MEGALLOC_TIMEOUT=4 start "$program" $when 60
    unset MEGALLOC_START_TIMEOUT
    all_run
    sleep 2
    strike lab cut 2
    end
    told "a link is cut for good $when the space is open" "$missed"
    lab heal 2
done
program=$textindex_program

# ---- For some time, and badly ----

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
    rm -f "$scratch"/{cut,heal,is-cut,is-healed,told-*}
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

# From before the job starts to its end; each turn to h2 and back takes 100 ms, and
# the job has some hundred of them.
output=$(lab cut 2 --loss 1 --delay 50 2>&1)
status=$?
texts=(/usr/include/linux/usb/charger.h /usr/include/linux/usb/g_uvc.h)
new_space
if ((status == 77)); then
    tap_skip "a bad link" "${output##*$'\n'}"
else
    MEGALLOC_TIMEOUT=$long textindex build "${texts[@]}"
    lab heal 2
    passed "a link loses packets and is late: the job goes on to its end"
fi
whole "a link loses packets and is late"

tap_end
