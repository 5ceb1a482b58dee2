#!/bin/bash
# The TAP tests: test/tap.sh [file ...]; a file that is not there fails.
set -eu
cd "$(dirname "$0")/.."

[ $# != 0 ] || set -- test/t/*.pl
for f; do
	[ -e "$f" ] || { echo "not ok - there is no $f" && exit 1; }
done
exec prove -v --timer --merge -I test/lib "$@"
