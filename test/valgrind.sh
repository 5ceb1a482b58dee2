#!/bin/bash
# The plugin's regression tests and golden frames on a server under valgrind,
# which knows of the server's memory contexts.  Reports whose stack passes the plugin fail; those
# of the server alone are not ours.  The last line is "N passed, N failed".
#
#	test/valgrind.sh [test ...]
#
# Without names it is all of them.
set -eu
cd "$(dirname "$0")/.."

if [ $# = 0 ]; then
	for f in sql/*.sql; do
		name=$(basename "$f" .sql)
		[ "$name" = init ] || set -- "$@" "$name"
	done
fi

sh test/deps.sh valgrind
PG_CONFIG=$(bash test/build-pg.sh 17 valgrind)
export PG_CONFIG
PLUGIN=$(bash test/build-plugin.sh pg17-valgrind)/cdc_s3.so
export PLUGIN
rm -rf build/valgrind
mkdir -p build/valgrind

export SERVER_WRAPPER="valgrind --quiet --trace-children=yes --leak-check=no \
--track-origins=no --num-callers=40 --error-limit=no --fullpath-after= \
--log-file=@/%p.log"
code=0
bash test/regress.sh "$@" >build/valgrind/regress.log || code=$?
cat build/valgrind/regress.log
cp -r build/regress/wrapper/. build/valgrind/
if WRAPPER_KEEP=$PWD/build/valgrind bash test/golden/make.sh check \
	>build/valgrind/golden.log 2>&1; then
	golden=1
	echo "ok - golden"
else
	golden=0
	code=1
	cat build/valgrind/golden.log
	echo "not ok - golden"
fi

# One report is a block of lines that begin with the process number.
awk '
	FNR == 1 { files++ }
	/^==[0-9]+== *$/ { finish(); next }
	/^==[0-9]+==/ { block = block $0 "\n"; ours = ours || /\/plugin\/[a-z_]+\.c:|cdc_s3\.so/ }
	END { finish(); print files, "processes" }
	function finish() {
		if (ours) { print block; bad++ }
		block = ""; ours = 0
	}
' build/valgrind/[0-9]*.log >build/valgrind/reports
tail -n 1 build/valgrind/reports
read -r passed failed < <(sed -n \
	's/^\([0-9]*\) passed, \([0-9]*\) failed$/\1 \2/p' build/valgrind/regress.log)
passed=$((passed + golden))
failed=$((failed + 1 - golden))
if grep -q '^==' build/valgrind/reports; then
	echo "not ok - valgrind: reports about the plugin"
	head -n 100 build/valgrind/reports
	failed=$((failed + 1))
	code=1
else
	passed=$((passed + 1))
	echo "ok - valgrind: no report about the plugin"
fi
echo "$passed passed, $failed failed"
exit $code
