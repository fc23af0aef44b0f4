#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# lab.sh - the lab of several hosts: what it keeps apart and what it joins, its
# cuts and kills, and that nothing is left of it.
set -u
. "${MEGA_SRCDIR:?}/test/lib/tap.sh"
export LC_ALL=C
build=${MEGA_BUILDDIR:?}
unset "${!MEGALLOC_@}"
export MEGALLOC_LAB=test-$$ # its name
scratch=$(mktemp -d) || exit 1
trap 'lab down; rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM HUP

lab() {
    "${bounded[@]}" 120 "$build/launchers/lab" "$@"
}

is() { # NAME STATUS TEXT: $status and $output are this
    if [[ $status == "$2" && $output == *"$3"* ]]; then
        tap_ok "$1"
    else
        tap_fail "$1" "status $status instead of $2, output: $output"
    fi
}

try() { # NAME STATUS TEXT ARGUMENT...: a call of lab
    local name=$1 want=$2 text=$3
    shift 3
    output=$(lab "$@" 2>&1 </dev/null)
    status=$?
    is "$name" "$want" "$text"
}

# ---- Arguments ----

nonsense() { # ARGUMENT...
    try "refused: lab $*" 2 --help "$@"
}
nonsense
nonsense frobnicate
nonsense --name
nonsense --name a/b status
nonsense up
nonsense up 0
nonsense up two
nonsense up 2 --size big
nonsense up 2 3
nonsense run
nonsense run -n
nonsense cut
nonsense cut 1 --for ever
nonsense down 2
try "--help is not an error" 0 usage: --help
try "without a lab there is nothing to run in" 1 \
    "no lab \"$MEGALLOC_LAB\" is up; make one: lab --name $MEGALLOC_LAB up" run true
try "and nothing to end, which is no error" 0 '' down

# ---- Where it is not allowed ----

if ((EUID == 0)) && command -v setpriv >/dev/null; then
    output=$(setpriv --reuid=65534 --clear-groups \
        "$build/launchers/lab" up 2 2>&1)
    status=$?
    # Or even the build tree is not to be seen.
    ((status != 126)) || status=77 output="not possible here"
    is "refused without being root, politely" 77 "not possible here"
fi

# processes: those that belong to labs of this name, or hang on from them.
processes() {
    grep -ls "[t]est-$$" /proc/[0-9]*/cmdline
}
traces() { # what of a lab can be left on this machine
    ip -o link | sed 's/@.*//'
    grep -c . /proc/self/mountinfo
    ls /run/megalloc-lab/"$MEGALLOC_LAB" 2>/dev/null
    processes
}
before=$(traces)

output=$(lab up 2 2>&1)
status=$?
if ((status == 77)); then
    tap_skip "the lab" "${output##*$'\n'}"
    tap_end
fi
is "two hosts start" 0 "2 hosts are up"

# ---- One lab ----

try "a second lab of one name is refused" 1 \
    "is up with 2 hosts; end it by lab --name $MEGALLOC_LAB down" up 2
try "under another name it is another lab" 0 "1 hosts are up" \
    --name "$MEGALLOC_LAB-b" up 1
try "and goes alone" 0 '' --name "$MEGALLOC_LAB-b" down
try "a host that there is not" 1 "no host 3" on 3 true
try "a list with a gap" 2 'such as 1,3, not "1,,2"' run --hosts 1,,2 true
try "a link that loses more than all" 2 "loses 101 %" cut 1 --loss 101

apart() { # what the two hosts share and must not
    local dir
    for dir in /dev/shm /run/megalloc /run /run/tmp; do
        lab on 1 touch "$dir/mine" || echo "$dir is not to be written"
        lab on 2 test ! -e "$dir/mine" || echo "$dir is shared by the hosts"
        [[ ! -e $dir/mine ]] || echo "$dir is that of the machine"
    done
    [[ $(lab on 1 hostname) == h1 ]] || echo "h1 has the name $(lab on h1 hostname)"
    [[ $(lab on 2 hostname) == h2 ]] || echo "h2 has the name $(lab on h2 hostname)"
    for kind in net uts ipc mnt pid; do
        { lab on 1 readlink "/proc/self/ns/$kind"
            lab on 2 readlink "/proc/self/ns/$kind"
            readlink "/proc/self/ns/$kind"
        } | sort | uniq -d
    done
    [[ $(lab on 1 sh -c 'echo /proc/[0-9]*' | wc -w) -lt 5 ]] ||
        echo "h1 sees processes of others"
}
tap_empty "hosts have nothing in common but files" "$(apart)"
cd "$scratch" && echo text >here
try "a command runs in the directory of the caller" 0 text on 1 cat here
try "and its status is told" 5 '' on 2 sh -c 'exit 5'
export NOT_FOR_ALL=1
try "it is given no other variables than ssh would" 1 '' on 1 printenv NOT_FOR_ALL

