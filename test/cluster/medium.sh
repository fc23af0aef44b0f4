#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# medium.sh - a medium that is too small, that fills up, that may not be
# written: small memory file systems, which only root may mount.
. "${MEGA_SRCDIR:?}/test/cluster/ranks.sh"

small=$scratch/small
mkdir "$small"
if ! mount -t tmpfs -o size=100M tmpfs "$small" 2>/dev/null; then
    tap_skip "a medium that is full" "no permission to mount a tmpfs"
    tap_end
    exit
fi
trap 'umount "$small"; rm -rf "$scratch"' EXIT
export MEGALLOC_DIR=$small/space

sizes() { find "$small" -name '*.pool' -printf '%f %s\n' | sort; }
MEGALLOC_HOME_SIZE=16M passes "2 homes are made" 2 life open
before=$(sizes)
passes "a region that cannot fit is refused" 2 medium region
tap_empty "and nothing has grown for it" "$(diff <(echo "$before") <(sizes))"
new_space
passes "a medium fills up, the job goes on" 2 medium
passes "its homes are sound afterwards" 2 life open
new_space
MEGALLOC_HOME_SIZE=200M job 2 life open
refused "no room for the first home" "$small" MEGALLOC_HOME_SIZE
tap_empty "nothing is left of it" "$(find "$small" -name '*.pool*')"
passes "a smaller one is made there" 2 life open
mkdir "$scratch/copy"
cp --sparse=always "$MEGALLOC_DIR"/* "$scratch/copy"
rm "$MEGALLOC_DIR"/*
cp --sparse=always "$scratch/copy"/* "$MEGALLOC_DIR"
dd if=/dev/zero of="$small/fill" bs=1M 2>/dev/null
job 2 life open
refused "no room for the holes of a copy" "has holes" "no space left on the medium"
rm "$small/fill"
passes "with room it is opened" 2 life open
tap_empty "and has no holes any more" \
    "$(find "$small" -name '*.pool' -printf '%b %s\n' |
        awk '$1 * 512 < $2' | grep .)"
new_space
for files in 2 3; do # its root and a directory; none, at first
    mount -o remount,nr_inodes=$((files - 1)) "$small"
    job 2 life open
    refused "no room for file $files" "$small" "no space left on the medium" \
        "free space, or files"
done
mount -o remount,nr_inodes=1000 "$small"
passes "with room for them" 2 life open
mount -o remount,ro "$small"
job 2 life open
refused "a file system that may not be written" "$small"
mount -o remount,rw "$small"
passes "writable again, it is as it was" 2 life open
tap_end
