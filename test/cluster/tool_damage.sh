#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# tool_damage.sh - megalloc check over homes that were damaged on purpose: it
# names the file, the byte and what is wrong, and ends with 1; --repair mends
# what is safe, and changes nothing where it refuses.
. "${MEGA_SRCDIR:?}/test/cluster/ranks.sh"
export MEGALLOC_HOME_SIZE=10M
tool=$MEGA_BUILDDIR/apps/tool/megalloc
home0=$MEGALLOC_DIR/home-0.0.pool
home1=$MEGALLOC_DIR/home-1.0.pool

restore() { # clean|killed
    rm -rf "$MEGALLOC_DIR"
    cp -a "$scratch/$1" "$MEGALLOC_DIR"
}

sound=$scratch/clean

poke() { # FILE VERB PART...
    TOOL_POKE_SOUND=$sound/${1##*/} "$programs/tool_poke" "$@"
}

megalloc() { # its status and output, as those of a job
    output=$("$tool" "$@" </dev/null 2>&1)
    status=$?
}

# told NAME STATUS TEXT...: what the last command came to.
told() {
    local name=$1 want=$2 text faults=
    shift 2
    ((status == want)) || faults="status $status, not $want"$'\n'
    for text in "$@"; do
        [[ $output == *"$text"* ]] || faults+="not told: $text"$'\n'
    done
    [[ -z $faults ]] || faults+="output: $output"
    tap_empty "$name" "$faults"
}

passes "a space is made" 2 tool_space
cp -a "$MEGALLOC_DIR" "$scratch/clean"
new_space
job 2 tool_space kill
tap_empty "and one whose job was killed" "$( ((status > 0)) || echo "$output")"
cp -a "$MEGALLOC_DIR" "$scratch/killed"
for state in clean killed; do
    restore $state
    megalloc check "$MEGALLOC_DIR"
    told "check of a $state space" 0 "2 of 2 homes: sound: 0 faults, 0 pending"
done

# What lies where: a slab of the chunks of 112 bytes, the first extent that is
# free, the run that leaks (4 extents), raw memory (4 extents).
restore clean
rows=$("$tool" dump "$home0" | sed -nE 's/^ +[0-9]+  //p' | tr -d '\n')
before() { # LETTERS: how many extents lie before the first of these
    local head=${rows%%[$1]*}
    echo ${#head}
}
slab=$(before "1-9") free=$(before .) run=$(before R) raw=$(before W)
((slab > 0 && free > slab && run > free && raw > run)) ||
    tap_fail "the map shows what was made" "$rows"

# damaged NAME FILE PART BIT TEXT [OFFSET-PART]: one flipped bit is found, at
# its own offset unless OFFSET-PART says which.
damaged() {
    local name=$1 file=$2 part=$3 bit=$4 text=$5 at
    poke "$file" flip "$part" "$bit" >"$scratch/at" || tap_fail "$name: poke"
    at=$(<"$scratch/at")
    case ${6-} in
    '') ;;
    nowhere) at=0 ;;
    *) at=$(poke "$sound/${file##*/}" at "$6") ;;
    esac
    megalloc check "$MEGALLOC_DIR"
    told "$name" 1 "fault: $file: offset $at: " "$text" unsound
    poke "$file" flip "$part" "$bit" >/dev/null
}

# ---- One bit ----