# ---- Links ----

# reached FROM TO SECONDS: by a port that nobody listens at, the answer is a
# refusal.
reached() {
    # A neighbour that was given up is an error at once, though the link is up:
    # try again until the time is over.
    local end=$((SECONDS + $3))
    until lab on "$1" timeout "$3" bash -c ": <>/dev/tcp/$2/9" 2>&1 |
        grep -q refused; do
        ((SECONDS < end)) || return 1
        sleep 0.2
    done
}
linked() { # NAME yes|no: h1 and h2, both ways
    local fault=''
    if [[ $2 == yes ]]; then
        reached 1 h2 30 && reached 2 h1 30 || fault="$(lab status)"
    else
        reached 1 h2 1 || reached 2 h1 1 && fault="$(lab status)"
    fi
    tap_empty "$1" "$fault"
}
linked "the hosts reach each other" yes
try "cut" 0 '' cut 1
linked "then they do not" no
try "status tells" 0 "link down" status
try "heal" 0 '' heal h1
linked "then they do" yes
try "a cut for a moment" 0 '' cut 2 --for 0.1
linked "is healed after it" yes
"$build/launchers/lab" cut 2 --for 100 &
cutter=$!
until lab status | grep -q 'link down'; do sleep 0.05; done
clock=$(ps -o pid= --ppid $cutter)
kill -s TERM $cutter
wait $cutter
tap_empty "a cut that is interrupted leaves no process" \
    "$(kill -s 0 $clock 2>/dev/null && ps -o args= -p $clock)"
linked "or when it is interrupted" yes
output=$(lab cut 1 --loss 100 2>&1)
status=$?
if ((status == 77)); then
    tap_skip "a bad link" "${output##*$'\n'}"
else
    is "a bad link" 0 ''
    linked "that loses all" no
    try "is told" 0 "link bad" status
    try "and then is only late" 0 '' cut 1 --delay 300
    linked "is a link" yes
    try "but not within its delay" 124 '' on 2 timeout 0.5 bash -c \
        ': <>/dev/tcp/h1/9'
    try "heal" 0 '' heal 1
    linked "makes it good" yes
    front=$(for turn in {1..8}; do
        lab on 2 bash -c 'ip neigh flush all
            : 2>/dev/null </dev/tcp/10.177.0.254/9; ip neigh show 10.177.0.254'
        lab cut 1 --delay 1 --for 0.1
    done | sed 's/.*lladdr \([^ ]*\).*/\1/' | sort -u)
    tap_try "whom the others know as the launcher's machine stays" \
        test "$front" = 02:00:00:00:00:fe
    tap_empty "and nothing is said when the time of a bad link is over" \
        "$(lab cut 2 --delay 1 --for 0.1 2>&1)"
    lab cut 2 --delay 1 # for the end
fi

# ---- Jobs ----

tries=/proc/sys/net/ipv4/tcp_retries2
tap_empty "a connection with data under way is given up in a minute" \
    "$({ lab on 1 cat $tries
        nsenter -n -t "$(<"/run/megalloc-lab/$MEGALLOC_LAB/front.pid")" \
            cat $tries; } | diff - <(printf '7\n7\n'))"
hello=$build/test/cluster/hello
said() { # LINE...: the ranks, whatever a launcher warns of besides
    diff <(grep '^rank ' <<<"$output" | sort) <(printf '%s\n' "$@")
}
try "a job over two hosts" 0 "" run "$hello"
tap_empty "has a rank on each" "$(said "rank 0 of 2 on h1" "rank 1 of 2 on h2")"
try "four ranks on two hosts" 0 "" run -n 4 "$hello"
tap_empty "are dealt in turn" "$(said "rank 0 of 4 on h1" "rank 1 of 4 on h2" \
    "rank 2 of 4 on h1" "rank 3 of 4 on h2")"
