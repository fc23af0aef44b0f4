#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# degraded.sh - MEGALLOC_OPEN=degraded: a space of which homes are missing is
# read and cannot be changed; with the homes back it is the space of before. On
# one host, and on three, which are names of this one.
. "${MEGA_SRCDIR:?}/test/cluster/ranks.sh"
export OMPI_MCA_hwloc_base_binding_policy=none
mkdir "$scratch/away"
places=$scratch/places

within=() # words before megarun

# on HOSTS PROGRAM ARGUMENT...: a rank on each host, a word of HOSTS.
on() {
    local hosts=($1) program=$2
    shift 2
    output=$(HOSTS_OF_RANKS="${hosts[*]}" "${bounded[@]}" "$patience" \
        ${within[@]+"${within[@]}"} "$megarun" -n ${#hosts[@]} bash -c '
        hosts=($HOSTS_OF_RANKS)
        export MEGALLOC_HOST=${hosts[${OMPI_COMM_WORLD_RANK:-${PMI_RANK:?}}]}
        unset HOSTS_OF_RANKS
        exec "$@"' bash "$programs/$program" "$@" 2>&1)
    status=$?
}

sums() {
    find "$scratch" -name 'home-*' -type f ! -path '*/away/*' -exec \
        sha256sum {} + | sort -k 2
}

# take HOME...: its file goes away; give: all are back.
take() {
    local home
    for home; do
        mv "$scratch"/*/"home-$home.0.pool" "$scratch/away/"
    done
}

give() {
    local file home
    for file in "$scratch"/away/*; do
        [[ -e $file ]] || continue
        home=${file##*/home-}
        home=${home%%.*}
        mv "$file" "$(dirname "$scratch"/*/"home-$home.lock")/"
    done
}

good() { # NAME
    if ((status == 0)); then
        tap_ok "$1"
    else
        tap_fail "$1" "status $status: $output"
    fi
}

missing() { # HOME...: one whose place the home before it can tell
    local home before more=''
    for home in "$@"; do
        before=$(((home + 2) % 3))
        [[ " $* " == *" $before "* ]] || break
    done
    (($# == 1)) || more=" (and $(($# - 1)) more)"
    echo "home $home of 3 is missing$more: it was last on host" \
        "${made_on[home]}, no host of this job has"
}

# degraded NAME HOSTS CLEAN HOME...: these homes are missing.
degraded() {
    local name=$1 hosts=$2 clean=$3 before
    shift 3
    take "$@"
    before=$(sums)
    MEGALLOC_OPEN=degraded on "$hosts" degraded look "$places" "$clean" "-$*"
    good "$name: what is there is read"
    tap_empty "$name: one line tells of it" "$(
        (($(grep -c 'MEGALLOC_OPEN=degraded: the space is read-only' \
            <<<"$output") == 1)) || echo "$output"
        [[ $clean == 1 || $output == *"before recovery"* ]] ||
            echo "nothing about recovery: $output")"
    tap_empty "$name: no byte of a file has changed" \
        "$(diff <(echo "$before") <(sums))"
    if (($# > 0)); then
        on "$hosts" degraded whole "$places" "$clean"
        refused "$name: without the variable it is refused" \
            "$(missing "$@")" .0.pool MEGALLOC_OPEN=degraded
    fi
    give
}

# over NAME HOSTS: a space with a home on each, left in both ways.
over() {
    local name=$1 hosts=$2 made_on=($2) end clean
    for end in clean crash; do
        clean=1
        [[ $end == clean ]] || clean=0
        rm -rf "$scratch"/space "$scratch"/h?
        on "$hosts" degraded make "$places" $end
        degraded "$name, $end, home 1" "$hosts" $clean 1
        degraded "$name, $end, home 2" "$hosts" $clean 2
        degraded "$name, $end, home 0" "$hosts" $clean 0
        degraded "$name, $end, two homes" "$hosts" $clean 1 2
        degraded "$name, $end, homes 0 and 2" "$hosts" $clean 0 2
        degraded "$name, $end, none" "$hosts" $clean
        [[ $name != *three* ]] ||
            degraded "$name, $end, home 1, two ranks" "h0 h2" $clean 1
        on "$hosts" degraded whole "$places" $clean
        good "$name, $end: the whole space is there again"
    done
}

over "one host" "h0 h0 h0"
if built_with_ucx; then
    export MEGALLOC_DIR=$scratch/%h UCX_TLS=tcp,self
    over "three hosts" "h0 h1 h2"
else
    tap_skip "three hosts" "this build is without UCX"
fi

# ---- Moved ----

# moved NAME HOSTS HOME:HOST...: a space of h0, h1, h2, whose files are then on
# other hosts, is whole for ranks on HOSTS.
moved() {
    local name=$1 hosts=$2 move home
    shift 2
    rm -rf "$scratch"/h? "$scratch"/away/*
    on "h0 h1 h2" degraded make "$places" clean
    mv "$scratch"/h?/home-*.pool "$scratch/away/"
    rm -rf "$scratch"/h?
    for move; do
        home=${move%:*}
        mkdir -p "$scratch/${move#*:}"
        mv "$scratch/away/home-$home".*.pool "$scratch/${move#*:}/"
    done
    on "$hosts" degraded whole "$places" 1
    good "$name: what is there is found by the same pointers"
}

if built_with_ucx; then
    moved "a home is copied to another host" "h0 h2" 0:h0 1:h2 2:h2
    moved "hosts have other names, the homes another order" "a9 a8 a7" \
        0:a7 1:a9 2:a8
    moved "all homes are on one of two hosts" "h0 h1" 0:h1 1:h1 2:h1
    moved "and all on one" "h5" 0:h5 1:h5 2:h5
    rm -rf "$scratch"/h? "$scratch"/a? "$scratch"/away/*
fi

# ---- Older copies ----

# put_older HOME: its file is the one of the job before.
put_older() {
    cp "$scratch/.old/home-$1.0.pool" "$(dirname "$scratch"/*/"home-$1.lock")/"
}

# The megalloc tool over all directories.
check() {
    local dirs
    mapfile -t dirs < <(dirname "$scratch"/*/home-?.lock | sort -u)
    output=$("$MEGA_BUILDDIR/apps/tool/megalloc" check "${dirs[@]}" 2>&1)
    status=$?
}

# older NAME HOSTS: two jobs are killed; then a host has its home as it was
# between them, home 0 or another.
older() {
    local name=$1 hosts=$2 home
    rm -rf "$scratch"/space "$scratch"/h? "$scratch/.old" "$scratch"/away/*
    on "$hosts" degraded make "$places" crash
    mkdir "$scratch/.old"
    cp "$scratch"/*/home-?.0.pool "$scratch/.old/"
    on "$hosts" degraded late "$places"
    for home in 0 1 2; do
        take $home
        put_older $home
        on "$hosts" degraded later "$places"
        refused "$name: home $home is of the job before" \
            "home $home is an older copy: it was last open in epoch 1"
        check
        refused "$name: and check tells of home $home" \
            "home $home has epoch 1, " ": it is an older copy"
        give
    done
    take 0 1
    put_older 1
    MEGALLOC_OPEN=degraded on "$hosts" degraded look "$places" 0 0
    refused "$name: home 1 is of the job before, home 0 is missing" \
        "home 1 is an older copy: it was last open in epoch 1, home 2 in 2"
    give
    on "$hosts" degraded later "$places"
    good "$name: with all files of one day what was named last is found"
}

MEGALLOC_DIR=$scratch/space older "one host, older copies" "h0 h0 h0"
if built_with_ucx; then
    MEGALLOC_DIR=$scratch/%h older "three hosts, older copies" "h0 h1 h2"
fi

# ---- Where nothing can be written ----

# writes NAME TEXT: what commands of the tool say that would write, whatever
# MEGALLOC_OPEN is.
writes() {
    local command said
    tap_empty "$1" "$(for command in "check --repair" "rm --yes"; do
        # shellcheck disable=SC2086
        said=$(MEGALLOC_OPEN=degraded "${within[@]}" \
            "$MEGA_BUILDDIR/apps/tool/megalloc" $command "$MEGALLOC_DIR" 2>&1)
        [[ $? == 2 && $said == *"$2"* ]] || echo "$command: $said"
    done)"
}

export MEGALLOC_DIR=$scratch/space
rm -rf "$scratch"/h? "$MEGALLOC_DIR"
on "h0 h0 h0" degraded make "$places" clean
if unshare -m true 2>/dev/null; then
    within=(unshare -m bash -c 'mount --bind "$MEGALLOC_DIR" "$MEGALLOC_DIR" &&
        mount -o remount,bind,ro "$MEGALLOC_DIR" && exec "$@"' bash)
    MEGALLOC_OPEN=degraded on "h0 h0 h0" degraded look "$places" 1 -
    good "a read-only mount is read"
    tap_try "and the tool looks at it" "${within[@]}" \
        "$MEGA_BUILDDIR/apps/tool/megalloc" check "$MEGALLOC_DIR"
    writes "what is to be done that the tool can write" \
        "mount it to be written; a job with MEGALLOC_OPEN=degraded only reads"
    rm "$MEGALLOC_DIR"/home-?.lock
    MEGALLOC_OPEN=degraded on "h0 h0 h0" degraded look "$places" 1 -
    good "also where there is no lock file, and none can be made"
    on "h0 h0 h0" degraded whole "$places" 1
    refused "without the variable it is refused" "home-0.lock" \
        "Read-only file system" "MEGALLOC_OPEN=degraded"
    within=()
else
    tap_skip "a read-only mount" "no namespaces of mounts here"
fi
if ((UID == 0)); then # whom root's rights are taken from
    within=(setpriv --bounding-set -dac_override,-dac_read_search
        --inh-caps -dac_override,-dac_read_search)
    : >"$MEGALLOC_DIR/home-0.lock"
    chmod 600 "$MEGALLOC_DIR/home-0.lock"
    chown 65534 "$MEGALLOC_DIR/home-0.lock"
    MEGALLOC_OPEN=degraded on "h0 h0 h0" degraded look "$places" 1 -
    refused "a lock file of another user, to read" "home-0.lock" \
        "let this user read it"
    on "h0 h0 h0" degraded whole "$places" 1
    refused "and to write" "home-0.lock" "let this user write it"
    writes "which the tool says, too" "let this user write it (chmod, chown); a \
job with MEGALLOC_OPEN=degraded only reads"
    within=()
else
    tap_skip "a lock file of another user" "only root can make one"
fi

# ---- What is refused ----

export MEGALLOC_DIR=$scratch/none
MEGALLOC_OPEN=degraded job 2 life open
refused "a space that does not exist is not made" MEGALLOC_OPEN=degraded none
tap_empty "nor its directory" "$(ls -d "$MEGALLOC_DIR" 2>/dev/null)"
tap_end
