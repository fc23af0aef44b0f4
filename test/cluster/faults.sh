#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# faults.sh - jobs over three hosts of a lab, to each of which something
# happens: none may hang, and after each the index is finished by another job,
# verified, and its homes are sound.
#   FAULTS_TIMEOUT  MEGALLOC_TIMEOUT of the jobs, in seconds (6)
set -u
. "${MEGA_SRCDIR:?}/test/lib/tap.sh"
export LC_ALL=C
build=${MEGA_BUILDDIR:?}
unset "${!MEGALLOC_@}"
export MEGALLOC_LAB=faults-$$ # its name
export MEGALLOC_TIMEOUT=${FAULTS_TIMEOUT:-6} MEGALLOC_HOME_SIZE=16M
export MEGALLOC_DURABILITY=process # of memory, and meant
bound=$((MEGALLOC_TIMEOUT + 20)) # mpirun needs some, on a busy machine
patience=120 # for a job that goes on
program=$build/apps/textindex/textindex
texts=(/usr/include/linux/usb /usr/include/linux/netfilter_bridge)
homes=/run/megalloc
job=''
scratch=$(mktemp -d) || exit 1
trap 'lab down; rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM HUP

lab() {
    timeout -k 5 120 "$build/launchers/lab" "$@"
}

# ---- The lab ----

if ! grep -q '^UCX_LIBS = .' "$build/Makefile"; then
    tap_skip "faults" "this build is without UCX"
    tap_end
fi
for text in "${texts[@]}"; do
    [[ -d $text ]] || { tap_skip "faults" "there is no $text"; tap_end; }
done
output=$(lab up 3 2>&1)
status=$?
if ((status == 77)); then
    tap_skip "faults" "${output##*$'\n'}"
    tap_end
fi
((status == 0)) || { tap_fail "three hosts" "$output"; tap_end; }

# Of a host that is killed the files stay: they are seen through its holder.
holder() { # HOST
    lab status | awk -v host="h$1" '$1 == host { print $NF }'
}
pools=()
for host in 1 2 3; do
    pools+=("/proc/$(holder $host)/root$homes")
done

new_space() {
    local dir
    for dir in "${pools[@]}"; do
        rm -f "$dir"/*
    done
}

# ---- Jobs ----

textindex() { # ARGUMENT...: leaves $output and $status
    output=$(lab run -n 3 "$program" "$@" 2>&1 </dev/null)
    status=$?
}

# A build, until it is at work.
begin() {
    new_space
    : >"$scratch/log"
    "$build/launchers/lab" run -n 3 "$program" build --progress \
        "${texts[@]}" >"$scratch/log" 2>&1 </dev/null &
    job=$!
    until grep -q '[0-9]/[0-9]* files' "$scratch/log"; do
        kill -s 0 "$job" 2>/dev/null || break
        sleep 0.02
    done
}

# Its end: $status is 124 if it did not come within the bound, which is for
# those that have to fail.
end() { # [SECONDS]
    local until=$((SECONDS + ${1-$bound}))
    while kill -s 0 "$job" 2>/dev/null; do
        if ((SECONDS >= until)); then
            kill -s KILL "$job"
            wait "$job" 2>/dev/null
            output=$(<"$scratch/log") status=124
            return
        fi
        sleep 0.1
    done
    wait "$job"
    status=$?
    output=$(<"$scratch/log")
}

# Nothing of the job is left, on no host; a daemon that is cut off needs as
# long as the launcher to know.
left() {
    local until=$((SECONDS + MEGALLOC_TIMEOUT))
    while lab status | grep -v 'processes 0 '; do
        ((SECONDS < until)) || return
        sleep 0.2
    done >"$scratch/left"
    : >"$scratch/left"
}

told() { # NAME TEXT...: it ended, not well, and said one of these
    local name=$1 text
    shift
    left
    if ((status == 0 || status == 124)) || [[ -s $scratch/left ]]; then
        tap_fail "$name" "status $status: $output $(<"$scratch/left")"
        return
    fi
    for text in "$@"; do
        [[ $output != *"$text"* ]] || { tap_ok "$name"; return; }
    done
    tap_fail "$name" "status $status: $output"
}

passed() { # NAME: it ended well
    if ((status == 0)); then
        tap_ok "$1"
    else
        tap_fail "$1" "status $status: $output"
    fi
}

# whole NAME: what is there is sound, and another job makes it whole.
whole() {
    local faults=''
    sound
    textindex build --resume "${texts[@]}"
    ((status == 0)) || faults+="resume: status $status: $output"$'\n'
    textindex verify "${texts[@]}"
    ((status == 0)) || faults+="verify: status $status: $output"$'\n'
    faults+=$unsound
    sound
    tap_empty "$1: the next job finishes, all is there" "$faults$unsound"
}

sound() { # leaves what is wrong in $unsound
    local pool files=()
    unsound=''
    for pool in "${pools[@]/%//*.pool}"; do
        # Unquoted: it is a pattern.
        [[ ! -e $(echo $pool) ]] || files+=($pool)
    done
    output=$("$build/apps/tool/megalloc" check "${files[@]}" 2>&1) ||
        unsound="check: $output"
}

ranks_on() { # HOST SIGNAL: to its ranks
    lab on "$1" sh -c 'for p in /proc/[0-9]*; do
        [ "$(cat $p/comm 2>/dev/null)" != textindex ] ||
            kill -s "$1" "${p#/proc/}"; done' sh "$2"
}

# ---- Processes ----

begin
ranks_on 2 KILL
end
told "a rank is killed: the job ends" "signal 9"
whole "a rank is killed"

begin
ranks_on 2 STOP
sleep 1
ranks_on 2 KILL
end
told "a rank is killed while others wait for it: the job ends" "signal 9"
whole "a rank is killed while others wait for it"

begin
ranks_on 2 STOP
end
told "a rank is stopped: the job ends, and names it" \
    "on host h2 has not answered"
whole "a rank is stopped"

begin
lab kill 2
end
told "a host is killed: the job ends, and names it" "on node h2" "on host h2"
whole "a host is killed"

# ---- Links ----

begin
lab cut 2 --for 1
end $patience
passed "a link is cut for a second: the job goes on"
whole "a link is cut for a second"

begin
lab cut 2
end
told "a link is cut for good: the job ends, and names the host" \
    "on node h2" "on host h2"
lab heal 2
whole "a link is cut for good"

begin
output=$(lab cut 2 --loss 1 --delay 50 --for 4 2>&1)
status=$?
if ((status == 77)); then
    tap_skip "a bad link" "${output##*$'\n'}"
    end $patience
else
    end $patience
    passed "a link loses packets and is late: the job goes on"
fi
whole "a link loses packets and is late"

# ---- Homes ----

cp "${pools[1]}/home-1.0.pool" "$scratch/old"
textindex stats
cp "${pools[1]}/home-1.0.pool" "$scratch/new"
cp "$scratch/old" "${pools[1]}/home-1.0.pool"
textindex stats
told "a host has an older copy of its home: refused" "home 1 is an older copy"
cp "$scratch/new" "${pools[1]}/home-1.0.pool"
whole "the right copy again"

new_space
lab on 2 mount -o remount,size=8M "$homes"
textindex build "${texts[@]}"
told "a host has no room for its home: refused" "No space left"
lab on 2 mount -o remount,size=100M "$homes"
textindex build "${texts[@]}"
passed "then it has room: the same job passes"
whole "a host had no room for its home"
tap_end
