#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# rules.sh - the house rules that a program can check. Each check collects the
# lines that break a rule; none is what passes.
set -u
export LC_ALL=C
cd "${MEGA_SRCDIR:-$(dirname "$0")/../..}" || exit 1
. test/lib/tap.sh

# The sources as they lie in the tree, also in one unpacked from a tarball.
mapfile -t sources < <(find api runtime apps launchers test -type f \
    \( -name '*.[ch]' -o -name '*.sh' \) | sort)
mapfile -t c_files < <(printf '%s\n' "${sources[@]}" | grep '\.[ch]$')
mapfile -t library < <(printf '%s\n' "${c_files[@]}" | grep -E '^(api|runtime)/')
mapfile -t headers < <(printf '%s\n' "${c_files[@]}" | grep '\.h$')

# includes HEADER-REGEX ALLOWED-FILE-REGEX: other files that include it.
includes() {
    grep -nE "^[[:space:]]*#[[:space:]]*include[[:space:]]*[<\"]($1)[>\"]" \
        "${c_files[@]}" | grep -vE "^($2):"
}

# uses WORD-REGEX FILE...: lines of code, comments apart, that hold the word.
uses() {
    local pattern=$1 file
    shift
    for file in "$@"; do
        strip_comments "$file" | grep -nE "(^|[^A-Za-z0-9_])($pattern)" |
            sed "s|^|$file:|"
    done
}

strip_comments() { # and string literals; the numbers of lines stay
    awk '{
        line = $0; out = ""
        while (line != "") {
            if (inside) {
                end = index(line, "*/")
                if (!end) { line = ""; break }
                line = substr(line, end + 2); inside = 0
            } else if (match(line, /"([^"\\]|\\.)*"|\/\*|\/\//)) {
                out = out substr(line, 1, RSTART - 1)
                token = substr(line, RSTART, RLENGTH)
                if (token == "//") { line = ""; break }
                line = substr(line, RSTART + RLENGTH)
                if (token == "/*") inside = 1; else out = out "\"\""
            } else { out = out line; line = "" }
        }
        print out
    }' "$1"
}

# ---- One place for each vendor ----

tap_empty "ucp.h is included in runtime/net_ucx*.c only" \
    "$(includes 'uc[ptsm]/.*' 'runtime/net_ucx[a-z_]*\.[ch]|apps/bench/.*')"
tap_empty "libpmem's headers are included in runtime/pool_{pmem,flush}.c only" \
    "$(includes 'libpmem.*\.h' 'runtime/pool_(pmem|flush)\.c|apps/bench/.*|test/.*')"
tap_empty "mpi.h is included in runtime/boot_mpi*.c and megalloc_mpi.h only" \
    "$(includes 'mpi\.h' \
        'runtime/boot_mpi[a-z_]*\.[ch]|api/megalloc_mpi\.h|apps/bench/.*|test/.*')"
# tell_launcher: where it is, MPICH's launcher says.
tap_empty "getenv is called in runtime/conf.c only" \
    "$(uses '(secure_)?getenv[[:space:]]*\(|environ[^a-z]' "${library[@]}" |
        grep -vE '^runtime/(conf\.c:|boot_mpi_ends\.c:.*pmi)')"

# ---- What a library does not do ----

# at_exit: what it calls inside exit changes the status only.
tap_empty "the library does not print to stdout, abort or exit" \
    "$(uses '(v?printf|puts|putchar|abort|_?exit|_Exit|stdout)([^A-Za-z0-9_]|$)' \
        "${library[@]}" | grep -vE 'printf__|format' |
        grep -v '^runtime/boot_mpi_ends\.c:[0-9]*: *exit(EXIT_FAILURE);')"

# ---- Arrows ----

