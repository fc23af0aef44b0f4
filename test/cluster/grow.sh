#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# grow.sh - homes that grow while the job runs: pointers into a new span, used
# first by other ranks, by every call; all ranks growing one home at once.
. "${MEGA_SRCDIR:?}/test/cluster/ranks.sh"
export MEGALLOC_HOME_SIZE=10M

passes "2 ranks meet each other's new spans" 2 grow rounds 6
passes "all of them are there in a job of 3" 3 grow look 6
new_space
passes "2 homes are made" 2 life open
passes "4 ranks, 2 of them without a home, meet new spans" 4 grow rounds 8
tap_empty "by all ten calls that name a chunk" \
    "$( (($(grep '^met' <<<"$output" | sort -u | wc -l) == 10)) ||
        echo "$output")"
passes "all of them are there in a job of 1" 1 grow look 8
new_space
passes "3 ranks make one home grow at once" 3 grow at_once
new_space
passes "a rank that cannot map a new span is told by all that look" 2 \
    grow unmapped

# The second time such a directory exists there, too.
mkdir -p "$scratch/here" "$scratch/there/space"
for there in / "$scratch/there"; do
    rm -rf "$scratch/here/space"
    cd "$scratch/here" || exit 1
    MEGALLOC_DIR=space passes "a relative directory, growth from $there" \
        1 grow elsewhere "$there"
    cd / || exit 1
    tap_empty "the new file lies beside the first" "$(ls "$scratch/there/space"
        [[ -f $scratch/here/space/home-0.1.pool ]] || echo missing)"
done
tap_end
