#!/bin/bash
# PostgreSQL's own regression suite as the workload of a source that is
# streamed and merged: test/pgregress/pgregress.pl, with the suite of the
# server's major version from Debian's source package, which is kept in the
# cache.
#
#	test/pgregress.sh [plain|full ...]
#
# PG_CONFIG says which server, or PG_MAJOR, as for "make test".
# CDCS3_REGRESS_FLAGS are settings for cdc-s3, with spaces between them, and
# CDCS3_REGRESS_SOURCE is a folder of PostgreSQL's sources to be used instead of
# the package.
set -eu
cd "$(dirname "$0")/.."

if [ -n "${PG_MAJOR:-}" ]; then
	PG_CONFIG=$(bash test/build-pg.sh "$PG_MAJOR")
	export PG_CONFIG
	PLUGIN=$(bash test/build-plugin.sh "pg$PG_MAJOR")/cdc_s3.so
	export PLUGIN
fi
pg_config=${PG_CONFIG:-pg_config}
major=$("$pg_config" --version | sed 's/[^0-9]*\([0-9]*\).*/\1/')
version=$("$pg_config" --version | sed 's/[^0-9]*\([0-9]*\.[0-9]*\).*/\1/')
case $major in
	15) release=bookworm ;;
	17) release=trixie ;;
	18) release=forky ;;
	*) release= ;;
esac

# The package of just this version if the mirror has it, else the newest of
# the major version that it has: lists may be ahead of what lies there.
from_debian()
{
	local listed v
	if [ -z "$release" ]; then
		echo "no release of Debian has PostgreSQL $major: set CDCS3_REGRESS_SOURCE"
		return 1
	fi
	. test/debian-source.sh
	debian_lists "$work" "$release" "$release/security" ||
		debian_lists "$work" "$release" || return 1
	listed=$(apt-cache "${apt_options[@]}" showsrc "postgresql-$major" |
		sed -n 's/^Version: //p' | sort -rV)
	mkdir "$work/source"
	for v in $(grep "^$version-" <<<"$listed") $listed; do
		rm -f "$work/source"/*
		(cd "$work/source" && apt-get -q "${apt_options[@]}" source \
			--download-only "postgresql-$major=$v") || continue
		tar xf "$work/source"/*.orig.tar.* -C "$work" --wildcards \
			--strip-components=1 '*/src/test/regress' &&
			echo "${v%%-*}" >"$work/version"
		return
	done
	return 1
}

# The library of the suite's C functions needs no more than a server's headers.
build_library()
{
	# shellcheck disable=SC2016
	printf '%s\n' 'MODULES = regress' 'override with_llvm = no' \
		'PGXS := $(shell $(PG_CONFIG) --pgxs)' 'include $(PGXS)' \
		>"$1/GNUmakefile"
	make -s -C "$1" PG_CONFIG="$pg_config" regress.so
}

cache=${XDG_CACHE_HOME:-$HOME/.cache}/cdc_s3
suite=$cache/pgregress$major
mkdir -p "$cache"
if [ ! -e "$suite/complete" ]; then
	exec 9>"$suite.lock"
	flock 9 # another run may be at it
fi
if [ ! -e "$suite/complete" ]; then
	work=$(mktemp -d "$suite.XXXXXX")
	trap 'rm -rf "$work"' EXIT
	trap 'exit 130' INT TERM
	{
		if [ -n "${CDCS3_REGRESS_SOURCE:-}" ]; then
			mkdir -p "$work/src/test"
			cp -r "$CDCS3_REGRESS_SOURCE/src/test/regress" "$work/src/test/"
			echo "of $CDCS3_REGRESS_SOURCE" >"$work/version"
		else
			from_debian
		fi && build_library "$work/src/test/regress"
	} >"$suite.log" 2>&1 9>&- || {
		tail -n 20 "$suite.log" >&2
		echo "the regression suite was not brought; see $suite.log" >&2
		exit 1
	}
	rm -rf "$suite"
	mkdir "$suite"
	mv "$work/src/test/regress" "$work/version" "$suite/"
	touch "$suite/complete"
	rm -rf "$work"
fi
exec 9>&-
CDCS3_REGRESS_SUITE=$suite exec perl -I test/lib test/pgregress/pgregress.pl "$@"