tap_empty "the runtime includes nothing of api/ but megalloc.h" \
    "$(cd api && for header in *.h; do echo "$header"; done |
        grep -vx megalloc.h | while read -r header; do
            grep -nE "include.*[\"</]$header[\">]" ../runtime/*.[ch]
        done; grep -nE 'include.*"(\.\./)?api/' ../runtime/*.[ch] 2>/dev/null)"
# Except measurements, and the tool that reads pool files offline.
tap_empty "programs include of the library megalloc.h and megalloc_mpi.h only" \
    "$(for header in runtime/*.h; do
        grep -nE "include[[:space:]]*\"(.*/)?${header##*/}\"" \
            $(printf '%s\n' "${c_files[@]}" | grep '^apps/' |
                grep -vE '^apps/(bench|tool)/') /dev/null
    done; grep -nE 'include.*"(\.\./)*runtime/' -r apps)"

# ---- Files ----

tap_empty "each source begins with its licence" \
    "$(for file in "${sources[@]}" launchers/*.in quickstart autogen.sh .ci/run \
        Makefile.am configure.ac; do
        head -n 2 "$file" | grep -q 'SPDX-License-Identifier: BSD-3-Clause' ||
            echo "$file"
    done)"
tap_empty "each file is shorter than 500 lines" \
    "$(wc -l "${sources[@]}" launchers/*.in quickstart | awk '$1 >= 500 && $2 != "total" { print $2, $1 }')"
tap_empty "lines fit in 80 columns" \
    "$(awk 'length($0) > 80 { print FILENAME ":" FNR }' "${c_files[@]}")"
tap_empty "nothing refers to files outside the tree or to a to-do list" \
    "$(grep -nE '\.\./shared|(^|[^A-Za-z_])(TODO|FIXME)([^A-Za-z_]|$)' -r api runtime apps \
        launchers test docs ./*.md quickstart configure.ac Makefile.am |
        grep -v '^test/lint/rules\.sh:')"
tap_empty "each .c file is listed in Makefile.am" \
    "$(for file in "${c_files[@]}"; do
        case $file in
        test/unit/*.c | test/crash/*.c) name=${file%.c} ;;
        *.c) name=$file ;;
        *) continue ;;
        esac
        grep -qE "(^|[[:space:]=])${name//./\\.}(\.c)?([[:space:]]|$)" \
            Makefile.am || echo "$file"
    done)"

# ---- Headers alone ----

read -ra cc <<<"${MEGA_CC:-mpicc}"
compile_alone() { # LANGUAGE HEADER FLAG...
    local language=$1 header=$2
    shift 2
    printf '#include "%s"\n' "$header" |
        "${cc[@]}" -x "$language" "$@" -D_GNU_SOURCE -DMEGA_CRASH_POINTS=0 \
            -Wall -Wextra -Werror -fsyntax-only -I api -iquote . \
            -iquote runtime -iquote "$(dirname "$header")" - 2>&1
}
tap_empty "each header compiles alone as C11" \
    "$(for header in "${headers[@]}"; do
        # Lists for several inclusions; headers of Criterion's stand-in.
        case $header in *_defs.h | test/lib/plain/*) continue ;; esac
        compile_alone c "$header" -std=c11 || echo "$header"
    done | head -n 40)"
cxx=$(command -v g++ || command -v clang++)
if [ -n "$cxx" ]; then
    tap_empty "megalloc.h compiles alone as C++" \
        "$(cc=("$cxx"); for std in c++11 c++17; do
            compile_alone c++ api/megalloc.h -std=$std || echo "$std"; done)"
else
    tap_skip "megalloc.h compiles alone as C++" "no C++ compiler here"
fi

# ---- Format ----

name="clang-format agrees"
if ! command -v clang-format >/dev/null; then
    tap_skip "$name" "clang-format is not installed"
elif ! clang-format --version | grep -q 'version 14\.'; then
    tap_skip "$name" "clang-format is not version 14"
else
    tap_empty "$name" \
        "$(for file in "${c_files[@]}"; do
            clang-format "$file" | cmp -s - "$file" || echo "$file"
        done)"
fi

tap_end
