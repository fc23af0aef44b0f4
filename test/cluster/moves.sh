#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# moves.sh - data, atomics, locks, names, publishing and regions by 1 to 4
# ranks; small homes, so regions make them grow.
. "${MEGA_SRCDIR:?}/test/cluster/ranks.sh"
for ranks in 1 2 4; do
    new_space
    steps "$ranks ranks" $ranks moves
done
if built_with_ucx; then
    new_space
    export MEGALLOC_ATOMICS=nic
    steps "atomics by UCX, 3 ranks" 3 moves
    new_space
    MEGALLOC_HOME_SIZE=32M MEGALLOC_HOME_MAX=32M \
        steps "atomics by UCX, 2 ranks" 2 heap
    new_space
    MEGALLOC_HOME_SIZE=10M passes "atomics by UCX, homes that grow" 3 grow rounds 4
    new_space
    MEGALLOC_HOME_SIZE=10M passes "atomics by UCX, all at once" 3 grow at_once
else
    tap_skip "atomics by UCX" "this build is without it"
fi
tap_end
