#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# megarun.sh - the launcher script: arguments, environment, status, signals,
# restarts. By the real launcher where ranks matter, else by a stand-in that
# runs one rank, in which every status and death can be arranged.
set -u
. "${MEGA_SRCDIR:?}/test/lib/tap.sh"
megarun=${MEGA_BUILDDIR:?}/launchers/megarun
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
unset "${!MEGALLOC_@}"

cat >"$scratch/one" <<'END'
#!/bin/sh
# A launcher of one rank: ONE [ARGUMENT]... -n N PROGRAM ...
[ "$1" != --version ] || { echo "one 1.0"; exit 0; }
while [ "$1" != -n ]; do shift; done
shift 2
exec "$@"
END
chmod +x "$scratch/one"

one() { # ARGUMENT...: megarun by the stand-in; leaves $status, $output
    output=$("$megarun" --launcher "$scratch/one" -n 1 "$@" 2>&1)
    status=$?
}

is() { # NAME STATUS TEXT: what the last call gave
    if [[ $status == "$2" && $output == *"$3"* ]]; then
        tap_ok "$1"
    else
        tap_fail "$1" "status $status instead of $2, output: $output"
    fi
}

# ---- Arguments ----

nonsense() { # ARGUMENT...
    output=$("$megarun" "$@" 2>&1)
    status=$?
    [[ $output == *--help* && $output != *$'\n'* ]] ||
        status="$status, not one line that says more"
    is "refused: megarun $*" 2 megarun:
}
nonsense
nonsense -n
nonsense -n 0 true
nonsense -n two true
nonsense -n -1 true
nonsense -n 2
nonsense -n 2 --restarts x true
nonsense -n 2 --home-size 5X true
nonsense -n 2 --dir '' true
nonsense -n 2 --frobnicate true
nonsense -n 2 "$scratch/absent"

output=$("$megarun" --help 2>&1) status=$?
is "--help is not an error" 0 usage:
output=$("$megarun" --version 2>&1) status=$?
is "--version is not an error" 0 megarun
output=$("$megarun" --launcher "$scratch/absent" -n 1 true 2>&1) status=$?
is "a launcher that is not there" 127 "no launcher"
export MEGALLOC_LAUNCHER="$scratch/one --some-option"
output=$("$megarun" -n 1 env 2>&1) status=$?
is "MEGALLOC_LAUNCHER is obeyed" 0 PATH=
[[ $output != *MEGALLOC_LAUNCHER* ]] || status=given
is "and kept from the ranks, which would not know it" 0 ''
unset MEGALLOC_LAUNCHER
cat >"$scratch/words" <<'END'
#!/bin/sh
echo "$*"
END
chmod +x "$scratch/words"
output=$("$megarun" --launcher "$scratch/words" -np 3 true 2>&1) status=$?
is "-np is -n" 0 "-n 3 true"

# ---- Environment and status ----

one --dir /a%n --home-size 8M sh -c 'echo "$MEGALLOC_DIR $MEGALLOC_HOME_SIZE"'
is "--dir and --home-size" 0 "/a%n 8M"
one --dir=/b -- sh -c 'echo "$MEGALLOC_DIR"'
is "--dir=, and --" 0 /b
one sh -c 'exit 3'
is "exit status" 3 ''
one sh -c 'printf "%s|" "$@"' sh 'a b' '' '*'
is "arguments arrive as they are" 0 'a b||*|'

if command -v mpirun >/dev/null || command -v mpiexec >/dev/null; then
    output=$(MEGALLOC_TIMEOUT=17 "$megarun" -n 3 \
        sh -c 'echo "rank has $MEGALLOC_TIMEOUT"' 2>&1)
    status=$?
    [[ $(grep -c 'rank has 17' <<<"$output") == 3 ]] || status="wrong count"
    is "three ranks, more than cores, each with MEGALLOC_*" 0 ''
    output=$("$megarun" -n 2 sh -c 'exit 5' 2>&1) status=$?
    is "exit status through the launcher" 5 ''
