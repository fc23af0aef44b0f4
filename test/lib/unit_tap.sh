#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# unit_tap.sh PROGRAM - runs a Criterion program and prints its report as TAP,
# then what the tests have to tell (test/lib/report.h), as comments.
# What the tests themselves print goes to stderr, that is, to the log.
set -u
report=$1.tap
MEGA_NOTES=$1.notes
case $MEGA_NOTES in
/*) ;;
*) MEGA_NOTES=$PWD/$MEGA_NOTES ;;
esac
export MEGA_NOTES
MEGA_FAILED=${MEGA_NOTES%.notes}.failed
export MEGA_FAILED
rm -f "$report" "$MEGA_NOTES" "$MEGA_FAILED"
"$1" --tap="$report" >&2
status=$?
if [ ! -s "$report" ]; then
    echo "Bail out! $1 ended with status $status and no report"
    exit 1
fi
if [ -s "$MEGA_FAILED" ]; then # after a test's body: not in the report
    plan=$(sed -n 's/^1\.\.\([0-9]*\)$/\1/p' "$report")
    sed "s/^1\.\.$plan\$/1..$((plan + 1))/" "$report"
    echo "not ok $((plan + 1)) - nothing failed behind the tests' backs"
    cat "$MEGA_FAILED"
    exit 0
fi
cat "$report"
[ ! -s "$MEGA_NOTES" ] || cat "$MEGA_NOTES"
# A failed test is in the report; only a status that it does not explain, such
# as a sanitizer's at the end of the process, counts besides.
grep -q '^not ok' "$report" || exit "$status"
