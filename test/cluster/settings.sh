#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# settings.sh - MEGALLOC_* with nonsense in them, unknown names, a directory
# that cannot be written, and the notice about the medium.
. "${MEGA_SRCDIR:?}/test/cluster/ranks.sh"

# nonsense SETTING TEXT: refused, with the name and TEXT, what is accepted.
nonsense() {
    local saved
    new_space
    saved=$(declare -p MEGALLOC_HOME_SIZE MEGALLOC_DURABILITY MEGALLOC_DIR)
    local saved_dir=$MEGALLOC_DIR usual=/dev/shm/megalloc-$EUID
    [[ ! -e $usual ]] || usual= # somebody's
    export "MEGALLOC_$1"
    job 2 life open
    refused "nonsense: ${1:0:40}" "MEGALLOC_${1%%=*}" "$2"
    tap_empty "and no directory is made: ${1:0:40}" \
        "$(ls -d "$saved_dir" "$usual" 2>/dev/null)"
    unset "MEGALLOC_${1%%=*}"
    eval "${saved//declare -x/export}"
}

long=$(printf '/%05000d' 0)
nonsense DIR="$long" "is longer than"
nonsense HOST="$long" "is longer than"
for value in lots -1 ''; do # test/unit/conf.c tries more
    nonsense "HOME_SIZE=$value" "K, M, G or T"
done
nonsense HOME_SIZE=1 "unreadable MEGALLOC_"
nonsense HOME_MAX=12Q "K, M, G or T"
nonsense HOME_MAX=1M "less than MEGALLOC_HOME_SIZE"
nonsense OPEN=maybe "give one of: auto create open degraded"
nonsense DURABILITY=diamond "give one of: auto power power-msync process"
for value in 0 5K; do
    nonsense "TIMEOUT=$value" "seconds from 1 to 999999"
done
nonsense ATOMICS=gpu "give one of: cpu nic"
nonsense CHECK=2 "give one of: no yes"
nonsense INFO=yes "give one of: 0 1"
nonsense LOG=loud "give one of: error warn info debug"
nonsense STATS=on "give one of: 0 1"

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

# ---- Atomics ----

new_space
MEGALLOC_INFO=1 job 2 life open
tap_empty "who does atomics is told" \
    "$(grep -q "^megalloc: atomics: the processor's" <<<"$output" ||
        echo "$output")"
if built_with_ucx; then
    MEGALLOC_INFO=1 MEGALLOC_ATOMICS=nic job 2 life open
    tap_empty "of nic, too" \
        "$(grep -q "^megalloc: atomics: all by UCX" <<<"$output" || echo "$output")"
    output=$("${bounded[@]}" "$patience" "${launch[@]}" -n 2 sh -c '
        [ "${OMPI_COMM_WORLD_RANK-$PMI_RANK}" = 0 ] || export MEGALLOC_ATOMICS=nic
        exec "$0" open' "$programs/life" 2>&1)
    status=$?
    refused "ranks that do not agree on it" "MEGALLOC_ATOMICS is not the same"
else
    MEGALLOC_ATOMICS=nic job 2 life open
    refused "nic, in a build without UCX" "MEGALLOC_ATOMICS=nic" "without UCX"
fi

# ---- Durability ----

domain=0
for word in process power-msync power; do
    new_space
    MEGALLOC_DURABILITY=$word passes "DURABILITY=$word is what homes have" \
        2 life domain $domain
    domain=$((domain + 1))
done

for call in msync fsync; do
    new_space
    MEGALLOC_DURABILITY=power-msync passes \
        "an $call has failed: nothing is called durable any more" \
        1 msync fails $call
    MEGALLOC_DURABILITY=power-msync passes \
        "and the next job finds what was, unclean" 1 msync look
done
MEGALLOC_DIR=$scratch/in/new/space passes "directories are made durable" \
    1 msync makes "$scratch" "$scratch/in" "$scratch/in/new"
new_space
chmod 755 "$scratch"
passes "a directory that cannot be listed is not taken for empty" \
    1 msync unseen "$MEGALLOC_DIR"
new_space
MEGALLOC_HOME_SIZE=64M passes \
    "a home beyond ulimit -f is refused, and ends no process" 1 msync limit
new_space
passes "F28: memory is found to survive processes only" 2 life domain 0
disk=$(mktemp -d "$MEGA_BUILDDIR/settings.XXXXXX")
trap 'rm -rf "$scratch" "$disk"' EXIT
case $(stat -f -c %T "$disk") in
tmpfs | ramfs) tap_skip "F28: a disk by msync" "$MEGA_BUILDDIR is memory" ;;
*)
    MEGALLOC_DIR=$disk/space passes "F28: a disk is found to need msync" \
        2 life domain 1
    for word in process power; do
        MEGALLOC_DIR=$disk/space MEGALLOC_DURABILITY=$word passes \
            "a clean end of a job by $word leaves nothing to the next one's sync" \
            1 msync ends "$disk/space/home-0.0.pool"
    done
    ;;
