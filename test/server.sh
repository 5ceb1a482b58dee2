# shellcheck shell=bash disable=SC2034,SC2154
# For the shell tests that start a server: sourced, after pg_config and tmp (a
# folder of their own) are set.
#
# Sets run, a prefix that drops root's rights, user, and bindir, the server's
# programs.  A server below a home that is closed to that user is copied to
# tmp, which PostgreSQL allows: its programs find each other by their place.

run=
bindir=$("$pg_config" --bindir)
regress=$(dirname "$(dirname "$("$pg_config" --pgxs)")")/test
major=$("$pg_config" --version | sed 's/[^0-9]*\([0-9]*\).*/\1/')

if [ "$(id -u)" = 0 ]; then
	user=postgres
	id "$user" >/dev/null 2>&1 || user=nobody
	chown "$user" "$tmp"
	run="setpriv --reuid=$user --regid=$(id -g "$user") --clear-groups"
	run="$run --inh-caps=-all --bounding-set=-all"
	if ! $run test -r "$bindir/postgres"; then
		prefix=$(dirname "$bindir")
		cp -r "$prefix" "$tmp/pg"
		chmod -R a+rX "$tmp/pg"
		regress=$tmp/pg${regress#"$prefix"}
		bindir=$tmp/pg/bin
	fi
fi
# Where a server was copied to, by us or into this cache, is also its library.
libdir=$(dirname "$bindir")/lib
[ ! -e "$libdir/libpq.so.5" ] || export LD_LIBRARY_PATH=$libdir

# The settings that make a server decode with the plugin from a folder, and
# those of SERVER_SETTINGS, such as debug_discard_caches=1.
server_conf()
{
	cat "$2/test/logical.conf.in"
	echo "dynamic_library_path = '$1:\$libdir'"
	echo "${SERVER_SETTINGS:-}"
	if $run "$bindir/postgres" --describe-config |
		grep -q '^output_plugin_libraries'; then
		echo "output_plugin_libraries = 'pgoutput, test_decoding, cdc_s3'"
	fi
}

# Sets programs to a folder of the server's programs, in which "postgres" is run
# by the command SERVER_WRAPPER, such as valgrind, if there is one.  "@" in it
# stands for tmp/wrapper, where it may write.  initdb looks for the server
# beside itself, and so finds the real one.
wrap_server()
{
	programs=$bindir
	[ -n "${SERVER_WRAPPER:-}" ] || return 0
	programs=$tmp/programs
	mkdir "$programs" "$tmp/wrapper"
	ln -s "$bindir"/* "$programs/"
	rm "$programs/postgres"
	printf '#!/bin/sh\nexec %s "%s" "$@"\n' \
		"${SERVER_WRAPPER//@/$tmp/wrapper}" "$bindir/postgres" \
		>"$programs/postgres"
	chmod a+x "$programs/postgres"
	[ -z "$run" ] || chown "$user" "$tmp/wrapper"
	export PGCTLTIMEOUT=600
}
