#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# tool_use.sh - the megalloc tool as a person and as a script meet it: every
# command on a space whose content is known, on single files, beside a running
# job, and with wrong arguments. What it prints as JSON has the keys that
# megalloc(1) names. Damage is tool_damage.sh's.
. "${MEGA_SRCDIR:?}/test/cluster/ranks.sh"
export MEGALLOC_HOME_SIZE=10M
tool=$MEGA_BUILDDIR/apps/tool/megalloc
space=$MEGALLOC_DIR
python=$(command -v /usr/bin/python3 || command -v python3)

# run STATUS COMMAND...: its output in out and err; prints what is wrong.
run() {
    local want=$1 got
    shift
    "$@" >"$scratch/out" 2>"$scratch/err" </dev/null
    got=$?
    ((got == want)) || { echo "status $got, not $want:"; cat "$scratch/err"; }
}

megalloc() { # STATUS ARGUMENT...
    local want=$1
    shift
    run "$want" "$tool" "$@"
}

says() { # TEXT...: in what it printed or said
    local text
    for text; do
        grep -qF -- "$text" "$scratch/out" "$scratch/err" ||
            { echo "not told: $text"; cat "$scratch/out" "$scratch/err"; }
    done
}

silent() { # nothing on stdout
    [[ ! -s $scratch/out ]] || { echo "on stdout:"; cat "$scratch/out"; }
}

# json EXPRESSION...: true of the document d that was printed.
json() {
    [[ -n $python ]] || return 0
    "$python" - "$scratch/out" "$@" <<'END'
import json, sys
with open(sys.argv[1]) as file:
    d = json.load(file)
for text in sys.argv[2:]:
    if not eval(text):
        print("does not hold:", text, "of", json.dumps(d)[:600])
END
}
[[ -n $python ]] || tap_skip "JSON" "no python3 here: documents are not read"

new_job() { # ARGUMENT...: makes the space
    new_space
    job 2 tool_space "$@"
    grep '^leak ' <<<"$output" | sort >"$scratch/leaks"
}

# ---- Wrong arguments ----

tap_empty "no command, no directory" \
    "$(megalloc 2; says --help "say what to do"; silent
       megalloc 2 check; says --help "which directory")"
tap_empty "a command that does not exist: the nearest" \
    "$(megalloc 2 chek "$space"; says "no command chek; did you mean check?"
       megalloc 2 leak "$space"; says "did you mean leaks?"
       megalloc 2 nonsense "$space"; says "no command nonsense" --help)"
tap_empty "an option that does not exist: the nearest" \
    "$(megalloc 2 check --repiar "$space"
       says "no option --repiar; did you mean --repair?"
       megalloc 2 stat --wacth=1 "$space"; says "did you mean --watch?"
       megalloc 2 check -r "$space"; says "no option -r"
       megalloc 2 check -rf "$space"; says "no option -rf")"
tap_empty "an option of another command" \
    "$(megalloc 2 check --free "$space"; says "--free is no option of check"
       megalloc 2 info --yes "$space"; says "--yes is no option of info"
       megalloc 2 rm --svg=x "$space"; says "--svg is no option of rm")"
tap_empty "values that are none" \
    "$(for option in --watch=x --watch=-1 --watch=0 --watch=1e9 --times=0 \
           --times=x --times=-1 --times=; do
           megalloc 2 stat "$option" "$space"; says "value of ${option%%=*}"
       done; megalloc 2 check --repair=1 "$space"; says "one too many"
       megalloc 2 dump --svg; says "missing")"
tap_empty "--help and --version" \
    "$(megalloc 0 --help; says usage:; megalloc 0 check --help; says usage:
       megalloc 0 --version; says "megalloc ")"

# ---- No access ----

mkdir "$scratch/empty"
all="info check leaks stat ls dump rm"
tap_empty "a directory that is missing, or empty, or a file that is none" \
    "$(for command in $all; do
           megalloc 2 $command --json /nonexistent; says /nonexistent; silent
           megalloc 2 $command --json "$scratch/empty"; says "no home-"; silent
           megalloc 2 $command --json /dev/null; says /dev/null; silent
       done; for command in info stat dump ls leaks rm; do
           megalloc 2 $command --json /etc/passwd; silent
       done; megalloc 1 check /etc/passwd; says "/etc/passwd: offset 0")"
