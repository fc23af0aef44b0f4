#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# damage.sh - files that are missing, foreign, cut short, of another version or
# spoilt: never a crash of the library, but an error that names the file, and
# the other files as they were. DAMAGE_SEED, DAMAGE_FLIPS choose the flips.
. "${MEGA_SRCDIR:?}/test/cluster/ranks.sh"
seed=${DAMAGE_SEED:-7}
flips=${DAMAGE_FLIPS:-200}
[[ -z ${LONG_TESTS-} ]] || flips=8000
echo "# DAMAGE_SEED=$seed DAMAGE_FLIPS=$flips"
export MEGALLOC_HOME_SIZE=10M # small, so quick to copy
patience=400

passes "a space is made" 2 damage make
saved=$scratch/saved
cp -a "$MEGALLOC_DIR" "$saved"
export MEGALLOC_DIR=$scratch/other
passes "and another one" 2 damage make
export MEGALLOC_DIR=$scratch/space

restore() {
    rm -rf "$MEGALLOC_DIR"
    cp -a "$saved" "$MEGALLOC_DIR"
}

# HOME...: these pool files are as they were saved, but for libpmemobj's own
# head, in which it counts how often it has opened them.
untouched() {
    local home
    for home; do
        cmp -i 8192 "$saved/home-$home.0.pool" "$MEGALLOC_DIR/home-$home.0.pool" 2>&1
    done
}

# spoilt NAME HOME TEXT...: refused, and the other file as it was
spoilt() {
    local name=$1 home=$2
    shift 2
    job 2 damage look
    refused "$name: an error" "$@"
    tap_empty "$name: nothing written to the others" "$(untouched $((1 - home)))"
}

for home in 0 1; do
    restore
    rm "$MEGALLOC_DIR/home-$home.0.pool"
    spoilt "home $home is missing" $home "home-$home"
    restore
    cp "$scratch/other/home-$home.0.pool" "$MEGALLOC_DIR"
    spoilt "home $home is of another space" $home "home 1"
    restore
    cp "$saved/home-$((1 - home)).0.pool" "$MEGALLOC_DIR/home-$home.0.pool"
    spoilt "home $home is the other one" $home "home-$home"
    restore
    head -c 1M /dev/urandom >"$MEGALLOC_DIR/home-$home.0.pool"
    spoilt "home $home is rubbish" $home "home-$home" "restore the file"
done

restore
if command -v pmempool >/dev/null; then
    rm "$MEGALLOC_DIR/home-1.0.pool"
    pmempool create --layout=megalloc-9 -s 16M obj "$MEGALLOC_DIR/home-1.0.pool"
    spoilt "a pool of another format" 1 home-1
else
    # libpmemobj keeps the layout's name from byte 4096 on.
    printf 'megalloc-9' | dd of="$MEGALLOC_DIR/home-1.0.pool" bs=1 seek=4096 \
        conv=notrunc status=none
    spoilt "a pool of another format" 1 home-1
fi

# A word of home 0 that became zero: what no crash leaves is refused, and nothing
# is removed, or made anew over what is there.
for word in born next_region reached lot; do
    restore
    "$programs/tool_poke" "$MEGALLOC_DIR/home-0.0.pool" set $word 0
    cp "$MEGALLOC_DIR/home-0.0.pool" "$scratch/zeroed"
    spoilt "home 0's $word word is zero" 0 "home 0: " "${word/_/ } word"
    tap_empty "home 0's $word word is zero: its file stays" "$(
        cmp -i 8192 "$scratch/zeroed" "$MEGALLOC_DIR/home-0.0.pool" 2>&1)"
done

# An older copy of one home, put back beside a newer space.
restore
passes "the space is used on" 2 damage look
cp "$saved/home-1.0.pool" "$MEGALLOC_DIR"
job 2 damage look
refused "home 1 is an old copy: an error" "home 1"

restore
export MEGALLOC_TIMEOUT=5
passes "files cut short" 1 damage cuts "$MEGALLOC_DIR"
restore
passes "flipped bits" 1 damage flips "$MEGALLOC_DIR" "$flips" "$seed"
grep '^flips' <<<"$output" | sed 's/^/# /'
restore
passes "the files as they were open" 2 damage look
tap_end