else
    tap_skip "three ranks" "no mpirun or mpiexec here"
    tap_skip "exit status through the launcher" "no mpirun or mpiexec here"
fi

# ---- What Open MPI is given ----

cat >"$scratch/openmpi" <<'END'
#!/bin/sh
[ "$1" != --version ] || { echo "mpirun (Open MPI) 4.1.4"; exit 0; }
echo "given: $* :"
END
chmod +x "$scratch/openmpi"

given() { # NAME yes|no TEXT LAUNCHER_ARGUMENT...: whether the text is given
    local name=$1 want=$2 text=$3
    shift 3
    output=$("$megarun" --launcher "$scratch/openmpi $*" -n 1 true 2>&1)
    [[ $output == *"$text"* ]] && status=yes || status=no
    is "$name" "$want" given:
}
given "threads of a rank are not bound to one core" yes "--bind-to none"
given "unless the caller says so" no "--bind-to none" --bind-to core
unset OMPI_MCA_pml SLURM_JOB_ID PBS_JOBID LSB_JOBID PE_HOSTFILE
if compgen -G '/sys/class/infiniband/*' >/dev/null; then
    given "where a fabric is it is looked for" no "pml ^cm"
else
    given "where no fabric is none is looked for" yes "pml ^cm"
fi
given "hosts are named: perhaps one is there" no "pml ^cm" --host h1,h2
given "the caller's pml is left alone" no "pml ^cm" --mca pml ob1
OMPI_MCA_pml=ob1 given "in the environment, too" no "pml ^cm"
SLURM_JOB_ID=1 given "a batch job: perhaps one is there" no "pml ^cm"
# In all three quarters of the limit.
for limit in 4:1:2 8:1:5 30:3:19; do
    IFS=: read -r limit idle probes <<<"$limit"
    MEGALLOC_TIMEOUT=$limit given "a host is given up before $limit s are over" \
        yes "keepalive_time $idle --mca oob_tcp_keepalive_intvl 1 \
--mca oob_tcp_keepalive_probes $probes "
done

# ---- Signals ----

cat >"$scratch/waits" <<'END'
#!/bin/sh
# Ends with 40 on SIGTERM, says that it is ready.
trap 'exit 40' TERM
echo $$ >"$1.new" && mv "$1.new" "$1"
while :; do sleep 0.05; done
END
chmod +x "$scratch/waits"

terminate() { # NAME OPTION...
    local name=$1 turn
    shift
    rm -f "$scratch/ready"
    "$megarun" --launcher "$scratch/one" -n 1 "$@" \
        "$scratch/waits" "$scratch/ready" >"$scratch/out" 2>&1 &
    local pid=$!
    for ((turn = 0; turn < 1000; turn++)); do
        [[ ! -e $scratch/ready ]] || break
        sleep 0.01
    done
    kill -s TERM "$pid"
    wait "$pid"
    status=$?
    output=$(<"$scratch/out")
    is "$name" 40 ''
}
terminate "SIGTERM reaches the program"
terminate "SIGTERM reaches the program, and ends restarts" --restarts 5

# ---- Restarts ----

cat >"$scratch/dies" <<'END'
#!/bin/sh
# dies FILE COUNT SIGNAL: is killed in its first COUNT runs.
echo run >>"$1"
[ "$(wc -l <"$1")" -gt "$2" ] || kill -s "$3" $$
echo "alive at last"
END
chmod +x "$scratch/dies"

runs() { # NAME COUNT: how often the program has been started
    local n
    n=$(wc -l <"$scratch/runs")
    if ((n == $2)); then tap_ok "$1"; else tap_fail "$1" "$n starts"; fi
    rm -f "$scratch/runs"
}