new_job
tap_empty "what is no file is refused, and not waited for; what is damaged is told" \
    "$(mkdir "$scratch/odd"; cp "$space/home-0.0.pool" "$scratch/odd"
       mkfifo "$scratch/odd/home-1.0.pool"
       for command in $all; do
           run 2 timeout 20 "$tool" $command "$scratch/odd"
           says "home-1.0.pool is no regular file"; silent
       done
       cp --remove-destination "$space/home-1.0.pool" "$scratch/odd"
       : >"$scratch/odd/home-2.0.pool"
       for command in info stat ls dump; do
           megalloc 0 $command "$scratch/odd"; says "left out: see megalloc check"
       done; rm "$scratch/odd/home-2.0.pool"
       mkfifo "$scratch/odd/home-1.lock"
       run 0 timeout 20 "$tool" check "$scratch/odd"; says ": sound")"
denied() { # COMMAND: by a user who may not read
    if ((EUID == 0)); then
        run 2 setpriv --reuid 65534 --clear-groups "$tool" "$1" "$space"
    else
        chmod 000 "$space/home-0.0.pool"
        megalloc 2 "$1" "$space"
        chmod 600 "$space/home-0.0.pool"
    fi
}
chmod 755 "$scratch" "$space" # the files are 0600
if ((EUID != 0)) || setpriv --reuid 65534 --clear-groups "$tool" --version \
    >/dev/null 2>&1; then
    tap_empty "files that may not be read" \
        "$(for command in $all; do
               denied $command; says "home-0.0.pool: Permission denied"
           done)"
else
    tap_skip "files that may not be read" "another user cannot run the tool"
fi

# ---- What there is ----

tap_empty "info" "$(megalloc 0 info "$space"
    says "2 homes, 2 here" "home 1: epoch 1, ended cleanly" home-1.0.pool
    megalloc 0 info --json "$space"
    json 'set(d) == {"uuid", "nhomes", "format", "extent", "granule", "homes"}' \
        'd["nhomes"] == 2 and len(d["homes"]) == 2' \
        'set(d["homes"][0]) == {"home", "epoch", "clean", "in_use", "spans", "files"}' \
        'd["homes"][1]["clean"] and not d["homes"][1]["in_use"]' \
        'set(d["homes"][0]["files"][0]) == {"path", "bytes", "pool", "root_offset", "domain"}')"
disk=$(mktemp -d "$MEGA_BUILDDIR/tool_use.XXXXXX")
trap 'rm -rf "$scratch" "$disk"' EXIT
tap_empty "info guesses the domain, by the words of megalloc(7)" \
    "$(case $(stat -f -c %T "$disk") in
       tmpfs | ramfs) word=process ;;
       *) word=power-msync ;;
       esac
       cp "$space/home-0.0.pool" "$disk"
       megalloc 0 info "$space"; says "domain process (a guess)"
       megalloc 0 info "$disk/home-0.0.pool"; says "domain $word (a guess)")"
rm -r "$disk"
tap_empty "ls" "$(megalloc 0 ls "$space"; says "field" "list" "(default)"
    megalloc 0 ls --json "$space"
    json 'set(d) == {"regions", "roots"}' \
        '[r["name"] for r in d["regions"]] == ["(default)", "field"]' \
        'd["regions"][0]["chunks"] == 308 and d["regions"][1]["chunks"] == 1' \
        'd["regions"][1]["bytes_per_home"] == 200000' \
        'set(d["regions"][0]) == {"id", "name", "bytes_per_home", "held", "chunks", "chunk_bytes"}' \
        'len(d["roots"]) == 1 and d["roots"][0]["name"] == "list"' \
        'd["roots"][0]["region"] == 1 and d["roots"][0]["value"][:2] == "0x"')"
tap_empty "check" "$(megalloc 0 check --json "$space"
    json 'set(d) == {"sound", "homes", "of", "in_use", "faults", "pending", "repaired", "problems"}' \
        'd["sound"] and d["homes"] == d["of"] == 2 and d["problems"] == []')"
# 300 chunks of 112 and 7 of 48 in turn over two homes, 3072 bytes, a run.
tap_empty "stat agrees with what was allocated" "$(megalloc 0 stat --json "$space"
    json 'd["homes"][0]["live_chunks"] == 150 + 4 + 1 + 1' \
        'd["homes"][0]["live_bytes"] == 150 * 112 + 4 * 48 + 3072 + 262144' \
        'd["homes"][1]["live_chunks"] == 150 + 3' \
        'd["homes"][1]["live_bytes"] == 150 * 112 + 3 * 48' \
        '[(c["size"], c["used"]) for c in d["homes"][0]["classes"]] == [(48, 4), (112, 150), (3072, 1)]' \
        'all(c["used"] + c["free"] == c["slabs"] * (65536 // c["size"]) for h in d["homes"] for c in h["classes"])' \
        'all(h["size"] == h["free"] + h["slabs"] + h["runs"] + h["raw"] for h in d["homes"])' \
        'all(h["raw"] == 262144 and h["largest_hole"] <= h["free"] for h in d["homes"])' \
        'all(0 <= h["fragmentation"] <= 1 for h in d["homes"])' \
        'd["homes"][0]["runs"] == 262144 and d["homes"][1]["runs"] == 0'
    megalloc 0 stat "$space"; says "156 live chunks" "153 live chunks" fragmentation)"
