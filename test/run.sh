#!/bin/bash
# Everything that is tested.  The last line is "N passed, N failed"; the exit
# code is 1 when anything failed.  Logs lie in build/test/.
#
#	test/run.sh [stage ...]
set -eu
cd "$(dirname "$0")/.."

export WERROR=1
logs=build/test
mkdir -p "$logs"
passed=0
failed=0
skipped=0

# stage NAME COMMAND...: runs it, shows what is worth seeing, and counts.
stage()
{
	local name=$1 code=0 start=$SECONDS p f s
	shift
	[ ${#wanted[@]} = 0 ] || [[ " ${wanted[*]} " == *" $name "* ]] || return 0
	echo "== $name"
	"$@" </dev/null >"$logs/$name.log" 2>&1 || code=$?
	read -r p f s < <(awk -f test/count.awk "$logs/$name.log")
	# A stage that broke without saying which test counts as one.
	if [ "$code" != 0 ] && [ "$f" = 0 ]; then
		f=1
		tail -n 60 "$logs/$name.log"
	fi
	grep -iE '^(not )?ok.*# *skip|skipped: ' "$logs/$name.log" || true
	if [ "$f" != 0 ]; then
		grep -nE '^not ok| \.\.\. FAILED' "$logs/$name.log" |
			grep -viE '# *skip' || true
		show_failure "$name"
	fi
	passed=$((passed + p))
	failed=$((failed + f))
	skipped=$((skipped + s))
	echo "   $p passed, $f failed, $s skipped in $((SECONDS - start)) s"
}

# The part of a log that tells why.
show_failure()
{
	grep -vE '^ok' "$logs/$1.log" | tail -n 150
	for diff in results/regression.diffs regression.diffs \
		build/regress/regression.diffs; do
		[ "$1" != regress ] || [ ! -s "$diff" ] || head -n 200 "$diff"
	done
}

build()
{
	make -j"$(nproc)" all && echo "ok 1 - builds without a warning"
}

wanted=("$@")
stage build build
stage lint bash test/lint/lint.sh
stage unit bash test/unit/run.sh
stage unit-asan bash test/unit/run.sh address,undefined
stage unit-tsan bash test/unit/run.sh thread
stage fuzz bash test/fuzz/run.sh
stage regress bash test/regress.sh
stage tap bash test/tap.sh

[ "$skipped" = 0 ] || echo "$skipped skipped"
echo "$passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