for state in clean killed; do
    restore $state
    sound=$scratch/$state
    damaged "$state: head of the file" "$home0" head 3 "header of the file"
    damaged "$state: the root's magic" "$home0" root 5 "no root" nowhere
    damaged "$state: who the file is" "$home1" root+24 0 \
        "the root's first record is damaged" root
    damaged "$state: a span record" "$home0" record:0+8 2 \
        "the span record is damaged" record:0
    damaged "$state: a span's header" "$home1" header+24 3 \
        "the span's header is damaged" header
    for word in born epoch clean npools next_region reached lot; do
        damaged "$state: the $word word" "$home0" $word 50 "word"
    done
    damaged "$state: the state of a region" "$home0" region:0 9 \
        "of region 0 is damaged"
    damaged "$state: the name of a region" "$home0" region:0+16 1 \
        "its name or checksum" region:0+16
    damaged "$state: the size of a region" "$home0" region:0+8 20 \
        "the region size word"
    damaged "$state: the name of a root" "$home0" rootname:0+17 1 \
        "its name or checksum" rootname:0+16
    damaged "$state: the value of a root" "$home0" rootname:0+8 5 \
        "which is no live chunk"
    damaged "$state: a record of home 1, which has none" "$home1" region:3 0 \
        "of region 3 is damaged"
    damaged "$state: the state of a run record" "$home1" run:0 8 \
        "the state of run record 0 is damaged"
    damaged "$state: the length in a run record" "$home1" run:0+24 1 \
        "run record 0 is damaged" run:0
    damaged "$state: an extent of metadata" "$home0" word:0 2 \
        "the extent holds metadata"
    for bit in 0 3 4 20 40 63; do
        damaged "$state: a free word, bit $bit" "$home0" "word:$free" $bit \
            "word of extent $free"
    done
    for bit in 0 1 2 3; do
        damaged "$state: a kind, bit $bit" "$home0" "word:$slab" $bit \
            "there is no such kind"
        damaged "$state: a head's kind, bit $bit" "$home0" "word:$run" $bit \
            "there is no such kind"
        damaged "$state: a tail's kind, bit $bit" "$home0" \
            "word:$((run + 1))" $bit "there is no such kind"
    done
    damaged "$state: a class beyond the last" "$home0" "word:$slab" 9 \
        "there is no such class"
    damaged "$state: a slab's region" "$home0" "word:$slab" 15 \
        "its region was never made"
    damaged "$state: a slab's region is none" "$home0" "word:$slab" 10 \
        "its region was never made"
    damaged "$state: a slab's epoch" "$home0" "word:$slab" 60 \
        "its epoch is yet to come"
    # longer, shorter, beyond its span; region, epoch, made raw, check
    for bit in 5 6 20 24 45 56 57 63; do
        damaged "$state: a run, bit $bit" "$home0" "word:$run" $bit \
            "the word of a run is damaged"
    done
    damaged "$state: a raw run made a chunk" "$home0" "word:$raw" 56 \
        "no such raw run" run:0
    for bit in 4 5 6 22 23 30 42 43; do
        damaged "$state: a tail, bit $bit" "$home0" "word:$((run + 2))" $bit \
            "it is no tail of the run before it"
    done
    damaged "$state: a tail's check" "$home0" "word:$((run + 2))" 57 \
        "a tail whose head, or distance"
    damaged "$state: a mark where no chunk begins" "$home0" "mark:$slab:2" 0 \
        "mark 2 is 1: no chunk begins there"
    damaged "$state: a mark that no epoch has made" "$home0" "mark:$slab:0" 7 \
        "yet to come"
done
restore clean
state=clean sound=$scratch/clean
# wrong FROM TO NAME TEXT [PART]: the run's word with another length, region,
# epoch or flag, and with the check of that.
wrong() {
    restore clean
    local word=$(($(poke "$home0" get "word:$run") & ((1 << 57) - 1)))
    poke "$home0" run "word:$run" $((word - $1 + $2))
    megalloc check "$MEGALLOC_DIR"
    told "a run that $3" 1 \
        "$home0: offset $(poke "$home0" at "${5:-word:$run}"): " "$4"
}
wrong $((4 << 4)) $((6 << 4)) "is longer" "no tail of the run before it" \
    "word:$((run + 4))"
wrong $((4 << 4)) $((1 << 4)) "is shorter" "without a head" "word:$((run + 1))"
wrong 0 $((1 << 20)) "is beyond its span" "the run does not fit its span"
wrong 0 $((4 << 22)) "has another region" "its region was never made"
wrong 0 $((8 << 42)) "has another epoch" "its epoch is yet to come"
wrong 0 $((1 << 56)) "is made raw" "raw memory has no mark" "mark:$run:0"
damaged "clean: an intent" "$home0" intent:5 0 "intent 5 is torn"
restore clean
poke "$home0" flip "word:$slab" 4 >/dev/null # the next class
megalloc check "$MEGALLOC_DIR"
told "a class that the marks do not fit" 1 "no chunk begins there"

restore clean
poke "$home1" set born 0
megalloc check "$MEGALLOC_DIR"
told "home 1 was never finished, home 0 was" 1 \
    "fault: $home1: offset $(poke "$home1" at born): home 1 was never finished"
restore killed
cp "$scratch/clean/home-1.0.pool" "$home1"
megalloc check "$MEGALLOC_DIR"
told "a home of another space" 1 "fault: $home1: offset " \
    "it belongs to another space than $home0"
