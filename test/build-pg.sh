#!/bin/bash
# Builds a PostgreSQL server with assertions from Debian's source package into
# the cache, unless it is there, and prints the path of its pg_config.
#
#	test/build-pg.sh MAJOR		(17 or 18)
#
# Needs a compiler, bison, flex, liblz4-dev and libzstd-dev, but no root.
# JOBS says how many compilers run at once.
set -eu

major=${1:-}
case $major in
	17) suite=trixie ;;
	18) suite=forky ;;
	*)
		echo "usage: $0 17|18" >&2
		exit 2
		;;
esac

cache=${XDG_CACHE_HOME:-$HOME/.cache}/cdc_s3
prefix=$cache/pg$major
pg_config=$prefix/bin/pg_config
if [ -e "$prefix/complete" ]; then
	echo "$pg_config"
	exit 0
fi

for tool in gcc make bison flex perl xz apt-get; do
	command -v "$tool" >/dev/null || {
		echo "building PostgreSQL $major needs \"$tool\"" >&2
		exit 1
	}
done

mkdir -p "$cache"
exec 9>"$cache/pg$major.lock"
flock 9 # another build may be at it
if [ -e "$prefix/complete" ]; then
	echo "$pg_config"
	exit 0
fi

work=$(mktemp -d "$cache/build$major.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

# The mirror that this machine uses already.
mirror=${DEBIAN_MIRROR:-$(cat /etc/apt/sources.list \
	/etc/apt/sources.list.d/* 2>/dev/null |
	grep -oE 'https?://[^ ]+/debian/?( |$)' | head -n 1 | tr -d ' ')}
mirror=${mirror:-http://deb.debian.org/debian}
mkdir -p "$work/lists/partial" "$work/cache/archives/partial" "$work/source"
echo "deb-src $mirror $suite main" >"$work/sources.list"
apt="apt-get -q -o Dir::Etc::sourcelist=$work/sources.list
	-o Dir::Etc::sourceparts=/dev/null -o Dir::State::lists=$work/lists
	-o Dir::Cache=$work/cache -o APT::Sandbox::User=$(id -un)
	-o Acquire::Languages=none"
{
	$apt update
	cd "$work/source"
	$apt source --download-only "postgresql-$major"
	tar xf postgresql-"$major"_*.orig.tar.*
	cd postgresql-"$major"*/
	./configure --prefix="$prefix" --enable-cassert --enable-debug \
		--without-icu --without-readline --with-lz4 --with-zstd \
		CFLAGS="-O1 -g"
	nice -n 19 make -s -j"${JOBS:-1}"
	make -s install
	for dir in contrib/test_decoding contrib/hstore contrib/citext \
		src/test/regress src/test/isolation; do
		nice -n 19 make -s -C "$dir" -j"${JOBS:-1}"
		make -s -C "$dir" install
	done
	touch "$prefix/complete"
} >"$cache/pg$major.log" 2>&1 9>&- || {
	tail -n 20 "$cache/pg$major.log" >&2
	echo "PostgreSQL $major was not built; see $cache/pg$major.log" >&2
	exit 1
}
echo "$pg_config"
