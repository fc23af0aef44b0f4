# SPDX-License-Identifier: BSD-3-Clause
# ranks.sh - for the cluster tests, to be sourced: a scratch space, and jobs of
# rank programs in it. After a job $status and $output say what came of it.
set -u
. "${MEGA_SRCDIR:?}/test/lib/tap.sh"
export LC_ALL=C
megarun=${MEGA_BUILDDIR:?}/launchers/megarun
programs=$MEGA_BUILDDIR/test/cluster
unset "${!MEGALLOC_@}"
scratch=$(mktemp -d /dev/shm/megalloc-cluster.XXXXXX) || exit 1
trap 'rm -rf "$scratch"' EXIT
export MEGALLOC_DIR=$scratch/space MEGALLOC_HOME_SIZE=16M
export MEGALLOC_DURABILITY=process # of memory, and meant: no notice
launch=("$megarun")      # what starts a job; in hosts.sh: over hosts
spaces=("$MEGALLOC_DIR") # as seen from here

# job RANKS PROGRAM ARGUMENT...
job() {
    local ranks=$1 program=$2
    shift 2
    output=$("${bounded[@]}" "$patience" "${launch[@]}" -n "$ranks" \
        "$programs/$program" "$@" 2>&1)
    status=$?
}

# passes NAME RANKS PROGRAM ARGUMENT...: the job ends well.
passes() {
    local name=$1
    shift
    job "$@"
    if ((status == 0)); then
        tap_ok "$name"
    else
        tap_fail "$name" "status $status: $output"
    fi
}

# each_step NAME: a check for each step that the last job has passed, and one for
# its end.
each_step() {
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

steps() { # NAME RANKS PROGRAM ARGUMENT...
    job "${@:2}"
    each_step "$1"
}

# refused NAME TEXT...: the last job gave up by itself and said all of that.
refused() {
    local name=$1 text faults=
    shift
    # MPICH's proxy may fail on its own when a rank ends so.
    ((status > 0 && status < 124)) ||
        [[ $output == *"HYD_pmcd_pmip_control_cmd_cb"*" assert "* ]] ||
        faults="status $status"$'\n'
    for text in "$@"; do
        [[ $output == *"$text"* ]] || faults+="not told: $text"$'\n'
    done
    [[ -z $faults ]] || faults+="output: $output"
    tap_empty "$name" "$faults"
}

built_with_ucx() {
    grep -q '^UCX_LIBS = .' "$MEGA_BUILDDIR/Makefile"
}

new_space() {
    rm -rf "$MEGALLOC_DIR" "${spaces[@]}"
}
