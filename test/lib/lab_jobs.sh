# SPDX-License-Identifier: BSD-3-Clause
# lab_jobs.sh - for test scripts, to be sourced: a lab of three hosts, and jobs
# of textindex in it to which something happens. After a job $status and
# $output say what came of it.
. "${MEGA_SRCDIR:?}/test/lib/tap.sh"
export LC_ALL=C
build=${MEGA_BUILDDIR:?}
unset "${!MEGALLOC_@}"
export MEGALLOC_LAB=${0##*/} # its name
MEGALLOC_LAB=${MEGALLOC_LAB%.sh}-$$
export MEGALLOC_TIMEOUT=${FAULTS_TIMEOUT:-6} MEGALLOC_HOME_SIZE=16M
export MEGALLOC_DURABILITY=process # of memory, and meant
program=$build/apps/textindex/textindex
texts=(/usr/include/linux/usb /usr/include/linux/netfilter_bridge)
homes=/run/megalloc
ranks=3 # of the next job
job=''
named='' took=''
names='on (node|host) h[1-3]|signal 9|RUNNING AT h' # who is lost
durable=0 # files of which the last build has told that they are done
struck='' # when it was; $named and $took, in ms, when words came, and its end
scratch=$(mktemp -d) || exit 1
trap 'lab down; rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM HUP

lab() {
    "${bounded[@]}" "$patience" "$build/launchers/lab" "$@"
}

# ---- The lab ----

# three_hosts NAME: starts them, or skips the test NAME.
three_hosts() {
    local text host
    if ! grep -q '^UCX_LIBS = .' "$build/Makefile"; then
        tap_skip "$1" "this build is without UCX"
        tap_end
    fi
    for text in "${texts[@]}"; do
        [[ -d $text ]] || { tap_skip "$1" "there is no $text"; tap_end; }
    done
    output=$(lab up 3 2>&1)
    status=$?
    if ((status == 77)); then
        tap_skip "$1" "${output##*$'\n'}"
        tap_end
    fi
    ((status == 0)) || { tap_fail "three hosts" "$output"; tap_end; }
    pools=()
    for host in 1 2 3; do
        pools+=("/proc/$(holder $host)/root$homes")
    done
}

# Of a host that is killed the files stay: they are seen through its holder.
holder() { # HOST
    lab status | awk -v host="h$1" '$1 == host { print $NF }'
}

new_space() {
    local dir
    durable=0
    for dir in "${pools[@]}"; do
        rm -f "$dir"/*
    done
}

# ---- Jobs ----

textindex() { # ARGUMENT...: leaves $output and $status
    output=$(lab run -n "$ranks" "$program" "$@" 2>&1 </dev/null)
    status=$?
}

start() { # [OPTION of lab run]... PROGRAM ARGUMENT...: a job, beside this
    : >"$scratch/log"
    "$build/launchers/lab" run -n 3 "$@" >"$scratch/log" 2>&1 </dev/null &
    job=$!
}

# A build, until it is at work; begin in a new space, go_on in what is there.
begin() {
    new_space
    go_on "$@"
}

# Of its OPTIONs the first may be --early: until its processes are there; or
# --some: until files are durable, with texts enough; the rest is lab run's.
go_on() {
    local early='' at_work='[0-9]/[0-9]* files'
    case ${1-} in
    --early) early=yes; shift ;;
    --some) at_work=' [1-9][0-9]*/[0-9]* files'; shift ;;
    esac
    : >"$scratch/log"
    "$build/launchers/lab" run -n "$ranks" "$@" "$program" build --resume \
        --progress "${texts[@]}" >"$scratch/log" 2>&1 </dev/null &
    job=$!
    local until=$((SECONDS + patience)) # what hangs here ends in end
    until grep -q "$at_work" "$scratch/log" || { [[ $early ]] && runs_on "${host:-1}"; }; do
        kill -s 0 "$job" 2>/dev/null && ((SECONDS < until)) || break
        sleep 0.02
    done
}

strike() { # COMMAND...: that happens to the job
    struck=$EPOCHREALTIME named=''
    "$@"
}

since() { # prints how many ms ago it was
    echo $(((${EPOCHREALTIME/./} - ${struck/./}) / 1000))
}

# progress first|last FILE: how many files are done, of a build that tells it.
progress() {
    sed -nE 's|^textindex: ([0-9]+)/[0-9]+ files$|\1|p' "$2" |
        if [[ $1 == first ]]; then head -n 1; else tail -n 1; fi
}

# Its end: $status is 124 if it did not come.
end() {
    end_of_job
    local done_
    done_=$(progress last "$scratch/log")
    durable=${done_:-$durable}
}

end_of_job() {
    local until=$((SECONDS + patience))
    took=''
    while kill -s 0 "$job" 2>/dev/null; do
        [[ ! $struck || $named ]] || ! grep -qE "$names" "$scratch/log" ||
            named=$(since)
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
    [[ ! $struck ]] || took=$(since)
    named=${named:-$took}
    struck=''
}

# $slow: it hung for longer than a job may. Who is lost is to be named within
# MEGALLOC_TIMEOUT; three times that, and 15 s, are for a machine that is busy.
# The launcher may need another minute (megarun.1 says why).
bound() { # NAME
    local most=$((3000 * MEGALLOC_TIMEOUT + 15000))
    slow=''
    [[ $took ]] || return
    echo "# named after $named ms, ended after $took, of $most: $1"
    ((named <= most && took <= most + 60000)) ||
        slow="named after $named ms, ended after $took: that is too late"$'\n'
    took=''
}

# Nothing of the job is left, on no host; a daemon that is cut off needs as
# long as the launcher to know.
left() {
    local until=$((SECONDS + MEGALLOC_TIMEOUT + patience))
    while lab status | grep -v 'processes 0 '; do
        ((SECONDS < until)) || return
        sleep 0.2
    done >"$scratch/left"
    : >"$scratch/left"
}

# hit COMMAND...: a build, to which that happens; begun again if it had ended
# well before, which the fastest do now and then.
hit() {
    local turn
    for turn in {1..5}; do
        begin
        strike "$@"
        end
        [[ $status == 0 || $output == *" files indexed, "* ]] || return
        lab heal 2
    done
}

told() { # NAME TEXT...: it ended, not well, and said one of these
    local name=$1 text
    shift
    bound "$name"
    left
    if ((status == 0 || status == 124)) || [[ $slow || -s $scratch/left ]]; then
        tap_fail "$name" "${slow}status $status: $output $(<"$scratch/left")"
        return
    fi
    for text in "$@"; do
        [[ $output != *"$text"* ]] || { tap_ok "$name"; return; }
    done
    tap_fail "$name" "status $status: $output"
}

passed() { # NAME: it ended well
    if [[ $status == 0 ]]; then
        tap_ok "$1"
    else
        tap_fail "$1" "status $status: $output"
    fi
}

# whole NAME [FAULTS]: what is there is sound, what was durable is still there,
# and another job makes it whole.
whole() {
    local faults=${2-} first
    sound
    textindex build --resume --progress "${texts[@]}"
    first=$(progress first <(echo "$output"))
    if ((status != 0)); then
        faults+="resume: status $status: $output"$'\n'
    elif ((${first:-0} < durable)); then
        faults+="of $durable files that were durable ${first:-none} are there"$'\n'
    fi
    textindex verify "${texts[@]}"
    ((status == 0)) || faults+="verify: status $status: $output"$'\n'
    faults+=$unsound
    sound
    tap_empty "$1: the next job finishes, all is there" "$faults$unsound"
}

sound() { # leaves what is wrong in $unsound
    local file files=()
    unsound=''
    output=''
    for file in "${pools[@]/%//*.pool}"; do
        for file in $file; do # unquoted: a pattern, or its own name
            [[ ! -e $file ]] || files+=("$file")
        done
    done
    ((${#files[@]} == 0)) || # it was struck before it made one
        output=$("$build/apps/tool/megalloc" check "${files[@]}" 2>&1) ||
        unsound="check: $output"
}

runs_on() { # HOST: a rank
    lab on "$1" sh -c 'grep -qxs "$1" /proc/[0-9]*/comm' sh "${program##*/}"
}

ranks_on() { # HOST SIGNAL [MOST]: to its ranks, all or so many
    lab on "$1" sh -c 'n=$2; for p in /proc/[0-9]*; do
        [ "$(cat $p/comm 2>/dev/null)" != "$3" ] || [ $n -eq 0 ] ||
            { kill -s "$1" "${p#/proc/}" && n=$((n - 1)); }; done' \
        sh "$2" "${3:--1}" "${program##*/}"
}

# stop_ranks HOST: of the job that runs. Those that had left MPI keep nobody but
# the launcher: when all others have ended they are let go on; so are those
# that had closed the space, when it is said that they are waited for.
stop_ranks() {
    local until=$((SECONDS + 3 * MEGALLOC_TIMEOUT)) other others
    ranks_on "$1" STOP
    while ((SECONDS < until)) && kill -s 0 "$job" 2>/dev/null; do
        sleep 0.3
        others=''
        for other in 1 2 3; do
            [[ $other == "$1" ]] || others+=$(lab on $other \
                sh -c 'grep -lxs "$1" /proc/[0-9]*/comm' sh "${program##*/}")
        done
        if [[ -z $others ]] || grep -q "is waited for" "$scratch/log"; then
            ranks_on "$1" CONT
            return
        fi
    done
}
