#!/bin/bash
# Runs the plugin's regression tests with pg_regress against the build tree, on
# a server of its own.  PG_CONFIG says which; arguments name tests to run
# instead of all.  The last line is "N passed, N failed"; what differs lies in
# build/regress/regression.diffs.  What the command SERVER_WRAPPER (see server.sh)
# wrote is kept as build/regress/wrapper.
set -u
cd "$(dirname "$0")/.." || exit 1

pg_config=${PG_CONFIG:-pg_config}
plugin=${PLUGIN:-$PWD/cdc_s3.so}
root=$PWD
out=$root/build/regress
tests="init options filters types runs jsonb arrays text toolong toast identity truncate
partition publication allowed ddl ddl_seen virtual transactions stream aborted concurrent twophase messages origin
settings notices errors contrib binary encoding"
[ $# = 0 ] || tests="init ${*//init/}"
want=$(set -- $tests && echo $#)

fail()
{
	echo "$1" >&2
	echo "0 passed, $want failed"
	exit 1
}

"$pg_config" --version >/dev/null || fail "no pg_config"
[ -f "$plugin" ] || fail "no plugin at $plugin: run make"

# From 18 on a server with assertions stops itself at a call of its own in that
# test, whatever the plugin does.
if [ $# = 0 ] && [ "$("$pg_config" --version | grep -oE '[0-9]+' | head -n 1)" -ge 18 ] &&
	grep -q '^#define USE_ASSERT_CHECKING 1' \
		"$("$pg_config" --includedir-server)/pg_config.h"; then
	tests=${tests/ aborted/}
	want=$((want - 1))
	echo "left out: aborted, which needs a server without assertions from 18 on"
fi

tmp=$(mktemp -d "${TMPDIR:-/tmp}/cdc_s3_regress.XXXXXX") || exit 1
pid=
cleanup()
{
	# Only if pg_regress did not come to stop it itself.
	[ -z "$pid" ] || kill "$pid" 2>/dev/null
	if [ -f "$tmp/server/data/postmaster.pid" ]; then
		kill -QUIT "$(head -n 1 "$tmp/server/data/postmaster.pid")" 2>/dev/null
	fi
	rm -rf "$tmp"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

. test/server.sh
wrap_server
pg_regress=$regress/regress/pg_regress
[ -x "$pg_regress" ] || fail "no pg_regress at $pg_regress"

# Copies, since the build tree may be closed to that user.
mkdir "$tmp/lib"
cp -r sql expected "$tmp/"
cp "$plugin" "$tmp/lib/cdc_s3.so"
# A library that a test may move away.
cp "$("$pg_config" --pkglibdir)/hstore.so" "$tmp/lib/late.so" ||
	fail "no hstore: install the server's contrib modules"
for t in $tests; do # without one pg_regress would stop
	[ -f "expected/$t.out" ] || : >"$tmp/expected/$t.out"
done
server_conf "$tmp/lib" "$root" >"$tmp/logical.conf"
grep -v '^\\echo' plugin/cdc_s3--1.0.sql >"$tmp/cdc_s3.sql"
chmod -R a+rX "$tmp"
[ -z "$run" ] || chown -R "$user" "$tmp"

# run_regress PROGRAM INPUT OUTPUT TEST...: adds to passed, sets code.
run_regress()
{
	local program=$1 input=$2 output=$3 result=0
	shift 3
	mkdir -p "$output"
	[ -z "$run" ] || chown "$user" "$output"
	# The tests expect the C locale's messages and order, and UTF-8.
	(cd "$tmp" && exec env -u PGDATABASE -u PGUSER -u PGPORT -u PGHOST \
		-u PGSERVICE -u PGOPTIONS LC_ALL=C TMPDIR="$tmp" \
		CDC_S3_SQL="$tmp/cdc_s3.sql" CDC_S3_LIB="$tmp/lib" \
		$run "$program" --bindir="$programs" --inputdir="$input" --outputdir="$output" \
		--temp-instance="$tmp/server" --temp-config="$tmp/logical.conf" \
		--dlpath="$tmp/lib" --encoding=UTF8 --no-locale "$@") >"$tmp/log" 2>&1 &
	pid=$!
	wait "$pid" || result=$?
	pid=
	rm -rf "$tmp/server"
	cat "$tmp/log"
	# "ok 1 - name" from 16 on, "test name ... ok" before.
	passed=$((passed + $(grep -cE '^(ok [0-9]|test .* \.\.\. ok)' "$tmp/log")))
	[ "$result" = 0 ] || code=1
}

passed=0
code=0
run_regress "$pg_regress" "$tmp" "$tmp/out" $tests
mkdir -p "$out"
rm -rf "$out"/results "$out"/isolation "$out"/regression.diffs "$out"/wrapper
[ ! -d "$tmp/wrapper" ] || cp -r "$tmp/wrapper" "$out/"
cp -r "$tmp/out/results" "$out/" 2>/dev/null
cp "$tmp/out/regression.diffs" "$out/" 2>/dev/null
cp "$tmp/out/log/postmaster.log" "$out/" 2>/dev/null
[ "$code" = 0 ] || tail -n 5 "$tmp/out/log/"*.log 2>/dev/null

# Sessions beside each other.
if [ $# = 0 ]; then
	specs=$(cd "$root/test/isolation/specs" && echo *.spec | sed 's/\.spec//g')
	want=$((want + $(set -- $specs && echo $#)))
	mkdir "$tmp/iso"
	cp -r "$root/test/isolation/specs" "$root/test/isolation/expected" "$tmp/iso/"
	for t in $specs; do
		[ -f "$tmp/iso/expected/$t.out" ] || : >"$tmp/iso/expected/$t.out"
	done
	chmod -R a+rX "$tmp/iso"
	[ -z "$run" ] || chown -R "$user" "$tmp/iso"
	run_regress "$regress/isolation/pg_isolation_regress" "$tmp/iso" \
		"$tmp/iso_out" $specs
	cp -r "$tmp/iso_out/results" "$out/isolation" 2>/dev/null
	cat "$tmp/iso_out/regression.diffs" >>"$out/regression.diffs" 2>/dev/null
fi

# The frames that the decoder is tested with are those that the plugin writes.
if [ $# = 0 ]; then
	want=$((want + 1))
	cd "$root" || exit 1
	if PLUGIN=$plugin bash test/golden/make.sh check; then
		passed=$((passed + 1))
		echo "test golden                       ... ok"
	else
		code=1
		echo "test golden                       ... FAILED"
	fi
fi
echo "$passed passed, $((want - passed)) failed"
[ "$code" = 0 ] && [ "$passed" = "$want" ]
