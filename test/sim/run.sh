#!/bin/bash
# The simulation, as a test: seeds, each fault of each call of the store, a kill
# at every so manyth step, and faults of calls of the file system; all of those
# last ones are "make sim-disk".
#
#	test/sim/run.sh [SEEDS [FIRST]]		10,000 from 1 on where nothing is said
#	test/sim/run.sh --threads [SEEDS [FIRST]]	120, by real threads, and
#										nothing else
#
# Output is TAP.  A seed that fails is seen again by "build/sim/sim -v SEED 1".
# A fault, branch or invariant that never came up in 10,000 seeds is a failure:
# what does not happen proves nothing.
set -eu
cd "$(dirname "$0")/../.."

kind="" usual=10000 out=build/sim
if [ "${1:-}" = --threads ]; then
	kind=--threads usual=120 out=build/sim-threads
	shift
fi
seeds=${1:-$usual}
first=${2:-1}
jobs=$(nproc)
code=0

mkdir -p build
# shellcheck disable=SC2086
if ! bash test/sim/build.sh $kind >"$out.log" 2>&1; then
	cat "$out.log"
	echo "not ok 1 - the simulation builds"
	exit 1
fi
echo "ok 1 - the simulation builds"

# verdict NUMBER NAME COMMAND...
verdict()
{
	local number=$1 name=$2
	shift 2
	if "$@" >"$out/$number.log" 2>"$out/$number.err"; then
		echo "ok $number - $name"
	else
		code=1
		head -80 "$out/$number.err" | sed 's/^/# /'
		echo "not ok $number - $name"
	fi
	tail -1 "$out/$number.log" | sed 's/^/# /'
}

verdict 2 "$seeds stories from seed $first" "$out/sim" -j "$jobs" "$first" "$seeds"
sed 's/^/# /' "$out/2.log"
if [ -n "$kind" ]; then
	echo "1..2"
	exit $code
fi
verdict 3 "each call of the store fails in each way" "$out/sim" -j "$jobs" -c
verdict 4 "the writer is killed at every second step" "$out/sim" -j "$jobs" -k 2
verdict 5 "every 211th fault of a call of the file system" "$out/sim" -j "$jobs" -f 211
if [ "$seeds" -ge 10000 ]; then
	if never=$(grep '^ *0  ' "$out/2.log"); then
		code=1
		echo "$never" | sed 's/^/# never came up: /'
		echo "not ok 6 - all that is counted came up"
	else
		echo "ok 6 - all that is counted came up"
	fi
	echo "1..6"
else
	echo "ok 6 # SKIP too few seeds to say that all that is counted came up"
	echo "1..6"
fi
exit $code
