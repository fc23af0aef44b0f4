#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# symbols.sh - what the built library shows and uses: the shared library has
# the calls of the headers and no other symbol, and the lower layers call
# nothing that lies above them.
set -u
export LC_ALL=C
src=${MEGA_SRCDIR:-$(cd "$(dirname "$0")/../.." && pwd)}
cd "${MEGA_BUILDDIR:-.}" || exit 1
. "$src/test/lib/tap.sh"
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
read -ra cc <<<"${MEGA_CC:-mpicc}"

# Prototypes, as the compiler sees them, without the inline functions.
"${cc[@]}" -x c -aux-info "$scratch/protos" -fsyntax-only -I "$src/api" \
    - <<<'#include <megalloc_mpi.h>' || exit 1
grep 'megalloc[a-z_]*\.h:' "$scratch/protos" | grep -v '\*/ static' |
    grep -oE 'mega_[a-z0-9_]+ \(' | tr -d ' (' | sort -u >"$scratch/declared"

if [ -e .libs/libmegalloc.so ]; then
    nm -D --defined-only .libs/libmegalloc.so | awk '$2 != "A" { print $3 }' |
        sed 's/@.*//' | sort -u >"$scratch/shown"
    tap_empty "the shared library shows what the headers declare" \
        "$(diff "$scratch/declared" "$scratch/shown")"
else
    tap_skip "the shared library shows what the headers declare" \
        "no shared library in this build"
fi

undefined() { # ARCHIVE REGEX
    nm -u "$1" | awk '{ print $2 }' | grep -E "$2" | sort -u
}

# mega_errmsg and its like are below; names of calls belong to api/.
tap_empty "runtime/ calls nothing of api/" \
    "$(nm --defined-only .libs/libapi.a | awk '$2 == "T" { print $3 }' |
        sort -u >"$scratch/api"
        for archive in .libs/libruntime.a .libs/libbottom.a; do
            undefined "$archive" '^mega_' | comm -12 - "$scratch/api" |
                sed "s|^|$archive uses |"
        done)"
tap_empty "only the bottom calls MPI, libpmemobj and UCX" \
    "$(for archive in .libs/libapi.a .libs/libruntime.a; do
        undefined "$archive" '^(MPI_|pmem|uc[pts]_)' |
            sed "s|^|$archive uses |"
    done)"

tap_end