rm "$home1"
megalloc check "$MEGALLOC_DIR"
told "a missing home" 1 "fault: home 1 is missing" "1 of 2 homes: unsound"
megalloc check "$home0"
told "and one home by itself" 0 "1 of 2 homes: sound"
for size in 0 100 5000 5000000 9000000; do
    restore clean
    truncate -s $size "$home0"
    megalloc check "$MEGALLOC_DIR"
    told "a file cut to $size" 1 "fault: $home0: offset "
done
megalloc info "$home0"
told "info of what cannot be read" 0 "home 0: cannot be read"
megalloc leaks "$MEGALLOC_DIR"
told "nor are leaks looked for then" 2 "needs all 2 homes of the space; 1 are"
truncate -s 100 "$home0"
megalloc leaks "$home0"
told "nor in it alone" 2 "needs all homes of the space; none is readable"

# ---- Words that became zero, and what contradicts itself ----

# became STATE FILE VERB PART N TEXT [OFFSET-PART]: told, at its offset.
became() {
    restore "$1"
    poke "$2" "$3" "$4" "$5"
    megalloc check "$MEGALLOC_DIR"
    told "$1: ${2##*/}: $4 became $5" 1 \
        "fault: $2: offset $(poke "$2" at "${7:-$4}"): " "$6" unsound
}
for state in clean killed; do
    sound=$scratch/$state
    for file in "$home0" "$home1"; do
        became $state "$file" set born 0 "was never finished"
        became $state "$file" set npools 0 "lists 0 pool files"
        became $state "$file" set reached 0 "the reached word"
        became $state "$file" set lot 0 "the lot word"
        became $state "$file" set next_region 0 "the next region word is 0"
    done
    became $state "$home0" seal next_region 1 "the next region word is 1"
    became $state "$home0" seal next_region 2 "was never made" region:0
    became $state "$home0" set region:0+8 0 "the region size word"
    became $state "$home0" seal region:0+8 200 "ends beyond the 200 raw bytes" \
        run:0
    became $state "$home1" set oid:0 0 "does not own its span"
    became $state "$home1" set oid:0+8 0 "does not own its span" oid:0
    became $state "$home1" set oid:0+8 -1 "does not own its span" oid:0
    became $state "$home0" root 1 0 "root records 0 and 1 have one region" \
        rootname:1
done
became clean "$home0" seal region:0+8 0 "is beyond the 0 raw bytes" run:0
became clean "$home0" seal reached 0 "the reached word is of epoch 0"
became clean "$home0" seal lot 0 "the lot word is of epoch 0"
restore clean
sound=$scratch/clean
poke "$home0" set "word:$run" $(($(poke "$home0" get "word:$run") & ((1 << 57) - 1)))
megalloc check "$MEGALLOC_DIR"
told "a run without its check" 1 "the word of a run is damaged"
restore clean
for file in "$home0" "$home1"; do
    for part in born epoch clean reached lot; do
        poke "$file" set $part 0
    done
done
megalloc check "$MEGALLOC_DIR"
told "a space that holds something was born" 1 \
    "home 0 was never finished, but home 0 was used"

# ---- Intents ----

chunk=$(poke "$home0" get rootname:0+8) # of home 1, live
slot=$(($(poke "$home0" at rootname:0+8) - $(poke "$home0" at header)))
restore killed
chunk=$(poke "$home0" get rootname:0+8)
poke "$home0" intent 3 2 "$chunk" $slot
megalloc check "$MEGALLOC_DIR"
told "an intent that waits is no fault" 0 "pending: $home0: offset \
$(poke "$home0" at intent:3): home 0: intent 3 of 1 items waits"
cp "$home0" "$scratch/before"
megalloc check --repair "$MEGALLOC_DIR"
told "with an intent nothing is repaired" 0 "nothing is repaired: an intent"
tap_empty "and nothing changed" "$(cmp "$scratch/before" "$home0" 2>&1)"
megalloc leaks --free "$MEGALLOC_DIR"
told "with an intent nothing is freed" 1 "an intent waits" "8 of 309 live \
chunks leaked"
tap_empty "and nothing changed then" "$(cmp "$scratch/before" "$home0" 2>&1)"
# FILE-TEXT OP CHUNK SLOT
for item in "there is no such operation:7:$chunk:$slot" \
    "its slot is not in memory in use:2:$chunk:$((slot + 4))" \
    "its slot is not in memory in use:2:$chunk:$((free << 16))" \
    "no chunk begins there:1:$((chunk + 16)):$slot" \
    "no chunk begins there:0:$((free << 16)):$slot"; do
    IFS=: read -r text op to at <<<"$item"
    poke "$home0" intent 3 "$op" "$to" "$at"
    megalloc check "$MEGALLOC_DIR"
    told "an intent: $text ($op, $to, $at)" 1 "fault: $home0: offset $(
        poke "$home0" at item:3): home 0: " "$text"