one --restarts 3 "$scratch/dies" "$scratch/runs" 2 KILL
is "two crashes, three restarts allowed: it gets through" 0 "alive at last"
[[ $output == *"restart 1 of 3"*"restart 2 of 3"* ]] || status=silent
is "each restart is told" 0 ''
runs "three starts" 3
began=$EPOCHREALTIME
one --restarts 4 "$scratch/dies" "$scratch/runs" 4 KILL
is "four crashes, four restarts: it gets through" 0 "alive at last"
((${EPOCHREALTIME/./} - ${began/./} >= 7000000)) || status=hurried
is "from the second on it pauses before" 0 ''
rm -f "$scratch/runs"
one --restarts 1 "$scratch/dies" "$scratch/runs" 9 SEGV
is "gives up after K restarts, with the status of the last" 139 "giving up"
runs "two starts" 2
one "$scratch/dies" "$scratch/runs" 1 KILL
is "no restart without --restarts" 137 ''
runs "one start" 1
one --restarts 5 sh -c 'echo run >>"$1"; exit 1' sh "$scratch/runs"
is "no restart after an ordinary failure" 1 ''
runs "one start" 1
one --restarts 2 sh -c 'echo run >>"$1"; exit 75' sh "$scratch/runs"
is "a program that lost a rank is started again, K times" 75 "a lost rank again"
runs "three starts" 3
cat >"$scratch/hosts" <<'END'
#!/bin/sh
# An Open MPI that loses a host; its status means nothing of another's.
[ "$1" != --version ] || { echo "mpirun (Open MPI) 4.1.4"; exit 0; }
echo run >>"$RUNS"
exit 205
END
chmod +x "$scratch/hosts"
export RUNS=$scratch/runs
output=$("$megarun" --launcher "$scratch/hosts" -n 1 --restarts 1 true 2>&1)
status=$?
is "so is a job that lost a host" 205 "a lost host again"
runs "two starts" 2
one --restarts 1 sh -c 'echo run >>"$1"; exit 205' sh "$scratch/runs"
is "but 205 is Open MPI's word only" 205 ''
runs "one start" 1
sed -i 's/(Open MPI) 4.1.4/HYDRA/; s/205/255/' "$scratch/hosts"
output=$("$megarun" --launcher "$scratch/hosts" -n 1 --restarts 1 true 2>&1)
status=$?
is "a launcher that failed starts again" 255 "launcher that failed again"
runs "two starts" 2
one --restarts 1 sh -c 'echo run >>"$1"; exit 255' sh "$scratch/runs"
is "a program that ends with 255 elsewhere does not" 255 ''
runs "one start" 1
output=$(echo text | "$megarun" --launcher "$scratch/one" -n 1 --restarts 1 cat)
status=$?
is "stdin arrives with --restarts" 0 text

# ---- Restarts by the real launcher ----

cat >"$scratch/one-dies" <<'END'
#!/bin/sh
# one-dies DIR: of the ranks of the first job one is killed.
mkdir "$1/first" 2>/dev/null && kill -s KILL $$
echo "rank is alive"
END
chmod +x "$scratch/one-dies"
if command -v mpirun >/dev/null || command -v mpiexec >/dev/null; then
    output=$("$megarun" -n 3 --restarts 2 "$scratch/one-dies" "$scratch" 2>&1)
    status=$?
    # or: by a launcher that failed, when MPICH's falls over the lost rank itself
    is "a job of three of which one is killed starts again" 0 "megarun: ended by"
    [[ $(grep -c 'rank is alive' <<<"${output#*restart 1}") == 3 ]] || status="wrong count"
    is "and all three are there" 0 "restart 1 of 2"
else
    tap_skip "a job that starts again" "no mpirun or mpiexec here"
fi

# ---- MPICH's launcher, which waits for lost ranks ----

cat >"$scratch/stops" <<'END'
#!/bin/sh
# stops DIR: in the first job rank 1 stops, and rank 0 misses it.
mkdir "$1/seen$PMI_RANK" 2>/dev/null || { echo "rank is alive"; exit 0; }
[ "$PMI_RANK" = 0 ] || kill -s STOP $$
exit 75
END
cat >"$scratch/speaks" <<'END'
#!/bin/sh
# speaks TEXT: no line, and bytes of all kinds, on both; rank 0 has a text.
[ "$PMI_RANK" = 0 ] || exit 0
printf 'out \000\377 %s %s' "$1" "$(cat)"
printf 'err \000\377 %s' "$1" >&2
exit 7
END
chmod +x "$scratch/stops" "$scratch/speaks"

