#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# autogen.sh - makes ./configure from configure.ac and Makefile.am.
set -eu
cd "$(dirname "$0")"

missing=
need() { # PROGRAM PACKAGE
    command -v "$1" >/dev/null 2>&1 || missing="$missing $2"
}
need autoreconf autoconf
need automake automake
need libtoolize libtool
need pkg-config pkgconf
if [ -n "$missing" ]; then
    echo "autogen.sh: not installed:$missing" >&2
    echo "autogen.sh: on Debian: apt-get install -y$missing" >&2
    exit 1
fi
mkdir -p m4
exec autoreconf --install --force
