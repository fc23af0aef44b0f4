#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# textindex_use.sh - what textindex prints and refuses, against other tools
# over the same files.
set -u
cd "${MEGA_SRCDIR:-$(dirname "$0")/../..}" || exit 1
. test/lib/tap.sh
export LC_ALL=C

build=${MEGA_BUILDDIR:-.}
program=$build/apps/textindex/textindex
megarun=$build/launchers/megarun
scratch=$(mktemp -d /dev/shm/megalloc-textindex-use.XXXXXX) || exit 1
trap 'rm -rf "$scratch"' EXIT
export MEGALLOC_DIR=$scratch/space
export MEGALLOC_DURABILITY=process # of memory, and meant
text=$scratch/text
mkdir "$MEGALLOC_DIR" "$text" "$text/sub"

textindex() { # RANKS ARGS...
    local ranks=$1
    shift
    "${bounded[@]}" 300 "$megarun" -n "$ranks" "$program" "$@"
}

# run STATUS COMMAND...: its output in out and err; prints what is wrong.
run() {
    local want=$1 got
    shift
    "$@" >"$scratch/out" 2>"$scratch/err"
    got=$?
    [ $got -eq "$want" ] || { echo "status $got, not $want:"; cat "$scratch/err"; }
}

err_has() { # TEXT
    grep -qF -- "$1" "$scratch/err" || { echo "not told: $1"; cat "$scratch/err"; }
}

# ---- Files that are easy to get wrong ----

cp /usr/include/stdio.h /usr/include/errno.h "$text" 2>/dev/null
printf 'one_q two_q two_q three_q three_q three_q' >"$text/no_newline"
printf '' >"$text/empty"
printf 'a\0b\0a a_b \377x\377 _ 9' >"$text/binary"
# A word across any buffer, and one longer than any.
head -c 300000 /dev/zero | tr '\0' 'w' >"$text/long"
awk 'BEGIN { for (i = 0; i < 90000; i++) print "border" i % 97 }' >"$text/sub/border"
printf 'two_q' >"$text/sub/name with blanks"
ln -s no_newline "$text/link"
find "$text" -type f -print0 | sort -z >"$scratch/files"

tap_empty "arguments that make no sense: the reason and status 2" \
    "$(run 2 "$program"; err_has 'say what to do'; err_has --help
       run 2 "$program" query; err_has 'query takes words'
       run 2 "$program" build; err_has 'build takes paths'
       run 2 "$program" dump x; err_has 'dump takes no arguments'
       run 2 "$program" verify --resume x; err_has 'no option of verify'
       run 2 "$program" build --resume --force x; err_has 'one of them'
       run 2 "$program" build --nonsense x; err_has "option '--nonsense'"
       run 2 "$program" nonsense; err_has 'no command nonsense')"
tap_empty "--help and --version need no space" \
    "$(run 0 "$program" --help; run 0 "$program" --version)"
late() { # one of two ranks does not come
    MEGALLOC_START_TIMEOUT=2 "${bounded[@]}" 60 "$megarun" -n 2 sh -c \
        'mkdir "$0.came" 2>/dev/null || exec sleep 50; exec "$@"' \
        "$scratch/late" "$program" query two
}
tap_empty "a rank that does not come counts as lost" \
    "$(run 75 late; err_has 'not every rank has called mega_init')"
tap_empty "a query without an index is refused" \
    "$(run 2 textindex 2 query two; err_has 'no index')"
tap_empty "nothing to resume and no path is refused" \
    "$(run 2 textindex 2 build --resume; err_has 'nothing to resume')"

# ---- Building ----

tap_empty "a path that is missing is named, skipped and counted" \
    "$(run 0 textindex 3 build --progress "$text/" "$text/sub" /nonexistent
       err_has '/nonexistent: No such file'; err_has ' 1 skipped'
       err_has 'textindex: 8/8 files')"
tap_empty "a second build is refused" \
    "$(run 2 textindex 2 build "$text"; err_has --resume; err_has --force)"
tap_empty "resume of a finished index does nothing" \
    "$(run 0 textindex 1 build --resume "$text"; err_has 'this run: 0 files'
       err_has 'other paths')"

# ---- Reading ----

expected_dump() {
    # File by file: those without a newline at the end would run together.
    while IFS= read -r -d '' file; do
        tr -cs 'A-Za-z0-9_' '\n' <"$file"
        echo
    done <"$scratch/files" | sed '/^$/d' | sort | uniq -c |
        awk '{ print $1 "\t" $2 }'
}
expected_dump >"$scratch/expected"
tap_empty "dump is what tr, sort and uniq count" \
    "$(run 0 textindex 2 dump; cmp "$scratch/expected" "$scratch/out" 2>&1)"
printf 'two_q:\n2\t%s\n1\t%s\ntotal\t3\nTwo_q:\ntotal\t0\n' "$text/no_newline" \
    "$text/sub/name with blanks" >"$scratch/expected"
tap_empty "query prints the largest count first, then the total" \
    "$(run 0 textindex 2 query two_q Two_q; diff "$scratch/expected" "$scratch/out")"
printf '1\t%s\ntotal\t1\n' "$text/binary" >"$scratch/expected"
tap_empty "bytes outside the alphabet end a word" \
    "$(run 0 textindex 1 query x; diff "$scratch/expected" "$scratch/out")"