tap_empty "dump" "$(megalloc 0 dump "$space"; says "home 0, span 0" Rrrr Wwww
    megalloc 0 dump --json "$space"
    json 'len(d["spans"]) == 2' \
        'all(len("".join(s["rows"])) == s["extents"] for s in d["spans"])' \
        'set(d["spans"][0]) == {"home", "span", "extents", "rows"}')"
tap_empty "dump --svg: a picture of each extent" \
    "$(megalloc 0 dump --json --svg "$scratch/map.svg" "$space"
       json 'len(d["spans"]) == 2'
       [[ -z $python ]] || "$python" - "$scratch/out" "$scratch/map.svg" <<'END'
import json, sys, xml.dom.minidom
extents = sum(s["extents"] for s in json.load(open(sys.argv[1]))["spans"])
svg = xml.dom.minidom.parse(sys.argv[2]).documentElement
cells = [r for r in svg.getElementsByTagName("rect")
         if not r.hasAttribute("stroke") and r.getAttribute("x")]
drawn = sum(int(r.getAttribute("width")) // int(r.getAttribute("height"))
            for r in cells)
if svg.tagName != "svg" or drawn != extents:
    print(drawn, "cells for", extents, "extents")
END
       megalloc 2 dump --svg=/nonexistent/map.svg "$space"
       says /nonexistent/map.svg)"
tap_empty "single files, and a file named twice" \
    "$(for command in info check stat dump; do
           megalloc 0 $command "$space/home-1.0.pool"
       done; says "home 1, span 0"
       megalloc 0 check --json "$space" "$space/home-1.0.pool" "$space"
       json 'd["homes"] == 2 and d["sound"]'
       megalloc 2 ls "$space/home-1.0.pool"; says "home 0"
       megalloc 2 leaks "$space/home-1.0.pool"; says "all 2 homes")"

# ---- Leaks ----

tap_empty "leaks are those that were made" "$(megalloc 1 leaks --all --json "$space"
    json 'set(d) == {"live", "leaks", "bytes", "freed", "in_use", "chunks"}' \
        'd["live"] == 309 and d["leaks"] == 8 and not d["freed"]' \
        'd["bytes"] == 7 * 48 + 262144' \
        'set(d["chunks"][0]) == {"chunk", "home", "bytes", "region"}'
    megalloc 1 leaks "$space"
    sed -n 's/^\(0x[0-9a-f]*\) .*/leak \1/p' "$scratch/out" | sort |
        diff "$scratch/leaks" -)"
tap_empty "leaks --free frees them and nothing else" \
    "$(megalloc 0 leaks --free --json "$space"; json 'd["leaks"] == 8 and d["freed"]'
       megalloc 0 leaks --json "$space"; json 'd["leaks"] == 0 and d["live"] == 301'
       megalloc 0 check "$space"; says ": sound"
       megalloc 0 stat --json "$space"
       json 'd["homes"][0]["runs"] == 0 and d["homes"][0]["pending"] == 262144')"
passes "the next job opens it" 2 life open
tap_empty "and gives the large one back" "$(megalloc 0 stat --json "$space"
    json 'd["homes"][0]["pending"] == 0'
    megalloc 0 leaks "$space"; says "0 of 301 live chunks leaked")"

# ---- Names ----

new_space
passes "roots with names in other scripts" 1 tool_space names naïve→日本 \
    $'\xff\xe2\x82' $'line\nbell\a\xc2\x9b31m\xe2\x80\xae' $'\xc0\xaf\xed\xa0\x80'
tap_empty "names are printed as they are, but for what no terminal should meet" \
    "$(megalloc 0 ls "$space"; says " 0x0000000000000000  naïve→日本" "  ???" "  line?bell???31m???"
       megalloc 0 ls --json "$space"
       json '[r["name"] for r in d["roots"]] == ["naïve→日本", "???", "line?bell???31m???", "?????"]'
       cp -r "$space" "$scratch/"$'\xff日'
       megalloc 1 check --json "$scratch/"$'\xff日' "$space"
       json '"日" in d["problems"][0]["what"] + d["problems"][0]["file"]')"

