#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# net.sh - ranks on two hosts, which are two names of this one (MEGALLOC_HOST):
# what is not on the own host goes over UCX, by TCP alone and by what it finds.
. "${MEGA_SRCDIR:?}/test/cluster/ranks.sh"
if ! built_with_ucx; then
    tap_skip "ranks on two hosts" "this build is without UCX"
    tap_end
fi
export MEGALLOC_DIR=$scratch/%h
export OMPI_MCA_hwloc_base_binding_policy=none # a host has all processors
patient=2 # MEGALLOC_TIMEOUT where who goes on has to answer within it
[[ ${MEGA_CFLAGS-} != *sanitize* ]] || patient=8

# hosts RANKS PROGRAM ARGUMENT...: a job, half of it on each host, in a new
# space; next_job: in the space that is there.
hosts() {
    rm -rf "$scratch"/host*
    next_job "$@"
}

next_job() {
    local ranks=$1 program=$2
    shift 2
    output=$("${bounded[@]}" "$patience" "$megarun" -n "$ranks" bash -c '
        rank=${OMPI_COMM_WORLD_RANK:-${PMI_RANK:?}}
        export MEGALLOC_HOST=host$((rank * ${HOSTS:-2} / $1))
        exec "${@:2}"' bash "$ranks" "$programs/$program" "$@" 2>&1)
    status=$?
}

# The same with ranks that may die alone; the status then says nothing.
lossy() {
    OMPI_MCA_orte_enable_recovery=1 hosts "$@"
}

each_step() { # NAME
    local step
    while IFS= read -r step; do
        tap_ok "$1: ${step#passed: }"
    done < <(grep '^passed: ' <<<"$output")
    if ((status == 0)); then
        tap_ok "$1: the end"
    else
        tap_fail "$1: the end" "status $status: $output"
    fi
}

told() { # NAME TIMES [HOST]
    local who="rank .* on host ${3:-host1}"
    if (($(grep -c "^told: .*$who" <<<"$output") == $2)); then
        tap_ok "$1"
    else
        tap_fail "$1" "status $status: $output"
    fi
}

declare -A flushing=([tcp,self]=power [all]=power-msync)
ways=(tcp,self all)
! built_with_mpich || ways=(tcp,self) # UCX is the same
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
# stopped ARGUMENT...: of net_lost. Who goes on, on a machine that is too busy
# to let it answer in time, is given more.
stopped() {
    local try
    for try in 1 4 16; do
        MEGALLOC_TIMEOUT=$((try * patient)) UCX_TLS=$tls hosts 2 net_lost "$@"
        [[ $output == *"mega_barrier(): no answer in time"* ]] || break
    done
    each_step "$tls, a rank is stopped for a while"
}

for tls in tcp,self shm,self; do # of shared memory UCX ends nothing
    for case in others own put told "told commit" beside middle "middle get"; do
        # shellcheck disable=SC2086 # a case and its argument
        stopped $case
    done
    MALLOC_PERTURB_=165 stopped atomics
    MEGALLOC_TIMEOUT=$patient UCX_TLS=$tls lossy 2 net_lost closing
    told "$tls, at the end who is stopped is waited for once, not by each link" 1
    for case in quiet drain threads; do
        HOSTS=6 MEGALLOC_TIMEOUT=4 UCX_TLS=$tls lossy 6 net_silent $case
        told "$tls, several are stopped: that costs one wait, and another" 1 \
            "host[1-5]"
    done
done
HOSTS=1 MEGALLOC_TIMEOUT=4 lossy 6 net_silent growth
told "several of one host are stopped: not each thread waits for them" 1 host0
UCX_TLS=shm,self hosts 4 net
each_step "shared memory, 4 ranks"

# ---- From inside, what a stranger sends ----

for case in answered card dead undone pending no_worker unnamed crowd; do
    MEGALLOC_TIMEOUT=5 UCX_TLS=tcp,self hosts 2 net_inside $case
    each_step "inside"
done
for case in no_memory no_arena greeting; do
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
