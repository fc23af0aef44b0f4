#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# install.sh - what a user does: installs Megalloc, compiles the program of the
# README against it by pkg-config, runs it twice by the installed megarun.
set -u
: "${MEGA_SRCDIR:?}"
. "$MEGA_SRCDIR/test/lib/tap.sh"
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
cd "${MEGA_BUILDDIR:?}" || exit 1
read -ra cc <<<"${MEGA_CC:-mpicc} ${MEGA_CFLAGS-}"
unset "${!MEGALLOC_@}"

tap_try "make install" make install DESTDIR="$scratch/root"
pc=$(find "$scratch/root" -name megalloc.pc)
prefix=${pc%/lib*/pkgconfig/megalloc.pc}
export PKG_CONFIG_PATH=${pc%/*}

pc() { # OPTION...
    pkg-config --define-variable=prefix="$prefix" "$@" megalloc
}

awk '/^```c$/ { on = 1; next } /^```$/ { on = 0 } on' \
    "$MEGA_SRCDIR/README.md" >"$scratch/notes.c"

shared() {
    "${cc[@]}" -std=c11 -Wall -Wextra -Werror "$scratch/notes.c" \
        -o "$scratch/notes" $(pc --cflags --libs)
}
static() {
    "${cc[@]}" -std=c11 -Wall -Wextra -Werror "$scratch/notes.c" \
        -o "$scratch/notes-static" $(pc --cflags) \
        "$(find "$scratch/root" -name libmegalloc.a)" \
        $(pc --static --libs | tr ' ' '\n' | grep -v -e -lmegalloc)
}

# run PROGRAM RANKS LINES: all ranks of this job and of those before are told.
run() {
    local output
    output=$("$prefix/bin/megarun" -n "$2" --dir "$scratch/space-${1##*/}" \
        --home-size 8M "$1") || return 1
    echo "$output"
    [[ $(grep -c 'was here' <<<"$output") == "$3" ]]
}

if [[ -e .libs/libmegalloc.so ]]; then
    export LD_LIBRARY_PATH=$(pc --variable=libdir)
    tap_try "the README's program compiles against the shared library" shared
    tap_try "4 ranks leave 4 notes" run "$scratch/notes" 4 4
    tap_try "2 ranks find them and leave 2 more" run "$scratch/notes" 2 6
else
    tap_skip "the shared library" "this build has none"
fi
# ---- The tutorial's programs ----

space=$scratch/list-space
examples() { # compiles them
    local name
    for name in list list_publish look; do
        "${cc[@]}" -std=c11 -Wall -Wextra -Werror -o "$scratch/$name" \
            "$MEGA_SRCDIR/docs/examples/$name.c" $(pc --cflags --libs) || return
    done
}
# example RANKS TEXT PROGRAM ARGUMENT...: prints what is wrong.
example() {
    local ranks=$1 text=$2 output
    shift 2
    output=$("$prefix/bin/megarun" -n "$ranks" --dir "$space" --home-size 8M \
        "$scratch/$1" "${@:2}" 2>&1)
    [[ $output == *"$text"* ]] || printf 'not told: %s\n%s\n' "$text" "$output"
}
if [[ -e .libs/libmegalloc.so ]]; then
    tap_try "the tutorial's programs compile" examples
    for name in list list_publish; do
        rm -rf "$space"
        tap_empty "$name: a rank dies half way, and the next job goes on" \
            "$(example 3 "now: 300 entries" $name 100
               example 3 "found: 300 entries" $name 100 die
               example 2 " entries" $name 100)"
    done
    tap_empty "list_publish leaves no leak" \
        "$(example 1 ", 0 chunks that nothing" list_publish 0)"
    tap_empty "look: a rank with three homes" \
        "$(example 1 "home 2: $space/home-2.0.pool" look)"
    for home in 1 0; do
        rm "$space/home-$home.0.pool"
        tap_empty "look tells that home $home is missing, and goes on" \
            "$(export MEGALLOC_OPEN=degraded
               example 1 "home $home of 3 is missing" look
               example 1 "home 2: $space/home-2.0.pool" look)"
    done
else
    tap_skip "the tutorial's programs" "this build has no shared library"
fi

# ---- Without the shared library ----

if [[ -e .libs/libmegalloc.a ]]; then
    tap_try "the README's program compiles against the static library" static
    tap_try "2 ranks leave 2 notes" run "$scratch/notes-static" 2 2
    tap_try "3 ranks find them and leave 3 more" run "$scratch/notes-static" 3 5
else
    tap_skip "the static library" "this build has none"
fi
tap_end