# root -> pool 0 -> pool 1 -> pool 0
new_space
passes "a space of two pool files" 1 tool_space grow
cp -a "$space" "$scratch/before"
tap_empty "leaks of one pool file only: refused, nothing is freed" \
    "$(for pool in "$space/home-0.0.pool" "$space/home-0.1.pool"; do
           megalloc 2 leaks "$pool"; says "leaks needs all"; silent
           megalloc 2 leaks --free "$pool"; silent
       done; megalloc 2 leaks "$space/home-0.0.pool"
       says "leaks needs all 2 pool files of home 0; 1 here"
       diff -r "$scratch/before" "$space")"
tap_empty "all its files named, or its directory: none leaks" \
    "$(megalloc 0 leaks "$space"/home-0.*.pool; says "0 of 3 live"
       megalloc 0 leaks "$space"; says "0 of 3 live")"
tap_empty "a directory in which one pool file lacks: refused" \
    "$(mv "$space/home-0.1.pool" "$scratch/away"
       megalloc 2 leaks "$space"; says "all 2 pool files of home 0"; silent
       megalloc 2 leaks --free "$space"; silent
       cmp "$space/home-0.0.pool" "$scratch/before/home-0.0.pool" 2>&1)"
older() { # FILE WHICH: FILE is put back as it was, WHICH pool is older
    cp "$scratch/before/$1" "$space"
    megalloc 1 check "$space"
    says "pool $2" "is an older copy"
    cp "$scratch/after/$1" "$space"
}
mv "$scratch/away" "$space/home-0.1.pool"
passes "a job opens it and ends" 1 tool_space
cp -a "$space" "$scratch/after"
tap_empty "check tells which pool file of a home is an older copy" \
    "$(older home-0.0.pool "0 is an"
       older home-0.1.pool "1 is of epoch"
       megalloc 0 check "$space"; says ": sound")"
rm -r "$scratch/before" "$scratch/after"

# ---- Beside a running job ----

new_space
: >"$scratch/job" # there before the loop looks
"${bounded[@]}" 300 "$megarun" -n 2 "$programs/tool_space" wait \
    "$scratch/enough" >>"$scratch/job" 2>&1 &
pid=$!
for ((i = 0; i < 1200; i++)); do
    (($(grep -c '^leak ' "$scratch/job") < 8)) || break
    sleep 0.05
done
tap_empty "stat --watch ends by its count, one document a line" \
    "$(megalloc 0 stat --watch=0.02 --times=3 --json "$space"
       (($(wc -l <"$scratch/out") == 3)) || cat "$scratch/out"
       tail -n 1 "$scratch/out" >"$scratch/last"; mv "$scratch/last" "$scratch/out"
       json 'd["homes"][0]["live_chunks"] == 156')"
tap_empty "stat --watch ends by itself when the space goes" \
    "$(mkdir "$scratch/copy" && cp "$space"/*.pool "$scratch/copy"
       "$tool" stat --watch=0.01 "$scratch/copy" >"$scratch/out" 2>"$scratch/err" &
       for ((i = 0; i < 3000; i++)); do [[ ! -s $scratch/out ]] || break; sleep 0.01; done
       rm -r "$scratch/copy"; wait $!; (($? == 2)) || echo "status $?"
       says "$scratch/copy")"
tap_empty "info, check and leaks know that it is in use" \
    "$(megalloc 0 info "$space"; says "home 1: epoch 1, in use"
       megalloc 0 info --json "$space"; json 'd["homes"][0]["in_use"]'
       megalloc 0 check "$space"; says "a job has it open"
       megalloc 0 check --json "$space"; json 'd["in_use"] and d["sound"]'
       megalloc 1 leaks "$space"; says "a job has it open"
       megalloc 1 leaks --json "$space"; json 'd["in_use"]')"
cp -a "$space" "$scratch/before"
tap_empty "who would change it is refused, and told who holds it" \
    "$(for command in "check --repair" "leaks --free" "rm --yes"; do
           megalloc 2 $command "$space"; says "in use" "held by process"; silent
           megalloc 2 $command "$space/home-1.0.pool"
       done; diff -r "$scratch/before" "$space")"
touch "$scratch/enough"
wait $pid
status=$?
tap_empty "the job has not noticed" "$( ((status == 0)) || cat "$scratch/job")"

# ---- Homes of several hosts ----

for host in here there; do
    mkdir "$scratch/$host-h"