esac

# ---- The directory ----

# A file system that says of itself that it is NFS.
if built_for_sanitizer; then
    tap_skip "F31: a network file system" "nothing is loaded before a sanitizer"
else
    cat >"$scratch/nfs.c" <<'EOF'
#include <sys/statfs.h>
int fstatfs(int fd, struct statfs *fs)
{
    (void)fd;
    *fs = (struct statfs){.f_type = 0x6969};
    return 0;
}
EOF
    $MEGA_CC -shared -fPIC -o "$scratch/nfs.so" "$scratch/nfs.c"
    new_space
    output=$("${bounded[@]}" "$patience" "${launch[@]}" -n 2 \
        env LD_PRELOAD="$scratch/nfs.so" "$programs/life" open 2>&1)
    status=$?
    refused "F31: a network file system" "lies on a network file system"
fi

# Ranks of one machine that do not see the same go over UCX.

# second RANKS WORD... -- PROGRAM ARGUMENT...: rank 1 is run by these words.
second() {
    local ranks=$1 wrap=()
    shift
    while [[ $1 != -- ]]; do
        wrap+=("$1")
        shift
    done
    shift
    output=$(OMPI_MCA_btl=tcp,self "${bounded[@]}" "$patience" "${launch[@]}" \
        -n "$ranks" bash -c '
        words=$1
        shift
        [ "${OMPI_COMM_WORLD_RANK-$PMI_RANK}" = 1 ] || shift "$words"
        exec "$@"' bash ${#wrap[@]} "${wrap[@]}" "$programs/$1" "${@:2}" 2>&1)
    status=$?
}

# apart NAME WORD...: rank 1 uses all homes, which others serve.
apart() {
    local name=$1
    shift
    new_space
    passes "$name: two homes" 2 life open
    [[ $1 != setpriv ]] || chown 65534 "$MEGALLOC_DIR"/home-*
    second 3 "$@" -- moves
    tap_empty "$name: it uses them over UCX" \
        "$( ((status == 0)) || echo "status $status: $output")"
}

if ! built_with_ucx; then
    tap_skip "ranks of one machine that are apart" "this build is without UCX"
elif ! unshare -pfm --mount-proc true 2>/dev/null; then
    tap_skip "ranks of one machine that are apart" "no namespaces here"
else
    if built_with_mpich; then
        tap_skip "a rank does not see the others' processes" \
            "MPICH's own ranks have to: MPI_Init fails"
    else
        apart "a rank does not see the others' processes" \
            unshare -pf --mount-proc --kill-child
    fi
    apart "a rank does not see the homes" unshare -m sh -c \
        'mount -t tmpfs tmpfs "$MEGALLOC_DIR" && exec "$@"' sh
    apart "a rank may not read the homes" \
        setpriv --bounding-set -dac_override,-dac_read_search \
        --inh-caps -dac_override,-dac_read_search
fi

# Rank 1 sees a copy, on a file system of its own, with the same inode number.
new_space
copied="a copy under the same name is not taken for the home"
if unshare -m true 2>/dev/null; then
    mkdir "$MEGALLOC_DIR"
    mount -t tmpfs tmpfs "$MEGALLOC_DIR"
    MEGALLOC_HOME_SIZE=10M passes "homes on a file system of their own" 2 life open
    output=$("${bounded[@]}" "$patience" "${launch[@]}" -n 2 sh -c '
        if [ "${OMPI_COMM_WORLD_RANK-$PMI_RANK}" = 1 ]; then
            exec unshare -m bash -c "$1" bash "$2" open
        fi
        exec "$2" open' sh '
        other=$(mktemp -d "$MEGALLOC_DIR.XXXXXX")
        mount -t tmpfs tmpfs "$other"
        for file in "$MEGALLOC_DIR"/home-*.0.pool; do
            want=$(stat -c %i "$file") copy=$other/${file##*/}
            for ((i = 0; i < 1000; i++)); do
                : >"$copy"
                (($(stat -c %i "$copy") != want)) || break
                mv "$copy" "$other/not-$want-$i"
            done
            cat "$file" >"$copy"
        done
        mount --move "$other" "$MEGALLOC_DIR"
        exec "$@"' "$programs/life" 2>&1)
    status=$?
    refused "$copied" "home 0 lies on two hosts"
    umount "$MEGALLOC_DIR"
else
    tap_skip "$copied" "no namespaces of mounts here"
fi

export MEGALLOC_DIR=/proc/nowhere
job 2 life open
refused "a directory that cannot be made" /proc/nowhere
tap_end
