#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# tool_fuzz.sh - the megalloc tool over damage: what fuzzing has found once and
# the spaces it began with, by test/fuzz/replay; random damage, by check_fuzz;
# and, where there is a clang for it, libFuzzer for a while. MEGA_FUZZ_SECONDS,
# MEGA_FUZZ_COUNT=N make it longer, MEGA_FUZZ_SEED=N another.
set -u
cd "${MEGA_SRCDIR:-$(dirname "$0")/../..}" || exit 1
. test/lib/tap.sh

build=${MEGA_BUILDDIR:-.}
seed=${MEGA_FUZZ_SEED:-1}
seconds=${MEGA_FUZZ_SECONDS:-20}
scratch=$(mktemp -d /dev/shm/megalloc-tool-fuzz.XXXXXX) || exit 1
trap 'rm -rf "$scratch"' EXIT
export MEGALLOC_DIR=$scratch/space MEGALLOC_HOME_SIZE=10M
export ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1

tap_try "a small space is made" \
    "$build/launchers/megarun" -n 2 "$build/test/cluster/tool_space"
tap_try "it can be packed" \
    "$build/test/fuzz/replay" --pack "$MEGALLOC_DIR" "$scratch/packed"
tap_try "each command survives each input of the corpus" \
    "$build/test/fuzz/replay" test/fuzz/corpus "$scratch/packed"
tap_try "no damage breaks the tool (seed $seed)" \
    "$build/test/fuzz/check_fuzz" "$MEGALLOC_DIR" "${MEGA_FUZZ_COUNT:-200}" "$seed"
tap_try "what was put right again is sound" \
    "$build/apps/tool/megalloc" check "$MEGALLOC_DIR"

# The corpus, once for each command.
seeds() {
    local command file
    mkdir "$scratch/corpus"
    for file in test/fuzz/corpus/*; do
        for command in 0 1 2 3 4 5 6 7 8 9; do
            { printf "\\x0$command"; tail -c +2 "$file"; } \
                >"$scratch/corpus/${file##*/}-$command"
        done
    done
}

libfuzzer() {
    seeds
    mkdir -p "$build/test/fuzz/found"
    "$build/test/fuzz/sight_fuzz" -seed="$seed" -max_total_time="$seconds" \
        -max_len=9000 -len_control=0 -timeout=30 -rss_limit_mb=4096 \
        -close_fd_mask=3 -print_final_stats=1 \
        -artifact_prefix="$build/test/fuzz/found/" "$scratch/corpus" 2>&1 |
        tail -n 40
    return "${PIPESTATUS[0]}"
}
name="libFuzzer finds nothing in $seconds s"
if [ -x "$build/test/fuzz/sight_fuzz" ]; then
    tap_try "$name" libfuzzer
else
    tap_skip "$name" "no clang with libFuzzer here, or a build for a sanitizer"
fi
tap_end