done
cp "$space"/home-0.* "$scratch/here-h"
cp "$space"/home-1.* "$scratch/there-h"
tap_empty "homes in several directories are one space" \
    "$(megalloc 0 check "$scratch/here-h" "$scratch/there-h"
       says "2 of 2 homes: sound"
       megalloc 0 check "$scratch/there-h" "$scratch/here-h"
       says "2 of 2 homes: sound"
       megalloc 0 check --repair "$scratch/here-h" "$scratch/there-h"
       megalloc 0 ls "$scratch/here-h" "$scratch/there-h"; says field
       megalloc 0 stat --json "$scratch/here-h" "$scratch/there-h"
       json 'len(d["homes"]) == 2')"
tap_empty "a home whose directory was not given is told" \
    "$(megalloc 1 check "$scratch/here-h"; says "home 1 is missing" \
           "name a copy too" "1 of 2 homes: unsound"
       megalloc 1 check "$scratch/there-h"; says "home 0 is missing")"
cp "$space"/home-0.* "$scratch/there-h"
tap_empty "a second copy of a home is told" \
    "$(megalloc 1 check "$scratch/here-h" "$scratch/there-h"
       says "it is pool 0 of home 0, as $scratch/" "one copy only"
       megalloc 0 info "$scratch/here-h" "$scratch/there-h"; says "there twice")"
tap_empty "and nothing is changed in either" \
    "$(cp -a "$scratch/here-h" "$scratch/before-h"
       for what in "$scratch/here-h $scratch/there-h" \
           "$scratch/there-h/home-0.0.pool $scratch/here-h/home-0.0.pool"; do
           for command in "check --repair" "leaks --free" "rm --yes"; do
               megalloc 2 $command --json $what; silent
               says "both pool 0 of home 0" "give one copy only"
           done
       done; diff -r "$scratch/before-h" "$scratch/here-h"
       diff "$scratch/before-h/home-0.0.pool" "$scratch/there-h/home-0.0.pool")"
rm -r "$scratch/before-h" "$scratch/here-h" "$scratch/there-h"

# ---- rm ----

tap_empty "rm asks, and does nothing where nobody can answer" \
    "$(cp -a "$space" "$scratch/there"; megalloc 2 rm "$space"; says --yes; silent
       diff -r "$scratch/there" "$space")"
answer() { # TEXT: at a terminal
    echo "$1" | script -qec "'$tool' rm '$space'" /dev/null 2>&1
}
if command -v script >/dev/null; then
    tap_empty "rm takes no for an answer" "$(answer n >"$scratch/out"
        : >"$scratch/err"; says "for ever?"; diff -r "$scratch/there" "$space")"
    tap_empty "and yes" "$(answer y >"$scratch/out"; : >"$scratch/err"
        says "removed 2 files"; ls "$space"; cp "$scratch/there"/* "$space")"

    export MEGALLOC_DIR=$scratch/growing
    # The job goes on when it has asked, and answers when it is done.
    asked() {
        local turn
        for ((turn = 0; turn < 1200; turn++)); do
            ! grep -q "for ever?" "$scratch/out" || break
            sleep 0.05
        done
        output=$("$megarun" -n 1 "$programs/grow" elsewhere / 2>&1) ||
            echo "$output" >"$scratch/grow"
        echo y
    }
    : >"$scratch/out"
    passes "a space, of which a home grows" 1 life open
    tap_empty "while rm asks: it removes the new file, too" \
        "$(: >"$scratch/grow"
           asked | script -qec "'$tool' rm '$MEGALLOC_DIR'" /dev/null \
               >"$scratch/out" 2>&1
           cat "$scratch/grow"; : >"$scratch/err"
           says "1 files, for ever" "removed 2 files"; ls "$MEGALLOC_DIR")"
    MEGALLOC_DIR=$space
else
    tap_skip "rm takes an answer" "no script(1) here"
    tap_skip "a file that appears while rm asks" "no script(1) here"
fi
tap_empty "rm removes the files of the space and no other" \
    "$(touch "$space/notes" "$space/home-7.lock" "$space/home-0.1.pool.new" \
           "$space/home-0.+1.pool" "$space/home-00.0.pool.new"
       megalloc 0 rm --yes --json "$space"; json 'd["removed"] == 2'
       others="home-0.+1.pool home-00.0.pool.new home-7.lock notes"
       [[ $(cd "$space" && echo *) == "$others" ]] || ls "$space")"
tap_empty "rm leaves all if one file is not of the space" \
    "$(cp "$scratch/there"/* "$space"; cp "$space/notes" "$space/home-2.0.pool"
       megalloc 2 rm --yes "$space"; says home-2.0.pool "nothing is removed"
       cmp "$scratch/there/home-0.0.pool" "$space/home-0.0.pool" 2>&1)"
tap_end
