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

# ---- Durability ----

domain=0
for word in process power-msync power; do
    new_space
    MEGALLOC_DURABILITY=$word passes "DURABILITY=$word is what homes have" \
        2 life domain $domain
    domain=$((domain + 1))
done
new_space
passes "memory is found to survive processes only" 2 life domain 0
disk=$(mktemp -d "$MEGA_BUILDDIR/settings.XXXXXX")
trap 'rm -rf "$scratch" "$disk"' EXIT
case $(stat -f -c %T "$disk") in
tmpfs | ramfs) tap_skip "a disk by msync" "$MEGA_BUILDDIR is memory" ;;
*)
    MEGALLOC_DIR=$disk/space passes "a disk is found to need msync" \
        2 life domain 1
    ;;
esac

# ---- The directory ----

export MEGALLOC_DIR=/proc/nowhere
job 2 life open
refused "a directory that cannot be made" /proc/nowhere
tap_end
