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
rm -f "$report" "$MEGA_NOTES"
"$1" --tap="$report" >&2
status=$?
if [ ! -s "$report" ]; then
    echo "Bail out! $1 ended with status $status and no report"
    exit 1
fi
cat "$report"
[ ! -s "$MEGA_NOTES" ] || cat "$MEGA_NOTES"
# A failed test is in the report; only a status that it does not explain, such
# as a sanitizer's at the end of the process, counts besides.
grep -q '^not ok' "$report" || exit "$status"
