# Read by scripts whose output is TAP, with $tap, the name of what they try.
# Brings $work, a folder that goes with the shell, and $n, the tests so far.
# shellcheck shell=bash

# shellcheck disable=SC2154
work=$(mktemp -d "${TMPDIR:-/var/tmp}/cdc_s3_$tap.XXXXXX")
trap 'rm -rf "$work"' EXIT
n=0

# ok NAME COMMAND...: what a failing one said comes with it.
ok()
{
	local name=$1
	n=$((n + 1))
	shift
	if "$@" >"$work/out" 2>&1; then
		echo "ok $n - $tap: $name"
	else
		sed 's/^/# /' "$work/out"
		echo "not ok $n - $tap: $name"
	fi
}
not() { ! "$@"; }
