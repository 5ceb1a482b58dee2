#!/bin/bash
# Random schemas, changes and DDL, decoded from the same WAL by cdc_s3 and by
# the server's own test_decoding: event by event they have to be equal.  So is,
# line by line, what a walsender sends, with the settings by which the plugin
# takes part in its work on and off.
#
#	run.sh [FIRST [LAST]]		seeds, 1 to 10 if not given
#
# PG_CONFIG says which server to use.  The last line is "N passed, N failed"; a
# seed that failed leaves its SQL and both outputs in build/differential.
set -u
cd "$(dirname "$0")/../.." || exit 1

pg_config=${PG_CONFIG:-pg_config}
root=$PWD
first=${1:-1}
last=${2:-$([ $# = 0 ] && echo 10 || echo "$1")}
keep=$root/build/differential
tmp=$(mktemp -d "${TMPDIR:-/tmp}/cdc_s3_differential.XXXXXX") || exit 1
cleanup()
{
	[ ! -f "$tmp/data/postmaster.pid" ] ||
		$run "$bindir/pg_ctl" -D "$tmp/data" -m immediate -w stop >/dev/null
	rm -rf "$tmp"
}
trap cleanup EXIT
trap 'exit 130' INT TERM
. test/server.sh

mkdir "$tmp/lib"
cp "${PLUGIN:-$root/cdc_s3.so}" "$tmp/lib/cdc_s3.so"
chmod -R a+rX "$tmp/lib"
export LC_ALL=C PGHOST=$tmp PGPORT=5432 PGUSER=differ PGDATABASE=postgres
export PGCLIENTENCODING=UTF8 PGOPTIONS=
(
	cd "$tmp" || exit 1
	$run "$bindir/initdb" -D data -U differ -A trust -N -E UTF8 --no-locale &&
		{
			server_conf "$tmp/lib" "$root"
			echo "listen_addresses = ''"
			echo "unix_socket_directories = '$tmp'"
		} >>data/postgresql.conf &&
		$run "$bindir/pg_ctl" -D data -l data/log -w start
) >"$tmp/log" 2>&1 || {
	cat "$tmp/log" >&2
	echo "0 passed, 1 failed"
	exit 1
}

psql="$bindir/psql -XAtq"
our_options="format=text old=full partition=leaf"

# streamed OPTIONS: what a walsender sends of all there is, in PGOPTIONS.
streamed()
{
	$psql -o /dev/null -c \
		"SELECT pg_copy_logical_replication_slot('d_cdc_s3', 'd_stream')"
	# shellcheck disable=SC2046
	PGOPTIONS=$1 timeout 120 "$bindir/pg_recvlogical" -d "$PGDATABASE" -S d_stream --start \
		--no-loop --endpos="$end" $(printf -- '-o %s ' $our_options) -f -
	until $psql -c "SELECT pg_drop_replication_slot('d_stream')" \
		>/dev/null 2>"$tmp/drop"; do
		grep -q 'is active' "$tmp/drop" || break
	done
}
passed=0
failed=0
for seed in $(seq "$first" "$last"); do
	perl test/differential/generate.pl "$seed" >"$tmp/sql"
	$psql -c "CREATE DATABASE seed$seed" && export PGDATABASE=seed$seed
	for slot in cdc_s3 test_decoding; do
		$psql -o /dev/null -c \
			"SELECT pg_create_logical_replication_slot('d_$slot', '$slot')"
	done
	# Statements may fail, which is a transaction rolled back like any other.
	$psql -f "$tmp/sql" >"$tmp/psql" 2>&1
	$psql -c "SET timezone = 'UTC'" -c "SELECT data FROM
		pg_logical_slot_get_changes('d_test_decoding', NULL, NULL,
		'include-xids', '0', 'skip-empty-xacts', '1')" >"$tmp/theirs"
	end=$($psql -c "SELECT pg_current_wal_flush_lsn()")
	streamed "" >"$tmp/on"
	streamed "-c cdc_s3.read_ahead=0 -c cdc_s3.send_bytes=0" >"$tmp/off"
	$psql -c "SELECT data FROM pg_logical_slot_get_changes('d_cdc_s3', NULL,
		NULL, 'format', 'text', 'old', 'full', 'partition', 'leaf')" \
		>"$tmp/ours"
	perl test/differential/canonical.pl cdc_s3 <"$tmp/ours" >"$tmp/a"
	perl test/differential/canonical.pl test_decoding <"$tmp/theirs" >"$tmp/b"
	if [ -s "$tmp/a" ] && cmp -s "$tmp/a" "$tmp/b" &&
		cmp "$tmp/ours" "$tmp/on" && cmp "$tmp/ours" "$tmp/off"; then
		passed=$((passed + 1))
		echo "ok $seed - seed $seed, $(wc -l <"$tmp/a") events"
	else
		failed=$((failed + 1))
		echo "not ok $seed - seed $seed"
		diff "$tmp/b" "$tmp/a" | head -n 10 | cut -c1-300
		mkdir -p "$keep/$seed"
		cp "$tmp/sql" "$tmp/ours" "$tmp/theirs" "$tmp/a" "$tmp/b" "$tmp/on" \
			"$tmp/off" "$keep/$seed/"
	fi
	for slot in cdc_s3 test_decoding; do
		$psql -o /dev/null -c "SELECT pg_drop_replication_slot('d_$slot')"
	done
	export PGDATABASE=postgres
	$psql -c "DROP DATABASE seed$seed"
done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
