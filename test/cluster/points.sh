#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# points.sh - four ranks, one of them killed: at each named point of
# runtime/crash_point.h, the first time and once later, and at random instructions.
# Each job begins by verifying what the one before has left. CRASHES: how many
# are to be killed in all (200; 60 under AddressSanitizer). CRASH_SEED.
. "${MEGA_SRCDIR:?}/test/cluster/ranks.sh"
RANDOM=${CRASH_SEED:=$((EPOCHSECONDS % 32768))}
[[ ${MEGA_CFLAGS-} == *address* ]] && crashes=60 || crashes=200
crashes=${CRASHES:-$crashes}
lanes=4 # spaces in which jobs are killed at random side by side: they wait most
echo "# CRASH_SEED=$CRASH_SEED CRASHES=$crashes"
export MEGALLOC_HOME_SIZE=10M # it grows soon
# POINTS="NAME...": these only. far_* are come to over hosts only: hosts.sh.
mapfile -t points < <(tr ' ' '\n' <<<"${POINTS-}" | grep . || sed -n 's/^ *X(\([a-z_]*\)).*/\1/p' \
    "$MEGA_SRCDIR/runtime/crash_point.h" | grep -v '^far_')
killed=0 jobs=0
missed=()

# crash SEED US: one job that is to die. Not by a fault of its own: a rank
# that finds one ends with status 1 and says where.
crash() {
    ((jobs++ % 10)) || new_space # a verification should not grow for ever
    job 4 points crash "$@"
    if grep -q '\.[ch]:[0-9]' <<<"$output" || ((status == 124)); then
        faults+="MEGALLOC_CRASH=${MEGALLOC_CRASH-} crash $*: $output"$'\n'
    fi
    ((status == 0)) || killed=$((killed + 1))
}

look() {
    job $((RANDOM % 6 + 1)) points look
    ((status == 0)) || faults+="look: $output"$'\n'
}

faults=
tap_try "the list of points is read" test "${#points[@]}" -gt 0
for point in "${points[@]}"; do
    before=$killed
    new_space # one that still has to grow
    for count in 1 2; do
        export MEGALLOC_CRASH=$point:$count
        crash "$RANDOM" 0
        unset MEGALLOC_CRASH
    done
    ((killed > before)) || missed+=("$point")
    tap_empty "killed at $point: sound, whole and nothing twice" "$faults"
    faults=
done
tap_empty "each point was come to" "${missed[*]-}"

# lane SEED KILLS: so many at random in a space of its own, in a process of its
# own; says how many there were, in how many jobs, and the faults.
lane() {
    local killed=0 jobs=0 faults=''
    MEGALLOC_DIR=$scratch/lane-$1 spaces=() RANDOM=$1
    while ((killed < $2 && jobs < 3 * $2)); do
        crash "$RANDOM" $((RANDOM % 300 * 1000 + RANDOM % 1000 + 1))
    done
    look
    rm -rf "$MEGALLOC_DIR"
    echo "$killed $jobs"
    printf '%s' "$faults"
}

each=$(((crashes - killed + lanes - 1) / lanes))
for ((i = 1; i <= lanes; i++)); do
    lane $((CRASH_SEED + i)) $each >"$scratch/lane$i" &
done
wait
for ((i = 1; i <= lanes; i++)); do
    { read -r n m && faults=$(cat); } <"$scratch/lane$i" ||
        faults="lane $i has said nothing"
    tap_empty "$each killed at random: sound, whole and nothing twice" "$faults"
    killed=$((killed + ${n:-0})) jobs=$((jobs + ${m:-0}))
done
tap_try "so many were killed" test $killed -ge "$crashes"
echo "# $killed of $jobs jobs were killed"

MEGALLOC_CRASH=slab_wort job 1 points look
refused "an unknown point" "MEGALLOC_CRASH=slab_wort" "did you mean slab_word?"
MEGALLOC_CRASH=slab_word:0 job 1 points look
refused "a count that is none" "give point:count"
MEGALLOC_CRASH=slab_word job 1 kills look
tap_try "a release knows no points" grep -q "unknown variable MEGALLOC_CRASH" \
    <<<"$output"
tap_end
