# SPDX-License-Identifier: BSD-3-Clause
# quickstart_hosts.sh - ./quickstart hosts, sourced by it: the main job over
# three hosts of a lab, one of which is killed. Status 77: not possible here.

host_texts=(/usr/include/linux)

lab() {
    "$source_dir/build/run/launchers/lab" "$@"
}

over_hosts() { # COMMAND...: textindex with a rank on each of three hosts
    run "$source_dir/build/run/launchers/lab" run -n 3 \
        "$source_dir/build/run/apps/textindex/textindex" "$@"
}

# A lab of a name of our own; its end is in clean_up.
start_lab() {
    local status=0
    unset "${!MEGALLOC_@}" UCX_TLS UCX_NET_DEVICES
    export MEGALLOC_DURABILITY=process # of memory, and meant
    export MEGALLOC_LAB=quickstart-$$
    lab_is_up=yes
    lab up 3 || status=$?
    ((status != 77)) || exit 77 # it has said why
    ((status == 0)) || fail "three hosts do not start"
}

# Files count when they are durable, some hundred at a time.
kill_a_host() {
    local log=$scratch/build.log done_=0 all=1 status=0
    env "$mark" "$source_dir/build/run/launchers/lab" run -n 3 \
        "$source_dir/build/run/apps/textindex/textindex" build --progress \
        "${host_texts[@]}" </dev/null >"$log" 2>&1 &
    job=$!
    while kill -0 "$job" 2>/dev/null && ((done_ * 100 < all * 25)); do
        sleep 0.02
        read -r done_ all < <(progress "$log" last) || done_=0 all=1
    done
    lab kill h2
    wait "$job" 2>/dev/null || status=$?
    job=''
    ((status != 0)) || fail "the build was done before the kill came"
    read -r done_ all < <(progress "$log" last) || {
        cat "$log" >&2
        fail "the build ended by itself with status $status"
    }
    durable=$done_
    say "SIGKILL to all of h2 at $done_ of $all files. The job ended, by" \
        "itself, with status $status:"
    grep -E 'on (node|host) h2' "$log" | head -n 3 | sed 's/^ */    /'
}

hosts_try() { # LOG COMMAND...: shows the log if it fails
    local log=$scratch/$1
    shift
    over_hosts "$@" >"$log" 2>&1 || {
        cat "$log" >&2
        fail "$1"
    }
    # Open MPI's, of a command for a daemon that had begun before it looked.
    sed -i '/plm:rsh: Warning: setpgid/d' "$log"
}

resume_over_hosts() {
    local first all
    hosts_try resume build --resume --progress "${host_texts[@]}"
    read -r first all < <(progress "$scratch/resume" first) ||
        fail "build --resume showed no progress"
    ((first >= durable)) ||
        fail "$durable files were durable when the kill came, $first are there"
    say "It went on with $first of $all files done, not from the start."
    grep -v '^textindex: [0-9]*/[0-9]* files' "$scratch/resume"
}

main_job_over_hosts() {
    if ((EUID != 0)); then
        say "./quickstart hosts makes network namespaces, which only root" \
            "may. Please run it as root, or ./quickstart, which needs no root."
        exit 77
    fi
    packages+=(iproute2)
    install_packages
    step "Build"
    configure_in run
    logged build/run/build.log make -j"$jobs" -C build/run all
    make_scratch

    step "Three hosts: namespaces of this machine, joined by a bridge"
    say "Each has its own memory for homes, and sees the others by TCP only."
    start_lab

    step "An index built by a rank on each host; h2 is killed on the way"
    kill_a_host

    step "The job starts again: the homes of all three hosts are still there"
    resume_over_hosts

    step "Another job asks the index"
    hosts_try query query struct
    head -n 3 "$scratch/query"
    tail -n 1 "$scratch/query"

    step "Is it right? Each word of each file is counted again and compared"
    hosts_try verify verify "${host_texts[@]}"
    cat "$scratch/verify"

    printf '\nquickstart: ok\n'
}
