#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# faults_homes.sh - jobs over three hosts of a lab, of which a home is absent or
# an older copy, or a medium is full: none may hang, and after each the index is
# finished by another job, verified, and its homes are sound.
#   FAULTS_TIMEOUT  MEGALLOC_TIMEOUT of the jobs that have to fail, in s (6)
set -u
. "${MEGA_SRCDIR:?}/test/lib/lab_jobs.sh"
three_hosts faults_homes

# ---- Absent, or old ----

textindex build "${texts[@]}"
output=$(lab run --hosts 1,3 -n 2 "$program" stats 2>&1 </dev/null)
status=$?
told "a job without a host that has a home: refused, and which is told" \
    "home 1 of 3 is missing: it was last on host h2"

output=$(MEGALLOC_OPEN=degraded lab run --hosts 1,3 -n 2 "$program" stats 2>&1 \
    </dev/null)
status=$?
told "textindex needs each home: with degraded it tells which is not there" \
    "home 1"

new_space
lab run -n 3 "$build/test/cluster/degraded" make "$scratch/places" crash \
    >/dev/null 2>&1 </dev/null
lab kill 2
output=$(MEGALLOC_OPEN=degraded lab run --hosts 1,3 -n 2 \
    "$build/test/cluster/degraded" look "$scratch/places" 0 -1 2>&1 </dev/null)
status=$?
passed "a host was killed: MEGALLOC_OPEN=degraded reads what the others have"

new_space
textindex build "${texts[@]}"
cp "${pools[1]}/home-1.0.pool" "$scratch/old"
textindex stats
cp "${pools[1]}/home-1.0.pool" "$scratch/new"
cp "$scratch/old" "${pools[1]}/home-1.0.pool"
textindex stats
told "a host has an older copy of its home: refused" "home 1 is an older copy"
cp "$scratch/new" "${pools[1]}/home-1.0.pool"
whole "the right copy again"
cp "${pools[1]}"/home-1.*.pool "${pools[2]}"
for count in 2 5; do
    output=$(lab run --hosts 1,3 -n $count "$program" verify "${texts[@]}" \
        2>&1 </dev/null)
    status=$?
    passed "a home is copied to another host: $count ranks without the former"
done

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

tap_end
