#!/bin/bash
# The TAP tests: test/tap.sh [file ...]; a file that is not there fails.
#
# TAP_JOBS programs run beside each other, two by default where there are two
# processors: most of what they do is to wait for servers.  What they said comes
# in the order of the files, each when it and all before it have ended.
set -eu
cd "$(dirname "$0")/.."

[ $# != 0 ] || set -- test/t/*.pl
for f; do
	[ -e "$f" ] || { echo "not ok - there is no $f" && exit 1; }
done
cores=$(nproc)
jobs=${TAP_JOBS:-$((cores < 2 ? 1 : 2))}
prove="prove -v --timer --merge -I test/lib"
if [ "$jobs" = 1 ] || [ $# = 1 ]; then
	# shellcheck disable=SC2086
	exec $prove "$@"
fi

said=$(mktemp -d "${TMPDIR:-/tmp}/cdc_s3_tap.XXXXXX")
runner=
trap 'rm -rf "$said"' EXIT
trap 'kill $runner 2>/dev/null; exit 143' INT TERM HUP

# shellcheck disable=SC2317
# one FILE: what it said is in a file, its exit code in another at its end.
one()
{
	local name=$said/${1//\//_} code=0
	$prove "$1" >"$name.log" 2>&1 || code=$?
	echo "$code" >"$name.code"
	mv "$name.code" "$name.ended"
}
export -f one
export said prove

# shellcheck disable=SC2016
printf '%s\0' "$@" | xargs -0 -n 1 -P "$jobs" bash -c 'one "$1"' tap &
runner=$!
failed=0
for f; do
	name=$said/${f//\//_}
	until [ -e "$name.ended" ] || ! kill -0 "$runner" 2>/dev/null; do
		sleep 0.2
	done
	if [ ! -e "$name.ended" ]; then
		echo "not ok - $f was not run"
		failed=1
		continue
	fi
	cat "$name.log"
	[ "$(cat "$name.ended")" = 0 ] || failed=1
done
wait "$runner" || failed=1
exit "$failed"
