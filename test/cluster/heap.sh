#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# heap.sh - chunks: sizes, misuse, reuse, full homes, and random work of many
# threads against a model. HEAP_SEED chooses the random numbers (printed).
. "${MEGA_SRCDIR:?}/test/cluster/ranks.sh"
seed=${HEAP_SEED:-$((EPOCHSECONDS % 100000))}
echo "# HEAP_SEED=$seed"

export MEGALLOC_HOME_SIZE=32M MEGALLOC_HOME_MAX=32M
steps "1 rank" 1 heap
new_space
steps "2 ranks" 2 heap

new_space
unset MEGALLOC_HOME_MAX
export MEGALLOC_HOME_SIZE=64M
passes "a million random alloc and free" 2 model churn 250000 "$seed"
export MEGALLOC_HOME_MAX=64M
passes "after them the homes are empty" 2 model after
tap_end
