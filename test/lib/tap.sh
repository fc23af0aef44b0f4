# SPDX-License-Identifier: BSD-3-Clause
# tap.sh - for test scripts in bash, to be sourced: counts checks and prints
# them as TAP. Each script ends with tap_end.

tap_count=0

# A job that takes longer hangs. It may take long where others are at work, too:
# over hosts each message waits for its turn on the processor.
patience=300

# "${bounded[@]}" SECONDS COMMAND...: what hangs is ended, and told with stacks.
bounded=(bash "$(cd "${BASH_SOURCE[0]%/*}" && pwd)/bounded.sh")

built_with_mpich() {
    grep -q "^built_mpi='mpich'" "${MEGA_BUILDDIR:?}/launchers/megarun"
}

built_for_sanitizer() {
    [[ ${MEGA_CFLAGS-} == *sanitize* ]]
}

# tap_ok NAME: the check NAME has passed.
tap_ok() {
    tap_count=$((tap_count + 1))
    echo "ok $tap_count - $1"
}

# tap_fail NAME [TEXT]: it has failed; TEXT says more, line by line.
tap_fail() {
    tap_count=$((tap_count + 1))
    echo "not ok $tap_count - $1"
    [ -z "${2-}" ] || printf '%s\n' "$2" | sed 's/^/# /'
}

# tap_skip NAME REASON: it could not be tried.
tap_skip() {
    tap_count=$((tap_count + 1))
    echo "ok $tap_count - $1 # SKIP $2"
}

# tap_try NAME COMMAND...: passes if the command does; else shows its output.
tap_try() {
    local name=$1 output
    shift
    if output=$("$@" 2>&1); then
        tap_ok "$name"
    else
        tap_fail "$name" "$output"
    fi
}

# tap_empty NAME TEXT: passes if TEXT, a list of faults, is empty.
tap_empty() {
    if [ -z "$2" ]; then
        tap_ok "$1"
    else
        tap_fail "$1" "$2"
    fi
}

# Failures are in the report; a status besides would count them twice.
tap_end() {
    echo "1..$tap_count"
    exit 0
}