stopped() { # ARGUMENT...: a job of which a rank is stopped
    rm -rf "$scratch"/seen?
    SECONDS=0
    output=$(MEGALLOC_TIMEOUT=1 "${bounded[@]}" "$patience" "$megarun" -n 2 "$@" \
        "$scratch/stops" "$scratch" 2>&1 </dev/null)
    status=$?
}

if built_with_mpich; then
    echo text | "$megarun" -n 1 "$scratch/speaks" 'a  b' \
        >"$scratch/out" 2>"$scratch/err"
    status=$? output=''
    printf 'out \000\377 a  b text' | cmp - "$scratch/out" >&2 || status=out
    printf 'err \000\377 a  bmegarun: rank 0 at %s ended with status 7\n' \
        "$(uname -n)" | cmp - "$scratch/err" >&2 || status=err
    is "status, stdin, stdout and stderr are the program's, and one line" 7 ''
    stopped
    is "a rank is stopped: the job ends" 75 "ended with status 75: it misses another"
    [[ $output == *"rank 0 at "*"still waits for ranks that are lost"* ]] ||
        status=mute
    ((SECONDS < 60)) || status="after $SECONDS s"
    is "in time, and that is told" 75 ''
    left=$(grep -lsxz "$scratch/[s]tops" /proc/[0-9]*/cmdline)
    tap_empty "nothing of it is left" "$left"
    stopped --restarts 1
    is "with --restarts it starts again" 0 "by a lost rank (status 75), restart 1"
    [[ $(grep -c 'rank is alive' <<<"$output") == 2 ]] || status="wrong count"
    is "and all are there" 0 ''
    output=$("$megarun" -n 2 sh -c 'kill -s SEGV $$' 2>&1 </dev/null)
    status=$?
    is "a rank that is ended by a signal is named" 11 "was ended by SIGSEGV"
else
    for name in "status, stdin, stdout and stderr" "a rank is stopped" \
        "a rank that is ended by a signal"; do
        tap_skip "$name" "no MPICH: the launcher is not in our hands"
    done
fi

# ---- A megarun that is killed ----

"$megarun" -n 1 --restarts 1 "$scratch/waits" "$scratch/alone" </dev/null \
    >/dev/null 2>&1 &
killed=$!
for ((turn = 0; turn < 1000; turn++)); do
    [[ ! -e $scratch/alone ]] || break
    sleep 0.01
done
kill -s KILL "$killed"
wait "$killed" 2>/dev/null
rank=$(<"$scratch/alone")
for ((turn = 0; turn < 1000; turn++)); do
    [[ -s /proc/$rank/cmdline ]] || break # a zombie's is empty
    sleep 0.01
done
if ((turn < 1000)); then
    tap_ok "a megarun that is killed takes the launcher with it"
elif ! setpriv --pdeathsig KILL true 2>/dev/null; then
    kill -s KILL "$rank"
    tap_skip "a megarun that is killed" "there is no setpriv --pdeathsig"
else
    kill -s KILL "$rank"
    tap_fail "a megarun that is killed takes the launcher with it"
fi

# ---- The ranks of a launcher that was killed ----

cat >"$scratch/orphans" <<'END'
#!/bin/sh
# orphans FILE: the first run leaves a process behind for half a second and is
# killed; the second says whether that process still runs (a zombie, which
# nobody may have reaped, has no arguments any more).
if [ -e "$1" ]; then
    args=$(tr -d '\0' 2>/dev/null <"/proc/$(cat "$1")/cmdline")
    [ -n "$args" ] && echo "still there" || echo "gone"
    exit 0
fi
sleep 0.5 &
echo $! >"$1"
kill -s KILL $$
END
chmod +x "$scratch/orphans"
one --restarts 1 "$scratch/orphans" "$scratch/orphan" </dev/null
is "a restart waits for what the crashed job has left" 0 gone

tap_end
