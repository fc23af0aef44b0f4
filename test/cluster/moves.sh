#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# moves.sh - data, atomics, locks, names, publishing and regions by 1 to 4
# ranks; small homes, so regions make them grow.
. "${MEGA_SRCDIR:?}/test/cluster/ranks.sh"
for ranks in 1 2 4; do
    new_space
    steps "$ranks ranks" $ranks moves
done
tap_end
