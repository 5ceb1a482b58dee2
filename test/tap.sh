#!/bin/bash
# The TAP tests: test/tap.sh [file ...]
set -eu
cd "$(dirname "$0")/.."

if [ $# = 0 ]; then
	set -- test/t/*.t test/t/*.pl
fi
files=()
for f; do
	[ ! -e "$f" ] || files+=("$f")
done
exec prove -v --timer --merge -I test/lib "${files[@]}"