tap_empty "stats counts files and words and finds no leak" \
    "$(run 0 textindex 1 stats
       for row in 'files	8' 'files_todo	0' 'files_skipped	1' \
           "words	$(textindex 1 dump | wc -l)" 'stale_postings	0' \
           'leaked_chunks	0' 'lost_chunks	0' 'chunks_used_twice	0'; do
           grep -qxF "$row" "$scratch/out" || { echo "no row: $row"; cat "$scratch/out"; }
       done)"

# ---- Verifying ----

tap_empty "verify agrees" "$(run 0 textindex 3 verify "$text"; err_has '8 files agree')"

# forget FILE: sets its state on the medium to "not counted yet", as a crash
# between the states of one batch leaves it. The state is 16 bytes before the
# path; the bytes that follow are its length.
forget() {
    local pool at
    for pool in "$MEGALLOC_DIR"/*.pool; do
        for at in $(grep -obaF -- "$1" "$pool" | cut -d: -f1); do
            printf '\0\0\0\0\0\0\0\0' |
                dd of="$pool" bs=1 seek=$((at - 16)) conv=notrunc status=none
            echo found
        done
    done
}
half_a_batch() {
    rm -rf "$MEGALLOC_DIR"
    mkdir "$MEGALLOC_DIR"
    run 0 textindex 1 build "$text" # one rank: all files are one batch
    run 0 textindex 1 dump
    mv "$scratch/out" "$scratch/dump"
    [ "$(forget "$text/no_newline")" = found ] || echo "no state of no_newline"
    run 0 textindex 1 stats
    grep -qx 'stale_postings	3' "$scratch/out" || cat "$scratch/out"
    run 0 textindex 2 build --resume "$text"
    err_has 'this run: 1 files'
    run 0 textindex 1 stats
    grep -qx 'stale_postings	0' "$scratch/out" || cat "$scratch/out"
    grep -qx 'leaked_chunks	0' "$scratch/out" || cat "$scratch/out"
    run 0 textindex 1 dump
    cmp "$scratch/dump" "$scratch/out" 2>&1
    run 0 textindex 3 verify "$text"
}
tap_empty "resume counts a file again whose batch was half settled" \
    "$(half_a_batch)"
printf 'one_q two_q two_q three_q three_q' >"$text/no_newline"
printf 'new_q' >"$text/sub/new"
rm "$text/sub/name with blanks"
tap_empty "verify finds a changed count, a new file and a missing one" \
    "$(run 1 textindex 2 verify "$text"
       err_has 'no_newline: three_q: counted 2, the index has 3'
       err_has 'sub/new: not in the index'
       err_has 'name with blanks: in the index, not under the paths')"

# ---- Again ----

tap_empty "build --force begins anew" \
    "$(run 0 textindex 2 build --force "$text"; run 0 textindex 2 verify "$text"
       run 0 textindex 1 query new_q; grep -qx 'total	1' "$scratch/out" || cat "$scratch/out")"

# ---- A damaged index ----

# bent WAY...: what textindex does once a chain leads back to itself. A reader
# that follows it for ever ends by the limit on its memory, at the latest.
bent() {
    local command
    run 0 textindex 1 build --force "$text"
    run 0 "$megarun" -n 1 "$build/test/cluster/textindex_bend" "$@"
    for command in stats dump "verify $text" "query three_q" \
        "build --resume $text"; do
        # shellcheck disable=SC2086
        run 3 limited "$program" $command
        err_has 'damaged'
        err_has 'build --force'
    done
}
limited() {
    local kib=4000000
    built_for_sanitizer && kib=unlimited # it maps far more, and uses little
    "${bounded[@]}" 100 "$megarun" -n 2 bash -c 'ulimit -v "$0"; exec "$@"' \
        "$kib" "$@"
}
tap_empty "a bucket that leads back to itself is told as damage" \
    "$(bent words three_q)"
tap_empty "and through other words" "$(bent words three_q one_q two_q)"
tap_empty "and a list of postings" "$(bent list three_q)"
tap_empty "and a list of files" "$(bent files)"
tap_empty "build --force makes it anew" \
    "$(run 0 textindex 2 build --force "$text"; run 0 textindex 2 verify "$text")"

# ---- A full space ----

space_runs_out() {
    local i
    rm -rf "$MEGALLOC_DIR"
    mkdir "$MEGALLOC_DIR"
    for ((i = 0; i < 400; i++)); do
        awk -v i=$i 'BEGIN { for (j = 0; j < 2000; j++) print "w" i "_" j }' \
            >"$text/many$i"
    done
    export MEGALLOC_HOME_SIZE=16M MEGALLOC_HOME_MAX=16M
    run 3 textindex 2 build "$text"
    err_has MEGALLOC_HOME_MAX
    run 0 textindex 1 stats
    grep -qx 'lost_chunks	0' "$scratch/out" || cat "$scratch/out"
    unset MEGALLOC_HOME_SIZE
    export MEGALLOC_HOME_MAX=1G
    run 0 textindex 3 build --resume "$text"
    run 0 textindex 2 verify "$text"
    run 0 textindex 1 stats
    grep -qx 'leaked_chunks	0' "$scratch/out" || cat "$scratch/out"
}
tap_empty "a full space ends the build, and more room resumes it" \
    "$(space_runs_out)"
tap_end
