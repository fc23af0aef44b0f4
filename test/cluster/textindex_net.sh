#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# textindex_net.sh - textindex over two hosts, which are two names of this one:
# half of the index is read over UCX.
. "${MEGA_SRCDIR:?}/test/cluster/ranks.sh"
if ! built_with_ucx; then
    tap_skip "textindex over two hosts" "this build is without UCX"
    tap_end
fi
export MEGALLOC_DIR=$scratch/%h UCX_TLS=tcp,self
export OMPI_MCA_hwloc_base_binding_policy=none # a host has all processors
text=$scratch/text
mkdir "$text"

# textindex RANKS ARGUMENT...: half of the ranks on each host.
textindex() {
    output=$("${bounded[@]}" "$patience" "$megarun" -n "$1" bash -c '
        rank=${OMPI_COMM_WORLD_RANK:-${PMI_RANK:?}}
        export MEGALLOC_HOST=host$(((rank * 2 / $1) ^ ${SWAPPED:-0}))
        exec "${@:2}"' bash "$1" "$MEGA_BUILDDIR/apps/textindex/textindex" \
        "${@:2}" 2>&1)
    status=$?
}

ends() { # STATUS [TEXT...]: what is wrong with the last one
    local text
    ((status == $1)) || echo "status $status: $output"
    for text in "${@:2}"; do
        [[ $output == *"$text"* ]] || echo "not told: $text: $output"
    done
}

for i in {1..12}; do # words of many lengths, in all files and in one
    for w in {1..300}; do
        printf 'w%0*d only_in_%d_%d\n' $((w % 60 + 1)) "$w" "$i" $((w % 7))
    done >"$text/$i"
done

textindex 4 build "$text"
tap_empty "an index is built over two hosts" "$(ends 0)"
textindex 4 verify "$text"
tap_empty "each rank finds it right" "$(ends 0 'verified: 12 files agree')"

textindex 4 stats
homes() { # what is wrong with the lines of the homes
    local home bytes
    for home in 0 1 2 3; do
        bytes=$(sed -n "s/^home\t$home\t.*index_bytes \([0-9]*\).*/\1/p" \
            <<<"$output")
        [[ $bytes -gt 0 ]] || echo "home $home has '$bytes' bytes"
    done
}
tap_empty "stats tells the bytes of all homes" "$(ends 0 \
    $'leaked_chunks\t0' $'lost_chunks\t0' $'chunks_used_twice\t0'; homes)"
same=$output
textindex 2 stats
tap_empty "and the same to half as many ranks" \
    "$(ends 0; diff <(cat <<<"$same") <(cat <<<"$output"))"

words=()
for w in {0..6}; do
    echo "only_in_3_$w" >>"$text/3"
    words+=("text/3: only_in_3_$w: counted $((w ? 44 : 43)), the index has")
done
textindex 4 verify "$text"
tap_empty "what differs is told by its word" "$(ends 1 "${words[@]}")"
export SWAPPED=1 # words that were near are far now
textindex 4 verify "$text"
tap_empty "on whatever host that lies" "$(ends 1 "${words[@]}")"
tap_end
