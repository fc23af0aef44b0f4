#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# net.sh - ranks on two hosts, which are two names of this one (MEGALLOC_HOST):
# what is not on the own host goes over UCX, by TCP alone and by what it finds.
. "${MEGA_SRCDIR:?}/test/lib/net_jobs.sh"

declare -A flushing=([tcp,self]=power [all]=power-msync)
ways=(tcp,self all)
# UCX is the same for MPICH; our part of it is for AddressSanitizer.
if built_with_mpich || built_for_sanitizer; then ways=(tcp,self); fi
for tls in "${ways[@]}"; do
    export UCX_TLS=$tls
    for ranks in 2 4; do # those of 4 flush for real what they are asked to
        ((ranks == 2)) || export MEGALLOC_DURABILITY=${flushing[$tls]}
        hosts $ranks net
        each_step "$tls, $ranks ranks"
        hosts $ranks net_sight
        each_step "$tls, $ranks ranks"
        export MEGALLOC_DURABILITY=process
    done
    hosts 4 net_keys
    each_step "$tls"
    MEGALLOC_HOME_SIZE=8M MEGALLOC_HOME_MAX=8M hosts 4 net_full
    each_step "$tls, homes that are full"
    hosts 4 net_ends again
    each_step "$tls, opened three times"
    MALLOC_PERTURB_=165 hosts 2 net_ends asked
    each_step "$tls, threads that stay behind"
    for turn in {1..5}; do
        MEGALLOC_TIMEOUT=4 hosts 2 net_ends crossed
        ((status == 0)) || break
    done
    each_step "$tls, each has freed what is the other's"
    hosts 2 net_ends by_thread
    each_step "$tls, closed by a thread of its own"
    killed="$tls, a rank is killed: the others are told"
    if built_with_mpich; then
        tap_skip "$killed" "MPICH's launcher ends them, too, and may be faster"
    else
        MEGALLOC_TIMEOUT=5 lossy 4 net_ends lost 9
        told "$killed" 2
    fi
    MEGALLOC_TIMEOUT=2 lossy 4 net_ends lost 19
    told "$tls, a rank is stopped: the others are told" 2
done
UCX_TLS=shm,self hosts 4 net
each_step "shared memory, 4 ranks"

if built_with_mpich; then
    tap_skip "UCX_TLS without a way to another host" \
        "MPICH's ranks reach each other by UCX, too: it ends them before"
else
    UCX_TLS=self hosts 2 net
    no_way='UCX finds no way to rank [01] on host host[01].*see UCX_TLS'
    tap_empty "UCX_TLS without a way to another host is named" \
        "$( ((status)) && grep -q "$no_way" <<<"$output" ||
            echo "status $status: $output")"
fi

# ---- From inside, what a stranger sends ----

for case in answered card dead undone pending no_worker unnamed crowd; do
    MEGALLOC_TIMEOUT=5 UCX_TLS=tcp,self hosts 2 net_inside $case
    each_step "inside"
done
for case in no_memory no_arena greeting late; do
    MEGALLOC_TIMEOUT=3 UCX_TLS=tcp,self hosts 2 net_serves $case
    each_step "serves"
done
MEGALLOC_TIMEOUT=3 UCX_TLS=tcp,self hosts 2 net_serves refused_open
told "serves: who stays behind in an open that failed is not waited for" 1
for case in beside_gets beside_refused big big_nbi; do
    limit=2 # which the transfers of a big one exceed
    [[ $case == big* ]] || limit=$patient
    MEGALLOC_TIMEOUT=$limit MEGALLOC_HOME_SIZE=256M UCX_TLS=tcp,self \
        hosts 2 net_slow $case
    each_step "slow"
done
UCX_TLS=tcp,self HOSTS=3 hosts 3 net_inside healthy
each_step "inside"
fuzz_seed=${FUZZ_SEED:-$((EPOCHSECONDS % 32768))}
echo "# FUZZ_SEED=$fuzz_seed"
for tls in "${ways[@]}"; do
    # it may have homes grow
    MEGALLOC_HOME_MAX=64M UCX_TLS=$tls MEGALLOC_DURABILITY=${flushing[$tls]} \
        hosts 2 net_fuzz attack "$fuzz_seed"
    each_step "$tls"
    UCX_TLS=$tls next_job 2 net_fuzz look
    each_step "$tls, the next job"
done

# ---- What the hosts have ----

hosts 2 net_sight
HOSTS=3 next_job 3 net_sight
each_step "a third host without a home"
cp "$scratch"/host0/home-0.* "$scratch/host1"
next_job 2 net_sight
twin="home 0 lies on two hosts, host0 and host1"
tap_empty "a home that lies on two hosts is told with both" \
    "$([[ $output == *"$twin"* ]] || echo "status $status: $output")"
tap_end
