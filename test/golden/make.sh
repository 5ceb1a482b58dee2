#!/bin/bash
# Golden frames: the packets that the plugin writes for a few scenarios.
#
#	make.sh         makes NAME.hex, one packet a line, and NAME.txt, the same
#	                as text, from each NAME.sql
#	make.sh check   makes them elsewhere and compares, less what differs from
#	                run to run (mask.pl); prints what does not match
#
# PG_CONFIG says which server to use; the plugin is taken from the build tree.
# What SERVER_WRAPPER (see server.sh) writes is copied to WRAPPER_KEEP.
set -eu
cd "$(dirname "$0")"

root=$(cd ../.. && pwd)
pg_config=${PG_CONFIG:-pg_config}
tmp=$(mktemp -d "${TMPDIR:-/tmp}/cdc_s3_golden.XXXXXX")
. ../server.sh
wrap_server
cleanup()
{
	[ ! -f "$tmp/data/postmaster.pid" ] ||
		$run "$bindir/pg_ctl" -D "$tmp/data" -m immediate -w stop >/dev/null ||
		true
	[ ! -d "$tmp/wrapper" ] || [ -z "${WRAPPER_KEEP:-}" ] ||
		cp -r "$tmp/wrapper/." "$WRAPPER_KEEP/"
	rm -rf "$tmp"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

out=.
if [ "${1:-}" = check ]; then
	out=$tmp/made
	mkdir "$out"
fi

# The plugin, and another whose frames leave in parts much earlier.
mkdir "$tmp/lib" "$tmp/build"
cp "${PLUGIN:-$root/cdc_s3.so}" "$tmp/lib/cdc_s3.so"
cp -r "$root/plugin" "$tmp/build/plugin"
rm -f "$tmp"/build/plugin/*.o
cat >"$tmp/build/Makefile" <<END
MODULE_big = cdc_s3
OBJS = $(cd "$root/plugin" && for f in *.c; do echo -n "plugin/${f%.c}.o "; done)
PG_CPPFLAGS = -I\$(srcdir)/plugin -DFRAME_LIMIT=2048 -DPART_SIZE=1000
override with_llvm = no
PGXS := $("$pg_config" --pgxs)
include \$(PGXS)
END
make -s -C "$tmp/build" PG_CONFIG="$pg_config" cdc_s3.so >"$tmp/log" 2>&1 ||
	{ cat "$tmp/log" >&2; exit 1; }
mkdir "$tmp/lib/parts"
cp "$tmp/build/cdc_s3.so" "$tmp/lib/parts/"

{
	server_conf "$tmp/lib" "$root"
	echo "listen_addresses = ''"
	echo "unix_socket_directories = '$tmp'"
} >"$tmp/logical.conf"
chmod -R a+rX "$tmp/lib" "$tmp/logical.conf"
export LC_ALL=C PGHOST="$tmp" PGPORT=5432 PGUSER=golden PGOPTIONS=
cd "$tmp"
$run "$bindir/initdb" -D "$tmp/data" -U golden -A trust -N -E UTF8 \
	--no-locale >"$tmp/log"
cat "$tmp/logical.conf" >>"$tmp/data/postgresql.conf"
$run "$bindir/pg_ctl" -D "$tmp/data" -p "$programs/postgres" \
	-l "$tmp/data/log" -w start >"$tmp/log" ||
	{ cat "$tmp/data/log" >&2; exit 1; }
cd "$root/test/golden"

for sql in *.sql; do
	name=${sql%.sql}
	encoding=$(sed -n 's/^-- encoding //p' "$sql")
	options=$(sed -n "s/^-- options //p" "$sql")
	path="$tmp/lib:\$libdir"
	[ "$name" != parts ] || path="$tmp/lib/parts:\$libdir"
	"$bindir/psql" -XAtq -v ON_ERROR_STOP=1 -d postgres -c "CREATE DATABASE $name
		ENCODING '${encoding:-UTF8}' TEMPLATE template0" \
		-c "ALTER DATABASE $name SET dynamic_library_path = '$path'"
	psql="$bindir/psql -XAtq -v ON_ERROR_STOP=1 -d $name"
	[ -n "$encoding" ] || psql="$psql -v ENCODING=UTF8"
	export PGCLIENTENCODING=${encoding:-UTF8}
	$psql -o /dev/null \
		-c "SELECT pg_create_logical_replication_slot('$name', 'cdc_s3', false, true)"
	$psql -o /dev/null -f "$sql"
	$psql -c "SELECT encode(data, 'hex') FROM pg_logical_slot_peek_binary_changes(
		'$name', NULL, NULL, VARIADIC array[$options]::text[])" >"$out/$name.hex"
	$psql -c "SELECT data FROM pg_logical_slot_peek_changes('$name', NULL, NULL,
		VARIADIC array['format', 'text', 'include_relation', 'on'] ||
		array[$options]::text[])" >"$out/$name.txt"
	$psql -o /dev/null -c "SELECT pg_drop_replication_slot('$name')"
done

[ "${1:-}" = check ] || exit 0
code=0
for sql in *.sql; do
	name=${sql%.sql}
	# Where a block ends is up to the server's version.
	[ "$name" != stream ] || [ "$major" = 15 ] || continue
	perl mask.pl <"$name.hex" >"$tmp/want"
	perl mask.pl <"$out/$name.hex" >"$tmp/got"
	if ! cmp -s "$tmp/want" "$tmp/got"; then
		echo "$name.hex differs"
		diff "$tmp/want" "$tmp/got" | cut -c1-400
		code=1
	fi
	diff "$name.txt" "$out/$name.txt" || code=1
done
exit $code
