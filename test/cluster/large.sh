#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# large.sh - a home beyond 16 GiB, on the disk of the build if it has room, for
# it is allocated in full. LARGE_DIR=D tries it in another directory.
. "${MEGA_SRCDIR:?}/test/cluster/ranks.sh"
gib=18 room=25
patience=600

where=${LARGE_DIR:-$MEGA_BUILDDIR}
disk=$(mktemp -d "$where/large.XXXXXX") || exit 1
trap 'rm -rf "$scratch" "$disk"' EXIT
blocks() { # KIND: GiB of that file system, as df calls it
    df -B1G --output="$1" "$disk" | tail -n 1 | tr -d ' '
}
free=$(blocks avail) type=$(blocks fstype) why=
if [[ $type == tmpfs ]]; then
    why="is memory"
elif ((${free:-0} < room)); then
    why="has $free GiB free, not $room"
elif ! fallocate -l 1M "$disk/try" 2>/dev/null; then
    why="cannot allocate without writing"
fi
if [[ $why ]]; then
    tap_skip "a home of $gib GiB" "$where $why; LARGE_DIR=D names another place"
    tap_end
    exit
fi
export MEGALLOC_DIR=$disk/space MEGALLOC_HOME_SIZE=${gib}G
unset MEGALLOC_DURABILITY

passes "a home of $gib GiB is made and used to its end" 1 large make $((gib - 1))
tap_try "its blocks are allocated" awk -v least=$gib \
    '{ exit $1 < least * 1024 * 1024 }' <(du -k --total "$disk" | tail -n 1)
passes "2 ranks find all of it, and free it" 2 large look
tap_end
