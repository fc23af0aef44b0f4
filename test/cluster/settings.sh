#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# settings.sh - MEGALLOC_* with nonsense in them, unknown names, a directory
# that cannot be written, and the notice about the medium.
. "${MEGA_SRCDIR:?}/test/cluster/ranks.sh"

for setting in HOME_SIZE=lots HOME_SIZE=-1 HOME_SIZE=1 HOME_MAX=12Q \
    OPEN=maybe DURABILITY=diamond TIMEOUT=0 CHECK=2 LOG=loud; do
    new_space
    saved=$(declare -p MEGALLOC_HOME_SIZE MEGALLOC_DURABILITY)
    export "MEGALLOC_$setting"
    job 2 life open
    refused "nonsense: $setting" "MEGALLOC_${setting%%=*}"
    unset "MEGALLOC_${setting%%=*}"
    eval "$saved"
    export MEGALLOC_HOME_SIZE MEGALLOC_DURABILITY
done

new_space
MEGALLOC_HOME_SIZ=1G job 1 life open
tap_empty "an unknown name is told, with the nearest" \
    "$( ((status == 0)) && [[ $output == *MEGALLOC_HOME_SIZE* ]] ||
        echo "status $status: $output")"
tap_empty "with DURABILITY=process there is no notice" "$(job 1 life open
    echo "$output")"
new_space
unset MEGALLOC_DURABILITY
job 2 life open
tap_empty "else one line, once" "$(
    (($(grep -c 'loss of power' <<<"$output") == 1)) || echo "$output")"
export MEGALLOC_DIR=/proc/nowhere
job 2 life open
refused "a directory that cannot be made" /proc/nowhere
tap_end
