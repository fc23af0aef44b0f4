#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# tool_fuzz.sh - the megalloc tool over damaged homes: a short
# run of test/fuzz/check_fuzz. MEGA_FUZZ_COUNT=N makes it longer,
# MEGA_FUZZ_SEED=N another.
set -u
cd "${MEGA_SRCDIR:-$(dirname "$0")/../..}" || exit 1
. test/lib/tap.sh

build=${MEGA_BUILDDIR:-.}
scratch=$(mktemp -d /dev/shm/megalloc-tool-fuzz.XXXXXX) || exit 1
trap 'rm -rf "$scratch"' EXIT
export MEGALLOC_DIR=$scratch MEGALLOC_HOME_SIZE=16M

tap_try "a small space is made" \
    "$build/launchers/megarun" -n 2 "$build/test/cluster/tool_space"
tap_try "no damage breaks the tool (seed ${MEGA_FUZZ_SEED:-1})" \
    env ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1 \
    "$build/test/fuzz/check_fuzz" "$scratch" "${MEGA_FUZZ_COUNT:-200}" \
    "${MEGA_FUZZ_SEED:-1}"
tap_try "what was put right again is sound" \
    "$build/apps/tool/megalloc" check "$scratch"
tap_end
