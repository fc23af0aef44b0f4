#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# net_stops.sh - ranks on two hosts, one of which is stopped, for a while or for
# good: who asks it something waits as long as it may, no longer.
. "${MEGA_SRCDIR:?}/test/lib/net_jobs.sh"

# stopped ARGUMENT...: of net_lost. Who goes on, on a machine that is too busy
# to let it answer in time, is given more.
stopped() {
    local try
    for try in 1 4 16; do
        MEGALLOC_TIMEOUT=$((try * patient)) UCX_TLS=$tls hosts 2 net_lost "$@"
        [[ $output == *"mega_barrier(): no answer in time"* ]] || break
    done
    each_step "$tls, a rank is stopped for a while"
}

for tls in tcp,self shm,self; do # of shared memory UCX ends nothing
    for case in others own put told "told commit" beside middle "middle get"; do
        # shellcheck disable=SC2086 # a case and its argument
        stopped $case
    done
    MALLOC_PERTURB_=165 stopped atomics
    MEGALLOC_TIMEOUT=$patient UCX_TLS=$tls lossy 2 net_lost closing
    told "$tls, at the end who is stopped is waited for once, not by each link" 1
    for case in quiet drain threads; do
        HOSTS=6 MEGALLOC_TIMEOUT=4 UCX_TLS=$tls lossy 6 net_silent $case
        told "$tls, several are stopped: that costs one wait, and another" 1 \
            "host[1-5]"
    done
    HOSTS=3 MEGALLOC_TIMEOUT=8 UCX_TLS=$tls lossy 3 net_silent linking
    told "$tls, one is stopped while links are made: the others end" 2 "host[0-2]"
    tap_try "and it is named" grep -q '^told: rank 1 on host host1' <<<"$output"
done
HOSTS=1 MEGALLOC_TIMEOUT=4 lossy 6 net_silent growth
told "several of one host are stopped: not each thread waits for them" 1 host0
tap_end
