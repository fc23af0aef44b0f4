# SPDX-License-Identifier: BSD-3-Clause
# net_jobs.sh - for cluster tests, to be sourced: jobs on two hosts, which are two
# names of this one (MEGALLOC_HOST): what is not on the own host goes over UCX.
. "${MEGA_SRCDIR:?}/test/cluster/ranks.sh"
if ! built_with_ucx; then
    tap_skip "ranks on two hosts" "this build is without UCX"
    tap_end
fi
export MEGALLOC_DIR=$scratch/%h
export OMPI_MCA_hwloc_base_binding_policy=none # a host has all processors
patient=2 # MEGALLOC_TIMEOUT where who goes on has to answer within it
! built_for_sanitizer || patient=8

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

told() { # NAME TIMES [HOST]
    local who="rank .* on host ${3:-host1}"
    if (($(grep -c "^told: .*$who" <<<"$output") == $2)); then
        tap_ok "$1"
    else
        tap_fail "$1" "status $status: $output"
    fi
}