try "a job on one of them" 0 "rank 0 of 1 on h2" run --hosts 2 "$hello"
try "the status of a job" 5 '' run -n 1 sh -c 'exit 5'
export MEGALLOC_TIMEOUT=17 UCX_LOG_LEVEL=error OTHER=9
output=$(lab run --transport tcp,self -x OTHER sh -c \
    'echo "$MEGALLOC_TIMEOUT $UCX_LOG_LEVEL $UCX_TLS $OTHER $MEGALLOC_DIR"' 2>&1)
status=$?
[[ $(grep -cx '17 error tcp,self 9 /run/megalloc' <<<"$output") == 2 ]] ||
    status="wrong count"
is "ranks have the settings" 0 ''
unset MEGALLOC_TIMEOUT UCX_LOG_LEVEL OTHER

# ---- Kills ----

sleeper() { # HOST: starts one, tells when it runs
    "$build/launchers/lab" on "$1" sh -c \
        "echo >'$scratch/sleeps$1'; exec sleep 1000" &
    until [[ -e $scratch/sleeps$1 ]]; do sleep 0.05; done
}
sleeper 1 2>/dev/null
first=$!
sleeper 2 2>/dev/null
second=$!
lab on 1 touch /dev/shm/stays
try "kill" 0 '' kill 1
wait $first 2>/dev/null
status=$? output=''
is "ends the processes of that host" 137 ''
kill -s 0 $second 2>/dev/null
status=$?
is "and of no other" 0 ''
try "the files stay" 0 '' on 1 test -e /dev/shm/stays
try "and the host" 0 "rank 0 of 2 on h1" run "$hello"

# ---- Ctrl-C ----

set -m # a group of its own, which does not ignore it
"$build/launchers/lab" run sh -c "echo >'$scratch/waits'; sleep 1000" \
    >/dev/null 2>&1 &
job=$!
set +m
until [[ -e $scratch/waits ]]; do sleep 0.05; done
kill -s INT -- -$job
wait $job
status=$?
tap_try "Ctrl-C ends a job, which does not pass" test $status -gt 0
for turn in {1..200}; do
    left=$(lab status | grep -v 'processes 0 ' | grep -v '^h2 ') # h2: sleeper 2
    [[ $left ]] || break
    sleep 0.05
done
tap_empty "and leaves no process in the hosts" "$left"

# ---- The end ----

"$build/launchers/lab" run sh -c "echo >'$scratch/runs'; sleep 1000" \
    >/dev/null 2>&1 &
job=$!
until [[ -e $scratch/runs ]]; do sleep 0.05; done
try "down, with a job and a command running" 0 '' down
wait $second $job 2>/dev/null
tap_empty "leaves nothing" "$(diff <(echo "$before") <(traces))"
try "down again is no error" 0 '' down

interrupted() { # SECONDS: up, by a Ctrl-C so long after its start
    set -m
    env --default-signal=INT "$build/launchers/lab" up 9 >/dev/null 2>&1 &
    job=$!
    set +m
    sleep "$1"
    kill -s INT -- -$job
    wait $job
    status=$?
}
caught=0
for after in 0.0{2..9} 0.{1..4}; do
    interrupted $after
    case $status in
    130) caught=$((caught + 1)) ;;
    0) lab down 2>/dev/null ;; # it was up by then
    *) break ;;
    esac
    status=130
    left=$(diff <(echo "$before") <(traces))
    [[ ! $left ]] || break
done
output="after $after s: $left"
is "up that is interrupted at any time" 130 ''
tap_empty "leaves nothing" "$left"
tap_try "it was, some times" test $caught -ge 3

try "three hosts" 0 "3 hosts are up" up 3 --size 8M
try "a job over three hosts" 0 "rank 5 of 6 on h3" run -n 6 "$hello"
output=$(lab on 3 df --output=size -k /run/megalloc 2>&1)
status=$?
is "homes of the size that was asked for" 0 8192
nsenter -n -t "$(<"/run/megalloc-lab/$MEGALLOC_LAB/front.pid")" \
    ip link del p1 # as in one that is half up
try "a host without a link is told" 0 "h1 10.177.0.1 link none" status
tap_try "and the others" test "$(grep -c '^h[23] .* link up' <<<"$output")" = 2
holder=$(lab status | awk '/^h2 / { print $NF }')
kill -s KILL "$holder"
until [[ ! -e /proc/$holder ]]; do sleep 0.05; done
try "a host whose holder was killed is told" 0 "h2 gone" status
try "down, with a host gone" 0 '' down
tap_empty "leaves nothing" "$(diff <(echo "$before") <(traces))"
tap_end
