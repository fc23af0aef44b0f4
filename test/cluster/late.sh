#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# late.sh - a rank is late, or stopped, before mega_init, in it, while the space
# is open, or after: the others wait for it as long as it may work, no longer.
# hosts.sh does so over hosts.
. "${MEGA_SRCDIR:?}/test/cluster/ranks.sh"
patience=30
export MEGALLOC_TIMEOUT=2 MEGALLOC_START_TIMEOUT=4
not_all="not every rank has called mega_init"
silent="rank 1 on host $(hostname) has given no sign of life for 2 s"

others_told() { # the launcher may let the stopped one go on, to end it
    tap_empty "and all others are told" \
        "$( (($(grep -c '^told: rank [02]: ' <<<"$output") == 2)) ||
            echo "$output")"
}

for by in "" mpi; do # who has called MPI_Init
    new_space
    job 3 late before stop $by
    refused "stopped before mega_init${by:+, after MPI_Init}" "$not_all within 4 s"
    tap_try "and the process exits as others do" grep -q '^exits: ' <<<"$output"
    MEGALLOC_START_TIMEOUT=60 job 3 late before 3 $by
    tap_empty "late to mega_init${by:+, after MPI_Init}: named, waited for" \
        "$( ((status == 0)) && [[ $output == *"$not_all, for 2 s"* ]] ||
            echo "status $status: $output")"
done
for agreement in 0 1 2 5; do
    new_space
    job 3 late in $agreement
    refused "stopped in mega_init, before agreement $agreement" "$silent"
    others_told
done
new_space
job 3 late poor
refused "no memory in mega_init, where others wait" "$silent"
others_told
for where in barrier commit create word lock finalize; do
    new_space
    job 3 late held $where
    refused "stopped while others wait: $where" "$silent"
    others_told
done
frozen="frozen by a cgroup while others wait"
group=''
for root in /sys/fs/cgroup /sys/fs/cgroup/unified /sys/fs/cgroup/freezer; do
    group=$root/megalloc-late-$$
    mkdir "$group" 2>/dev/null || continue
    [[ ! -e $group/cgroup.freeze && ! -e $group/freezer.state ]] || break
    rmdir "$group"
done
if [[ -d $group ]]; then
    new_space
    { # a frozen process of version 1 cannot even be killed
        sleep 10
        [[ ! -e $group/cgroup.freeze ]] || echo 0 >"$group/cgroup.freeze"
        [[ ! -e $group/freezer.state ]] || echo THAWED >"$group/freezer.state"
    } &
    job 3 late held barrier "$group"
    refused "$frozen" "$silent"
    others_told
    wait $!
    rmdir "$group"
else
    tap_skip "$frozen" "no cgroup can be made here"
fi
new_space
passes "a job that is stopped as a whole goes on" 3 late paused 5
new_space
passes "a rank that works for long is waited for" 3 late works 6
new_space
MEGALLOC_TIMEOUT=30 passes "a rank that is stopped for a while goes on" \
    3 late rests 4
for then in "" close; do
    new_space
    ASAN_OPTIONS=${ASAN_OPTIONS-}:allocator_may_return_null=1 \
        TSAN_OPTIONS=${TSAN_OPTIONS-}:allocator_may_return_null=1 \
        job 3 late starved $then
    refused "a rank has no memory for a collective${then:+, and leaves}" \
        "rank 1 on host $(hostname) has left a collective call: no memory"
    others_told
done
new_space
job 3 late upset
refused "MPI fails in a collective of a rank" \
    "rank 1 on host $(hostname) has left a collective call: MPI_Ibarrier: "
others_told
new_space
job 3 late after stop
refused "stopped after mega_finalize" "$silent" 'exits: '
job 3 late after 4
tap_empty "long at work after mega_finalize: named, waited for" \
    "$( ((status == 0)) && [[ $output == *"rank 1 has not come to the end"* ]] ||
        echo "status $status: $output")"
passes "another thread than the first calls exit" 3 late thread
tap_end