done

# ---- Repair ----

word() { # KIND LENGTH: of a run of the default region, without its check
    echo $(($1 | $2 << 4 | 1 << 22 | 1 << 42))
}

restore killed
poke "$home0" run "word:$((free + 3))" "$(word 9 1)"  # a tail alone
poke "$home0" run "word:$((free + 5))" "$(word 10 3)" # freed by half
poke "$home0" run "word:$((free + 7))" "$(word 9 2)"
poke "$home1" set "word:$((free + 4))" $((3 | 1 << 10 | 1 << 50)) # a claim
poke "$home0" byte "mark:$slab:2" 1
megalloc check "$MEGALLOC_DIR"
told "work half done, and a stray mark" 1 "1 faults, 3 pending" \
    "extent $((free + 5)) is" "it is being freed" "a tail without a head" \
    "its claim is not complete" "no chunk begins there"
megalloc check --repair "$MEGALLOC_DIR"
told "is repaired" 0 "sound: 0 faults, 0 pending after 4 repairs" \
    "repaired: $home0: offset $(poke "$home0" at "word:$((free + 3))"): " \
    "repaired: $home0: offset $(poke "$home0" at "word:$((free + 5))"): " \
    "repaired: $home1: offset $(poke "$home1" at "word:$((free + 4))"): " \
    "repaired: $home0: offset $(poke "$home0" at "mark:$slab:0"): 1 marks"
megalloc check "$MEGALLOC_DIR"
told "and then sound" 0 "sound: 0 faults, 0 pending"
megalloc leaks "$MEGALLOC_DIR"
told "with all its chunks" 1 "8 of 309 live chunks leaked"

restore clean
poke "$home0" flip "word:$slab" 4 >/dev/null
cp "$home0" "$scratch/before"
megalloc check --repair "$MEGALLOC_DIR"
told "a word that may be wrong is left" 1 "its word may be what is wrong"
tap_empty "with its marks" "$(cmp "$scratch/before" "$home0" 2>&1)"
restore killed
poke "$home0" flip "word:$run" 0 >/dev/null
cp "$home0" "$scratch/before"
megalloc check --repair "$MEGALLOC_DIR"
told "tails of a damaged head are left" 1 "a tail whose head, or distance"
tap_empty "as they are" "$(cmp "$scratch/before" "$home0" 2>&1)"
# The library leaves them too: the head put right, all is there.
flip() { # BIT...
    local bit
    for bit; do
        poke "$home0" flip "word:$run" "$bit" >/dev/null
    done
}
for bits in 0 "4 6" 20; do # no kind; one extent, too many
    restore killed
    flip $bits
    megalloc check "$MEGALLOC_DIR"
    told "a damaged head is told, bits $bits" 1 \
        "fault: $home0: offset $(poke "$home0" at "word:$run"): "
    passes "a space with a damaged head opens, bits $bits" 2 life open
    flip $bits
    megalloc check "$MEGALLOC_DIR"
    told "and its tails are there, bits $bits" 0 "sound: 0 faults"
    megalloc leaks "$MEGALLOC_DIR"
    told "and the chunk, bits $bits" 1 "8 of 309 live chunks leaked"
done
restore clean
head=$(poke "$home0" get "word:$run")
poke "$home0" set "word:$run" 0
passes "a space whose head became zero after a clean end opens" 2 life open
poke "$home0" set "word:$run" "$head"
megalloc check "$MEGALLOC_DIR"
told "and its tails are there" 0 "sound: 0 faults"
restore killed
poke "$home0" flip "word:$run" 0 >/dev/null
cp "$home0" "$scratch/before"
megalloc leaks --free "$MEGALLOC_DIR"
told "in an unsound space nothing is freed" 1 "so nothing is freed"
tap_empty "and all is as it was" "$(cmp "$scratch/before" "$home0" 2>&1)"
tap_end
